//! Whether everything that this server needs is there and lets us in: asked, not assumed.

use std::time::Duration;

use patchwright_core::CancellationToken;
use patchwright_core::credentials::Credentials as _;
use patchwright_core::forge::Forge as _;
use patchwright_core::llm::{ChatRequest, Message};
use patchwright_core::nodes::Nodes as _;
use patchwright_core::store::Store as _;
use patchwright_dashboard::page::{Finding, Subject, Verdict};
use patchwright_gitcode::GITCODE;
use patchwright_github::GITHUB;

use crate::compose::App;
use crate::config::Config;

/// The longest that one look takes.
const PATIENCE: Duration = Duration::from_secs(60);
/// The longest answer of the model to the trial question, in tokens.
const TRIAL_TOKENS: u32 = 64;

fn good(subject: Subject, said: impl Into<String>) -> Finding {
    Finding { subject, verdict: Verdict::Good, said: said.into(), remedy: String::new() }
}

fn poor(subject: Subject, verdict: Verdict, said: impl Into<String>, remedy: &str) -> Finding {
    Finding { subject, verdict, said: said.into(), remedy: remedy.to_owned() }
}

/// Looks at everything, all at the same time.
pub(crate) async fn examine(app: &App, config: &Config) -> Vec<Finding> {
    let (database, model, github, gitcode, nodes, credentials) = tokio::join!(
        database(app),
        model(app),
        forge(app, config, Subject::GitHub),
        forge(app, config, Subject::GitCode),
        nodes(app, config),
        credentials(app),
    );
    let first = [database, model].into_iter().chain(github).chain(gitcode);
    first.chain([webhook(config), public_url(config), sandbox(app), nodes]).chain(credentials).collect()
}

async fn database(app: &App) -> Finding {
    let subject = Subject::Database;
    match (app.store.ping().await, app.store.is_migrated().await) {
        (Ok(()), Ok(true)) => good(subject, if app.store.is_postgres() { "PostgreSQL" } else { "SQLite" }),
        (Ok(()), Ok(false)) => {
            poor(subject, Verdict::Bad, "its schema is of another version", "Run `patchwright migrate`.")
        }
        (Err(error), _) | (_, Err(error)) => {
            poor(subject, Verdict::Bad, error.to_string(), "Check DATABASE_URL and the database itself.")
        }
    }
}

/// Asks the model one short question. It is not booked in any budget: it belongs to no repository.
pub(crate) async fn model(app: &App) -> Finding {
    let subject = Subject::Model;
    let Some(llm) = app.engine.model() else {
        let remedy = "Set LLM_BASE_URL, LLM_MODEL and LLM_API_KEY. Without a model jobs end with an analysis.";
        return poor(subject, Verdict::Warning, "no model is configured", remedy);
    };
    let question = ChatRequest {
        purpose: "trial",
        messages: vec![Message::user("Answer with the one word: ready")],
        max_tokens: Some(TRIAL_TOKENS),
    };
    let cancel = CancellationToken::new();
    let began = tokio::time::Instant::now();
    match tokio::time::timeout(PATIENCE, llm.chat(&question, &cancel)).await {
        Ok(Ok(answer)) => good(subject, format!("{} answered in {:.1} s", answer.model, began.elapsed().as_secs_f64())),
        Ok(Err(error)) => {
            poor(subject, Verdict::Bad, app.redactor.redact(&error.to_string()), "Put right what the message names.")
        }
        Err(_) => {
            let said = format!("{} did not answer within {} s", llm.model(), PATIENCE.as_secs());
            poor(subject, Verdict::Bad, said, "Check LLM_BASE_URL and the server behind it.")
        }
    }
}

