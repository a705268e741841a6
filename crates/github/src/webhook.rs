//! Verification of GitHub's deliveries, and their envelope.

use patchwright_core::webhook::{
    DecodeError, Delivery, Headers, SignatureError, SigningKeys, WebhookDecoder, resolve_delivery_id, shorten_name,
};
use patchwright_domain::PlatformId;

use crate::GITHUB;

const EVENT_HEADER: &str = "X-GitHub-Event";
const DELIVERY_HEADER: &str = "X-GitHub-Delivery";
const SIGNATURE_HEADER: &str = "X-Hub-Signature-256";

/// The events that GitHub and its Enterprise Server can send (`@octokit/webhooks-schemas` and `-examples` 7.6). Other names
/// are refused as a mistake of the sender.
const EVENTS: &[&str] = &[
    "branch_protection_configuration",
    "branch_protection_rule",
    "cache_sync",
    "check_run",
    "check_suite",
    "code_scanning_alert",
    "commit_comment",
    "content_reference",
    "create",
    "custom_property",
    "custom_property_values",
    "delete",
    "dependabot_alert",
    "deploy_key",
    "deployment",
    "deployment_protection_rule",
    "deployment_review",
    "deployment_status",
    "discussion",
    "discussion_comment",
    "enterprise",
    "fork",
    "github_app_authorization",
    "gollum",
    "installation",
    "installation_repositories",
    "installation_target",
    "issue_comment",
    "issue_dependencies",
    "issues",
    "label",
    "marketplace_purchase",
    "member",
    "membership",
    "merge_group",
    "meta",
    "milestone",
    "org_block",
    "organization",
    "package",
    "page_build",
    "personal_access_token_request",
    "ping",
    "project",
    "project_card",
    "project_column",
    "projects_v2_item",
    "public",
    "pull_request",
    "pull_request_review",
    "pull_request_review_comment",
    "pull_request_review_thread",
    "push",
    "registry_package",
    "release",
    "repository",
    "repository_advisory",
    "repository_dispatch",
    "repository_import",
    "repository_ruleset",
    "repository_vulnerability_alert",
    "secret_scanning_alert",
    "secret_scanning_alert_location",
    "secret_scanning_scan",
    "security_advisory",
    "security_and_analysis",
    "sponsorship",
    "star",
    "status",
    "sub_issues",
    "team",
    "team_add",
    "user",
    "watch",
    "workflow_dispatch",
    "workflow_job",
    "workflow_run",
];

/// Verifies and decodes GitHub's deliveries.
#[derive(Debug, Clone)]
pub struct GithubWebhook {
    keys: SigningKeys,
    pub(crate) own_app: Option<u64>,
}

impl GithubWebhook {
    /// Creates a decoder with these secrets. Comments by the GitHub App with the id `own_app` are ignored.
    pub const fn new(keys: SigningKeys, own_app: Option<u64>) -> Self {
        Self { keys, own_app }
    }
}

impl WebhookDecoder for GithubWebhook {
    fn platform(&self) -> PlatformId {
        GITHUB
    }

