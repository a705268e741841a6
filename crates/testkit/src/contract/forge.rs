//! The contract of forges.

use patchwright_core::forge::{Forge, ForgeError, NewPullRequest, PullRequestHead};
use patchwright_core::outgoing_text::OutgoingText;
use patchwright_domain::{BranchName, CommitSha, IssueNumber, IssueRef, PlatformId, RepoName};

/// A forge under test, and what exists on it.
pub struct Setting<'a> {
    /// The forge.
    pub forge: &'a dyn Forge,
    /// An issue with title `Bug` and body `It breaks.`, in a repository whose default branch is `main`.
    pub issue: IssueRef,
    /// A branch of that repository that is one commit ahead of `main`.
    pub branch: BranchName,
    /// That commit.
    pub head: CommitSha,
}

impl std::fmt::Debug for Setting<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Setting({})", self.issue)
    }
}

/// Runs the whole suite.
pub async fn suite(setting: Setting<'_>) {
    issues_are_read(&setting).await;
    issues_are_listed_and_opened(&setting).await;
    comments_are_written_read_and_edited(&setting).await;
    a_branch_has_one_pull_request(&setting).await;
    missing_things_are_not_found(&setting).await;
}

async fn issues_are_read(setting: &Setting<'_>) {
    let issue = setting.forge.issue(&setting.issue).await.unwrap();
    assert_eq!((issue.title.as_str(), issue.body.as_str(), issue.open), ("Bug", "It breaks.", true));
    let repository = setting.forge.repository(&setting.issue.repo).await.unwrap();
    assert_eq!((repository.default_branch.as_str(), &repository.name), ("main", &setting.issue.repo));
    assert!(!repository.clone_url.contains('@'), "no credential in {}", repository.clone_url);
    assert_eq!(setting.issue.platform, setting.forge.platform());
}

async fn issues_are_listed_and_opened(setting: &Setting<'_>) {
    let (forge, known) = (setting.forge, &setting.issue);
    let number = forge.create_issue(&known.repo, "Second é 修", "It breaks too.").await.unwrap();
    let source = IssueRef { number, ..known.clone() };
    let opened = forge.issue(&source).await.unwrap();
    assert_eq!((opened.title.as_str(), opened.body.as_str(), opened.open), ("Second é 修", "It breaks too.", true));
    if known.platform == PlatformId::from_static("local") {
        // Its issues are in the store already, so nothing is listed.
        return;
    }
    let mut listed = Vec::new();
    for page in 1.. {
        let found = forge.open_issues(&known.repo, page).await.unwrap();
        listed.extend(found.issues.into_iter().map(|(number, issue)| (number, issue.title)));
        if !found.more {
            break;
        }
    }
    assert!(listed.contains(&(known.number, "Bug".to_owned())), "{listed:?}");
    assert!(listed.contains(&(number, "Second é 修".to_owned())), "{listed:?}");
    assert!(listed.iter().all(|(_, title)| title != "a pull request"));
}

async fn comments_are_written_read_and_edited(setting: &Setting<'_>) {
    let (forge, issue) = (setting.forge, &setting.issue);
    let before = forge.comments(issue).await.unwrap().len();
    let first = forge.post_comment(issue, &OutgoingText::own("first é 修")).await.unwrap();
    let second = forge.post_comment(issue, &OutgoingText::own("second")).await.unwrap();
    assert_ne!(first, second);
    forge.edit_comment(issue, &first, &OutgoingText::own("first, edited")).await.unwrap();
    forge.edit_comment(issue, &first, &OutgoingText::own("first, edited")).await.unwrap();
    let comments = forge.comments(issue).await.unwrap();
    let texts: Vec<&str> = comments[before..].iter().map(|comment| comment.body.as_str()).collect();
    assert_eq!(texts, ["first, edited", "second"]);
    let own = forge.own_login().await.unwrap();
    assert!(comments[before..].iter().all(|comment| comment.author == own));
}

async fn a_branch_has_one_pull_request(setting: &Setting<'_>) {
    let (forge, repo) = (setting.forge, &setting.issue.repo);
    let from = PullRequestHead::from(setting.branch.clone());
    assert_eq!(forge.find_pull_request(repo, &from).await.unwrap(), None);
    let new = NewPullRequest {
        head: from.clone(),
        base: BranchName::parse("main").unwrap(),
        title: OutgoingText::own("Fix #1"),
        body: OutgoingText::own("the panel"),
        draft: true,
    };
    let opened = forge.create_pull_request(repo, &new).await.unwrap();
    assert!(opened.draft);
    assert_eq!(forge.find_pull_request(repo, &from).await.unwrap(), Some(opened.clone()));
    let again = forge.create_pull_request(repo, &new).await;
    assert!(matches!(again, Err(ForgeError::Refused { .. })), "{again:?}");
    forge.update_pull_request(repo, opened.number, &OutgoingText::own("the panel, later")).await.unwrap();
    let on_issue = forge.comments(&setting.issue).await.unwrap().len();
    let comment = forge.comment_pull_request(repo, opened.number, &OutgoingText::own("a word é 修")).await.unwrap();
    let found = forge.pull_request_comments(repo, opened.number).await.unwrap();
    assert_eq!(
        found.iter().map(|found| (&found.id, found.body.as_str())).collect::<Vec<_>>(),
        [(&comment, "a word é 修")]
    );
    assert_eq!(
        forge.comments(&setting.issue).await.unwrap().len(),
        on_issue,
        "the issue has a conversation of its own"
    );
    let nowhere = forge.comment_pull_request(repo, 999_999, &OutgoingText::own("x")).await;
    assert!(matches!(nowhere, Err(ForgeError::NotFound { .. })), "{nowhere:?}");
    let early = forge.merge_pull_request(repo, opened.number, &setting.head).await;
    assert!(matches!(early, Err(ForgeError::Refused { .. })), "a draft is not merged: {early:?}");
    forge.mark_ready(repo, &opened).await.unwrap();
    forge.mark_ready(repo, &opened).await.unwrap();
    assert!(!forge.find_pull_request(repo, &from).await.unwrap().unwrap().draft);
    for login in ["alice", "alice", "nobody-knows-them"] {
        forge.request_review(repo, opened.number, login).await.unwrap();
    }
    let head = &setting.head;
    forge.merge_pull_request(repo, opened.number, head).await.unwrap();
    forge.merge_pull_request(repo, opened.number, head).await.unwrap();
    assert_eq!(forge.find_pull_request(repo, &from).await.unwrap(), None, "a merged pull request is not open");
    let ghost = NewPullRequest { head: BranchName::parse("agent/ghost").unwrap().into(), ..new };
    assert!(matches!(forge.create_pull_request(repo, &ghost).await, Err(ForgeError::Refused { .. })));
}

async fn missing_things_are_not_found(setting: &Setting<'_>) {
    let missing = |error: ForgeError| assert!(matches!(error, ForgeError::NotFound { .. }), "{error:?}");
    let nowhere = IssueRef { number: IssueNumber::same(999_999), ..setting.issue.clone() };
    missing(setting.forge.issue(&nowhere).await.unwrap_err());
    missing(setting.forge.post_comment(&nowhere, &OutgoingText::own("x")).await.unwrap_err());
    missing(setting.forge.edit_comment(&setting.issue, "999999", &OutgoingText::own("x")).await.unwrap_err());
    let ghost: RepoName = "acme/ghost".parse().unwrap();
    missing(setting.forge.repository(&ghost).await.unwrap_err());
}