/// Asks a forge whose the configured token is; nothing where none is configured and credentials were added.
pub(crate) async fn forge(app: &App, config: &Config, subject: Subject) -> Option<Finding> {
    let (platform, configured, remedy) = match subject {
        Subject::GitHub => {
            let configured = config.github.token.is_some() || config.github.app_id.is_some();
            (GITHUB, configured, "Set GITHUB_TOKEN or a GitHub App, or add a credential.")
        }
        _ => (GITCODE, config.gitcode.token.is_some(), "Set GITCODE_TOKEN, or add a credential."),
    };
    let keyed = app.keyed(&platform)?;
    if !configured {
        let added = app.vault.credentials().await.unwrap_or_default();
        let fitting = added.iter().find(|credential| credential.platform == platform);
        return Some(match fitting {
            Some(credential) => good(subject, format!("{} ({})", credential.login, credential.scope)),
            None => poor(subject, Verdict::Warning, "nothing lets us in there", remedy),
        });
    }
    Some(match tokio::time::timeout(PATIENCE, keyed.own_login()).await {
        Ok(Ok(login)) => good(subject, login),
        Ok(Err(error)) => poor(subject, Verdict::Bad, app.redactor.redact(&error.to_string()), remedy),
        Err(_) => poor(subject, Verdict::Bad, "it does not answer", "Check the API address and the network."),
    })
}

fn webhook(config: &Config) -> Finding {
    let subject = Subject::Webhook;
    if config.test_mode {
        let remedy = "Unset TEST_MODE wherever others can reach this server.";
        return poor(subject, Verdict::Bad, "unsigned deliveries are taken", remedy);
    }
    if config.webhook_secrets.is_empty() {
        return poor(subject, Verdict::Warning, "no delivery can be taken", "Set WEBHOOK_SECRET.");
    }
    good(subject, "deliveries are checked by their signatures")
}

fn public_url(config: &Config) -> Finding {
    let subject = Subject::PublicUrl;
    match &config.public_url {
        None => {
            let remedy = "Set PUBLIC_URL, so that comments can lead people here.";
            poor(subject, Verdict::Warning, "it is not set", remedy)
        }
        Some(url) if url.starts_with("https://") => good(subject, url.as_str()),
        Some(url) => {
            let remedy = "Put a proxy with TLS before this server: over clear HTTP sessions can be read on the way.";
            poor(subject, Verdict::Warning, url.as_str(), remedy)
        }
    }
}

fn sandbox(app: &App) -> Finding {
    let (subject, isolation) = (Subject::Sandbox, app.engine.isolation());
    match isolation {
        "none" => {
            let remedy = "Set SANDBOX=best-effort where this machine may run the repositories' own code.";
            poor(subject, Verdict::Warning, "builds and tests are refused: no strong sandbox is there", remedy)
        }
        other => good(subject, other),
    }
}

async fn nodes(app: &App, config: &Config) -> Finding {
    let subject = Subject::Nodes;
    let now = app.engine.now();
    let nodes = match app.store.nodes().await {
        Ok(nodes) => nodes,
        Err(error) => return poor(subject, Verdict::Bad, error.to_string(), "Check the database."),
    };
    let ready = nodes.iter().filter(|found| found.node.is_ready(now)).count();
    let here = if config.embedded_node { config.workers } else { 0 };
    if ready == 0 && here == 0 {
        let remedy = "Set EMBEDDED_NODE=true, or add a node and start it.";
        return poor(subject, Verdict::Bad, "nobody works on jobs", remedy);
    }
    let said = format!("{ready} of {} nodes are ready, and {here} workers are in this process", nodes.len());
    if ready < nodes.len() {
        return poor(subject, Verdict::Warning, said, "Look at the board: which node was last heard of when?");
    }
    good(subject, said)
}

/// One finding for each credential that ends soon.
async fn credentials(app: &App) -> Vec<Finding> {
    let now = app.engine.now();
    let all = app.vault.credentials().await.unwrap_or_default();
    let ending = all.into_iter().filter(|credential| credential.expires_soon(now));
    let finding = |credential: patchwright_domain::credential::Credential| {
        let ends = credential.expires_at.map(|end| end.to_string()).unwrap_or_default();
        let said = format!("{} ({}) ends at {ends}", credential.name, credential.scope);
        poor(Subject::Credentials, Verdict::Warning, said, "Replace its secret in time.")
    };
    ending.map(finding).collect()
}
