//! The schema of a new channel: which target is valid depends on the kind.

use patchwright_domain::notification::ChannelKind;
use patchwright_domain::pattern::{CHANNEL_URL, MAILBOX, REPOSITORY};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{AdditionalProperties, Object, ObjectBuilder, OneOfBuilder, Schema, SchemaType, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::channels::NewChannel;
use crate::schemas;

fn text(description: &str) -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String).description(Some(description))
}

fn text_or_null(description: &str) -> ObjectBuilder {
    text(description).schema_type(SchemaType::from_iter([Type::String, Type::Null]))
}

fn channel(kinds: Object, target: ObjectBuilder) -> Schema {
    let repository = text_or_null("`owner/name`: only events of this repository").pattern(Some(REPOSITORY));
    let everyone = ObjectBuilder::new()
        .schema_type(Type::Boolean)
        .description(Some("Notify of all issues, and not only of your own; administrator role required"));
    let secret = text_or_null("The secret of the chat's bot. A `webhook` without one gets one");
    let secret = secret.min_length(Some(1)).max_length(Some(500)).pattern(Some("^[!-~]+$"));
    ObjectBuilder::new()
        .property("name", text("A name for users").min_length(Some(1)).max_length(Some(100)))
        .property("kind", kinds)
        .property("target", target)
        .property("events", schemas::notification_events())
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

impl PartialSchema for NewChannel {
    fn schema() -> RefOr<Schema> {
        let is_mail = |kind: &ChannelKind| *kind == ChannelKind::Email;
        let url = text("The address to send to").pattern(Some(CHANNEL_URL));
        let mailbox = text("A mailbox").pattern(Some(MAILBOX));
        OneOfBuilder::new()
            .item(channel(schemas::channel_kinds(|kind| !is_mail(kind)), url))
            .item(channel(schemas::channel_kinds(is_mail), mailbox))
            .into()
    }
}

impl ToSchema for NewChannel {}
