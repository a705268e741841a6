//! Nodes, for people.

use std::collections::BTreeSet;

use actix_web::{HttpResponse, web};
use jiff::{SignedDuration, Timestamp};
use patchwright_core::nodes::{Invitation, NodeChange, Nodes as _};
use patchwright_domain::NodeId;
use patchwright_domain::node::{Candidate, Health, Label, Node, NodeMode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::State;
use super::body::By;
use super::error::ApiError;
use super::page::Page;
use super::words;
use crate::audit::note;
use crate::auth::{Caller, secret};

/// How long a join token holds.
const INVITED: SignedDuration = SignedDuration::from_hours(24);
/// The most tasks that a node may run at the same time.
pub(crate) const MAX_CAPACITY: u32 = 1000;
/// The most labels that a node may have.
pub(crate) const MAX_LABELS: usize = 50;

/// A node.
#[derive(Serialize, ToSchema)]
pub(crate) struct NodeView {
    id: String,
    name: String,
    /// What it was given, and what it found itself to have.
    labels: Vec<String>,
    /// Where tasks are sent to; absent when it asks for them.
    push_url: Option<String>,
    capacity: u32,
    /// How many tasks it has.
    running: u32,
    /// Whether it was heard of lately.
    online: bool,
    /// Whether it finishes what it has and is given nothing more.
    draining: bool,
    version: Option<String>,
    /// The machine's load for each of its processors.
    load: f64,
    /// Room on its disk, in bytes.
    disk_free: Option<u64>,
    created_at: String,
    registered_at: Option<String>,
    seen_at: Option<String>,
    used_at: Option<String>,
}

/// A node with its join token, which is shown this once.
#[derive(Serialize, ToSchema)]
pub(crate) struct InvitedNode {
    #[serde(flatten)]
    node: NodeView,
    /// Start the node with it: `patchwright node --server … --token …`.
    join_token: Option<String>,
    /// Until when it holds.
    join_until: Option<String>,
}

/// A node to add.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewNode {
    #[schema(pattern = "^[A-Za-z0-9._:-]{1,60}$", example = "builder-1")]
    name: String,
    #[serde(default)]
    #[schema(schema_with = words::labels)]
    labels: Vec<String>,
    /// Tasks are sent there. Without it the node asks for them.
    #[schema(pattern = "^(https://[!-?A-~]{1,280}|http://(127\\.|localhost|\\[::1\\])[!-?A-~]{0,270})?$")]
    push_url: Option<String>,
}

/// What changes; the rest stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NodeEdit {
    #[schema(schema_with = words::labels_or_null)]
    labels: Option<Vec<String>>,
    #[schema(pattern = "^(https://[!-?A-~]{1,280}|http://(127\\.|localhost|\\[::1\\])[!-?A-~]{0,270})?$")]
    push_url: Option<String>,
    draining: Option<bool>,
    /// Makes a new join token and ends the node's own.
    #[serde(default)]
    invite: bool,
}

/// Whether a node is given nothing more.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Drain {
    draining: bool,
}

fn view(found: &Candidate, now: Timestamp) -> NodeView {
    let node = &found.node;
    NodeView {
        id: node.id.to_string(),
        name: node.name.to_string(),
        labels: node.labels.iter().map(ToString::to_string).collect(),
        push_url: match &node.mode {
            NodeMode::Pull => None,
            NodeMode::Push(url) => Some(url.clone()),
        },
        capacity: node.capacity,
        running: found.running,
        online: node.is_online(now),
        draining: node.draining,
        version: node.version.clone(),
        load: node.health.load,
        disk_free: node.health.disk_free,
        created_at: node.created_at.to_string(),
        registered_at: node.registered_at.map(|at| at.to_string()),
        seen_at: node.seen_at.map(|at| at.to_string()),
        used_at: node.used_at.map(|at| at.to_string()),
    }
}

/// Labels as they came.
pub(crate) fn labels(texts: &[String]) -> Result<BTreeSet<Label>, ApiError> {
    if texts.len() > MAX_LABELS {
        return Err(ApiError::bad("too_many_labels", format!("a node has at most {MAX_LABELS} labels")));
    }
    let parse = |text: &String| Label::parse(text).map_err(|error| ApiError::bad("bad_label", error.to_string()));
    texts.iter().map(parse).collect()
}

fn mode(push_url: Option<String>) -> Result<NodeMode, ApiError> {
    let Some(url) = push_url.filter(|url| !url.is_empty()) else { return Ok(NodeMode::Pull) };
    let plain = url.len() <= 300 && url.chars().all(|c| c.is_ascii_graphic()) && !url.contains('@');
    let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    // What is sent holds a credential: over clear HTTP only to this machine.
    let local = |host: &str| ["127.", "localhost", "[::1]"].iter().any(|near| host.starts_with(near));
    match host {
        Some(host) if plain && !host.is_empty() && (url.starts_with("https://") || local(host)) => {
            Ok(NodeMode::Push(url))
        }
        _ => Err(ApiError::bad("bad_push_url", "a push address begins with https://, or with http:// on this machine")),
    }
}

fn invitation(now: Timestamp) -> (String, Invitation) {
    let token = secret::fresh("pwj_");
    let until = now.saturating_add(INVITED).unwrap_or(now);
    (token.clone(), Invitation { hash: secret::hash(&token), until })
}

async fn find(id: &str, state: &State) -> Result<Candidate, ApiError> {
    let id: NodeId = id.parse().map_err(|_| ApiError::NotFound("node"))?;
    state.app.store.node(id).await?.ok_or(ApiError::NotFound("node"))
}

#[utoipa::path(get, path = "/api/v1/nodes", tag = "nodes",
    responses((status = 200, body = Page<NodeView>), (status = 401, description = "Nobody asks")))]
