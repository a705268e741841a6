//! The port of users, sessions and tokens.

use std::collections::BTreeMap;

use async_trait::async_trait;
use diesel::prelude::*;
use diesel::upsert::excluded;
use jiff::Timestamp;
use patchwright_core::accounts::{AccountError, Accounts, ApiToken, Session};
use patchwright_core::audit::AuditEntry;
use patchwright_core::store::StoreError;
use patchwright_domain::user::{Login, Scope};
use patchwright_domain::{Role, TokenId, User, UserId};

use crate::DieselStore;
use crate::audit::{AuditRow, AuditStatements as _};
use crate::db::{TxError, corrupt_row, in_read_tx, in_snapshot, in_write_tx, statements, store_error};
use crate::row::{micros, parse, timestamp};
use crate::schema::{account, api_token, channel, identity, issue, jira_user, jira_workspace, preference, session};

/// The least time between two records of a token's use, in microseconds: a program that calls every second is no reason to
/// write.
const USE_INTERVAL_MICROS: i64 = 3_600_000_000;

#[derive(Debug, Clone, Queryable, Selectable, Insertable, AsChangeset)]
#[diesel(table_name = account)]
struct AccountRow {
    id: String,
    login: String,
    role: String,
    /// An update without one leaves it.
    password: Option<String>,
    active: bool,
    created_at: i64,
}

#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = session)]
struct SessionRow {
    hash: String,
    account_id: String,
    csrf: String,
    created_at: i64,
    expires_at: i64,
    client: String,
}

#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = preference)]
struct PreferenceRow {
    account_id: String,
    name: String,
    value: String,
}

#[derive(Debug, Clone, Queryable, Selectable, Insertable)]
#[diesel(table_name = api_token)]
struct TokenRow {
    id: String,
    account_id: String,
    name: String,
    scope: String,
    hash: String,
    created_at: i64,
    expires_at: Option<i64>,
    last_used_at: Option<i64>,
}

impl AccountRow {
    fn new(user: &User, password: Option<String>) -> Self {
        Self {
            id: user.id.to_string(),
            login: user.login.to_string(),
            role: user.role.as_str().to_owned(),
            password,
            active: user.active,
            created_at: micros(user.created_at),
        }
    }

    fn into_domain(self) -> Result<User, StoreError> {
        const T: &str = "account";
        let id = self.id.as_str();
        Ok(User {
            id: parse(T, id, self.id.parse())?,
            login: parse(T, id, Login::parse(&self.login))?,
            role: Role::parse(&self.role).ok_or_else(|| corrupt_row(T, id, &self.role))?,
            active: self.active,
            created_at: timestamp(T, id, self.created_at)?,
        })
    }
}

impl SessionRow {
    fn into_domain(self) -> Result<Session, StoreError> {
        const T: &str = "session";
        Ok(Session {
            user_id: parse(T, "-", self.account_id.parse())?,
            created_at: timestamp(T, "-", self.created_at)?,
            expires_at: timestamp(T, "-", self.expires_at)?,
            hash: self.hash,
            csrf: self.csrf,
            client: self.client,
        })
    }
}

impl TokenRow {
    fn into_domain(self) -> Result<ApiToken, StoreError> {
        const T: &str = "api_token";
        let id = self.id.as_str();
        let time = |at: Option<i64>| at.map(|at| timestamp(T, id, at)).transpose();
        Ok(ApiToken {
            id: parse(T, id, self.id.parse())?,
            user_id: parse(T, id, self.account_id.parse())?,
            scope: Scope::parse(&self.scope).ok_or_else(|| corrupt_row(T, id, &self.scope))?,
            created_at: timestamp(T, id, self.created_at)?,
            expires_at: time(self.expires_at)?,
            last_used_at: time(self.last_used_at)?,
            name: self.name,
        })
    }
}

