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
        let commit = format!("/commits/{}", encode_segment(at));
        let what = format!("the checks of {at} in {repo}");
        let list = |path: &str, page: usize| {
            Request::get(self.repo_url(repo, &format!("{commit}{path}")))
                .query("per_page", PAGE_SIZE.to_string())
                .query("page", page.to_string())
        };
        let mut checks: Vec<CiCheck> = Vec::new();
        for page in 1.. {
            let runs: wire::CheckRuns = self.read_ci(repo, list("/check-runs", page), &what).await?;
            let is_last = is_last_page(page, runs.check_runs.len(), runs.total_count, &what)?;
            checks.extend(runs.check_runs.into_iter().map(CiCheck::from));
            if is_last {
                break;
            }
        }
        for page in 1.. {
            let found: wire::CombinedStatus = self.read_ci(repo, list("/status", page), &what).await?;
            let is_last = is_last_page(page, found.statuses.len(), found.total_count, &what)?;
            checks.extend(found.statuses.into_iter().map(CiCheck::from));
            if is_last {
                break;
            }
        }
        Ok(checks)
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

/// Returns whether no page follows this one.
///
/// # Errors
/// [`ForgeError::Refused`] for more pages than are read: what is left out could be what fails.
fn is_last_page(page: usize, count: usize, total: usize, what: &str) -> Result<bool, ForgeError> {
    if count == 0 || (page - 1) * PAGE_SIZE + count >= total {
        return Ok(true);
    }
    if page == MAX_PAGES {
        let detail = format!("there are {total}, and {} are read at most", MAX_PAGES * PAGE_SIZE);
        return Err(ForgeError::Refused { platform: GITHUB, action: format!("read {what}"), detail });
    }
    Ok(false)
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
