//! Remote nodes: adding them, draining them, and their registration.

use std::net::IpAddr;

use jiff::{SignedDuration, Timestamp};
use patchwright_core::Secret;
use patchwright_core::nodes::{Invitation, NodeChange, Registration};
use patchwright_domain::node::{Candidate, Health, Label, Node, NodeMode};
use patchwright_domain::{NodeId, Task, TaskId};

use crate::error::ManagementError;
use crate::principal::Principal;
use crate::{Inner, secrets, validate};

/// How long a join token is valid.
const JOIN_TOKEN_LIFETIME: SignedDuration = SignedDuration::from_hours(24);
/// The most tasks that a node runs at the same time.
const MAX_CAPACITY: u32 = 1000;
/// The longest push address, in characters.
const MAX_PUSH_URL_CHARS: usize = 300;
/// The longest version text, in characters.
const MAX_VERSION_CHARS: usize = 40;

/// A node to create.
#[derive(Debug, Clone, Default)]
pub struct NewNode {
    /// The name.
    pub name: String,
    /// Assigned labels.
    pub labels: Vec<String>,
    /// The address that tasks are sent to; without it the node polls.
    pub push_url: Option<String>,
}

/// Fields of a node to change; absent fields stay as they are.
#[derive(Debug, Clone, Default)]
pub struct NodeUpdate {
    /// Assigned labels.
    pub labels: Option<Vec<String>>,
    /// The address that tasks are sent to; an empty text switches to polling.
    pub push_url: Option<String>,
    /// Whether the node gets no new tasks.
    pub draining: Option<bool>,
    /// Whether to create a new join token and revoke the node's token.
    pub invite: bool,
}

/// A node, with its join token when one was created.
#[derive(Debug, Clone)]
pub struct InvitedNode {
    /// The node.
    pub node: Candidate,
    /// The join token and when it expires.
    pub join_token: Option<(Secret, Timestamp)>,
}

/// The registration of a node.
#[derive(Debug, Clone)]
pub struct NodeRegistration {
    /// The join token.
    pub join_token: Secret,
    /// Detected labels.
    pub labels: Vec<String>,
    /// How many tasks it runs at the same time.
    pub capacity: u32,
    /// Its version.
    pub version: String,
}

/// A node that was registered.
#[derive(Debug, Clone)]
pub struct RegisteredNode {
    /// The node.
    pub node: Node,
    /// The node's token.
    pub token: Secret,
    /// The key that the node verifies pushed tasks with.
    pub dispatch_key: Secret,
}

/// Remote nodes.
#[derive(Debug, Clone, Copy)]
pub struct Nodes<'a>(pub(crate) &'a Inner);

