//! GitHub's examples of deliveries (npm `@octokit/webhooks-examples`, MIT): all are decoded, none is refused.

use std::collections::BTreeMap;

use patchwright_core::webhook::{InboundEvent, SigningKeys, WebhookDecoder as _};
use patchwright_github::GithubWebhook;
use patchwright_testkit::fetched;
use serde_json::Value;

const fn kind(event: &InboundEvent) -> &'static str {
    match event {
        InboundEvent::Ping => "ping",
        InboundEvent::Commented { .. } => "commented",
        InboundEvent::Assigned { .. } => "assigned",
        InboundEvent::Labeled { .. } => "labeled",
        InboundEvent::Opened { .. } => "opened",
        InboundEvent::PullRequestClosed { .. } => "closed",
        InboundEvent::PullRequestCommented { .. } => "pull request commented",
        InboundEvent::Reopened { .. } => "reopened",
        InboundEvent::ChecksCompleted { .. } => "checks completed",
        InboundEvent::InstallationChanged { .. } => "installation changed",
        _ => "other",
    }
}

#[test]
fn every_example_of_github_is_decoded() {
    let Some(folder) = fetched("WEBHOOK_EXAMPLES") else { return };
    let webhook = GithubWebhook::new(SigningKeys::new([]), None);
    let mut found: BTreeMap<(&str, String), usize> = BTreeMap::new();
    let mut examples = 0;
    // github.com, and the oldest and the newest Enterprise Server that the package describes.
    for edition in ["api.github.com", "ghes-31", "ghes-35"] {
        let text = std::fs::read_to_string(folder.join(edition).join("index.json")).unwrap();
        let events: Vec<Value> = serde_json::from_str(&text).unwrap();
        for event in &events {
            let name = event["name"].as_str().unwrap();
            for example in event["examples"].as_array().unwrap() {
                let headers = [("X-GitHub-Event", name), ("X-GitHub-Delivery", "72d3162e-cc78-11e3-81ab-4c9367dc0958")];
                let delivery = webhook
                    .decode(&headers, example.to_string().as_bytes())
                    .unwrap_or_else(|error| panic!("{name} {}: {error}", example["action"]));
                examples += 1;
                let action = example["action"].as_str().unwrap_or_default();
                *found.entry((kind(&delivery.event), format!("{name} {action}"))).or_default() += 1;
            }
        }
    }
    assert!(examples > 300, "only {examples} examples");
    // The events that each kind was decoded from: no other event becomes a trigger, and none is missing.
    let made_of = |kind: &str| {
        let names = found.keys().filter(|(found, _)| *found == kind).map(|(_, name)| name.as_str());
        names.collect::<Vec<_>>()
    };
    assert_eq!(made_of("commented"), ["issue_comment created"]);
    assert_eq!(made_of("assigned"), ["issues assigned"]);
    assert_eq!(made_of("labeled"), ["issues labeled"]);
    assert_eq!(made_of("opened"), ["issues opened"]);
    assert_eq!(made_of("closed"), ["pull_request closed"]);
    assert_eq!(
        made_of("pull request commented"),
        ["pull_request_review submitted", "pull_request_review_comment created"]
    );
    assert_eq!(made_of("reopened"), ["issues reopened"]);
    assert_eq!(made_of("checks completed"), ["check_run completed", "check_suite completed"]);
    assert_eq!(made_of("ping"), ["ping "]);
    assert!(made_of("installation changed").iter().all(|name| name.starts_with("installation ")));
}
