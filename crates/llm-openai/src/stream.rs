//! Server-sent events: bytes in, data lines out. Pieces may be cut anywhere, inside a character too.

/// Collects bytes and hands out the data of whole events.
#[derive(Debug, Default)]
pub(crate) struct EventStream {
    buffer: Vec<u8>,
}

impl EventStream {
    /// Takes bytes in and returns the data of every line that they complete.
    ///
    /// Chat completions send one `data:` line an event, so a line is an event; comments and other fields are passed
    /// over.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        self.buffer.extend_from_slice(bytes);
        let Some(end) = self.buffer.iter().rposition(|byte| *byte == b'\n') else { return Vec::new() };
        let whole: Vec<u8> = self.buffer.drain(..=end).collect();
        whole.split(|byte| *byte == b'\n').filter_map(data_of).collect()
    }

    /// What is left when the connection ends: a last line without its end.
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
    fn events_survive_any_cut() {
        let text = ": hello\r\ndata: {\"a\":\"é\"}\r\n\r\nevent: x\ndata:[DONE]\n\n".as_bytes();
        for cut in 0..=text.len() {
            let mut stream = EventStream::default();
            let mut seen = stream.push(&text[..cut]);
            seen.extend(stream.push(&text[cut..]));
            seen.extend(stream.finish());
            assert_eq!(seen, ["{\"a\":\"é\"}", "[DONE]"], "cut at {cut}");
        }
    }
}
