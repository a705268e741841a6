//! The port of credentials.

use async_trait::async_trait;
use diesel::prelude::*;
use jiff::Timestamp;
use patchwright_core::Secret;
use patchwright_core::audit::AuditEntry;
use patchwright_core::credentials::{CredentialChange, Credentials, NewCredential};
use patchwright_core::store::StoreError;
use patchwright_domain::credential::{Credential, CredentialScope};
use patchwright_domain::{CredentialId, PlatformId};

use crate::DieselStore;
use crate::audit::{AuditRow, AuditStatements as _};
use crate::db::{in_read_tx, in_write_tx, statements, store_error};
use crate::row::{micros, parse, timestamp};
use crate::schema::credential;
use crate::seal::{Sealed, Sealer};

const T: &str = "credential";
/// The least time between two records of a credential's use, in microseconds.
const USE_INTERVAL_MICROS: i64 = 3_600_000_000;

/// The ports with secrets (credentials, channels, settings, Jira) over a store and the keys that encrypt them.
#[derive(Debug, Clone)]
pub struct Vault {
    pub(crate) store: DieselStore,
    pub(crate) sealer: Sealer,
}

impl Vault {
    /// Creates the vault of a store.
    pub const fn new(store: DieselStore, sealer: Sealer) -> Self {
        Self { store, sealer }
    }

    /// Returns a vault of the same store with other keys.
    #[must_use]
    pub fn with_sealer(&self, sealer: Sealer) -> Self {
        Self { store: self.store.clone(), sealer }
    }
}

#[derive(Debug, Clone, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = credential, treat_none_as_null = true)]
struct CredentialRow {
    id: String,
    name: String,
    platform: String,
    scope: String,
    login: String,
    fingerprint: String,
    key_id: String,
    sealed: Vec<u8>,
    created_by: String,
    created_at: i64,
    changed_at: i64,
    expires_at: Option<i64>,
    last_used_at: Option<i64>,
}

impl CredentialRow {
    fn place(id: &str) -> String {
        format!("credential/sealed/{id}")
    }

    fn seal(&mut self, sealer: &Sealer, secret: &Secret) {
        let Sealed { key_id, bytes } = sealer.seal(secret, &Self::place(&self.id));
        (self.key_id, self.sealed) = (key_id, bytes);
        self.fingerprint = sealer.fingerprint(secret);
    }

    fn open(&self, sealer: &Sealer) -> Result<Secret, StoreError> {
        let stored = Sealed { key_id: self.key_id.clone(), bytes: self.sealed.clone() };
        sealer.open(&stored, &Self::place(&self.id))
    }

    fn into_domain(self) -> Result<Credential, StoreError> {
        let id = self.id.as_str();
        let time = |at: Option<i64>| at.map(|at| timestamp(T, id, at)).transpose();
        Ok(Credential {
            id: parse(T, id, self.id.parse())?,
            platform: PlatformId::new(self.platform.clone()),
            scope: parse(T, id, self.scope.parse())?,
            created_at: timestamp(T, id, self.created_at)?,
            changed_at: timestamp(T, id, self.changed_at)?,
            expires_at: time(self.expires_at)?,
            last_used_at: time(self.last_used_at)?,
            name: self.name,
            login: self.login,
            fingerprint: self.fingerprint,
            created_by: self.created_by,
        })
    }
}

statements! {
    trait CredentialStatements {
        fn credential_rows(conn) -> QueryResult<Vec<CredentialRow>> {
            let query = credential::table.order((credential::platform, credential::scope));
            query.select(CredentialRow::as_select()).load(conn)
        }

        fn credential_row(conn, id: &str) -> QueryResult<Option<CredentialRow>> {
            credential::table.find(id).select(CredentialRow::as_select()).first(conn).optional()
        }

        fn credential_at(conn, platform: &str, scope: &str) -> QueryResult<Option<CredentialRow>> {
            credential::table
                .filter(credential::platform.eq(platform).and(credential::scope.eq(scope)))
                .select(CredentialRow::as_select())
                .first(conn)
                .optional()
        }

        fn overwrite_credential(conn, row: &CredentialRow) -> QueryResult<usize> {
            diesel::update(credential::table.find(&row.id)).set(row).execute(conn)
        }
    }
}

