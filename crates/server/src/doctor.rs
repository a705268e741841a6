//! Checks of everything that this server needs, by requests to each component.

use std::time::Duration;

use async_trait::async_trait;
use patchwright_core::CancellationToken;
use patchwright_core::credentials::Credentials as _;
use patchwright_core::llm::{ChatRequest, Message};
use patchwright_core::sandbox::STRONG_ISOLATION;
use patchwright_core::store::Store as _;
use patchwright_domain::credential::Credential;
use patchwright_management::{Diagnostics, Finding, Platform, Severity, Subject};

use crate::compose::App;

/// The longest time of one check.
const CHECK_TIMEOUT: Duration = Duration::from_secs(60);
/// The longest response of the model to the test prompt, in tokens.
const TEST_TOKENS: u32 = 64;

/// The checks of one server.
pub(crate) struct Doctor {
    app: App,
}

fn ok(subject: Subject, detail: impl Into<String>) -> Finding {
    Finding { subject, severity: Severity::Ok, detail: detail.into(), remedy: String::new() }
}

fn finding(subject: Subject, severity: Severity, detail: impl Into<String>, remedy: impl Into<String>) -> Finding {
    Finding { subject, severity, detail: detail.into(), remedy: remedy.into() }
}

#[async_trait]
impl Diagnostics for Doctor {
    async fn check_all(&self) -> Vec<Finding> {
        let (database, model, platforms, nodes, credentials, sandbox) = tokio::join!(
            self.check_database(),
            self.check_model(),
            self.check_platforms(),
            self.check_nodes(),
            self.check_credentials(),
            self.check_sandbox(),
        );
        let mut findings = vec![database, model];
        findings.extend(platforms);
        findings.extend([self.check_webhook(), self.check_public_url(), sandbox, nodes]);
        findings.extend(credentials);
        findings
    }

    /// Sends the model one short prompt. It counts in no budget: it belongs to no repository.
    async fn check_model(&self) -> Finding {
        let subject = Subject::Model;
        let Some(llm) = self.app.engine.model() else {
            let remedy = "Set LLM_BASE_URL, LLM_MODEL and LLM_API_KEY. Without a model jobs end with an analysis.";
            return finding(subject, Severity::Warning, "no model is configured", remedy);
        };
        let messages = vec![Message::user("Answer with the one word: ready")];
        let prompt = ChatRequest { max_tokens: Some(TEST_TOKENS), ..ChatRequest::new("trial", messages) };
        let cancel = CancellationToken::new();
        let started = tokio::time::Instant::now();
        match tokio::time::timeout(CHECK_TIMEOUT, llm.chat(&prompt, &cancel)).await {
            Ok(Ok(answer)) => {
                ok(subject, format!("{} answered in {:.1} s", answer.model, started.elapsed().as_secs_f64()))
            }
            Ok(Err(error)) => {
                let detail = self.app.redactor.redact(&error.to_string());
                finding(subject, Severity::Error, detail, "Correct the problem that the message names.")
            }
            Err(_) => {
                let detail = format!("{} did not answer within {} s", llm.model(), CHECK_TIMEOUT.as_secs());
                finding(subject, Severity::Error, detail, "Check LLM_BASE_URL and the server behind it.")
            }
        }
    }

    async fn check_platforms(&self) -> Vec<Finding> {
        let mut findings = Vec::new();
        for platform in self.app.management.platforms().iter().filter(|platform| platform.credentials.is_some()) {
            findings.push(self.check_platform(platform).await);
        }
        findings
    }
}

impl Doctor {
    pub(crate) const fn new(app: App) -> Self {
        Self { app }
    }

    async fn check_database(&self) -> Finding {
        let (subject, store) = (Subject::Database, &self.app.store);
        match (store.ping().await, store.is_migrated().await) {
            (Ok(()), Ok(true)) => ok(subject, if store.is_postgres() { "PostgreSQL" } else { "SQLite" }),
            (Ok(()), Ok(false)) => {
                finding(subject, Severity::Error, "the schema is of another version", "Run `patchwright migrate`.")
            }
            (Err(error), _) | (_, Err(error)) => {
                let remedy = "Check DATABASE_URL and the database itself.";
                finding(subject, Severity::Error, error.to_string(), remedy)
            }
        }
    }

