//! A forge in memory, stricter than real ones.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use patchwright_core::Secret;
use patchwright_core::forge::{
    Comment, Forge, ForgeError, GitCredential, IssuePage, MergeState, NewPullRequest, Permission, PullRequestHead,
    RemoteIssue, Repository, Tracker,
};
use patchwright_core::outgoing_text::OutgoingText;
use patchwright_domain::job::PullRequestRef;
use patchwright_domain::job::ci::{CiCheck, CiOutcome};
use patchwright_domain::{BranchName, CommitSha, IssueNumber, IssueRef, PlatformId, RepoName, RepoPath};

/// The login of the server's own account.
const OWN_LOGIN: &str = "patchwright";

/// A forge in memory with one repository, `acme/demo`, and issues that tests open.
#[derive(Debug, Default)]
pub struct FakeForge(Mutex<Model>);

#[derive(Debug, Default)]
struct Model {
    issues: BTreeMap<u64, RemoteIssue>,
    comments: BTreeMap<u64, Vec<Comment>>,
    pull_requests: Vec<PullRequest>,
    permissions: BTreeMap<String, Permission>,
    branches: Vec<BranchName>,
    faults: Vec<ForgeError>,
    lose_answers: u32,
    renewed_credentials: u32,
    /// How pull requests relate to their base; they can be merged without an entry.
    merge_states: BTreeMap<u64, MergeState>,
    /// What the CI says, by commit or branch; nothing without an entry.
    ci: BTreeMap<String, Vec<CiCheck>>,
}

#[derive(Debug, Clone)]
struct PullRequest {
    reference: PullRequestRef,
    head: BranchName,
    title: String,
    body: String,
    merged: bool,
    reviewers: Vec<String>,
}

const PLATFORM: PlatformId = PlatformId::from_static("github");

impl FakeForge {
    /// Opens an issue as `alice`, who gets write permission.
    pub fn open_issue(&self, number: u64, title: &str, body: &str) {
        let mut model = self.0.lock().unwrap();
        let issue = RemoteIssue {
            opened_at: Some(crate::build::after(-86_400)),
            title: title.to_owned(),
            body: body.to_owned(),
            author: "alice".to_owned(),
            open: true,
            labels: Vec::new(),
            url: format!("https://forge.example/acme/demo/issues/{number}"),
        };
        model.issues.insert(number, issue);
        model.permissions.insert("alice".to_owned(), Permission::Write);
    }

    /// Sets how a pull request relates to its base.
    pub fn set_merge_state(&self, number: u64, state: MergeState) {
        self.0.lock().unwrap().merge_states.insert(number, state);
    }

    /// Returns how often another git credential was asked for.
    pub fn renewed_credentials(&self) -> u32 {
        self.0.lock().unwrap().renewed_credentials
    }

    /// Records that a branch was pushed. A pull request needs its branch.
    pub fn note_branch(&self, branch: &BranchName) {
        self.0.lock().unwrap().branches.push(branch.clone());
    }

    /// Sets what the CI says about a commit or branch: names of checks with their outcomes.
    pub fn set_ci(&self, at: &str, checks: &[(&str, CiOutcome)]) {
        let check = |(name, outcome): &(&str, CiOutcome)| CiCheck {
            name: (*name).to_owned(),
            outcome: *outcome,
            before: None,
            url: None,
            id: None,
        };
        self.0.lock().unwrap().ci.insert(at.to_owned(), checks.iter().map(check).collect());
    }

    /// Makes the next call fail with an error.
    pub fn fail_next(&self, error: ForgeError) {
        self.0.lock().unwrap().faults.push(error);
    }

    /// Makes the next write calls take effect and then fail as if their response was lost.
    pub fn lose_answers(&self, count: u32) {
        self.0.lock().unwrap().lose_answers = count;
    }

    /// Returns the comments on an issue or pull request, without their hidden markers.
    pub fn comments_on(&self, number: u64) -> Vec<String> {
        let model = self.0.lock().unwrap();
        model.comments.get(&number).into_iter().flatten().map(|comment| visible(&comment.body)).collect()
    }

    /// Returns each pull request as (title, text without its hidden marker, draft).
    pub fn pull_requests(&self) -> Vec<(String, String, bool)> {
        let model = self.0.lock().unwrap();
        model.pull_requests.iter().map(|pr| (pr.title.clone(), visible(&pr.body), pr.reference.draft)).collect()
    }

    fn call(&self) -> Result<std::sync::MutexGuard<'_, Model>, ForgeError> {
        let mut model = self.0.lock().unwrap();
        if model.faults.is_empty() { Ok(model) } else { Err(model.faults.remove(0)) }
    }
}

impl Model {
    /// Returns the response of a call that took effect, or the error of a lost one.
    fn respond<T>(&mut self, value: T) -> Result<T, ForgeError> {
        if self.lose_answers == 0 {
            return Ok(value);
        }
        self.lose_answers -= 1;
        Err(ForgeError::Unavailable { platform: PLATFORM, detail: "the answer was lost".to_owned() })
    }

