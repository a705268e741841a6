//! What GitCode's statuses mean. The code in the body goes before the status: a missing commit comes as 400 with
//! `error_code` 404, a missing right as 400 with a message that begins with 403.

use std::time::Duration;

use patchwright_core::forge::ForgeError;
use patchwright_http::Response;

use crate::GITCODE;
use crate::wire::ErrorAnswer;

/// The limit counts minutes, and the answer does not say when the next one begins.
pub(crate) const NEXT_MINUTE: Duration = Duration::from_secs(60);

/// Passes a good answer on and says what a bad one means. `what` names the thing, `action` what we wanted.
pub(crate) fn check(response: Response, action: &str, what: &str) -> Result<Response, ForgeError> {
    if response.is_success() || response.status == 304 {
        return Ok(response);
    }
    let platform = GITCODE;
    let action = action.to_owned();
    let (code, detail) = reading(&response);
    Err(match code {
        401 => ForgeError::Unauthorized { platform, detail },
        429 => ForgeError::RateLimited { platform, after: Some(response.wait_hint().unwrap_or(NEXT_MINUTE)) },
        // 418: "suspected unsafe", the platform's own filter.
        403 | 418 | 451 => ForgeError::Forbidden { platform, action, detail },
        404 | 410 => ForgeError::NotFound { platform, what: what.to_owned() },
        400 | 405 | 409 | 422 => ForgeError::Refused { platform, action, detail },
        500.. => ForgeError::Unavailable { platform, detail: format!("status {}", response.status) },
        status => ForgeError::InvalidResponse { platform, action, source: format!("status {status}: {detail}").into() },
    })
}

/// The status that is meant, and what was said.
fn reading(response: &Response) -> (u16, String) {
    let answer: ErrorAnswer = response.json().unwrap_or_default();
    let said = answer.error_message.or(answer.message);
    let detail = match (&said, answer.error_code_name) {
        (Some(said), Some(name)) => format!("{said} ({name})"),
        (Some(said), None) => said.clone(),
        (None, _) => response.excerpt(),
    };
    if response.status != 400 {
        return (response.status, detail);
    }
    let in_body = answer.error_code.and_then(|code| code.number()).and_then(|code| u16::try_from(code).ok());
    let in_text = said.as_deref().and_then(|said| said.get(..3)).and_then(|digits| digits.parse().ok());
    let meant = in_body.filter(|code| (400..600).contains(code)).or(in_text).unwrap_or(400);
    (meant, detail)
}
