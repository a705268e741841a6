//! The port of links between users and their Atlassian accounts.

use async_trait::async_trait;
use diesel::prelude::*;
use jiff::Timestamp;
use patchwright_core::Secret;
use patchwright_core::audit::AuditEntry;
use patchwright_core::jira::{JiraUsers, LinkError, Tokens};
use patchwright_core::store::StoreError;
use patchwright_domain::jira::{JiraUser, LinkStatus};
use patchwright_domain::{JiraUserId, UserId, WorkspaceId};
use serde::{Deserialize, Serialize};

use crate::Vault;
use crate::audit::{AuditRow, AuditStatements as _};
use crate::db::{TxError, corrupt_row, in_read_tx, in_write_tx, statements, store_error};
use crate::row::{from_json, json, micros, parse, timestamp};
use crate::schema::{jira_state, jira_user};
use crate::seal::{Sealed, Sealer};

const T: &str = "jira_user";

#[derive(Debug, Clone, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = jira_user, treat_none_as_null = true)]
pub(super) struct UserRow {
    id: String,
    user_id: String,
    jira_user_id: String,
    workspace_id: String,
    display_name: String,
    status: String,
    key_id: Option<String>,
    sealed: Option<Vec<u8>>,
    held_until: Option<i64>,
    created_at: i64,
    updated_at: i64,
}

#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = jira_state)]
struct StateRow {
    hash: String,
    key_id: String,
    sealed: Vec<u8>,
    expires_at: i64,
}

/// Tokens before they are encrypted.
#[derive(Serialize, Deserialize)]
struct PlainTokens {
    access: String,
    expires_at: Timestamp,
    refresh: Option<String>,
}

/// The outcome of an attempt to link.
enum Linked {
    Done(Box<UserRow>),
    AccountTaken,
    OtherAccount,
}

impl UserRow {
    fn place(&self) -> String {
        format!("jira_user/sealed/{}", self.id)
    }

    fn seal_text(&mut self, sealer: &Sealer, text: &Secret) {
        let Sealed { key_id, bytes } = sealer.seal(text, &self.place());
        (self.key_id, self.sealed) = (Some(key_id), Some(bytes));
    }

    fn seal(&mut self, sealer: &Sealer, tokens: Option<&Tokens>) -> Result<(), StoreError> {
        (self.key_id, self.sealed, self.held_until) = (None, None, None);
        if let Some(tokens) = tokens {
            let plain = PlainTokens {
                access: tokens.access.expose().to_owned(),
                expires_at: tokens.expires_at,
                refresh: tokens.refresh.as_ref().map(|refresh| refresh.expose().to_owned()),
            };
            self.seal_text(sealer, &Secret::new(json(&plain)?));
        }
        Ok(())
    }

    fn open_text(&self, sealer: &Sealer) -> Result<Option<Secret>, StoreError> {
        let (Some(key_id), Some(bytes)) = (&self.key_id, &self.sealed) else { return Ok(None) };
        sealer.open(&Sealed { key_id: key_id.clone(), bytes: bytes.clone() }, &self.place()).map(Some)
    }

    fn open(&self, sealer: &Sealer) -> Result<Option<Tokens>, StoreError> {
        let Some(text) = self.open_text(sealer)? else { return Ok(None) };
        let plain: PlainTokens = from_json(T, &self.id, text.expose())?;
        Ok(Some(Tokens {
            access: Secret::new(plain.access),
            expires_at: plain.expires_at,
            refresh: plain.refresh.map(Secret::new),
        }))
    }

    fn is_active(&self) -> bool {
        self.status == LinkStatus::Active.as_str()
    }

    fn into_domain(self) -> Result<JiraUser, StoreError> {
        let id = self.id.as_str();
        Ok(JiraUser {
            id: parse(T, id, self.id.parse())?,
            user_id: parse(T, id, self.user_id.parse())?,
            workspace_id: parse(T, id, self.workspace_id.parse())?,
            status: LinkStatus::parse(&self.status).ok_or_else(|| corrupt_row(T, id, &self.status))?,
            created_at: timestamp(T, id, self.created_at)?,
            updated_at: timestamp(T, id, self.updated_at)?,
            account: self.jira_user_id,
            display_name: self.display_name,
        })
    }
}

