//! The log: one subscriber for the process.

use std::io::Write;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::writer::BoxMakeWriter;

use crate::config::Config;

/// Starts logging to standard error. A second call changes nothing.
pub(crate) fn start(config: &Config, quiet: bool) {
    let level = if quiet { "error" } else { config.log_filter.as_str() };
    let filter = EnvFilter::try_new(level).unwrap_or_else(|_| EnvFilter::new("info"));
    let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let writer = BoxMakeWriter::new(|| OneLine(std::io::stderr()));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(colours).with_writer(writer);
    // An error means that a subscriber exists already, as in tests.
    let _ = if config.log_json {
        builder.json().flatten_event(true).with_current_span(true).try_init()
    } else {
        builder.with_target(false).try_init()
    };
}

/// Writes each event as one line. A text from outside, such as an issue's title, could otherwise forge an entry with a line
/// end, or steer the terminal of whoever reads the log.
struct OneLine<W>(W);

impl<W: Write> Write for OneLine<W> {
    fn write(&mut self, event: &[u8]) -> std::io::Result<usize> {
        self.0.write_all(&escape(event))?;
        Ok(event.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

/// Escapes the control characters of an event, but for colours and the line end behind it.
fn escape(event: &[u8]) -> Vec<u8> {
    let (body, end) = event.strip_suffix(b"\n").map_or((event, &b""[..]), |body| (body, &b"\n"[..]));
    let mut out = Vec::with_capacity(event.len());
    let mut rest = body;
    while let Some((byte, after)) = rest.split_first() {
        let colour = colour_length(rest);
        if colour > 0 {
            out.extend_from_slice(&rest[..colour]);
            rest = &rest[colour..];
            continue;
        }
        // The control characters U+0080 to U+009F, as UTF-8.
        if let (0xc2, Some((second @ 0x80..=0x9f, behind))) = (*byte, after.split_first()) {
            out.extend_from_slice(format!("\\x{second:02x}").as_bytes());
            rest = behind;
            continue;
        }
        match byte {
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            0..=8 | 11..=31 | 127 => out.extend_from_slice(format!("\\x{byte:02x}").as_bytes()),
            byte => out.push(*byte),
        }
        rest = after;
    }
    out.extend_from_slice(end);
    out
}

/// Returns the length of the sequence that sets a colour or style at the beginning of a text; 0 when there is none.
fn colour_length(text: &[u8]) -> usize {
    let Some(parameters) = text.strip_prefix(b"\x1b[") else { return 0 };
    let digits = parameters.iter().take_while(|byte| byte.is_ascii_digit() || **byte == b';').count();
    if parameters.get(digits) == Some(&b'm') { digits + 3 } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_a8_an_event_is_one_line_and_steers_no_terminal() {
        let mut written = Vec::new();
        let event = b"\x1b[32m INFO\x1b[0m title=\"x\n2026 INFO forged\x1b]0;owned\x07\r\"\n";
        assert_eq!(OneLine(&mut written).write(event).unwrap(), event.len());
        let expected = "\x1b[32m INFO\x1b[0m title=\"x\\n2026 INFO forged\\x1b]0;owned\\x07\\r\"\n";
        assert_eq!(String::from_utf8(written).unwrap(), expected);
    }
}