pub(crate) async fn list(_: Caller, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    let nodes = state.app.store.nodes().await?;
    Ok(HttpResponse::Ok().json(Page::all(nodes.iter().map(|node| view(node, state.app.engine.now())))))
}

#[utoipa::path(get, path = "/api/v1/nodes/{id}", tag = "nodes",
    params(("id" = uuid::Uuid, Path, description = "The node")),
    responses((status = 200, body = NodeView), (status = 401, description = "Nobody asks"),
        (status = 404, description = "There is no such node")))]
pub(crate) async fn show(_: Caller, id: web::Path<String>, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    Ok(HttpResponse::Ok().json(view(&find(&id, &state).await?, state.app.engine.now())))
}

#[utoipa::path(post, path = "/api/v1/nodes", tag = "nodes", request_body = NewNode,
    responses((status = 201, body = InvitedNode), (status = 400, description = "Name, label or address cannot be used"),
        (status = 401, description = "Nobody asks"), (status = 403, description = "No administrator asks"),
        (status = 409, description = "Another node has the name")))]
pub(crate) async fn add(
    By(caller, body): By<Caller, NewNode>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    caller.need_admin()?;
    let NewNode { name, labels: given, push_url } = body;
    let node = Node {
        id: NodeId::from_uuid(uuid::Uuid::now_v7()),
        name: Label::parse(&name).map_err(|error| ApiError::bad("bad_name", error.to_string()))?,
        labels: labels(&given)?,
        mode: mode(push_url)?,
        capacity: 1,
        draining: false,
        version: None,
        health: Health::default(),
        created_at: state.app.engine.now(),
        registered_at: None,
        seen_at: None,
        used_at: None,
    };
    let (token, invitation) = invitation(state.app.engine.now());
    if !state.app.store.add_node(&node, &invitation).await? {
        return Err(ApiError::conflict("name_taken", format!("there is a node `{}` already", node.name)));
    }
    note(&state, &caller.login, "node.added", node.name.as_str(), "").await?;
    let node = view(&Candidate { node, running: 0 }, state.app.engine.now());
    Ok(HttpResponse::Created().insert_header(("cache-control", "no-store")).json(invited(node, token, &invitation)))
}

fn invited(node: NodeView, token: String, invitation: &Invitation) -> InvitedNode {
    InvitedNode { node, join_token: Some(token), join_until: Some(invitation.until.to_string()) }
}

#[utoipa::path(patch, path = "/api/v1/nodes/{id}", tag = "nodes", request_body = NodeEdit,
    params(("id" = uuid::Uuid, Path, description = "The node")),
    responses((status = 200, body = InvitedNode, description = "The node, with a join token when one was asked for"),
        (status = 400, description = "Label or address cannot be used"), (status = 401, description = "Nobody asks"),
        (status = 403, description = "No administrator asks"), (status = 404, description = "There is no such node")))]
pub(crate) async fn change(
    id: web::Path<String>,
    By(caller, body): By<Caller, NodeEdit>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    caller.need_admin()?;
    let known = find(&id, &state).await?.node;
    let new = body.invite.then(|| invitation(state.app.engine.now()));
    let change = NodeChange {
        labels: body.labels.as_deref().map(labels).transpose()?,
        mode: body.push_url.map(|url| mode(Some(url))).transpose()?,
        draining: body.draining,
        capacity: None,
        invitation: new.as_ref().map(|(_, invitation)| invitation.clone()),
    };
    if !state.app.store.change_node(known.id, change).await? {
        return Err(ApiError::NotFound("node"));
    }
    let what = if new.is_some() { "invited anew" } else { "" };
    note(&state, &caller.login, "node.changed", known.name.as_str(), what).await?;
    let node = view(&find(&id, &state).await?, state.app.engine.now());
    let answer = match new {
        Some((token, invitation)) => invited(node, token, &invitation),
        None => InvitedNode { node, join_token: None, join_until: None },
    };
    Ok(HttpResponse::Ok().insert_header(("cache-control", "no-store")).json(answer))
}

#[utoipa::path(post, path = "/api/v1/nodes/{id}/drain", tag = "nodes", request_body = Drain,
    params(("id" = uuid::Uuid, Path, description = "The node")),
    responses((status = 200, body = NodeView), (status = 400, description = "The body makes no sense"),
        (status = 401, description = "Nobody asks"), (status = 403, description = "No administrator asks"),
        (status = 404, description = "There is no such node")))]
pub(crate) async fn drain(
    id: web::Path<String>,
    By(caller, body): By<Caller, Drain>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    caller.need_admin()?;
    let known = find(&id, &state).await?.node;
    let change = NodeChange { draining: Some(body.draining), ..NodeChange::default() };
    state.app.store.change_node(known.id, change).await?;
    let what = if body.draining { "node.drained" } else { "node.resumed" };
    note(&state, &caller.login, what, known.name.as_str(), "").await?;
    state.app.engine.notice();
    Ok(HttpResponse::Ok().json(view(&find(&id, &state).await?, state.app.engine.now())))
}

#[utoipa::path(delete, path = "/api/v1/nodes/{id}", tag = "nodes",
    params(("id" = uuid::Uuid, Path, description = "The node")),
    responses((status = 204, description = "It is gone; what it ran is taken over when its leases run out"),
        (status = 401, description = "Nobody asks"), (status = 403, description = "No administrator asks"),
        (status = 404, description = "There is no such node")))]
pub(crate) async fn remove(
    caller: Caller,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    caller.need_admin()?;
    let known = find(&id, &state).await?.node;
    state.app.store.remove_node(known.id).await?;
    note(&state, &caller.login, "node.removed", known.name.as_str(), "").await?;
    Ok(HttpResponse::NoContent().finish())
}
