//! Shared by the clients of forges: errors for missing and unreadable responses, and encoding of paths.

use patchwright_core::forge::ForgeError;
use patchwright_domain::PlatformId;

use crate::{HttpError, Response};

/// Converts the absence of a response into a forge's error: [`ForgeError::Unavailable`] if a retry may help, otherwise
/// [`ForgeError::InvalidResponse`].
pub fn transport_error(platform: PlatformId, error: HttpError) -> ForgeError {
    let detail = error.to_string();
    match error {
        HttpError::TooLarge { .. } | HttpError::Address { .. } | HttpError::PrivateAddress { .. } => {
            ForgeError::InvalidResponse { platform, action: "any call".to_owned(), source: Box::new(error) }
        }
        HttpError::TimedOut | HttpError::Unavailable { .. } => ForgeError::Unavailable { platform, detail },
    }
}

/// Decodes a response's JSON.
///
/// # Errors
/// [`ForgeError::InvalidResponse`] with `action` if it does not have the expected form.
pub fn read_json<'a, T: serde::Deserialize<'a>>(
    platform: PlatformId,
    response: &'a Response,
    action: &str,
) -> Result<T, ForgeError> {
    response.json().map_err(|source| ForgeError::InvalidResponse {
        platform,
        action: action.to_owned(),
        source: Box::new(source),
    })
}

/// Percent-encodes one segment of a path, so that it cannot address another resource. The segment `..` is not covered:
/// URLs resolve it in any encoding, so names that may be `..` must be refused when they are parsed.
pub fn encode_segment(segment: &str) -> String {
    use std::fmt::Write as _;
    let mut out = String::with_capacity(segment.len());
    for byte in segment.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~') {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").expect("writing to a string does not fail");
        }
    }
    out
}

/// Percent-encodes the segments of a path.
pub fn encode_path(path: &str) -> String {
    path.split('/').map(encode_segment).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_characters_are_percent_encoded() {
        assert_eq!(encode_segment("a b/../c?d#é"), "a%20b%2F..%2Fc%3Fd%23%C3%A9");
        assert_eq!(encode_path("src/a b.rs"), "src/a%20b.rs");
    }
}
