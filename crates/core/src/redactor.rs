//! A redactor, which masks secrets in outgoing text.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, RwLock};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

use patchwright_domain::job::report::{StageReport, VerifyReport};

use crate::secret::Secret;

/// The replacement for a secret in text.
pub const REDACTED: &str = "[redacted]";

/// Masks secrets in text: the ones that were added to it, and everything that has the shape of a well-known token, of
/// credentials in a URL or of a private key.
///
/// All outgoing text passes through one: logs, comments, pull requests, prompts, error messages. Clones share their secrets.
#[derive(Clone, Default)]
pub struct Redactor {
    known: Arc<RwLock<Vec<Secret>>>,
}

/// Prefixes of well-known tokens, each with the least number of token characters that must follow.
const SHAPES: &[(&str, usize)] = &[
    ("github_pat_", 20),
    ("ghp_", 20),
    ("gho_", 20),
    ("ghu_", 20),
    ("ghs_", 20),
    ("ghr_", 20),
    ("glpat-", 16),
    ("sk-", 20),
    ("xoxb-", 16),
    ("xoxp-", 16),
    ("AKIA", 16),
    ("ATATT3", 20),
    ("npm_", 30),
    ("pypi-AgE", 20),
];

impl Redactor {
    /// The length in bytes below which a secret is not masked: it would match ordinary words.
    pub const MIN_SECRET: usize = 6;

    /// Creates a redactor with these secrets.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a Secret>) -> Self {
        let redactor = Self::default();
        secrets.into_iter().for_each(|secret| redactor.add(secret));
        redactor
    }

    /// Masks the texts of a report that a model, a test run or a server wrote. Changed files stay as they are: an edit with a
    /// secret is refused, and the commit must be made again from them.
    #[must_use]
    pub fn redact_report(&self, report: StageReport) -> StageReport {
        let mask = |text: &mut String| *text = self.redact(text);
        match report {
            StageReport::Locate(mut report) => {
                report.candidates.iter_mut().flat_map(|candidate| &mut candidate.reasons).for_each(mask);
                StageReport::Locate(report)
            }
            StageReport::Propose(mut report) => {
                mask(&mut report.stage_data.fix_strategy);
                let plan = &mut report.plan;
                [&mut plan.root_cause, &mut plan.fix_strategy].into_iter().for_each(mask);
                plan.changes.iter_mut().map(|change| &mut change.description).for_each(mask);
                plan.changes.iter_mut().flat_map(|change| &mut change.symbols).for_each(mask);
                plan.tests.iter_mut().map(|test| &mut test.what).for_each(mask);
                plan.risks.iter_mut().chain(&mut plan.testing_suggestions).for_each(mask);
                StageReport::Propose(report)
            }
            StageReport::Verify(report) => StageReport::Verify(Box::new(self.redact_verification(*report))),
            StageReport::Fix(mut report) => {
                let problems = report.review.iter_mut().flat_map(|review| &mut review.problems);
                problems.flat_map(|problem| [&mut problem.file, &mut problem.problem]).for_each(mask);
                StageReport::Fix(report)
            }
        }
    }

    /// Does the same for the report of a verification.
    #[must_use]
    pub fn redact_verification(&self, mut report: VerifyReport) -> VerifyReport {
        let mask = |text: &mut String| *text = self.redact(text);
        [&mut report.explanation, &mut report.log_tail].into_iter().for_each(mask);
        report.command.iter_mut().for_each(mask);
        let lists = [
            &mut report.fixed_tests,
            &mut report.broken_tests,
            &mut report.failing_tests,
            &mut report.flaky_tests,
            &mut report.edited_tests,
        ];
        lists.into_iter().flatten().for_each(mask);
        report.failures.iter_mut().flat_map(|failure| [&mut failure.test, &mut failure.output]).for_each(mask);
        report
    }

    /// Adds a secret. It is masked from now on, by this redactor and by all of its clones, as it is and as base64,
    /// hexadecimal digits and percent-encoded text.
    pub fn add(&self, secret: &Secret) {
        if secret.expose().len() < Self::MIN_SECRET {
            return;
        }
        let mut known = self.known.write().expect("no holder of this lock can panic");
        for form in forms(secret) {
            if !known.iter().any(|other| other.matches(form.expose())) {
                known.push(form);
            }
        }
        sort_longest_first(&mut known);
    }

    /// Returns whether a text has a secret in it that the text that it replaces does not have.
    pub fn adds_secret(&self, before: &str, after: &str) -> bool {
        let is_new = |secret: &Secret| after.contains(secret.expose()) && !before.contains(secret.expose());
        if self.known.read().expect("no holder of this lock can panic").iter().any(is_new) {
            return true;
        }
        // Line by line: another secret in place of one that was there, or one behind a key's first line, is a new one.
        let standing: HashSet<&str> = before.lines().collect();
        after.lines().filter(|line| !standing.contains(line)).any(|line| self.redact(line) != line)
    }

    /// Returns the text with every secret replaced by [`REDACTED`].
    pub fn redact(&self, text: &str) -> String {
        let mut out = text.to_owned();
        for secret in self.known.read().expect("no holder of this lock can panic").iter() {
            if out.contains(secret.expose()) {
                out = out.replace(secret.expose(), REDACTED);
            }
        }
        mask_private_keys(&mask_shapes(&mask_url_credentials(&out)))
    }
}

