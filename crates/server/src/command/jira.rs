//! `patchwright jira`: sites, projects and links from a terminal.

use patchwright_http::Request;
use serde_json::{Value, json};

use super::CommandResult;
use super::remote::{Remote, one, table, text};
use crate::cli::JiraCommand;
use crate::terminal::{ask_secret, say};

const SITE: [&str; 5] = ["id", "name", "status", "cloud_id", "account_id"];
const PROJECT: [&str; 3] = ["project", "platform", "repository"];
const LINK: [&str; 6] = ["id", "workspace", "user_id", "account_id", "display_name", "status"];
const CONVERSATION: [&str; 5] = ["conversation_id", "issue_key", "repository", "asked", "updated_at"];
const DEAD: [&str; 5] = ["id", "issue_key", "event_type", "created_at", "error"];

pub(crate) async fn run(remote: Remote, command: JiraCommand) -> CommandResult {
    let get = |path: &str| Request::get(remote.url(&format!("/jira/{path}")));
    let change = |id: &str, body: Value| Request::patch(remote.url(&format!("/jira/workspaces/{id}"))).json(&body);
    let project = |id: &str, key: &str| remote.url(&format!("/jira/workspaces/{id}/projects/{key}"));
    let request = match command {
        JiraCommand::Status => return remote.ask(get("status"), show_status).await,
        JiraCommand::Sites => return remote.ask(get("workspaces"), |page| table(&SITE, page)).await,
        JiraCommand::Links => return remote.ask(get("links"), |page| table(&LINK, page)).await,
        JiraCommand::Conversations => {
            return remote.ask(get("conversations"), |page| table(&CONVERSATION, page)).await;
        }
        JiraCommand::Failed => return remote.ask(get("failed"), |page| table(&DEAD, page)).await,
        JiraCommand::Projects { id } => {
            return remote.ask(get(&format!("workspaces/{id}/projects")), |page| table(&PROJECT, page)).await;
        }
        JiraCommand::Validate { id } => {
            let show = |found: &Value| one(&["name", "status", "valid", "message"], found);
            return remote.ask(get(&format!("workspaces/{id}/validate")), show).await;
        }
        JiraCommand::Add { site, account, cloud_id } => {
            let key = account.as_ref().map(|_| ask_secret("the API key")).transpose()?;
            let body = json!({
                "name": site, "svc_acc_email": account, "cloud_id": cloud_id,
                "svc_acc_api_key": key.as_ref().map(|key| key.expose().to_owned()),
            });
            return remote.ask(Request::post(remote.url("/jira/workspaces")).json(&body), show_added).await;
        }
        JiraCommand::Map { id, project: key, repository, platform } => {
            let body = json!({"platform": platform, "repository": repository});
            return remote.ask(Request::post(project(&id, &key)).json(&body), |mapped| one(&PROJECT, mapped)).await;
        }
        JiraCommand::Unmap { id, project: key } => {
            return remote.ask(Request::delete(project(&id, &key)), |_| {}).await;
        }
        JiraCommand::Unlink { id } => {
            return remote.ask(Request::delete(remote.url(&format!("/jira/links/{id}"))), |_| {}).await;
        }
        JiraCommand::Key { id, account } => {
            change(&id, json!({"svc_acc_api_key": ask_secret("the API key")?.expose(), "svc_acc_email": account}))
        }
        JiraCommand::Secret { id } => {
            change(&id, json!({"webhook_secret": ask_secret("the webhook's secret")?.expose()}))
        }
        JiraCommand::Activate { id } => change(&id, json!({"status": "active"})),
        JiraCommand::Deactivate { id } => change(&id, json!({"status": "inactive"})),
    };
    remote.ask(request, |site| one(&SITE, site)).await
}

fn show_status(status: &Value) {
    for name in ["configured", "redirect_uri", "scopes", "write_as", "webhook_path"] {
        say(&format!("{name}: {}", text(status, name)));
    }
}

fn show_added(site: &Value) {
    one(&SITE, site);
    for (name, what) in
        [("webhook_url", "the webhook's address"), ("webhook_secret", "the webhook's secret, shown this once")]
    {
        if let Some(value) = site[name].as_str() {
            say(&format!("{what}: {value}"));
        }
    }
}
