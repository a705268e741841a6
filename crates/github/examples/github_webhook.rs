//! Verifies and decodes a webhook delivery: `cargo run -p patchwright-github --example github_webhook [BODY_FILE]`.
//!
//! The file holds the body of an `issue_comment` event; without one a built-in body is used.

#![expect(clippy::print_stdout, reason = "an example shows its result")]

use patchwright_core::Secret;
use patchwright_core::webhook::{InboundEvent, SigningKeys, WebhookDecoder as _};
use patchwright_github::GithubWebhook;

const BODY: &str = r#"{
    "action": "created",
    "issue": {"number": 42, "title": "add() subtracts", "body": "`add(1, 2)` is -1."},
    "comment": {"id": 7, "body": "@patchwright fix", "user": {"login": "alice"}},
    "repository": {"owner": {"login": "acme"}, "name": "demo", "default_branch": "main"},
    "sender": {"login": "alice"}
}"#;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let body = match std::env::args().nth(1) {
        Some(path) => std::fs::read(path)?,
        None => BODY.as_bytes().to_vec(),
    };
    let keys = SigningKeys::new([&Secret::new("a webhook secret")]);
    let signature = keys.sign(&body).ok_or("there is no key")?;
    let headers = [("X-GitHub-Event", "issue_comment"), ("X-Hub-Signature-256", signature.as_str())];

    let webhook = GithubWebhook::new(keys, None);
    webhook.verify(&headers, &body)?;
    let delivery = webhook.decode(&headers, &body)?;
    println!("delivery {}", delivery.id);
    match delivery.event {
        InboundEvent::Commented { issue, comment } => {
            println!("{} commented on {} ({}):", comment.author.login, issue.source, issue.title);
            println!("{}", comment.body);
        }
        other => println!("{other:?}"),
    }
    Ok(())
}
