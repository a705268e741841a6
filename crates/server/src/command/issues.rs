//! `patchwright issues` and `patchwright tasks`

use patchwright_protocol::issues::{IssueQuery, IssueUpdate, MergeIssue, NewIssue, StartBatch, StartIssue};
use patchwright_protocol::tasks::TaskQuery;

use super::CommandResult;
use super::remote::{Remote, RemoteError, one, table};
use crate::cli::{IssuesCommand, TasksCommand};
use crate::terminal::{printable, say};

const ISSUE: [&str; 6] = ["id", "status", "repository", "number", "key", "title"];
const STARTED: [&str; 4] = ["id", "started", "job_id", "error"];
const TASK: [&str; 6] = ["id", "job_id", "status", "node_id", "created_at", "error_message"];

pub(crate) async fn issues(remote: Remote, command: IssuesCommand) -> CommandResult {
    let client = &remote.client;
    let find = async |reference: String| client.find_issue(&reference).await.map_err(RemoteError::from);
    let issue = match command {
        IssuesCommand::List { status, repository, search, order, cursor, limit } => {
            let query = IssueQuery {
                status,
                repository,
                q: search,
                order,
                cursor,
                limit: Some(limit),
                ..IssueQuery::default()
            };
            return remote.print(client.issues(&query).await, |page| table(&ISSUE, page));
        }
        IssuesCommand::Show { id } => {
            return remote.print(client.issue(&find(id).await?).await, |issue| {
                one(&ISSUE, issue);
                issue.body.lines().for_each(|line| say(&printable(line)));
            });
        }
        IssuesCommand::Start { ids, command, instructions, node, labels, priority, review_plan } => {
            let node_id = match node {
                Some(node) => Some(client.find_node(&node).await.map_err(RemoteError::from)?),
                None => None,
            };
            let mut found = Vec::new();
            for id in ids {
                found.push(find(id).await?);
            }
            let options = StartIssue {
                command,
                instructions,
                node_id,
                labels: Some(labels).filter(|labels| !labels.is_empty()),
                queue: None,
                priority,
                review_plan: review_plan.then_some(true),
            };
            return start(&remote, found, &options).await;
        }
        IssuesCommand::Open { repository, title, body } => {
            let repository_id = client.find_repository(&repository).await.map_err(RemoteError::from)?;
            client.open_issue(&NewIssue { repository_id, title, body: Some(body) }).await
        }
        IssuesCommand::Edit { id, title, body } => {
            client.update_issue(&find(id).await?, &IssueUpdate { title, body }).await
        }
        IssuesCommand::Cancel { id } => client.cancel_issue(&find(id).await?).await,
        IssuesCommand::Ready { id } => client.mark_issue_ready(&find(id).await?).await,
        IssuesCommand::Merge { id, pull_request } => {
            client.merge_issue(&find(id).await?, &MergeIssue { pull_request }).await
        }
    };
    remote.print(issue, |issue| one(&ISSUE, issue))
}

/// Starts one issue with options, or several without.
async fn start(remote: &Remote, ids: Vec<String>, options: &StartIssue) -> CommandResult {
    if let [id] = ids.as_slice() {
        return remote.print(remote.client.start_issue(id, options).await, |task| one(&["job_id", "status"], task));
    }
    if serde_json::to_value(options)? != serde_json::to_value(StartIssue::default())? {
        return Err("several issues are started without options; pass options with one id at a time".into());
    }
    remote.print(remote.client.start_issues(&StartBatch { ids }).await, |batch| table(&STARTED, batch))
}

pub(crate) async fn tasks(remote: Remote, command: TasksCommand) -> CommandResult {
    let find = async |reference: String| remote.client.find_task(&reference).await.map_err(RemoteError::from);
    match command {
        TasksCommand::List { status, cursor, limit } => {
            let query = TaskQuery { status, cursor, limit: Some(limit), ..TaskQuery::default() };
            remote.print(remote.client.tasks(&query).await, |page| table(&TASK, page))
        }
        TasksCommand::Show { id } => remote.print(remote.client.task(&find(id).await?).await, |task| one(&TASK, task)),
        TasksCommand::Logs { id, follow } => remote.print_log(&find(id).await?, follow).await,
    }
}
