//! The settings of jobs: their limits, budgets, retries and results.

use std::time::Duration;

use patchwright_core::store::ConcurrencyLimits;
use patchwright_domain::job::report::ReadyWhen;
use patchwright_domain::money::Budget;
use patchwright_domain::protected::EditablePaths;
use patchwright_engine::{AutoRebase, PushTo, ReportFiles};

use super::{ConfigError, Values};

/// The settings of jobs: their limits, budgets, retries and results.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each field is documented in the table of settings, under its own name")]
pub struct JobConfig {
    pub timeout: Duration,
    pub share: ConcurrencyLimits,
    pub fix_attempts: u32,
    pub fix_steps: u32,
    pub fix_window: u32,
    pub review_model: Option<String>,
    pub keep_model_calls: bool,
    pub review_plans: bool,
    pub max_attempts: u32,
    pub retry_wait: Duration,
    pub report_files: ReportFiles,
    pub budget_tokens: u64,
    pub budget_calls: u32,
    pub budget_cost_micros: u64,
    /// The daily model budget of one repository.
    pub budget_repository_day: Budget,
    /// The daily model budget of all jobs together.
    pub budget_day: Budget,
    pub author_name: String,
    pub sign_off: bool,
    pub editable_paths: EditablePaths,
    pub ready_when: ReadyWhen,
    pub auto_rebase: AutoRebase,
    pub push_to: PushTo,
    pub author_email: String,
}

impl JobConfig {
    pub(super) fn read(v: &Values) -> Result<Self, ConfigError> {
        Ok(Self {
            timeout: v.seconds("JOB_TIMEOUT")?,
            share: ConcurrencyLimits {
                per_repository: v.parse("JOBS_PER_REPOSITORY", "a number")?,
                per_actor: v.parse("JOBS_PER_ACTOR", "a number")?,
            },
            fix_attempts: v.parse("FIX_ATTEMPTS", "a number")?,
            fix_steps: v.parse("FIX_STEPS", "a number")?,
            fix_window: v.parse("FIX_WINDOW", "a number of tokens")?,
            review_model: v.optional("REVIEW_MODEL"),
            keep_model_calls: v.switch("KEEP_MODEL_CALLS")?,
            review_plans: v.switch("REVIEW_PLANS")?,
            max_attempts: v.parse("MAX_ATTEMPTS", "a number")?,
            retry_wait: v.seconds("RETRY_WAIT")?,
            report_files: v.choice(
                "PATCHWRIGHT_REPORT_FILES",
                &[
                    ("analysis", ReportFiles::WhenAnalysisOnly),
                    ("branch", ReportFiles::Branch),
                    ("none", ReportFiles::None),
                    ("pr", ReportFiles::None),
                ],
            )?,
            budget_tokens: v.parse("BUDGET_TOKENS", "a number")?,
            budget_calls: v.parse("BUDGET_CALLS", "a number")?,
            budget_cost_micros: v.price("BUDGET_COST")?,
            budget_repository_day: v.budget([
                "BUDGET_REPOSITORY_DAY_TOKENS",
                "BUDGET_REPOSITORY_DAY_CALLS",
                "BUDGET_REPOSITORY_DAY_COST",
            ])?,
            budget_day: v.budget(["BUDGET_DAY_TOKENS", "BUDGET_DAY_CALLS", "BUDGET_DAY_COST"])?,
            editable_paths: EditablePaths::new(v.list("EDITABLE_PATHS")),
            auto_rebase: v.choice(
                "AUTO_REBASE",
                &[("off", AutoRebase::Off), ("conflict", AutoRebase::Conflict), ("behind", AutoRebase::Behind)],
            )?,
            ready_when: v.choice(
                "READY_WHEN",
                &[
                    ("proven", ReadyWhen::Proven),
                    ("proven_by_existing_test", ReadyWhen::ProvenByExistingTest),
                    ("proven_and_ci", ReadyWhen::ProvenAndCi),
                ],
            )?,
            push_to: push_to(v)?,
            author_name: v.text("AUTHOR_NAME").to_owned(),
            sign_off: v.switch("SIGN_OFF")?,
            author_email: v.text("AUTHOR_EMAIL").to_owned(),
        })
    }
}

fn push_to(v: &Values) -> Result<PushTo, ConfigError> {
    let push_to = v.choice("PUSH_TO", &[("branch", PushTo::Branch), ("fork", PushTo::Fork)])?;
    if push_to == PushTo::Fork && v.optional("GITHUB_APP_ID").is_some() {
        let reason =
            "a GitHub App has no account that forks could belong to; use GITHUB_TOKEN in place of GITHUB_APP_ID";
        return Err(v.wrong("PUSH_TO", reason));
    }
    Ok(push_to)
}
