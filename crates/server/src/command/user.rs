//! `patchwright user`: people, straight in the database. Whoever may open the database may do this.

use std::io::{BufRead as _, IsTerminal as _};
use std::process::ExitCode;

use patchwright_core::accounts::Accounts as _;
use patchwright_core::audit::{Audit as _, AuditEntry};
use patchwright_core::{Clock as _, Secret};
use patchwright_domain::user::{Login, User};
use patchwright_domain::{AuditId, Role, UserId};
use patchwright_store_diesel::DieselStore;

use super::CommandResult;
use crate::auth::password;
use crate::cli::{UserArgs, UserCommand};
use crate::clock::SystemClock;
use crate::config::Config;
use crate::telemetry;
use crate::terminal::{note, say};

pub(crate) async fn run(config: Config, args: UserArgs) -> CommandResult {
    telemetry::start(&config, true);
    let store = DieselStore::open(config.database_url.expose()).await?;
    store.migrate().await?;
    match args.command {
        UserCommand::Add { login, role } => {
            let login = Login::parse(&login)?;
            let role = Role::parse(&role).ok_or("a role is `admin` or `member`")?;
            let hash = password::hash(read_password()?).await?;
            let id = UserId::from_uuid(uuid::Uuid::now_v7());
            let user = User { id, login, role, active: true, created_at: SystemClock.now() };
            store.add_user(&user, Some(hash)).await?;
            record(&store, "user.added", &user).await?;
            say(&format!("{} was added as {}.", user.login, user.role.as_str()));
        }
        UserCommand::List => {
            for user in store.users().await? {
                let state = if user.active { "" } else { "  shut out" };
                say(&format!("{:<32} {}{state}", user.login.as_str(), user.role.as_str()));
            }
        }
        UserCommand::Password { login } => {
            let user = find(&store, &login).await?;
            let hash = password::hash(read_password()?).await?;
            store.change_user(&user, Some(hash)).await?;
            record(&store, "user.changed", &user).await?;
            say(&format!("{} has a new password; their sessions and tokens have ended.", user.login));
        }
        UserCommand::Disable { login } => {
            let user = User { active: false, ..find(&store, &login).await? };
            store.change_user(&user, None).await?;
            record(&store, "user.changed", &user).await?;
            say(&format!("{} is shut out.", user.login));
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn find(store: &DieselStore, login: &str) -> Result<User, Box<dyn std::error::Error + Send + Sync>> {
    let login = Login::parse(login)?;
    let found = store.user_by_login(&login).await?;
    found.map(|(user, _)| user).ok_or_else(|| format!("there is no user `{login}`").into())
}

/// One line. On a terminal it is seen while it is typed, so it is better piped in.
fn read_password() -> std::io::Result<Secret> {
    if std::io::stdin().is_terminal() {
        note("The password (it is shown as you type it; or pipe it in):");
    }
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    Ok(Secret::new(line.trim_end_matches(['\r', '\n'])))
}

async fn record(store: &DieselStore, action: &str, user: &User) -> Result<(), patchwright_core::store::StoreError> {
    let entry = AuditEntry {
        id: AuditId::from_uuid(uuid::Uuid::now_v7()),
        at: SystemClock.now(),
        actor: "operator".to_owned(),
        action: action.to_owned(),
        subject: user.login.to_string(),
        detail: format!("by the command line: {}{}", user.role.as_str(), if user.active { "" } else { ", shut out" }),
    };
    store.note(&entry).await
}
