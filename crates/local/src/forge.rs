//! The implementation of the forge port over the store and bare repositories.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use patchwright_core::clock::{Clock, IdSource};
use patchwright_core::forge::{
    Comment, Forge, ForgeError, GitCredential, IssuePage, NewPullRequest, Permission, PullRequestHead, RemoteIssue,
    Repository, Tracker,
};
use patchwright_core::outgoing_text::OutgoingText;
use patchwright_core::records::{ForgeRecords, LocalPullRequest};
use patchwright_core::store::StoreError;
use patchwright_domain::job::PullRequestRef;
use patchwright_domain::{
    BranchName, CommitSha, Issue, IssueNumber, IssueRef, IssueStatus, PlatformId, RepoName, RepoPath,
};

use crate::LOCAL;

/// The login under which this server comments.
const OWN_LOGIN: &str = "patchwright";
/// The longest comment, as on GitHub.
const MAX_COMMENT_CHARS: usize = 65_536;
/// How often a new issue number is tried after another process has taken one.
const MAX_NUMBER_ATTEMPTS: usize = 10;

/// The built-in forge.
pub struct LocalForge {
    records: Arc<dyn ForgeRecords>,
    clock: Arc<dyn Clock>,
    ids: Arc<dyn IdSource>,
    root: PathBuf,
    paths: HashMap<RepoName, PathBuf>,
}

impl LocalForge {
    /// Creates a forge whose repositories are bare repositories below `root`.
    pub fn new(records: Arc<dyn ForgeRecords>, clock: Arc<dyn Clock>, ids: Arc<dyn IdSource>, root: PathBuf) -> Self {
        Self { records, clock, ids, root, paths: HashMap::new() }
    }

    /// Sets the path of a repository that is not below `root`.
    #[must_use]
    pub fn with_repository(mut self, repo: RepoName, path: PathBuf) -> Self {
        self.paths.insert(repo, path);
        self
    }

    /// Returns the path of a repository. The repository need not exist.
    pub fn path_of(&self, repo: &RepoName) -> PathBuf {
        let default = || self.root.join(repo.owner()).join(format!("{}.git", repo.name()));
        self.paths.get(repo).cloned().unwrap_or_else(default)
    }

    /// Stores an issue as if a user had opened it.
    ///
    /// # Errors
    /// [`ForgeError::Refused`] if its number is taken.
    pub async fn open_issue(&self, issue: patchwright_domain::Issue) -> Result<(), ForgeError> {
        let name = issue.source.to_string();
        self.records.add_local_issue(issue).await.map_err(store_error(&format!("open the issue {name}")))
    }

    /// Writes a comment under any login and returns its id.
    ///
    /// # Errors
    /// [`ForgeError::NotFound`] if the issue does not exist.
    pub async fn comment_as(&self, author: &str, issue: &IssueRef, body: &str) -> Result<String, ForgeError> {
        self.require_issue(issue).await?;
        self.records
            .add_local_comment(&issue.repo, issue.number.api, author, body, self.clock.now())
            .await
            .map_err(store_error(&format!("comment on {issue}")))
    }

    /// Returns a pull request with its title, text and state.
    ///
    /// # Errors
    /// [`ForgeError::NotFound`] if there is no pull request with this number.
    pub async fn pull_request(&self, repo: &RepoName, number: u64) -> Result<LocalPullRequest, ForgeError> {
        let action = format!("read the pull requests of {repo}");
        let found = self.records.local_pull_requests(repo).await.map_err(store_error(&action))?;
        found
            .into_iter()
            .find(|pr| pr.number == number)
            .ok_or_else(|| not_found(format!("the pull request {repo}#{number}")))
    }

    async fn require_issue(&self, issue: &IssueRef) -> Result<patchwright_domain::Issue, ForgeError> {
        let found = self.records.local_issue(issue).await.map_err(store_error(&format!("read the issue {issue}")))?;
        found.ok_or_else(|| not_found(format!("the issue {issue}")))
    }

    fn to_reference(pull_request: &LocalPullRequest) -> PullRequestRef {
        PullRequestRef {
            number: pull_request.number,
            url: format!("local:{}/pulls/{}", pull_request.repo, pull_request.number),
            node_id: None,
            draft: pull_request.draft,
            end: None,
        }
    }

