//! The reports of the stages. They serialize with the field names of `docs/requirements.md#r233`, plus additional
//! fields.

use serde::{Deserialize, Serialize, Serializer};

use super::stage::StageKind;
use crate::node::Needs;
use crate::{CommitSha, RepoPath};

/// The report of one stage, in JSON as the bare report (`docs/requirements.md#r233`). It names no stage there, so that it
/// is read back as part of something that does, such as a [`super::stage::StageRecord`].
#[derive(Debug, Clone, PartialEq)]
pub enum StageReport {
    /// The report of `locate`.
    Locate(LocateReport),
    /// The report of `propose`.
    Propose(ProposeReport),
    /// The report of `fix`.
    Fix(FixReport),
    /// The report of `verify`.
    Verify(Box<VerifyReport>),
}

impl StageReport {
    /// Returns the stage that the report belongs to.
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

/// The likely locations of the fault.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LocateReport {
    /// The files, most likely first.
    pub candidate_files: Vec<RepoPath>,
    /// How they were found.
    pub stage_data: LocateData,
    /// The same files with scores and reasons.
    pub candidates: Vec<Candidate>,
}

/// How `locate` found the files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LocateData {
    /// Whether the index, the model or both ranked the files.
    pub analysis_method: AnalysisMethod,
    /// How much the first file stands out from the others.
    pub confidence_level: Level,
    /// How many files were ranked.
    pub files_analyzed: usize,
    /// How many commits of the history were there, from the newest one; absent if it was all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history_depth: Option<u32>,
}

/// The method of the ranking.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AnalysisMethod {
    /// The model alone.
    #[serde(rename = "LLM")]
    Llm,
    /// The index alone.
    #[serde(rename = "heuristic")]
    Heuristic,
    /// The index, then the model among the index's best.
    #[serde(rename = "hybrid")]
    Hybrid,
}

/// A level of confidence or risk.
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

/// One file that may contain the fault.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// The file.
    pub path: RepoPath,
    /// The score; higher is more likely, comparable within one report only.
    pub score: f64,
    /// The reasons, for display.
    pub reasons: Vec<String>,
    /// The definitions in the file, most likely first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub symbols: Vec<CandidateSymbol>,
}

/// A definition in a candidate file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CandidateSymbol {
    /// The qualified name, `Class.method`.
    pub name: String,
    /// The kind, such as `function` or `class`.
    pub kind: String,
    /// Its range of lines, from 1, both inclusive.
    pub lines: (u32, u32),
}

/// The plan of the change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProposeReport {
    /// The files that the plan changes.
    pub target_files: Vec<RepoPath>,
    /// A short overview of the plan.
    pub stage_data: ProposeData,
    /// The plan.
    pub plan: Plan,
}

/// A short overview of the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProposeData {
    /// The summary, one line.
    pub fix_strategy: String,
    /// How many changes it lists.
    pub changes_count: usize,
    /// The risk of breaking something.
    pub risk_level: Level,
}

/// A fix, before it is written (`docs/requirements.md#r281`, `generate_fix_plan`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// The root cause.
    pub root_cause: String,
    /// The approach.
    pub fix_strategy: String,
    /// The changes, by file.
    pub changes: Vec<PlannedChange>,
    /// The tests that show the fault, by file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tests: Vec<PlannedTest>,
    /// The risks.
    pub risks: Vec<String>,
    /// How to test it.
    pub testing_suggestions: Vec<String>,
}

/// One change of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedChange {
    /// The file; it need not exist yet.
    pub file: RepoPath,
    /// The definitions to change, `Class.method`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub symbols: Vec<String>,
    /// What to change there.
    pub description: String,
}

/// One test of a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedTest {
    /// The file; it need not exist yet.
    pub file: RepoPath,
    /// What it shows.
    pub what: String,
}

