//! A thread that processes waiting requests in batches, so that one synced commit serves many callers.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use patchwright_core::store::StoreError;

/// The most requests in one commit.
const MAX_BATCH: usize = 64;

/// How writes are grouped into commits.
#[derive(Debug, Clone, Copy)]
pub struct GroupCommit {
    /// The most writes that may wait; further ones are refused with [`StoreError::Unavailable`].
    pub capacity: usize,
    /// While several writers are active, how long the first write of a batch waits for others. A single writer never
    /// waits.
    pub wait: Duration,
}

impl Default for GroupCommit {
    fn default() -> Self {
        Self { capacity: 1024, wait: Duration::ZERO }
    }
}

/// The sending half, for callers.
pub(crate) struct Queue<T> {
    sender: SyncSender<T>,
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Self { sender: self.sender.clone() }
    }
}

impl<T: Send + 'static> Queue<T> {
    /// Starts a thread that passes each batch to `work` until the last sending half is dropped.
    pub(crate) fn start(
        name: &str,
        group: GroupCommit,
        mut work: impl FnMut(Vec<T>) + Send + 'static,
    ) -> std::io::Result<Self> {
        let (sender, receiver) = sync_channel(group.capacity);
        std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            let mut last = 1;
            while let Some(batch) = gather(&receiver, group.wait, last) {
                last = batch.len();
                tracing::debug!(batch.size = last, "writing a batch");
                work(batch);
            }
        })?;
        Ok(Self { sender })
    }

    /// Adds a request without waiting. A full queue refuses it, so that memory does not grow.
    pub(crate) fn push(&self, item: T) -> Result<(), StoreError> {
        self.sender.try_send(item).map_err(|refused| StoreError::Unavailable {
            source: match refused {
                TrySendError::Full(_) => "too many writes wait already".into(),
                TrySendError::Disconnected(_) => "the writer has ended".into(),
            },
        })
    }
}

/// Returns the next batch: what waits now and, if the last batch had several requests, what arrives within `wait`.
fn gather<T>(receiver: &Receiver<T>, wait: Duration, last: usize) -> Option<Vec<T>> {
    let mut batch = vec![receiver.recv().ok()?];
    let until = Instant::now() + wait;
    while batch.len() < MAX_BATCH {
        if let Ok(next) = receiver.try_recv() {
            batch.push(next);
            continue;
        }
        if wait.is_zero() || batch.len() >= last {
            break;
        }
        match receiver.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok(next) => batch.push(next),
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
        }
    }
    Some(batch)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_writes_share_a_batch_and_a_single_write_does_not_wait() {
        let (sender, receiver) = sync_channel(100);
        let wait = Duration::from_secs(3600);
        sender.send(0).unwrap();
        assert_eq!(gather(&receiver, wait, 1).unwrap(), [0], "there was no other writer, so there is no wait");
        (1..=80).for_each(|n| sender.send(n).unwrap());
        assert_eq!(gather(&receiver, wait, 1).unwrap().len(), MAX_BATCH);
        assert_eq!(gather(&receiver, Duration::ZERO, 64).unwrap().len(), 80 - MAX_BATCH);
        drop(sender);
        assert!(gather(&receiver, wait, 1).is_none());
    }

    #[test]
    fn a_full_queue_refuses_further_writes() {
        let (release, stop) = sync_channel::<()>(0);
        let group = GroupCommit { capacity: 2, ..GroupCommit::default() };
        let (begin, has_begun) = sync_channel::<()>(1);
        let queue = Queue::start("test", group, move |_: Vec<u32>| {
            let _ = begin.try_send(());
            let _ = stop.recv();
        })
        .unwrap();
        queue.push(0).unwrap();
        // From here on the thread takes nothing out of the queue.
        has_begun.recv().unwrap();
        let refused = (0..100).filter(|n| queue.push(*n).is_err()).count();
        assert_eq!(refused, 98);
        drop(release);
    }
}
