//! What this process logs. All tests of a process share it, because a process has one subscriber.

use std::collections::BTreeSet;
use std::io::Write;
use std::sync::{Arc, Mutex, OnceLock};

use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// The log of this process: all of this product, and the warnings of its libraries.
#[derive(Clone, Default)]
pub(crate) struct ProcessLog(Arc<Mutex<Vec<u8>>>);

impl Write for ProcessLog {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl ProcessLog {
    /// Starts recording, unless another test has.
    pub(crate) fn start() -> Self {
        static LOG: OnceLock<ProcessLog> = OnceLock::new();
        let start = || {
            let log = Self::default();
            let writer = log.clone();
            let filter = tracing_subscriber::filter::Targets::new()
                .with_default(tracing::Level::WARN)
                .with_target("patchwright", tracing::Level::TRACE);
            let layer = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(move || writer.clone());
            tracing_subscriber::registry().with(filter).with(layer).init();
            log
        };
        LOG.get_or_init(start).clone()
    }

    /// Returns what was logged until now.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }

    /// Returns the levels of the lines with a text.
    pub(crate) fn levels(&self, of: &str) -> BTreeSet<String> {
        let text = self.text();
        let lines = text.lines().filter(|line| line.contains(of));
        lines.filter_map(|line| line.split_whitespace().nth(1)).map(str::to_owned).collect()
    }
}
