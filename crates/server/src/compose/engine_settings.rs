//! The engine's settings.

use patchwright_core::ledger::DayBudgets;
use patchwright_domain::money::Budget;
use patchwright_domain::trigger::AllowLists;
use patchwright_engine::Settings;

use super::tools::machine_labels;
use crate::config::Config;

pub(super) fn engine_settings(config: &Config) -> Settings {
    let work = config.data_dir.join("work");
    Settings {
        app_name: config.app_name.clone(),
        own_logins: config.own_logins.clone(),
        label: config.label.clone(),
        trigger_on_open: config.trigger_on_open,
        allow: AllowLists { users: config.allowed_users.clone(), repos: config.allowed_repos.clone() },
        allow_mode: config.allowlist_mode,
        permission: config.trigger_permission,
        limits: config.admission.limits,
        report_files: config.report_files,
        budget: Budget {
            max_tokens: config.budget_tokens,
            max_calls: config.budget_calls,
            max_cost_micros: config.budget_cost_micros,
        },
        day_budgets: DayBudgets { repository: config.budget_repository_day, all: config.budget_day },
        job_timeout: config.job_timeout,
        share: config.share,
        labels: machine_labels(config),
        slots: if config.embedded_node { config.workers } else { 0 },
        max_answer_tokens: config.llm_max_tokens,
        max_rounds: config.max_rounds,
        keep_model_calls: config.keep_model_calls,
        review_plans: config.review_plans,
        max_attempts: config.max_attempts,
        first_backoff: config.retry_wait,
        lease: config.lease_timeout,
        author_name: config.author_name.clone(),
        author_email: config.author_email.clone(),
        public_url: config.public_url.clone(),
        // Build tools need absolute paths.
        ..Settings::new(std::path::absolute(&work).unwrap_or(work))
    }
}
