//! The settings of what starts a job, and for whom.

use patchwright_domain::trigger::Language;
use patchwright_engine::{AllowListMode, TriggerPermission};

use super::{ConfigError, Values};

/// The settings of what starts a job, and for whom.
#[derive(Debug, Clone)]
#[expect(missing_docs, reason = "each field is documented in the table of settings, under its own name")]
pub struct TriggerConfig {
    pub app_name: String,
    pub language: Option<Language>,
    pub own_logins: Vec<String>,
    pub label: String,
    pub on_open: bool,
    pub review_follow_ups: bool,
    pub permission: TriggerPermission,
    pub allowed_users: Vec<String>,
    pub allowed_repos: Vec<String>,
    pub allowlist_mode: AllowListMode,
}

impl TriggerConfig {
    pub(super) fn read(v: &Values) -> Result<Self, ConfigError> {
        let app_name = v.text("APP_NAME").to_owned();
        let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        let ends = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !app_name.bytes().all(fits) || !ends(app_name.bytes().next()) || !ends(app_name.bytes().last()) {
            return Err(v.wrong("APP_NAME", "it must be a login: letters, digits, `-`, `_` and `.`; it begins and ends with a letter, a digit or `_`"));
        }
        let own_logins = match v.optional("BOT_USERNAME") {
            Some(login) => vec![login],
            None => vec![app_name.clone(), format!("{app_name}[bot]")],
        };
        let mut own_logins = own_logins;
        own_logins.extend(v.optional("GITHUB_APP_LOGIN"));
        Ok(Self {
            app_name,
            language: v.choice(
                "LANGUAGE",
                &[("auto", None), ("en", Some(Language::English)), ("zh", Some(Language::Chinese))],
            )?,
            own_logins,
            label: v.text("PATCHWRIGHT_LABEL").to_owned(),
            on_open: v.switch("TRIGGER_ON_OPEN")?,
            review_follow_ups: v.switch("REVIEW_FOLLOW_UPS")?,
            permission: v.choice(
                "TRIGGER_PERMISSION",
                &[("write", TriggerPermission::Write), ("anyone", TriggerPermission::Anyone)],
            )?,
            allowed_users: v.list("ALLOWED_USERS"),
            allowed_repos: v.list("ALLOWED_REPOS"),
            allowlist_mode: v
                .choice("ALLOWLIST_MODE", &[("forbid", AllowListMode::Forbid), ("ignore", AllowListMode::Ignore)])?,
        })
    }
}
