//! What GitHub's statuses mean.

use patchwright_core::forge::ForgeError;
use patchwright_http::{HttpError, Response};

use crate::GITHUB;
use crate::wire::{ErrorAnswer, ErrorDetail};

/// No answer at all.
pub(crate) fn unreachable(error: HttpError) -> ForgeError {
    let detail = error.to_string();
    match error {
        HttpError::TooLarge { .. } | HttpError::Address { .. } => {
            ForgeError::Nonsense { platform: GITHUB, action: "any call".to_owned(), source: Box::new(error) }
        }
        HttpError::TimedOut | HttpError::Unavailable { .. } => ForgeError::Unavailable { platform: GITHUB, detail },
    }
}

/// An answer that cannot be read.
pub(crate) fn nonsense(action: &str) -> impl Fn(serde_json::Error) -> ForgeError + '_ {
    move |source| ForgeError::Nonsense { platform: GITHUB, action: action.to_owned(), source: Box::new(source) }
}

/// Passes a good answer on and says what a bad one means. `what` names the thing, `action` what we wanted.
pub(crate) fn check(response: Response, action: &str, what: &str) -> Result<Response, ForgeError> {
    if response.is_success() {
        return Ok(response);
    }
    let platform = GITHUB;
    let detail = details(&response);
    let action = action.to_owned();
    Err(match response.status {
        401 => ForgeError::Unauthorized { platform, detail },
        429 => ForgeError::RateLimited { platform, after: response.wait_hint() },
        // 403 is a limit or a lacking permission; the headers and the message tell which.
        403 if is_limit(&response, &detail) => ForgeError::RateLimited { platform, after: response.wait_hint() },
        403 | 451 => ForgeError::Forbidden { platform, action, detail },
        404 | 410 => ForgeError::NotFound { platform, what: what.to_owned() },
        400 | 405 | 409 | 422 => ForgeError::Refused { platform, action, detail },
        500.. => ForgeError::Unavailable { platform, detail: format!("status {}", response.status) },
        status => ForgeError::Nonsense { platform, action, source: format!("status {status}: {detail}").into() },
    })
}

fn is_limit(response: &Response, detail: &str) -> bool {
    response.header("retry-after").is_some()
        || response.header("x-ratelimit-remaining") == Some("0")
        || detail.to_lowercase().contains("rate limit")
}

/// The message and what stands under `errors`, on one line.
fn details(response: &Response) -> String {
    let Ok(answer) = response.json::<ErrorAnswer>() else { return response.excerpt() };
    let mut parts = vec![answer.message];
    parts.extend(answer.errors.into_iter().filter_map(|error| match error {
        ErrorDetail::Text(text) => Some(text),
        ErrorDetail::Object { message: Some(message), .. } => Some(message),
        ErrorDetail::Object { field, code, .. } => {
            let words: Vec<_> = [field, code].into_iter().flatten().collect();
            (!words.is_empty()).then(|| words.join(" "))
        }
    }));
    parts.retain(|part| !part.is_empty());
    if parts.is_empty() { format!("status {}", response.status) } else { parts.join("; ") }
}
