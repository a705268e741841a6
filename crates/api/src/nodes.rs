//! Nodes, as administrators see them.

use actix_web::{HttpResponse, web};
use jiff::Timestamp;
use patchwright_domain::node::{Candidate, NodeMode};
use patchwright_management::{InvitedNode as Invited, NewNode as New, NodeUpdate as Update};
use patchwright_protocol::Page;
use patchwright_protocol::nodes::{DrainNode, InvitedNode, NewNode, NodeUpdate, NodeView};

use crate::State;
use crate::error::ApiError;
use crate::extract::{Authenticated, Caller, parse_id};

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

fn invited_view(invited: Invited, now: Timestamp) -> InvitedNode {
    let (token, until) = invited.join_token.unzip();
    InvitedNode {
        node: view(&invited.node, now),
        join_token: token.map(|token| token.expose().to_owned()),
        join_until: until.map(|at| at.to_string()),
    }
}

#[utoipa::path(get, path = "/api/v1/nodes", tag = "nodes", responses((status = 200, body = Page<NodeView>)))]
pub(crate) async fn list(_: Caller, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    let (nodes, now) = (state.management.nodes().list().await?, state.management.now());
    Ok(HttpResponse::Ok().json(Page::all(nodes.iter().map(|node| view(node, now)))))
}

#[utoipa::path(get, path = "/api/v1/nodes/{id}", tag = "nodes",
    params(("id" = uuid::Uuid, Path, description = "The node")),
    responses((status = 200, body = NodeView), (status = 404, description = "No such node")))]
pub(crate) async fn get(_: Caller, id: web::Path<String>, state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    let found = state.management.nodes().get(parse_id(&id, "node")?).await?;
    Ok(HttpResponse::Ok().json(view(&found, state.management.now())))
}

#[utoipa::path(post, path = "/api/v1/nodes", tag = "nodes", request_body = NewNode,
    responses((status = 201, body = InvitedNode), (status = 400, description = "Invalid name, label or address"),
        (status = 403, description = "Administrator role required"), (status = 409, description = "The name is taken")))]
pub(crate) async fn create(
    Authenticated(Caller(principal), body): Authenticated<Caller, NewNode>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    let new = New { name: body.name, labels: body.labels, push_url: body.push_url };
    let invited = state.management.nodes().create(&principal, new).await?;
    let view = invited_view(invited, state.management.now());
    Ok(HttpResponse::Created().insert_header(("cache-control", "no-store")).json(view))
}

#[utoipa::path(patch, path = "/api/v1/nodes/{id}", tag = "nodes", request_body = NodeUpdate,
    params(("id" = uuid::Uuid, Path, description = "The node")),
    responses((status = 200, body = InvitedNode, description = "The node, with a join token when one was requested"),
        (status = 400, description = "Invalid label or address"), (status = 403, description = "Administrator role required"),
        (status = 404, description = "No such node")))]
pub(crate) async fn update(
    id: web::Path<String>,
    Authenticated(Caller(principal), body): Authenticated<Caller, NodeUpdate>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    principal.require_admin()?;
    let update = Update { labels: body.labels, push_url: body.push_url, draining: body.draining, invite: body.invite };
    let invited = state.management.nodes().update(&principal, parse_id(&id, "node")?, update).await?;
    let view = invited_view(invited, state.management.now());
    Ok(HttpResponse::Ok().insert_header(("cache-control", "no-store")).json(view))
}

#[utoipa::path(post, path = "/api/v1/nodes/{id}/drain", tag = "nodes", request_body = DrainNode,
    params(("id" = uuid::Uuid, Path, description = "The node")),
    responses((status = 200, body = NodeView), (status = 400, description = "Invalid body"),
        (status = 403, description = "Administrator role required"), (status = 404, description = "No such node")))]
pub(crate) async fn drain(
    id: web::Path<String>,
    Authenticated(Caller(principal), body): Authenticated<Caller, DrainNode>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    principal.require_admin()?;
    let node = state.management.nodes().drain(&principal, parse_id(&id, "node")?, body.draining).await?;
    Ok(HttpResponse::Ok().json(view(&node, state.management.now())))
}

#[utoipa::path(delete, path = "/api/v1/nodes/{id}", tag = "nodes",
    params(("id" = uuid::Uuid, Path, description = "The node")),
    responses((status = 204, description = "Deleted; other nodes take over its jobs when the leases expire"),
        (status = 403, description = "Administrator role required"), (status = 404, description = "No such node")))]
pub(crate) async fn delete(
    Caller(principal): Caller,
    id: web::Path<String>,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    principal.require_admin()?;
    state.management.nodes().delete(&principal, parse_id(&id, "node")?).await?;
    Ok(HttpResponse::NoContent().finish())
}
