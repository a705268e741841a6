//! A task's log on its way to the desk: in order, in pieces of whole lines, with secrets masked, and never more of it
//! waiting than a little.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use patchwright_core::Redactor;
use patchwright_core::desk::{Desk, DeskError};
use patchwright_core::progress::LogSink;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout_at};

/// How many pieces wait before whoever writes has to.
const WAITING: usize = 64;
/// A piece is sent when it has grown so large, in bytes, or so old.
const PIECE: usize = 32 * 1024;
const PERIOD: Duration = Duration::from_secs(1);
/// The longest line that is held back for its end; a secret is shorter.
const LINE: usize = 16 * 1024;
/// Between two tries while the desk cannot be reached.
const PAUSE: Duration = Duration::from_secs(2);

/// Where the worker writes.
pub(crate) struct Diary(mpsc::Sender<Vec<u8>>);

/// What is on its way.
pub(crate) struct Pages(mpsc::Receiver<Vec<u8>>);

/// Begins a log.
pub(crate) fn open() -> (Arc<dyn LogSink>, Pages) {
    let (sender, receiver) = mpsc::channel(WAITING);
    (Arc::new(Diary(sender)), Pages(receiver))
}

#[async_trait]
impl LogSink for Diary {
    fn note(&self, line: &str) {
        let _ = self.0.try_send(format!("{line}\n").into_bytes());
    }

    async fn write(&self, output: &[u8]) {
        let _ = self.0.send(output.to_vec()).await;
    }
}

impl Pages {
    /// Sends what is written until the last writer has gone.
    pub(crate) async fn ship(mut self, desk: &dyn Desk, redactor: &Redactor) {
        let mut number = 0;
        let mut held = Vec::new();
        let mut open = true;
        while open {
            open = self.gather(&mut held).await;
            let end = if open { last_line_end(&held) } else { held.len() };
            let piece: Vec<u8> = held.drain(..end).collect();
            if piece.is_empty() {
                continue;
            }
            let text = redactor.redact(&String::from_utf8_lossy(&piece));
            if !send(desk, number, &text).await {
                return;
            }
            number += 1;
        }
    }

    /// Waits for something and for a little more; `false` when nothing more comes.
    async fn gather(&mut self, held: &mut Vec<u8>) -> bool {
        let Some(first) = self.0.recv().await else { return false };
        held.extend(first);
        let until = Instant::now() + PERIOD;
        while held.len() < PIECE {
            match timeout_at(until, self.0.recv()).await {
                Ok(Some(more)) => held.extend(more),
                Ok(None) => return false,
                Err(_) => return true,
            }
        }
        true
    }
}

/// Where the last whole line ends. A line without an end is not waited for for ever.
fn last_line_end(held: &[u8]) -> usize {
    match held.iter().rposition(|byte| *byte == b'\n') {
        Some(at) => at + 1,
        None if held.len() > LINE => held.len(),
        None => 0,
    }
}

/// Sends a piece as often as it takes; `false` when nobody wants it any more.
async fn send(desk: &dyn Desk, number: u64, text: &str) -> bool {
    loop {
        match desk.log(number, text.to_owned()).await {
            Ok(()) => return true,
            Err(DeskError::Unavailable { .. }) => sleep(PAUSE).await,
            Err(DeskError::Gone | DeskError::Refused(_)) => return false,
        }
    }
}
