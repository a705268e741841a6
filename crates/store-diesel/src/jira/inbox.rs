//! What sites tell, and the conversations that come of it.

use async_trait::async_trait;
use diesel::prelude::*;
use diesel::upsert::excluded;
use jiff::Timestamp;
use patchwright_core::jira::{ClaimedJiraEvent, JiraEvent, JiraInbox};
use patchwright_core::store::{EffectOutcome, StoreError};
use patchwright_domain::jira::Conversation;
use patchwright_domain::{DeliveryId, JiraEventId, PlatformId, WorkspaceId};

use crate::Vault;
use crate::db::{TxError, read, snapshot, statements, store_error, write};
use crate::row::effect::{DEAD, WAITING, after};
use crate::row::{from_json, json, micros, parse, timestamp, unsigned};
use crate::schema::{jira_conversation, jira_event, jira_seen, jira_state};

const T: &str = "jira_event";

#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = jira_event)]
struct EventRow {
    id: String,
    workspace_id: String,
    delivery_id: String,
    issue_id: String,
    body: String,
    status: String,
    attempts: i64,
    not_before: i64,
    error: Option<String>,
    created_at: i64,
}

impl EventRow {
    fn into_domain(self) -> Result<JiraEvent, StoreError> {
        let id = self.id.as_str();
        Ok(JiraEvent {
            id: parse(T, id, self.id.parse())?,
            workspace_id: parse(T, id, self.workspace_id.parse())?,
            delivery_id: parse(T, id, DeliveryId::parse(&self.delivery_id))?,
            event: from_json(T, id, &self.body)?,
            created_at: timestamp(T, id, self.created_at)?,
        })
    }
}

#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = jira_conversation)]
struct ConversationRow {
    conversation_id: String,
    workspace_id: String,
    issue_id: String,
    issue_key: String,
    jira_user_id: String,
    platform: Option<String>,
    repo: Option<String>,
    asked: Option<String>,
    created_at: i64,
    updated_at: i64,
}

impl ConversationRow {
    fn new(conversation: &Conversation) -> Result<Self, StoreError> {
        let (platform, repo) = conversation.repository.clone().unzip();
        Ok(Self {
            conversation_id: conversation.id.to_string(),
            workspace_id: conversation.workspace_id.to_string(),
            issue_id: conversation.issue_id.clone(),
            issue_key: conversation.issue_key.clone(),
            jira_user_id: conversation.jira_user_id.to_string(),
            platform: platform.map(|platform| platform.as_str().to_owned()),
            repo: repo.map(|repo| repo.to_string()),
            asked: conversation.asked.as_ref().map(json).transpose()?,
            created_at: micros(conversation.created_at),
            updated_at: micros(conversation.updated_at),
        })
    }

    fn into_domain(self) -> Result<Conversation, StoreError> {
        const T: &str = "jira_conversation";
        let id = self.conversation_id.as_str();
        let repo = self.repo.as_ref().map(|repo| parse(T, id, repo.parse())).transpose()?;
        Ok(Conversation {
            id: parse(T, id, self.conversation_id.parse())?,
            workspace_id: parse(T, id, self.workspace_id.parse())?,
            jira_user_id: parse(T, id, self.jira_user_id.parse())?,
            repository: self.platform.map(PlatformId::new).zip(repo),
            asked: self.asked.as_deref().map(|text| from_json(T, id, text)).transpose()?,
            created_at: timestamp(T, id, self.created_at)?,
            updated_at: timestamp(T, id, self.updated_at)?,
            issue_id: self.issue_id,
            issue_key: self.issue_key,
        })
    }
}

diesel::alias!(jira_event as older: Older);

