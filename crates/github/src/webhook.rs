//! The door: GitHub's deliveries.

use patchwright_core::webhook::{
    Actor, DecodeError, Delivery, Headers, InboundComment, InboundEvent, SignatureError, SigningKeys, WebhookDecoder,
};
use patchwright_domain::{DeliveryId, PlatformId};
use serde::Deserialize;

use crate::convert::{inbound_issue, login};
use crate::{GITHUB, wire};

const EVENT: &str = "X-GitHub-Event";
const DELIVERY: &str = "X-GitHub-Delivery";
const SIGNATURE: &str = "X-Hub-Signature-256";

/// Every event that GitHub can send (`@octokit/webhooks-schemas` 7.6): another name is a mistake of the sender.
const EVENTS: &[&str] = &[
    "branch_protection_configuration",
    "branch_protection_rule",
    "check_run",
    "check_suite",
    "code_scanning_alert",
    "commit_comment",
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
    "projects_v2",
    "projects_v2_item",
    "projects_v2_status_update",
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
    "watch",
    "workflow_dispatch",
    "workflow_job",
    "workflow_run",
];

/// Verifies and decodes GitHub's deliveries.
#[derive(Debug, Clone)]
pub struct GithubWebhook {
    keys: SigningKeys,
}

impl GithubWebhook {
    /// A door with these secrets.
    pub const fn new(keys: SigningKeys) -> Self {
        Self { keys }
    }
}

impl WebhookDecoder for GithubWebhook {
    fn platform(&self) -> PlatformId {
        GITHUB
    }

    fn event_header(&self) -> &'static str {
        EVENT
    }

    fn verify(&self, headers: &dyn Headers, body: &[u8]) -> Result<(), SignatureError> {
        self.keys.verify(headers, SIGNATURE, body)
    }

    fn decode(&self, headers: &dyn Headers, body: &[u8]) -> Result<Delivery, DecodeError> {
        let event_type = headers.get(EVENT).ok_or(DecodeError::Header { name: EVENT })?;
        if !EVENTS.contains(&event_type) {
            let event = event_type.chars().take(60).collect();
            return Err(DecodeError::UnknownEvent { event, platform: GITHUB });
        }
        let id = headers.get(DELIVERY).and_then(|text| DeliveryId::parse(text).ok());
        let id = id.ok_or(DecodeError::Header { name: DELIVERY })?;
        Ok(Delivery { id, event: decode_event(event_type, body)?, event_type: event_type.to_owned() })
    }
}

fn decode_event(event_type: &str, body: &[u8]) -> Result<InboundEvent, DecodeError> {
    let action = parse::<wire::ActionOnly>(body)?.action.unwrap_or_default();
    match (event_type, action.as_str()) {
        ("ping", _) => Ok(InboundEvent::Ping),
        ("issue_comment", "created") => commented(parse(body)?),
        ("issues", "assigned" | "labeled" | "opened") => issue_changed(&action, parse(body)?),
        ("pull_request", "closed") => {
            let event: wire::PullRequestEvent = parse(body)?;
            Ok(InboundEvent::PullRequestClosed {
                repo: event.repository.name()?,
                number: event.number,
                head: event.pull_request.head.name,
                merged: event.pull_request.merged.unwrap_or(false),
            })
        }
        (event, "") => Ok(InboundEvent::Other { reason: format!("the event {event} starts nothing") }),
        (event, action) => {
            let action: String = action.chars().take(60).collect();
            Ok(InboundEvent::Other { reason: format!("the event {event} with action {action} starts nothing") })
        }
    }
}

fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, DecodeError> {
    serde_json::from_slice(body).map_err(|error| DecodeError::Body { detail: error.to_string() })
}

fn commented(event: wire::IssueCommentEvent) -> Result<InboundEvent, DecodeError> {
    let issue = inbound_issue(event.issue, &event.repository)?;
    // The writer and the sender are the same person for a new comment; without a writer the sender stands.
    let author = event.comment.user.map_or_else(|| Actor::from(event.sender), Actor::from);
    let comment = InboundComment {
        id: event.comment.id.map(|id| id.to_string()).unwrap_or_default(),
        body: event.comment.body.unwrap_or_default(),
        author,
    };
    Ok(InboundEvent::Commented { issue, comment })
}

