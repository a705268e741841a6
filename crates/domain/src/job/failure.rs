//! Why a job failed, and which part of the world did.

use serde::{Deserialize, Serialize};

use super::stage::StageKind;

/// Why a job failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The stage; `None` before the first or between two.
    pub stage: Option<StageKind>,
    /// The error, with its subject. It is for the people who run the server: public texts have [`FailureOrigin`] only,
    /// unless that is [`FailureOrigin::Request`].
    pub reason: String,
    /// What the user can do about it.
    pub remedy: String,
    /// Which part failed.
    #[serde(default)]
    pub origin: FailureOrigin,
}

/// The part that failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FailureOrigin {
    /// What was asked for: the issue, the repository, the change, a permission or a budget. Its text is our own.
    #[default]
    Request,
    /// The machine that ran the job: its disk, memory or permissions.
    Machine,
    /// The forge or the tracker.
    Forge,
    /// The git server.
    Git,
    /// The model server.
    Model,
    /// This program: a bug, or a report that does not fit.
    Internal,
}

/// The classes of failures that operators tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureClass {
    /// What was asked for cannot be done.
    Request,
    /// The own machine failed.
    Local,
    /// Somebody else's server refused or failed.
    Remote,
    /// This program is wrong.
    Internal,
}

impl FailureOrigin {
    /// Returns the class.
    pub const fn class(self) -> FailureClass {
        match self {
            Self::Request => FailureClass::Request,
            Self::Machine => FailureClass::Local,
            Self::Forge | Self::Git | Self::Model => FailureClass::Remote,
            Self::Internal => FailureClass::Internal,
        }
    }

    /// Returns the name in JSON and in logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Machine => "machine",
            Self::Forge => "forge",
            Self::Git => "git",
            Self::Model => "model",
            Self::Internal => "internal",
        }
    }

    /// Returns the source of an error of a port: this machine, if that is what the text of its causes says. Libraries pass
    /// the operating system's errors on as text, with their numbers.
    #[must_use]
    pub fn refine(self, error_chain: &str) -> Self {
        // No space, quota, read-only file system, no memory, too many files, input/output error.
        const LOCAL: [&str; 7] = ["28", "122", "30", "12", "24", "23", "5"];
        let is_local = LOCAL.iter().any(|number| error_chain.contains(&format!("(os error {number})")));
        if is_local { Self::Machine } else { self }
    }
}

impl FailureClass {
    /// All classes, for counters that begin at zero.
    pub const ALL: [Self; 4] = [Self::Request, Self::Local, Self::Remote, Self::Internal];

    /// Returns the name in logs and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Local => "local",
            Self::Remote => "remote",
            Self::Internal => "internal",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_c6_a_full_disk_is_the_machines_fault_whoever_reported_it() {
        let text =
            "https://forge.example cannot be reached or fails (write failed: No space left on device (os error 28))";
        assert_eq!(FailureOrigin::Git.refine(text), FailureOrigin::Machine);
        assert_eq!(FailureOrigin::Internal.refine("Read-only file system (os error 30)").class(), FailureClass::Local);
        assert_eq!(FailureOrigin::Git.refine("connection refused (os error 111)"), FailureOrigin::Git);
    }
}