    async fn update(
        &self,
        repo: &RepoName,
        number: u64,
        apply: impl FnOnce(&mut LocalPullRequest) + Send,
    ) -> Result<(), ForgeError> {
        let mut pull_request = self.pull_request(repo, number).await?;
        apply(&mut pull_request);
        let action = format!("change the pull request {repo}#{number}");
        self.records.change_local_pull_request(pull_request).await.map_err(store_error(&action)).map(|_| ())
    }
}

impl std::fmt::Debug for LocalForge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "LocalForge({})", self.root.display())
    }
}

/// Returns the number under which the comments on a pull request are kept: issues and pull requests are numbered apart.
const fn thread_of_pull(number: u64) -> u64 {
    (1 << 40) | number
}

/// Says why a repository cannot be opened: forms of git that are not supported are named.
fn unreadable(path: &Path, what: String) -> ForgeError {
    let config = [path.join(".git/config"), path.join("config")];
    let text = config.iter().find_map(|file| std::fs::read_to_string(file).ok()).unwrap_or_default().to_lowercase();
    let has = |name: &str, value: &str| {
        text.lines()
            .filter_map(|line| line.split_once('='))
            .any(|(key, found)| key.trim() == name && found.trim() == value)
    };
    let form = if has("objectformat", "sha256") {
        "its objects have SHA-256 ids, which are not supported; convert it to SHA-1"
    } else if has("refstorage", "reftable") {
        "its references are stored as a reftable, which is not supported; run `git refs migrate --ref-format=files`"
    } else {
        return not_found(what);
    };
    ForgeError::Refused { platform: LOCAL, action: format!("open {what}"), detail: form.to_owned() }
}

fn not_found(what: String) -> ForgeError {
    ForgeError::NotFound { platform: LOCAL, what }
}

fn store_error(action: &str) -> impl Fn(StoreError) -> ForgeError + '_ {
    move |error| match error {
        StoreError::Stale { .. } => {
            ForgeError::Refused { platform: LOCAL, action: action.to_owned(), detail: "it already exists".to_owned() }
        }
        StoreError::Unavailable { source } => ForgeError::Unavailable { platform: LOCAL, detail: source.to_string() },
        error => ForgeError::InvalidResponse { platform: LOCAL, action: action.to_owned(), source: Box::new(error) },
    }
}

#[async_trait]
impl Tracker for LocalForge {
    fn platform(&self) -> PlatformId {
        LOCAL
    }

    fn max_comment_chars(&self) -> usize {
        MAX_COMMENT_CHARS
    }

    async fn issue(&self, issue: &IssueRef) -> Result<RemoteIssue, ForgeError> {
        let found = self.require_issue(issue).await?;
        Ok(RemoteIssue {
            opened_at: Some(found.created_at),
            title: found.title,
            body: found.body,
            author: found.author,
            open: true,
            labels: Vec::new(),
            url: self.issue_url(issue),
        })
    }

    async fn comments(&self, issue: &IssueRef) -> Result<Vec<Comment>, ForgeError> {
        let action = format!("read the comments of {issue}");
        self.records.local_comments(&issue.repo, issue.number.api).await.map_err(store_error(&action))
    }

    async fn post_comment(&self, issue: &IssueRef, body: &OutgoingText) -> Result<String, ForgeError> {
        self.comment_as(OWN_LOGIN, issue, body.as_str()).await
    }

    async fn edit_comment(&self, issue: &IssueRef, comment_id: &str, body: &OutgoingText) -> Result<(), ForgeError> {
        let what = format!("the comment {comment_id} on {issue}");
        let action = format!("edit {what}");
        let found = self.records.edit_local_comment(comment_id, body.as_str()).await.map_err(store_error(&action))?;
        if found { Ok(()) } else { Err(not_found(what)) }
    }
}

#[async_trait]
impl Forge for LocalForge {
    async fn own_login(&self) -> Result<String, ForgeError> {
        Ok(OWN_LOGIN.to_owned())
    }

    async fn repository(&self, repo: &RepoName) -> Result<Repository, ForgeError> {
        let path = self.path_of(repo);
        let what = format!("the repository {repo} at {}", path.display());
        let clone_url = path.display().to_string();
        let head = run_blocking(move || gix::open_opts(&path, gix::open::Options::isolated())?.head_name()).await?;
        let head = head.map_err(|_| unreadable(&self.path_of(repo), what))?;
        // A detached HEAD names no branch; `main` is the default (`docs/requirements.md#r254`).
        let name = head.map_or_else(|| "main".to_owned(), |name| name.shorten().to_string());
        let default_branch = BranchName::parse(&name).map_err(|source| ForgeError::InvalidResponse {
            platform: LOCAL,
            action: format!("read the repository {repo}"),
            source: Box::new(source),
        })?;
        Ok(Repository { name: repo.clone(), default_branch, clone_url, private: true, archived: false })
    }

