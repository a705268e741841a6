//! What the forge's own continuous integration (CI) says about the commit of a job: a second witness, which is read only.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::CommitSha;

/// How many checks of one commit are kept.
pub const MAX_CI_CHECKS: usize = 100;

/// The outcome of one check, from the best to the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CiOutcome {
    /// It was skipped, or says that it neither passed nor failed.
    Neutral,
    /// It passed.
    Passed,
    /// It has not ended.
    Pending,
    /// It failed, was cancelled, or ran out of time.
    Failed,
}

impl CiOutcome {
    /// Returns the name in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Neutral => "neutral",
        }
    }
}

/// One check of a commit: a check run or a status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CiCheck {
    /// Its name. Several of one name, such as jobs of two workflows, count as one with the worst outcome.
    pub name: String,
    /// Its outcome at the commit.
    pub outcome: CiOutcome,
    /// Its outcome before the change; `None` if it did not run there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<CiOutcome>,
    /// The page of the check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The forge's id of a check run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<u64>,
}

impl CiCheck {
    /// Returns whether it fails, and did not before the change.
    pub fn is_new_failure(&self) -> bool {
        self.outcome == CiOutcome::Failed && self.before != Some(CiOutcome::Failed)
    }
}

/// What all checks together say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CiState {
    /// The repository has no checks, as far as is known.
    Absent,
    /// Some have not ended.
    Running,
    /// Some had not ended when they were read for the last time.
    Unfinished,
    /// At least one passed, and none fails that did not before.
    Passed,
    /// At least one fails that did not before.
    Failed,
}

impl CiState {
    /// Returns the name in JSON.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::Running => "running",
            Self::Unfinished => "unfinished",
            Self::Passed => "passed",
            Self::Failed => "failed",
        }
    }
}

/// What the forge's CI says about a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CiReport {
    /// The commit.
    pub commit: CommitSha,
    /// Its checks, by name; [`MAX_CI_CHECKS`] at most, the worst ones of more.
    pub checks: Vec<CiCheck>,
    /// Whether it is not read again.
    pub is_final: bool,
}

impl CiReport {
    /// Creates the report from the checks of the commit and of the one before the change.
    pub fn new(commit: CommitSha, checks: Vec<CiCheck>, before: Vec<CiCheck>) -> Self {
        let before = by_name(before);
        let before_of = |name: &str| before.get(name).map(|known| known.outcome);
        let checks = by_name(checks).into_values();
        let mut checks: Vec<_> = checks.map(|check| CiCheck { before: before_of(&check.name), ..check }).collect();
        if checks.len() > MAX_CI_CHECKS {
            // What all say together must not depend on which ones are kept.
            checks.sort_by_key(|check| Reverse((check.is_new_failure(), check.outcome)));
            checks.truncate(MAX_CI_CHECKS);
            checks.sort_by(|one, other| one.name.cmp(&other.name));
        }
        Self { commit, checks, is_final: false }
    }

    /// Returns what all checks together say.
    pub fn state(&self) -> CiState {
        let has = |outcome: CiOutcome| self.checks.iter().any(|check| check.outcome == outcome);
        if has(CiOutcome::Pending) {
            return if self.is_final { CiState::Unfinished } else { CiState::Running };
        }
        if self.new_failures().next().is_some() {
            CiState::Failed
        } else if has(CiOutcome::Passed) {
            CiState::Passed
        } else {
            CiState::Absent
        }
    }

    /// Returns the checks that fail, and did not before the change.
    pub fn new_failures(&self) -> impl Iterator<Item = &CiCheck> {
        self.checks.iter().filter(|check| check.is_new_failure())
    }
}

fn by_name(checks: Vec<CiCheck>) -> BTreeMap<String, CiCheck> {
    let mut named: BTreeMap<String, CiCheck> = BTreeMap::new();
    for check in checks {
        match named.get(&check.name) {
            Some(known) if known.outcome >= check.outcome => {}
            _ => {
                named.insert(check.name.clone(), check);
            }
        }
    }
    named
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, outcome: CiOutcome) -> CiCheck {
        CiCheck { name: name.to_owned(), outcome, before: None, url: None, id: None }
    }

    fn report(checks: &[(&str, CiOutcome)], before: &[(&str, CiOutcome)]) -> CiReport {
        let all = |checks: &[(&str, CiOutcome)]| checks.iter().map(|(name, outcome)| check(name, *outcome)).collect();
        CiReport::new(CommitSha::parse(&"1".repeat(40)).unwrap(), all(checks), all(before))
    }

    #[test]
    fn what_failed_before_the_change_is_not_held_against_it() {
        use CiOutcome::{Failed, Neutral, Passed, Pending};
        assert_eq!(report(&[("a", Passed), ("b", Failed)], &[("b", Failed)]).state(), CiState::Passed);
        let new = report(&[("b", Failed), ("a", Failed)], &[("b", Failed), ("a", Passed)]);
        assert_eq!(new.state(), CiState::Failed);
        assert_eq!(new.new_failures().map(|check| check.name.as_str()).collect::<Vec<_>>(), ["a"]);
        assert_eq!(report(&[("a", Failed)], &[]).state(), CiState::Failed, "one that did not run before");
        assert_eq!(report(&[("a", Failed), ("b", Pending)], &[]).state(), CiState::Running);
        let twice = report(&[("test", Passed), ("test", Failed), ("test", Neutral)], &[]);
        assert_eq!((twice.checks.len(), twice.state()), (1, CiState::Failed), "jobs of one name in two workflows");
        let left = CiReport { is_final: true, ..report(&[("a", Passed), ("b", Pending)], &[]) };
        assert_eq!(left.state(), CiState::Unfinished);
        assert_eq!(report(&[], &[("a", Passed)]).state(), CiState::Absent);
        assert_eq!(report(&[("a", Neutral)], &[]).state(), CiState::Absent, "nothing was tested");
    }

    #[test]
    fn of_many_checks_the_worst_are_kept() {
        let names: Vec<String> = (0..300).map(|number| format!("{number:03}")).collect();
        let mut checks: Vec<_> = names.iter().map(|name| (name.as_str(), CiOutcome::Passed)).collect();
        checks[250].1 = CiOutcome::Failed;
        let report = report(&checks, &[]);
        assert_eq!((report.state(), report.checks.len()), (CiState::Failed, MAX_CI_CHECKS));
        assert!(report.checks.is_sorted_by_key(|check| check.name.clone()));
    }
}
