//! The server: bind, serve, work, stop.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use actix_web::dev::ServerHandle;
use actix_web::{App as ActixApp, HttpServer, middleware};
use jiff::SignedDuration;
use patchwright_core::CancellationToken;
use patchwright_core::accounts::Accounts as _;
use tokio::task::JoinSet;

use crate::auth::oidc::Provider;
use crate::auth::secret;
use crate::auth::throttle::Throttle;
use crate::compose::{App, ComposeError, Overrides, compose, notifying_client};
use crate::config::{Config, ConfigError, is_loopback};
use crate::door::Door;
use crate::feed::Feed;
use crate::notify::{Mail, Notifier};
use crate::route::{Seen, State, register};
use crate::terminal::say;
use crate::worker::Workers;

/// The server cannot run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The settings do not go together.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A piece cannot be used.
    #[error(transparent)]
    Compose(#[from] ComposeError),
    /// The address is taken or not ours.
    #[error("{address} cannot be listened on: {source}; set BIND to a free address")]
    Bind {
        /// Which.
        address: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The database.
    #[error(transparent)]
    Store(#[from] patchwright_core::store::StoreError),
    /// The server broke down.
    #[error("the server broke down: {0}")]
    Crashed(#[from] std::io::Error),
}

/// How long a client may take to send its headers.
const HEADER_DEADLINE: Duration = Duration::from_secs(10);
/// How long an idle connection is kept.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// Threads that answer requests. Work is done elsewhere; two answer thousands of requests a second.
const HTTP_WORKERS: usize = 2;

/// A running server.
pub struct Server {
    address: SocketAddr,
    app: App,
    handle: ServerHandle,
    http: tokio::task::JoinHandle<std::io::Result<()>>,
    workers: Workers,
    upkeep: JoinSet<()>,
    stopping: CancellationToken,
    patience: Duration,
}

impl Server {
    /// Puts everything together, listens and begins to work.
    ///
    /// # Errors
    /// [`ServeError`], naming what stands in the way.
    pub async fn start(config: Config, overrides: Overrides) -> Result<Self, ServeError> {
        config.check_for_serving()?;
        if config.test_mode {
            tracing::warn!("TEST_MODE: unsigned deliveries are accepted");
        }
        let failed = |source| ServeError::Bind { address: config.bind.clone(), source };
        let listener = TcpListener::bind(&config.bind).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let app = compose(&config, overrides).await?;
        let public_url = config.public_url.clone().unwrap_or_else(|| format!("http://{address}"));
        let public_url = public_url.trim_end_matches('/').to_owned();
        let stopping = CancellationToken::new();
        let feed = Feed::new();
        let state = Arc::new(State {
            app: app.clone(),
            loopback: is_loopback(&config.bind),
            config: config.clone(),
            door: Door::new(config.door.max_in_flight, config.door.max_in_flight_bytes),
            feed: feed.clone(),
            oidc: config.oidc.clone().map(|oidc| {
                let back = format!("{public_url}/api/v1/auth/oidc/callback");
                Provider::new(oidc, app.http.clone(), back)
            }),
            throttle: Throttle::default(),
            seen: Seen::default(),
            setup: setup_token(&app).await?,
            has_people: AtomicBool::new(false),
            started: Instant::now(),
            stopping: stopping.clone(),
        });
        let http = HttpServer::new(move || {
            let state = Arc::clone(&state);
            ActixApp::new().wrap(middleware::NormalizePath::trim()).configure(move |services| register(services, state))
        })
        .workers(HTTP_WORKERS)
        .client_request_timeout(HEADER_DEADLINE)
        .keep_alive(KEEP_ALIVE)
        .shutdown_timeout(5)
        .disable_signals()
        .listen(listener)
        .map_err(failed)?
        .run();
        let handle = http.handle();
        let http = tokio::spawn(http);
        let workers = Workers::start(&app, &config, public_url, notifier(&app, &config)?);
        let mut upkeep = crate::upkeep::start(&app, &config, &stopping);
        let (watched, until) = (app.clone(), stopping.clone());
        upkeep.spawn(async move { feed.run(&watched.engine, &watched.store, &until).await });
        tracing::info!(%address, model = app.engine.has_model(), "patchwright listens");
        Ok(Self { address, app, handle, http, workers, upkeep, stopping, patience: config.shutdown_timeout })
    }

    /// Where it listens.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it is made of.
    pub const fn app(&self) -> &App {
        &self.app
    }

    /// Stops: takes no new requests, lets jobs finish for a while and hands back what is left.
    ///
    /// # Errors
    /// [`ServeError::Crashed`] when the server had broken down before.
    pub async fn stop(self) -> Result<(), ServeError> {
        self.stopping.cancel();
        tokio::join!(self.handle.stop(true), self.workers.stop(self.patience));
        self.upkeep.join_all().await;
        self.http.await.map_err(std::io::Error::other)??;
        tracing::info!("patchwright has stopped");
        Ok(())
    }
}

/// Who tells people. What people give as an address is not trusted as far as what the operator configured.
fn notifier(app: &App, config: &Config) -> Result<Notifier, ServeError> {
    let http = notifying_client(config, &app.redactor).map_err(ComposeError::from)?;
    let mail = config.smtp_url.as_ref().map(|url| Mail::new(url, &config.smtp_from)).transpose();
    let mail = mail.map_err(ConfigError::Conflict)?;
    let first_wait = SignedDuration::try_from(config.retry_wait).unwrap_or(SignedDuration::MAX);
    Ok(Notifier::new(app.vault.clone(), http, mail, app.clock.clone(), app.redactor.clone(), first_wait))
}

/// While nobody was added: a token for the first administrator, said where the server was started.
async fn setup_token(app: &App) -> Result<Option<String>, ServeError> {
    if !app.store.users().await?.is_empty() {
        return Ok(None);
    }
    let token = secret::fresh("pwi_");
    say(&format!(
        "Nobody may log in yet. Make the first administrator with `patchwright user add LOGIN`, or with this token, which \
         is good until then and is not shown again: {token}"
    ));
    Ok(Some(secret::hash(&token)))
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Server({})", self.address)
    }
}

/// Waits for SIGTERM or SIGINT. A second one leaves the process at once: everything that counts is on disk.
pub(crate) async fn wait_for_signal() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = term.recv() => tracing::info!("SIGTERM: stopping; a second one leaves at once"),
        _ = int.recv() => tracing::info!("SIGINT: stopping; a second one leaves at once"),
    }
    tokio::spawn(async move {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
        std::process::exit(130);
    });
    Ok(())
}