    async fn open_issues(&self, repo: &RepoName, _: u32) -> Result<IssuePage, ForgeError> {
        // Nothing to import: the store has the issues already.
        self.repository(repo).await.map(|_| IssuePage::default())
    }

    async fn create_issue(&self, repo: &RepoName, title: &str, body: &str) -> Result<IssueNumber, ForgeError> {
        self.repository(repo).await?;
        let action = format!("open an issue in {repo}");
        let mut attempts = 0;
        loop {
            let number = self.records.next_local_issue(repo).await.map_err(store_error(&action))?;
            let number = IssueNumber::same(number);
            let now = self.clock.now();
            let issue = Issue {
                id: self.ids.issue(),
                source: IssueRef::on_forge(LOCAL, repo.clone(), number),
                title: title.to_owned(),
                body: body.to_owned(),
                author: OWN_LOGIN.to_owned(),
                labels: Vec::new(),
                owner: None,
                status: IssueStatus::Pending,
                created_at: now,
                updated_at: now,
            };
            attempts += 1;
            match self.records.add_local_issue(issue).await {
                Ok(()) => return Ok(number),
                // Another process has taken the number.
                Err(StoreError::Stale { .. }) if attempts < MAX_NUMBER_ATTEMPTS => {}
                Err(error) => return Err(store_error(&action)(error)),
            }
        }
    }

    /// Returns admin for everybody: only the operator of the server reaches the built-in forge.
    async fn permission(&self, _: &RepoName, _: &str) -> Result<Permission, ForgeError> {
        Ok(Permission::Admin)
    }

    async fn commit_address(&self, _: &RepoName, _: &str) -> Result<Option<String>, ForgeError> {
        Ok(None)
    }

    async fn find_pull_request(
        &self,
        repo: &RepoName,
        head: &PullRequestHead,
    ) -> Result<Option<PullRequestRef>, ForgeError> {
        let action = format!("read the pull requests of {repo}");
        let found = self.records.local_pull_requests(repo).await.map_err(store_error(&action))?;
        Ok(found.iter().find(|pr| pr.head == head.branch && pr.state == "open").map(Self::to_reference))
    }

    async fn create_pull_request(&self, repo: &RepoName, new: &NewPullRequest) -> Result<PullRequestRef, ForgeError> {
        let action = format!("open a pull request for {} in {repo}", new.head);
        let refused = |detail: String| ForgeError::Refused { platform: LOCAL, action: action.clone(), detail };
        if self.find_pull_request(repo, &new.head).await?.is_some() {
            return Err(refused(format!("a pull request already exists for {}", new.head)));
        }
        let (path, head, base) = (self.path_of(repo), new.head.branch.full_ref(), new.base.full_ref());
        let branches = run_blocking(move || {
            let repo = gix::open_opts(&path, gix::open::Options::isolated())?;
            Ok((repo.try_find_reference(head.as_str())?.is_some(), repo.try_find_reference(base.as_str())?.is_some()))
        })
        .await?;
        match branches {
            Err(_) => return Err(not_found(format!("the repository {repo}"))),
            Ok((false, _)) => return Err(refused(format!("there is no branch {}", new.head))),
            Ok((_, false)) => return Err(refused(format!("there is no branch {}", new.base))),
            Ok((true, true)) => {}
        }
        let mut record = LocalPullRequest {
            repo: repo.clone(),
            number: 0,
            head: new.head.branch.clone(),
            base: new.base.clone(),
            title: new.title.to_string(),
            body: new.body.to_string(),
            draft: new.draft,
            state: "open".to_owned(),
            created_at: self.clock.now(),
        };
        record.number = self.records.add_local_pull_request(record.clone()).await.map_err(store_error(&action))?;
        Ok(Self::to_reference(&record))
    }

    async fn update_pull_request(&self, repo: &RepoName, number: u64, body: &OutgoingText) -> Result<(), ForgeError> {
        self.update(repo, number, |pull_request| pull_request.body = body.to_string()).await
    }

    async fn pull_request_comments(&self, repo: &RepoName, number: u64) -> Result<Vec<Comment>, ForgeError> {
        self.pull_request(repo, number).await?;
        let action = format!("read the comments of the pull request {repo}#{number}");
        self.records.local_comments(repo, thread_of_pull(number)).await.map_err(store_error(&action))
    }

