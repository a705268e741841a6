//! What each stage leaves behind. Serialises with the names of `docs/requirements.md#r233`; what is ours comes beside them.

use serde::{Deserialize, Serialize, Serializer};

use super::stage::StageKind;
use crate::{CommitSha, RepoPath};

/// The report of one stage, in JSON as the bare report (`docs/requirements.md#r233`). It names no stage there, so that it
/// is read back as part of something that does, such as a [`super::stage::StageRecord`].
#[derive(Debug, Clone, PartialEq)]
pub enum StageReport {
    /// Of `locate`.
    Locate(LocateReport),
    /// Of `propose`.
    Propose(ProposeReport),
    /// Of `fix`.
    Fix(FixReport),
    /// Of `verify`.
    Verify(VerifyReport),
}

impl StageReport {
    /// The stage that the report belongs to.
    pub const fn kind(&self) -> StageKind {
        match self {
            Self::Locate(_) => StageKind::Locate,
            Self::Propose(_) => StageKind::Propose,
            Self::Fix(_) => StageKind::Fix,
            Self::Verify(_) => StageKind::Verify,
        }
    }
}

impl Serialize for StageReport {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Locate(report) => report.serialize(serializer),
            Self::Propose(report) => report.serialize(serializer),
            Self::Fix(report) => report.serialize(serializer),
            Self::Verify(report) => report.serialize(serializer),
        }
    }
}

/// Where the fault may be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LocateReport {
    /// The files, likeliest first.
    pub candidate_files: Vec<RepoPath>,
    /// How they were found.
    pub stage_data: LocateData,
    /// The same files with score and reasons.
    pub candidates: Vec<Candidate>,
}

/// How `locate` came to its answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LocateData {
    /// By the index, the model, or both.
    pub analysis_method: AnalysisMethod,
    /// How far the first file stands out.
    pub confidence_level: Level,
    /// How many files were looked at.
    pub files_analyzed: usize,
}

/// Who found the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AnalysisMethod {
    /// The model alone.
    #[serde(rename = "LLM")]
    Llm,
    /// The index alone.
    #[serde(rename = "heuristic")]
    Heuristic,
    /// The index, then the model among its best.
    #[serde(rename = "hybrid")]
    Hybrid,
}

/// Low, medium or high: of confidence and of risk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// low
    Low,
    /// medium
    Medium,
    /// high
    High,
}

/// One file that may be at fault.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// The file.
    pub path: RepoPath,
    /// Higher is likelier; comparable within one report only.
    pub score: f64,
    /// Why, in words for people.
    pub reasons: Vec<String>,
    /// What of the file is likeliest meant, likeliest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub symbols: Vec<CandidateSymbol>,
}

/// A definition in a file that may be at fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CandidateSymbol {
    /// Its name with those around it, `Class.method`.
    pub name: String,
    /// `function`, `class` and the like.
    pub kind: String,
    /// The lines that it stands in, from 1, both inclusive.
    pub lines: (u32, u32),
}

/// How the fault is to be mended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProposeReport {
    /// The files that the plan changes.
    pub target_files: Vec<RepoPath>,
    /// The plan in three words.
    pub stage_data: ProposeData,
    /// The plan.
    pub plan: Plan,
}

/// The plan in three words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProposeData {
    /// One line.
    pub fix_strategy: String,
    /// How many changes it lists.
    pub changes_count: usize,
    /// What it may break.
    pub risk_level: Level,
}

/// A fix, before it is written (`docs/requirements.md#r281`, `generate_fix_plan`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// Why it goes wrong.
    pub root_cause: String,
    /// What to do about it.
    pub fix_strategy: String,
    /// What to change, file by file.
    pub changes: Vec<PlannedChange>,
    /// What may break.
    pub risks: Vec<String>,
    /// How to test it.
    pub testing_suggestions: Vec<String>,
}