statements! {
    trait InboxStatements {
        // `false` when the name is known yet.
        fn see(conn, name: &str, until: i64, now: i64) -> QueryResult<bool> {
            let fresh = (jira_seen::name.eq(name), jira_seen::expires_at.eq(until));
            if diesel::insert_into(jira_seen::table).values(fresh).on_conflict_do_nothing().execute(conn)? > 0 {
                return Ok(true);
            }
            let over = jira_seen::table.find(name).filter(jira_seen::expires_at.le(now));
            Ok(diesel::update(over).set(jira_seen::expires_at.eq(until)).execute(conn)? > 0)
        }

        fn due_event(conn, now: i64) -> QueryResult<Option<EventRow>> {
            let before = older
                .filter(older.field(jira_event::status).eq(WAITING))
                .filter(older.field(jira_event::workspace_id).eq(jira_event::workspace_id))
                .filter(older.field(jira_event::issue_id).eq(jira_event::issue_id))
                .filter(older.field(jira_event::id).lt(jira_event::id));
            jira_event::table
                .filter(jira_event::status.eq(WAITING).and(jira_event::not_before.le(now)))
                .filter(diesel::dsl::not(diesel::dsl::exists(before)))
                .order((jira_event::not_before, jira_event::id))
                .select(EventRow::as_select())
                .first(conn)
                .optional()
        }

        fn dead_event_rows(conn, limit: u16) -> QueryResult<Vec<EventRow>> {
            jira_event::table
                .filter(jira_event::status.eq(DEAD))
                .order(jira_event::id.desc())
                .limit(i64::from(limit))
                .select(EventRow::as_select())
                .load(conn)
        }

        fn conversation_rows(conn, workspace: &str, issue: &str) -> QueryResult<Vec<ConversationRow>> {
            jira_conversation::table
                .filter(jira_conversation::workspace_id.eq(workspace).and(jira_conversation::issue_id.eq(issue)))
                .order(jira_conversation::created_at)
                .select(ConversationRow::as_select())
                .load(conn)
        }

        fn last_conversations(conn, limit: u16) -> QueryResult<Vec<ConversationRow>> {
            jira_conversation::table
                .order((jira_conversation::updated_at.desc(), jira_conversation::conversation_id))
                .limit(i64::from(limit))
                .select(ConversationRow::as_select())
                .load(conn)
        }

        fn upsert_conversation(conn, row: &ConversationRow) -> QueryResult<usize> {
            use jira_conversation as c;
            diesel::insert_into(c::table)
                .values(row)
                .on_conflict((c::workspace_id, c::issue_id, c::jira_user_id))
                .do_update()
                .set((
                    c::issue_key.eq(excluded(c::issue_key)),
                    c::platform.eq(excluded(c::platform)),
                    c::repo.eq(excluded(c::repo)),
                    c::asked.eq(excluded(c::asked)),
                    c::updated_at.eq(excluded(c::updated_at)),
                ))
                .execute(conn)
        }
    }
}