    fn event_header(&self) -> &'static str {
        EVENT_HEADER
    }

    fn verify(&self, headers: &dyn Headers, body: &[u8]) -> Result<(), SignatureError> {
        self.keys.verify(headers, SIGNATURE_HEADER, body)
    }

    fn decode(&self, headers: &dyn Headers, body: &[u8]) -> Result<Delivery, DecodeError> {
        let event_type = headers.get(EVENT_HEADER).ok_or(DecodeError::Header { name: EVENT_HEADER })?;
        if !EVENTS.contains(&event_type) {
            return Err(DecodeError::UnknownEvent { event: shorten_name(event_type), platform: GITHUB });
        }
        let id = resolve_delivery_id(headers, DELIVERY_HEADER, event_type, body)?;
        Ok(Delivery { id, event: self.event(event_type, body)?, event_type: event_type.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use patchwright_core::webhook::InboundEvent;

    use super::*;
    use crate::event::OWN_COMMENT;

    fn decode(event: &'static str, body: &str) -> Result<InboundEvent, String> {
        let webhook = GithubWebhook::new(SigningKeys::new([]), Some(99));
        let headers = [(EVENT_HEADER, event), (DELIVERY_HEADER, "72d3162e-cc78-11e3-81ab-4c9367dc0958")];
        webhook.decode(&headers, body.as_bytes()).map(|delivery| delivery.event).map_err(|error| error.to_string())
    }

    /// The sample of `docs/requirements.md#r220`, letter by letter.
    const SAMPLE: &str = r#"{
      "action": "created",
      "issue": {"number": 42, "title": "Bug", "body": "details"},
      "comment": {"body": "@app-name fix", "user": {"login": "alice"}},
      "repository": {"owner": {"login": "acme"}, "name": "demo", "default_branch": "main"},
      "sender": {"login": "alice"}
    }"#;

    #[test]
    fn the_sample_of_the_requirements_is_a_comment() {
        let Ok(InboundEvent::Commented { issue, comment }) = decode("issue_comment", SAMPLE) else { panic!() };
        assert_eq!(issue.source.to_string(), "acme/demo#42");
        assert_eq!((comment.body.as_str(), comment.author.login.as_str()), ("@app-name fix", "alice"));
        assert!(!issue.is_pull_request);
    }

    #[test]
    fn errors_name_the_field_that_is_missing_or_has_the_wrong_type() {
        for (from, to, expected) in [
            (r#""number": 42, "#, "", "missing field `number`"),
            (r#""number": 42"#, r#""number": "42""#, "invalid type: string \"42\", expected u64"),
            (r#""number": 42"#, r#""number": -1"#, "invalid value: integer `-1`"),
            (r#""owner": {"login": "acme"}, "#, "", "missing field `owner`"),
            (r#""login": "acme""#, r#""login": "../../etc""#, "the field repository cannot be used"),
            (r#""default_branch": "main""#, r#""default_branch": "--x""#, "repository.default_branch cannot be used"),
            (r#""action": "created","#, r#""action": "created", "action": "deleted","#, "duplicate field `action`"),
            (r#""title": "Bug""#, r#""title": "\ud800""#, "the body cannot be read"),
        ] {
            let body = SAMPLE.replace(from, to);
            assert_ne!(body, SAMPLE);
            let error = decode("issue_comment", &body).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
        for body in ["", "x", "null", "[]", "\"x\"", "\u{feff}{}"] {
            assert!(decode("issue_comment", body).is_err(), "{body:?}");
        }
    }

    #[test]
    fn known_events_that_start_no_job_are_ignored_and_unknown_events_are_refused() {
        assert_eq!(decode("ping", "{}"), Ok(InboundEvent::Ping));
        assert!(matches!(decode("star", r#"{"action":"created"}"#), Ok(InboundEvent::Other { .. })));
        assert!(matches!(decode("issue_comment", r#"{"action":"edited"}"#), Ok(InboundEvent::Other { .. })));
        let none: [(&str, &str); 0] = [];
        let missing = GithubWebhook::new(SigningKeys::new([]), None).decode(&none, b"{}").unwrap_err();
        assert_eq!(missing.to_string(), "the header X-GitHub-Event is missing or malformed");
        assert_eq!(decode("nonsense", "{}"), Err("\"nonsense\" is not an event of github".into()));
    }

    #[test]
    fn assignments_labels_and_merges_are_decoded() {
        let issue = r#""issue":{"number":7,"title":"t","body":null},"repository":{"owner":{"login":"a"},"name":"b"},"sender":{"login":"c"}"#;
        let assigned = decode("issues", &format!(r#"{{"action":"assigned","assignee":{{"login":"bot"}},{issue}}}"#));
        assert!(matches!(assigned, Ok(InboundEvent::Assigned { assignees, .. }) if assignees == ["bot"]));
        let labeled = decode("issues", &format!(r#"{{"action":"labeled","label":{{"name":"patchwright"}},{issue}}}"#));
        assert!(matches!(labeled, Ok(InboundEvent::Labeled { labels, .. }) if labels == ["patchwright"]));
        let opened = issue.replace("\"body\":null", "\"body\":null,\"labels\":[{\"name\":\"area: checkout\"}]");
        let opened = decode("issues", &format!(r#"{{"action":"opened",{opened}}}"#));
        assert!(matches!(opened, Ok(InboundEvent::Opened { issue, .. }) if issue.labels == ["area: checkout"]));
        assert!(decode("issues", &format!(r#"{{"action":"labeled",{issue}}}"#)).unwrap_err().contains("`label`"));
        let merged = r#"{"action":"closed","number":9,"pull_request":{"merged":true,"head":{"ref":"agent/fix-7"}},"repository":{"owner":{"login":"a"},"name":"b"}}"#;
        assert!(matches!(
            decode("pull_request", merged),
            Ok(InboundEvent::PullRequestClosed { merged: true, number: 9, .. })
        ));
    }

    #[test]
    fn reviews_checks_and_installations_are_decoded() {
        let repository = r#""repository":{"owner":{"login":"a"},"name":"b"},"sender":{"login":"c"}"#;
        let review = format!(
            r#"{{"action":"created","comment":{{"id":5,"body":"why?"}},"pull_request":{{"number":9,"head":{{"ref":"agent/fix-7"}}}},{repository}}}"#
        );
        assert!(matches!(
            decode("pull_request_review_comment", &review),
            Ok(InboundEvent::PullRequestCommented { number: 9, comment, place: None, .. }) if comment.id == "diff-5"
        ));
        let checks = format!(
            r#"{{"action":"completed","check_suite":{{"head_sha":"abc","conclusion":"failure","app":{{"slug":"ci"}}}},{repository}}}"#
        );
        assert!(matches!(
            decode("check_suite", &checks),
            Ok(InboundEvent::ChecksCompleted { name, conclusion, .. }) if name == "ci" && conclusion == "failure"
        ));
        let gone = r#"{"action":"deleted","installation":{"id":1,"account":{"login":"acme"}}}"#;
        assert!(matches!(decode("installation", gone), Ok(InboundEvent::InstallationChanged { .. })));
        assert!(decode("installation", "{}").unwrap_err().contains("installation"));
    }

    #[test]
    fn comments_by_the_own_application_are_recognised_by_its_id() {
        let own = SAMPLE.replace(
            r#""body": "@app-name fix""#,
            r#""body": "@app-name fix", "performed_via_github_app": {"id": 99}"#,
        );
        assert_eq!(decode("issue_comment", &own), Ok(InboundEvent::Other { reason: OWN_COMMENT.into() }));
        let other = own.replace("99", "98");
        assert!(matches!(decode("issue_comment", &other), Ok(InboundEvent::Commented { .. })));
    }

    #[test]
    fn a_delivery_without_an_id_is_identified_by_its_content() {
        let headers = [(EVENT_HEADER, "issue_comment")];
        let webhook = GithubWebhook::new(SigningKeys::new([]), None);
        let id = |body: &str| webhook.decode(&headers, body.as_bytes()).unwrap().id;
        assert_eq!(id(SAMPLE), id(SAMPLE));
        assert_ne!(id(SAMPLE), id(&SAMPLE.replace("42", "43")));
        assert!(id(SAMPLE).as_str().starts_with("sha256:"));
    }
}