#[async_trait]
impl Credentials for Vault {
    async fn add_credential(
        &self,
        new: NewCredential,
        secret: &Secret,
        audit: AuditEntry,
    ) -> Result<Option<Credential>, StoreError> {
        let audit = AuditRow::from(audit);
        let mut row = CredentialRow {
            id: new.id.to_string(),
            name: new.name,
            platform: new.platform.as_str().to_owned(),
            scope: new.scope.to_string(),
            login: new.login,
            fingerprint: String::new(),
            key_id: String::new(),
            sealed: Vec::new(),
            created_by: new.created_by,
            created_at: micros(new.now),
            changed_at: micros(new.now),
            expires_at: new.expires_at.map(micros),
            last_used_at: None,
        };
        row.seal(&self.sealer, secret);
        let credential = row.clone().into_domain()?;
        let is_added = in_write_tx!(self.store, conn => {
            let insert = diesel::insert_into(credential::table).values(&row).on_conflict_do_nothing();
            let added = insert.execute(conn)?;
            conn.audited(added, &audit)
        })?;
        Ok(is_added.then_some(credential))
    }

    async fn credentials(&self) -> Result<Vec<Credential>, StoreError> {
        self.store
            .blocking(|db| {
                let rows = in_read_tx!(db, conn => conn.credential_rows().map_err(store_error))?;
                rows.into_iter().map(CredentialRow::into_domain).collect()
            })
            .await
    }

    async fn credential(&self, id: CredentialId) -> Result<Option<Credential>, StoreError> {
        let id = id.to_string();
        self.store
            .blocking(move |db| {
                let row = in_read_tx!(db, conn => conn.credential_row(&id).map_err(store_error))?;
                row.map(CredentialRow::into_domain).transpose()
            })
            .await
    }

    async fn open_credential(
        &self,
        platform: &PlatformId,
        scope: &CredentialScope,
    ) -> Result<Option<(Credential, Secret)>, StoreError> {
        let (platform, scope) = (platform.as_str().to_owned(), scope.to_string());
        let sealer = self.sealer.clone();
        self.store
            .blocking(move |db| {
                let row = in_read_tx!(db, conn => conn.credential_at(&platform, &scope).map_err(store_error))?;
                row.map(|row| {
                    let secret = row.open(&sealer)?;
                    Ok((row.into_domain()?, secret))
                })
                .transpose()
            })
            .await
    }

    async fn change_credential(
        &self,
        id: CredentialId,
        change: CredentialChange,
        now: Timestamp,
        audit: AuditEntry,
    ) -> Result<bool, StoreError> {
        let (id, sealer, audit) = (id.to_string(), self.sealer.clone(), AuditRow::from(audit));
        in_write_tx!(self.store, conn => {
            let Some(mut row) = conn.credential_row(&id)? else { return Ok(false) };
            if let Some(name) = &change.name {
                row.name.clone_from(name);
            }
            if let Some((secret, login)) = &change.secret {
                row.seal(&sealer, secret);
                row.login.clone_from(login);
                row.changed_at = micros(now);
            }
            row.expires_at = change.expires_at.map_or(row.expires_at, |at| Some(micros(at)));
            let changed = conn.overwrite_credential(&row)?;
            conn.audited(changed, &audit)
        })
    }

    async fn remove_credential(&self, id: CredentialId, audit: AuditEntry) -> Result<bool, StoreError> {
        let (id, audit) = (id.to_string(), AuditRow::from(audit));
        in_write_tx!(self.store, conn => {
            let removed = diesel::delete(credential::table.find(&id)).execute(conn)?;
            conn.audited(removed, &audit)
        })
    }

    async fn record_use(&self, id: CredentialId, now: Timestamp, audit: AuditEntry) -> Result<bool, StoreError> {
        let (id, now, audit) = (id.to_string(), micros(now), AuditRow::from(audit));
        in_write_tx!(self.store, conn => {
            let due = credential::last_used_at.is_null().or(credential::last_used_at.lt(now - USE_INTERVAL_MICROS));
            let update = diesel::update(credential::table.filter(credential::id.eq(&id)).filter(due));
            let recorded = update.set(credential::last_used_at.eq(now)).execute(conn)?;
            conn.audited(recorded, &audit)
        })
    }

    async fn reseal(&self) -> Result<u64, StoreError> {
        let others = self.reseal_channels().await? + self.reseal_jira().await? + self.reseal_settings().await?;
        let sealer = self.sealer.clone();
        let count = in_write_tx!(self.store, conn => {
            let mut count = 0;
            for mut row in conn.credential_rows()?.into_iter().filter(|row| row.key_id != sealer.key_id()) {
                let secret = row.open(&sealer)?;
                row.seal(&sealer, &secret);
                conn.overwrite_credential(&row)?;
                count += 1;
            }
            Ok(count)
        })?;
        Ok(others + count)
    }
}
