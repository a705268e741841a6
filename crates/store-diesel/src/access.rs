//! The port of what users may see.

use std::collections::BTreeSet;

use async_trait::async_trait;
use diesel::prelude::*;
use patchwright_core::access::{AccessStore, ForgeAccount, Grants, RepositoryKey, Visibility};
use patchwright_core::accounts::AccountError;
use patchwright_core::audit::AuditEntry;
use patchwright_core::store::StoreError;
use patchwright_domain::{PlatformId, UserId};

use crate::DieselStore;
use crate::audit::{AuditRow, AuditStatements as _};
use crate::db::{in_read_tx, in_snapshot, in_write_tx, statements, store_error};
use crate::row::parse;
use crate::schema::{account, forge_account, issue, repository, repository_member};

#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = forge_account)]
struct ForgeAccountRow {
    platform: String,
    login: String,
    account_id: String,
}

#[derive(Debug, Queryable, Selectable, Insertable)]
#[diesel(table_name = repository_member)]
struct MemberRow {
    platform: String,
    repo: String,
    account_id: String,
}

/// Returns repositories as the store compares them: platform and name, separated by a space.
fn keys(repositories: &[RepositoryKey]) -> Vec<String> {
    repositories.iter().map(|known| format!("{} {}", known.platform, known.name)).collect()
}

/// The reader of a part, in the form of the conditions below: the user's id and the repositories. `None` sees everything.
pub(crate) fn limits(visible: &Visibility) -> Option<(String, Vec<String>)> {
    match visible {
        Visibility::All => None,
        Visibility::Limited { user, repositories } => Some((user.to_string(), keys(repositories))),
    }
}

/// The condition for the issues that a reader sees.
#[diesel::dsl::auto_type(no_type_alias)]
pub(crate) fn visible_issues(user: String, repositories: Vec<String>) -> _ {
    issue::owner.eq(user).or(issue::platform.concat(" ").concat(issue::repo).eq_any(repositories))
}

fn key(platform: String, repo: &str) -> Result<RepositoryKey, StoreError> {
    Ok(RepositoryKey { platform: PlatformId::new(platform), name: parse("repository", repo, repo.parse())? })
}

statements! {
    trait AccessStatements {
        fn granted(conn, user: &str) -> QueryResult<(Vec<ForgeAccountRow>, Vec<MemberRow>)> {
            let accounts = forge_account::table
                .filter(forge_account::account_id.eq(user))
                .order((forge_account::platform, forge_account::login))
                .select(ForgeAccountRow::as_select())
                .load(conn)?;
            let repositories = repository_member::table
                .filter(repository_member::account_id.eq(user))
                .order((repository_member::platform, repository_member::repo))
                .select(MemberRow::as_select())
                .load(conn)?;
            Ok((accounts, repositories))
        }

        fn members_of(conn, platform: &str, repo: &str) -> QueryResult<Vec<String>> {
            repository_member::table
                .filter(repository_member::platform.eq(platform).and(repository_member::repo.eq(repo)))
                .order(repository_member::account_id)
                .select(repository_member::account_id)
                .load(conn)
        }

        fn repositories_with_issues(conn) -> QueryResult<Vec<(String, String)>> {
            issue::table.select((issue::platform, issue::repo)).distinct().load(conn)
        }

        fn registered(conn) -> QueryResult<Vec<(String, String)>> {
            repository::table.select((repository::platform, repository::name)).load(conn)
        }

        fn owner_of(conn, platform: &str, login: &str) -> QueryResult<Option<String>> {
            forge_account::table.find((platform, login)).select(forge_account::account_id).first(conn).optional()
        }

        fn count_users(conn, ids: &[String]) -> QueryResult<i64> {
            account::table.filter(account::id.eq_any(ids)).count().get_result(conn)
        }
    }
}

