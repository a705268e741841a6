//! `patchwright jira`

use patchwright_protocol::jira::{CreatedWorkspace, NewProjectMapping, NewWorkspace, WorkspaceUpdate};

use super::CommandResult;
use super::remote::{Remote, one, table};
use crate::cli::JiraCommand;
use crate::terminal::{ask_secret, say};

const SITE: [&str; 5] = ["id", "name", "status", "cloud_id", "account_id"];
const PROJECT: [&str; 3] = ["project", "platform", "repository"];
const LINK: [&str; 6] = ["id", "workspace", "user_id", "account_id", "display_name", "status"];
const CONVERSATION: [&str; 5] = ["conversation_id", "issue_key", "repository", "asked", "updated_at"];
const FAILED: [&str; 5] = ["id", "issue_key", "event_type", "created_at", "error"];

pub(crate) async fn run(remote: Remote, command: JiraCommand) -> CommandResult {
    let client = &remote.client;
    let update = |status: &str| WorkspaceUpdate { status: Some(status.to_owned()), ..WorkspaceUpdate::default() };
    let site = match command {
        JiraCommand::Status => {
            return remote.print(client.jira_status().await, |status| {
                say(&format!("configured: {}", status.configured));
                say(&format!("redirect_uri: {}", status.redirect_uri.as_deref().unwrap_or("-")));
                say(&format!("scopes: {}", status.scopes.as_deref().unwrap_or("-")));
                say(&format!("write_as: {}", status.write_as));
                say(&format!("webhook_path: {}", status.webhook_path));
            });
        }
        JiraCommand::Sites => return remote.print(client.jira_sites().await, |page| table(&SITE, page)),
        JiraCommand::Links => return remote.print(client.jira_links().await, |page| table(&LINK, page)),
        JiraCommand::Conversations => {
            return remote.print(client.jira_conversations().await, |page| table(&CONVERSATION, page));
        }
        JiraCommand::Failed => return remote.print(client.failed_jira_events().await, |page| table(&FAILED, page)),
        JiraCommand::Projects { id } => {
            return remote.print(client.jira_projects(&id).await, |page| table(&PROJECT, page));
        }
        JiraCommand::Validate { id } => {
            let columns = ["name", "status", "valid", "message"];
            return remote.print(client.validate_jira_site(&id).await, |found| one(&columns, found));
        }
        JiraCommand::Add { site, account, cloud_id } => {
            let key = account.as_ref().map(|_| ask_secret("the API key")).transpose()?;
            let new = NewWorkspace {
                name: site,
                webhook_secret: None,
                svc_acc_email: account,
                svc_acc_api_key: key.map(|key| key.expose().to_owned()),
                cloud_id,
                status: None,
            };
            return remote.print(client.create_jira_site(&new).await, show_added);
        }
        JiraCommand::Map { id, project, repository, platform } => {
            let mapping = NewProjectMapping { platform, repository };
            let mapped = client.map_jira_project(&id, &project, &mapping).await;
            return remote.print(mapped, |mapped| one(&PROJECT, mapped));
        }
        JiraCommand::Unmap { id, project } => return Remote::finish(client.unmap_jira_project(&id, &project).await),
        JiraCommand::Unlink { id } => return Remote::finish(client.unlink_jira(&id).await),
        JiraCommand::Key { id, account } => {
            let key = Some(ask_secret("the API key")?.expose().to_owned());
            let update = WorkspaceUpdate { svc_acc_api_key: key, svc_acc_email: account, ..WorkspaceUpdate::default() };
            client.update_jira_site(&id, &update).await
        }
        JiraCommand::Secret { id } => {
            let secret = Some(ask_secret("the webhook's secret")?.expose().to_owned());
            let update = WorkspaceUpdate { webhook_secret: secret, ..WorkspaceUpdate::default() };
            client.update_jira_site(&id, &update).await
        }
        JiraCommand::Activate { id } => client.update_jira_site(&id, &update("active")).await,
        JiraCommand::Deactivate { id } => client.update_jira_site(&id, &update("inactive")).await,
    };
    remote.print(site, |site| one(&SITE, site))
}

fn show_added(created: &CreatedWorkspace) {
    one(&SITE, &created.workspace);
    if let Some(url) = &created.webhook_url {
        say(&format!("the webhook's URL: {url}"));
    }
    if let Some(secret) = &created.webhook_secret {
        say(&format!("the webhook's secret, shown only once: {secret}"));
    }
}
