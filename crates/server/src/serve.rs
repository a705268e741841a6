//! The server: bind, serve, run jobs, stop.

use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::ServerHandle;
use actix_web::middleware::{self, DefaultHeaders, from_fn};
use actix_web::{App as ActixApp, HttpRequest, HttpResponse, HttpServer, web};
use async_trait::async_trait;
use jiff::SignedDuration;
use patchwright_api::{Api, ApiOptions};
use patchwright_core::CancellationToken;
use patchwright_core::clock::Clock as _;
use patchwright_core::query::Queries;
use patchwright_core::store::StoreError;
use patchwright_dashboard::web::{Dashboard, DashboardOptions, SetupObservations};
use patchwright_domain::PlatformId;
use patchwright_engine::clock::SystemClock;
use patchwright_engine::runtime::{RunningRuntime, Runtime, RuntimeOptions, WorkSource};
use patchwright_management::LiveConfiguration as _;
use patchwright_notify::{Mail, MailError, Notifier};

use crate::compose::{App, ComposeError, Overrides, compose, notifying_client, public_url};
use crate::config::{Config, ConfigError};
use crate::doctor::Doctor;
use crate::metrics_endpoint;
use crate::terminal::say;

/// The server cannot run.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The settings do not go together.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A component cannot be used.
    #[error(transparent)]
    Compose(#[from] ComposeError),
    /// The address is in use, or belongs to another machine.
    #[error("{address} cannot be listened on: {source}; set BIND to a free address")]
    Bind {
        /// The address.
        address: String,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The address of `/metrics` is in use, or belongs to another machine.
    #[error("{address} cannot be listened on: {source}; set METRICS_BIND to a free address")]
    Metrics {
        /// The address.
        address: String,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// The users cannot be read.
    #[error(transparent)]
    Management(#[from] patchwright_management::ManagementError),
    /// The mail server's address.
    #[error("SMTP_URL: {0}")]
    Mail(#[from] MailError),
    /// The HTTP server failed.
    #[error("the HTTP server failed: {0}")]
    Crashed(#[from] std::io::Error),
}

/// How long a client may take to send its headers.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long an idle connection is kept.
const KEEP_ALIVE: Duration = Duration::from_secs(30);
/// Threads that answer requests. Jobs run elsewhere; two answer thousands of requests a second.
const HTTP_WORKERS: usize = 2;

/// How often stored settings are read.
const SETTINGS_INTERVAL: Duration = Duration::from_secs(5);

/// A running server.
pub struct Server {
    address: SocketAddr,
    app: App,
    handle: ServerHandle,
    http: tokio::task::JoinHandle<std::io::Result<()>>,
    runtime: RunningRuntime,
    settings: tokio::task::JoinHandle<()>,
    /// The address of `/metrics`, and its server.
    metrics: Option<(SocketAddr, ServerHandle)>,
    shutdown_timeout: Duration,
    /// Keeps the folder of jobs from the next server's cleaning.
    _work: Option<std::fs::File>,
}

/// Deletes what jobs of a killed server left in their folder, unless another server works in it. Returns the lock that tells so.
async fn clean_work_folder(folder: &Path) -> Option<std::fs::File> {
    std::fs::create_dir_all(folder).ok()?;
    let lock = std::fs::File::create(folder.with_extension("lock")).ok()?;
    if lock.try_lock().is_ok() {
        patchwright_worker::discard_leftovers(folder, |_| true).await;
    }
    // Servers on one folder share it.
    lock.try_lock_shared().ok().map(|()| lock)
}

impl Server {
    /// Composes the application, listens and starts to run jobs. What an administrator stores replaces values of `config`, except
    /// those that the environment or [`Config::with_flags`] sets.
    ///
    /// # Errors
    /// [`ServeError`], naming the component that cannot be used.
    pub async fn start(config: Config, overrides: Overrides) -> Result<Self, ServeError> {
        if config.test_mode {
            tracing::warn!("TEST_MODE: unsigned deliveries are accepted");
        }
        let failed = |source| ServeError::Bind { address: config.bind.clone(), source };
        let listener = TcpListener::bind(&config.bind).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let manual = overrides.manual;
        let app = compose(&config, Overrides { address: Some(address.to_string()), ..overrides }).await?;
        let config = Config::clone(&app.config.config());
        config.check_for_serving()?;
        print_setup_token(&app, &public_url(&config, Some(&address.to_string()))).await?;
        let work = clean_work_folder(&app.engine.settings().work_dir).await;
        let queries: Arc<dyn Queries> = Arc::new(app.store.clone());
        let options = runtime_options(&app, &config, address, manual)?;
        let runtime = Runtime::start(&app.engine, &queries, options);
        let observations = Arc::new(SetupObservations::default());
        let api = Api::new(app.management.clone(), &runtime, api_options(&app, &config, &observations));
        let dashboard = Dashboard::new(app.management.clone(), dashboard_options(&app, &config, observations));
        let metrics = config.metrics_bind.as_deref().map(|bind| serve_metrics(&app, bind)).transpose()?;
        let (measured, metrics_token) = (web::Data::new(app.clone()), config.metrics_token.clone());
        let http = HttpServer::new(move || {
            ActixApp::new()
                .wrap(middleware::NormalizePath::trim())
                .wrap(from_fn(patchwright_api::answer_head))
                .wrap(from_fn(patchwright_api::limit_body_time))
                .wrap(security_headers())
                .wrap(from_fn(metrics_endpoint::measure))
                .app_data(measured.clone())
                .configure(patchwright_dashboard::web::routes(&dashboard))
                .configure(patchwright_api::webhooks(&api))
                .configure(patchwright_api::node_protocol(&api))
                .configure(patchwright_api::routes(&api))
                .configure(|services| metrics_endpoint::behind_token(&measured, metrics_token.as_ref(), services))
                // After the API, whose answer to an unknown address is for programs.
                .default_service(web::to(unknown_address))
        })
        .workers(HTTP_WORKERS)
        .client_request_timeout(HEADER_TIMEOUT)
        .keep_alive(KEEP_ALIVE)
        .shutdown_timeout(5)
        .disable_signals()
        .listen(listener)
        .map_err(failed)?
        .run();
        let handle = http.handle();
        let http = tokio::spawn(http);
        let settings = tokio::spawn(follow_settings(app.clone()));
        tracing::info!(%address, model = app.engine.has_model(), "patchwright is listening");
        Ok(Self {
            address,
            app,
            handle,
            http,
            runtime,
            settings,
            metrics,
            shutdown_timeout: config.shutdown_timeout,
            _work: work,
        })
    }

    /// Returns the address that it listens on.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the address of `/metrics`, if it has one of its own.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics.as_ref().map(|(address, _)| *address)
    }

    /// Returns the composed application.
    pub const fn app(&self) -> &App {
        &self.app
    }

    /// Runs the due units of work until none is due; returns their number. Without [`Overrides::manual`] this does
    /// nothing. The future does not borrow the server.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn run_until_idle(&self) -> impl Future<Output = Result<usize, StoreError>> + Send + 'static {
        self.runtime.run_until_idle()
    }

    /// Stops: accepts no new requests, lets jobs finish for a while and releases the rest to the queue.
    ///
    /// # Errors
    /// [`ServeError::Crashed`] when the HTTP server had failed before.
    pub async fn stop(self) -> Result<(), ServeError> {
        self.settings.abort();
        if let Some((_, metrics)) = &self.metrics {
            metrics.stop(false).await;
        }
        // Streams end as soon as the runtime stops, and the HTTP server waits for them.
        tokio::join!(self.handle.stop(true), self.runtime.stop(self.shutdown_timeout));
        self.http.await.map_err(std::io::Error::other)??;
        tracing::info!("patchwright has stopped");
        Ok(())
    }
}

/// Serves `/metrics` on an address of its own.
fn serve_metrics(app: &App, bind: &str) -> Result<(SocketAddr, ServerHandle), ServeError> {
    let failed = |source| ServeError::Metrics { address: bind.to_owned(), source };
    let (address, handle) = metrics_endpoint::serve(app, bind).map_err(failed)?;
    tracing::info!(%address, "metrics are served");
    Ok((address, handle))
}

/// Puts into effect what administrators change on other servers of the same database, or on the command line.
async fn follow_settings(app: App) {
    let mut former = String::new();
    loop {
        tokio::time::sleep(SETTINGS_INTERVAL).await;
        match app.config.reload().await {
            Ok(_) => former.clear(),
            // Said once: it stays until somebody changes it.
            Err(error) if error != former => {
                tracing::error!(%error, "the stored settings cannot be used; the former ones stay in effect");
                former = error;
            }
            Err(_) => {}
        }
    }
}

/// The response to an unknown address: a page for browsers, an error for programs.
async fn unknown_address(request: HttpRequest) -> HttpResponse {
    match patchwright_dashboard::web::unknown_address(&request) {
        Some(page) => page,
        None => patchwright_api::not_found().await,
    }
}

/// Headers of every response that does not set them itself.
fn security_headers() -> DefaultHeaders {
    DefaultHeaders::new().add(("x-content-type-options", "nosniff")).add(("referrer-policy", "same-origin"))
}

/// The notifier as a source of work.
struct Notifications(Notifier);

#[async_trait]
impl WorkSource for Notifications {
    async fn run_next(&self) -> Result<bool, StoreError> {
        self.0.send_next().await
    }
}

/// Targets come from users, so that the notifier's client is limited to public addresses.
fn notifier(app: &App, config: &Config) -> Result<Notifier, ServeError> {
    let http = notifying_client(config, &app.redactor).map_err(ComposeError::from)?;
    let mail = config.smtp_url.as_ref().map(|url| Mail::new(url, &config.smtp_from)).transpose()?;
    let first_backoff = SignedDuration::try_from(config.jobs.retry_wait).unwrap_or(SignedDuration::MAX);
    let (channels, clock) = (Arc::new(app.vault.clone()), app.clock.clone());
    Ok(Notifier::new(channels, http, mail, clock, app.redactor.clone(), first_backoff))
}

fn runtime_options(
    app: &App,
    config: &Config,
    address: SocketAddr,
    manual: bool,
) -> Result<RuntimeOptions, ServeError> {
    let platforms = app.management.platforms().iter();
    let redelivery = platforms.filter_map(|platform| Some((platform.id.clone(), platform.redelivery.clone()?)));
    Ok(RuntimeOptions {
        workers: config.workers,
        embedded: config.embedded_node,
        manual,
        public_url: public_url(config, Some(&address.to_string())),
        node_client: Some(Arc::clone(&app.node_client)),
        sources: vec![Arc::new(Notifications(notifier(app, config)?))],
        database: Some((Arc::new(app.store.clone()), Arc::clone(&app.clock))),
        redelivery: redelivery.collect(),
        retention: config.retention,
        channels: Some(Arc::new(app.vault.clone())),
        idempotency: Some(Arc::new(app.store.clone())),
        credentials: Some(Arc::new(app.vault.clone())),
    })
}

fn api_options(app: &App, config: &Config, observations: &Arc<SetupObservations>) -> ApiOptions {
    let (observations, refusals) = (Arc::clone(observations), Arc::clone(observations));
    ApiOptions {
        max_body_bytes: config.admission.max_body_bytes,
        max_deliveries_in_flight: config.admission.max_in_flight,
        max_bytes_in_flight: config.admission.max_in_flight_bytes,
        default_platform: PlatformId::new(config.platform.clone()),
        accept_unsigned: config.test_mode,
        database: Some(Arc::new(app.store.clone())),
        data_dir: Some(config.data_dir.clone()),
        on_delivery: Some(Arc::new(move |platform, event| {
            observations.record_delivery(platform, event, SystemClock.now());
        })),
        on_refusal: Some(Arc::new(move |platform, status, reason| {
            refusals.record_refusal(platform, status, reason, SystemClock.now());
        })),
    }
}

fn dashboard_options(app: &App, config: &Config, observations: Arc<SetupObservations>) -> DashboardOptions {
    DashboardOptions {
        bind_address: config.bind.clone(),
        diagnostics: Arc::new(Doctor::new(app.clone())),
        observations,
    }
}

/// Prints the token for the first administrator, while there is no user.
async fn print_setup_token(app: &App, url: &str) -> Result<(), ServeError> {
    if let Some(token) = app.management.sessions().create_setup_token().await? {
        say(&format!(
            "There is no user yet. Open {url}/welcome and create the first administrator with the token below, which is \
             valid until then and is not shown again; or run `patchwright user add LOGIN`.\n\n    {}\n",
            token.expose()
        ));
    }
    Ok(())
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Server({})", self.address)
    }
}

/// Returns a token that SIGTERM or SIGINT cancels.
pub(crate) fn cancel_on_signal() -> CancellationToken {
    let token = CancellationToken::new();
    let cancelled = token.clone();
    tokio::spawn(async move {
        if wait_for_signal().await.is_ok() {
            cancelled.cancel();
        }
    });
    token
}

/// Waits for SIGTERM or SIGINT. A second one exits at once: all state is on disk.
pub(crate) async fn wait_for_signal() -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    tokio::select! {
        _ = term.recv() => tracing::info!("SIGTERM: stopping; a second signal exits at once"),
        _ = int.recv() => tracing::info!("SIGINT: stopping; a second signal exits at once"),
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
