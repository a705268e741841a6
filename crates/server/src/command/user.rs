//! `patchwright user`: people, straight in the database. Whoever may open the database may do this.

use std::process::ExitCode;

use patchwright_core::accounts::Accounts as _;
use patchwright_core::store::StoreError;
use patchwright_domain::Role;
use patchwright_domain::user::{Login, User};
use patchwright_store_diesel::DieselStore;

use super::CommandResult;
use crate::audit::{OPERATOR, record};
use crate::auth::{password, person};
use crate::cli::{UserArgs, UserCommand};
use crate::config::Config;
use crate::telemetry;
use crate::terminal::{ask_secret, say};

pub(crate) async fn run(config: Config, args: UserArgs) -> CommandResult {
    telemetry::start(&config, true);
    let store = DieselStore::open(config.database_url.expose()).await?;
    store.migrate().await?;
    match args.command {
        UserCommand::Add { login, role } => {
            let role = Role::parse(&role).ok_or("a role is `admin` or `member`")?;
            let user = person::add(&store, &login, role, Some(ask_secret("the password")?)).await?;
            note_by_hand(&store, "user.added", &user).await?;
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
            let hash = password::hash(ask_secret("the password")?).await?;
            store.change_user(&user, Some(hash)).await?;
            note_by_hand(&store, "user.changed", &user).await?;
            say(&format!("{} has a new password; their sessions and tokens have ended.", user.login));
        }
        UserCommand::Disable { login } => {
            let user = User { active: false, ..find(&store, &login).await? };
            store.change_user(&user, None).await?;
            note_by_hand(&store, "user.changed", &user).await?;
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

async fn note_by_hand(store: &DieselStore, action: &str, user: &User) -> Result<(), StoreError> {
    let access = if user.active { "" } else { ", shut out" };
    let detail = format!("by the command line: {}{access}", user.role.as_str());
    record(store, OPERATOR, action, user.login.as_str(), &detail).await
}
