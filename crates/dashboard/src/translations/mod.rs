//! The texts of the pages in each language. A text that is missing in one language does not compile.

mod audit;
mod messages;

pub use messages::Translations;
use messages::{CHINESE, ENGLISH};
use patchwright_core::translation::to_chinese;
use patchwright_domain::issue::IssueOrder;
use patchwright_domain::job::ci::{CiOutcome, CiState};
use patchwright_domain::job::report::{AnalysisMethod, Level, Proof, Verdict};
use patchwright_domain::job::stage::{StageKind, StageStatus};
use patchwright_domain::notification::NotificationEvent;
use patchwright_domain::{IssueStatus, JobStatus, Usage};

use patchwright_management::{EffectiveSetting, Severity, Subject};

/// The languages of the pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Language {
    /// English.
    #[default]
    English,
    /// Simplified Chinese.
    Chinese,
}

impl Language {
    /// Both languages.
    pub const ALL: [Self; 2] = [Self::English, Self::Chinese];

    /// Returns the language that a browser prefers, by its `Accept-Language`.
    pub fn of(accepted: &str) -> Self {
        let mut best = (Self::English, 0.0_f32);
        for entry in accepted.split(',') {
            let mut parts = entry.split(';').map(str::trim);
            let tag = parts.next().unwrap_or_default().to_ascii_lowercase();
            let quality = parts.find_map(|part| part.strip_prefix("q=")?.parse().ok()).unwrap_or(1.0);
            let known = Self::ALL.into_iter().find(|language| tag.starts_with(language.code()));
            if let Some(language) = known.filter(|_| quality > best.1) {
                best = (language, quality);
            }
        }
        best.0
    }

    /// Returns the code in cookies and URLs.
    pub const fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Chinese => "zh",
        }
    }

    /// Returns the code in HTML.
    pub const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Chinese => "zh-CN",
        }
    }

    /// Parses the result of [`Self::code`].
    pub fn parse(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|language| language.code() == code)
    }

    /// Returns the name of the language in the language itself.
    pub const fn name(self) -> &'static str {
        match self {
            Self::English => "English",
            Self::Chinese => "中文",
        }
    }

    /// Returns the texts.
    pub const fn translations(self) -> &'static Translations {
        match self {
            Self::English => &ENGLISH,
            Self::Chinese => &CHINESE,
        }
    }
}

