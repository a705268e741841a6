//! The ports of channels and notices.

use async_trait::async_trait;
use diesel::prelude::*;
use jiff::Timestamp;
use patchwright_core::Secret;
use patchwright_core::audit::AuditEntry;
use patchwright_core::notifications::{Channels, ClaimedNotice, Notices};
use patchwright_core::store::{EffectOutcome, StoreError};
use patchwright_domain::notification::{Channel, ChannelKind, Notice, NotificationEvent};
use patchwright_domain::{ChannelId, EffectId, NoticeId, UserId};

use crate::Vault;
use crate::audit::{AuditRow, AuditStatements as _};
use crate::db::{TxError, corrupt_row, in_read_tx, in_snapshot, in_write_tx, statements, store_error};
use crate::row::effect::{DEAD, WAITING, columns_of};
use crate::row::{from_json, json, micros, parse, timestamp, unsigned};
use crate::schema::{channel, notice};
use crate::seal::{Sealed, Sealer};

const T: &str = "channel";

#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = channel)]
pub(crate) struct ChannelRow {
    id: String,
    name: String,
    kind: String,
    target: String,
    events: String,
    repo: Option<String>,
    owner: Option<String>,
    pub(crate) key_id: Option<String>,
    sealed: Option<Vec<u8>>,
    created_at: i64,
}

#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = notice)]
struct NoticeRow {
    id: String,
    channel_id: String,
    cause: String,
    body: String,
    status: String,
    attempts: i64,
    not_before: i64,
    error: Option<String>,
    created_at: i64,
}

impl ChannelRow {
    fn place(&self) -> String {
        format!("channel/sealed/{}", self.id)
    }

    fn seal(&mut self, sealer: &Sealer, secret: &Secret) {
        let Sealed { key_id, bytes } = sealer.seal(secret, &self.place());
        (self.key_id, self.sealed) = (Some(key_id), Some(bytes));
    }

    fn open(&self, sealer: &Sealer) -> Result<Option<Secret>, StoreError> {
        let (Some(key_id), Some(bytes)) = (&self.key_id, &self.sealed) else { return Ok(None) };
        sealer.open(&Sealed { key_id: key_id.clone(), bytes: bytes.clone() }, &self.place()).map(Some)
    }

    fn into_domain(self) -> Result<Channel, StoreError> {
        let id = self.id.as_str();
        let events = self.events.split_whitespace().map(|word| {
            NotificationEvent::parse(word).ok_or_else(|| corrupt_row(T, id, format!("`{word}` is no event")))
        });
        Ok(Channel {
            id: parse(T, id, self.id.parse())?,
            kind: ChannelKind::parse(&self.kind).ok_or_else(|| corrupt_row(T, id, &self.kind))?,
            events: events.collect::<Result<_, _>>()?,
            repository: self.repo.as_ref().map(|repo| parse(T, id, repo.parse())).transpose()?,
            owner: self.owner.as_ref().map(|owner| parse(T, id, owner.parse())).transpose()?,
            created_at: timestamp(T, id, self.created_at)?,
            name: self.name.clone(),
            target: self.target.clone(),
        })
    }
}

/// Converts the events of a channel for a column: words.
fn events(channel: &Channel) -> String {
    channel.events.iter().map(|event| event.as_str()).collect::<Vec<_>>().join(" ")
}

fn queued_notice(channel: &str, cause: String, body: &str, now: i64) -> NoticeRow {
    NoticeRow {
        id: uuid::Uuid::now_v7().to_string(),
        channel_id: channel.to_owned(),
        cause,
        body: body.to_owned(),
        status: WAITING.to_owned(),
        attempts: 0,
        not_before: now,
        error: None,
        created_at: now,
    }
}