fn issue_changed(action: &str, event: wire::IssuesEvent) -> Result<InboundEvent, DecodeError> {
    let missing = |field: &str| DecodeError::Body { detail: format!("missing field `{field}`") };
    let issue = inbound_issue(event.issue, &event.repository)?;
    let actor = Actor::from(event.sender);
    Ok(match action {
        "assigned" => {
            let assignee = event.assignee.ok_or_else(|| missing("assignee"))?;
            InboundEvent::Assigned { issue, assignee: login(Some(assignee)), actor }
        }
        "labeled" => {
            let label = event.label.ok_or_else(|| missing("label"))?;
            InboundEvent::Labeled { issue, label: label.name, actor }
        }
        _ => InboundEvent::Opened { issue, actor },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Event(&'static str);

    impl Headers for Event {
        fn get(&self, name: &str) -> Option<&str> {
            match name {
                EVENT => Some(self.0).filter(|event| !event.is_empty()),
                DELIVERY => Some("72d3162e-cc78-11e3-81ab-4c9367dc0958"),
                _ => None,
            }
        }
        fn is_repeated(&self, _: &str) -> bool {
            false
        }
    }

    fn decode(event: &'static str, body: &str) -> Result<InboundEvent, String> {
        let webhook = GithubWebhook::new(SigningKeys::new([]));
        webhook.decode(&Event(event), body.as_bytes()).map(|delivery| delivery.event).map_err(|error| error.to_string())
    }

    /// The sample of `seeds/002 §4.2`, letter by letter.
    const SEED: &str = r#"{
      "action": "created",
      "issue": {"number": 42, "title": "Bug", "body": "details"},
      "comment": {"body": "@app-name fix", "user": {"login": "alice"}},
      "repository": {"owner": {"login": "acme"}, "name": "demo", "default_branch": "main"},
      "sender": {"login": "alice"}
    }"#;

    #[test]
    fn the_contracts_own_sample_is_a_comment() {
        let Ok(InboundEvent::Commented { issue, comment }) = decode("issue_comment", SEED) else { panic!() };
        assert_eq!(issue.source.to_string(), "acme/demo#42");
        assert_eq!((comment.body.as_str(), comment.author.login.as_str()), ("@app-name fix", "alice"));
        assert!(!issue.is_pull_request);
    }

    #[test]
    fn what_lacks_or_has_the_wrong_type_is_named() {
        for (from, to, said) in [
            (r#""number": 42, "#, "", "missing field `number`"),
            (r#""number": 42"#, r#""number": "42""#, "invalid type: string \"42\", expected u64"),
            (r#""number": 42"#, r#""number": -1"#, "invalid value: integer `-1`"),
            (r#""owner": {"login": "acme"}, "#, "", "missing field `owner`"),
            (r#""login": "acme""#, r#""login": "../../etc""#, "the field repository cannot be used"),
            (r#""default_branch": "main""#, r#""default_branch": "--x""#, "repository.default_branch cannot be used"),
            (r#""action": "created","#, r#""action": "created", "action": "deleted","#, "duplicate field `action`"),
            (r#""title": "Bug""#, r#""title": "\ud800""#, "the body cannot be read"),
        ] {
            let body = SEED.replace(from, to);
            assert_ne!(body, SEED);
            let error = decode("issue_comment", &body).unwrap_err();
            assert!(error.contains(said), "{error}");
        }
        for body in ["", "x", "null", "[]", "\"x\"", "\u{feff}{}"] {
            assert!(decode("issue_comment", body).is_err(), "{body:?}");
        }
    }

    #[test]
    fn known_events_that_start_nothing_are_told_from_unknown_ones() {
        assert_eq!(decode("ping", "{}"), Ok(InboundEvent::Ping));
        assert!(matches!(decode("star", r#"{"action":"created"}"#), Ok(InboundEvent::Other { .. })));
        assert!(matches!(decode("issue_comment", r#"{"action":"edited"}"#), Ok(InboundEvent::Other { .. })));
        assert_eq!(decode("", "{}"), Err("the header X-GitHub-Event is missing or malformed".into()));
        assert_eq!(decode("nonsense", "{}"), Err("\"nonsense\" is no event of github".into()));
    }

    #[test]
    fn assignments_labels_and_merges_are_read() {
        let issue = r#""issue":{"number":7,"title":"t","body":null},"repository":{"owner":{"login":"a"},"name":"b"},"sender":{"login":"c"}"#;
        let assigned = decode("issues", &format!(r#"{{"action":"assigned","assignee":{{"login":"bot"}},{issue}}}"#));
        assert!(matches!(assigned, Ok(InboundEvent::Assigned { assignee, .. }) if assignee == "bot"));
        let labeled = decode("issues", &format!(r#"{{"action":"labeled","label":{{"name":"patchwright"}},{issue}}}"#));
        assert!(matches!(labeled, Ok(InboundEvent::Labeled { label, .. }) if label == "patchwright"));
        assert!(decode("issues", &format!(r#"{{"action":"labeled",{issue}}}"#)).unwrap_err().contains("`label`"));
        let merged = r#"{"action":"closed","number":9,"pull_request":{"merged":true,"head":{"ref":"agent/fix-7"}},"repository":{"owner":{"login":"a"},"name":"b"}}"#;
        assert!(matches!(
            decode("pull_request", merged),
            Ok(InboundEvent::PullRequestClosed { merged: true, number: 9, .. })
        ));
    }
}