/// The applied change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FixReport {
    /// The changed files.
    pub changes_applied: Vec<RepoPath>,
    /// The same files with the kind of change.
    pub changed_files: Vec<ChangedFile>,
    /// The commit with the change.
    pub commit: CommitSha,
    /// The parent commit.
    pub base: CommitSha,
    /// The contents of the changed files, from which the same commit can be created again in a new workspace.
    pub contents: Vec<FileContent>,
    /// The change as a unified diff, for display.
    pub diff: String,
    /// The number of the attempt, from 1; incremented when the verification fails.
    pub round: u32,
    /// If a third-party node made the commit, the requirements of the job on that node: the commit is fetched to be tested,
    /// and never made again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fetched_for: Option<Needs>,
    /// What a second reader says about the change, if one was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<Review>,
    /// A script that showed the fault before the change was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reproduction: Option<Reproduction>,
    /// The form that the repository wants of the change.
    #[serde(default, skip_serializing_if = "ChangeForm::is_plain")]
    pub form: ChangeForm,
}

/// The form that a repository wants of changes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ChangeForm {
    /// Whether commits follow <https://www.conventionalcommits.org>.
    pub is_conventional: bool,
    /// The template of its pull requests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
}

impl ChangeForm {
    /// Returns whether it wants nothing.
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }
}

/// A script that ends with an error as long as a fault is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reproduction {
    /// The language, as the model names it; it may be empty.
    pub language: String,
    /// The source text, as it is given to the interpreter.
    pub script: String,
}

/// What a second reader says, who sees the issue and the change only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Review {
    /// The model.
    pub model: String,
    /// The problems that it sees.
    pub problems: Vec<ReviewProblem>,
    /// Whether problems that block the change went back to the model that made it.
    pub sent_back: bool,
}

/// A problem that a second reader sees.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReviewProblem {
    /// Whether the change must not be merged with it.
    pub blocking: bool,
    /// The file, as the reader names it; it may be empty.
    pub file: String,
    /// What goes wrong.
    pub problem: String,
}

impl FixReport {
    /// Returns whether a third-party node made the commit.
    pub const fn is_fetched(&self) -> bool {
        self.fetched_for.is_some()
    }
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
    /// A: added.
    #[serde(rename = "A")]
    Added,
    /// M: modified.
    #[serde(rename = "M")]
    Modified,
    /// D: deleted.
    #[serde(rename = "D")]
    Deleted,
}

impl ChangeStatus {
    /// Returns the letter in the published report.
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
    /// The whole content.
    pub text: Option<String>,
    /// The encoding that the text is written in, by its label; `None` for UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<String>,
}

/// The result of the verification.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VerifyReport {
    /// The commit that was verified; absent in reports of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<CommitSha>,
    /// Whether the changed tree builds; `None` if nothing ran.
    pub build_success: Option<bool>,
    /// The test results after the change; `None` if nothing ran.
    pub test_results: Option<TestResults>,
    /// The test results before the change, if the tests ran.
    pub before: Option<TestResults>,
    /// The verdict from both.
    pub verdict: Verdict,
    /// The explanation, one sentence for users.
    pub explanation: String,
    /// Tests that failed before and pass now.
    pub fixed_tests: Vec<String>,
    /// Tests that passed before and fail now.
    pub broken_tests: Vec<String>,
    /// What shows that the fault is fixed, if something does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Proof>,
    /// How much of the suites was compared; absent in reports of earlier versions, and if nothing ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compared: Option<Compared>,
    /// Tests that failed before and fail now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failing_tests: Vec<String>,
    /// Tests that failed and then passed on the same tree. They count for nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flaky_tests: Vec<String>,
    /// What the operator asks for, if the pull request stays a draft although the fix is proven.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub draft_until: Option<ReadyWhen>,
    /// Tests of the base that the change deletes, renames, skips or expects less of. They are never the proof.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub edited_tests: Vec<String>,
    /// What some of the tests printed that fail now, secrets masked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<TestFailure>,
    /// The command that ran the tests, when one ran.
    pub command: Option<String>,
    /// The isolation of the run: `none`, `best-effort`, …
    pub isolation: String,
    /// The end of the output, secrets masked.
    pub log_tail: String,
}