impl Nodes<'_> {
    /// Lists all nodes by name, each with the number of its open tasks.
    ///
    /// # Errors
    /// [`ManagementError::Unavailable`].
    pub async fn list(&self) -> Result<Vec<Candidate>, ManagementError> {
        Ok(self.0.ports.nodes.nodes().await?)
    }

    /// Returns a node.
    ///
    /// # Errors
    /// [`ManagementError::NotFound`].
    pub async fn get(&self, id: NodeId) -> Result<Candidate, ManagementError> {
        self.0.ports.nodes.node(id).await?.ok_or_else(|| ManagementError::not_found("node"))
    }

    /// Creates a node that may register with a join token.
    ///
    /// # Errors
    /// [`ManagementError::Forbidden`] without the administrator role, [`ManagementError::Invalid`],
    /// [`ManagementError::Conflict`] for a name that is taken.
    pub async fn create(&self, principal: &Principal, new: NewNode) -> Result<InvitedNode, ManagementError> {
        principal.require_admin()?;
        let node = Node {
            id: NodeId::from_uuid(self.0.ports.ids.uuid()),
            name: Label::parse(&new.name).map_err(|error| ManagementError::invalid("bad_name", error.to_string()))?,
            labels: validate::labels(&new.labels)?,
            mode: self.parse_mode(new.push_url)?,
            capacity: 1,
            draining: false,
            version: None,
            health: Health::default(),
            created_at: self.0.engine.now(),
            registered_at: None,
            seen_at: None,
            used_at: None,
        };
        let (token, invitation) = self.invitation();
        let entry = self.0.audit_entry(principal.login(), "node.added", node.name.as_str(), "");
        if !self.0.ports.nodes.add_node(&node, &invitation, entry).await? {
            let detail = format!("there is a node `{}` already", node.name);
            return Err(ManagementError::conflict("name_taken", detail));
        }
        Ok(InvitedNode { node: Candidate { node, running: 0 }, join_token: Some((token, invitation.until)) })
    }

    /// Changes a node.
    ///
    /// # Errors
    /// As [`Self::create`], and [`ManagementError::NotFound`].
    pub async fn update(
        &self,
        principal: &Principal,
        id: NodeId,
        update: NodeUpdate,
    ) -> Result<InvitedNode, ManagementError> {
        principal.require_admin()?;
        let known = self.get(id).await?.node;
        let invited = update.invite.then(|| self.invitation());
        let change = NodeChange {
            labels: update.labels.as_deref().map(validate::labels).transpose()?,
            mode: update.push_url.map(|url| self.parse_mode(Some(url))).transpose()?,
            draining: update.draining,
            capacity: None,
            invitation: invited.as_ref().map(|(_, invitation)| invitation.clone()),
        };
        let detail = if invited.is_some() { "new join token" } else { "" };
        let entry = self.0.audit_entry(principal.login(), "node.changed", known.name.as_str(), detail);
        if !self.0.ports.nodes.change_node(known.id, change, entry).await? {
            return Err(ManagementError::not_found("node"));
        }
        let join_token = invited.map(|(token, invitation)| (token, invitation.until));
        Ok(InvitedNode { node: self.get(id).await?, join_token })
    }

    /// Drains a node, or resumes it.
    ///
    /// # Errors
    /// [`ManagementError::Forbidden`] without the administrator role, [`ManagementError::NotFound`].
    pub async fn drain(&self, principal: &Principal, id: NodeId, draining: bool) -> Result<Candidate, ManagementError> {
        principal.require_admin()?;
        let known = self.get(id).await?.node;
        let change = NodeChange { draining: Some(draining), ..NodeChange::default() };
        let action = if draining { "node.drained" } else { "node.resumed" };
        let entry = self.0.audit_entry(principal.login(), action, known.name.as_str(), "");
        if !self.0.ports.nodes.change_node(known.id, change, entry).await? {
            return Err(ManagementError::not_found("node"));
        }
        self.0.engine.notice();
        self.get(id).await
    }

    /// Deletes a node. Its tasks are taken over when their leases expire.
    ///
    /// # Errors
    /// [`ManagementError::Forbidden`] without the administrator role, [`ManagementError::NotFound`].
    pub async fn delete(&self, principal: &Principal, id: NodeId) -> Result<(), ManagementError> {
        principal.require_admin()?;
        let known = self.get(id).await?.node;
        let entry = self.0.audit_entry(principal.login(), "node.removed", known.name.as_str(), "");
        self.0.ports.nodes.remove_node(known.id, entry).await?;
        Ok(())
    }

    /// Registers a node with its join token, which works once.
    ///
    /// # Errors
    /// [`ManagementError::Invalid`]; [`ManagementError::Unauthenticated`] for a token that is wrong, used or expired.
    pub async fn register(&self, registration: NodeRegistration) -> Result<RegisteredNode, ManagementError> {
        let Some(client) = &self.0.ports.node_client else {
            return Err(ManagementError::NotFound("this server does not accept remote nodes".to_owned()));
        };
        if !(1..=MAX_CAPACITY).contains(&registration.capacity) {
            let detail = format!("a node runs 1 to {MAX_CAPACITY} tasks at the same time");
            return Err(ManagementError::invalid("bad_capacity", detail));
        }
        let token = secrets::generate_secret("pwn_");
        let stored = Registration {
            token: secrets::hash_secret(&token),
            labels: validate::labels(&registration.labels)?,
            capacity: registration.capacity,
            version: registration.version.chars().filter(|c| !c.is_control()).take(MAX_VERSION_CHARS).collect(),
        };
        let invitation = secrets::hash_secret(registration.join_token.expose());
        // The store fills in the name of the node, which is known only then.
        let entry = self.0.audit_entry("", "node.registered", "", &stored.version);
        let node = self.0.ports.nodes.register_node(&invitation, &stored, self.0.engine.now(), entry).await?;
        let node =
            node.ok_or(ManagementError::Unauthenticated("the join token is wrong, used or expired; create a new one"))?;
        let dispatch_key = client.dispatch_key(node.id);
        Ok(RegisteredNode { node, token: Secret::new(token), dispatch_key })
    }

    /// Returns the node with a token.
    ///
    /// # Errors
    /// [`ManagementError::Unauthenticated`].
    pub async fn authenticate(&self, authorization: Option<&str>) -> Result<Node, ManagementError> {
        let token = authorization.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
        let node = self.0.ports.nodes.node_by_token(&secrets::hash_secret(token)).await?;
        node.ok_or(ManagementError::Unauthenticated("the token of a node is required"))
    }

    /// Returns a task that was dispatched to a node. A node cannot see other tasks.
    ///
    /// # Errors
    /// [`ManagementError::NotFound`].
    pub async fn task(&self, node: &Node, id: TaskId) -> Result<Task, ManagementError> {
        let task = self.0.ports.queries.task(id).await?;
        task.filter(|task| task.node == node.id.to_string()).ok_or_else(|| ManagementError::not_found("task"))
    }

    /// Records a heartbeat.
    ///
    /// # Errors
    /// [`ManagementError::Unavailable`].
    pub async fn record_heartbeat(&self, node: &Node, health: &Health) -> Result<(), ManagementError> {
        let now = self.0.engine.now();
        let was_ready = node.is_ready(now);
        self.0.ports.nodes.record_health(node.id, health, now).await?;
        if !was_ready {
            // Queued jobs may wait for this node.
            self.0.engine.notice();
        }
        Ok(())
    }

    /// Records that a node got a git credential for a task.
    ///
    /// # Errors
    /// [`ManagementError::Unavailable`].
    pub async fn record_credential_use(&self, node: &Node, task: TaskId) -> Result<(), ManagementError> {
        let subject = task.to_string();
        let entry = self.0.audit_entry(node.name.as_str(), "credential.lent", &subject, "to the node of the task");
        Ok(self.0.ports.audit.record(&entry).await?)
    }

    /// Returns the mode of a node, whose address is refused like those of other outgoing requests: never that of the
    /// machine's own network segment or of a cloud's metadata, and one of a private network if the server may call these.
    fn parse_mode(&self, push_url: Option<String>) -> Result<NodeMode, ManagementError> {
        let mode = parse_mode(push_url)?;
        let NodeMode::Push(url) = &mode else { return Ok(mode) };
        let Some(ip) = literal_address(url) else { return Ok(mode) };
        let is_near = match ip {
            IpAddr::V4(ip) => ip.is_link_local() || ip.is_unspecified() || ip.is_broadcast() || ip.is_multicast(),
            IpAddr::V6(ip) => ip.is_unicast_link_local() || ip.is_unspecified() || ip.is_multicast(),
        };
        let is_private = match ip {
            IpAddr::V4(ip) => ip.is_private(),
            IpAddr::V6(ip) => ip.is_unique_local(),
        };
        if is_near || (is_private && !self.0.options.allow_private_addresses) {
            let detail =
                format!("{ip} is no address for a node; ALLOW_PRIVATE_ADDRESSES allows those of a private network");
            return Err(ManagementError::invalid("bad_push_url", detail));
        }
        Ok(mode)
    }

    fn invitation(&self) -> (Secret, Invitation) {
        let token = secrets::generate_secret("pwj_");
        let now = self.0.engine.now();
        let until = now.saturating_add(JOIN_TOKEN_LIFETIME).unwrap_or(now);
        let hash = secrets::hash_secret(&token);
        (Secret::new(token), Invitation { hash, until })
    }
}

