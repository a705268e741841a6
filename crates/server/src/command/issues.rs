//! `patchwright issues` and `tasks`: what there is to do, and who does it.

use patchwright_http::Request;
use serde_json::json;

use super::CommandResult;
use super::remote::{Remote, one, table, text};
use crate::cli::{IssuesCommand, TasksCommand};
use crate::terminal::say;

const ISSUE: [&str; 6] = ["id", "status", "repository", "number", "key", "title"];
const STARTED: [&str; 4] = ["id", "started", "job_id", "error"];
const TASK: [&str; 6] = ["id", "job_id", "status", "node_id", "created_at", "error_message"];

pub(crate) async fn issues(remote: Remote, command: IssuesCommand) -> CommandResult {
    let post = |id: &str, verb: &str| Request::post(remote.url(&format!("/issues/{id}/{verb}")));
    match command {
        IssuesCommand::List { status, repository, search, cursor, limit } => {
            let mut request = Request::get(remote.url("/issues")).query("limit", limit.to_string());
            for (name, value) in [("status", status), ("repository", repository), ("q", search), ("cursor", cursor)] {
                if let Some(value) = value {
                    request = request.query(name, value);
                }
            }
            remote.ask(request, |page| table(&ISSUE, page)).await
        }
        IssuesCommand::Show { id } => {
            let request = Request::get(remote.url(&format!("/issues/{id}")));
            remote
                .ask(request, |issue| {
                    one(&ISSUE, issue);
                    say(&text(issue, "body"));
                })
                .await
        }
        IssuesCommand::Open { repository, title, body } => {
            let draft = json!({"repository_id": repository, "title": title, "body": body});
            remote.ask(Request::post(remote.url("/issues")).json(&draft), |issue| one(&ISSUE, issue)).await
        }
        IssuesCommand::Edit { id, title, body } => {
            let request = Request::patch(remote.url(&format!("/issues/{id}")));
            remote.ask(request.json(&json!({"title": title, "body": body})), |issue| one(&ISSUE, issue)).await
        }
        IssuesCommand::Start { ids, command, instructions, node, labels, priority, review_plan } => {
            if let [id] = ids.as_slice() {
                let body = json!({
                    "command": command, "instructions": instructions, "node_id": node, "labels": labels,
                    "priority": priority, "review_plan": review_plan,
                });
                return remote.ask(post(id, "start").json(&body), |task| one(&["job_id", "status"], task)).await;
            }
            if [&command, &instructions, &node, &priority].into_iter().any(Option::is_some)
                || !labels.is_empty()
                || review_plan
            {
                return Err("several issues are started as they are; give options with one id at a time".into());
            }
            let request = Request::post(remote.url("/issues/start-batch")).json(&json!({"ids": ids}));
            remote.ask(request, |batch| table(&STARTED, batch)).await
        }
        IssuesCommand::Cancel { id } => remote.ask(post(&id, "cancel"), |issue| one(&ISSUE, issue)).await,
        IssuesCommand::Merge { id, pull_request } => {
            let request = post(&id, "merge").json(&json!({"pull_request": pull_request}));
            remote.ask(request, |issue| one(&ISSUE, issue)).await
        }
    }
}

pub(crate) async fn tasks(remote: Remote, command: TasksCommand) -> CommandResult {
    match command {
        TasksCommand::List { status, limit } => {
            let request = Request::get(remote.url("/tasks")).query("limit", limit.to_string());
            let request = status.into_iter().fold(request, |request, status| request.query("status", status));
            remote.ask(request, |page| table(&TASK, page)).await
        }
        TasksCommand::Show { id } => {
            remote.ask(Request::get(remote.url(&format!("/tasks/{id}"))), |task| one(&TASK, task)).await
        }
        TasksCommand::Logs { id } => remote.print_log(&remote.url(&format!("/tasks/{id}/logs"))).await,
    }
}