#[async_trait]
impl JiraInbox for Vault {
    async fn add_event(&self, event: &JiraEvent, names: &[(String, Timestamp)]) -> Result<bool, StoreError> {
        let row = EventRow {
            id: event.id.to_string(),
            workspace_id: event.workspace_id.to_string(),
            delivery_id: event.delivery_id.to_string(),
            issue_id: event.event.issue.id.clone(),
            body: json(&event.event)?,
            status: WAITING.to_owned(),
            attempts: 0,
            not_before: micros(event.created_at),
            error: None,
            created_at: micros(event.created_at),
        };
        let names: Vec<(String, i64)> = names.iter().map(|(name, until)| (name.clone(), micros(*until))).collect();
        let written = write!(self.store, conn => {
            // Whoever knows it already ends the transaction, and nothing of it stays.
            let known = || TxError::from(StoreError::Repeated { job_id: None, same_delivery: true, altered: false });
            let insert = diesel::insert_into(jira_event::table).values(&row).on_conflict_do_nothing();
            if insert.execute(conn)? == 0 {
                return Err(known());
            }
            for (name, until) in &names {
                if !conn.see(name, *until, row.created_at)? {
                    return Err(known());
                }
            }
            Ok(())
        });
        match written {
            Ok(()) => Ok(true),
            Err(StoreError::Repeated { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn claim_event(&self, now: Timestamp, until: Timestamp) -> Result<Option<ClaimedJiraEvent>, StoreError> {
        let (at, held) = (micros(now), micros(until));
        let found = self.store.blocking(move |db| snapshot!(db, conn => conn.due_event(at))).await?;
        let Some(row) = found else { return Ok(None) };
        let (id, attempts) = (row.id.clone(), row.attempts);
        let taken = write!(self.store, conn => {
            // Of several workers that saw it, one finds it as it was.
            let same = jira_event::table.filter(jira_event::id.eq(&id).and(jira_event::attempts.eq(attempts)));
            let taken = (jira_event::attempts.eq(attempts + 1), jira_event::not_before.eq(held));
            diesel::update(same.filter(jira_event::status.eq(WAITING))).set(taken).execute(conn).map_err(TxError::from)
        })?;
        if taken == 0 {
            return Ok(None);
        }
        let attempt = unsigned(T, &row.id, attempts + 1)?;
        Ok(Some(ClaimedJiraEvent { event: row.into_domain()?, attempt }))
    }

    async fn settle_event(&self, id: JiraEventId, outcome: EffectOutcome) -> Result<(), StoreError> {
        let id = id.to_string();
        let untried = i64::from(matches!(outcome, EffectOutcome::Postponed { .. }));
        let (status, again, error) = after(outcome);
        write!(self.store, conn => {
            let row = jira_event::table.find(&id);
            diesel::update(row).set((jira_event::status.eq(status), jira_event::error.eq(&error))).execute(conn)?;
            if let Some(at) = again {
                let later = (jira_event::not_before.eq(at), jira_event::attempts.eq(jira_event::attempts - untried));
                diesel::update(row).set(later).execute(conn)?;
            }
            Ok::<_, TxError>(())
        })
    }

    async fn dead_events(&self, limit: u16) -> Result<Vec<(JiraEvent, String)>, StoreError> {
        let rows = self.store.blocking(move |db| read!(db, conn => conn.dead_event_rows(limit).map_err(store_error)));
        let dead = |row: EventRow| {
            let why = row.error.clone().unwrap_or_default();
            Ok((row.into_domain()?, why))
        };
        rows.await?.into_iter().map(dead).collect()
    }

    async fn conversations_on(&self, workspace: WorkspaceId, issue_id: &str) -> Result<Vec<Conversation>, StoreError> {
        let (workspace, issue_id) = (workspace.to_string(), issue_id.to_owned());
        let rows = self
            .store
            .blocking(move |db| read!(db, conn => conn.conversation_rows(&workspace, &issue_id).map_err(store_error)));
        rows.await?.into_iter().map(ConversationRow::into_domain).collect()
    }

    async fn conversations(&self, limit: u16) -> Result<Vec<Conversation>, StoreError> {
        let rows =
            self.store.blocking(move |db| read!(db, conn => conn.last_conversations(limit).map_err(store_error)));
        rows.await?.into_iter().map(ConversationRow::into_domain).collect()
    }

    async fn keep_conversation(&self, conversation: &Conversation) -> Result<(), StoreError> {
        let row = ConversationRow::new(conversation)?;
        write!(self.store, conn => conn.upsert_conversation(&row).map(|_| ()).map_err(TxError::from))
    }

    async fn forget_events(&self, before: Timestamp, now: Timestamp) -> Result<u64, StoreError> {
        let (before, now) = (micros(before), micros(now));
        let gone = write!(self.store, conn => {
            let old = jira_event::table.filter(jira_event::created_at.lt(before).and(jira_event::status.ne(WAITING)));
            let mut gone = diesel::delete(old).execute(conn)?;
            gone += diesel::delete(jira_seen::table.filter(jira_seen::expires_at.le(now))).execute(conn)?;
            gone += diesel::delete(jira_state::table.filter(jira_state::expires_at.le(now))).execute(conn)?;
            Ok::<_, TxError>(gone)
        })?;
        Ok(gone as u64)
    }
}