    async fn comment_pull_request(
        &self,
        repo: &RepoName,
        number: u64,
        body: &OutgoingText,
    ) -> Result<String, ForgeError> {
        self.pull_request(repo, number).await?;
        let action = format!("comment on the pull request {repo}#{number}");
        let thread = thread_of_pull(number);
        let added = self.records.add_local_comment(repo, thread, OWN_LOGIN, body.as_str(), self.clock.now()).await;
        added.map_err(store_error(&action))
    }

    async fn mark_ready(&self, repo: &RepoName, pull_request: &PullRequestRef) -> Result<(), ForgeError> {
        self.update(repo, pull_request.number, |pull_request| pull_request.draft = false).await
    }

    /// Merges by fast-forward only. A base branch with other commits is [`ForgeError::Refused`].
    async fn merge_pull_request(&self, repo: &RepoName, number: u64, head: &CommitSha) -> Result<(), ForgeError> {
        let pull_request = self.pull_request(repo, number).await?;
        let action = format!("merge the pull request {repo}#{number}");
        let refused =
            |detail: &str| ForgeError::Refused { platform: LOCAL, action: action.clone(), detail: detail.into() };
        match (pull_request.state.as_str(), pull_request.draft) {
            ("merged", _) => return Ok(()),
            ("open", false) => {}
            ("open", true) => return Err(refused("it is a draft")),
            _ => return Err(refused("it is closed")),
        }
        let (path, head) = (self.path_of(repo), head.to_string());
        let names = (pull_request.head.full_ref(), pull_request.base.full_ref());
        let outcome = run_blocking(move || fast_forward(&path, &names, &head)).await?;
        match outcome {
            Ok(None) => self.update(repo, number, |pull_request| pull_request.state = "merged".to_owned()).await,
            Ok(Some(reason)) => Err(refused(reason)),
            Err(error) => Err(refused(&error.to_string())),
        }
    }

    async fn read_file(&self, repo: &RepoName, path: &RepoPath, at: &str) -> Result<Option<String>, ForgeError> {
        let what = format!("{at} of {repo}");
        let (repo_path, path, at) = (self.path_of(repo), path.to_string(), at.to_owned());
        let found = run_blocking(move || {
            let repo = gix::open_opts(&repo_path, gix::open::Options::isolated())?;
            let tree = repo.rev_parse_single(at.as_str())?.object()?.peel_to_tree()?;
            let Some(entry) = tree.lookup_entry_by_path(&path)? else { return Ok(None) };
            let object = entry.object()?;
            let is_file = object.kind == gix::objs::Kind::Blob;
            Ok(is_file.then(|| String::from_utf8(object.data.clone()).ok()).flatten())
        })
        .await?;
        found.map_err(|_| not_found(what))
    }

    async fn git_credential(&self, _: &RepoName) -> Result<Option<GitCredential>, ForgeError> {
        Ok(None)
    }

    fn issue_url(&self, issue: &IssueRef) -> String {
        format!("local:{}/issues/{}", issue.repo, issue.number)
    }
}

/// Moves the base branch to the head branch, if that is at `commit` and contains the base. Returns the reason if not.
fn fast_forward(
    path: &std::path::Path,
    (head, base): &(String, String),
    commit: &str,
) -> Result<Option<&'static str>, gix::Error> {
    let repo = gix::open_opts(path, gix::open::Options::isolated())?;
    let head_tip = repo.find_reference(head.as_str())?.peel_to_id()?.detach();
    let base_tip = repo.find_reference(base.as_str())?.peel_to_id()?.detach();
    if gix::ObjectId::from_hex(commit.as_bytes()).ok() != Some(head_tip) {
        return Ok(Some("its branch is at another commit"));
    }
    let mut ancestors = repo.rev_walk([head_tip]).all()?;
    if !ancestors.any(|commit| commit.is_ok_and(|commit| commit.id == base_tip)) {
        return Ok(Some("its base branch has other commits; merge it with git"));
    }
    let mut reference = repo.find_reference(base.as_str())?;
    reference.set_target_id(head_tip, "merge a pull request")?;
    Ok(None)
}

async fn run_blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, gix::Error> + Send + 'static,
) -> Result<Result<T, gix::Error>, ForgeError> {
    tokio::task::spawn_blocking(work).await.map_err(|error| ForgeError::InvalidResponse {
        platform: LOCAL,
        action: "read the repository".to_owned(),
        source: Box::new(error),
    })
}