statements! {
    trait AccountStatements {
        fn insert_account(conn, row: &AccountRow) -> QueryResult<usize> {
            diesel::insert_into(account::table).values(row).on_conflict_do_nothing().execute(conn)
        }

        fn accounts(conn) -> QueryResult<Vec<AccountRow>> {
            account::table.order(account::login).select(AccountRow::as_select()).load(conn)
        }

        fn account_by_id(conn, id: &str) -> QueryResult<Option<AccountRow>> {
            account::table.find(id).select(AccountRow::as_select()).first(conn).optional()
        }

        fn account_by_login(conn, login: &str) -> QueryResult<Option<AccountRow>> {
            account::table.filter(account::login.eq(login)).select(AccountRow::as_select()).first(conn).optional()
        }

        fn account_by_identity(conn, issuer: &str, subject: &str) -> QueryResult<Option<AccountRow>> {
            account::table
                .inner_join(identity::table.on(identity::account_id.eq(account::id)))
                .filter(identity::issuer.eq(issuer).and(identity::subject.eq(subject)))
                .select(AccountRow::as_select())
                .first(conn)
                .optional()
        }

        fn other_admins(conn, id: &str) -> QueryResult<i64> {
            account::table
                .filter(account::role.eq(Role::Admin.as_str()).and(account::active).and(account::id.ne(id)))
                .count()
                .get_result(conn)
        }

        fn update_account(conn, row: &AccountRow) -> QueryResult<usize> {
            diesel::update(account::table.find(&row.id)).set(row).execute(conn)
        }

        fn end_all_of(conn, id: &str) -> QueryResult<usize> {
            diesel::delete(session::table.filter(session::account_id.eq(id))).execute(conn)?;
            diesel::delete(api_token::table.filter(api_token::account_id.eq(id))).execute(conn)
        }

        fn administered_site(conn, id: &str) -> QueryResult<Option<String>> {
            let sites = jira_workspace::table.filter(jira_workspace::admin_user_id.eq(id));
            sites.select(jira_workspace::name).first(conn).optional()
        }

        fn delete_all_of(conn, id: &str) -> QueryResult<usize> {
            diesel::delete(jira_user::table.filter(jira_user::user_id.eq(id))).execute(conn)?;
            diesel::delete(channel::table.filter(channel::owner.eq(id))).execute(conn)?;
            diesel::update(issue::table.filter(issue::owner.eq(id)))
                .set(issue::owner.eq(None::<String>))
                .execute(conn)?;
            // Sessions, tokens, identities, accounts on forges and assignments go with it.
            diesel::delete(account::table.find(id)).execute(conn)
        }

        fn insert_session(conn, row: &SessionRow) -> QueryResult<usize> {
            // Every login deletes expired sessions.
            diesel::delete(session::table.filter(session::expires_at.le(row.created_at))).execute(conn)?;
            diesel::insert_into(session::table).values(row).execute(conn)
        }

        fn session_with_account(conn, hash: &str, now: i64) -> QueryResult<Option<(SessionRow, AccountRow)>> {
            session::table
                .inner_join(account::table.on(account::id.eq(session::account_id)))
                .filter(session::hash.eq(hash).and(session::expires_at.gt(now)).and(account::active))
                .select((SessionRow::as_select(), AccountRow::as_select()))
                .first(conn)
                .optional()
        }

        fn sessions_of(conn, id: &str, now: i64) -> QueryResult<Vec<SessionRow>> {
            session::table
                .filter(session::account_id.eq(id).and(session::expires_at.gt(now)))
                .order((session::created_at.desc(), session::hash))
                .select(SessionRow::as_select())
                .load(conn)
        }

        fn preferences_of(conn, id: &str) -> QueryResult<Vec<PreferenceRow>> {
            preference::table.filter(preference::account_id.eq(id)).select(PreferenceRow::as_select()).load(conn)
        }

        fn delete_preference(conn, id: &str, name: &str) -> QueryResult<usize> {
            diesel::delete(preference::table.find((id, name))).execute(conn)
        }

        fn keep_preference(conn, row: &PreferenceRow, limit: i64) -> QueryResult<bool> {
            let others = preference::table.filter(preference::account_id.eq(&row.account_id));
            let others: i64 = others.filter(preference::name.ne(&row.name)).count().get_result(conn)?;
            if others >= limit {
                return Ok(false);
            }
            diesel::insert_into(preference::table)
                .values(row)
                .on_conflict((preference::account_id, preference::name))
                .do_update()
                .set(preference::value.eq(excluded(preference::value)))
                .execute(conn)
                .map(|_| true)
        }

        fn token_with_account(conn, hash: &str, now: i64) -> QueryResult<Option<(TokenRow, AccountRow)>> {
            api_token::table
                .inner_join(account::table.on(account::id.eq(api_token::account_id)))
                .filter(api_token::hash.eq(hash).and(account::active))
                .filter(api_token::expires_at.is_null().or(api_token::expires_at.gt(now)))
                .select((TokenRow::as_select(), AccountRow::as_select()))
                .first(conn)
                .optional()
        }
    }
}