/// What a failed test printed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestFailure {
    /// The name of the test, as in the lists of the report.
    pub test: String,
    /// The assertion that failed, with what the runner says about it.
    pub output: String,
}

/// What shows that a fault is fixed: a test that failed before the change and passes after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Proof {
    /// A test that the base had, as it was.
    ExistingTest,
    /// A test that the change brings, or adds to.
    OwnTest,
    /// A program that shows the fault, which is not part of the change.
    Reproduction,
}

impl Proof {
    /// Returns the name in JSON and in logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ExistingTest => "existing_test",
            Self::OwnTest => "own_test",
            Self::Reproduction => "reproduction",
        }
    }
}

/// What makes a pull request ready for review. All others stay drafts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReadyWhen {
    /// A fix that any test proves, and not a script alone.
    #[default]
    Proven,
    /// A fix that a test proves which the base had, and the change does not touch.
    ProvenByExistingTest,
    /// A fix that any test proves, and that the forge's own CI does not contradict.
    ProvenAndCi,
}

impl ReadyWhen {
    /// Returns whether a proof is enough by itself.
    pub const fn accepts(self, proof: Option<Proof>) -> bool {
        match self {
            // A script that nobody keeps is no test.
            Self::Proven => !matches!(proof, Some(Proof::Reproduction)),
            Self::ProvenByExistingTest => matches!(proof, Some(Proof::ExistingTest)),
            Self::ProvenAndCi => false,
        }
    }
}

/// How much of the suites was run after the change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Compared {
    /// How many tests ran.
    pub ran: u32,
    /// How many tests are known; no fewer than ran.
    pub known: u32,
    /// Whether all suites that own the change were run to their end.
    pub complete: bool,
}

/// Counts of one test run (`docs/requirements.md#r245`).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestResults {
    /// Passed tests.
    pub passed: u32,
    /// Failed tests, including errors.
    pub failed: u32,
    /// Skipped tests.
    pub skipped: u32,
    /// Line coverage such as `78%`, when the run measured it.
    pub coverage: Option<String>,
    /// All tests.
    pub total: u32,
}

/// The verdict on a fix, which claims only what the tests showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// A test failed before, passes now, and nothing else broke.
    FixedProven,
    /// No test fails that passed before, but no test shows the fault either.
    #[serde(alias = "unproven")]
    NoRegressions,
    /// Tests that passed before fail now.
    Regressions,
    /// Tests that should pass now still fail.
    StillFailing,
    /// The changed tree does not build.
    CouldNotBuild,
    /// The repository has no tests that can be run here.
    NoTests,
    /// The tests were not run.
    NotRun,
    /// Nothing was changed: files were ranked only.
    AnalysisOnly,
}

impl Verdict {
    /// All verdicts.
    pub const ALL: [Self; 8] = [
        Self::FixedProven,
        Self::NoRegressions,
        Self::Regressions,
        Self::StillFailing,
        Self::CouldNotBuild,
        Self::NoTests,
        Self::NotRun,
        Self::AnalysisOnly,
    ];

    /// Parses the result of [`Self::as_str`].
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verdict| verdict.as_str() == name)
    }

    /// Returns the name in JSON and in logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FixedProven => "fixed_proven",
            Self::NoRegressions => "no_regressions",
            Self::Regressions => "regressions",
            Self::StillFailing => "still_failing",
            Self::CouldNotBuild => "could_not_build",
            Self::NoTests => "no_tests",
            Self::NotRun => "not_run",
            Self::AnalysisOnly => "analysis_only",
        }
    }

    /// Returns whether the tests show that the change is harmful. The fix is then revised; if that does not help, the
    /// job fails. A test that failed before and still fails does not count against the change.
    pub const fn is_harmful(self) -> bool {
        matches!(self, Self::Regressions | Self::CouldNotBuild)
    }
}
