//! The names that users have for issues, jobs and repositories, in place of ids.

use patchwright_protocol::issues::{IssueQuery, IssueView};
use patchwright_protocol::jobs::{JobQuery, JobSummary};
use patchwright_protocol::tasks::TaskQuery;

use crate::{Client, ClientError};

/// How many of the newest jobs of a repository are searched for one with a pull request.
const MAX_JOBS: u16 = 200;

/// What a user wrote to name something.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Reference {
    /// An id of the API.
    Id(String),
    /// `owner/name#12`, or the address of an issue on a forge.
    Issue { repository: String, number: u64 },
    /// The address of a pull request.
    PullRequest { repository: String, number: u64 },
    /// `owner/name`, or the address of a repository.
    Repository(String),
    /// The key of an issue of Jira: `PROJ-12`.
    Key(String),
    /// Anything else, such as a name.
    Name(String),
}

impl Reference {
    fn parse(text: &str) -> Self {
        let text = text.trim();
        // What a browser adds to an address: `?tab=tests`, `#issuecomment-12`.
        let plain = match text.split_once("://") {
            Some((_, rest)) => rest.split(['?', '#']).next().unwrap_or(rest),
            None => text,
        };
        let mut parts: Vec<&str> = plain.trim_end_matches('/').split('/').collect();
        if text.contains("://") {
            // The host; a server may be below a path, so the end decides.
            parts.remove(0);
        }
        let is_id = |part: &&&str| is_uuid(part);
        if let Some(id) = parts.last().filter(is_id) {
            return Self::Id((*id).to_owned());
        }
        match parts.as_slice() {
            [.., owner, name, kind, number] if let Ok(number) = number.parse() => {
                let repository = format!("{owner}/{name}");
                match *kind {
                    "issues" => Self::Issue { repository, number },
                    "pull" | "pulls" | "merge_requests" => Self::PullRequest { repository, number },
                    _ => Self::Name(text.to_owned()),
                }
            }
            [owner, name] if !text.contains("://") => match name.split_once('#') {
                Some((name, number)) if let Ok(number) = number.parse() => {
                    Self::Issue { repository: format!("{owner}/{name}"), number }
                }
                _ => Self::Repository(format!("{owner}/{}", name.trim_end_matches(".git"))),
            },
            [.., owner, name] if text.contains("://") => {
                Self::Repository(format!("{owner}/{}", name.trim_end_matches(".git")))
            }
            [key] if is_jira_key(key) => Self::Key((*key).to_owned()),
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
    /// Returns the id of an issue named by its id, `owner/name#12`, the key of Jira, or the address of the issue, its page here, or
    /// its pull request. [`ClientError::NotFound`] if the server has none.
    pub async fn find_issue(&self, reference: &str) -> Result<String, ClientError> {
        let missing = || not_found("issue", reference);
        match Reference::parse(reference) {
            Reference::Id(id) => Ok(id),
            Reference::Issue { repository, number } => {
                let query = IssueQuery {
                    repository: Some(repository),
                    number: Some(number),
                    limit: Some(1),
                    ..IssueQuery::default()
                };
                self.first_issue(&query).await?.map(|issue| issue.id).ok_or_else(missing)
            }
            Reference::Key(key) => {
                // Keys are no filter: the number is, and few projects share one.
                let number = key.rsplit('-').next().and_then(|number| number.parse().ok());
                let query = IssueQuery { number, limit: Some(MAX_JOBS), ..IssueQuery::default() };
                let found = self.issues(&query).await?.items.into_iter().find(|issue| issue.key.as_ref() == Some(&key));
                found.map(|issue| issue.id).ok_or_else(missing)
            }
            Reference::PullRequest { repository, number } => {
                let job = self.find_pull_request(&repository, number).await?.ok_or_else(missing)?;
                let number = Some(job.issue_number);
                let query =
                    IssueQuery { repository: Some(repository), number, limit: Some(1), ..IssueQuery::default() };
                self.first_issue(&query).await?.map(|issue| issue.id).ok_or_else(missing)
            }
            Reference::Repository(_) | Reference::Name(_) => Err(missing()),
        }
    }

    /// Returns the id of a job named by its id or page, or as [`Self::find_issue`] takes it: then the newest job of the issue, or the
    /// one of the pull request. [`ClientError::NotFound`] if the server has none.
    pub async fn find_job(&self, reference: &str) -> Result<String, ClientError> {
        let missing = || not_found("job", reference);
        match Reference::parse(reference) {
            Reference::Id(id) => Ok(id),
            Reference::PullRequest { repository, number } => {
                self.find_pull_request(&repository, number).await?.map(|job| job.job_id).ok_or_else(missing)
            }
            Reference::Issue { .. } | Reference::Key(_) => {
                let issue = Some(self.find_issue(reference).await?);
                let query = JobQuery { issue, limit: Some(1), ..JobQuery::default() };
                self.jobs(&query).await?.items.into_iter().next().map(|job| job.job_id).ok_or_else(missing)
            }
            Reference::Repository(_) | Reference::Name(_) => Err(missing()),
        }
    }

    /// Returns the id of a task named by its id, or of the newest task of a job as [`Self::find_job`] takes it.
    /// [`ClientError::NotFound`] if the server has none.
    pub async fn find_task(&self, reference: &str) -> Result<String, ClientError> {
        if let Reference::Id(id) = Reference::parse(reference)
            && !reference.contains("/jobs/")
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

    /// Returns the id of a repository named by its id, `owner/name` or its address. [`ClientError::NotFound`] if it is not registered.
    pub async fn find_repository(&self, reference: &str) -> Result<String, ClientError> {
        let name = match Reference::parse(reference) {
            Reference::Id(id) => return Ok(id),
            Reference::Repository(name) => name,
            _ => return Err(not_found("repository", reference)),
        };
        let found = self.repositories().await?.items.into_iter().find(|own| own.name == name);
        found.map(|own| own.id).ok_or_else(|| not_found("repository", reference))
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

    async fn first_issue(&self, query: &IssueQuery) -> Result<Option<IssueView>, ClientError> {
        Ok(self.issues(query).await?.items.into_iter().next())
    }

    async fn find_pull_request(&self, repository: &str, number: u64) -> Result<Option<JobSummary>, ClientError> {
        let query = JobQuery { repository: Some(repository.to_owned()), limit: Some(MAX_JOBS), ..JobQuery::default() };
        let is_it = |job: &JobSummary| job.pull_request.as_ref().is_some_and(|pull| pull.number == number);
        Ok(self.jobs(&query).await?.items.into_iter().find(is_it))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issues_pull_requests_repositories_and_pages_are_named_as_users_name_them() {
        let id = "0197a1b2-0000-7000-8000-00000000abcd";
        let issue = |number| Reference::Issue { repository: "acme/shop".to_owned(), number };
        let pull = |number| Reference::PullRequest { repository: "acme/shop".to_owned(), number };
        for (text, expected) in [
            ("acme/shop#12", issue(12)),
            ("https://github.com/acme/shop/issues/12", issue(12)),
            ("https://github.com/acme/shop/issues/12?x=1#issuecomment-99", issue(12)),
            (
                "https://gitlab.example/acme/shop/-/x/12",
                Reference::Name("https://gitlab.example/acme/shop/-/x/12".to_owned()),
            ),
            ("https://github.com/acme/shop/pull/22/", pull(22)),
            ("https://gitcode.com/acme/shop/merge_requests/22", pull(22)),
            ("acme/shop", Reference::Repository("acme/shop".to_owned())),
            ("https://github.com/acme/shop.git", Reference::Repository("acme/shop".to_owned())),
            ("PROJ-12", Reference::Key("PROJ-12".to_owned())),
            (id, Reference::Id(id.to_owned())),
            (&format!("https://patchwright.example/base/jobs/{id}#log"), Reference::Id(id.to_owned())),
            ("builder-1", Reference::Name("builder-1".to_owned())),
            ("", Reference::Name(String::new())),
        ] {
            assert_eq!(Reference::parse(text), expected, "{text}");
        }
    }
}
