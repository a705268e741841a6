//! Every setting: its name, default and meaning. `docs/configuration.md` is made from this table.

/// One setting.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// The name of its environment variable. The key in `patchwright.toml` is the same in lower case.
    pub name: &'static str,
    /// The value when nothing is set; empty means none.
    pub default: &'static str,
    /// Whether its value is never shown.
    pub secret: bool,
    /// What it does.
    pub doc: &'static str,
}

const fn plain(name: &'static str, default: &'static str, doc: &'static str) -> Setting {
    Setting { name, default, secret: false, doc }
}

const fn secret(name: &'static str, doc: &'static str) -> Setting {
    Setting { name, default: "", secret: true, doc }
}

/// All settings, in the order of the documentation.
pub const SETTINGS: &[Setting] = &[
    plain("BIND", "127.0.0.1:8080", "The address and port to listen on. Port 0 takes a free one."),
    plain("PUBLIC_URL", "", "Where people reach this server, for links in comments."),
    plain("DATA_DIR", "data", "The folder for the database, the key file and working copies."),
    plain("DATABASE_URL", "", "`sqlite://PATH` or `postgres://…`. Default: `sqlite://{DATA_DIR}/patchwright.db`."),
    secret(
        "PATCHWRIGHT_MASTER_KEY",
        "Signs our marks in comments. Default: a random one in `{DATA_DIR}/master.key` (mode 0600).",
    ),
    secret(
        "PATCHWRIGHT_OLD_MASTER_KEYS",
        "Master keys of before, commas between them: what they sealed and signed stays readable (`patchwright rotate-keys`).",
    ),
    secret(
        "API_TOKEN",
        "The bearer token for `/api/v1`. Without one, `/api/v1` answers only while the server listens on a loopback address.",
    ),
    plain("MAX_BODY_BYTES", "26214400", "The largest webhook body (GitHub's own cap is 25 MiB)."),
    plain("MAX_IN_FLIGHT", "256", "How many deliveries are taken at once; more are answered 503 with `Retry-After`."),
    plain(
        "MAX_IN_FLIGHT_BYTES",
        "134217728",
        "How many bytes their bodies may have together; beyond it deliveries are answered 503 with `Retry-After`.",
    ),
    plain(
        "WRITE_QUEUE",
        "1024",
        "How many writes may wait for the database; more are answered 503 with `Retry-After`.",
    ),
    plain(
        "GROUP_COMMIT_WAIT",
        "0",
        "Milliseconds (at most 50) that a write waits for others to share its synced commit, while others are at work. What waits already is always taken along.",
    ),
    plain(
        "DELIVERY_RETENTION",
        "30",
        "Days that deliveries, their payloads and effects that are done are kept. What they were about stays known.",
    ),
    plain(
        "DELIVERY_RETENTION_BYTES",
        "1073741824",
        "How much room the payloads of deliveries may take together, packed; the oldest go first. 0: no limit.",
    ),
    plain(
        "WORKERS",
        "",
        "How many jobs run at once. Default: the number of cores. 0: this server takes deliveries and answers questions, and leaves all work to others on the same database.",
    ),
    plain(
        "EMBEDDED_NODE",
        "true",
        "Whether jobs run in this process too. `false`: they run on nodes only (`docs/nodes.md`).",
    ),
    plain(
        "NODE_LABELS",
        "",
        "What this machine has that jobs may ask for, such as `gpu`; commas between them. A node adds its system and processor.",
    ),
    plain(
        "AI_COMMANDS",
        "",
        "More programs that may make the change in place of the built-in stages: `name=command line`, semicolons between them (`docs/nodes.md`).",
    ),
    plain("COMMAND_TIMEOUT", "1800", "Seconds that such a program may take."),
    plain(
        "ALLOW_FREE_COMMANDS",
        "false",
        "Whether administrators may start an issue with a command line of their own, and this machine runs such ones.",
    ),
    plain("NODE_CAPACITY", "", "How many tasks `patchwright node` runs at once. Default: the number of cores."),
    plain(
        "JOBS_PER_REPOSITORY",
        "0",
        "How many jobs of one repository run at once, on all servers together. 0: no limit.",
    ),
    plain("JOBS_PER_ACTOR", "0", "How many jobs of one person run at once, on all servers together. 0: no limit."),
    plain("SHUTDOWN_TIMEOUT", "20", "Seconds that running jobs get to finish on SIGTERM before they are handed back."),
    plain(
        "LEASE_TIMEOUT",
        "40",
        "Seconds that a worker may be silent before others take its job over, 600 at the most; a killed server's jobs wait that long.",
    ),
    plain(
        "LOG_LEVEL",
        "info",
        "`error`, `warn`, `info`, `debug` or `trace`, or a filter such as `info,patchwright_engine=debug`.",
    ),
    plain("LOG_FORMAT", "text", "`text` or `json`."),
    plain("APP_NAME", "patchwright", "The name that people mention, without `@`."),
    plain(
        "BOT_USERNAME",
        "",
        "The login of our own account: its comments start nothing, assigning an issue to it starts a job. Default: `{APP_NAME}` and `{APP_NAME}[bot]`.",
    ),
    plain(
        "PLATFORM",
        "github",
        "The platform of deliveries to `/api/webhook` that carry no event header: `github`, `gitcode` or `local`.",
    ),
    secret("WEBHOOK_SECRET", "The secret that deliveries are signed with."),
    secret(
        "WEBHOOK_SECRET_PREVIOUS",
        "An older secret that is still accepted, so that it can be replaced without a gap.",
    ),
    plain(
        "TEST_MODE",
        "false",
        "Accept unsigned deliveries. Only on a loopback address; the server refuses to start otherwise.",
    ),
    plain("PATCHWRIGHT_LABEL", "patchwright", "The label that starts a job."),
    plain("TRIGGER_ON_OPEN", "false", "Whether a new issue whose text says `@APP_NAME fix` starts a job."),
    plain(
        "TRIGGER_PERMISSION",
        "write",
        "`write`: only people who may push to the repository start jobs. `anyone`: everyone who can comment, which lets strangers spend your money.",
    ),
    plain(
        "ALLOWED_USERS",
        "",
        "Logins that may start jobs, comma separated, `*` as a wildcard. They need no permission on the forge. Empty: everybody, as far as TRIGGER_PERMISSION goes.",
    ),
    plain(
        "ALLOWED_REPOS",
        "",
        "Repositories (`owner/name`) that jobs may run for, comma separated, `*` as a wildcard. Empty: all.",
    ),
    plain("ALLOWLIST_MODE", "forbid", "What others are answered: `forbid` (403) or `ignore` (200)."),
    plain(
        "TRIGGERS_PER_ISSUE",
        "20",
        "Requests (commands, assignments, labels) that one issue may cause in an hour; a comment says once when there are more. 0: no limit.",
    ),
    plain("TRIGGERS_PER_ACTOR", "60", "The same for one person."),
    plain("TRIGGERS_PER_REPOSITORY", "200", "The same for one repository."),
    plain(
        "GITHUB_APP_ID",
        "",
        "The number (or client id) of a GitHub App to act as. Needs GITHUB_APP_PRIVATE_KEY_PATH.",
    ),
    plain("GITHUB_APP_PRIVATE_KEY_PATH", "", "The App's private key, the PEM file that GitHub hands out."),
    secret(
        "GITHUB_TOKEN",
        "A personal access token (contents, issues and pull requests: write). Used where no GitHub App is installed.",
    ),
    plain("GITHUB_API_URL", "https://api.github.com", "GitHub's API; `https://HOST/api/v3` on Enterprise Server."),
    plain("GITHUB_GRAPHQL_URL", "", "GitHub's GraphQL API. Default: made from GITHUB_API_URL."),
    plain(
        "GITHUB_CLONE_URL",
        "https://github.com",
        "Repositories are cloned from `{GITHUB_CLONE_URL}/{owner}/{name}.git`.",
    ),
    plain(
        "GITHUB_REDELIVER",
        "",
        "Hooks whose failed deliveries of the last three days are asked for again, at the start and every ten minutes: `app` and `owner/name/HOOK`, comma separated. Empty: off.",
    ),
    plain(
        "POLL_REPOSITORIES",
        "",
        "GitHub repositories (`owner/name`) whose new comments are looked through for mentions, for servers that no delivery can reach. Empty: off.",
    ),
    plain("POLL_INTERVAL", "60", "Seconds between two looks."),
    secret("GITCODE_TOKEN", "A personal access token for GitCode. Connects GitCode."),
    secret("GITCODE_PAT", "Another name of GITCODE_TOKEN."),
    plain("GITCODE_TOKEN_HEADER", "bearer", "How it is sent: `bearer` (`Authorization`) or `private-token`."),
    plain("GITCODE_API_URL", "https://api.gitcode.com/api/v5", "GitCode's API."),
    plain(
        "GITCODE_CLONE_URL",
        "https://gitcode.com",
        "Repositories are cloned from `{GITCODE_CLONE_URL}/{owner}/{name}.git`.",
    ),
    plain("GITCODE_BOT_USERNAME", "", "The login of our own account on GitCode. Default: BOT_USERNAME or APP_NAME."),
    plain(
        "GITCODE_BOT_ID",
        "",
        "Our account's number as hooks name assignees. Default: learnt from the first hook about something that we did.",
    ),
    plain(
        "GITCODE_WEBHOOK_PASSWORD",
        "false",
        "Whether a hook may send WEBHOOK_SECRET itself in `X-GitCode-Token` (encryption type \"password\") in place of a signature.",
    ),
    plain(
        "JIRA_CLIENT_ID",
        "",
        "Our application at Atlassian (OAuth 2.0). Lets people link their accounts (`docs/jira.md`).",
    ),
    secret("JIRA_CLIENT_SECRET", "Its secret."),
    plain(
        "JIRA_REDIRECT_URI",
        "",
        "Where people come back to from Atlassian, as it is registered there. Default: `{PUBLIC_URL}/api/v1/jira/callback`.",
    ),
    plain("JIRA_AUTH_URL", "https://auth.atlassian.com/authorize", "Where people are sent to consent."),
    plain("JIRA_TOKEN_URL", "https://auth.atlassian.com/oauth/token", "Where codes and refresh tokens are exchanged."),
    plain(
        "JIRA_ACCESSIBLE_RESOURCES_URL",
        "https://api.atlassian.com/oauth/token/accessible-resources",
        "Where the sites of a token are listed.",
    ),
    plain("JIRA_ME_URL", "https://api.atlassian.com/me", "Where it is asked whose a token is."),
    plain(
        "JIRA_CLOUD_API_URL",
        "https://api.atlassian.com/ex/jira",
        "Jira's API: calls go to `{JIRA_CLOUD_API_URL}/{cloud id}/rest/api/…`.",
    ),
    plain(
        "JIRA_SCOPES",
        "",
        "What people are asked to allow. Default: `read:me read:jira-user read:jira-work`, and with JIRA_WRITE_AS=user also `write:jira-work offline_access`.",
    ),
    plain("JIRA_API_VERSION", "2", "`2`: texts are wiki markup. `3`: texts are documents (ADF)."),
    plain(
        "JIRA_WRITE_AS",
        "service",
        "Whose name comments carry: `service` (the site's service account) or `user` (the person who asked; the service account where that fails).",
    ),
    plain(
        "JIRA_STATUS_ON_START",
        "",
        "The state that an issue is moved to when a job is started, by its name in the workflow. Empty: it stays.",
    ),
    plain("JIRA_STATUS_ON_PR", "", "The same when the pull request waits for review, such as `In Review`."),
    plain("JIRA_STATUS_ON_MERGE", "", "The same when it is merged, such as `Done`."),
    plain(
        "JIRA_TEMPLATES",
        "",
        "A folder with templates of your own (`instructions.j2`, `new_conversation.j2`, `existing_conversation.j2`).",
    ),
    plain(
        "LLM_BASE_URL",
        "",
        "An OpenAI-compatible server. Default with a key: `https://api.openai.com/v1`. Without both, no model is configured and issues are only analysed.",
    ),
    secret("LLM_API_KEY", "The model server's key."),
    plain("LLM_MODEL", "gpt-4o-mini", "The model."),
    plain("LLM_STREAM", "false", "Whether answers are read as they are written."),
    plain(
        "LLM_TIMEOUT",
        "180",
        "Seconds without an answer (or without the next piece of one) until the model counts as away.",
    ),
    plain("LLM_TRIES", "3", "How often a question is asked while the model is away."),
    plain("LLM_MAX_TOKENS", "8192", "The longest answer; 0 leaves it to the server."),
    plain(
        "LLM_MAX_TOKENS_FIELD",
        "max_tokens",
        "`max_tokens`, or `max_completion_tokens` for models that refuse the former.",
    ),
    plain("LLM_TEMPERATURE", "0", "How free the model is; empty leaves it to the server."),
    plain("LLM_PROMPT_PRICE", "0", "The price of a million prompt tokens, for the costs that are shown."),
    plain("LLM_COMPLETION_PRICE", "0", "The price of a million completion tokens."),
    plain("LLM_RECORD", "", "A file to which every exchange with the model is appended, secrets masked."),
    plain("LLM_REPLAY", "", "A recording to answer from instead of a server."),
    plain("BUDGET_TOKENS", "400000", "The most tokens that one job may use. 0: no limit."),
    plain("BUDGET_CALLS", "60", "The most model calls that one job may make. 0: no limit."),
    plain("BUDGET_COST", "0", "The most money that one job may cost, in the unit of LLM_PROMPT_PRICE. 0: no limit."),
    plain(
        "BUDGET_REPOSITORY_DAY_TOKENS",
        "0",
        "The most tokens that the jobs of one repository may use in a day (UTC), on all servers together. 0: no limit.",
    ),
    plain("BUDGET_REPOSITORY_DAY_CALLS", "0", "The most model calls that they may make in a day. 0: no limit."),
    plain(
        "BUDGET_REPOSITORY_DAY_COST",
        "0",
        "The most money that they may cost in a day, in the unit of LLM_PROMPT_PRICE. 0: no limit.",
    ),
    plain("BUDGET_DAY_TOKENS", "0", "The most tokens that all jobs together may use in a day (UTC). 0: no limit."),
    plain("BUDGET_DAY_CALLS", "0", "The most model calls that all jobs together may make in a day. 0: no limit."),
    plain("BUDGET_DAY_COST", "0", "The most money that all jobs together may cost in a day. 0: no limit."),
    plain("JOB_TIMEOUT", "7200", "Seconds that a worker may be at one job."),
    plain(
        "KEEP_MODEL_CALLS",
        "true",
        "Whether what the model is asked and says is kept, with secrets masked, for people to read; as long as task logs.",
    ),
    plain("REVIEW_PLANS", "false", "Whether somebody has to approve each plan before anything is changed."),
    plain("MAX_ROUNDS", "2", "How often a fix that fails the tests is made again."),
    plain(
        "RETRY_WAIT",
        "30",
        "Seconds until a job that was put off is tried again; they double each time. A comment or pull request is tried again after a sixth of it.",
    ),
    plain("MAX_ATTEMPTS", "3", "How often a job is taken up when the other side is away."),
    plain(
        "PATCHWRIGHT_REPORT_FILES",
        "analysis",
        "Whether `agent/analysis.md`, `agent/patch_plan.json` and `agent/report.txt` are committed: `analysis` (only when nothing was fixed), `branch` (always) or `none`.",
    ),
    plain(
        "SANDBOX",
        "require",
        "`require`: run a repository's code only in a strong sandbox, which this version does not have, so it is not run. `best-effort`: run it as this user, with limits; for code that you trust as far as your own.",
    ),
    plain("SANDBOX_TIMEOUT", "900", "Seconds that one run of a test suite may take."),
    plain("GIT_TIMEOUT", "120", "Seconds that one clone or push may take."),
    plain("GIT_PROXY", "", "A proxy for git. HTTP_PROXY and HTTPS_PROXY do not apply to git."),
    plain("ALLOW_CLEAR_HTTP", "false", "Whether credentials may go over clear `http` to other machines."),
    plain("HTTP_PROXY", "", "A proxy for `http://` calls to forges and the model."),
    plain("HTTPS_PROXY", "", "A proxy for `https://` calls to forges and the model."),
    plain("NO_PROXY", "", "Hosts that are reached without a proxy, comma separated."),
    secret(
        "SMTP_URL",
        "The mail server for notifications: `smtps://user:password@host`, `smtp://host:587?tls=required`.",
    ),
    plain("SMTP_FROM", "patchwright <patchwright@localhost>", "Who its mails are from."),
    plain(
        "ALLOW_PRIVATE_ADDRESSES",
        "false",
        "Whether notifications may go to addresses that only this network reaches (loopback, private, link-local).",
    ),
    plain(
        "OIDC_ISSUER",
        "",
        "A login provider (OpenID Connect), exactly as it calls itself: `https://keycloak.example/realms/main`. The way back is `{PUBLIC_URL}/api/v1/auth/oidc/callback`.",
    ),
    plain("OIDC_CLIENT_ID", "", "This server's name there."),
    secret("OIDC_CLIENT_SECRET", "This server's secret there."),
    plain("OIDC_SCOPES", "openid profile email", "What is asked of the provider."),
    plain("OIDC_LOGIN_CLAIM", "preferred_username", "The claim that a person's login is made from."),
    plain(
        "OIDC_ADMIN_GROUP",
        "",
        "Who has this group or role there (`groups`, `roles`, `realm_access.roles`) is an administrator, and nobody else who logs in there. Empty: the roles here stand.",
    ),
    plain("CA_BUNDLE", "", "A PEM file with certificates to trust beside the system's."),
    plain("AUTHOR_NAME", "patchwright", "The author of commits."),
    plain("AUTHOR_EMAIL", "patchwright@users.noreply.localhost", "Their address."),
];