statements! {
    pub(super) trait UserStatements {
        fn link_rows(conn) -> QueryResult<Vec<UserRow>> {
            jira_user::table.order(jira_user::id.desc()).select(UserRow::as_select()).load(conn)
        }

        fn link_row(conn, id: &str) -> QueryResult<Option<UserRow>> {
            jira_user::table.find(id).select(UserRow::as_select()).first(conn).optional()
        }

        fn link_of_account(conn, workspace: &str, account: &str) -> QueryResult<Option<UserRow>> {
            jira_user::table
                .filter(jira_user::workspace_id.eq(workspace).and(jira_user::jira_user_id.eq(account)))
                .filter(jira_user::status.eq(LinkStatus::Active.as_str()))
                .select(UserRow::as_select())
                .first(conn)
                .optional()
        }

        fn links_of_person(conn, workspace: &str, person: &str) -> QueryResult<Vec<UserRow>> {
            jira_user::table
                .filter(jira_user::workspace_id.eq(workspace).and(jira_user::user_id.eq(person)))
                .select(UserRow::as_select())
                .load(conn)
        }

        fn overwrite_link(conn, row: &UserRow) -> QueryResult<usize> {
            diesel::update(jira_user::table.find(&row.id)).set(row).execute(conn)
        }

        fn reseal_links(conn, sealer: &Sealer) -> Result<u64, TxError> {
            let mut count = 0;
            for mut row in conn.link_rows()? {
                if row.key_id.as_deref().is_none_or(|id| id == sealer.key_id()) {
                    continue;
                }
                if let Some(text) = row.open_text(sealer)? {
                    row.seal_text(sealer, &text);
                    conn.overwrite_link(&row)?;
                    count += 1;
                }
            }
            Ok(count)
        }
    }
}

impl Vault {
    async fn link_by_id(&self, id: JiraUserId) -> Result<Option<UserRow>, StoreError> {
        let id = id.to_string();
        self.store.blocking(move |db| in_read_tx!(db, conn => conn.link_row(&id).map_err(store_error))).await
    }
}

#[async_trait]
impl JiraUsers for Vault {
    async fn link(&self, link: &JiraUser, tokens: Option<&Tokens>, audit: AuditEntry) -> Result<JiraUser, LinkError> {
        let new = UserRow {
            id: link.id.to_string(),
            user_id: link.user_id.to_string(),
            jira_user_id: link.account.clone(),
            workspace_id: link.workspace_id.to_string(),
            display_name: link.display_name.clone(),
            status: LinkStatus::Active.as_str().to_owned(),
            key_id: None,
            sealed: None,
            held_until: None,
            created_at: micros(link.created_at),
            updated_at: micros(link.updated_at),
        };
        let (sealer, tokens, audit) = (self.sealer.clone(), tokens.cloned(), AuditRow::from(audit));
        let linked = in_write_tx!(self.store, conn => {
            let taken = conn.link_of_account(&new.workspace_id, &new.jira_user_id)?;
            if taken.is_some_and(|row| row.user_id != new.user_id) {
                return Ok(Linked::AccountTaken);
            }
            let known = conn.links_of_person(&new.workspace_id, &new.user_id)?;
            if known.iter().any(|row| row.is_active() && row.jira_user_id != new.jira_user_id) {
                return Ok(Linked::OtherAccount);
            }
            let before = known.into_iter().find(|row| row.jira_user_id == new.jira_user_id);
            let mut row = match &before {
                Some(before) => UserRow { id: before.id.clone(), created_at: before.created_at, ..new.clone() },
                None => new.clone(),
            };
            row.seal(&sealer, tokens.as_ref())?;
            if before.is_some() {
                conn.overwrite_link(&row)?;
            } else {
                diesel::insert_into(jira_user::table).values(&row).execute(conn)?;
            }
            conn.insert_audit(&audit)?;
            Ok(Linked::Done(Box::new(row)))
        })?;
        match linked {
            Linked::Done(row) => Ok(row.into_domain()?),
            Linked::AccountTaken => Err(LinkError::AccountTaken),
            Linked::OtherAccount => Err(LinkError::OtherAccount),
        }
    }

    async fn links(&self, of: Option<UserId>) -> Result<Vec<JiraUser>, StoreError> {
        let rows = self.store.blocking(|db| in_read_tx!(db, conn => conn.link_rows().map_err(store_error))).await?;
        let all: Result<Vec<JiraUser>, StoreError> = rows.into_iter().map(UserRow::into_domain).collect();
        Ok(all?.into_iter().filter(|link| of.is_none_or(|of| link.user_id == of)).collect())
    }

    async fn jira_user(&self, id: JiraUserId) -> Result<Option<JiraUser>, StoreError> {
        self.link_by_id(id).await?.map(UserRow::into_domain).transpose()
    }

