//! The one error of every state machine.

/// A state machine does not allow this event in this state. Maps to HTTP 409.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{subject} that is {from} cannot {event}")]
pub struct Refused {
    /// What the machine describes, with its article: `an issue`, `a task`, `a job`, `a stage`.
    pub subject: &'static str,
    /// The state that it is in.
    pub from: &'static str,
    /// The event that was refused, as a verb phrase.
    pub event: &'static str,
}
