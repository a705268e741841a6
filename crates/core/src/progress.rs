//! What a job is doing right now, for people who watch. Nothing depends on it.

use std::sync::Arc;

use async_trait::async_trait;
use patchwright_domain::JobId;
use patchwright_domain::job::stage::{StageKind, StageStatus};

/// One thing that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum ProgressEvent {
    /// A stage changed its state.
    Stage {
        /// Which.
        stage: StageKind,
        /// To what.
        status: StageStatus,
    },
    /// Something goes on within a stage.
    Doing {
        /// What, as a phrase: `asking the model for a plan`.
        what: String,
    },
    /// Tokens spent so far.
    Tokens {
        /// In both directions.
        total: u64,
    },
}

/// Hears what jobs do. MUST return at once.
pub trait ProgressSink: Send + Sync {
    /// Takes one event.
    fn notice(&self, job: JobId, event: ProgressEvent);
}

/// Where a task's log is written.
#[async_trait]
pub trait LogSink: Send + Sync {
    /// Takes a line. MUST return at once; a line may be lost where too much comes.
    fn note(&self, line: &str);

    /// Takes output as it comes, and waits while whoever reads it is behind.
    async fn write(&self, output: &[u8]);
}

/// One job's line to whoever listens.
#[derive(Clone)]
pub struct Progress {
    job: JobId,
    sink: Option<Arc<dyn ProgressSink>>,
    log: Option<Arc<dyn LogSink>>,
}

impl Progress {
    /// A line to a listener.
    pub fn new(job: JobId, sink: Arc<dyn ProgressSink>) -> Self {
        Self { sink: Some(sink), ..Self::silent(job) }
    }

    /// The same, written down too.
    #[must_use]
    pub fn with_log(self, log: Arc<dyn LogSink>) -> Self {
        Self { log: Some(log), ..self }
    }

    /// A line that nobody listens to.
    pub const fn silent(job: JobId) -> Self {
        Self { job, sink: None, log: None }
    }

    /// The same without the log.
    #[must_use]
    pub fn quietly(&self) -> Self {
        Self { log: None, ..self.clone() }
    }

    /// Says what goes on.
    pub fn doing(&self, what: impl Into<String>) {
        self.send(ProgressEvent::Doing { what: what.into() });
    }

    /// Passes on what a program writes, and waits while whoever reads it is behind.
    pub async fn output(&self, output: &[u8]) {
        if let Some(log) = &self.log {
            log.write(output).await;
        }
    }

    /// Sends any event.
    pub fn send(&self, event: ProgressEvent) {
        if let Some(log) = &self.log {
            match &event {
                ProgressEvent::Stage { stage, status } => log.note(&format!("== {stage}: {}", status.as_str())),
                ProgressEvent::Doing { what } => log.note(&format!("-- {what}")),
                ProgressEvent::Tokens { .. } => {}
            }
        }
        if let Some(sink) = &self.sink {
            sink.notice(self.job, event);
        }
    }
}

impl std::fmt::Debug for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Progress({})", self.job)
    }
}