/// Returns a secret in the forms in which it is found in texts.
fn forms(secret: &Secret) -> Vec<Secret> {
    let text = secret.expose();
    let bytes = text.as_bytes();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let percent: String = bytes
        .iter()
        .map(|byte| match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(*byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect();
    let upper = hex.to_uppercase();
    let percent_all = bytes.iter().map(|byte| format!("%{byte:02X}")).collect();
    let encoded = [STANDARD_NO_PAD.encode(bytes), URL_SAFE_NO_PAD.encode(bytes), hex, upper, percent, percent_all];
    let mut forms = vec![secret.clone()];
    forms.extend(encoded.into_iter().map(Secret::new));
    forms
}

/// A secret that contains another one must be replaced first, or its remainder would stay readable.
fn sort_longest_first(known: &mut [Secret]) {
    known.sort_by_key(|secret| std::cmp::Reverse(secret.expose().len()));
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redactor({} forms of secrets)", self.known.read().expect("no holder of this lock can panic").len())
    }
}

const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

fn mask_shapes(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = String::with_capacity(text.len());
    let mut copied = 0;
    let mut at = 0;
    while at < bytes.len() {
        let at_boundary = at == 0 || !is_token_byte(bytes[at - 1]);
        let shape =
            at_boundary.then(|| SHAPES.iter().find(|(prefix, _)| bytes[at..].starts_with(prefix.as_bytes()))).flatten();
        if let Some((prefix, least)) = shape {
            let tail = bytes[at + prefix.len()..].iter().take_while(|byte| is_token_byte(**byte)).count();
            if tail >= *least {
                out.push_str(&text[copied..at]);
                out.push_str(REDACTED);
                at += prefix.len() + tail;
                copied = at;
                continue;
            }
        }
        at += 1;
    }
    out.push_str(&text[copied..]);
    out
}

/// Masks the part before the `@` of `https://user:password@host`.
fn mask_url_credentials(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(found) = rest.find("://") {
        let start = found + 3;
        out.push_str(&rest[..start]);
        rest = &rest[start..];
        let end = rest
            .find(|c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#' | '"' | '\'' | '<' | '>'))
            .unwrap_or(rest.len());
        if let Some(at) = rest[..end].rfind('@').filter(|at| rest[..*at].contains(':')) {
            out.push_str(REDACTED);
            rest = &rest[at..];
        }
    }
    out.push_str(rest);
    out
}

fn mask_private_keys(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("-----BEGIN ") {
        let head_end = rest[start + 11..].find("-----").map(|at| start + 11 + at);
        let is_key = head_end.is_some_and(|end| rest[start..end].ends_with("PRIVATE KEY"));
        if !is_key {
            out.push_str(&rest[..start + 11]);
            rest = &rest[start + 11..];
            continue;
        }
        out.push_str(&rest[..start]);
        out.push_str(REDACTED);
        // A truncated key is masked to the end of the text.
        rest = rest[start..].find("PRIVATE KEY-----\n").map_or("", |_| {
            rest.find("-----END ")
                .and_then(|end| rest[end + 9..].find("-----").map(|e| &rest[end + 9 + e + 5..]))
                .unwrap_or("")
        });
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn longer_secrets_are_masked_before_those_that_they_contain() {
        let redactor = Redactor::new([&Secret::new("secret"), &Secret::new("secret-and-more"), &Secret::new("x")]);
        assert_eq!(redactor.redact("a secret-and-more x b secret"), "a [redacted] x b [redacted]");
    }

    #[test]
    fn a_secret_that_is_added_later_is_masked_by_all_clones() {
        let redactor = Redactor::default();
        let other = redactor.clone();
        redactor.add(&Secret::new("late-secret"));
        redactor.add(&Secret::new("late-secret"));
        assert_eq!(other.redact("a late-secret"), "a [redacted]");
        assert!(!format!("{other:?}").contains("late"));
    }

    #[test]
    fn fault_a4_a_secret_is_masked_in_every_encoding() {
        let redactor = Redactor::new([&Secret::new("s3cret/key+1")]);
        for form in [
            "s3cret/key+1",
            "czNjcmV0L2tleSsx",
            "7333637265742f6b65792b31",
            "7333637265742F6B65792B31",
            "s3cret%2Fkey%2B1",
        ] {
            assert_eq!(redactor.redact(&format!("a {form} b")), "a [redacted] b", "{form}");
        }
    }

    #[test]
    fn fault_a4_a_text_must_not_have_more_secrets_than_before() {
        let redactor = Redactor::new([&Secret::new("sk-canary-0123456789")]);
        assert!(redactor.adds_secret("key = load()", "key = 'sk-canary-0123456789'"));
        assert!(redactor.adds_secret("", "t = 'ghp_0123456789abcdefghijABCDEFGHIJ012345'"));
        let fixture = "t = 'ghp_0123456789abcdefghijABCDEFGHIJ012345'";
        assert!(!redactor.adds_secret(fixture, &format!("{fixture}\nmore()")), "what was there may stay");
        assert!(redactor.adds_secret(fixture, "t = 'sk-canary-0123456789'"), "one in place of another");
        let header = "const HEAD: &str = \"-----BEGIN PRIVATE KEY-----\";";
        let behind = format!("{header}\nlet t = \"ghp_0123456789abcdefghijABCDEFGHIJ012345\";");
        assert!(redactor.adds_secret(header, &behind) && !redactor.adds_secret(header, &format!("{header}\nmore()")));
    }

    #[test]
    fn tokens_are_recognised_by_their_shape() {
        let redactor = Redactor::default();
        let token = "ghp_0123456789abcdefghijABCDEFGHIJ012345";
        assert_eq!(redactor.redact(&format!("t={token};")), "t=[redacted];");
        assert_eq!(redactor.redact("risk-sk-lower task-list"), "risk-sk-lower task-list");
        assert_eq!(redactor.redact("ghp_short"), "ghp_short");
        assert_eq!(redactor.redact("https://u:p@host/x?y=a@b"), "https://[redacted]@host/x?y=a@b");
        assert_eq!(redactor.redact("https://host/a:b@c"), "https://host/a:b@c");
    }

    #[test]
    fn private_keys_are_masked_completely() {
        let redactor = Redactor::default();
        let text = "a\n-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc=\n-----END RSA PRIVATE KEY-----\nb";
        assert_eq!(redactor.redact(text), "a\n[redacted]\nb");
        assert_eq!(redactor.redact("-----BEGIN RSA PRIVATE KEY-----\nMIIE"), "[redacted]");
        let public = "-----BEGIN PUBLIC KEY-----\nMIIE\n-----END PUBLIC KEY-----";
        assert_eq!(redactor.redact(public), public);
    }
}
