//! `patchwright repositories`, `credentials`, `users`, `tokens`, `nodes`, `notifications`, `stats` and `audit`

use patchwright_protocol::audit::AuditQuery;
use patchwright_protocol::channels::NewChannel;
use patchwright_protocol::credentials::{CredentialUpdate, NewCredential};
use patchwright_protocol::nodes::{DrainNode, InvitedNode, NewNode, NodeUpdate};
use patchwright_protocol::repositories::{Members, NewRepository};
use patchwright_protocol::stats::StatsQuery;
use patchwright_protocol::users::{ForgeAccount, ForgeAccounts, NewToken, NewUser, UserUpdate};
use serde_json::json;

use super::CommandResult;
use super::remote::{Remote, RemoteError, one, table};
use crate::cli::{
    CredentialsCommand, NodesCommand, NotificationsCommand, RegisteredCommand, TokensCommand, UsersCommand,
};
use crate::terminal::{ask_secret, say};

const REPOSITORY: [&str; 4] = ["id", "platform", "name", "synced_at"];
const CREDENTIAL: [&str; 7] = ["id", "platform", "scope", "name", "login", "expires_at", "last_used_at"];
const USER: [&str; 4] = ["id", "login", "role", "active"];
const NODE: [&str; 7] = ["id", "name", "online", "draining", "running", "capacity", "labels"];
const TOKEN: [&str; 5] = ["id", "name", "scope", "expires_at", "last_used_at"];
const CHANNEL: [&str; 6] = ["id", "name", "kind", "target", "repository", "everyone"];
const ENTRY: [&str; 5] = ["at", "actor", "action", "subject", "detail"];
const GROUP: [&str; 8] = ["key", "succeeded", "failed", "cancelled", "success_rate", "seconds", "model_calls", "cost"];

pub(crate) async fn repositories(remote: Remote, command: RegisteredCommand) -> CommandResult {
    let client = &remote.client;
    let find = async |reference: String| client.find_repository(&reference).await.map_err(RemoteError::from);
    match command {
        RegisteredCommand::List => remote.print(client.repositories().await, |page| table(&REPOSITORY, page)),
        RegisteredCommand::Add { platform, name } => {
            let created = client.create_repository(&NewRepository { platform, name }).await;
            remote.print(created, |repository| one(&REPOSITORY, repository))
        }
        RegisteredCommand::Sync { id } => remote.print(client.import_issues(&find(id).await?).await, |counts| {
            say(&format!("{} imported, {} updated", counts.imported, counts.updated));
        }),
        RegisteredCommand::Members { id, users } => {
            let mut user_ids = Vec::new();
            for user in users {
                user_ids.push(client.find_user(&user).await.map_err(RemoteError::from)?);
            }
            let members = client.set_members(&find(id).await?, &Members { user_ids }).await;
            remote.print(members, |members| members.user_ids.iter().for_each(|id| say(id)))
        }
        RegisteredCommand::Remove { id, data } => {
            Remote::finish(client.delete_repository(&find(id).await?, data).await)
        }
    }
}

pub(crate) async fn credentials(remote: Remote, command: CredentialsCommand) -> CommandResult {
    let client = &remote.client;
    match command {
        CredentialsCommand::List => remote.print(client.credentials().await, |page| table(&CREDENTIAL, page)),
        CredentialsCommand::Add { name, scope, platform, expires } => {
            let secret = ask_secret("the secret")?.expose().to_owned();
            let new = NewCredential { name, platform, scope, secret, expires_at: expires };
            remote.print(client.create_credential(&new).await, |credential| one(&CREDENTIAL, credential))
        }
        CredentialsCommand::Replace { id, expires } => {
            let secret = Some(ask_secret("the secret")?.expose().to_owned());
            let update = CredentialUpdate { name: None, secret, expires_at: expires };
            remote.print(client.update_credential(&id, &update).await, |credential| one(&CREDENTIAL, credential))
        }
        CredentialsCommand::Remove { id } => Remote::finish(client.delete_credential(&id).await),
    }
}

pub(crate) async fn users(remote: Remote, command: UsersCommand) -> CommandResult {
    let client = &remote.client;
    let find = async |reference: String| client.find_user(&reference).await.map_err(RemoteError::from);
    let nothing = UserUpdate { role: None, active: None, password: None };
    let user = match command {
        UsersCommand::List => return remote.print(client.users().await, |page| table(&USER, page)),
        UsersCommand::Add { login, role } => {
            let password = Some(ask_secret("the password")?.expose().to_owned());
            client.create_user(&NewUser { login, role, password }).await
        }
        UsersCommand::Accounts { id, accounts } => {
            let accounts = accounts.iter().map(|word| parse_account(word)).collect::<Result<_, _>>()?;
            let set = client.set_forge_accounts(&find(id).await?, &ForgeAccounts { accounts }).await;
            return remote.print(set, |set| {
                set.accounts.iter().for_each(|account| say(&format!("{}:{}", account.platform, account.login)));
            });
        }
        UsersCommand::Remove { id } => return Remote::finish(client.delete_user(&find(id).await?).await),
        UsersCommand::Role { id, role } => {
            client.update_user(&find(id).await?, &UserUpdate { role: Some(role), ..nothing }).await
        }
        UsersCommand::Disable { id } => {
            client.update_user(&find(id).await?, &UserUpdate { active: Some(false), ..nothing }).await
        }
        UsersCommand::Enable { id } => {
            client.update_user(&find(id).await?, &UserUpdate { active: Some(true), ..nothing }).await
        }
    };
    remote.print(user, |user| one(&USER, user))
}

