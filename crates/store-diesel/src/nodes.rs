//! The port of nodes.

use std::collections::{BTreeSet, HashMap};

use async_trait::async_trait;
use diesel::dsl::count_star;
use diesel::prelude::*;
use diesel::upsert::excluded;
use jiff::Timestamp;
use patchwright_core::audit::AuditEntry;
use patchwright_core::nodes::{Invitation, NodeChange, Nodes, Registration};
use patchwright_core::store::StoreError;
use patchwright_domain::node::{Candidate, Health, Label, Node, NodeMode};
use patchwright_domain::{NodeId, Task};

use crate::DieselStore;
use crate::audit::{AuditRow, AuditStatements as _};
use crate::db::{TxError, in_read_tx, in_snapshot, in_write_tx, statements, store_error};
use crate::row::task::{TaskRow, TaskStatements as _};
use crate::row::{from_json, json, micros, parse, timestamp, unsigned};
use crate::schema::{node, node_success, task};

const T: &str = "node";

#[derive(Debug, Clone, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = node, treat_none_as_null = true)]
struct NodeRow {
    id: String,
    name: String,
    labels: String,
    own_labels: String,
    push_url: Option<String>,
    capacity: i64,
    draining: bool,
    join_hash: Option<String>,
    join_until: Option<i64>,
    token_hash: Option<String>,
    version: Option<String>,
    health: String,
    instance: Option<String>,
    created_at: i64,
    registered_at: Option<i64>,
    seen_at: Option<i64>,
    used_at: Option<i64>,
}

/// Converts labels for a column: words.
fn words(labels: &BTreeSet<Label>) -> String {
    labels.iter().map(Label::as_str).collect::<Vec<_>>().join(" ")
}

fn push_url(mode: &NodeMode) -> Option<String> {
    match mode {
        NodeMode::Pull => None,
        NodeMode::Push(url) => Some(url.clone()),
    }
}

impl NodeRow {
    fn new(node: &Node, invitation: &Invitation) -> Result<Self, StoreError> {
        Ok(Self {
            id: node.id.to_string(),
            name: node.name.to_string(),
            labels: words(&node.labels),
            own_labels: String::new(),
            push_url: push_url(&node.mode),
            capacity: node.capacity.into(),
            draining: node.draining,
            join_hash: Some(invitation.hash.clone()),
            join_until: Some(micros(invitation.until)),
            token_hash: None,
            version: node.version.clone(),
            health: json(&node.health)?,
            instance: None,
            created_at: micros(node.created_at),
            registered_at: node.registered_at.map(micros),
            seen_at: node.seen_at.map(micros),
            used_at: node.used_at.map(micros),
        })
    }

    fn change(&mut self, change: &NodeChange) {
        if let Some(labels) = &change.labels {
            self.labels = words(labels);
        }
        if let Some(mode) = &change.mode {
            self.push_url = push_url(mode);
        }
        self.capacity = change.capacity.map_or(self.capacity, i64::from);
        self.draining = change.draining.unwrap_or(self.draining);
        if let Some(invitation) = &change.invitation {
            self.join_hash = Some(invitation.hash.clone());
            self.join_until = Some(micros(invitation.until));
            self.token_hash = None;
            self.registered_at = None;
        }
    }

    fn register(&mut self, registration: &Registration, now: i64) {
        self.own_labels = words(&registration.labels);
        self.capacity = registration.capacity.into();
        self.version = Some(registration.version.clone());
        self.token_hash = Some(registration.token.clone());
        (self.join_hash, self.join_until) = (None, None);
        (self.registered_at, self.seen_at) = (Some(now), Some(now));
    }

    fn into_domain(self) -> Result<Node, StoreError> {
        let id = self.id.as_str();
        let time = |at: Option<i64>| at.map(|at| timestamp(T, id, at)).transpose();
        let words = format!("{} {}", self.labels, self.own_labels);
        let labels = words.split_whitespace().map(|word| parse(T, id, Label::parse(word)));
        Ok(Node {
            id: parse(T, id, self.id.parse())?,
            name: parse(T, id, Label::parse(&self.name))?,
            labels: labels.collect::<Result<_, _>>()?,
            mode: self.push_url.clone().map_or(NodeMode::Pull, NodeMode::Push),
            capacity: unsigned(T, id, self.capacity)?,
            draining: self.draining,
            health: from_json(T, id, &self.health)?,
            created_at: timestamp(T, id, self.created_at)?,
            registered_at: time(self.registered_at)?,
            seen_at: time(self.seen_at)?,
            used_at: time(self.used_at)?,
            version: self.version.clone(),
        })
    }
}

