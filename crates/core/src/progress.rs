//! What a job is doing right now, for people who watch. Nothing depends on it.

use std::sync::Arc;

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

/// One job's line to whoever listens.
#[derive(Clone)]
pub struct Progress {
    job: JobId,
    sink: Option<Arc<dyn ProgressSink>>,
}

impl Progress {
    /// A line to a listener.
    pub fn new(job: JobId, sink: Arc<dyn ProgressSink>) -> Self {
        Self { job, sink: Some(sink) }
    }

    /// A line that nobody listens to.
    pub const fn silent(job: JobId) -> Self {
        Self { job, sink: None }
    }

    /// Says what goes on.
    pub fn doing(&self, what: impl Into<String>) {
        self.send(ProgressEvent::Doing { what: what.into() });
    }

    /// Sends any event.
    pub fn send(&self, event: ProgressEvent) {
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
