//! What a channel to make looks like, for the description of the API and for the door: the same patterns are in both, so
//! that the two cannot differ.

use std::sync::LazyLock;

use patchwright_domain::notification::ChannelKind;
use regex::Regex;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{AdditionalProperties, Object, ObjectBuilder, OneOfBuilder, Schema, SchemaType, Type};
use utoipa::{PartialSchema, ToSchema};

use super::notifications::ChannelDraft;
use super::words;

/// A page: a host by its name or IPv4 address, a port, a path. No user name, and no `--` in a host's name: what looks like
/// punycode and is none is refused further in.
const PAGE: &str = "^https?://(([A-Za-z0-9](-?[A-Za-z0-9]){0,30}\\.){0,9}[A-Za-z](-?[A-Za-z0-9]){0,30}\
    |((25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])\\.){3}(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9]))\
    (:([1-5]?[0-9]{1,4}|6[0-4][0-9]{3}))?(/[!-~]{0,400})?$";

/// A mailbox.
const MAILBOX: &str = "^([A-Za-z0-9!#$%&'*+/=?^_{|}~-]{1,64}\
    |[A-Za-z0-9!#$%&'*+/=?^_{|}~-]{1,20}(\\.[A-Za-z0-9!#$%&'*+/=?^_{|}~-]{1,20}){1,2}\
    |[A-Za-z0-9!#$%&'*+/=?^_{|}~-]{1,12}(\\.[A-Za-z0-9!#$%&'*+/=?^_{|}~-]{1,12}){3,4})\
    @([A-Za-z0-9](-?[A-Za-z0-9]){0,30}\\.){1,3}[A-Za-z](-?[A-Za-z0-9]){1,30}$";

/// `owner/name`.
const REPOSITORY: &str = "^([A-Za-z0-9_]|\\.{1,2}[A-Za-z0-9_-])[A-Za-z0-9._-]{0,90}\
    /([A-Za-z0-9_]|\\.{1,2}[A-Za-z0-9_-])[A-Za-z0-9._-]{0,90}$";

static PAGES: LazyLock<Regex> = LazyLock::new(|| Regex::new(PAGE).expect("the pattern is tested"));
static MAILBOXES: LazyLock<Regex> = LazyLock::new(|| Regex::new(MAILBOX).expect("the pattern is tested"));

pub(crate) fn is_page(target: &str) -> bool {
    PAGES.is_match(target)
}

pub(crate) fn is_mailbox(target: &str) -> bool {
    MAILBOXES.is_match(target)
}

fn text(description: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).description(Some(description))
}

fn text_or_null(description: &str) -> ObjectBuilder {
    text(description).schema_type(SchemaType::from_iter([Type::String, Type::Null]))
}

/// A channel of some kinds, whose target looks like that.
fn of_kinds(kinds: Object, target: ObjectBuilder) -> Schema {
    let repository = text_or_null("`owner/name`: of this repository only").pattern(Some(REPOSITORY));
    let everyone = ObjectBuilder::new()
        .schema_type(Type::Boolean)
        .description(Some("Of all issues, and not only of those that you added; takes an administrator"));
    let secret = text_or_null("What the chat's robot is signed with. A `webhook` without one gets one");
    let secret = secret.min_length(Some(1)).max_length(Some(500)).pattern(Some("^[!-~]+$"));
    ObjectBuilder::new()
        .property("name", text("What you call it").min_length(Some(1)).max_length(Some(100)))
        .property("kind", kinds)
        .property("target", target)
        .property("events", words::notification_events())
        .property("repository", repository)
        .property("everyone", everyone)
        .property("secret", secret)
        .required("name")
        .required("kind")
        .required("target")
        .required("events")
        .additional_properties(Some(AdditionalProperties::<Schema>::FreeForm(false)))
        .into()
}

impl PartialSchema for ChannelDraft {
    fn schema() -> RefOr<Schema> {
        let is_mail = |kind: &ChannelKind| *kind == ChannelKind::Email;
        let page = text("The address of a page").pattern(Some(PAGE));
        let mailbox = text("A mailbox").pattern(Some(MAILBOX));
        OneOfBuilder::new()
            .item(of_kinds(words::channel_kinds(|kind| !is_mail(kind)), page))
            .item(of_kinds(words::channel_kinds(is_mail), mailbox))
            .into()
    }
}

impl ToSchema for ChannelDraft {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_people_are_told_at_are_told_from_others() {
        for page in [
            "https://hooks.slack.com/services/T0/B0/x",
            "https://open.feishu.cn/open-apis/bot/v2/hook/0e1f-2a",
            "https://oapi.dingtalk.com/robot/send?access_token=abc",
            "http://127.0.0.1:40001/hook",
            "http://localhost:8080",
            "https://a-b.example:8443/",
        ] {
            assert!(is_page(page) && url::Url::parse(page).is_ok(), "{page}");
        }
        for other in [
            "",
            "hooks.slack.com",
            "ftp://example.com",
            "https://",
            "https://a@example.com/",
            "https://.example.com",
            "https://example.com*",
            "https://xn--a.example",
            "https://300.1.1.1/",
            "https://example.com/a b",
            "https://[::1]/",
            "https://example.com\n",
        ] {
            assert!(!is_page(other), "{other}");
        }
        for mailbox in ["a@example.com", "ann.b-c+issues@mail.example.com", "a.b.c.d@x-y.org"] {
            assert!(is_mailbox(mailbox) && mailbox.parse::<lettre::Address>().is_ok(), "{mailbox}");
        }
        for other in
            ["", "a", "a@b", "a@b.c d", "Ann <a@example.com>", ".a@example.com", "a..b@example.com", "a@-b.org"]
        {
            assert!(!is_mailbox(other), "{other}");
        }
        assert!(Regex::new(REPOSITORY).unwrap().is_match("acme/.github"));
    }
}
