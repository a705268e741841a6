//! A service that mounts Patchwright's API with SQLite and GitHub. `-- --check` requests its health and stops.

use actix_web::{App, HttpServer, web};
use patchwright_api::{Api, ApiOptions, routes, webhooks};
use patchwright_code_index::Locator;
use patchwright_core::query::Queries;
use patchwright_core::webhook::SigningKeys;
use patchwright_core::{Clock, IdSource, Redactor, Secret};
use patchwright_engine::clock::{SteadyClock, SystemClock, UuidSource};
use patchwright_engine::{Engine, MarkerKey, Settings, runtime};
use patchwright_github::{GITHUB, GithubForge, GithubOptions, GithubWebhook};
use patchwright_gitops_gix::{GitOptions, GixGit};
use patchwright_http::{HttpClient, HttpOptions, Request, Retry};
use patchwright_management::{Management, ManagementOptions, ManagementPorts, Platform};
use patchwright_sandbox::{LocalSandbox, SandboxOptions};
use patchwright_store_diesel::{DieselStore, Sealer, Vault};
use patchwright_worker::Tools;
use std::sync::Arc;

#[actix_web::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    patchwright_http::install_tls();
    let (folder, key) = (tempfile::tempdir()?, Secret::new("a master key of your own: keep it"));
    let store = DieselStore::open(&format!("sqlite://{}/embed.db", folder.path().display())).await?;
    store.migrate().await?;
    let http = HttpClient::new(&HttpOptions::default())?;
    let (system, steady) = (Arc::new(SystemClock), Arc::new(SteadyClock::new(store.now().await?)));
    let ids: Arc<dyn IdSource> = Arc::new(UuidSource::new(Arc::clone(&steady)));
    let (shared, vault) = (Arc::new(store.clone()), Arc::new(Vault::new(store.clone(), Sealer::new(&key, &[]))));
    let github = Platform::new(
        (GITHUB, "GitHub"),
        Arc::new(GithubForge::new(http.clone(), system.clone(), GithubOptions::default())),
        Arc::new(GithubWebhook::new(SigningKeys::new([&Secret::new("the webhook's secret")]), None)),
    );
    let sandbox = Arc::new(LocalSandbox::new(SandboxOptions::default()));
    let tools = Tools::new(Arc::new(GixGit::new(GitOptions::default())), Arc::new(Locator::new(None)), sandbox);
    let engine =
        Engine::builder(shared.clone(), tools, Settings::new(folder.path().join("work")), MarkerKey::new(&key))
            .forge(Arc::clone(&github.forge))
            .webhook(Arc::clone(&github.decoder))
            .clock(steady as Arc<dyn Clock>, Arc::clone(&ids));
    let engine = Arc::new(engine.build());
    let ports = ManagementPorts::new(shared.clone(), vault, system, ids, Redactor::default());
    let management = Management::new(Arc::clone(&engine), ports, vec![github], ManagementOptions::default(), &http);
    let queries: Arc<dyn Queries> = shared;
    let runtime = runtime::Runtime::start(&engine, &queries, runtime::RuntimeOptions::default());
    let api = Api::new(management, &runtime, ApiOptions::default());
    let page = || web::get().to(|| async { "a page of this service" });
    let app = move || App::new().route("/", page()).configure(webhooks(&api)).configure(routes(&api));
    let server = HttpServer::new(app).workers(1).bind(("127.0.0.1", 0))?;
    let health = format!("http://{}/health", server.addrs()[0]);
    let running = actix_web::rt::spawn(server.run());
    if std::env::args().any(|argument| argument == "--check") {
        let response = http.send(Request::get(health), Retry::Never).await?;
        assert!(response.is_success(), "the mounted API answers {}", response.status);
        runtime.stop(std::time::Duration::from_secs(1)).await;
        return Ok(());
    }
    Ok(running.await??)
}
