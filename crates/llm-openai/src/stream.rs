//! Server-sent events: bytes in, data out. Chunks may be split anywhere, even within a character.

/// Buffers bytes and returns the data of complete events.
///
/// Chat completions have one `data:` line an event, and some servers leave out the empty line between two. A line is therefore
/// an event, unless its data is only complete with the lines behind it. Comments and other fields are skipped.
#[derive(Debug, Default)]
pub(crate) struct EventStream {
    buffer: Vec<u8>,
    /// Data that is not complete yet.
    pending: String,
}

impl EventStream {
    /// Adds bytes and returns the data of the events that they complete.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        self.buffer.extend_from_slice(bytes);
        let Some(end) = self.buffer.iter().rposition(|byte| matches!(byte, b'\n' | b'\r')) else { return Vec::new() };
        let complete: Vec<u8> = self.buffer.drain(..=end).collect();
        let lines = complete.split(|byte| matches!(byte, b'\n' | b'\r'));
        lines.filter_map(data_of).filter_map(|data| self.complete(&data)).collect()
    }

    /// Returns what is left at the end: a last line without a line break, or data that never became complete.
    pub(crate) fn finish(mut self) -> Vec<String> {
        let last = std::mem::take(&mut self.buffer);
        let last = data_of(&last).and_then(|data| self.complete(&data));
        last.into_iter().chain(Some(self.pending).filter(|pending| !pending.is_empty())).collect()
    }

    /// Returns the data of an event, if this line completes one.
    fn complete(&mut self, line: &str) -> Option<String> {
        if self.pending.is_empty() && line.trim().is_empty() {
            return None;
        }
        if !self.pending.is_empty() {
            self.pending.push('\n');
        }
        self.pending.push_str(line);
        let is_complete =
            self.pending.trim() == DONE || serde_json::from_str::<serde::de::IgnoredAny>(&self.pending).is_ok();
        is_complete.then(|| std::mem::take(&mut self.pending))
    }
}

/// The data of the event that ends a stream.
pub(crate) const DONE: &str = "[DONE]";

fn data_of(line: &[u8]) -> Option<String> {
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    let data = line.strip_prefix(b"data:")?;
    let data = data.strip_prefix(b" ").unwrap_or(data);
    Some(String::from_utf8_lossy(data).into_owned())
}

/// Returns whether a body holds events, by how it begins: proxies change content types. `None` if that is not known yet.
pub(crate) fn is_event_stream(begin: &[u8]) -> Option<bool> {
    let begin = begin.strip_prefix(b"\xef\xbb\xbf").unwrap_or(begin).trim_ascii_start();
    let fields: [&[u8]; 5] = [b"data:", b"event:", b"id:", b"retry:", b":"];
    if fields.iter().any(|field| begin.starts_with(field)) {
        return Some(true);
    }
    let may_become = fields.iter().any(|field| field.starts_with(begin));
    (!may_become).then_some(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_complete_wherever_the_stream_is_split() {
        let text = ": hello\r\ndata: {\"a\":\"é\"}\r\n\r\nevent: x\ndata:[DONE]\n\n".as_bytes();
        for cut in 0..=text.len() {
            let mut stream = EventStream::default();
            let mut received = stream.push(&text[..cut]);
            received.extend(stream.push(&text[cut..]));
            received.extend(stream.finish());
            assert_eq!(received, ["{\"a\":\"é\"}", "[DONE]"], "split at {cut}");
        }
    }

    #[test]
    fn an_event_may_have_several_lines_or_no_empty_line_behind_it() {
        let received = |text: &str| {
            let mut stream = EventStream::default();
            let mut all = stream.push(text.as_bytes());
            all.extend(stream.finish());
            all
        };
        assert_eq!(received("data: {\ndata: \"a\": 1}\n\n"), ["{\n\"a\": 1}"]);
        assert_eq!(received("data: {\"a\":1}\ndata: {\"a\":2}\ndata: [DONE]"), ["{\"a\":1}", "{\"a\":2}", "[DONE]"]);
        assert_eq!(received("data: {\"a\":1}\r\rdata: \r\r"), ["{\"a\":1}"], "lines may end in a carriage return");
        assert_eq!(received("data: {\"cut"), ["{\"cut"]);
    }

    #[test]
    fn a_body_is_known_by_how_it_begins() {
        for events in ["data: {}", "\n\n: ping\n", "event: x", "\u{feff}data: 1"] {
            assert_eq!(is_event_stream(events.as_bytes()), Some(true), "{events}");
        }
        for other in ["{\"a\": \"data:\"}", "<html>", "[1]", "dat{"] {
            assert_eq!(is_event_stream(other.as_bytes()), Some(false), "{other}");
        }
        for unknown in ["", " \n", "da", "even"] {
            assert_eq!(is_event_stream(unknown.as_bytes()), None, "{unknown}");
        }
    }
}
