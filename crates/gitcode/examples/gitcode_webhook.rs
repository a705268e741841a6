//! Verifies and decodes a webhook delivery: `cargo run -p patchwright-gitcode --example gitcode_webhook [BODY_FILE]`.
//!
//! The file holds the body of a `Note Hook`; without one a built-in body is used.

#![expect(clippy::print_stdout, reason = "an example shows its result")]

use patchwright_core::Secret;
use patchwright_core::webhook::{InboundEvent, SigningKeys, WebhookDecoder as _};
use patchwright_gitcode::{GitcodeBot, GitcodeSecrets, GitcodeWebhook};

const BODY: &str = r#"{
    "user": {"id": 1710427, "username": "alice"},
    "project": {"path_with_namespace": "acme/demo", "default_branch": "main"},
    "object_attributes": {"id": 1530793, "note": "@patchwright fix", "noteable_type": "Issue"},
    "issue": {"iid": 4, "title": "add() subtracts", "description": null}
}"#;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let body = match std::env::args().nth(1) {
        Some(path) => std::fs::read(path)?,
        None => BODY.as_bytes().to_vec(),
    };
    let secrets = [Secret::new("a webhook secret")];
    let signature = SigningKeys::new(&secrets).sign(&body).ok_or("there is no key")?;
    let headers = [("X-GitCode-Event", "Note Hook"), ("X-GitCode-Signature-256", signature.as_str())];

    let webhook = GitcodeWebhook::new(GitcodeSecrets::new(&secrets, false), GitcodeBot::new("patchwright", None));
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
