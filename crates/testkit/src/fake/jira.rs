//! The ports of Jira in memory.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, MutexGuard};

use async_trait::async_trait;
use jiff::Timestamp;
use patchwright_core::Secret;
use patchwright_core::jira::{
    ClaimedJiraEvent, JiraEvent, JiraInbox, JiraUsers, LinkError, Tokens, WorkspaceSecrets, Workspaces,
};
use patchwright_core::store::{EffectOutcome, StoreError};
use patchwright_domain::jira::{Conversation, JiraUser, LinkStatus, ProjectRepository, Workspace};
use patchwright_domain::{JiraEventId, JiraUserId, UserId, WorkspaceId};

#[derive(Debug)]
struct KeptLink {
    link: JiraUser,
    tokens: Option<Tokens>,
    held_until: Option<Timestamp>,
}

#[derive(Debug)]
struct KeptEvent {
    event: JiraEvent,
    attempts: u32,
    not_before: Timestamp,
    ended: Ended,
}

/// How an event ended.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Ended {
    NotYet,
    Done,
    Dead(String),
}

#[derive(Debug, Default)]
struct Tables {
    workspaces: BTreeMap<String, (Workspace, WorkspaceSecrets)>,
    projects: BTreeMap<(WorkspaceId, String), ProjectRepository>,
    links: Vec<KeptLink>,
    states: HashMap<String, (Secret, Timestamp)>,
    events: BTreeMap<JiraEventId, KeptEvent>,
    names: HashMap<String, Timestamp>,
    conversations: Vec<Conversation>,
}

/// Sites, people and events of Jira.
#[derive(Debug, Default)]
pub struct FakeJira(Mutex<Tables>);

impl FakeJira {
    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.0.lock().unwrap()
    }
}

#[async_trait]
impl Workspaces for FakeJira {
    async fn add_workspace(&self, workspace: &Workspace, secrets: &WorkspaceSecrets) -> Result<bool, StoreError> {
        let mut tables = self.tables();
        if tables.workspaces.contains_key(&workspace.name) {
            return Ok(false);
        }
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
    ) -> Result<bool, StoreError> {
        let mut tables = self.tables();
        let Some(known) = tables.workspaces.values_mut().find(|(known, _)| known.id == workspace.id) else {
            return Ok(false);
        };
        known.0 = workspace.clone();
        known.1 = secrets.cloned().unwrap_or_else(|| known.1.clone());
        Ok(true)
    }

    async fn learn(
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

    async fn set_project(&self, id: WorkspaceId, project: &ProjectRepository) -> Result<(), StoreError> {
        self.tables().projects.insert((id, project.project.clone()), project.clone());
        Ok(())
    }

    async fn remove_project(&self, id: WorkspaceId, project: &str) -> Result<bool, StoreError> {
        Ok(self.tables().projects.remove(&(id, project.to_owned())).is_some())
    }
}

#[async_trait]
impl JiraUsers for FakeJira {
    async fn link(&self, link: &JiraUser, tokens: Option<&Tokens>) -> Result<JiraUser, LinkError> {
        let mut tables = self.tables();
        let here = |kept: &&mut KeptLink| kept.link.workspace_id == link.workspace_id;
        for kept in tables.links.iter_mut().filter(here).filter(|kept| kept.link.status == LinkStatus::Active) {
            match (kept.link.user_id == link.user_id, kept.link.account == link.account) {
                (false, true) => return Err(LinkError::AccountTaken),
                (true, false) => return Err(LinkError::OtherAccount),
                _ => {}
            }
        }
        let same = |kept: &&mut KeptLink| kept.link.user_id == link.user_id && kept.link.account == link.account;
        let before = tables.links.iter_mut().filter(here).find(same);
        let Some(kept) = before else {
            tables.links.push(KeptLink { link: link.clone(), tokens: tokens.cloned(), held_until: None });
            return Ok(link.clone());
        };
        let made = JiraUser { id: kept.link.id, created_at: kept.link.created_at, ..link.clone() };
        *kept = KeptLink { link: made.clone(), tokens: tokens.cloned(), held_until: None };
        Ok(made)
    }

