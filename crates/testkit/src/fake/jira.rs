//! The ports of Jira in memory.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard};

use async_trait::async_trait;
use jiff::Timestamp;
use patchwright_core::Secret;
use patchwright_core::audit::{Audit, AuditEntry};
use patchwright_core::jira::{
    ClaimedJiraEvent, JiraEvent, JiraInbox, JiraUsers, LinkError, Tokens, WorkspaceSecrets, Workspaces,
};
use patchwright_core::store::{EffectOutcome, StoreError};
use patchwright_domain::jira::{Conversation, JiraUser, LinkStatus, ProjectRepository, Workspace};
use patchwright_domain::{AuditId, JiraEventId, JiraUserId, UserId, WorkspaceId};

use super::audit::AuditLog;

#[derive(Debug)]
struct StoredLink {
    link: JiraUser,
    tokens: Option<Tokens>,
    held_until: Option<Timestamp>,
}

#[derive(Debug)]
struct StoredEvent {
    event: JiraEvent,
    attempts: u32,
    not_before: Timestamp,
    status: EventStatus,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum EventStatus {
    Waiting,
    Done,
    Dead(String),
}

#[derive(Debug, Default)]
struct Tables {
    workspaces: BTreeMap<String, (Workspace, WorkspaceSecrets)>,
    projects: BTreeMap<(WorkspaceId, String), ProjectRepository>,
    links: Vec<StoredLink>,
    states: HashMap<String, (Secret, Timestamp)>,
    events: BTreeMap<JiraEventId, StoredEvent>,
    keys: HashMap<String, Timestamp>,
    conversations: Vec<Conversation>,
    audit: AuditLog,
}

/// The ports of Jira in memory: sites, links, events and the audit log.
#[derive(Debug, Default)]
pub struct FakeJira(Mutex<Tables>);

impl FakeJira {
    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.0.lock().unwrap()
    }
}

#[async_trait]
impl Workspaces for FakeJira {
    async fn add_workspace(
        &self,
        workspace: &Workspace,
        secrets: &WorkspaceSecrets,
        audit: AuditEntry,
    ) -> Result<bool, StoreError> {
        let mut tables = self.tables();
        if tables.workspaces.contains_key(&workspace.name) {
            return Ok(false);
        }
        tables.audit.record(audit)?;
        tables.workspaces.insert(workspace.name.clone(), (workspace.clone(), secrets.clone()));
        Ok(true)
    }

    async fn workspaces(&self) -> Result<Vec<Workspace>, StoreError> {
        Ok(self.tables().workspaces.values().map(|(workspace, _)| workspace.clone()).collect())
    }

    async fn workspace(&self, id: WorkspaceId) -> Result<Option<Workspace>, StoreError> {
        Ok(self.workspaces().await?.into_iter().find(|workspace| workspace.id == id))
    }

    async fn open_workspace(&self, name: &str) -> Result<Option<(Workspace, WorkspaceSecrets)>, StoreError> {
        Ok(self.tables().workspaces.get(name).cloned())
    }

    async fn change_workspace(
        &self,
        workspace: &Workspace,
        secrets: Option<&WorkspaceSecrets>,
        audit: AuditEntry,
    ) -> Result<bool, StoreError> {
        let tables = &mut *self.tables();
        let Some(known) = tables.workspaces.values_mut().find(|(known, _)| known.id == workspace.id) else {
            return Ok(false);
        };
        tables.audit.record(audit)?;
        known.0 = workspace.clone();
        known.1 = secrets.cloned().unwrap_or_else(|| known.1.clone());
        Ok(true)
    }

    async fn set_discovered(
        &self,
        id: WorkspaceId,
        cloud_id: Option<&str>,
        own_account: Option<&str>,
    ) -> Result<(), StoreError> {
        if let Some((known, _)) = self.tables().workspaces.values_mut().find(|(known, _)| known.id == id) {
            known.cloud_id = cloud_id.map(str::to_owned).or(known.cloud_id.take());
            known.own_account = own_account.map(str::to_owned).or(known.own_account.take());
        }
        Ok(())
    }

    async fn projects(&self, id: WorkspaceId) -> Result<Vec<ProjectRepository>, StoreError> {
        let tables = self.tables();
        let of = tables.projects.iter().filter(|((workspace, _), _)| *workspace == id);
        Ok(of.map(|(_, project)| project.clone()).collect())
    }

    async fn set_project(
        &self,
        id: WorkspaceId,
        project: &ProjectRepository,
        audit: AuditEntry,
    ) -> Result<(), StoreError> {
        let mut tables = self.tables();
        tables.audit.record(audit)?;
        tables.projects.insert((id, project.project.clone()), project.clone());
        Ok(())
    }

    async fn remove_project(&self, id: WorkspaceId, project: &str, audit: AuditEntry) -> Result<bool, StoreError> {
        let (mut tables, key) = (self.tables(), (id, project.to_owned()));
        if !tables.projects.contains_key(&key) {
            return Ok(false);
        }
        tables.audit.record(audit)?;
        tables.projects.remove(&key);
        Ok(true)
    }
}