statements! {
    trait NotificationStatements {
        fn channel_rows(conn) -> QueryResult<Vec<ChannelRow>> {
            channel::table.order(channel::id.desc()).select(ChannelRow::as_select()).load(conn)
        }

        fn channel_row(conn, id: &str) -> QueryResult<Option<ChannelRow>> {
            channel::table.find(id).select(ChannelRow::as_select()).first(conn).optional()
        }

        fn insert_notice(conn, row: &NoticeRow) -> QueryResult<usize> {
            diesel::insert_into(notice::table).values(row).on_conflict_do_nothing().execute(conn)
        }

        fn due_notice(conn, now: i64) -> QueryResult<Option<(NoticeRow, ChannelRow)>> {
            notice::table
                .inner_join(channel::table.on(channel::id.eq(notice::channel_id)))
                .filter(notice::status.eq(WAITING).and(notice::not_before.le(now)))
                .order((notice::not_before, notice::id))
                .select((NoticeRow::as_select(), ChannelRow::as_select()))
                .first(conn)
                .optional()
        }

        fn dead_notice_rows(conn, limit: u16) -> QueryResult<Vec<(String, String, Option<String>)>> {
            notice::table
                .filter(notice::status.eq(DEAD))
                .order(notice::id.desc())
                .limit(i64::from(limit))
                .select((notice::id, notice::channel_id, notice::error))
                .load(conn)
        }

        fn reseal_channels(conn, sealer: &Sealer) -> Result<u64, TxError> {
            let mut count = 0;
            for mut row in conn.channel_rows()? {
                if row.key_id.as_deref().is_none_or(|id| id == sealer.key_id()) {
                    continue;
                }
                if let Some(secret) = row.open(sealer)? {
                    row.seal(sealer, &secret);
                    let change = (channel::key_id.eq(&row.key_id), channel::sealed.eq(&row.sealed));
                    diesel::update(channel::table.find(&row.id)).set(change).execute(conn)?;
                    count += 1;
                }
            }
            Ok(count)
        }
    }
}

impl Vault {
    /// Encrypts with the current key the secrets of channels that another key encrypted.
    pub(crate) async fn reseal_channels(&self) -> Result<u64, StoreError> {
        let sealer = self.sealer.clone();
        in_write_tx!(self.store, conn => conn.reseal_channels(&sealer))
    }
}

#[async_trait]
impl Notices for Vault {
    async fn post_notice(&self, cause: EffectId, notice: &Notice) -> Result<(), StoreError> {
        let (cause, notice, body) = (cause.to_string(), notice.clone(), json(notice)?);
        in_write_tx!(self.store, conn => {
            let at = micros(notice.at);
            for row in conn.channel_rows()? {
                let id = row.id.clone();
                if row.into_domain()?.wants(&notice) {
                    conn.insert_notice(&queued_notice(&id, cause.clone(), &body, at))?;
                }
            }
            Ok(())
        })
    }
}

#[async_trait]
impl Channels for Vault {
    async fn add_channel(&self, new: &Channel, secret: Option<&Secret>, audit: AuditEntry) -> Result<(), StoreError> {
        let audit = AuditRow::from(audit);
        let mut row = ChannelRow {
            id: new.id.to_string(),
            name: new.name.clone(),
            kind: new.kind.as_str().to_owned(),
            target: new.target.clone(),
            events: events(new),
            repo: new.repository.as_ref().map(ToString::to_string),
            owner: new.owner.map(|owner| owner.to_string()),
            key_id: None,
            sealed: None,
            created_at: micros(new.created_at),
        };
        if let Some(secret) = secret {
            row.seal(&self.sealer, secret);
        }
        in_write_tx!(self.store, conn => {
            diesel::insert_into(channel::table).values(&row).execute(conn)?;
            conn.insert_audit(&audit)?;
            Ok(())
        })
    }

    async fn channels(&self, of: Option<UserId>) -> Result<Vec<Channel>, StoreError> {
        let rows = self.store.blocking(|db| in_read_tx!(db, conn => conn.channel_rows().map_err(store_error))).await?;
        let all: Result<Vec<Channel>, StoreError> = rows.into_iter().map(ChannelRow::into_domain).collect();
        Ok(all?.into_iter().filter(|channel| of.is_none() || channel.owner == of).collect())
    }

    async fn channel(&self, id: ChannelId) -> Result<Option<Channel>, StoreError> {
        let id = id.to_string();
        let row =
            self.store.blocking(move |db| in_read_tx!(db, conn => conn.channel_row(&id).map_err(store_error))).await?;
        row.map(ChannelRow::into_domain).transpose()
    }