impl Setting {
    /// The key in `patchwright.toml`: the name in lower case, without our prefix.
    pub fn key(&self) -> String {
        self.name.strip_prefix("PATCHWRIGHT_").unwrap_or(self.name).to_lowercase()
    }
}

/// `docs/configuration.md`.
pub fn documentation() -> String {
    let mut out = "# Configuration\n\n\
        Read from, lowest first: the defaults below, `patchwright.toml` in the working folder (or `--config FILE`), the \
        environment, `--set NAME=VALUE`. `patchwright config` prints what is in force and where each value came from, \
        secrets masked. An unknown key or a bad value stops the start and says so.\n\n\
        In `patchwright.toml` a key is the variable's name in lower case, without `patchwright_`: `bind = \
        \"0.0.0.0:8080\"`. Lists may be arrays.\n\n\
        | variable | default | meaning |\n| --- | --- | --- |\n"
        .to_owned();
    for setting in SETTINGS {
        let default = if setting.default.is_empty() { String::new() } else { format!("`{}`", setting.default) };
        let secret = if setting.secret { " *(secret)*" } else { "" };
        out.push_str(&format!("| `{}`{secret} | {default} | {} |\n", setting.name, setting.doc));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_is_there_once() {
        let mut names: Vec<&str> = SETTINGS.iter().map(|setting| setting.name).collect();
        names.sort_unstable();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all);
    }

    #[test]
    fn the_documentation_is_made_from_the_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, documentation()).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert_eq!(written, documentation(), "run the tests with UPDATE_DOCS=1 to write it anew");
    }
}