#[async_trait]
impl JiraUsers for FakeJira {
    async fn link(&self, link: &JiraUser, tokens: Option<&Tokens>, audit: AuditEntry) -> Result<JiraUser, LinkError> {
        let tables = &mut *self.tables();
        let here = |stored: &&mut StoredLink| stored.link.workspace_id == link.workspace_id;
        for stored in tables.links.iter_mut().filter(here).filter(|stored| stored.link.status == LinkStatus::Active) {
            match (stored.link.user_id == link.user_id, stored.link.account == link.account) {
                (false, true) => return Err(LinkError::AccountTaken),
                (true, false) => return Err(LinkError::OtherAccount),
                _ => {}
            }
        }
        tables.audit.record(audit)?;
        let same =
            |stored: &&mut StoredLink| stored.link.user_id == link.user_id && stored.link.account == link.account;
        let before = tables.links.iter_mut().filter(here).find(same);
        let Some(stored) = before else {
            tables.links.push(StoredLink { link: link.clone(), tokens: tokens.cloned(), held_until: None });
            return Ok(link.clone());
        };
        let renewed = JiraUser { id: stored.link.id, created_at: stored.link.created_at, ..link.clone() };
        *stored = StoredLink { link: renewed.clone(), tokens: tokens.cloned(), held_until: None };
        Ok(renewed)
    }

    async fn links(&self, of: Option<UserId>) -> Result<Vec<JiraUser>, StoreError> {
        let tables = self.tables();
        let matching = tables.links.iter().filter(|stored| of.is_none_or(|of| stored.link.user_id == of));
        Ok(matching.map(|stored| stored.link.clone()).collect())
    }

    async fn jira_user(&self, id: JiraUserId) -> Result<Option<JiraUser>, StoreError> {
        Ok(self.tables().links.iter().find(|stored| stored.link.id == id).map(|stored| stored.link.clone()))
    }

    async fn linked(&self, workspace: WorkspaceId, account: &str) -> Result<Option<JiraUser>, StoreError> {
        let active = |link: &JiraUser| {
            (link.workspace_id, link.account.as_str(), link.status) == (workspace, account, LinkStatus::Active)
        };
        Ok(self.tables().links.iter().map(|stored| &stored.link).find(|link| active(link)).cloned())
    }

    async fn unlink(&self, id: JiraUserId, now: Timestamp, audit: AuditEntry) -> Result<bool, StoreError> {
        let tables = &mut *self.tables();
        let active = |stored: &&mut StoredLink| stored.link.id == id && stored.link.status == LinkStatus::Active;
        let Some(stored) = tables.links.iter_mut().find(active) else { return Ok(false) };
        tables.audit.record(audit)?;
        (stored.link.status, stored.link.updated_at, stored.tokens) = (LinkStatus::Inactive, now, None);
        Ok(true)
    }

    async fn tokens(&self, id: JiraUserId) -> Result<Option<Tokens>, StoreError> {
        Ok(self.tables().links.iter().find(|stored| stored.link.id == id).and_then(|stored| stored.tokens.clone()))
    }

    async fn acquire_refresh(
        &self,
        id: JiraUserId,
        access: &Secret,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut tables = self.tables();
        let Some(stored) = tables.links.iter_mut().find(|stored| stored.link.id == id) else { return Ok(false) };
        let same = stored.tokens.as_ref().is_some_and(|tokens| tokens.access.matches(access.expose()));
        let free = stored.held_until.is_none_or(|held| held <= now);
        if same && free {
            stored.held_until = Some(until);
        }
        Ok(same && free)
    }

    async fn store_tokens(&self, id: JiraUserId, tokens: Option<&Tokens>) -> Result<(), StoreError> {
        let mut tables = self.tables();
        let active = |stored: &&mut StoredLink| stored.link.id == id && stored.link.status == LinkStatus::Active;
        if let Some(stored) = tables.links.iter_mut().find(active) {
            (stored.tokens, stored.held_until) = (tokens.cloned(), None);
        }
        Ok(())
    }

    async fn release_refresh(&self, id: JiraUserId) -> Result<(), StoreError> {
        if let Some(stored) = self.tables().links.iter_mut().find(|stored| stored.link.id == id) {
            stored.held_until = None;
        }
        Ok(())
    }

    async fn store_state(&self, hash: &str, what: &Secret, expires_at: Timestamp) -> Result<(), StoreError> {
        let known = self.tables().states.insert(hash.to_owned(), (what.clone(), expires_at));
        assert!(known.is_none(), "a state is stored once");
        Ok(())
    }

    async fn consume_state(&self, hash: &str, now: Timestamp) -> Result<Option<Secret>, StoreError> {
        let taken = self.tables().states.remove(hash);
        Ok(taken.filter(|(_, expires_at)| *expires_at > now).map(|(what, _)| what))
    }
}