statements! {
    trait NodeStatements {
        fn node_row(conn, id: &str) -> QueryResult<Option<NodeRow>> {
            node::table.find(id).select(NodeRow::as_select()).first(conn).optional()
        }

        fn node_with_token(conn, hash: &str) -> QueryResult<Option<NodeRow>> {
            node::table.filter(node::token_hash.eq(hash)).select(NodeRow::as_select()).first(conn).optional()
        }

        fn node_rows(conn) -> QueryResult<Vec<NodeRow>> {
            node::table.order(node::name).select(NodeRow::as_select()).load(conn)
        }

        fn invited(conn, hash: &str, now: i64) -> QueryResult<Option<NodeRow>> {
            node::table
                .filter(node::join_hash.eq(hash).and(node::join_until.gt(now)))
                .select(NodeRow::as_select())
                .first(conn)
                .optional()
        }

        fn overwrite_node(conn, row: &NodeRow) -> QueryResult<usize> {
            diesel::update(node::table.find(&row.id)).set(row).execute(conn)
        }

        fn open_tasks_by_node(conn) -> QueryResult<Vec<(String, i64)>> {
            task::table
                .filter(task::node.ne("").and(task::status.eq_any(["pending", "running"])))
                .group_by(task::node)
                .select((task::node, count_star()))
                .load(conn)
        }
    }
}

fn candidate(row: NodeRow, running: &HashMap<String, i64>) -> Result<Candidate, StoreError> {
    let running = running.get(&row.id).copied().unwrap_or(0);
    Ok(Candidate { running: unsigned(T, &row.id, running)?, node: row.into_domain()? })
}

#[async_trait]
impl Nodes for DieselStore {
    async fn add_node(&self, new: &Node, invitation: &Invitation, audit: AuditEntry) -> Result<bool, StoreError> {
        let (row, audit) = (NodeRow::new(new, invitation)?, AuditRow::from(audit));
        in_write_tx!(self, conn => {
            let insert = diesel::insert_into(node::table).values(&row).on_conflict_do_nothing();
            let added = insert.execute(conn)?;
            conn.audited(added, &audit)
        })
    }

    async fn nodes(&self) -> Result<Vec<Candidate>, StoreError> {
        self.blocking(|db| {
            let (rows, running) = in_snapshot!(db, conn => Ok((conn.node_rows()?, conn.open_tasks_by_node()?)))?;
            let running = running.into_iter().collect();
            rows.into_iter().map(|row| candidate(row, &running)).collect()
        })
        .await
    }

    async fn node(&self, id: NodeId) -> Result<Option<Candidate>, StoreError> {
        let id = id.to_string();
        self.blocking(move |db| {
            let (row, running) = in_snapshot!(db, conn => Ok((conn.node_row(&id)?, conn.open_tasks_by_node()?)))?;
            let running = running.into_iter().collect();
            row.map(|row| candidate(row, &running)).transpose()
        })
        .await
    }

    async fn change_node(&self, id: NodeId, change: NodeChange, audit: AuditEntry) -> Result<bool, StoreError> {
        let (id, audit) = (id.to_string(), AuditRow::from(audit));
        in_write_tx!(self, conn => {
            let Some(mut row) = conn.node_row(&id)? else { return Ok(false) };
            row.change(&change);
            let changed = conn.overwrite_node(&row)?;
            conn.audited(changed, &audit)
        })
    }

    async fn remove_node(&self, id: NodeId, audit: AuditEntry) -> Result<bool, StoreError> {
        let (id, audit) = (id.to_string(), AuditRow::from(audit));
        in_write_tx!(self, conn => {
            let removed = diesel::delete(node::table.find(&id)).execute(conn)?;
            conn.audited(removed, &audit)
        })
    }

