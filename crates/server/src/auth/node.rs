//! A node that asks, with its own token. It reaches its own tasks and nothing else.

use std::future::Future;
use std::pin::Pin;

use actix_web::{FromRequest, HttpRequest, web};
use patchwright_core::nodes::Nodes as _;
use patchwright_core::query::Queries as _;
use patchwright_domain::node::Node;
use patchwright_domain::{NodeId, Task, TaskId};

use super::secret;
use crate::route::State;
use crate::route::error::ApiError;

/// Which node asks.
#[derive(Debug, Clone)]
pub(crate) struct NodeCaller(pub(crate) Node);

impl NodeCaller {
    /// The node of a path, when it is the one that asks.
    pub(crate) fn is(&self, id: &str) -> Result<NodeId, ApiError> {
        if id.parse() == Ok(self.0.id) { Ok(self.0.id) } else { Err(ApiError::NotFound("node")) }
    }

    /// The task of a path, when it was given to the node that asks. Of others it learns nothing.
    pub(crate) async fn task(&self, id: &str, state: &State) -> Result<Task, ApiError> {
        let id: TaskId = id.parse().map_err(|_| ApiError::NotFound("task"))?;
        let task = state.app.store.task(id).await?;
        task.filter(|task| task.node == self.0.id.to_string()).ok_or(ApiError::NotFound("task"))
    }
}

impl FromRequest for NodeCaller {
    type Error = ApiError;
    type Future = Pin<Box<dyn Future<Output = Result<Self, ApiError>>>>;

    fn from_request(request: &HttpRequest, _: &mut actix_web::dev::Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let state = request.app_data::<web::Data<State>>().expect("every route has the state");
            let header = super::header(&request, "authorization");
            let token = header.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
            let node = state.app.store.node_by_token(&secret::hash(token)).await?;
            node.map(Self).ok_or(ApiError::Unauthorized("this takes the token of a node"))
        })
    }
}