#[async_trait]
impl JiraInbox for FakeJira {
    async fn add_event(&self, event: &JiraEvent, keys: &[(String, Timestamp)]) -> Result<bool, StoreError> {
        let mut tables = self.tables();
        let same = |stored: &StoredEvent| {
            (stored.event.workspace_id, &stored.event.delivery_id) == (event.workspace_id, &event.delivery_id)
        };
        let is_known =
            |(key, _): &(String, Timestamp)| tables.keys.get(key).is_some_and(|until| *until > event.created_at);
        if tables.events.values().any(same) || keys.iter().any(is_known) {
            return Ok(false);
        }
        tables.keys.extend(keys.iter().cloned());
        let stored = StoredEvent {
            event: event.clone(),
            attempts: 0,
            not_before: event.created_at,
            status: EventStatus::Waiting,
        };
        tables.events.insert(event.id, stored);
        Ok(true)
    }

    async fn claim_event(&self, now: Timestamp, until: Timestamp) -> Result<Option<ClaimedJiraEvent>, StoreError> {
        let mut tables = self.tables();
        let issue = |stored: &StoredEvent| (stored.event.workspace_id, stored.event.event.issue.id.clone());
        let mut seen = std::collections::BTreeSet::new();
        // In the order of their ids: the first waiting event of an issue blocks the others.
        let first: Vec<JiraEventId> = tables
            .events
            .values()
            .filter(|stored| stored.status == EventStatus::Waiting && seen.insert(issue(stored)))
            .map(|stored| stored.event.id)
            .collect();
        let due = first.into_iter().filter(|id| tables.events[id].not_before <= now);
        let Some(id) = due.min_by_key(|id| (tables.events[id].not_before, *id)) else { return Ok(None) };
        let stored = tables.events.get_mut(&id).unwrap();
        stored.attempts += 1;
        stored.not_before = until;
        Ok(Some(ClaimedJiraEvent { event: stored.event.clone(), attempt: stored.attempts }))
    }

    async fn settle_event(&self, id: JiraEventId, outcome: EffectOutcome) -> Result<(), StoreError> {
        let mut tables = self.tables();
        let stored = tables.events.get_mut(&id).expect("what is settled was claimed");
        match outcome {
            EffectOutcome::Done => stored.status = EventStatus::Done,
            EffectOutcome::Dead { error } => stored.status = EventStatus::Dead(error),
            EffectOutcome::Retry { at, .. } => stored.not_before = at,
            EffectOutcome::Postponed { at, .. } => {
                stored.not_before = at;
                stored.attempts -= 1;
            }
        }
        Ok(())
    }

    async fn dead_events(&self, limit: u16) -> Result<Vec<(JiraEvent, String)>, StoreError> {
        let tables = self.tables();
        let dead = tables.events.values().rev().filter_map(|stored| match &stored.status {
            EventStatus::Dead(error) => Some((stored.event.clone(), error.clone())),
            EventStatus::Waiting | EventStatus::Done => None,
        });
        Ok(dead.take(usize::from(limit)).collect())
    }

    async fn conversations_on(&self, workspace: WorkspaceId, issue_id: &str) -> Result<Vec<Conversation>, StoreError> {
        let on = |stored: &&Conversation| (stored.workspace_id, stored.issue_id.as_str()) == (workspace, issue_id);
        let mut found: Vec<Conversation> = self.tables().conversations.iter().filter(on).cloned().collect();
        found.sort_by_key(|conversation| conversation.created_at);
        Ok(found)
    }

    async fn conversations(&self, limit: u16) -> Result<Vec<Conversation>, StoreError> {
        let mut all = self.tables().conversations.clone();
        all.sort_by_key(|conversation| std::cmp::Reverse(conversation.updated_at));
        all.truncate(usize::from(limit));
        Ok(all)
    }

    async fn store_conversation(&self, conversation: &Conversation) -> Result<(), StoreError> {
        let mut tables = self.tables();
        let key = |stored: &Conversation| (stored.workspace_id, stored.issue_id.clone(), stored.jira_user_id);
        match tables.conversations.iter_mut().find(|stored| key(stored) == key(conversation)) {
            Some(stored) => {
                *stored = Conversation { id: stored.id, created_at: stored.created_at, ..conversation.clone() }
            }
            None => tables.conversations.push(conversation.clone()),
        }
        Ok(())
    }

    async fn forget_events(&self, before: Timestamp, now: Timestamp) -> Result<u64, StoreError> {
        let mut tables = self.tables();
        let count = |tables: &Tables| tables.events.len() + tables.keys.len() + tables.states.len();
        let all = count(&tables);
        tables.events.retain(|_, stored| stored.status == EventStatus::Waiting || stored.event.created_at >= before);
        tables.keys.retain(|_, until| *until > now);
        tables.states.retain(|_, (_, until)| *until > now);
        Ok((all - count(&tables)) as u64)
    }
}

#[async_trait]
impl Audit for FakeJira {
    async fn record(&self, entry: &AuditEntry) -> Result<(), StoreError> {
        self.tables().audit.record(entry.clone())
    }

    async fn entries(&self, before: Option<AuditId>, limit: u16) -> Result<Vec<AuditEntry>, StoreError> {
        Ok(self.tables().audit.entries(before, limit))
    }
}