    async fn links(&self, of: Option<UserId>) -> Result<Vec<JiraUser>, StoreError> {
        let tables = self.tables();
        let wanted = tables.links.iter().filter(|kept| of.is_none_or(|of| kept.link.user_id == of));
        Ok(wanted.map(|kept| kept.link.clone()).collect())
    }

    async fn jira_user(&self, id: JiraUserId) -> Result<Option<JiraUser>, StoreError> {
        Ok(self.tables().links.iter().find(|kept| kept.link.id == id).map(|kept| kept.link.clone()))
    }

    async fn linked(&self, workspace: WorkspaceId, account: &str) -> Result<Option<JiraUser>, StoreError> {
        let active = |link: &JiraUser| {
            (link.workspace_id, link.account.as_str(), link.status) == (workspace, account, LinkStatus::Active)
        };
        Ok(self.tables().links.iter().map(|kept| &kept.link).find(|link| active(link)).cloned())
    }

    async fn unlink(&self, id: JiraUserId, now: Timestamp) -> Result<bool, StoreError> {
        let mut tables = self.tables();
        let active = |kept: &&mut KeptLink| kept.link.id == id && kept.link.status == LinkStatus::Active;
        let Some(kept) = tables.links.iter_mut().find(active) else { return Ok(false) };
        (kept.link.status, kept.link.updated_at, kept.tokens) = (LinkStatus::Inactive, now, None);
        Ok(true)
    }

    async fn tokens(&self, id: JiraUserId) -> Result<Option<Tokens>, StoreError> {
        Ok(self.tables().links.iter().find(|kept| kept.link.id == id).and_then(|kept| kept.tokens.clone()))
    }

    async fn acquire_refresh(
        &self,
        id: JiraUserId,
        access: &Secret,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut tables = self.tables();
        let Some(kept) = tables.links.iter_mut().find(|kept| kept.link.id == id) else { return Ok(false) };
        let same = kept.tokens.as_ref().is_some_and(|tokens| tokens.access.matches(access.expose()));
        let free = kept.held_until.is_none_or(|held| held <= now);
        if same && free {
            kept.held_until = Some(until);
        }
        Ok(same && free)
    }

    async fn keep_tokens(&self, id: JiraUserId, tokens: Option<&Tokens>) -> Result<(), StoreError> {
        let mut tables = self.tables();
        let active = |kept: &&mut KeptLink| kept.link.id == id && kept.link.status == LinkStatus::Active;
        if let Some(kept) = tables.links.iter_mut().find(active) {
            (kept.tokens, kept.held_until) = (tokens.cloned(), None);
        }
        Ok(())
    }

    async fn release_refresh(&self, id: JiraUserId) -> Result<(), StoreError> {
        if let Some(kept) = self.tables().links.iter_mut().find(|kept| kept.link.id == id) {
            kept.held_until = None;
        }
        Ok(())
    }

    async fn keep_state(&self, hash: &str, what: &Secret, expires_at: Timestamp) -> Result<(), StoreError> {
        let known = self.tables().states.insert(hash.to_owned(), (what.clone(), expires_at));
        assert!(known.is_none(), "a state is kept once");
        Ok(())
    }

    async fn consume_state(&self, hash: &str, now: Timestamp) -> Result<Option<Secret>, StoreError> {
        let taken = self.tables().states.remove(hash);
        Ok(taken.filter(|(_, expires_at)| *expires_at > now).map(|(what, _)| what))
    }
}

#[async_trait]
impl JiraInbox for FakeJira {
    async fn add_event(&self, event: &JiraEvent, names: &[(String, Timestamp)]) -> Result<bool, StoreError> {
        let mut tables = self.tables();
        let same = |kept: &KeptEvent| {
            (kept.event.workspace_id, &kept.event.delivery_id) == (event.workspace_id, &event.delivery_id)
        };
        let is_known =
            |(name, _): &(String, Timestamp)| tables.names.get(name).is_some_and(|until| *until > event.created_at);
        if tables.events.values().any(same) || names.iter().any(is_known) {
            return Ok(false);
        }
        tables.names.extend(names.iter().cloned());
        let kept = KeptEvent { event: event.clone(), attempts: 0, not_before: event.created_at, ended: Ended::NotYet };
        tables.events.insert(event.id, kept);
        Ok(true)
    }