#[async_trait]
impl AccessStore for DieselStore {
    async fn grants(&self, user: UserId) -> Result<Grants, StoreError> {
        let id = user.to_string();
        self.blocking(move |db| {
            let (accounts, repositories) = in_snapshot!(db, conn => conn.granted(&id))?;
            let account =
                |row: ForgeAccountRow| ForgeAccount { platform: PlatformId::new(row.platform), login: row.login };
            Ok(Grants {
                accounts: accounts.into_iter().map(account).collect(),
                repositories: repositories
                    .into_iter()
                    .map(|row| key(row.platform, &row.repo))
                    .collect::<Result<_, _>>()?,
            })
        })
        .await
    }

    async fn set_forge_accounts(
        &self,
        user: UserId,
        accounts: &[ForgeAccount],
        audit: AuditEntry,
    ) -> Result<(), AccountError> {
        let (id, audit) = (user.to_string(), AuditRow::from(audit));
        let row = |account: &ForgeAccount| ForgeAccountRow {
            platform: account.platform.as_str().to_owned(),
            login: account.login.to_lowercase(),
            account_id: id.clone(),
        };
        let rows: Vec<ForgeAccountRow> = accounts.iter().map(row).collect();
        let id = user.to_string();
        in_write_tx!(self, conn => {
            if conn.count_users(std::slice::from_ref(&id))? == 0 {
                return Ok(Err(AccountError::NoSuchUser));
            }
            for row in &rows {
                let owner = conn.owner_of(&row.platform, &row.login)?;
                if owner.is_some_and(|owner| owner != id) {
                    return Ok(Err(AccountError::Linked(row.login.clone())));
                }
            }
            diesel::delete(forge_account::table.filter(forge_account::account_id.eq(&id))).execute(conn)?;
            for row in &rows {
                diesel::insert_into(forge_account::table).values(row).on_conflict_do_nothing().execute(conn)?;
            }
            conn.insert_audit(&audit)?;
            Ok(Ok(()))
        })?
    }

    async fn members(&self, repository: &RepositoryKey) -> Result<Vec<UserId>, StoreError> {
        let (platform, repo) = (repository.platform.as_str().to_owned(), repository.name.to_string());
        self.blocking(move |db| {
            let ids = in_read_tx!(db, conn => conn.members_of(&platform, &repo).map_err(store_error))?;
            ids.iter().map(|id| parse("repository_member", id, id.parse())).collect()
        })
        .await
    }

    async fn set_members(
        &self,
        repository: &RepositoryKey,
        users: &[UserId],
        audit: AuditEntry,
    ) -> Result<(), AccountError> {
        let (platform, repo) = (repository.platform.as_str().to_owned(), repository.name.to_string());
        let ids: BTreeSet<String> = users.iter().map(ToString::to_string).collect();
        let ids: Vec<String> = ids.into_iter().collect();
        let row = |id: &String| MemberRow { platform: platform.clone(), repo: repo.clone(), account_id: id.clone() };
        let rows: Vec<MemberRow> = ids.iter().map(row).collect();
        let audit = AuditRow::from(audit);
        let written = in_write_tx!(self, conn => {
            if conn.count_users(&ids)? != i64::try_from(ids.len()).unwrap_or(i64::MAX) {
                return Ok(false);
            }
            let of_repository = repository_member::platform.eq(&platform).and(repository_member::repo.eq(&repo));
            diesel::delete(repository_member::table.filter(of_repository)).execute(conn)?;
            for row in &rows {
                diesel::insert_into(repository_member::table).values(row).execute(conn)?;
            }
            conn.insert_audit(&audit)?;
            Ok(true)
        })?;
        if written { Ok(()) } else { Err(AccountError::NoSuchUser) }
    }

    async fn known_repositories(&self) -> Result<Vec<RepositoryKey>, StoreError> {
        self.blocking(move |db| {
            let rows = in_snapshot!(db, conn => Ok([conn.repositories_with_issues()?, conn.registered()?].concat()))?;
            let keys: BTreeSet<RepositoryKey> =
                rows.into_iter().map(|(platform, repo)| key(platform, &repo)).collect::<Result<_, _>>()?;
            Ok(keys.into_iter().collect())
        })
        .await
    }
}
