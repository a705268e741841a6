//! The names that users have for issues, jobs and repositories, in place of ids.

use patchwright_protocol::issues::{IssueQuery, IssueView};
use patchwright_protocol::jobs::{JobQuery, JobSummary};
use patchwright_protocol::tasks::TaskQuery;

use crate::{Client, ClientError};

/// How many of the newest jobs of a repository are searched for one with a pull request, and of the issues of a number.
const MAX_ITEMS: u16 = 200;

/// A repository as a user names it, with the forge if the address says which.
#[derive(Debug, Clone, PartialEq, Eq)]
struct RepositoryName {
    platform: Option<&'static str>,
    name: String,
}

impl RepositoryName {
    fn is(&self, platform: &str, name: &str) -> bool {
        self.name == name && self.platform.is_none_or(|own| own == platform)
    }
}

/// What a user wrote to name something.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Reference {
    /// An id of the API, with what it is the id of if it is the end of an address: `jobs`, `issues`, `tasks`.
    Id { kind: Option<String>, id: String },
    /// `owner/name#12`, or the address of an issue on a forge.
    Issue { repository: RepositoryName, number: u64 },
    /// The address of a pull request.
    PullRequest { repository: RepositoryName, number: u64 },
    /// `owner/name`, or the address of a repository.
    Repository(RepositoryName),
    /// The key of an issue of Jira: `PROJ-12`.
    Key(String),
    /// Anything else, such as a name.
    Name(String),
}

impl Reference {
    fn parse(text: &str) -> Self {
        let text = text.trim();
        match text.split_once("://") {
            Some((_, rest)) => Self::parse_address(text, rest),
            None => Self::parse_name(text),
        }
    }

    fn parse_name(text: &str) -> Self {
        let repository = |name: String| RepositoryName { platform: None, name };
        let parts: Vec<&str> = text.trim_end_matches('/').split('/').collect();
        match parts.as_slice() {
            [id] if is_uuid(id) => Self::Id { kind: None, id: (*id).to_owned() },
            [owner, name] => match name.split_once('#') {
                Some((name, number)) if let Ok(number) = number.parse() => {
                    Self::Issue { repository: repository(format!("{owner}/{name}")), number }
                }
                _ => Self::Repository(repository(text.to_owned())),
            },
            [key] if is_jira_key(key) => Self::Key((*key).to_owned()),
            _ => Self::Name(text.to_owned()),
        }
    }

    /// Parses an address without its scheme. A browser may have added to it: `?tab=tests`, `#issuecomment-12`, `/files`.
    fn parse_address(text: &str, rest: &str) -> Self {
        let plain = rest.split(['?', '#']).next().unwrap_or(rest);
        let (host, path) = plain.split_once('/').unwrap_or((plain, ""));
        let platform = match host.trim_start_matches("www.") {
            "github.com" => Some("github"),
            "gitcode.com" => Some("gitcode"),
            _ => None,
        };
        let parts: Vec<&str> = path.trim_end_matches('/').split('/').collect();
        if let [.., kind, id] = parts.as_slice()
            && is_uuid(id)
        {
            return Self::Id { kind: Some((*kind).to_owned()), id: (*id).to_owned() };
        }
        let repository = |name: String| RepositoryName { platform, name };
        for window in parts.windows(4) {
            let [owner, name, kind, number] = window else { continue };
            let (Ok(number), repository) = (number.parse(), repository(format!("{owner}/{name}"))) else { continue };
            match *kind {
                "issues" => return Self::Issue { repository, number },
                "pull" | "pulls" | "merge_requests" => return Self::PullRequest { repository, number },
                _ => {}
            }
        }
        match parts.as_slice() {
            [key] | ["browse", key] if is_jira_key(key) => Self::Key((*key).to_owned()),
            [owner, name] if !name.is_empty() => {
                Self::Repository(repository(format!("{owner}/{}", name.trim_end_matches(".git"))))
            }
            _ => Self::Name(text.to_owned()),
        }
    }
}

