//! Finds the repository that an issue in Jira is about.

use std::collections::BTreeSet;
use std::sync::Arc;

use patchwright_core::fault::Fault;
use patchwright_core::forge::Forge;
use patchwright_core::jira::SiteEventKind;
use patchwright_core::repositories::RegisteredRepository;
use patchwright_domain::jira::Conversation;
use patchwright_domain::{IssueNumber, IssueRef, PlatformId, RepoName};

use super::inbox::{EventContext, JiraError, ResolvedIssue};
use super::repository::{hinted, named};
use crate::Engine;

/// The result of resolving the repository of an issue.
pub(super) enum RepositoryResolution {
    Found(PlatformId, RepoName),
    /// The comment names a repository that this server does not have.
    NotRegistered(String),
    /// The repository is unknown; these are the options for the question.
    Unknown(Vec<String>),
}

impl Engine {
    /// Resolves the repository of an issue, in this order: named in the comment; used by an earlier job; named in the
    /// issue's text; mapped to the project; the only repository; the one whose short name is in the text. Of several
    /// candidates, those count that can be read.
    pub(super) async fn resolve_repository(
        &self,
        context: &EventContext<'_>,
        on: &[Conversation],
        found: &ResolvedIssue,
    ) -> Result<RepositoryResolution, JiraError> {
        let comment = match &context.event.event.kind {
            SiteEventKind::Commented { body, .. } => body.as_str(),
            SiteEventKind::Labeled { .. } => "",
        };
        let all = context.jira.repositories.repositories().await?;
        let admitted =
            |repository: &RegisteredRepository| self.settings().allow.admits_repo(&repository.name.to_string());
        let known: Vec<RegisteredRepository> = all.into_iter().filter(admitted).collect();
        let hosts = self.forge_hosts();
        let in_comment = named(comment, &known, &hosts);
        if let Some(found) = self.readable(&in_comment.known).await? {
            return Ok(found);
        }
        let before = on.iter().filter_map(|conversation| conversation.repository.clone());
        if let Some((platform, repo)) = before.into_iter().next_back() {
            return Ok(still_known(&known, platform, repo));
        }
        let text = format!("{}\n{}", found.remote.title, found.remote.body);
        if let Some(found) = self.readable(&named(&text, &known, &hosts).known).await? {
            return Ok(found);
        }
        let mapped = context.jira.workspaces.projects(context.workspace.id).await?;
        if let Some(mapped) = mapped.into_iter().find(|mapped| mapped.project == found.at.project()) {
            return Ok(still_known(&known, mapped.platform, mapped.repo));
        }
        // An address of a repository that is not registered is a hint, and no more than that: a mapping goes before it.
        if let Some(other) = in_comment.others.into_iter().next().filter(|_| in_comment.known.is_empty()) {
            return Ok(RepositoryResolution::NotRegistered(other));
        }
        if let [only] = known.as_slice() {
            return Ok(RepositoryResolution::Found(only.platform.clone(), only.name.clone()));
        }
        if let Some(found) = self.readable(&hinted(&format!("{comment}\n{text}"), &known)).await? {
            return Ok(found);
        }
        Ok(RepositoryResolution::Unknown(known.iter().map(|repository| repository.name.to_string()).collect()))
    }

    /// Returns the hosts of the configured forges, with their ports, in lower case.
    fn forge_hosts(&self) -> BTreeSet<String> {
        let page = |(platform, forge): (&PlatformId, &Arc<dyn Forge>)| {
            let number = IssueNumber::parse(1).ok()?;
            let issue = IssueRef::on_forge(platform.clone(), RepoName::new("a", "b").ok()?, number);
            let url = forge.issue_url(&issue);
            let (_, rest) = url.split_once("://")?;
            Some(rest.split('/').next()?.to_lowercase())
        };
        self.ports.forges.iter().filter_map(page).collect()
    }

    /// Returns the one candidate that the forge lets this server read; `None` if there is none or more than one.
    async fn readable(&self, candidates: &[&RegisteredRepository]) -> Result<Option<RepositoryResolution>, JiraError> {
        let mut found = Vec::new();
        for candidate in candidates.iter().take(8) {
            let Some(forge) = self.ports.forges.get(&candidate.platform) else { continue };
            match forge.repository(&candidate.name).await {
                Ok(_) => found.push(*candidate),
                Err(error) if matches!(error.fault(), Fault::Retry { .. }) => return Err(error.into()),
                Err(error) => {
                    tracing::info!(repository = %candidate.name, %error, "failed to read a candidate repository");
                }
            }
        }
        Ok(match found.as_slice() {
            [one] => Some(RepositoryResolution::Found(one.platform.clone(), one.name.clone())),
            _ => None,
        })
    }
}

/// Returns the repository that was resolved before, if jobs may still run for it.
fn still_known(known: &[RegisteredRepository], platform: PlatformId, repo: RepoName) -> RepositoryResolution {
    if known.iter().any(|known| known.platform == platform && known.name == repo) {
        RepositoryResolution::Found(platform, repo)
    } else {
        RepositoryResolution::NotRegistered(repo.to_string())
    }
}
