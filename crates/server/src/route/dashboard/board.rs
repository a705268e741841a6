//! The board.

use actix_web::web::Path;
use actix_web::{HttpResponse, web};
use patchwright_core::Clock as _;
use patchwright_core::nodes::Nodes as _;
use patchwright_core::query::{IssueFilter, Queries as _};
use patchwright_core::store::Store as _;
use patchwright_dashboard::page::{Board, Card, Column, NodeCard, Page as _, Waiting};
use patchwright_domain::node::{Candidate, Label};
use patchwright_domain::{Issue, IssueStatus};
use serde_json::json;

use super::form::Posted;
use super::visit::{NotShown, Visit};
use crate::route::State;
use crate::route::body::By;
use crate::route::error::ApiError;
use crate::route::nodes;
use patchwright_engine::clock::SystemClock;

/// How many issues of each status are shown.
const CARDS: u16 = 12;
/// How many waiting jobs are shown.
const WAITING: u16 = 30;

pub(super) async fn show(visit: Visit, state: web::Data<State>) -> Result<HttpResponse, NotShown> {
    let html = shown(&visit, &state).await;
    visit.shown(html)
}

async fn shown(visit: &Visit, state: &State) -> Result<String, ApiError> {
    let counts = state.app.store.issue_counts().await?;
    let mut columns = Vec::new();
    for status in IssueStatus::ALL {
        let filter = IssueFilter { status: Some(status), limit: CARDS, ..IssueFilter::default() };
        let issues = state.app.store.issues(filter).await?;
        let mut cards = Vec::new();
        for issue in &issues {
            cards.push(card(issue, state).await?);
        }
        columns.push(Column { status, count: counts.get(&status).copied().unwrap_or_default(), cards });
    }
    let waiting = state.app.store.waiting(WAITING).await?;
    let waiting: Vec<Waiting> = waiting.iter().map(|(job, turn)| Waiting::new(job, *turn)).collect();
    Ok(Board {
        frame: &visit.frame,
        now: SystemClock.now(),
        columns: &columns,
        waiting: &waiting,
        queued: state.app.store.queue_depth().await?.queued,
        nodes: &node_cards(state).await?,
        may_drain: visit.caller.is_admin(),
    }
    .html())
}

/// An issue; one that is worked on says what its job is at.
async fn card(issue: &Issue, state: &State) -> Result<Card, ApiError> {
    let job = match issue.status {
        IssueStatus::Processing => state.app.store.latest_job(issue.id).await?.map(|job| job.value),
        _ => None,
    };
    let running = job.as_ref().filter(|job| job.started_at.is_some());
    Ok(Card {
        page: job.as_ref().map_or_else(|| format!("/issues/{}", issue.id), |job| format!("/jobs/{}", job.id)),
        title: issue.title.clone(),
        place: format!("{} {}", issue.source.repo, issue.source.name()),
        stage: running.and_then(patchwright_domain::Job::next_stage),
        awaits_approval: job.as_ref().is_some_and(patchwright_domain::Job::awaits_approval),
    })
}

/// The server's own process first, where it works on jobs.
async fn node_cards(state: &State) -> Result<Vec<NodeCard>, ApiError> {
    let now = state.app.engine.now();
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let here = state.config.embedded_node.then(|| NodeCard {
        id: None,
        name: String::new(),
        online: true,
        draining: false,
        running: number(state.app.engine.running_here()),
        capacity: number(state.config.workers),
        load: None,
        disk_free: None,
        seen_at: None,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        labels: vec![],
    });
    let card = |found: &Candidate| {
        let node = &found.node;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of a hundred")]
        let load = (node.health.load * 100.0).clamp(0.0, 999.0) as u32;
        NodeCard {
            id: Some(node.id.to_string()),
            name: node.name.to_string(),
            online: node.is_online(now),
            draining: node.draining,
            running: found.running,
            capacity: node.capacity,
            load: node.seen_at.map(|_| load),
            disk_free: node.health.disk_free,
            seen_at: node.seen_at,
            version: node.version.clone().unwrap_or_default(),
            labels: node.labels.iter().map(Label::to_string).collect(),
        }
    };
    let nodes = state.app.store.nodes().await?;
    Ok(here.into_iter().chain(nodes.iter().map(card)).collect())
}

pub(super) async fn drain(
    Posted { visit, form }: Posted,
    id: Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, NotShown> {
    let draining = form.get("draining") == "true";
    let words = visit.words();
    let body = serde_json::from_value(json!({"draining": draining})).expect("it is what the API takes");
    let done = nodes::drain(id, By(visit.caller.clone(), body), state).await;
    let done = done.map(|_| if draining { words.drained } else { words.resumed });
    visit.done(done, form.return_to("/board"))
}