#[async_trait]
impl Accounts for DieselStore {
    async fn add_user(&self, user: &User, password: Option<String>, audit: AuditEntry) -> Result<(), AccountError> {
        let (row, audit) = (AccountRow::new(user, password), AuditRow::from(audit));
        let is_added = in_write_tx!(self, conn => {
            let added = conn.insert_account(&row)?;
            conn.audited(added, &audit)
        })?;
        if is_added { Ok(()) } else { Err(AccountError::Taken(user.login.clone())) }
    }

    async fn add_identified_user(
        &self,
        user: &User,
        issuer: &str,
        subject: &str,
        audit: AuditEntry,
    ) -> Result<User, AccountError> {
        let (row, audit) = (AccountRow::new(user, None), AuditRow::from(audit));
        let (issuer, subject) = (issuer.to_owned(), subject.to_owned());
        let added = in_write_tx!(self, conn => {
            if let Some(known) = conn.account_by_identity(&issuer, &subject)? {
                return Ok(Some(known));
            }
            if conn.insert_account(&row)? == 0 {
                return Ok(None);
            }
            let values = (identity::issuer.eq(&issuer), identity::subject.eq(&subject), identity::account_id.eq(&row.id));
            diesel::insert_into(identity::table).values(values).execute(conn)?;
            conn.insert_audit(&audit)?;
            Ok(Some(row.clone()))
        })?;
        let added = added.ok_or_else(|| AccountError::Taken(user.login.clone()))?;
        Ok(added.into_domain()?)
    }

    async fn user_by_identity(&self, issuer: &str, subject: &str) -> Result<Option<User>, StoreError> {
        let (issuer, subject) = (issuer.to_owned(), subject.to_owned());
        self.blocking(move |db| {
            let row = in_read_tx!(db, conn => conn.account_by_identity(&issuer, &subject).map_err(store_error))?;
            row.map(AccountRow::into_domain).transpose()
        })
        .await
    }

    async fn change_user(&self, user: &User, password: Option<String>, audit: AuditEntry) -> Result<(), AccountError> {
        /// The outcome of the transaction.
        enum Changed {
            Done,
            LastAdmin,
            NoSuchUser,
        }
        let has_new_password = password.is_some();
        let (row, audit) = (AccountRow::new(user, password), AuditRow::from(audit));
        let stays_admin = user.active && user.role == Role::Admin;
        let changed = in_write_tx!(self, conn => {
            let Some(known) = conn.account_by_id(&row.id)? else { return Ok(Changed::NoSuchUser) };
            let is_admin = known.active && known.role == Role::Admin.as_str();
            if is_admin && !stays_admin && conn.other_admins(&row.id)? == 0 {
                return Ok(Changed::LastAdmin);
            }
            conn.update_account(&row)?;
            if has_new_password || !row.active {
                conn.end_all_of(&row.id)?;
            }
            conn.insert_audit(&audit)?;
            Ok(Changed::Done)
        })?;
        match changed {
            Changed::Done => Ok(()),
            Changed::LastAdmin => Err(AccountError::LastAdmin),
            Changed::NoSuchUser => Err(AccountError::NoSuchUser),
        }
    }

