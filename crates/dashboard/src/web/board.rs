//! The board.

use actix_web::{HttpResponse, web};
use patchwright_core::query::IssueFilter;
use patchwright_domain::node::{Candidate, Label};
use patchwright_domain::{Issue, IssueStatus, JobSummary, Role};
use patchwright_management::ManagementError;

use super::State;
use super::form::Submission;
use super::page_request::{PageError, PageRequest};
use crate::page::{Board, Card, Column, NodeCard, Page as _, Waiting};

/// How many issues of each status are shown.
const CARDS_PER_COLUMN: u16 = 12;
/// How many waiting jobs are shown.
const WAITING_JOBS: u16 = 30;

pub(super) async fn show(page: PageRequest, state: web::Data<State>) -> Result<HttpResponse, PageError> {
    let html = render(&page, &state).await;
    page.render(html)
}

async fn render(page: &PageRequest, state: &State) -> Result<String, ManagementError> {
    let (issues, jobs) = (state.management.issues(), state.management.jobs());
    let counts = issues.count(&page.principal).await?;
    let mut columns = Vec::new();
    for status in IssueStatus::ALL {
        let filter = IssueFilter { status: Some(status), limit: CARDS_PER_COLUMN, ..IssueFilter::default() };
        let mut cards = Vec::new();
        for issue in &issues.list(&page.principal, filter).await? {
            cards.push(card(page, issue, state).await?);
        }
        columns.push(Column { status, count: counts.get(&status).copied().unwrap_or_default(), cards });
    }
    let waiting = jobs.waiting(&page.principal, WAITING_JOBS).await?;
    let queued = match page.principal.role() {
        Role::Admin => state.management.queue_depth().await?.queued,
        Role::Member => waiting.len() as u64,
    };
    let waiting: Vec<Waiting> = waiting.iter().map(|(job, turn)| Waiting::new(job, *turn)).collect();
    Ok(Board {
        layout: &page.layout,
        now: state.management.now(),
        columns: &columns,
        waiting: &waiting,
        queued,
        nodes: &node_cards(state).await?,
        may_drain: page.principal.is_admin(),
    }
    .html())
}

/// An issue; one in progress shows the stage of its job.
async fn card(page: &PageRequest, issue: &Issue, state: &State) -> Result<Card, ManagementError> {
    let job = match issue.status {
        IssueStatus::Processing => state.management.jobs().latest(&page.principal, issue.id).await?,
        _ => None,
    };
    let running = job.as_ref().filter(|job| job.started_at.is_some());
    Ok(Card {
        page: job.as_ref().map_or_else(|| format!("/issues/{}", issue.id), |job| format!("/jobs/{}", job.id)),
        title: issue.title.clone(),
        place: format!("{} {}", issue.source.repo, issue.source.name()),
        stage: running.and_then(JobSummary::next_stage),
        awaits_approval: job.as_ref().is_some_and(JobSummary::awaits_approval),
    })
}

/// The server's own process comes first, where it runs jobs.
async fn node_cards(state: &State) -> Result<Vec<NodeCard>, ManagementError> {
    let now = state.management.now();
    let number = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let slots = state.management.options().embedded_slots;
    let embedded = (slots > 0).then(|| NodeCard {
        id: None,
        name: String::new(),
        online: true,
        draining: false,
        running: number(state.management.engine().running_here()),
        capacity: number(slots),
        load: None,
        disk_free: None,
        seen_at: None,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        labels: vec![],
    });
    let card = |found: &Candidate| {
        let node = &found.node;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a percentage")]
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
    let nodes = state.management.nodes().list().await?;
    Ok(embedded.into_iter().chain(nodes.iter().map(card)).collect())
}

pub(super) async fn drain(
    Submission { page, form }: Submission,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, PageError> {
    let draining = form.get("draining") == "true";
    let w = page.translations();
    let result = match id.parse() {
        Ok(id) => state.management.nodes().drain(&page.principal, id, draining).await,
        Err(_) => Err(ManagementError::not_found("node")),
    };
    page.respond(result.map(|_| if draining { w.drained } else { w.resumed }), form.return_to("/board"))
}
