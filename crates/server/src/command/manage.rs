//! `patchwright repositories`, `credentials`, `users`, `tokens`, `nodes`, `notifications`, `stats`, `audit`: the management
//! plane from a terminal.

use patchwright_http::Request;
use serde_json::{Value, json};

use super::CommandResult;
use super::remote::{Remote, one, table, text};
use crate::cli::{
    CredentialsCommand, NodesCommand, NotificationsCommand, RepositoriesCommand, TokensCommand, UsersCommand,
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

pub(crate) async fn repositories(remote: Remote, command: RepositoriesCommand) -> CommandResult {
    match command {
        RepositoriesCommand::List => {
            remote.ask(Request::get(remote.url("/repositories")), |page| table(&REPOSITORY, page)).await
        }
        RepositoriesCommand::Add { platform, name } => {
            let request = Request::post(remote.url("/repositories")).json(&json!({"platform": platform, "name": name}));
            remote.ask(request, |repository| one(&REPOSITORY, repository)).await
        }
        RepositoriesCommand::Sync { id } => {
            let request = Request::post(remote.url(&format!("/repositories/{id}/sync")));
            remote
                .ask(request, |done| {
                    say(&format!("{} imported, {} updated", text(done, "imported"), text(done, "updated")));
                })
                .await
        }
        RepositoriesCommand::Remove { id } => {
            remote.ask(Request::delete(remote.url(&format!("/repositories/{id}"))), |_| {}).await
        }
    }
}

pub(crate) async fn credentials(remote: Remote, command: CredentialsCommand) -> CommandResult {
    let url = |id: &str| remote.url(&format!("/credentials/{id}"));
    match command {
        CredentialsCommand::List => {
            remote.ask(Request::get(remote.url("/credentials")), |page| table(&CREDENTIAL, page)).await
        }
        CredentialsCommand::Add { name, scope, platform, expires } => {
            let secret = ask_secret("the secret")?;
            let body = json!({
                "name": name, "scope": scope, "platform": platform, "secret": secret.expose(), "expires_at": expires,
            });
            remote.ask(Request::post(remote.url("/credentials")).json(&body), |added| one(&CREDENTIAL, added)).await
        }
        CredentialsCommand::Replace { id, expires } => {
            let body = json!({"secret": ask_secret("the secret")?.expose(), "expires_at": expires});
            remote.ask(Request::patch(url(&id)).json(&body), |changed| one(&CREDENTIAL, changed)).await
        }
        CredentialsCommand::Remove { id } => remote.ask(Request::delete(url(&id)), |_| {}).await,
    }
}

pub(crate) async fn users(remote: Remote, command: UsersCommand) -> CommandResult {
    let change = |id: &str, body: Value| Request::patch(remote.url(&format!("/users/{id}"))).json(&body);
    let request = match command {
        UsersCommand::List => {
            return remote.ask(Request::get(remote.url("/users")), |page| table(&USER, page)).await;
        }
        UsersCommand::Add { login, role } => {
            let body = json!({"login": login, "role": role, "password": ask_secret("the password")?.expose()});
            Request::post(remote.url("/users")).json(&body)
        }
        UsersCommand::Role { id, role } => change(&id, json!({"role": role})),
        UsersCommand::Disable { id } => change(&id, json!({"active": false})),
        UsersCommand::Enable { id } => change(&id, json!({"active": true})),
    };
    remote.ask(request, |user| one(&USER, user)).await
}

pub(crate) async fn nodes(remote: Remote, command: NodesCommand) -> CommandResult {
    let url = |id: &str| remote.url(&format!("/nodes/{id}"));
    let drain =
        |id: &str, draining: bool| Request::post(format!("{}/drain", url(id))).json(&json!({"draining": draining}));
    // The secret alone, so that it can be piped to where it belongs.
    let join_token = |node: &Value| say(&text(node, "join_token"));
    match command {
        NodesCommand::List => remote.ask(Request::get(remote.url("/nodes")), |page| table(&NODE, page)).await,
        NodesCommand::Add { name, labels, push_url } => {
            let body = json!({"name": name, "labels": labels, "push_url": push_url});
            remote.ask(Request::post(remote.url("/nodes")).json(&body), join_token).await
        }
        NodesCommand::Invite { id } => {
            remote.ask(Request::patch(url(&id)).json(&json!({"invite": true})), join_token).await
        }
        NodesCommand::Drain { id } => remote.ask(drain(&id, true), |node| one(&NODE, node)).await,
        NodesCommand::Resume { id } => remote.ask(drain(&id, false), |node| one(&NODE, node)).await,
        NodesCommand::Remove { id } => remote.ask(Request::delete(url(&id)), |_| {}).await,
    }
}

pub(crate) async fn tokens(remote: Remote, command: TokensCommand) -> CommandResult {
    match command {
        TokensCommand::List => remote.ask(Request::get(remote.url("/tokens")), |page| table(&TOKEN, page)).await,
        TokensCommand::Add { name, scope, days } => {
            let body = json!({"name": name, "scope": scope, "expires_in_days": days});
            // The secret alone, so that it can be piped to where it belongs.
            remote.ask(Request::post(remote.url("/tokens")).json(&body), |token| say(&text(token, "secret"))).await
        }
        TokensCommand::End { id } => remote.ask(Request::delete(remote.url(&format!("/tokens/{id}"))), |_| {}).await,
    }
}

pub(crate) async fn stats(remote: Remote, group_by: &str) -> CommandResult {
    let request = Request::get(remote.url("/stats")).query("group_by", group_by);
    let show = |stats: &Value| {
        let mut groups = stats["groups"].clone();
        // How long one run takes, half of them at the least.
        for group in groups.as_array_mut().into_iter().flatten() {
            group["seconds"] = group["run_seconds"]["p50"].clone();
        }
        table(&GROUP, &json!({"items": groups}));
    };
    remote.ask(request, show).await
}

pub(crate) async fn notifications(remote: Remote, command: NotificationsCommand) -> CommandResult {
    let url = |id: &str| remote.url(&format!("/notifications/{id}"));
    match command {
        NotificationsCommand::List => {
            remote.ask(Request::get(remote.url("/notifications")), |page| table(&CHANNEL, page)).await
        }
        NotificationsCommand::Add { name, kind, target, events, repository, everyone } => {
            let body = json!({
                "name": name, "kind": kind, "target": target, "events": events, "repository": repository,
                "everyone": everyone,
            });
            let show = |added: &Value| {
                one(&CHANNEL, added);
                if let Some(secret) = added["secret"].as_str() {
                    say(&format!("secret: {secret}"));
                }
            };
            remote.ask(Request::post(remote.url("/notifications")).json(&body), show).await
        }
        NotificationsCommand::Test { id } => {
            remote.ask(Request::post(format!("{}/test", url(&id))), |_| say("a trial is on its way")).await
        }
        NotificationsCommand::Remove { id } => remote.ask(Request::delete(url(&id)), |_| {}).await,
    }
}

pub(crate) async fn audit(remote: Remote, cursor: Option<String>, limit: u16) -> CommandResult {
    let request = Request::get(remote.url("/audit")).query("limit", limit.to_string());
    let request = cursor.into_iter().fold(request, |request, cursor| request.query("cursor", cursor));
    remote.ask(request, |page| table(&ENTRY, page)).await
}
