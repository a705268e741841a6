//! The engine's settings.

use patchwright_core::ledger::DayBudgets;
use patchwright_domain::money::Budget;
use patchwright_domain::trigger::AllowLists;
use patchwright_engine::Settings;

use super::tools::machine_labels;
use crate::config::Config;

/// Returns the settings of the engine; `max_attempts` is a command's, which wins.
pub(crate) fn engine_settings(config: &Config, max_attempts: Option<u32>) -> Settings {
    let work = config.data_dir.join("work");
    Settings {
        app_name: config.triggers.app_name.clone(),
        language: config.triggers.language,
        own_logins: config.triggers.own_logins.clone(),
        label: config.triggers.label.clone(),
        trigger_on_open: config.triggers.on_open,
        review_follow_ups: config.triggers.review_follow_ups,
        allow: AllowLists {
            users: config.triggers.allowed_users.clone(),
            repos: config.triggers.allowed_repos.clone(),
        },
        allow_mode: config.triggers.allowlist_mode,
        permission: config.triggers.permission,
        limits: config.admission.limits,
        report_files: config.jobs.report_files,
        budget: Budget {
            max_tokens: config.jobs.budget_tokens,
            max_calls: config.jobs.budget_calls,
            max_cost_micros: config.jobs.budget_cost_micros,
        },
        day_budgets: DayBudgets { repository: config.jobs.budget_repository_day, all: config.jobs.budget_day },
        job_timeout: config.jobs.timeout,
        share: config.jobs.share,
        labels: machine_labels(config),
        slots: if config.embedded_node { config.workers } else { 0 },
        max_answer_tokens: config.llm.max_tokens,
        fix_attempts: config.jobs.fix_attempts,
        fix_steps: config.jobs.fix_steps,
        fix_window: config.jobs.fix_window,
        review_model: config.jobs.review_model.clone(),
        keep_model_calls: config.jobs.keep_model_calls,
        review_plans: config.jobs.review_plans,
        max_attempts: max_attempts.unwrap_or(config.jobs.max_attempts),
        first_backoff: config.jobs.retry_wait,
        lease: config.lease_timeout,
        node_silent_limit: config.node_silent_limit,
        author_name: config.jobs.author_name.clone(),
        editable_paths: config.jobs.editable_paths.clone(),
        ready_when: config.jobs.ready_when,
        auto_rebase: config.jobs.auto_rebase,
        push_to: config.jobs.push_to,
        sign_off: config.jobs.sign_off,
        author_email: config.jobs.author_email.clone(),
        public_url: config.public_url.clone(),
        // Build tools need absolute paths.
        ..Settings::new(std::path::absolute(&work).unwrap_or(work))
    }
}
