//! Reading what continuous integration says about a commit: check runs, and the statuses of systems that know no check runs.

use patchwright_core::forge::ForgeError;
use patchwright_domain::RepoName;
use patchwright_domain::job::ci::{CiCheck, CiOutcome};
use patchwright_http::forge::{encode_segment, read_json};
use patchwright_http::{Request, Retry};
use serde::de::DeserializeOwned;

use crate::auth::TokenPurpose;
use crate::{GITHUB, GithubForge, wire};

/// How many checks one request asks for, which is GitHub's most.
const PAGE_SIZE: usize = 100;
const MAX_PAGES: usize = 10;
/// The longest output of one check, in characters.
const MAX_OUTPUT: usize = 6_000;

impl GithubForge {
    /// Reads the check runs and statuses of a commit, tag or branch, the latest of each name.
    pub(crate) async fn read_ci_checks(&self, repo: &RepoName, at: &str) -> Result<Vec<CiCheck>, ForgeError> {
        let mut checks = self.read_all::<wire::CheckRuns>(repo, at, "check-runs").await?;
        checks.extend(self.read_all::<wire::CombinedStatus>(repo, at, "status").await?);
        Ok(checks)
    }

    /// Reads all pages of one list.
    ///
    /// # Errors
    /// [`ForgeError::Refused`] for more than [`MAX_PAGES`]: what is left out could be what fails.
    async fn read_all<P: Page>(&self, repo: &RepoName, at: &str, list: &str) -> Result<Vec<CiCheck>, ForgeError> {
        let what = format!("the checks of {at} in {repo}");
        let url = self.repo_url(repo, &format!("/commits/{}/{list}", encode_segment(at)));
        let mut checks = Vec::new();
        for page in 1..=MAX_PAGES {
            let request = Request::get(&url).query("per_page", PAGE_SIZE.to_string()).query("page", page.to_string());
            let found: P = self.read_ci(repo, request, &what).await?;
            let total = found.total();
            let found = found.into_checks();
            let is_empty = found.is_empty();
            checks.extend(found);
            if is_empty || checks.len() >= total {
                return Ok(checks);
            }
        }
        let detail = format!("there are more than {}", MAX_PAGES * PAGE_SIZE);
        Err(ForgeError::Refused { platform: GITHUB, action: format!("read {what}"), detail })
    }

    /// Reads what a failed check run says: its summary, and its notes on lines.
    pub(crate) async fn read_ci_output(&self, repo: &RepoName, id: u64) -> Result<String, ForgeError> {
        let url = self.repo_url(repo, &format!("/check-runs/{id}"));
        let what = format!("the check {id} of {repo}");
        let run: wire::CheckRun = self.read_ci(repo, Request::get(&url), &what).await?;
        let notes: Vec<wire::Annotation> =
            self.read_ci(repo, Request::get(format!("{url}/annotations")), &what).await?;
        let mut text = String::new();
        for part in run.output.into_iter().flat_map(|output| [output.title, output.summary, output.text]).flatten() {
            text.push_str(&part);
            text.push('\n');
        }
        for note in notes.iter().filter(|note| note.level.as_deref() != Some("notice")) {
            let line = note.start_line.map_or_else(String::new, |line| format!(":{line}"));
            let message = note.message.as_deref().unwrap_or_default();
            text.push_str(&format!("{}{line}: {message}\n", note.path.as_deref().unwrap_or_default()));
        }
        Ok(text.chars().take(MAX_OUTPUT).collect())
    }

    async fn read_ci<T: DeserializeOwned>(
        &self,
        repo: &RepoName,
        request: Request,
        what: &str,
    ) -> Result<T, ForgeError> {
        let action = format!("read {what}");
        let response = self.call_for(TokenPurpose::Ci, repo, request, Retry::Safe, &action, what).await?;
        read_json(GITHUB, &response, &action)
    }
}

/// A page of a list of checks.
trait Page: DeserializeOwned {
    /// Returns how many checks all pages have.
    fn total(&self) -> usize;
    fn into_checks(self) -> Vec<CiCheck>;
}

impl Page for wire::CheckRuns {
    fn total(&self) -> usize {
        self.total_count
    }

    fn into_checks(self) -> Vec<CiCheck> {
        self.check_runs.into_iter().map(CiCheck::from).collect()
    }
}

impl Page for wire::CombinedStatus {
    fn total(&self) -> usize {
        self.total_count
    }

    fn into_checks(self) -> Vec<CiCheck> {
        self.statuses.into_iter().map(CiCheck::from).collect()
    }
}

impl From<wire::CheckRun> for CiCheck {
    fn from(run: wire::CheckRun) -> Self {
        let outcome = match (run.status.as_str(), run.conclusion.as_deref()) {
            ("completed", Some("success")) => CiOutcome::Passed,
            ("completed", Some("neutral" | "skipped") | None) => CiOutcome::Neutral,
            // `failure`, `timed_out`, `cancelled`, `action_required`, `startup_failure`, `stale`
            ("completed", Some(_)) => CiOutcome::Failed,
            _ => CiOutcome::Pending,
        };
        Self { name: run.name, outcome, before: None, url: run.html_url, id: Some(run.id) }
    }
}

impl From<wire::Status> for CiCheck {
    fn from(status: wire::Status) -> Self {
        let outcome = match status.state.as_str() {
            "success" => CiOutcome::Passed,
            "pending" => CiOutcome::Pending,
            // `failure`, `error`
            _ => CiOutcome::Failed,
        };
        Self { name: status.context, outcome, before: None, url: status.target_url, id: None }
    }
}
