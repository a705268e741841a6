//! Server-sent events: bytes in, data out. Chunks may be split anywhere, even within a character.

/// Buffers bytes and returns the data of complete events.
#[derive(Debug, Default)]
pub(crate) struct EventStream {
    buffer: Vec<u8>,
}

impl EventStream {
    /// Adds bytes and returns the data of every line that they complete.
    ///
    /// Chat completions have one `data:` line an event, so a line is an event. Comments and other fields are skipped.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        self.buffer.extend_from_slice(bytes);
        let Some(end) = self.buffer.iter().rposition(|byte| *byte == b'\n') else { return Vec::new() };
        let complete: Vec<u8> = self.buffer.drain(..=end).collect();
        complete.split(|byte| *byte == b'\n').filter_map(data_of).collect()
    }

    /// Returns the data of a last line without a line break.
    pub(crate) fn finish(self) -> Option<String> {
        data_of(&self.buffer)
    }
}

fn data_of(line: &[u8]) -> Option<String> {
    let data = line.strip_suffix(b"\r").unwrap_or(line).strip_prefix(b"data:")?;
    let data = data.strip_prefix(b" ").unwrap_or(data);
    Some(String::from_utf8_lossy(data).into_owned())
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
}