    async fn claim_event(&self, now: Timestamp, until: Timestamp) -> Result<Option<ClaimedJiraEvent>, StoreError> {
        let mut tables = self.tables();
        let issue = |kept: &KeptEvent| (kept.event.workspace_id, kept.event.event.issue.id.clone());
        let mut seen = std::collections::BTreeSet::new();
        // In the order of their ids: the first that waits on an issue holds up the others.
        let first: Vec<JiraEventId> = tables
            .events
            .values()
            .filter(|kept| kept.ended == Ended::NotYet && seen.insert(issue(kept)))
            .map(|kept| kept.event.id)
            .collect();
        let due = first.into_iter().filter(|id| tables.events[id].not_before <= now);
        let Some(id) = due.min_by_key(|id| (tables.events[id].not_before, *id)) else { return Ok(None) };
        let kept = tables.events.get_mut(&id).unwrap();
        kept.attempts += 1;
        kept.not_before = until;
        Ok(Some(ClaimedJiraEvent { event: kept.event.clone(), attempt: kept.attempts }))
    }

    async fn settle_event(&self, id: JiraEventId, outcome: EffectOutcome) -> Result<(), StoreError> {
        let mut tables = self.tables();
        let kept = tables.events.get_mut(&id).expect("what is settled was claimed");
        match outcome {
            EffectOutcome::Done => kept.ended = Ended::Done,
            EffectOutcome::Dead { error } => kept.ended = Ended::Dead(error),
            EffectOutcome::Retry { at, .. } => kept.not_before = at,
            EffectOutcome::Postponed { at, .. } => {
                kept.not_before = at;
                kept.attempts -= 1;
            }
        }
        Ok(())
    }

    async fn dead_events(&self, limit: u16) -> Result<Vec<(JiraEvent, String)>, StoreError> {
        let tables = self.tables();
        let dead = tables.events.values().rev().filter_map(|kept| match &kept.ended {
            Ended::Dead(error) => Some((kept.event.clone(), error.clone())),
            Ended::NotYet | Ended::Done => None,
        });
        Ok(dead.take(usize::from(limit)).collect())
    }

    async fn conversations_on(&self, workspace: WorkspaceId, issue_id: &str) -> Result<Vec<Conversation>, StoreError> {
        let on = |kept: &&Conversation| (kept.workspace_id, kept.issue_id.as_str()) == (workspace, issue_id);
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

    async fn keep_conversation(&self, conversation: &Conversation) -> Result<(), StoreError> {
        let mut tables = self.tables();
        let key = |kept: &Conversation| (kept.workspace_id, kept.issue_id.clone(), kept.jira_user_id);
        match tables.conversations.iter_mut().find(|kept| key(kept) == key(conversation)) {
            Some(kept) => *kept = Conversation { id: kept.id, created_at: kept.created_at, ..conversation.clone() },
            None => tables.conversations.push(conversation.clone()),
        }
        Ok(())
    }

    async fn forget_events(&self, before: Timestamp, now: Timestamp) -> Result<u64, StoreError> {
        let mut tables = self.tables();
        let count = |tables: &Tables| tables.events.len() + tables.names.len() + tables.states.len();
        let all = count(&tables);
        tables.events.retain(|_, kept| kept.ended == Ended::NotYet || kept.event.created_at >= before);
        tables.names.retain(|_, until| *until > now);
        tables.states.retain(|_, (_, until)| *until > now);
        Ok((all - count(&tables)) as u64)
    }
}
