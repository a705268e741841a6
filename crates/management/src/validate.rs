//! Validation of input fields.

use std::collections::{BTreeSet, HashMap};
use std::sync::LazyLock;

use patchwright_core::Secret;
use patchwright_domain::node::Label;
use patchwright_domain::pattern::{
    CHANNEL_URL, CLOUD_ID, MAILBOX, MAX_LABELS, PROJECT, REPOSITORY, SECRET, SERVICE_ACCOUNT, SITE,
};
use regex::Regex;

use crate::error::ManagementError;

/// The longest name of a credential, channel or token, in characters.
const MAX_NAME_CHARS: usize = 100;

/// Returns whether a text matches one of the patterns of `domain::pattern`.
pub(crate) fn matches(pattern: &'static str, text: &str) -> bool {
    static COMPILED: LazyLock<HashMap<&str, Regex>> = LazyLock::new(|| {
        let compile = |pattern| (pattern, Regex::new(pattern).expect("the pattern is tested"));
        [SITE, SERVICE_ACCOUNT, SECRET, CLOUD_ID, PROJECT, CHANNEL_URL, MAILBOX, REPOSITORY].map(compile).into()
    });
    COMPILED.get(pattern).is_some_and(|regex| regex.is_match(text))
}

/// A name for users. U+0000, which PostgreSQL cannot store, is replaced.
pub(crate) fn name(text: &str) -> Result<String, ManagementError> {
    let text = text.replace('\0', "\u{fffd}");
    if text.is_empty() || text.chars().count() > MAX_NAME_CHARS {
        return Err(ManagementError::invalid("bad_name", format!("a name has 1 to {MAX_NAME_CHARS} characters")));
    }
    Ok(text)
}

/// A secret of a site or channel: one word of printable characters.
pub(crate) fn secret(secret: Secret, bytes: std::ops::RangeInclusive<usize>) -> Result<Secret, ManagementError> {
    let text = secret.expose();
    if bytes.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Ok(secret);
    }
    let detail = format!("a secret is one word of {} to {} printable characters", bytes.start(), bytes.end());
    Err(ManagementError::invalid("bad_secret", detail))
}

/// The labels of a node or of a start.
pub(crate) fn labels(texts: &[String]) -> Result<BTreeSet<Label>, ManagementError> {
    if texts.len() > MAX_LABELS {
        return Err(ManagementError::invalid("too_many_labels", format!("at most {MAX_LABELS} labels are allowed")));
    }
    let parse =
        |text: &String| Label::parse(text).map_err(|error| ManagementError::invalid("bad_label", error.to_string()));
    texts.iter().map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channel_targets_are_told_from_other_texts() {
        for url in [
            "https://hooks.slack.com/services/T0/B0/x",
            "https://open.feishu.cn/open-apis/bot/v2/hook/0e1f-2a",
            "https://oapi.dingtalk.com/robot/send?access_token=abc",
            "http://127.0.0.1:40001/hook",
            "http://localhost:8080",
            "https://a-b.example:8443/",
        ] {
            assert!(matches(CHANNEL_URL, url) && url::Url::parse(url).is_ok(), "{url}");
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
            assert!(!matches(CHANNEL_URL, other), "{other}");
        }
        for mailbox in ["a@example.com", "ann.b-c+issues@mail.example.com", "a.b.c.d@x-y.org"] {
            assert!(matches(MAILBOX, mailbox), "{mailbox}");
        }
        for other in
            ["", "a", "a@b", "a@b.c d", "Ann <a@example.com>", ".a@example.com", "a..b@example.com", "a@-b.org"]
        {
            assert!(!matches(MAILBOX, other), "{other}");
        }
        assert!(matches(REPOSITORY, "acme/.github"));
    }
}
