//! Sends a task's log to its session: in order, in chunks of whole lines, with secrets masked, and with a bounded buffer.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use patchwright_core::Redactor;
use patchwright_core::progress::{LogLevel, LogSink};
use patchwright_core::task_session::{TaskSession, TaskSessionError};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout_at};

/// How many writes are buffered before a writer has to wait.
const BUFFERED_WRITES: usize = 64;
/// A chunk is sent when it has this many bytes, or when its first byte is this old.
const CHUNK_BYTES: usize = 32 * 1024;
const FLUSH_INTERVAL: Duration = Duration::from_secs(1);
/// The longest line, in bytes, that is held back until it is complete. No secret is longer, so none is cut in two.
const MAX_LINE_BYTES: usize = 16 * 1024;
/// The wait between two attempts while the server cannot be reached.
const RETRY_INTERVAL: Duration = Duration::from_secs(2);

/// The writing end, for the worker.
struct LogWriter(mpsc::Sender<Vec<u8>>);

/// The reading end, which sends the log.
pub(crate) struct LogShipper(mpsc::Receiver<Vec<u8>>);

/// Opens a log.
pub(crate) fn channel() -> (Arc<dyn LogSink>, LogShipper) {
    let (sender, receiver) = mpsc::channel(BUFFERED_WRITES);
    (Arc::new(LogWriter(sender)), LogShipper(receiver))
}

#[async_trait]
impl LogSink for LogWriter {
    fn write_message(&self, level: LogLevel, message: &str) {
        let (now, level) = (Timestamp::now(), level.as_str());
        let lines: String = message.lines().map(|line| format!("{now:.0} {level} {line}\n")).collect();
        let _ = self.0.try_send(lines.into_bytes());
    }

    async fn write(&self, output: &[u8]) {
        let _ = self.0.send(output.to_vec()).await;
    }
}

impl LogShipper {
    /// Sends the log until the last writer is dropped.
    pub(crate) async fn run(mut self, session: &dyn TaskSession, redactor: &Redactor) {
        let mut number = 0;
        let mut buffer = Vec::new();
        let mut open = true;
        while open {
            open = self.fill(&mut buffer).await;
            let end = if open { last_line_end(&buffer) } else { buffer.len() };
            let chunk: Vec<u8> = buffer.drain(..end).collect();
            if chunk.is_empty() {
                continue;
            }
            let text = redactor.redact(&String::from_utf8_lossy(&chunk));
            if !send(session, number, &text).await {
                return;
            }
            number += 1;
        }
    }

    /// Waits for output and collects what follows within the flush interval; returns `false` if the log is closed.
    async fn fill(&mut self, buffer: &mut Vec<u8>) -> bool {
        let Some(first) = self.0.recv().await else { return false };
        buffer.extend(first);
        let until = Instant::now() + FLUSH_INTERVAL;
        while buffer.len() < CHUNK_BYTES {
            match timeout_at(until, self.0.recv()).await {
                Ok(Some(more)) => buffer.extend(more),
                Ok(None) => return false,
                Err(_) => return true,
            }
        }
        true
    }
}

/// Returns where the last complete line ends. An overlong line counts as complete.
fn last_line_end(buffer: &[u8]) -> usize {
    match buffer.iter().rposition(|byte| *byte == b'\n') {
        Some(at) => at + 1,
        None if buffer.len() > MAX_LINE_BYTES => buffer.len(),
        None => 0,
    }
}

/// Sends a chunk, retrying until it is accepted; returns `false` if the session refuses it.
async fn send(session: &dyn TaskSession, number: u64, text: &str) -> bool {
    loop {
        match session.append_log(number, text.to_owned()).await {
            Ok(()) => return true,
            Err(TaskSessionError::Unavailable { .. }) => sleep(RETRY_INTERVAL).await,
            Err(TaskSessionError::LeaseLost | TaskSessionError::Refused(_)) => return false,
        }
    }
}