fn is_uuid(text: &str) -> bool {
    let lengths = [8, 4, 4, 4, 12];
    let parts: Vec<&str> = text.split('-').collect();
    parts.len() == lengths.len()
        && parts
            .iter()
            .zip(lengths)
            .all(|(part, length)| part.len() == length && part.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn is_jira_key(text: &str) -> bool {
    text.split_once('-').is_some_and(|(project, number)| {
        project.starts_with(|c: char| c.is_ascii_uppercase())
            && project.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
            && !number.is_empty()
            && number.bytes().all(|byte| byte.is_ascii_digit())
    })
}

fn not_found(kind: &'static str, reference: &str) -> ClientError {
    ClientError::NotFound { kind, reference: reference.to_owned() }
}

#[expect(clippy::missing_errors_doc, reason = "each method says it in its text")]
impl Client {
    /// Returns the id of an issue named by its id, `owner/name#12`, the key of Jira, or the address of the issue, its page here, one
    /// of its jobs, or its pull request. [`ClientError::NotFound`] if the server has none, [`ClientError::Ambiguous`] if it has
    /// several.
    pub async fn find_issue(&self, reference: &str) -> Result<String, ClientError> {
        let missing = || not_found("issue", reference);
        match Reference::parse(reference) {
            Reference::Id { kind, id } if kind.as_deref() == Some("jobs") => {
                let query = TaskQuery { job: Some(id), limit: Some(1), ..TaskQuery::default() };
                let task = self.tasks(&query).await?.items.into_iter().next();
                task.map(|task| task.issue_id).ok_or_else(missing)
            }
            Reference::Id { id, .. } => Ok(id),
            Reference::Issue { repository, number } => {
                // Issues of Jira have a number too: that of their key.
                self.one_issue(reference, &repository, number, |issue| issue.key.is_none()).await
            }
            Reference::Key(key) => {
                // Keys are no filter: the number is, and few projects share one.
                let number = key.rsplit('-').next().and_then(|number| number.parse().ok());
                let query = IssueQuery { number, limit: Some(MAX_ITEMS), ..IssueQuery::default() };
                let found = self.issues(&query).await?.items;
                only(found.into_iter().filter(|issue| issue.key.as_ref() == Some(&key)), "issue", reference)
                    .map(|issue| issue.id)
            }
            Reference::PullRequest { repository, number } => {
                let job = self.find_pull_request(reference, &repository, number).await?;
                self.one_issue(reference, &repository, job.issue_number, |issue| issue.key == job.issue_key).await
            }
            Reference::Repository(_) | Reference::Name(_) => Err(missing()),
        }
    }

    /// Returns the id of a job named by its id or page, or as [`Self::find_issue`] takes it: then the newest job of the issue, or the
    /// one of the pull request. [`ClientError::NotFound`] if the server has none, [`ClientError::Ambiguous`].
    pub async fn find_job(&self, reference: &str) -> Result<String, ClientError> {
        match Reference::parse(reference) {
            Reference::Id { kind, id } if kind.as_deref() != Some("issues") => Ok(id),
            Reference::PullRequest { repository, number } => {
                Ok(self.find_pull_request(reference, &repository, number).await?.job_id)
            }
            Reference::Id { .. } | Reference::Issue { .. } | Reference::Key(_) => {
                let issue = Some(self.find_issue(reference).await?);
                let query = JobQuery { issue, limit: Some(1), ..JobQuery::default() };
                let newest = self.jobs(&query).await?.items.into_iter().next();
                newest.map(|job| job.job_id).ok_or_else(|| not_found("job", reference))
            }
            Reference::Repository(_) | Reference::Name(_) => Err(not_found("job", reference)),
        }
    }

    /// Returns the id of a task named by its id, or of the newest task of a job as [`Self::find_job`] takes it.
    /// [`ClientError::NotFound`] if the server has none, [`ClientError::Ambiguous`].
    pub async fn find_task(&self, reference: &str) -> Result<String, ClientError> {
        if let Reference::Id { kind, id } = Reference::parse(reference)
            && !matches!(kind.as_deref(), Some("jobs" | "issues"))
        {
            return Ok(id);
        }
        let job = self.find_job(reference).await?;
        self.newest_task(&job).await?.ok_or_else(|| not_found("task", reference))
    }

    /// Returns the id of the newest task of a job; `None` before it has one.
    pub async fn newest_task(&self, job: &str) -> Result<Option<String>, ClientError> {
        let query = TaskQuery { job: Some(job.to_owned()), limit: Some(1), ..TaskQuery::default() };
        Ok(self.tasks(&query).await?.items.into_iter().next().map(|task| task.id))
    }

    /// Returns the id of a repository named by its id, `owner/name` or its address. [`ClientError::NotFound`] if it is not
    /// registered, [`ClientError::Ambiguous`] if several forges have one of this name.
    pub async fn find_repository(&self, reference: &str) -> Result<String, ClientError> {
        let name = match Reference::parse(reference) {
            Reference::Id { id, .. } => return Ok(id),
            Reference::Repository(name) => name,
            _ => return Err(not_found("repository", reference)),
        };
        let found = self.repositories().await?.items;
        let found = found.into_iter().filter(|own| name.is(&own.platform, &own.name));
        only(found, "repository", reference).map(|own| own.id)
    }

    /// Returns the id of a user named by id or login. [`ClientError::NotFound`] if there is none.
    pub async fn find_user(&self, reference: &str) -> Result<String, ClientError> {
        if is_uuid(reference) {
            return Ok(reference.to_owned());
        }
        let found = self.users().await?.items.into_iter().find(|user| user.login.eq_ignore_ascii_case(reference));
        found.map(|user| user.id).ok_or_else(|| not_found("user", reference))
    }

    /// Returns the id of a node named by id or name. [`ClientError::NotFound`] if there is none.
    pub async fn find_node(&self, reference: &str) -> Result<String, ClientError> {
        if is_uuid(reference) {
            return Ok(reference.to_owned());
        }
        let found = self.nodes().await?.items.into_iter().find(|node| node.name == reference);
        found.map(|node| node.id).ok_or_else(|| not_found("node", reference))
    }

    /// Returns the id of the one issue of a number that also is as `is_it` says.
    async fn one_issue(
        &self,
        reference: &str,
        repository: &RepositoryName,
        number: u64,
        is_it: impl Fn(&IssueView) -> bool,
    ) -> Result<String, ClientError> {
        let query = IssueQuery {
            repository: Some(repository.name.clone()),
            number: Some(number),
            limit: Some(MAX_ITEMS),
            ..IssueQuery::default()
        };
        let found = self.issues(&query).await?.items.into_iter();
        let found = found.filter(|issue| repository.is(&issue.platform, &issue.repository) && is_it(issue));
        only(found, "issue", reference).map(|issue| issue.id)
    }

    /// Returns the newest job with a pull request.
    async fn find_pull_request(
        &self,
        reference: &str,
        repository: &RepositoryName,
        number: u64,
    ) -> Result<JobSummary, ClientError> {
        let query =
            JobQuery { repository: Some(repository.name.clone()), limit: Some(MAX_ITEMS), ..JobQuery::default() };
        let is_it = |job: &JobSummary| {
            repository.is(&job.platform, &job.repository)
                && job.pull_request.as_ref().is_some_and(|pull| pull.number == number)
        };
        let found = self.jobs(&query).await?.items.into_iter().find(is_it);
        found.ok_or_else(|| not_found("pull request", reference))
    }
}

/// Returns the only item.
#[expect(clippy::result_large_err, reason = "it is the error of all operations")]
fn only<T>(mut items: impl Iterator<Item = T>, kind: &'static str, reference: &str) -> Result<T, ClientError> {
    let first = items.next().ok_or_else(|| not_found(kind, reference))?;
    match items.next() {
        Some(_) => Err(ClientError::Ambiguous { kind, reference: reference.to_owned() }),
        None => Ok(first),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issues_pull_requests_repositories_and_pages_are_named_as_users_name_them() {
        let id = "0197a1b2-0000-7000-8000-00000000abcd";
        let shop = |platform| RepositoryName { platform, name: "acme/shop".to_owned() };
        let (hub, code) = (Some("github"), Some("gitcode"));
        let issue = |platform, number| Reference::Issue { repository: shop(platform), number };
        let pull = |platform, number| Reference::PullRequest { repository: shop(platform), number };
        let is = |kind: Option<&str>| Reference::Id { kind: kind.map(str::to_owned), id: id.to_owned() };
        let name = |text: &str| Reference::Name(text.to_owned());
        for (text, expected) in [
            ("acme/shop#12", issue(None, 12)),
            ("https://github.com/acme/shop/issues/12", issue(hub, 12)),
            ("https://github.com/acme/shop/issues/12?x=1#issuecomment-99", issue(hub, 12)),
            ("https://gitlab.example/acme/shop/-/x/12", name("https://gitlab.example/acme/shop/-/x/12")),
            ("https://github.com/acme/shop/pull/22/", pull(hub, 22)),
            ("https://github.com/acme/shop/pull/22/files", pull(hub, 22)),
            ("https://gitcode.com/acme/shop/merge_requests/22", pull(code, 22)),
            ("acme/shop", Reference::Repository(shop(None))),
            ("https://github.com/acme/shop.git", Reference::Repository(shop(hub))),
            ("PROJ-12", Reference::Key("PROJ-12".to_owned())),
            ("https://acme.atlassian.net/browse/PROJ-12", Reference::Key("PROJ-12".to_owned())),
            (id, is(None)),
            (&format!("https://patchwright.example/base/jobs/{id}#log"), is(Some("jobs"))),
            (&format!("https://patchwright.example/issues/{id}"), is(Some("issues"))),
            ("builder-1", name("builder-1")),
            ("", name("")),
        ] {
            assert_eq!(Reference::parse(text), expected, "{text}");
        }
    }
}