    async fn change_password(&self, id: UserId, password: String, audit: AuditEntry) -> Result<(), AccountError> {
        let (id, audit) = (id.to_string(), AuditRow::from(audit));
        in_write_tx!(self, conn => {
            let Some(known) = conn.account_by_id(&id)?.filter(|known| known.active) else {
                return Ok(Err(AccountError::NoSuchUser));
            };
            conn.update_account(&AccountRow { password: Some(password.clone()), ..known })?;
            conn.end_all_of(&id)?;
            conn.insert_audit(&audit)?;
            Ok(Ok(()))
        })?
    }

    async fn delete_user(&self, id: UserId, audit: AuditEntry) -> Result<(), AccountError> {
        let (id, audit) = (id.to_string(), AuditRow::from(audit));
        in_write_tx!(self, conn => {
            let Some(known) = conn.account_by_id(&id)? else { return Ok(Err(AccountError::NoSuchUser)) };
            let is_admin = known.active && known.role == Role::Admin.as_str();
            if is_admin && conn.other_admins(&id)? == 0 {
                return Ok(Err(AccountError::LastAdmin));
            }
            if let Some(site) = conn.administered_site(&id)? {
                return Ok(Err(AccountError::AdministersSite(site)));
            }
            conn.delete_all_of(&id)?;
            conn.insert_audit(&audit)?;
            Ok(Ok(()))
        })?
    }

    async fn users(&self) -> Result<Vec<User>, StoreError> {
        self.blocking(|db| {
            let rows = in_read_tx!(db, conn => conn.accounts().map_err(store_error))?;
            rows.into_iter().map(AccountRow::into_domain).collect()
        })
        .await
    }

    async fn user(&self, id: UserId) -> Result<Option<User>, StoreError> {
        let id = id.to_string();
        self.blocking(move |db| {
            let row = in_read_tx!(db, conn => conn.account_by_id(&id).map_err(store_error))?;
            row.map(AccountRow::into_domain).transpose()
        })
        .await
    }

    async fn user_by_login(&self, login: &Login) -> Result<Option<(User, Option<String>)>, StoreError> {
        let login = login.to_string();
        self.blocking(move |db| {
            let row = in_read_tx!(db, conn => conn.account_by_login(&login).map_err(store_error))?;
            row.map(|row| {
                let password = row.password.clone();
                row.into_domain().map(|user| (user, password))
            })
            .transpose()
        })
        .await
    }

    async fn add_session(&self, session: &Session, audit: AuditEntry) -> Result<(), StoreError> {
        let audit = AuditRow::from(audit);
        let row = SessionRow {
            hash: session.hash.clone(),
            account_id: session.user_id.to_string(),
            csrf: session.csrf.clone(),
            created_at: micros(session.created_at),
            expires_at: micros(session.expires_at),
            client: session.client.clone(),
        };
        in_write_tx!(self, conn => {
            conn.insert_session(&row)?;
            conn.insert_audit(&audit)?;
            Ok(())
        })
    }

    async fn session(&self, hash: &str, now: Timestamp) -> Result<Option<(Session, User)>, StoreError> {
        let (hash, now) = (hash.to_owned(), micros(now));
        self.blocking(move |db| {
            let found = in_snapshot!(db, conn => conn.session_with_account(&hash, now))?;
            found.map(|(session, account)| Ok((session.into_domain()?, account.into_domain()?))).transpose()
        })
        .await
    }

    async fn sessions(&self, user: UserId, now: Timestamp) -> Result<Vec<Session>, StoreError> {
        let (user, now) = (user.to_string(), micros(now));
        self.blocking(move |db| {
            let rows = in_read_tx!(db, conn => conn.sessions_of(&user, now).map_err(store_error))?;
            rows.into_iter().map(SessionRow::into_domain).collect()
        })
        .await
    }

