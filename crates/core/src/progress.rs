//! Live progress of a job, for users who watch. Losing it has no effect on the job.

use std::sync::Arc;

use async_trait::async_trait;
use patchwright_domain::JobId;
use patchwright_domain::job::stage::{StageKind, StageStatus};

/// A change in a job's progress.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ProgressEvent {
    /// A stage changed its status.
    Stage {
        /// The stage.
        stage: StageKind,
        /// The new status.
        status: StageStatus,
    },
    /// The activity within the current stage changed.
    Activity {
        /// The activity, as a phrase: `asking the model for a plan`.
        description: String,
    },
    /// The number of tokens used so far changed.
    Tokens {
        /// The sum of prompt and completion tokens.
        total: u64,
    },
}

/// Receives the progress of jobs.
pub trait ProgressSink: Send + Sync {
    /// Receives one event. MUST NOT block.
    fn publish(&self, job: JobId, event: ProgressEvent);
}

/// The level of a message in the log of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLevel {
    /// What the job does.
    Info,
    /// What ends the job without success.
    Error,
}

impl LogLevel {
    /// Returns the name in the log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "INFO",
            Self::Error => "ERROR",
        }
    }
}

/// Receives the log of a task.
#[async_trait]
pub trait LogSink: Send + Sync {
    /// Appends a message, with the time and its level. MUST NOT block; the message is dropped if the log is behind.
    fn write_message(&self, level: LogLevel, message: &str);

    /// Appends output of a program, and waits while the log is behind.
    async fn write(&self, output: &[u8]);
}

/// Reports the progress of one job. Cheap to clone.
#[derive(Clone)]
pub struct Progress {
    job: JobId,
    sink: Option<Arc<dyn ProgressSink>>,
    log: Option<Arc<dyn LogSink>>,
}

impl Progress {
    /// Creates a reporter that sends events to a sink.
    pub fn new(job: JobId, sink: Arc<dyn ProgressSink>) -> Self {
        Self { sink: Some(sink), ..Self::silent(job) }
    }

    /// Also appends stages and activities to a log.
    #[must_use]
    pub fn with_log(self, log: Arc<dyn LogSink>) -> Self {
        Self { log: Some(log), ..self }
    }

    /// Creates a reporter without a sink.
    pub const fn silent(job: JobId) -> Self {
        Self { job, sink: None, log: None }
    }

    /// Returns a reporter with the same sink and no log.
    #[must_use]
    pub fn without_log(&self) -> Self {
        Self { log: None, ..self.clone() }
    }

    /// Reports what the job does now, as a phrase: `asking the model for a plan`.
    pub fn set_activity(&self, description: impl Into<String>) {
        self.send(ProgressEvent::Activity { description: description.into() });
    }

    /// Appends a program's output to the log, and waits while the log is behind.
    pub async fn write_output(&self, output: &[u8]) {
        if let Some(log) = &self.log {
            log.write(output).await;
        }
    }

    /// Appends to the log why the job cannot go on.
    pub fn log_error(&self, reason: &str) {
        if let Some(log) = &self.log {
            log.write_message(LogLevel::Error, reason);
        }
    }

    /// Sends an event to the sink, and writes stages and activities to the log.
    pub fn send(&self, event: ProgressEvent) {
        if let Some(log) = &self.log {
            match &event {
                ProgressEvent::Stage { stage, status } => {
                    let level = if *status == StageStatus::Failed { LogLevel::Error } else { LogLevel::Info };
                    log.write_message(level, &format!("{stage}: {}", status.as_str()));
                }
                ProgressEvent::Activity { description } => log.write_message(LogLevel::Info, description),
                ProgressEvent::Tokens { .. } => {}
            }
        }
        if let Some(sink) = &self.sink {
            sink.publish(self.job, event);
        }
    }
}

impl std::fmt::Debug for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Progress({})", self.job)
    }
}