    async fn change_channel(
        &self,
        changed: &Channel,
        secret: Option<&Secret>,
        audit: AuditEntry,
    ) -> Result<bool, StoreError> {
        let audit = AuditRow::from(audit);
        let (id, changed, secret, sealer) =
            (changed.id.to_string(), changed.clone(), secret.cloned(), self.sealer.clone());
        in_write_tx!(self.store, conn => {
            let Some(mut row) = conn.channel_row(&id)? else { return Ok(false) };
            if let Some(secret) = &secret {
                row.seal(&sealer, secret);
            }
            let change = (
                channel::name.eq(&changed.name),
                channel::events.eq(events(&changed)),
                channel::key_id.eq(&row.key_id),
                channel::sealed.eq(&row.sealed),
            );
            let updated = diesel::update(channel::table.find(&id)).set(change).execute(conn)?;
            conn.audited(updated, &audit)
        })
    }

    async fn remove_channel(&self, id: ChannelId, audit: AuditEntry) -> Result<bool, StoreError> {
        let (id, audit) = (id.to_string(), AuditRow::from(audit));
        in_write_tx!(self.store, conn => {
            let removed = diesel::delete(channel::table.find(&id)).execute(conn)?;
            conn.audited(removed, &audit)
        })
    }

    async fn try_channel(&self, id: ChannelId, notice: &Notice) -> Result<(), StoreError> {
        let row = queued_notice(&id.to_string(), uuid::Uuid::now_v7().to_string(), &json(notice)?, micros(notice.at));
        in_write_tx!(self.store, conn => conn.insert_notice(&row).map(|_| ()).map_err(TxError::from))
    }

    async fn claim_notice(&self, now: Timestamp, until: Timestamp) -> Result<Option<ClaimedNotice>, StoreError> {
        let (at, until) = (micros(now), micros(until));
        let found = self.store.blocking(move |db| in_snapshot!(db, conn => conn.due_notice(at))).await?;
        let Some((row, channel)) = found else { return Ok(None) };
        let id = row.id.clone();
        let claimed = in_write_tx!(self.store, conn => {
            // Of several senders that read the row, one finds it unchanged.
            let same = notice::table.filter(notice::id.eq(&id).and(notice::attempts.eq(row.attempts)));
            let claim = (notice::attempts.eq(row.attempts + 1), notice::not_before.eq(until));
            diesel::update(same.filter(notice::status.eq(WAITING))).set(claim).execute(conn).map_err(TxError::from)
        })?;
        if claimed == 0 {
            return Ok(None);
        }
        Ok(Some(ClaimedNotice {
            id: parse("notice", &row.id, row.id.parse())?,
            attempt: unsigned("notice", &row.id, row.attempts + 1)?,
            notice: from_json("notice", &row.id, &row.body)?,
            secret: channel.open(&self.sealer)?,
            channel: channel.into_domain()?,
        }))
    }

    async fn settle_notice(&self, id: NoticeId, outcome: EffectOutcome) -> Result<(), StoreError> {
        let id = id.to_string();
        let (status, again, error) = columns_of(outcome);
        in_write_tx!(self.store, conn => {
            let row = notice::table.find(&id);
            diesel::update(row).set((notice::status.eq(status), notice::error.eq(&error))).execute(conn)?;
            if let Some(at) = again {
                diesel::update(row).set(notice::not_before.eq(at)).execute(conn)?;
            }
            Ok(())
        })
    }

    async fn dead_notices(&self, limit: u16) -> Result<Vec<(NoticeId, ChannelId, String)>, StoreError> {
        let rows = self
            .store
            .blocking(move |db| in_read_tx!(db, conn => conn.dead_notice_rows(limit).map_err(store_error)))
            .await?;
        rows.into_iter()
            .map(|(id, channel, error)| {
                let error = error.unwrap_or_default();
                Ok((parse("notice", &id, id.parse())?, parse("notice", &id, channel.parse())?, error))
            })
            .collect()
    }

    async fn forget_notices(&self, before: Timestamp) -> Result<u64, StoreError> {
        let before = micros(before);
        let gone = in_write_tx!(self.store, conn => {
            let old = notice::table.filter(notice::created_at.lt(before).and(notice::status.ne(WAITING)));
            diesel::delete(old).execute(conn).map_err(TxError::from)
        })?;
        Ok(gone as u64)
    }
}
