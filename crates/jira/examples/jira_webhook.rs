//! Decodes a Jira comment and converts its wiki markup to Markdown: `cargo run -p patchwright-jira --example jira_webhook`.

#![expect(clippy::print_stdout, reason = "an example shows its result")]

use patchwright_core::Secret;
use patchwright_core::jira::{JiraDecoder as _, SiteEventKind};
use patchwright_core::webhook::SigningKeys;
use patchwright_jira::JiraWebhook;
use patchwright_jira::text::{from_markdown, from_wiki, to_adf, to_markdown, to_wiki};

const BODY: &str = r#"{
    "timestamp": 1763800000000, "webhookEvent": "comment_created",
    "issue": {"id": "10042", "key": "PROJ-12", "self": "https://acme.atlassian.net/rest/api/2/10042"},
    "comment": {
        "self": "https://acme.atlassian.net/rest/api/2/issue/10042/comment/1", "id": "1",
        "author": {"accountId": "5", "displayName": "Mia"},
        "body": "[~accountid:bot] please fix\r\n# run {{add(1, 2)}}\r\n# it is *-1*"
    }
}"#;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let keys = SigningKeys::new([&Secret::new("the site's secret")]);
    let headers = [("X-Hub-Signature", keys.sign(BODY.as_bytes()).ok_or("there is no key")?)];

    let webhook = JiraWebhook::new("patchwright");
    let site = webhook.site(BODY.as_bytes())?;
    keys.verify(&headers, webhook.signature_header(), BODY.as_bytes())?;
    let event = webhook.decode(&headers, BODY.as_bytes(), &site, Some("bot"))?.event?;
    println!("{} on {site}: {}", event.issue.key, event.event_type);
    if let SiteEventKind::Commented { body, .. } = event.kind {
        println!("{body}\n");
    }

    let wiki = "h2. Steps\n# open [the page|https://example.com]\n# click *Save*";
    println!("{}\n", to_markdown(&from_wiki(wiki), &|id, _| format!("@{id}")));
    let answer = from_markdown("**Fixed** in `calc.py`.");
    println!("{}\n{}", to_wiki(&answer), to_adf(&answer));
    Ok(())
}