impl Translations {
    /// Returns the description of a setting.
    pub fn doc_of(&self, setting: &EffectiveSetting) -> &'static str {
        let chinese = setting.chinese_doc.filter(|_| self.language_code == Language::Chinese.code());
        chinese.unwrap_or(setting.doc)
    }

    /// Returns the title of a part of the settings, of which both are given.
    pub(crate) fn group_of_settings(&self, (english, chinese): (&'static str, &'static str)) -> &'static str {
        if self.language_code == Language::Chinese.code() { chinese } else { english }
    }

    /// Returns what an entry of the audit log says was done; its code if that is not known.
    pub fn audit_action<'a>(&self, action: &'a str) -> &'a str {
        let known = audit::ACTIONS.iter().find(|(code, ..)| *code == action);
        match known {
            Some((_, english, _)) if self.language_code == Language::English.code() => english,
            Some((.., chinese)) => chinese,
            None => action,
        }
    }

    /// Returns a sentence of the server in this language, as far as it is known: what another program said stays as it is.
    pub fn translate(&self, english: &str) -> String {
        let chinese = (self.language_code == Language::Chinese.code()).then(|| to_chinese(english)).flatten();
        chinese.unwrap_or_else(|| english.to_owned())
    }

    /// Names where the value of a setting is from; a file by its path.
    pub(crate) fn source_of<'a>(&self, source: &'a str) -> &'a str {
        match source {
            "default" => self.source_default,
            "stored" => self.source_stored,
            "environment" => self.source_environment,
            "--set" => self.source_flag,
            path => path,
        }
    }

    /// Returns the name of a status of an issue (`docs/requirements.md#management`).
    pub const fn issue_status(&self, status: IssueStatus) -> &'static str {
        match status {
            IssueStatus::Pending => self.status_pending,
            IssueStatus::Processing => self.status_processing,
            IssueStatus::PendingMerge => self.status_pending_merge,
            IssueStatus::Merged => self.status_merged,
            IssueStatus::Terminated => self.status_terminated,
        }
    }

    /// Returns the name of an order of issues.
    pub const fn issue_order(&self, order: IssueOrder) -> &'static str {
        match order {
            IssueOrder::Newest => self.order_newest,
            IssueOrder::Oldest => self.order_oldest,
            IssueOrder::Updated => self.order_updated,
        }
    }

    /// Returns the label of the Start button of an issue (`docs/requirements.md#management`).
    pub const fn start_button(&self, status: IssueStatus) -> &'static str {
        match status {
            IssueStatus::Pending => self.start,
            IssueStatus::Processing => self.running,
            IssueStatus::PendingMerge => self.pending_merge,
            IssueStatus::Merged => self.merged,
            IssueStatus::Terminated => self.start_again,
        }
    }

    /// Returns the sentence about the checks of the forge's CI.
    pub const fn ci_state(&self, state: CiState) -> &'static str {
        match state {
            CiState::Absent => self.ci_absent,
            CiState::Running => self.ci_running,
            CiState::Unfinished => self.ci_unfinished,
            CiState::Passed => self.ci_passed,
            CiState::Failed => self.ci_failed,
        }
    }

    /// Returns the outcome of a check of the forge's CI.
    pub const fn ci_outcome(&self, outcome: CiOutcome) -> &'static str {
        match outcome {
            CiOutcome::Pending => self.running,
            CiOutcome::Passed => self.passed,
            CiOutcome::Failed => self.failed,
            CiOutcome::Neutral => self.ci_neutral,
        }
    }

    /// Returns what shows that a fault is fixed.
    pub const fn proof(&self, proof: Proof) -> &'static str {
        match proof {
            Proof::ExistingTest => self.proof_existing,
            Proof::OwnTest => self.proof_own,
            Proof::Reproduction => self.proof_reproduction,
        }
    }

    /// Returns the text of a verdict.
    pub const fn verdict(&self, verdict: Verdict) -> &'static str {
        match verdict {
            Verdict::FixedProven => self.fixed_proven,
            Verdict::NoRegressions => self.no_regressions,
            Verdict::Regressions => self.regressions,
            Verdict::StillFailing => self.still_failing,
            Verdict::CouldNotBuild => self.could_not_build,
            Verdict::NoTests => self.no_tests,
            Verdict::NotRun => self.not_run,
            Verdict::AnalysisOnly => self.analysis_only,
        }
    }

    /// Returns the sentence about the result of a job with a verdict.
    pub const fn result_of(&self, verdict: Verdict) -> &'static str {
        match verdict {
            Verdict::FixedProven => self.result_fixed_proven,
            Verdict::NoRegressions => self.result_no_regressions,
            Verdict::Regressions => self.result_regressions,
            Verdict::StillFailing => self.result_still_failing,
            Verdict::CouldNotBuild => self.result_could_not_build,
            Verdict::NoTests => self.result_no_tests,
            Verdict::NotRun => self.result_not_run,
            Verdict::AnalysisOnly => self.result_analysis_only,
        }
    }

    /// Returns the name of a stage.
    pub const fn stage_name(&self, kind: StageKind) -> &'static str {
        match kind {
            StageKind::Locate => self.stage_locate,
            StageKind::Propose => self.stage_propose,
            StageKind::Fix => self.stage_fix,
            StageKind::Verify => self.stage_verify,
        }
    }

    /// Formats a cost, if there is one.
    pub fn money(&self, usage: Usage) -> String {
        #[expect(clippy::cast_precision_loss, reason = "a price is shown with four digits")]
        let cost = usage.cost_micros as f64 / 1e6;
        if usage.cost_micros == 0 { String::new() } else { format!("{cost:.4}") }
    }

    /// Returns the name of a stage's status.
    pub const fn stage_status(&self, status: StageStatus) -> &'static str {
        match status {
            StageStatus::Pending => self.stage_pending,
            StageStatus::Running => self.stage_running,
            StageStatus::Succeeded => self.stage_succeeded,
            StageStatus::Failed => self.stage_failed,
            StageStatus::Skipped => self.stage_skipped,
        }
    }

    /// Returns the name of a level.
    pub const fn level(&self, level: Level) -> &'static str {
        match level {
            Level::Low => self.level_low,
            Level::Medium => self.level_medium,
            Level::High => self.level_high,
        }
    }

    /// Returns the color class of a level.
    pub const fn level_code(&self, level: Level) -> &'static str {
        match level {
            Level::Low => "low",
            Level::Medium => "medium",
            Level::High => "high",
        }
    }

    /// Returns the text of the method of a ranking.
    pub const fn method(&self, method: AnalysisMethod) -> &'static str {
        match method {
            AnalysisMethod::Heuristic => self.by_index,
            AnalysisMethod::Llm => self.by_model,
            AnalysisMethod::Hybrid => self.by_both,
        }
    }

    /// Returns the text of a notification event.
    pub const fn event(&self, event: NotificationEvent) -> &'static str {
        match event {
            NotificationEvent::JobSucceeded => self.event_job_succeeded,
            NotificationEvent::JobFailed => self.event_job_failed,
            NotificationEvent::JobCancelled => self.event_job_cancelled,
            NotificationEvent::PlanReady => self.event_plan_ready,
            NotificationEvent::PullRequestOpened => self.event_pull_request_opened,
            NotificationEvent::PullRequestMerged => self.event_pull_request_merged,
        }
    }

    /// Returns the color class and the text of a node's state.
    pub const fn node_state(&self, online: bool, draining: bool) -> (&'static str, &'static str) {
        match (online, draining) {
            (_, true) => ("pending_merge", self.draining),
            (true, false) => ("succeeded", self.online),
            (false, false) => ("failed", self.offline),
        }
    }

    /// Returns the name of the subject of a check.
    pub const fn subject(&self, subject: Subject) -> &'static str {
        match subject {
            Subject::Database => self.subject_database,
            Subject::Model => self.model,
            Subject::Platform(name) => name,
            Subject::Webhook => "Webhook",
            Subject::PublicUrl => self.subject_public_url,
            Subject::Sandbox => self.subject_sandbox,
            Subject::Nodes => self.nodes,
            _ => self.credentials,
        }
    }

    /// Returns the text of the severity of a finding.
    pub const fn severity(&self, severity: Severity) -> &'static str {
        match severity {
            Severity::Ok => self.severity_ok,
            Severity::Warning => self.severity_warning,
            Severity::Error => self.severity_error,
        }
    }

    /// Returns the text of a model call's purpose.
    pub fn purpose_of<'a>(&'a self, purpose: &'a str) -> &'a str {
        match purpose {
            "analyze_bug" => self.call_analyze,
            "fix_plan" => self.call_plan,
            "code_fix" => self.call_code,
            "repair" => self.call_repair,
            "command" => self.call_command,
            other => other,
        }
    }

    /// Formats a duration in seconds.
    pub fn seconds(&self, seconds: f64) -> String {
        match seconds {
            ..60.0 => format!("{seconds:.1} s"),
            ..3_600.0 => format!("{:.0} min {:02.0} s", (seconds / 60.0).floor(), (seconds % 60.0).floor()),
            _ => format!("{:.1} h", seconds / 3_600.0),
        }
    }

    /// Formats an approximate duration.
    pub fn seconds_whole(&self, seconds: u64) -> String {
        match seconds {
            0..=99 => format!("{seconds} s"),
            100..=5_999 => format!("{} min", seconds.div_ceil(60)),
            _ => format!("{} h", seconds.div_ceil(3_600)),
        }
    }

    /// Formats a duration in milliseconds.
    pub fn seconds_of_millis(&self, millis: u64) -> String {
        #[expect(clippy::cast_precision_loss, reason = "it is shown with one digit")]
        self.seconds(millis as f64 / 1_000.0)
    }

    /// Returns the name of a job's status.
    pub const fn job_status(&self, status: JobStatus) -> &'static str {
        match status {
            JobStatus::Queued => self.job_queued,
            JobStatus::Running => self.job_running,
            JobStatus::Publishing => self.job_publishing,
            JobStatus::Succeeded => self.job_succeeded,
            JobStatus::Failed => self.job_failed,
            JobStatus::Cancelled => self.job_cancelled,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_browsers_language_is_taken_where_we_speak_it() {
        for (accepted, language) in [
            ("zh-CN,zh;q=0.9,en;q=0.8", Language::Chinese),
            ("en-GB,en;q=0.9,zh;q=0.8", Language::English),
            ("de,fr;q=0.9,zh-TW;q=0.4,en;q=0.3", Language::Chinese),
            ("de", Language::English),
            ("", Language::English),
            (";;;q=,q=x,zh;q=abc", Language::Chinese),
        ] {
            assert_eq!(Language::of(accepted), language, "{accepted}");
        }
    }
}
