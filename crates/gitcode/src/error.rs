//! The meaning of GitCode's status codes. The code in the body takes precedence over the status: a missing commit is 400
//! with `error_code` 404, a missing permission 400 with a message that starts with 403.

use std::time::Duration;

use patchwright_core::forge::ForgeError;
use patchwright_http::Response;

use crate::GITCODE;
use crate::wire::ErrorAnswer;

/// The pause after a rate limit: it is counted by minutes, and the response does not say when the next one starts.
pub(crate) const DEFAULT_COOLDOWN: Duration = Duration::from_secs(60);

/// Converts an error status into an error. `action` is the operation as a verb phrase, `what` its object.
pub(crate) fn check(response: Response, action: &str, what: &str) -> Result<Response, ForgeError> {
    if response.is_success() || response.status == 304 {
        return Ok(response);
    }
    let platform = GITCODE;
    let action = action.to_owned();
    let (code, detail) = interpret(&response);
    Err(match code {
        401 => ForgeError::Unauthorized { platform, detail },
        429 => ForgeError::RateLimited { platform, after: Some(response.wait_hint().unwrap_or(DEFAULT_COOLDOWN)) },
        // 418 is the platform's content filter ("suspected unsafe").
        403 | 418 | 451 => ForgeError::Forbidden { platform, action, detail },
        404 | 410 => ForgeError::NotFound { platform, what: what.to_owned() },
        400 | 405 | 409 | 422 => ForgeError::Refused { platform, action, detail },
        500.. => ForgeError::Unavailable { platform, detail: format!("status {}", response.status) },
        status => ForgeError::InvalidResponse { platform, action, source: format!("status {status}: {detail}").into() },
    })
}

/// Returns the effective status code and the message.
fn interpret(response: &Response) -> (u16, String) {
    let answer: ErrorAnswer = response.json().unwrap_or_default();
    let message = answer.error_message.or(answer.message);
    let detail = match (&message, answer.error_code_name) {
        (Some(message), Some(name)) => format!("{message} ({name})"),
        (Some(message), None) => message.clone(),
        (None, _) => response.excerpt(),
    };
    if response.status != 400 {
        return (response.status, detail);
    }
    let in_body = answer.error_code.and_then(|code| code.number()).and_then(|code| u16::try_from(code).ok());
    let in_text = message.as_deref().and_then(|message| message.get(..3)).and_then(|digits| digits.parse().ok());
    let code = in_body.filter(|code| (400..600).contains(code)).or(in_text).unwrap_or(400);
    (code, detail)
}
