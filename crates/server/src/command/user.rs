//! `patchwright user`: manages users directly in the database. It needs no login: access to the database is the
//! authorization.

use std::process::ExitCode;

use patchwright_domain::Role;
use patchwright_domain::user::{Scope, User};
use patchwright_management::{Management, NewToken, NewUser, Principal, UserUpdate};

use super::CommandResult;
use crate::cli::{UserArgs, UserCommand};
use crate::compose::{Overrides, compose};
use crate::config::Config;
use crate::telemetry;
use crate::terminal::{ask_secret, say};

pub(crate) async fn run(config: Config, args: UserArgs) -> CommandResult {
    telemetry::start(&config, true);
    let management = compose(&config, Overrides::default()).await?.management;
    let (users, operator) = (management.users(), Principal::operator());
    match args.command {
        UserCommand::Add { login, role } => {
            let role = Role::parse(&role).ok_or("a role is `admin` or `member`")?;
            let new = NewUser { login, role, password: Some(ask_secret("the password")?) };
            let user = users.create(&operator, new).await?;
            say(&format!("{} was added as {}.", user.login, user.role.as_str()));
        }
        UserCommand::List => {
            for user in users.list(&operator).await? {
                let state = if user.active { "" } else { "  inactive" };
                say(&format!("{:<32} {}{state}", user.login.as_str(), user.role.as_str()));
            }
        }
        UserCommand::Password { login } => {
            let user = find(&management, &login).await?;
            let update = UserUpdate { password: Some(ask_secret("the password")?), ..UserUpdate::default() };
            users.update(&operator, user.id, update).await?;
            say(&format!("{} has a new password; their sessions and tokens have ended.", user.login));
        }
        UserCommand::Token { login, name, scope, days } => {
            let scope = Scope::parse(&scope).ok_or("a scope is `read`, `write` or `admin`")?;
            let user = find(&management, &login).await?;
            let widest = if user.role == Role::Admin { Scope::Admin } else { Scope::Write };
            let new = NewToken { name, scope, expires_in_days: Some(days) };
            let created = management.tokens().create(&Principal::user(&user, widest, None), new).await?;
            // The secret alone, so that it can be piped.
            say(created.secret.expose());
        }
        UserCommand::Disable { login } => {
            let user = find(&management, &login).await?;
            let update = UserUpdate { active: Some(false), ..UserUpdate::default() };
            users.update(&operator, user.id, update).await?;
            say(&format!("{} is deactivated.", user.login));
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn find(management: &Management, login: &str) -> Result<User, Box<dyn std::error::Error + Send + Sync>> {
    let users = management.users().list(&Principal::operator()).await?;
    let found = users.into_iter().find(|user| user.login.as_str() == login.to_ascii_lowercase());
    found.ok_or_else(|| format!("there is no user `{login}`").into())
}
