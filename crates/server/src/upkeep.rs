//! What is done beside the jobs: other replicas are listened to, what is old is forgotten, who looks after credentials is
//! warned, missed deliveries are asked for again, and repositories that no delivery can tell us about are looked through.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use patchwright_core::credentials::Credentials as _;
use patchwright_core::idempotency::IdempotencyKeys as _;
use patchwright_core::jira::JiraInbox as _;
use patchwright_core::model_calls::ModelCalls as _;
use patchwright_core::notifications::Channels as _;
use patchwright_core::store::{Retention, Store as _};
use patchwright_core::task_log::TaskLogs as _;
use patchwright_core::{CancellationToken, Clock as _};
use patchwright_domain::RepoName;
use patchwright_github::{GITHUB, Hook};
use tokio::task::JoinSet;

use crate::compose::App;
use crate::config::Config;
use patchwright_engine::clock::SystemClock;

/// How often old deliveries are looked for.
const FORGET_EVERY: Duration = Duration::from_secs(3600);
/// How often the clock of leases looks at the database's.
const FOLLOW_EVERY: Duration = Duration::from_secs(60);
/// How often is said which credentials end.
const WARN_EVERY: Duration = Duration::from_secs(24 * 3600);
/// How often failed deliveries are looked for.
const REDELIVER_EVERY: Duration = Duration::from_secs(600);
/// GitHub sends nothing again that is older.
const REDELIVER_FROM: SignedDuration = SignedDuration::from_hours(72);
/// How far back the first look for mentions goes: as far as a server may have been away over a weekend. What is known
/// already is known again by the comment.
const POLL_FROM: SignedDuration = SignedDuration::from_hours(72);

/// Starts what the configuration asks for.
pub(crate) fn start(app: &App, config: &Config, stop: &CancellationToken) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    let (listening, stopping) = (app.clone(), stop.clone());
    tasks.spawn(async move {
        tokio::select! {
            () = listening.store.listen(|| listening.engine.notice()) => {}
            () = stopping.cancelled() => {}
        }
    });
    let (age, bytes) = (config.door.delivery_retention_days, config.door.delivery_retention_bytes);
    let age = SignedDuration::from_hours(24 * i64::from(age));
    let forgetting = app.clone();
    every(&mut tasks, stop, FORGET_EVERY, move || {
        forget(forgetting.clone(), Retention { before: before(age), payload_bytes: bytes })
    });
    let following = app.clone();
    every(&mut tasks, stop, FOLLOW_EVERY, move || follow(following.clone()));
    let warning = app.clone();
    every(&mut tasks, stop, WARN_EVERY, move || warn_of_ends(warning.clone()));
    for hook in config.github.redeliver.clone() {
        let app = app.clone();
        every(&mut tasks, stop, REDELIVER_EVERY, move || redeliver(app.clone(), hook.clone()));
    }
    for repo in config.github.poll.clone() {
        let app = app.clone();
        let since = Arc::new(tokio::sync::Mutex::new(before(POLL_FROM)));
        every(&mut tasks, stop, config.github.poll_interval, move || {
            look_for_mentions(app.clone(), repo.clone(), Arc::clone(&since))
        });
    }
    tasks
}

fn every<F: Future<Output = ()> + Send + 'static>(
    tasks: &mut JoinSet<()>,
    stop: &CancellationToken,
    pause: Duration,
    work: impl Fn() -> F + Send + 'static,
) {
    let stop = stop.clone();
    tasks.spawn(async move {
        while !stop.is_cancelled() {
            tokio::select! {
                () = work() => {}
                () = stop.cancelled() => return,
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stop.cancelled() => return,
            }
        }
    });
}

fn before(age: SignedDuration) -> Timestamp {
    SystemClock.now().saturating_sub(age).unwrap_or(Timestamp::MIN)
}

async fn forget(app: App, retention: Retention) {
    let day = before(SignedDuration::from_hours(24));
    match app.store.forget_requests(day).await {
        Ok(0) => {}
        Ok(count) => tracing::debug!(count, "answers that are not asked for again were forgotten"),
        Err(error) => tracing::warn!(error = %error, "old answers could not be forgotten; it is tried again"),
    }
    match app.vault.forget_notices(retention.before).await {
        Ok(0) => {}
        Ok(count) => tracing::info!(count, "old notifications were forgotten"),
        Err(error) => tracing::warn!(error = %error, "old notifications could not be forgotten; it is tried again"),
    }
    match app.vault.forget_events(retention.before, SystemClock.now()).await {
        Ok(0) => {}
        Ok(count) => tracing::debug!(count, "old events of Jira were forgotten"),
        Err(error) => tracing::warn!(error = %error, "old events of Jira could not be forgotten; it is tried again"),
    }
    match app.store.forget_logs(retention.before).await {
        Ok(0) => {}
        Ok(count) => tracing::info!(count, "old pieces of task logs were forgotten"),
        Err(error) => tracing::warn!(error = %error, "old task logs could not be forgotten; it is tried again"),
    }
    match app.store.forget_calls(retention.before).await {
        Ok(0) => {}
        Ok(count) => tracing::info!(count, "old calls of the model were forgotten"),
        Err(error) => tracing::warn!(error = %error, "old model calls could not be forgotten; it is tried again"),
    }
    match app.store.forget(retention).await {
        Ok(0) => {}
        Ok(count) => tracing::info!(count, "old deliveries and effects were forgotten"),
        Err(error) => tracing::warn!(error = %error, "old deliveries could not be forgotten; it is tried again"),
    }
}

/// Says in time which credentials an administrator has to replace.
async fn warn_of_ends(app: App) {
    let now = app.engine.now();
    match app.vault.credentials().await {
        Ok(all) => {
            for credential in all.iter().filter(|credential| credential.expires_soon(now)) {
                let (name, scope) = (&credential.name, credential.scope.to_string());
                let ends = credential.expires_at.map(|end| end.to_string()).unwrap_or_default();
                tracing::warn!(name, scope, ends, "a credential ends soon or has ended; replace its secret");
            }
        }
        Err(error) => tracing::warn!(error = %error, "the credentials could not be looked through"),
    }
}

async fn follow(app: App) {
    match app.store.now().await {
        Ok(reference) => app.clock.follow(reference),
        Err(error) => tracing::warn!(error = %error, "the database does not tell the time; it is asked again"),
    }
}

async fn redeliver(app: App, hook: Hook) {
    match app.github.redeliver(&hook, before(REDELIVER_FROM)).await {
        Ok(0) => {}
        Ok(count) => tracing::info!(count, %hook, "failed deliveries were asked for again"),
        Err(error) => tracing::warn!(error = %error, %hook, "failed deliveries could not be asked for"),
    }
}

async fn look_for_mentions(app: App, repo: RepoName, since: Arc<tokio::sync::Mutex<Timestamp>>) {
    let mut since = since.lock().await;
    let mention = format!("@{}", app.engine.settings().app_name.to_lowercase());
    let (deliveries, next) = match app.github.comments_since(&repo, *since, &mention).await {
        Ok(found) => found,
        Err(error) => {
            tracing::warn!(error = %error, %repo, "the repository could not be looked through for mentions");
            return;
        }
    };
    for delivery in deliveries {
        if let Err(error) = app.engine.take(&GITHUB, delivery, String::new()).await {
            tracing::warn!(error = %error, %repo, "a mention could not be taken; it is looked for again");
            return;
        }
    }
    *since = next;
}