    async fn linked(&self, workspace: WorkspaceId, account: &str) -> Result<Option<JiraUser>, StoreError> {
        let (workspace, account) = (workspace.to_string(), account.to_owned());
        let row = self.store.blocking(
            move |db| in_read_tx!(db, conn => conn.link_of_account(&workspace, &account).map_err(store_error)),
        );
        row.await?.map(UserRow::into_domain).transpose()
    }

    async fn unlink(&self, id: JiraUserId, now: Timestamp, audit: AuditEntry) -> Result<bool, StoreError> {
        let (id, now, audit) = (id.to_string(), micros(now), AuditRow::from(audit));
        in_write_tx!(self.store, conn => {
            let active = jira_user::table.find(&id).filter(jira_user::status.eq(LinkStatus::Active.as_str()));
            let ended = (
                jira_user::status.eq(LinkStatus::Inactive.as_str()),
                jira_user::key_id.eq(None::<String>),
                jira_user::sealed.eq(None::<Vec<u8>>),
                jira_user::held_until.eq(None::<i64>),
                jira_user::updated_at.eq(now),
            );
            let ended = diesel::update(active).set(ended).execute(conn)?;
            conn.audited(ended, &audit)
        })
    }

    async fn tokens(&self, id: JiraUserId) -> Result<Option<Tokens>, StoreError> {
        match self.link_by_id(id).await? {
            Some(row) => row.open(&self.sealer),
            None => Ok(None),
        }
    }

    async fn acquire_refresh(
        &self,
        id: JiraUserId,
        access: &Secret,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        let Some(row) = self.link_by_id(id).await? else { return Ok(false) };
        if !row.open(&self.sealer)?.is_some_and(|tokens| tokens.access.matches(access.expose())) {
            return Ok(false);
        }
        let (id, now, until) = (id.to_string(), micros(now), micros(until));
        let held = in_write_tx!(self.store, conn => {
            // Only while the tokens are those that were read and no process holds the right: one replica changes the
            // row.
            let free = jira_user::held_until.is_null().or(jira_user::held_until.le(now));
            let same = jira_user::table.find(&id).filter(jira_user::sealed.eq(&row.sealed)).filter(free);
            diesel::update(same).set(jira_user::held_until.eq(until)).execute(conn).map_err(TxError::from)
        })?;
        Ok(held > 0)
    }

    async fn store_tokens(&self, id: JiraUserId, tokens: Option<&Tokens>) -> Result<(), StoreError> {
        let (id, sealer, tokens) = (id.to_string(), self.sealer.clone(), tokens.cloned());
        in_write_tx!(self.store, conn => {
            let Some(mut row) = conn.link_row(&id)?.filter(UserRow::is_active) else { return Ok(()) };
            row.seal(&sealer, tokens.as_ref())?;
            conn.overwrite_link(&row)?;
            Ok(())
        })
    }

    async fn release_refresh(&self, id: JiraUserId) -> Result<(), StoreError> {
        let id = id.to_string();
        in_write_tx!(self.store, conn => {
            let free = jira_user::held_until.eq(None::<i64>);
            diesel::update(jira_user::table.find(&id)).set(free).execute(conn).map(|_| ()).map_err(TxError::from)
        })
    }

    async fn store_state(&self, hash: &str, what: &Secret, expires_at: Timestamp) -> Result<(), StoreError> {
        let Sealed { key_id, bytes } = self.sealer.seal(what, &format!("jira_state/sealed/{hash}"));
        let row = StateRow { hash: hash.to_owned(), key_id, sealed: bytes, expires_at: micros(expires_at) };
        in_write_tx!(self.store, conn => {
            diesel::insert_into(jira_state::table).values(&row).execute(conn).map(|_| ()).map_err(TxError::from)
        })
    }

    async fn consume_state(&self, hash: &str, now: Timestamp) -> Result<Option<Secret>, StoreError> {
        let (hash, now) = (hash.to_owned(), micros(now));
        let row = in_write_tx!(self.store, conn => {
            let state = jira_state::table.find(&hash);
            let row: Option<StateRow> = state.select(StateRow::as_select()).first(conn).optional()?;
            // If two requests have it at the same time, one of them deletes it.
            let deleted = diesel::delete(state).execute(conn)?;
            Ok(row.filter(|row| deleted == 1 && row.expires_at > now))
        })?;
        let open = |row: StateRow| {
            let place = format!("jira_state/sealed/{}", row.hash);
            self.sealer.open(&Sealed { key_id: row.key_id, bytes: row.sealed }, &place)
        };
        row.map(open).transpose()
    }
}
