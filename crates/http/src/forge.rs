//! What the clients of all forges say when an answer lacks or cannot be read, and how they write paths.

use patchwright_core::forge::ForgeError;
use patchwright_domain::PlatformId;

use crate::{HttpError, Response};

/// No answer at all, as a forge's error.
pub fn unreachable(platform: PlatformId, error: HttpError) -> ForgeError {
    let detail = error.to_string();
    match error {
        HttpError::TooLarge { .. } | HttpError::Address { .. } => {
            ForgeError::InvalidResponse { platform, action: "any call".to_owned(), source: Box::new(error) }
        }
        HttpError::TimedOut | HttpError::Unavailable { .. } => ForgeError::Unavailable { platform, detail },
    }
}

/// Reads an answer's JSON, or says to what it was nonsense.
///
/// # Errors
/// [`ForgeError::InvalidResponse`].
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

/// Percent-encodes one segment of a path, so that it cannot reach another resource. (`..` cannot be encoded: addresses
/// resolve it in any spelling. Names that could be it are refused where they are parsed.)
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

/// Percent-encodes a path and keeps its slashes.
pub fn encode_path(path: &str) -> String {
    path.split('/').map(encode_segment).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_stays_a_segment() {
        assert_eq!(encode_segment("a b/../c?d#é"), "a%20b%2F..%2Fc%3Fd%23%C3%A9");
        assert_eq!(encode_path("src/a b.rs"), "src/a%20b.rs");
    }
}
