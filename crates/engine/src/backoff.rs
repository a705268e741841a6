//! Waits between two attempts.

use std::time::Duration;

use jiff::SignedDuration;

/// The longest wait.
const MAX_BACKOFF: Duration = Duration::from_secs(6 * 3600);

/// Returns the wait before the next attempt: `hint` if the remote side sent one, else `first`, doubled with every
/// attempt. `seed` adds up to a quarter of jitter, so that operations that failed together are not retried together;
/// callers use the last byte of an id, which keeps tests deterministic.
pub(crate) fn backoff(first: Duration, attempt: u32, hint: Option<Duration>, seed: u8) -> Duration {
    let doubled = first.saturating_mul(2_u32.saturating_pow(attempt.saturating_sub(1).min(20)));
    let jitter = 1.0 + f64::from(seed) / 1024.0;
    hint.map_or(doubled, |hint| hint.max(first)).min(MAX_BACKOFF).mul_f64(jitter)
}

/// Converts a duration for arithmetic with timestamps.
pub(crate) fn signed(duration: Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}