/// Returns the address of a URL whose host is one.
fn literal_address(url: &str) -> Option<IpAddr> {
    let host = url.split_once("://")?.1;
    let host = &host[..host.find(['/', '?', '#']).unwrap_or(host.len())];
    let host = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next()?,
        None => host.rsplit_once(':').map_or(host, |(host, _)| host),
    };
    let ip: IpAddr = host.parse().ok()?;
    Some(ip.to_canonical())
}

/// Returns the mode of a node. Pushed tasks contain a credential, so unencrypted HTTP is allowed for this machine only.
fn parse_mode(push_url: Option<String>) -> Result<NodeMode, ManagementError> {
    let Some(url) = push_url.filter(|url| !url.is_empty()) else { return Ok(NodeMode::Pull) };
    let is_plain = url.len() <= MAX_PUSH_URL_CHARS && url.chars().all(|c| c.is_ascii_graphic()) && !url.contains('@');
    let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let is_local = |host: &str| ["127.", "localhost", "[::1]"].iter().any(|near| host.starts_with(near));
    match host {
        Some(host) if is_plain && !host.is_empty() && (url.starts_with("https://") || is_local(host)) => {
            Ok(NodeMode::Push(url))
        }
        _ => {
            let detail = "a push address starts with https://, or with http:// for this machine";
            Err(ManagementError::invalid("bad_push_url", detail))
        }
    }
}