    async fn register_node(
        &self,
        invitation: &str,
        registration: &Registration,
        now: Timestamp,
        audit: AuditEntry,
    ) -> Result<Option<Node>, StoreError> {
        let (hash, registration, now) = (invitation.to_owned(), registration.clone(), micros(now));
        let mut audit = AuditRow::from(audit);
        let row = in_write_tx!(self, conn => {
            let Some(mut row) = conn.invited(&hash, now)? else { return Ok(None) };
            row.register(&registration, now);
            // If two use the invitation at the same time, the second one finds it used up.
            let invited = node::table.filter(node::id.eq(&row.id).and(node::join_hash.eq(&hash)));
            let registered = diesel::update(invited).set(&row).execute(conn)?;
            (audit.actor, audit.subject) = (row.name.clone(), row.name.clone());
            Ok(conn.audited(registered, &audit)?.then_some(row))
        })?;
        row.map(NodeRow::into_domain).transpose()
    }

    async fn node_by_token(&self, hash: &str) -> Result<Option<Node>, StoreError> {
        let hash = hash.to_owned();
        self.blocking(move |db| {
            let row = in_read_tx!(db, conn => conn.node_with_token(&hash).map_err(store_error))?;
            row.map(NodeRow::into_domain).transpose()
        })
        .await
    }

    async fn record_health(&self, id: NodeId, health: &Health, now: Timestamp) -> Result<(), StoreError> {
        let (id, health, now) = (id.to_string(), json(health)?, micros(now));
        in_write_tx!(self, conn => {
            let change = diesel::update(node::table.find(&id)).set((node::health.eq(&health), node::seen_at.eq(now)));
            change.execute(conn).map(|_| ()).map_err(TxError::from)
        })
    }

    async fn record_instance(&self, id: NodeId, instance: &str) -> Result<bool, StoreError> {
        let (id, instance) = (id.to_string(), instance.to_owned());
        let known = {
            let id = id.clone();
            self.blocking(move |db| in_read_tx!(db, conn => conn.node_row(&id).map_err(store_error))).await?
        };
        if known.is_none_or(|row| row.instance.as_deref() == Some(&instance)) {
            return Ok(false);
        }
        in_write_tx!(self, conn => {
            let change = diesel::update(node::table.find(&id)).set(node::instance.eq(&instance));
            change.execute(conn).map(|_| true).map_err(TxError::from)
        })
    }

    async fn record_silence(&self, id: NodeId) -> Result<(), StoreError> {
        let id = id.to_string();
        in_write_tx!(self, conn => {
            let change = diesel::update(node::table.find(&id)).set(node::seen_at.eq(None::<i64>));
            change.execute(conn).map(|_| ()).map_err(TxError::from)
        })
    }

    async fn record_use(&self, id: NodeId, now: Timestamp) -> Result<(), StoreError> {
        let (id, now) = (id.to_string(), micros(now));
        in_write_tx!(self, conn => {
            let change = diesel::update(node::table.find(&id)).set(node::used_at.eq(now));
            change.execute(conn).map(|_| ()).map_err(TxError::from)
        })
    }

    async fn record_success(&self, id: NodeId, repository: &str, now: Timestamp) -> Result<(), StoreError> {
        let (id, repository, now) = (id.to_string(), repository.to_owned(), micros(now));
        in_write_tx!(self, conn => {
            if conn.node_row(&id)?.is_none() {
                return Ok(());
            }
            let values = (node_success::node_id.eq(&id), node_success::repo.eq(&repository), node_success::at.eq(now));
            diesel::insert_into(node_success::table)
                .values(values)
                .on_conflict((node_success::node_id, node_success::repo))
                .do_update()
                .set(node_success::at.eq(excluded(node_success::at)))
                .execute(conn)
                .map(|_| ())
                .map_err(TxError::from)
        })
    }

    async fn last_successes(&self) -> Result<HashMap<(NodeId, String), Timestamp>, StoreError> {
        self.blocking(|db| {
            let rows: Vec<(String, String, i64)> =
                in_read_tx!(db, conn => node_success::table.load(conn).map_err(store_error))?;
            rows.into_iter()
                .map(|(id, repo, at)| Ok(((parse(T, &id, id.parse())?, repo), timestamp(T, &id, at)?)))
                .collect()
        })
        .await
    }

    async fn tasks_of_node(&self, id: NodeId) -> Result<Vec<Task>, StoreError> {
        let id = id.to_string();
        self.blocking(move |db| {
            let rows = in_read_tx!(db, conn => conn.tasks_at_node(&id).map_err(store_error))?;
            rows.into_iter().map(TaskRow::into_domain).collect()
        })
        .await
    }
}
