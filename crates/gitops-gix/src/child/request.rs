//! What is asked and answered, between two processes as JSON.

use std::path::PathBuf;

use patchwright_core::Secret;
use patchwright_core::fault::error_chain;
use patchwright_core::forge::GitCredential;
use patchwright_core::git::{Checkout, GitError, PushRefusal, Rework};
use patchwright_domain::{BranchName, CommitSha};
use serde::{Deserialize, Serialize};

use crate::error::GixCause;
use crate::import::ImportWork;
use crate::options::GitOptions;
use crate::prepare::Prepared;

/// A request to the child.
#[derive(Serialize, Deserialize)]
pub(super) struct Request {
    pub(super) options: GitOptions,
    pub(super) work: Work,
    /// The user name and password of the credential.
    login: Option<(String, String)>,
}

impl Request {
    pub(super) fn new(options: &GitOptions, work: Work, credential: Option<&GitCredential>) -> Self {
        let login = credential.map(|known| (known.username.clone(), known.password.expose().to_owned()));
        Self { options: GitOptions { child: None, ..options.clone() }, work, login }
    }

    pub(super) fn credential(&self) -> Option<GitCredential> {
        let (username, password) = self.login.clone()?;
        Some(GitCredential { username, password: Secret::new(password) })
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) enum Work {
    /// Prepares a working copy.
    Prepare(PrepareWork),
    /// Fetches the history of a repository into the store.
    FetchHistory { url: String, branch: BranchName },
    /// Writes the files of a commit to a folder.
    Export { git_dir: PathBuf, commit: CommitSha, destination: PathBuf },
    /// Copies a repository to a place of its own.
    Import(ImportWork),
    /// Pushes a commit.
    Push(PushWork),
}

#[derive(Serialize, Deserialize)]
pub(crate) struct PrepareWork {
    url: String,
    base: Option<BranchName>,
    branch: BranchName,
    /// Tip and start.
    rework: Option<(CommitSha, CommitSha)>,
    with_branch: bool,
    push_url: Option<String>,
    destination: PathBuf,
}

impl PrepareWork {
    pub(crate) fn new(request: &Checkout) -> Self {
        Self {
            url: request.url.clone(),
            base: request.base.clone(),
            branch: request.branch.clone(),
            rework: request.rework.clone().map(|rework| (rework.tip, rework.start)),
            with_branch: request.with_branch,
            push_url: request.push_url.clone(),
            destination: request.destination.clone(),
        }
    }

    pub(super) fn into_checkout(self, credential: Option<GitCredential>) -> Checkout {
        Checkout {
            url: self.url,
            base: self.base,
            branch: self.branch,
            rework: self.rework.map(|(tip, start)| Rework { tip, start }),
            with_branch: self.with_branch,
            push_url: self.push_url,
            credential,
            destination: self.destination,
        }
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) struct PushWork {
    pub(crate) git_dir: PathBuf,
    pub(crate) url: String,
    pub(crate) branch: BranchName,
    pub(crate) base: Option<CommitSha>,
    pub(crate) commit: CommitSha,
    pub(crate) expected: Option<CommitSha>,
}

/// The child's answer.
#[derive(Serialize, Deserialize)]
pub(crate) enum Answer {
    Prepared(Prepared),
    Imported(BranchName),
    Done,
    Failed(Failure),
}

/// A [`GitError`] that the work of a child can end with.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Failure {
    RepositoryNotFound { url: String },
    EmptyRepository { url: String },
    BranchNotFound { url: String, branch: BranchName },
    Unauthorized { url: String },
    AddressRefused { url: String, reason: String },
    ClearTextCredential { url: String },
    InvalidOption { detail: String },
    TooLarge { url: String, limit: String },
    ContentRefused { url: String, reason: String },
    FormatUnsupported { url: String, format: String },
    BranchRefused { branch: BranchName, rule: String },
    PushForbidden { url: String, detail: String },
    PushRefused { branch: BranchName, refusal: PushRefusal, reason: String },
    LeaseLost { branch: BranchName },
    Unavailable { url: String, detail: String },
    Internal { action: String, cause: String },
}

impl From<GitError> for Failure {
    fn from(error: GitError) -> Self {
        match error {
            GitError::RepositoryNotFound { url } => Self::RepositoryNotFound { url },
            GitError::EmptyRepository { url } => Self::EmptyRepository { url },
            GitError::BranchNotFound { url, branch } => Self::BranchNotFound { url, branch },
            GitError::Unauthorized { url } => Self::Unauthorized { url },
            GitError::AddressRefused { url, reason } => Self::AddressRefused { url, reason },
            GitError::ClearTextCredential { url } => Self::ClearTextCredential { url },
            GitError::InvalidOption { detail, .. } => Self::InvalidOption { detail },
            GitError::TooLarge { url, limit } => Self::TooLarge { url, limit },
            GitError::ContentRefused { url, reason } => Self::ContentRefused { url, reason },
            GitError::FormatUnsupported { url, format } => Self::FormatUnsupported { url, format },
            GitError::BranchRefused { branch, rule } => Self::BranchRefused { branch, rule },
            GitError::PushForbidden { url, detail } => Self::PushForbidden { url, detail },
            GitError::PushRefused { branch, refusal, reason } => Self::PushRefused { branch, refusal, reason },
            GitError::LeaseLost { branch } => Self::LeaseLost { branch },
            GitError::Unavailable { url, detail } => Self::Unavailable { url, detail },
            GitError::Internal { action, source } => Self::Internal { action, cause: error_chain(&*source) },
            other => Self::Internal { action: "working on a repository".to_owned(), cause: other.to_string() },
        }
    }
}

impl From<Failure> for GitError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::RepositoryNotFound { url } => Self::RepositoryNotFound { url },
            Failure::EmptyRepository { url } => Self::EmptyRepository { url },
            Failure::BranchNotFound { url, branch } => Self::BranchNotFound { url, branch },
            Failure::Unauthorized { url } => Self::Unauthorized { url },
            Failure::AddressRefused { url, reason } => Self::AddressRefused { url, reason },
            Failure::ClearTextCredential { url } => Self::ClearTextCredential { url },
            // The certificates are the one option that the work of a child can find unusable.
            Failure::InvalidOption { detail } => Self::InvalidOption { option: "GitOptions::ca_bundle", detail },
            Failure::TooLarge { url, limit } => Self::TooLarge { url, limit },
            Failure::ContentRefused { url, reason } => Self::ContentRefused { url, reason },
            Failure::FormatUnsupported { url, format } => Self::FormatUnsupported { url, format },
            Failure::BranchRefused { branch, rule } => Self::BranchRefused { branch, rule },
            Failure::PushForbidden { url, detail } => Self::PushForbidden { url, detail },
            Failure::PushRefused { branch, refusal, reason } => Self::PushRefused { branch, refusal, reason },
            Failure::LeaseLost { branch } => Self::LeaseLost { branch },
            Failure::Unavailable { url, detail } => Self::Unavailable { url, detail },
            Failure::Internal { action, cause } => Self::Internal { action, source: Box::new(GixCause(cause)) },
        }
    }
}