    fn thread(&self, number: u64) -> Result<(), ForgeError> {
        let is_there =
            self.issues.contains_key(&number) || self.pull_requests.iter().any(|pr| pr.reference.number == number);
        if is_there { Ok(()) } else { Err(not_found(&format!("#{number}"))) }
    }
}

fn not_found(what: &str) -> ForgeError {
    ForgeError::NotFound { platform: PLATFORM, what: what.to_owned() }
}

fn refused(action: &str, detail: &str) -> ForgeError {
    ForgeError::Refused { platform: PLATFORM, action: action.to_owned(), detail: detail.to_owned() }
}

/// Returns a text without hidden markers.
pub(crate) fn visible(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("<!-- patchwright:")).collect();
    lines.join("\n").trim_end().to_owned()
}

#[async_trait]
impl Tracker for FakeForge {
    fn platform(&self) -> PlatformId {
        PLATFORM
    }

    fn max_comment_chars(&self) -> usize {
        65_536
    }

    async fn issue(&self, issue: &IssueRef) -> Result<RemoteIssue, ForgeError> {
        self.call()?.issues.get(&issue.number.api).cloned().ok_or_else(|| not_found("the issue"))
    }

    async fn comments(&self, issue: &IssueRef) -> Result<Vec<Comment>, ForgeError> {
        let model = self.call()?;
        model.thread(issue.number.api)?;
        Ok(model.comments.get(&issue.number.api).cloned().unwrap_or_default())
    }

    async fn post_comment(&self, issue: &IssueRef, body: &OutgoingText) -> Result<String, ForgeError> {
        let mut model = self.call()?;
        model.thread(issue.number.api)?;
        if body.as_str().trim().is_empty() || body.as_str().chars().count() > self.max_comment_chars() {
            return Err(refused("comment", "the text is empty or too long"));
        }
        let id = format!("{}", 1000 + model.comments.values().map(Vec::len).sum::<usize>());
        let comment = Comment { id: id.clone(), author: OWN_LOGIN.to_owned(), body: body.to_string() };
        model.comments.entry(issue.number.api).or_default().push(comment);
        model.respond(id)
    }

    async fn edit_comment(&self, _: &IssueRef, comment_id: &str, body: &OutgoingText) -> Result<(), ForgeError> {
        let mut model = self.call()?;
        let comment = model.comments.values_mut().flatten().find(|comment| comment.id == comment_id);
        comment.ok_or_else(|| not_found("the comment"))?.body = body.to_string();
        model.respond(())
    }
}

#[async_trait]
impl Forge for FakeForge {
    async fn own_login(&self) -> Result<String, ForgeError> {
        Ok(OWN_LOGIN.to_owned())
    }

    async fn repository(&self, repo: &RepoName) -> Result<Repository, ForgeError> {
        drop(self.call()?);
        if *repo != crate::build::repo() {
            return Err(not_found(&format!("the repository {repo}")));
        }
        Ok(Repository {
            name: repo.clone(),
            default_branch: BranchName::parse("main").unwrap(),
            clone_url: "fake:acme/demo".to_owned(),
            private: false,
            archived: false,
        })
    }

    async fn open_issues(&self, _: &RepoName, page: u32) -> Result<IssuePage, ForgeError> {
        // Two per page, so that a caller that ignores the second page is detected.
        let model = self.call()?;
        let open: Vec<_> = model.issues.iter().filter(|(_, issue)| issue.open).collect();
        let from = (page.max(1) as usize - 1) * 2;
        let issues =
            open.iter().skip(from).take(2).map(|(number, issue)| (IssueNumber::same(**number), (*issue).clone()));
        Ok(IssuePage { issues: issues.collect(), more: open.len() > from + 2 })
    }

    async fn create_issue(&self, _: &RepoName, title: &str, body: &str) -> Result<IssueNumber, ForgeError> {
        let number = self.call()?.issues.keys().max().unwrap_or(&0) + 1;
        self.open_issue(number, title, body);
        Ok(IssueNumber::same(number))
    }

    async fn permission(&self, _: &RepoName, login: &str) -> Result<Permission, ForgeError> {
        Ok(self.call()?.permissions.get(login).copied().unwrap_or(Permission::None))
    }

    async fn commit_address(&self, _: &RepoName, login: &str) -> Result<Option<String>, ForgeError> {
        let known = self.call()?.permissions.contains_key(login);
        Ok(known.then(|| format!("{login}@users.noreply.example")))
    }

    async fn find_pull_request(
        &self,
        _: &RepoName,
        head: &PullRequestHead,
    ) -> Result<Option<PullRequestRef>, ForgeError> {
        Ok(self
            .call()?
            .pull_requests
            .iter()
            .find(|pr| pr.head == head.branch && !pr.merged)
            .map(|pr| pr.reference.clone()))
    }