    /// Requests the account of the configured credential from a platform. Without a configured one, an added credential
    /// is enough.
    async fn check_platform(&self, platform: &Platform) -> Finding {
        let subject = Subject::Platform(platform.name);
        let remedy = format!("Set {}_TOKEN, or add a credential.", platform.id.as_str().to_uppercase());
        if !platform.is_configured() {
            let added = self.app.vault.credentials().await.unwrap_or_default();
            return match added.iter().find(|credential| credential.platform == platform.id) {
                Some(credential) => ok(subject, format!("{} ({})", credential.login, credential.scope)),
                None => finding(subject, Severity::Warning, "there is no credential for it", remedy),
            };
        }
        match tokio::time::timeout(CHECK_TIMEOUT, platform.forge.own_login()).await {
            Ok(Ok(login)) => ok(subject, login),
            Ok(Err(error)) => finding(subject, Severity::Error, self.app.redactor.redact(&error.to_string()), remedy),
            Err(_) => {
                let remedy = "Check the API address and the network.";
                finding(subject, Severity::Error, "it does not answer", remedy)
            }
        }
    }

    fn check_webhook(&self) -> Finding {
        let subject = Subject::Webhook;
        let config = self.app.config.config();
        if config.test_mode {
            let remedy = "Unset TEST_MODE wherever others can reach this server.";
            return finding(subject, Severity::Error, "unsigned deliveries are accepted", remedy);
        }
        if config.webhook_secrets.is_empty() {
            return finding(subject, Severity::Warning, "no delivery can be accepted", "Set WEBHOOK_SECRET.");
        }
        ok(subject, "the signatures of deliveries are verified")
    }

    fn check_public_url(&self) -> Finding {
        let subject = Subject::PublicUrl;
        match &self.app.config.config().public_url {
            None => {
                let remedy = "Set PUBLIC_URL, so that comments can link to this server.";
                finding(subject, Severity::Warning, "it is not set", remedy)
            }
            Some(url) if url.starts_with("https://") => ok(subject, url.as_str()),
            Some(url) => {
                let remedy = "Put a proxy with TLS in front of this server: over plain HTTP sessions can be read.";
                finding(subject, Severity::Warning, url.as_str(), remedy)
            }
        }
    }

    /// Tests the isolation, by a run that tries to break out.
    async fn check_sandbox(&self) -> Finding {
        let subject = Subject::Sandbox;
        match self.app.engine.probe_sandbox().await {
            Ok(STRONG_ISOLATION) => ok(subject, "a repository's code is isolated from this machine (strong)"),
            Ok(isolation) => {
                let remedy = "Install bubblewrap, and see docs/sandbox.md; then set SANDBOX=require.";
                finding(subject, Severity::Warning, format!("the isolation is {isolation}"), remedy)
            }
            Err(error) => {
                let remedy = "Install what is missing (docs/sandbox.md), or set SANDBOX=best-effort where this machine may run the \
                              repositories' own code.";
                finding(subject, Severity::Warning, error.to_string(), remedy)
            }
        }
    }

    async fn check_nodes(&self) -> Finding {
        let subject = Subject::Nodes;
        let now = self.app.engine.now();
        let nodes = match self.app.management.nodes().list().await {
            Ok(nodes) => nodes,
            Err(error) => return finding(subject, Severity::Error, error.to_string(), "Check the database."),
        };
        let ready = nodes.iter().filter(|found| found.node.is_ready(now)).count();
        let embedded = self.app.management.options().embedded_slots;
        if ready == 0 && embedded == 0 {
            let remedy = "Set EMBEDDED_NODE=true, or add a node and start it.";
            return finding(subject, Severity::Error, "nothing runs jobs", remedy);
        }
        let detail = format!("{ready} of {} nodes are ready, and {embedded} workers are in this process", nodes.len());
        if ready < nodes.len() {
            return finding(subject, Severity::Warning, detail, "See the board for the last heartbeat of each node.");
        }
        ok(subject, detail)
    }

    /// Returns one finding for each credential that expires soon.
    async fn check_credentials(&self) -> Vec<Finding> {
        let now = self.app.engine.now();
        let all = self.app.vault.credentials().await.unwrap_or_default();
        let expiring = all.into_iter().filter(|credential| credential.expires_soon(now));
        let warn = |credential: Credential| {
            let end = credential.expires_at.map(|end| end.to_string()).unwrap_or_default();
            let detail = format!("{} ({}) expires at {end}", credential.name, credential.scope);
            finding(Subject::Credentials, Severity::Warning, detail, "Replace its secret in time.")
        };
        expiring.map(warn).collect()
    }
}
