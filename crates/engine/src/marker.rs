//! The hidden marker in this server's comments, by which a retry finds what an earlier attempt has written.

use patchwright_core::Secret;
use patchwright_core::outgoing_text::OutgoingText;
use ring::hmac;

/// Signs markers, so that nobody else can forge one.
#[derive(Clone)]
pub struct MarkerKey {
    present: hmac::Key,
    /// Markers signed with these keys are accepted too.
    old: Vec<hmac::Key>,
}

const NAME: &str = "patchwright:v1";
const PREFIX: &str = "<!-- patchwright:v1 ";
const SUFFIX: &str = " -->";
/// Half of the MAC is enough against guessing and keeps the marker short.
const MAC_BYTES: usize = 16;

impl MarkerKey {
    /// Derives the key from the server's master key.
    pub fn new(master: &Secret) -> Self {
        Self { present: derive(master), old: Vec::new() }
    }

    /// Does the same and also accepts markers that were signed with older master keys.
    #[must_use]
    pub fn with_old(self, masters: &[Secret]) -> Self {
        Self { old: masters.iter().map(derive).collect(), ..self }
    }

    /// Returns the marker of a subject: the kind of the comment and what it belongs to, such as `progress 0190…`.
    pub(crate) fn mark(&self, subject: &str) -> OutgoingText {
        let subject = plain(subject);
        OutgoingText::hidden(&format!("{NAME} {subject} {}", mac(&self.present, &subject)))
    }

    /// Returns whether a text has the marker of exactly this subject.
    pub(crate) fn is_marked(&self, text: &str, subject: &str) -> bool {
        let subject = plain(subject);
        subjects(text).any(|(found, mac)| found == subject && self.verify(found, mac))
    }

    /// Returns whether a text has any valid marker.
    pub(crate) fn is_ours(&self, text: &str) -> bool {
        subjects(text).any(|(subject, mac)| self.verify(subject, mac))
    }

    fn verify(&self, subject: &str, given: &str) -> bool {
        std::iter::once(&self.present).chain(&self.old).any(|key| Secret::new(mac(key, subject)).matches(given))
    }
}

/// Returns a subject in characters that a hidden comment keeps. Others, such as brackets in a login, are their numbers.
fn plain(subject: &str) -> String {
    let mut out = String::with_capacity(subject.len());
    for c in subject.chars() {
        if c.is_ascii_alphanumeric() || matches!(c, ' ' | ':' | '_') || (c == '-' && !out.ends_with('-')) {
            out.push(c);
        } else {
            out.push_str(&format!(".{:x}.", u32::from(c)));
        }
    }
    out
}

fn derive(master: &Secret) -> hmac::Key {
    let root = hmac::Key::new(hmac::HMAC_SHA256, master.expose().as_bytes());
    let derived = hmac::sign(&root, b"patchwright comment marker v1");
    hmac::Key::new(hmac::HMAC_SHA256, derived.as_ref())
}

fn mac(key: &hmac::Key, subject: &str) -> String {
    let tag = hmac::sign(key, subject.as_bytes());
    tag.as_ref()[..MAC_BYTES].iter().map(|byte| format!("{byte:02x}")).collect()
}

impl std::fmt::Debug for MarkerKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MarkerKey([redacted])")
    }
}

/// Returns all markers of a text as subject and MAC, without verifying them.
fn subjects(text: &str) -> impl Iterator<Item = (&str, &str)> {
    text.match_indices(PREFIX).filter_map(|(at, _)| {
        let rest = &text[at + PREFIX.len()..];
        rest[..rest.find(SUFFIX)?].rsplit_once(' ')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_marks_count() {
        let key = MarkerKey::new(&Secret::new("master"));
        let other = MarkerKey::new(&Secret::new("another master"));
        let text = format!("hello\n{}", key.mark("progress 1"));
        assert!(key.is_marked(&text, "progress 1") && key.is_ours(&text));
        assert!(!key.is_marked(&text, "progress 2"));
        for subject in ["reply help other[bot]", "reply a--b>", "reply 修复"] {
            let mark = key.mark(subject);
            assert!(key.is_marked(mark.as_str(), subject) && mark.as_str().matches("--").count() == 2, "{mark}");
        }
        assert_ne!(key.mark("other[bot]"), key.mark("other(bot)"));
        assert!(!other.is_ours(&text));
        let rotated = MarkerKey::new(&Secret::new("another master")).with_old(&[Secret::new("master")]);
        assert!(rotated.is_marked(&text, "progress 1") && !key.is_ours(rotated.mark("progress 1").as_str()));
        assert!(!key.is_ours("<!-- patchwright:v1 progress 1 00000000000000000000000000000000 -->"));
        assert!(!key.is_ours("<!-- patchwright:v1 -->"));
        assert!(key.is_marked(&format!("{}{text}", other.mark("progress 1")), "progress 1"));
    }
}
