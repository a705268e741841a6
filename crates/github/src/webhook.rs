//! Verification and decoding of GitHub's deliveries.

use patchwright_core::webhook::{
    Actor, DecodeError, Delivery, Headers, InboundEvent, SignatureError, SigningKeys, Text, WebhookDecoder,
    resolve_delivery_id, shorten_name,
};
use patchwright_domain::PlatformId;
use serde::Deserialize;

use crate::inbound::{inbound_comment, inbound_issue};
use crate::{GITHUB, event};

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
    own_app: Option<u64>,
}

impl GithubWebhook {
    /// Creates a decoder with these secrets. Comments by the GitHub App with the id `own_app` are ignored.
    pub const fn new(keys: SigningKeys, own_app: Option<u64>) -> Self {
        Self { keys, own_app }
    }

    fn event(&self, event_type: &str, body: &[u8]) -> Result<InboundEvent, DecodeError> {
        if event_type == "issue_comment" {
            return self.issue_comment(body);
        }
        let action = parse::<event::Action<'_>>(body)?.action;
        let action = action.as_ref().map_or("", Text::as_str);
        match (event_type, action) {
            ("ping", _) => Ok(InboundEvent::Ping),
            ("issues", "assigned" | "labeled" | "opened") => issue_changed(action, parse(body)?),
            ("pull_request", "closed") => {
                let event: event::PullRequestClosed<'_> = parse(body)?;
                Ok(InboundEvent::PullRequestClosed {
                    repo: event.repository.name()?,
                    number: event.number,
                    head: event.pull_request.head.name.into_string(),
                    merged: event.pull_request.merged.unwrap_or(false),
                })
            }
            ("pull_request_review_comment", "created") => self.review_comment(parse(body)?),
            ("check_suite" | "check_run", "completed") => checks_completed(parse(body)?),
            ("installation", _) => {
                let event: event::InstallationEvent<'_> = parse(body)?;
                let account = event.installation.account.login.into_string();
                Ok(InboundEvent::InstallationChanged { account, action: shorten_name(action) })
            }
            (event, action) => Ok(ignored(event, action)),
        }
    }

    /// Decodes the event that starts nearly all jobs in one pass. Only if that fails, the action is decoded by itself to
    /// see whether it matters.
    fn issue_comment(&self, body: &[u8]) -> Result<InboundEvent, DecodeError> {
        let event = match parse::<event::IssueComment<'_>>(body) {
            Ok(event) => event,
            Err(error) => {
                let action = parse::<event::Action<'_>>(body)?.action;
                return match action.as_ref().map_or("", Text::as_str) {
                    "created" => Err(error),
                    action => Ok(ignored("issue_comment", action)),
                };
            }
        };
        let action = event.action.as_ref().map_or("", Text::as_str);
        if action != "created" {
            return Ok(ignored("issue_comment", action));
        }
        if self.is_own(&event.comment) {
            return Ok(InboundEvent::Other { reason: OWN_COMMENT.to_owned() });
        }
        let issue = inbound_issue(event.issue, &event.repository)?;
        Ok(InboundEvent::Commented { issue, comment: inbound_comment(event.comment, event.sender) })
    }

    fn review_comment(&self, event: event::ReviewComment<'_>) -> Result<InboundEvent, DecodeError> {
        if self.is_own(&event.comment) {
            return Ok(InboundEvent::Other { reason: OWN_COMMENT.to_owned() });
        }
        Ok(InboundEvent::ReviewCommented {
            repo: event.repository.name()?,
            number: event.pull_request.number.ok_or_else(|| DecodeError::missing("pull_request.number"))?,
            head: event.pull_request.head.name.into_string(),
            comment: inbound_comment(event.comment, event.sender),
        })
    }

    /// A comment of the App carries the App's id, whatever the App is called.
    fn is_own(&self, comment: &event::Comment<'_>) -> bool {
        let id = comment.performed_via_github_app.as_ref().and_then(|app| app.id);
        id.is_some() && id == self.own_app
    }
}

const OWN_COMMENT: &str = "the comment is by this application";

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

fn ignored(event: &str, action: &str) -> InboundEvent {
    let reason = if action.is_empty() {
        format!("the event {event} starts no job")
    } else {
        format!("the event {event} with action {} starts no job", shorten_name(action))
    };
    InboundEvent::Other { reason }
}

fn parse<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, DecodeError> {
    serde_json::from_slice(body).map_err(|error| DecodeError::Body { detail: error.to_string() })
}

fn issue_changed(action: &str, event: event::Issues<'_>) -> Result<InboundEvent, DecodeError> {
    let mut issue = event.issue;
    let at = issue.updated_at.take().map(Text::into_string);
    let issue = inbound_issue(issue, &event.repository)?;
    let actor = Actor::from(event.sender);
    Ok(match action {
        "assigned" => {
            let assignee = event.assignee.ok_or_else(|| DecodeError::missing("assignee"))?;
            InboundEvent::Assigned { issue, assignees: vec![assignee.login.into_string()], actor, at }
        }
        "labeled" => {
            let label = event.label.ok_or_else(|| DecodeError::missing("label"))?;
            InboundEvent::Labeled { issue, labels: vec![label.name.into_string()], actor, at }
        }
        _ => InboundEvent::Opened { issue, actor },
    })
}

fn checks_completed(event: event::Checks<'_>) -> Result<InboundEvent, DecodeError> {
    let repo = event.repository.name()?;
    let check = event.check_suite.or(event.check_run).ok_or_else(|| DecodeError::missing("check_suite"))?;
    let text = |text: Option<Text<'_>>| text.map(Text::into_string);
    Ok(InboundEvent::ChecksCompleted {
        repo,
        commit: check.head_sha.into_string(),
        name: text(check.name).or_else(|| text(check.app?.slug)).unwrap_or_else(|| "a check".to_owned()),
        conclusion: text(check.conclusion).unwrap_or_else(|| "no conclusion".to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
            Ok(InboundEvent::ReviewCommented { number: 9, comment, .. }) if comment.id == "5"
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