/// One change of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedChange {
    /// The file; it need not exist yet.
    pub file: RepoPath,
    /// What to do there.
    pub description: String,
}

/// What was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FixReport {
    /// The files that were changed.
    pub changes_applied: Vec<RepoPath>,
    /// The same with how.
    pub changed_files: Vec<ChangedFile>,
    /// The commit that holds the change.
    pub commit: CommitSha,
    /// The commit that it stands on.
    pub base: CommitSha,
    /// The changed files as they are now: enough to make the same commit again in a fresh workspace.
    pub contents: Vec<FileContent>,
    /// The change as a unified diff, for people.
    pub diff: String,
    /// Which try this is, from 1; more when verify sent the fix back.
    pub round: u32,
}

/// One changed file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangedFile {
    /// Added, modified or deleted.
    pub status: ChangeStatus,
    /// The file.
    pub file: RepoPath,
}

/// How a file changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChangeStatus {
    /// A: it is new.
    #[serde(rename = "A")]
    Added,
    /// M: it was there.
    #[serde(rename = "M")]
    Modified,
    /// D: it is gone.
    #[serde(rename = "D")]
    Deleted,
}

impl ChangeStatus {
    /// The letter of the contract.
    pub const fn letter(self) -> char {
        match self {
            Self::Added => 'A',
            Self::Modified => 'M',
            Self::Deleted => 'D',
        }
    }
}

/// A file's new content; `None` when it was deleted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileContent {
    /// The file.
    pub path: RepoPath,
    /// Its whole text.
    pub text: Option<String>,
}

/// What the tests showed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VerifyReport {
    /// Whether the changed tree builds.
    pub build_success: bool,
    /// The tests after the change.
    pub test_results: TestResults,
    /// The tests before the change, when they ran.
    pub before: Option<TestResults>,
    /// What follows from both.
    pub verdict: Verdict,
    /// Why, in one sentence for people.
    pub explanation: String,
    /// Tests that failed before and pass now.
    pub fixed_tests: Vec<String>,
    /// Tests that passed before and fail now.
    pub broken_tests: Vec<String>,
    /// The command that ran the tests, when one ran.
    pub command: Option<String>,
    /// How far the run was kept away from this machine: `none`, `best-effort`, …
    pub isolation: String,
    /// The end of the output, secrets masked.
    pub log_tail: String,
}

/// Counts of one test run (`docs/requirements.md#r245`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestResults {
    /// Passed.
    pub passed: u32,
    /// Failed, errors included.
    pub failed: u32,
    /// Skipped.
    pub skipped: u32,
    /// Line coverage such as `78%`, when the run measured it.
    pub coverage: Option<String>,
    /// All of them.
    pub total: u32,
}

/// What may be said of a fix: only what the tests showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// A test failed before, passes now, and nothing else broke.
    FixedProven,
    /// Nothing broke, but no test failed before either.
    Unproven,
    /// Tests that passed before fail now.
    Regressions,
    /// Tests that should pass now still fail.
    StillFailing,
    /// The changed tree does not build.
    CouldNotBuild,
    /// The repository has no tests that we can run.
    NoTests,
    /// The tests were not run.
    NotRun,
    /// Nothing was changed: files were ranked only.
    AnalysisOnly,
}

impl Verdict {
    /// The name in JSON and in logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FixedProven => "fixed_proven",
            Self::Unproven => "unproven",
            Self::Regressions => "regressions",
            Self::StillFailing => "still_failing",
            Self::CouldNotBuild => "could_not_build",
            Self::NoTests => "no_tests",
            Self::NotRun => "not_run",
            Self::AnalysisOnly => "analysis_only",
        }
    }

    /// Whether the change is known to do harm. It is made again; if that does not help, the job has failed, whatever it
    /// wrote. A test that failed before and still does is not held against the change.
    pub const fn is_harmful(self) -> bool {
        matches!(self, Self::Regressions | Self::CouldNotBuild)
    }
}
