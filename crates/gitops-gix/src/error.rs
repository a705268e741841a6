//! Conversion of gix's errors, and running gix, which blocks, with a time limit.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use patchwright_core::CancellationToken;
use patchwright_core::git::GitError;

use crate::address::Address;

/// The longest message of a remote that an error repeats, in characters.
pub(crate) const MAX_DETAIL_CHARS: usize = 300;

/// The text of a gix error, which does not implement `std::error::Error`.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct GixCause(pub(crate) String);

/// Converts the failure of a local operation.
pub(crate) fn internal(action: &str) -> impl Fn(gix::Error) -> GitError + '_ {
    move |error| GitError::Internal { action: action.to_owned(), source: Box::new(GixCause(describe(&error))) }
}

/// Returns gix's error and its probable cause on one line.
pub(crate) fn describe(error: &gix::Error) -> String {
    let (top, cause) = (error.to_string(), error.probable_cause().to_string());
    let line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    if top.contains(&cause) { line(&top) } else { format!("{}: {}", line(&top), line(&cause)) }
}

/// Converts the failure of a file operation.
pub(crate) fn io_error(action: impl Into<String>) -> impl FnOnce(std::io::Error) -> GitError {
    move |source| GitError::Internal { action: action.into(), source: Box::new(source) }
}

/// Converts the failure of a call to the remote.
pub(crate) fn remote_error(address: &Address, error: &gix::Error) -> GitError {
    let url = address.redacted();
    let text = describe(error);
    // Not every layer of gix classifies the status code, but all of them include it in the text.
    let full = format!("{error:?}");
    // Its words are compared, not a part that an address could have.
    if full.contains("remote that uses") || full.contains("A hash sized 64 hexadecimal") {
        GitError::FormatUnsupported { url, format: crate::local::SHA_256.to_owned() }
    } else if full.contains("too large to fit in memory") {
        GitError::TooLarge {
            url,
            limit: "it holds an object that is larger than a quarter of GIT_MEMORY_MB".to_owned(),
        }
    } else if error.is_unauthenticated() || has_status(&full, &[401, 403]) {
        GitError::Unauthorized { url }
    } else if has_status(&full, &[404]) {
        GitError::RepositoryNotFound { url }
    } else if has_status(&full, &[301, 302, 303, 307, 308]) {
        let reason = "the server redirects to another one, which is not followed; use the new address".to_owned();
        GitError::AddressRefused { url, reason }
    } else {
        let detail: String = text.chars().take(MAX_DETAIL_CHARS).collect();
        GitError::Unavailable { url, detail }
    }
}

fn has_status(text: &str, codes: &[u16]) -> bool {
    codes.iter().any(|code| text.contains(&format!("HTTP status {code}")))
}

/// Runs blocking work until it is complete, the time limit is reached or the job is cancelled. Then the flag tells gix to
/// stop.
pub(crate) async fn run_interruptible<T: Send + 'static>(
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
        result = thread => result.unwrap_or_else(|error| {
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
