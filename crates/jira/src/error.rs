//! The meaning of Jira's status codes.

use patchwright_core::forge::ForgeError;
use patchwright_http::Response;

use crate::JIRA;
use crate::wire::ErrorAnswer;

/// The longest detail of an error, in characters.
const MAX_DETAIL_CHARS: usize = 500;

/// Converts an error status into an error. `action` is the operation as a verb phrase, `what` its object.
pub(crate) fn check(response: Response, action: &str, what: &str) -> Result<Response, ForgeError> {
    if response.is_success() {
        return Ok(response);
    }
    let platform = JIRA;
    let detail = details(&response);
    let action = action.to_owned();
    Err(match response.status {
        401 => ForgeError::Unauthorized { platform, detail },
        403 => ForgeError::Forbidden { platform, action, detail },
        404 | 410 => ForgeError::NotFound { platform, what: what.to_owned() },
        429 => ForgeError::RateLimited { platform, after: response.wait_hint() },
        400 | 405 | 409 | 413 | 422 => ForgeError::Refused { platform, action, detail },
        500.. | 408 | 425 => ForgeError::Unavailable { platform, detail: format!("status {}", response.status) },
        status => ForgeError::InvalidResponse { platform, action, source: format!("status {status}: {detail}").into() },
    })
}

/// Returns the messages and the errors of fields, on one line.
fn details(response: &Response) -> String {
    let Ok(answer) = response.json::<ErrorAnswer>() else { return response.excerpt() };
    let mut parts = answer.error_messages;
    parts.extend(answer.message);
    parts.extend(answer.errors.iter().map(|(field, error)| match error.as_str() {
        Some(text) => format!("{field}: {text}"),
        None => format!("{field}: {error}"),
    }));
    parts.retain(|part| !part.is_empty());
    let text = if parts.is_empty() { format!("status {}", response.status) } else { parts.join("; ") };
    text.chars().take(MAX_DETAIL_CHARS).collect()
}
