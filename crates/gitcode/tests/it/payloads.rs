//! Deliveries as recorded from the platform (names masked).

use patchwright_core::Secret;
use patchwright_core::webhook::{InboundEvent, WebhookDecoder as _};
use patchwright_gitcode::{GitcodeBot, GitcodeSecrets, GitcodeWebhook};
use patchwright_testkit::fetched;

#[test]
fn recorded_deliveries_are_decoded() {
    let Some(folder) = fetched("GITCODE_WEBHOOKS") else { return };
    let webhook = GitcodeWebhook::new(GitcodeSecrets::new(&[Secret::new("s")], false), GitcodeBot::new("bot", None));
    let read = |event: &str, file: &str| {
        let body = std::fs::read(folder.join(file)).unwrap();
        webhook.decode(&[("X-GitCode-Event", event)], &body).unwrap_or_else(|error| panic!("{file}: {error}")).event
    };
    let InboundEvent::Opened { issue, .. } = read("Issue Hook", "issues_create.json") else { panic!() };
    assert_eq!((issue.source.to_string().as_str(), issue.title.as_str()), ("ibforuorg/test1#4", "141fsdfs"));
    let InboundEvent::Commented { issue, comment } = read("Note Hook", "issues_note.json") else { panic!() };
    assert_eq!((issue.source.number.api, comment.id.as_str()), (4, "1530793"));
    let noted = read("Note Hook", "pr_note.json");
    let InboundEvent::PullRequestCommented { repo, number, comment, place, .. } = noted else { panic!() };
    assert_eq!((repo.to_string().as_str(), number, comment.id.as_str()), ("ibforuorg/test1", 4, "1530794"));
    assert_eq!(place, None, "its position is empty");
    for (event, file) in [("Merge Request Hook", "pr_create.json"), ("Push Hook", "push_code.json")] {
        assert!(matches!(read(event, file), InboundEvent::Other { .. }), "{file}");
    }
}