fn parse_account(word: &str) -> Result<ForgeAccount, String> {
    let (platform, login) =
        word.split_once(':').ok_or_else(|| format!("`{word}` is no account on a forge: write `github:alice`"))?;
    Ok(ForgeAccount { platform: platform.to_owned(), login: login.to_owned() })
}

/// Prints the join token alone, so that it can be piped.
fn print_join_token(invited: &InvitedNode) {
    say(invited.join_token.as_deref().unwrap_or("-"));
}

pub(crate) async fn nodes(remote: Remote, command: NodesCommand) -> CommandResult {
    let client = &remote.client;
    let find = async |reference: String| client.find_node(&reference).await.map_err(RemoteError::from);
    match command {
        NodesCommand::List => remote.print(client.nodes().await, |page| table(&NODE, page)),
        NodesCommand::Add { name, labels, push_url, third_party } => {
            let added = client.create_node(&NewNode { name, labels, push_url }).await;
            if !third_party {
                return remote.print(added, print_join_token);
            }
            let registered = match added {
                Ok(added) => client.register_node(&added.join_token.unwrap_or_default(), &added.node.name).await,
                Err(error) => Err(error),
            };
            // The token alone, so that it can be piped.
            remote.print(registered, |node| say(&node.token))
        }
        NodesCommand::Invite { id } => {
            let update = NodeUpdate { labels: None, push_url: None, draining: None, invite: true };
            remote.print(client.update_node(&find(id).await?, &update).await, print_join_token)
        }
        NodesCommand::Drain { id } => remote
            .print(client.drain_node(&find(id).await?, &DrainNode { draining: true }).await, |node| one(&NODE, node)),
        NodesCommand::Resume { id } => remote
            .print(client.drain_node(&find(id).await?, &DrainNode { draining: false }).await, |node| one(&NODE, node)),
        NodesCommand::Remove { id } => Remote::finish(client.delete_node(&find(id).await?).await),
    }
}

pub(crate) async fn tokens(remote: Remote, command: TokensCommand) -> CommandResult {
    let client = &remote.client;
    match command {
        TokensCommand::List => remote.print(client.tokens().await, |page| table(&TOKEN, page)),
        TokensCommand::Add { name, scope, days } => {
            let new = NewToken { name, scope, expires_in_days: Some(days) };
            // The secret alone, so that it can be piped.
            remote.print(client.create_token(&new).await, |created| say(&created.secret))
        }
        TokensCommand::End { id } => Remote::finish(client.revoke_token(&id).await),
    }
}

pub(crate) async fn stats(remote: Remote, group_by: String) -> CommandResult {
    let query = StatsQuery { group_by: Some(group_by), ..StatsQuery::default() };
    remote.print(remote.client.stats(&query).await, |stats| {
        let mut groups = serde_json::to_value(&stats.groups).expect("a response is JSON");
        // The column is the median of the run times.
        for group in groups.as_array_mut().into_iter().flatten() {
            group["seconds"] = group["run_seconds"]["p50"].clone();
        }
        table(&GROUP, &json!({ "items": groups }));
    })
}

pub(crate) async fn notifications(remote: Remote, command: NotificationsCommand) -> CommandResult {
    let client = &remote.client;
    match command {
        NotificationsCommand::List => remote.print(client.channels().await, |page| table(&CHANNEL, page)),
        NotificationsCommand::Add { name, kind, target, events, repository, everyone } => {
            let new = NewChannel { name, kind, target, events, repository, everyone, secret: None };
            remote.print(client.create_channel(&new).await, |created| {
                one(&CHANNEL, &created.channel);
                if let Some(secret) = &created.secret {
                    say(&format!("secret: {secret}"));
                }
            })
        }
        NotificationsCommand::Test { id } => {
            let sent = Remote::finish(client.test_channel(&id).await)?;
            say("a test message is queued");
            Ok(sent)
        }
        NotificationsCommand::Remove { id } => Remote::finish(client.delete_channel(&id).await),
    }
}

pub(crate) async fn audit(remote: Remote, cursor: Option<String>, limit: u16) -> CommandResult {
    let query = AuditQuery { cursor, limit: Some(limit) };
    remote.print(remote.client.audit(&query).await, |page| table(&ENTRY, page))
}
