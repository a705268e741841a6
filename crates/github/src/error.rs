//! The meaning of GitHub's status codes.

use patchwright_core::forge::ForgeError;
use patchwright_http::Response;

use crate::GITHUB;
use crate::wire::{ErrorAnswer, ErrorDetail};

/// Converts an error status into an error. `action` is the operation as a verb phrase, `what` its object.
pub(crate) fn check(response: Response, action: &str, what: &str) -> Result<Response, ForgeError> {
    // 304 answers a conditional request.
    if response.is_success() || response.status == 304 {
        return Ok(response);
    }
    let platform = GITHUB;
    let detail = details(&response);
    let action = action.to_owned();
    Err(match response.status {
        401 => ForgeError::Unauthorized { platform, detail },
        429 => ForgeError::RateLimited { platform, after: response.wait_hint() },
        403 | 451 => ForgeError::Forbidden { platform, action, detail },
        404 | 410 => ForgeError::NotFound { platform, what: what.to_owned() },
        400 | 405 | 409 | 422 => ForgeError::Refused { platform, action, detail },
        500.. => ForgeError::Unavailable { platform, detail: format!("status {}", response.status) },
        status => ForgeError::InvalidResponse { platform, action, source: format!("status {status}: {detail}").into() },
    })
}

/// Returns whether a response is a rate limit: 429, or a 403 whose headers or message tell it from a missing permission.
pub(crate) fn is_rate_limited(response: &Response) -> bool {
    match response.status {
        429 => true,
        403 => {
            response.header("retry-after").is_some()
                || response.header("x-ratelimit-remaining") == Some("0")
                || details(response).to_lowercase().contains("rate limit")
        }
        _ => false,
    }
}

/// Returns the message and the entries of `errors`, on one line.
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
