//! Responses, complete or streamed.

use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use jiff::Timestamp;
use reqwest::header::HeaderMap;

use crate::client::HttpError;

/// A complete response.
#[derive(Debug, Clone)]
pub struct Response {
    /// The status code.
    pub status: u16,
    /// The decompressed body.
    pub body: Bytes,
    pub(crate) headers: HeaderMap,
}

impl Response {
    /// Returns whether the status is 2xx.
    pub const fn is_success(&self) -> bool {
        self.status >= 200 && self.status < 300
    }

    /// Returns a header's value if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Returns the body as text, with U+FFFD for invalid UTF-8.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Returns the first 200 characters of the body on one line, for messages.
    pub fn excerpt(&self) -> String {
        let text = self.text();
        let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
        line.chars().take(200).collect()
    }

    /// Decodes the body as JSON.
    ///
    /// # Errors
    /// The error of `serde_json`.
    pub fn json<'a, T: serde::Deserialize<'a>>(&'a self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.body)
    }

    /// Returns the wait that the server asks for: `Retry-After` in seconds or as a date, else `x-ratelimit-reset` if the
    /// limit is used up. Dates are compared with the response's `Date`, so this machine's clock does not matter.
    pub fn wait_hint(&self) -> Option<Duration> {
        wait_hint(&self.headers)
    }
}

pub(crate) fn wait_hint(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let date = || text("date").and_then(http_date);
    let until = |at: Timestamp| {
        let seconds = at.as_second().saturating_sub(date()?.as_second());
        Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
    };
    if let Some(value) = text("retry-after-ms").and_then(|value| value.parse().ok()) {
        return Some(Duration::from_millis(value));
    }
    if let Some(value) = text("retry-after") {
        return match value.parse::<u64>() {
            Ok(seconds) => Some(Duration::from_secs(seconds)),
            Err(_) => http_date(value).and_then(until),
        };
    }
    if text("x-ratelimit-remaining") == Some("0") {
        let reset = text("x-ratelimit-reset")?.parse().ok()?;
        return Timestamp::from_second(reset).ok().and_then(until);
    }
    None
}

fn http_date(text: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::parse(text).ok().map(|zoned| zoned.timestamp())
}

/// A response whose body is read in chunks.
pub struct StreamingResponse {
    /// The status code.
    pub status: u16,
    pub(crate) inner: reqwest::Response,
    pub(crate) limit: usize,
    pub(crate) idle: Duration,
    pub(crate) read: usize,
}

impl StreamingResponse {
    /// Returns a header's value if it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.inner.headers().get(name)?.to_str().ok()
    }

    /// Returns the next bytes; `None` at the end.
    ///
    /// # Errors
    /// [`HttpError::TimedOut`] if no bytes arrive within the idle limit, [`HttpError::TooLarge`] beyond the client's limit,
    /// and [`HttpError::Unavailable`] if the connection is lost.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, HttpError> {
        let next = tokio::time::timeout(self.idle, self.inner.chunk()).await.map_err(|_| HttpError::TimedOut)?;
        let chunk = next.map_err(|error| HttpError::from_reqwest(&error))?;
        self.read += chunk.as_ref().map_or(0, Bytes::len);
        if self.read > self.limit { Err(HttpError::TooLarge { limit: self.limit }) } else { Ok(chunk) }
    }

    /// Reads the remaining body.
    ///
    /// # Errors
    /// As [`Self::chunk`].
    pub async fn read_to_end(mut self) -> Result<Response, HttpError> {
        let headers = self.inner.headers().clone();
        let status = self.status;
        let mut body = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            body.extend_from_slice(&chunk);
        }
        Ok(Response { status, headers, body: body.into() })
    }
}

impl std::fmt::Debug for StreamingResponse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StreamingResponse({}, {} bytes read)", self.status, self.read)
    }
}

/// Reads a body of at most `limit` bytes.
pub(crate) async fn read_bounded(response: reqwest::Response, limit: usize) -> Result<Response, HttpError> {
    let status = response.status().as_u16();
    let headers = response.headers().clone();
    let mut body = Vec::new();
    let mut stream = response.bytes_stream();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|error| HttpError::from_reqwest(&error))?;
        if body.len() + chunk.len() > limit {
            return Err(HttpError::TooLarge { limit });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Response { status, headers, body: body.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn the_servers_wait_is_read_in_all_its_forms() {
        let date = ("date", "Sun, 22 Nov 2026 10:00:00 GMT");
        let hint = |pairs: &[(&'static str, &'static str)]| wait_hint(&headers(pairs)).map(|wait| wait.as_secs());
        assert_eq!(hint(&[]), None);
        assert_eq!(hint(&[("retry-after", "7")]), Some(7));
        assert_eq!(hint(&[date, ("retry-after", "Sun, 22 Nov 2026 10:01:00 GMT")]), Some(60));
        assert_eq!(hint(&[date, ("retry-after", "Sun, 22 Nov 2026 09:00:00 GMT")]), Some(0));
        assert_eq!(hint(&[("retry-after", "soon")]), None);
        let reset = ("x-ratelimit-reset", "1795341630");
        assert_eq!(hint(&[date, ("x-ratelimit-remaining", "0"), reset]), Some(30));
        assert_eq!(hint(&[date, ("x-ratelimit-remaining", "5"), reset]), None);
    }
}
