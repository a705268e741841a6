//! From gix's errors to ours, and running gix (which blocks) with a limit on a blocking thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use patchwright_core::CancellationToken;
use patchwright_core::git::GitError;

use crate::address::Address;

/// gix's error type is no `std::error::Error`; this carries its text.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct GixCause(pub(crate) String);

/// Something that has nothing to do with the remote failed.
pub(crate) fn broken(action: &str) -> impl Fn(gix::Error) -> GitError + '_ {
    move |error| GitError::Internal { action: action.to_owned(), source: Box::new(GixCause(in_words(&error))) }
}

/// gix's error on one line: what it says itself, and what it takes for the cause.
pub(crate) fn in_words(error: &gix::Error) -> String {
    let (top, cause) = (error.to_string(), error.probable_cause().to_string());
    let line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    if top.contains(&cause) { line(&top) } else { format!("{}: {}", line(&top), line(&cause)) }
}

/// A file or folder could not be used.
pub(crate) fn io(action: impl Into<String>) -> impl FnOnce(std::io::Error) -> GitError {
    move |source| GitError::Internal { action: action.into(), source: Box::new(source) }
}

/// A call to the remote failed.
pub(crate) fn remote(address: &Address, error: &gix::Error) -> GitError {
    let url = address.shown();
    let text = in_words(error);
    // Not every layer of gix classifies the status; all of them name it.
    let all = format!("{error:?}");
    if error.is_unauthenticated() || error.is_permission_denied() || all.contains("HTTP status 401") {
        GitError::Unauthorized { url }
    } else if error.is_not_found() || all.contains("HTTP status 404") {
        GitError::RepositoryNotFound { url }
    } else {
        let detail: String = text.chars().take(300).collect();
        GitError::Unavailable { url, detail }
    }
}

/// Runs blocking work until it ends, the time is over or the job is cancelled. The flag tells gix to stop.
pub(crate) async fn interruptible<T: Send + 'static>(
    action: String,
    timeout: Duration,
    cancel: &CancellationToken,
    work: impl FnOnce(&AtomicBool) -> Result<T, GitError> + Send + 'static,
) -> Result<T, GitError> {
    let interrupt = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&interrupt);
    let span = tracing::Span::current();
    let thread = tokio::task::spawn_blocking(move || span.in_scope(|| work(&flag)));
    tokio::select! {
        done = thread => done.unwrap_or_else(|error| {
            Err(GitError::Internal { action, source: Box::new(error) })
        }),
        () = tokio::time::sleep(timeout) => {
            interrupt.store(true, Ordering::Relaxed);
            Err(GitError::TimedOut { action, seconds: timeout.as_secs() })
        }
        () = cancel.cancelled() => {
            interrupt.store(true, Ordering::Relaxed);
            Err(GitError::Internal { action, source: "the job was cancelled".into() })
        }
    }
}