    async fn create_pull_request(&self, repo: &RepoName, new: &NewPullRequest) -> Result<PullRequestRef, ForgeError> {
        let mut model = self.call()?;
        if !model.branches.contains(&new.head.branch) {
            return Err(refused("open a pull request", "the head branch does not exist"));
        }
        if model.pull_requests.iter().any(|pr| pr.head == new.head.branch && !pr.merged) {
            return Err(refused("open a pull request", "a pull request already exists for the branch"));
        }
        let number = 100 + model.pull_requests.len() as u64;
        let reference = PullRequestRef {
            number,
            url: format!("https://forge.example/{repo}/pull/{number}"),
            node_id: Some(format!("PR_{number}")),
            draft: new.draft,
            end: None,
        };
        model.pull_requests.push(PullRequest {
            reference: reference.clone(),
            head: new.head.branch.clone(),
            title: new.title.to_string(),
            body: new.body.to_string(),
            merged: false,
            reviewers: Vec::new(),
        });
        model.respond(reference)
    }

    async fn update_pull_request(&self, _: &RepoName, number: u64, body: &OutgoingText) -> Result<(), ForgeError> {
        let mut model = self.call()?;
        let found = model.pull_requests.iter_mut().find(|pr| pr.reference.number == number);
        found.ok_or_else(|| not_found("the pull request"))?.body = body.to_string();
        model.respond(())
    }

    async fn pull_request_comments(&self, repo: &RepoName, number: u64) -> Result<Vec<Comment>, ForgeError> {
        self.comments(&IssueRef::on_forge(PLATFORM, repo.clone(), IssueNumber::same(number))).await
    }

    async fn comment_pull_request(
        &self,
        repo: &RepoName,
        number: u64,
        body: &OutgoingText,
    ) -> Result<String, ForgeError> {
        self.post_comment(&IssueRef::on_forge(PLATFORM, repo.clone(), IssueNumber::same(number)), body).await
    }

    async fn merge_state(&self, _: &RepoName, number: u64) -> Result<MergeState, ForgeError> {
        Ok(self.call()?.merge_states.get(&number).copied().unwrap_or(MergeState::Clean))
    }

    async fn ci_checks(&self, _: &RepoName, at: &str) -> Result<Option<Vec<CiCheck>>, ForgeError> {
        Ok(Some(self.call()?.ci.get(at).cloned().unwrap_or_default()))
    }

    async fn ci_output(&self, _: &RepoName, check: &CiCheck) -> Result<String, ForgeError> {
        drop(self.call()?);
        Ok(format!("the output of {}", check.name))
    }

    async fn mark_ready(&self, _: &RepoName, pull_request: &PullRequestRef) -> Result<(), ForgeError> {
        let mut model = self.call()?;
        let found = model.pull_requests.iter_mut().find(|pr| pr.reference.number == pull_request.number);
        found.ok_or_else(|| not_found("the pull request"))?.reference.draft = false;
        model.respond(())
    }

    async fn request_review(&self, _: &RepoName, number: u64, login: &str) -> Result<(), ForgeError> {
        let mut model = self.call()?;
        let may_review = model.permissions.contains_key(login);
        let found = model.pull_requests.iter_mut().find(|pr| pr.reference.number == number);
        let reviewers = &mut found.ok_or_else(|| not_found("the pull request"))?.reviewers;
        if may_review && !reviewers.iter().any(|known| known == login) {
            reviewers.push(login.to_owned());
        }
        model.respond(())
    }

    async fn merge_pull_request(&self, _: &RepoName, number: u64, _: &CommitSha) -> Result<(), ForgeError> {
        let mut model = self.call()?;
        let found = model.pull_requests.iter_mut().find(|pr| pr.reference.number == number);
        let pull_request = found.ok_or_else(|| not_found("the pull request"))?;
        if pull_request.reference.draft {
            return Err(refused("merge the pull request", "it is a draft"));
        }
        pull_request.merged = true;
        model.respond(())
    }

    async fn read_file(&self, _: &RepoName, _: &RepoPath, _: &str) -> Result<Option<String>, ForgeError> {
        Ok(None)
    }

    async fn git_credential(&self, _: &RepoName) -> Result<Option<GitCredential>, ForgeError> {
        Ok(Some(GitCredential { username: "x".to_owned(), password: Secret::new("fake-git-token") }))
    }

    async fn renew_git_credential(&self, repo: &RepoName) -> Result<Option<GitCredential>, ForgeError> {
        self.0.lock().unwrap().renewed_credentials += 1;
        self.git_credential(repo).await
    }

    fn issue_url(&self, issue: &IssueRef) -> String {
        format!("https://forge.example/{}/issues/{}", issue.repo, issue.number)
    }
}