    async fn end_other_sessions(&self, user: UserId, kept: &str, audit: AuditEntry) -> Result<u64, StoreError> {
        let (user, kept, audit) = (user.to_string(), kept.to_owned(), AuditRow::from(audit));
        let ended = in_write_tx!(self, conn => {
            let others = session::table.filter(session::account_id.eq(&user).and(session::hash.ne(&kept)));
            let ended = diesel::delete(others).execute(conn)?;
            conn.audited(ended, &audit)?;
            Ok(ended)
        })?;
        Ok(ended as u64)
    }

    async fn preferences(&self, user: UserId) -> Result<BTreeMap<String, String>, StoreError> {
        let user = user.to_string();
        self.blocking(move |db| {
            let rows = in_read_tx!(db, conn => conn.preferences_of(&user).map_err(store_error))?;
            Ok(rows.into_iter().map(|row| (row.name, row.value)).collect())
        })
        .await
    }

    async fn set_preference(
        &self,
        user: UserId,
        name: &str,
        value: Option<&str>,
        limit: u16,
    ) -> Result<bool, StoreError> {
        let (user, name, value) = (user.to_string(), name.to_owned(), value.map(str::to_owned));
        in_write_tx!(self, conn => {
            let Some(value) = value.clone() else {
                conn.delete_preference(&user, &name)?;
                return Ok(true);
            };
            let row = PreferenceRow { account_id: user.clone(), name: name.clone(), value };
            conn.keep_preference(&row, i64::from(limit)).map_err(TxError::from)
        })
    }

    async fn end_session(&self, hash: &str) -> Result<(), StoreError> {
        let hash = hash.to_owned();
        in_write_tx!(self, conn => {
            diesel::delete(session::table.find(&hash)).execute(conn).map(|_| ()).map_err(TxError::from)
        })
    }

    async fn add_token(&self, token: &ApiToken, hash: &str, audit: AuditEntry) -> Result<(), StoreError> {
        let audit = AuditRow::from(audit);
        let row = TokenRow {
            id: token.id.to_string(),
            account_id: token.user_id.to_string(),
            name: token.name.clone(),
            scope: token.scope.as_str().to_owned(),
            hash: hash.to_owned(),
            created_at: micros(token.created_at),
            expires_at: token.expires_at.map(micros),
            last_used_at: None,
        };
        in_write_tx!(self, conn => {
            diesel::insert_into(api_token::table).values(&row).execute(conn)?;
            conn.insert_audit(&audit)?;
            Ok(())
        })
    }

    async fn token(&self, hash: &str, now: Timestamp) -> Result<Option<(ApiToken, User)>, StoreError> {
        let (hash, at) = (hash.to_owned(), micros(now));
        let found = self.blocking(move |db| in_snapshot!(db, conn => conn.token_with_account(&hash, at))).await?;
        let Some((token, account)) = found else { return Ok(None) };
        if token.last_used_at.is_none_or(|used| used + USE_INTERVAL_MICROS < at) {
            let id = token.id.clone();
            in_write_tx!(self, conn => {
                let token = diesel::update(api_token::table.find(&id));
                token.set(api_token::last_used_at.eq(at)).execute(conn).map(|_| ()).map_err(TxError::from)
            })?;
        }
        Ok(Some((token.into_domain()?, account.into_domain()?)))
    }

    async fn tokens(&self, user: UserId) -> Result<Vec<ApiToken>, StoreError> {
        let user = user.to_string();
        self.blocking(move |db| {
            let query = api_token::table.filter(api_token::account_id.eq(&user)).order(api_token::id.desc());
            let rows: Vec<TokenRow> =
                in_read_tx!(db, conn => query.select(TokenRow::as_select()).load(conn).map_err(store_error))?;
            rows.into_iter().map(TokenRow::into_domain).collect()
        })
        .await
    }

    async fn end_token(&self, user: UserId, id: TokenId, audit: AuditEntry) -> Result<bool, StoreError> {
        let (user, id, audit) = (user.to_string(), id.to_string(), AuditRow::from(audit));
        in_write_tx!(self, conn => {
            let own = api_token::table.filter(api_token::id.eq(&id).and(api_token::account_id.eq(&user)));
            let ended = diesel::delete(own).execute(conn)?;
            conn.audited(ended, &audit)
        })
    }
}
