//! The error of all state machines.

/// A state machine refused an event. Maps to HTTP 409.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refused {
    /// The event has the epoch of an earlier lease: its sender has lost the lease, and its reports are not accepted any
    /// more.
    #[error("the job is leased to another worker (epoch {current}), and the report carries epoch {epoch}")]
    Stale {
        /// The event's epoch.
        epoch: u64,
        /// The epoch of the job's current lease.
        current: u64,
    },
    /// The state does not allow the event.
    #[error("{subject} that is {from} cannot {event}")]
    State {
        /// The subject of the state machine, with its article: `an issue`, `a task`, `a job`, `a stage`.
        subject: &'static str,
        /// The current state.
        from: &'static str,
        /// The event, as a verb phrase.
        event: &'static str,
    },
    /// The state allows the event, but a condition of the event does not hold. The text is a whole clause.
    #[error("{0}")]
    Guard(&'static str),
}
