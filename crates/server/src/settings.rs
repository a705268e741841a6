//! Every setting: its name, default and meaning. `docs/configuration.md` is generated from this table.

mod chinese;

pub(crate) use self::chinese::chinese_doc;

/// One setting.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// The name of its environment variable. The key in `patchwright.toml` is the same in lower case.
    pub name: &'static str,
    /// The value if the setting is not set; empty means none.
    pub default: &'static str,
    /// Whether the value is masked everywhere.
    pub secret: bool,
    /// The description, in Markdown.
    pub doc: &'static str,
    /// Whether an administrator can change it while the server runs: nothing that is fixed at the start reads it.
    pub live: bool,
}

const fn plain(name: &'static str, default: &'static str, doc: &'static str) -> Setting {
    Setting { name, default, secret: false, doc, live: false }
}

const fn secret(name: &'static str, doc: &'static str) -> Setting {
    Setting { name, default: "", secret: true, doc, live: false }
}

/// A part of the settings, by its first one.
struct Group {
    first: &'static str,
    title: &'static str,
    chinese_title: &'static str,
}

const fn group(first: &'static str, title: &'static str, chinese_title: &'static str) -> Group {
    Group { first, title, chinese_title }
}

/// The parts of [`SETTINGS`], in the same order.
const GROUPS: &[Group] = &[
    group("BIND", "The server", "服务"),
    group("MAX_BODY_BYTES", "Load and storage", "负载与存储"),
    group("WORKERS", "Workers and nodes", "工作进程与节点"),
    group("LOG_LEVEL", "Log and name", "日志与名称"),
    group("PLATFORM", "Deliveries", "投递"),
    group("PATCHWRIGHT_LABEL", "Who and what starts a job", "谁以及什么启动作业"),
    group("GITHUB_APP_ID", "GitHub", "GitHub 平台"),
    group("GITCODE_TOKEN", "GitCode", "GitCode 平台"),
    group("JIRA_CLIENT_ID", "Jira", "Jira 跟踪器"),
    group("LLM_BASE_URL", "The model", "模型"),
    group("BUDGET_TOKENS", "Budgets", "预算"),
    group("JOB_TIMEOUT", "The pipeline", "流水线"),
    group("SANDBOX", "The sandbox", "沙箱"),
    group("GIT_TIMEOUT", "Git", "Git 设置"),
    group("ALLOW_CLEAR_HTTP", "Network", "网络"),
    group("SMTP_URL", "Notifications", "通知"),
    group("OIDC_ISSUER", "Login provider", "登录提供方"),
    group("READY_WHEN", "Pull requests and commits", "合并请求与提交"),
];

/// Returns the title of the part that a setting belongs to, in English and in Chinese.
pub(crate) fn group_of(name: &str) -> (&'static str, &'static str) {
    let mut titles = ("", "");
    for setting in SETTINGS {
        if let Some(group) = GROUPS.iter().find(|group| group.first == setting.name) {
            titles = (group.title, group.chinese_title);
        }
        if setting.name == name {
            break;
        }
    }
    titles
}

/// All settings, in the order of the documentation.
pub const SETTINGS: &[Setting] = &[
    plain("BIND", "127.0.0.1:8080", "The address and port to listen on. Port 0: any free port."),
    plain("PUBLIC_URL", "", "The URL where users reach this server, for links in comments."),
    plain(
        "TRUSTED_PROXIES",
        "",
        "The addresses and networks of reverse proxies, such as `127.0.0.1, 10.0.0.0/8`. From them, `Forwarded` or `X-Forwarded-For` and `X-Forwarded-Proto` name the client: limits on logins and logs use its address.",
    ),
    plain("DATA_DIR", "data", "The folder for the database, the key file and the working copies."),
    plain("DATABASE_URL", "", "`sqlite://PATH` or `postgres://…`. Default: `sqlite://{DATA_DIR}/patchwright.db`."),
    secret(
        "PATCHWRIGHT_MASTER_KEY",
        "The key that encrypts stored secrets and signs the markers in the server's comments. Default: a random key in `{DATA_DIR}/master.key` (mode 0600).",
    ),
    secret(
        "PATCHWRIGHT_OLD_MASTER_KEYS",
        "Previous master keys, comma separated: secrets and signatures made with them stay valid (`patchwright rotate-keys`).",
    ),
    secret(
        "API_TOKEN",
        "The bearer token for `/api/v1`. Without one, `/api/v1` is available only while the server listens on a loopback address.",
    ),
    plain(
        "METRICS_BIND",
        "",
        "An address of its own for `/metrics` (`docs/metrics.md`), such as `127.0.0.1:9464`, which only Prometheus should reach. Empty: none.",
    ),
    secret(
        "METRICS_TOKEN",
        "The bearer token for `/metrics` on the address of the server. Without one there is no `/metrics` there.",
    ),
    plain("MAX_BODY_BYTES", "26214400", "The largest accepted webhook body in bytes (GitHub's own limit is 25 MiB)."),
    plain(
        "MAX_IN_FLIGHT",
        "256",
        "How many deliveries are processed at once; further ones get a 503 with `Retry-After`.",
    ),
    plain(
        "MAX_IN_FLIGHT_BYTES",
        "134217728",
        "How many bytes their bodies may have together; further deliveries get a 503 with `Retry-After`.",
    ),
    plain(
        "WRITE_QUEUE",
        "1024",
        "How many writes may wait for the database; further ones get a 503 with `Retry-After`.",
    ),
    plain(
        "GROUP_COMMIT_WAIT",
        "0",
        "Milliseconds (at most 50) that a write waits, while other writes are in progress, for more writes to share its commit. Writes that wait already always share it.",
    ),
    plain(
        "DELIVERY_RETENTION",
        "30",
        "Days that deliveries, their payloads and completed effects are kept. Which events were processed stays known beyond that.",
    ),
    plain(
        "DELIVERY_RETENTION_BYTES",
        "1073741824",
        "How many bytes the compressed payloads of deliveries may take together; the oldest are deleted first. 0: no limit.",
    ),
    plain("LOG_RETENTION", "30", "Days that the logs of tasks are kept."),
    plain("MODEL_CALL_RETENTION", "30", "Days that prompts and answers of the model are kept."),
    plain(
        "JOB_RETENTION",
        "0",
        "Days that jobs are kept after their end, with all that belongs to them; the newest job of an issue stays. 0: for ever.",
    ),
    plain("AUDIT_RETENTION", "0", "Days that entries of the audit log are kept. 0: for ever."),
    plain(
        "WORKERS",
        "",
        "How many jobs run at once. Default: the number of cores. 0: this server receives deliveries and serves the API and the pages, and leaves all jobs to other servers on the same database.",
    ),
    plain(
        "EMBEDDED_NODE",
        "true",
        "Whether jobs also run in this process. `false`: they run on nodes only (`docs/nodes.md`).",
    ),
    plain(
        "NODE_LABELS",
        "",
        "The labels of this machine that jobs can require, such as `gpu`; comma separated. A node adds its operating system and CPU architecture.",
    ),
    plain(
        "AI_COMMANDS",
        "",
        "Presets of programs that can make the change instead of the built-in stages: `name=command line`, semicolon separated (`docs/nodes.md`).",
    ),
    plain("COMMAND_TIMEOUT", "1800", "Seconds that such a program may run."),
    plain(
        "ALLOW_FREE_COMMANDS",
        "false",
        "Whether administrators may start an issue with any command line, and this machine runs it.",
    ),
    plain("NODE_CAPACITY", "", "How many tasks `patchwright node` runs at once. Default: the number of cores."),
    plain(
        "JOBS_PER_REPOSITORY",
        "0",
        "How many jobs of one repository run at once, on all servers together. 0: no limit.",
    ).live(),
    plain("JOBS_PER_ACTOR", "0", "How many jobs of one user run at once, on all servers together. 0: no limit.").live(),
    plain(
        "SHUTDOWN_TIMEOUT",
        "20",
        "Seconds that running jobs get to finish on SIGTERM before they are released to the queue.",
    ),
    plain(
        "LEASE_TIMEOUT",
        "40",
        "Seconds without a renewal until a worker's lease expires and another worker takes over the job, at most 600. The jobs of a killed server wait that long.",
    ),
    plain(
        "NODE_SILENT_LIMIT",
        "7200",
        "Seconds that a third-party node may work on a task without a word, if it does not answer `GET /health`.",
    ),
    plain(
        "LOG_LEVEL",
        "info",
        "`error`, `warn`, `info`, `debug` or `trace`, in any case; Python's names (`WARNING`, `CRITICAL`) mean the same.",
    ),
    plain(
        "LOG_FILTER",
        "",
        "Levels by part of the program, in place of `LOG_LEVEL`: for example `info,patchwright_engine=debug`.",
    ),
    plain("LOG_FORMAT", "text", "`text` or `json`."),
    plain(
        "LANGUAGE",
        "auto",
        "The language of comments and pull requests: `auto` (that of the request or of the issue), `en` or `zh`.",
    ).live(),
    plain("APP_NAME", "patchwright", "The name that users mention to start a job, without `@`."),
    plain(
        "BOT_USERNAME",
        "",
        "The login of the server's own account: its comments start nothing; assigning an issue to it starts a job. Default: `{APP_NAME}` and `{APP_NAME}[bot]`.",
    ),
    plain(
        "PLATFORM",
        "github",
        "The platform of deliveries to `/api/webhook` without an event header: `github`, `gitcode` or `local`.",
    ),
    secret("WEBHOOK_SECRET", "The secret that signs deliveries.").live(),
    secret(
        "WEBHOOK_SECRET_PREVIOUS",
        "The previous secret, which is still accepted, so that the secret can be replaced without downtime.",
    ).live(),
    plain(
        "TEST_MODE",
        "false",
        "Accept unsigned deliveries. Only on a loopback address; the server refuses to start otherwise.",
    ),
    plain("PATCHWRIGHT_LABEL", "patchwright", "The label that starts a job.").live(),
    plain(
        "REVIEW_FOLLOW_UPS",
        "false",
        "Whether a review that requests changes on one of our pull requests starts a follow-up without a mention.",
    ).live(),
    plain("TRIGGER_ON_OPEN", "false", "Whether a new issue whose text contains `@APP_NAME fix` starts a job.").live(),
    plain(
        "TRIGGER_PERMISSION",
        "write",
        "`write`: only users with push permission on the repository can start jobs. `anyone`: everyone who can comment can start jobs, at your expense.",
    ).live(),
    plain(
        "ALLOWED_USERS",
        "",
        "Logins that may start jobs, comma separated, `*` as a wildcard. They need no permission on the forge. Empty: everyone whom TRIGGER_PERMISSION allows.",
    ).live(),
    plain(
        "ALLOWED_REPOS",
        "",
        "Repositories (`owner/name`) that jobs may run for, comma separated, `*` as a wildcard. Empty: all.",
    ).live(),
    plain("ALLOWLIST_MODE", "forbid", "The response to everyone else: `forbid` (403) or `ignore` (200).").live(),
    plain(
        "TRIGGERS_PER_ISSUE",
        "20",
        "How many requests (commands, assignments, labels) are accepted for one issue in an hour; the first one above the limit gets a comment. 0: no limit.",
    ),
    plain("TRIGGERS_PER_ACTOR", "60", "The same for one user."),
    plain("TRIGGERS_PER_REPOSITORY", "200", "The same for one repository."),
    plain("GITHUB_APP_ID", "", "The id (or client id) of the GitHub App to act as. Requires its private key.").live(),
    plain("GITHUB_APP_PRIVATE_KEY_PATH", "", "The path of the App's private key, the PEM file from GitHub."),
    plain(
        "GITHUB_APP_LOGIN",
        "",
        "The login of the App, such as `patchwright-acme[bot]`, beside BOT_USERNAME. The first steps store it.",
    ).live(),
    secret(
        "GITHUB_APP_PRIVATE_KEY",
        "The text of that file, in place of its path. The first steps (`/welcome`) store it when they register an App.",
    ).live(),
    secret(
        "GITHUB_TOKEN",
        "A personal access token (contents, issues and pull requests: write). Used for repositories where no GitHub App is installed.",
    ),
    plain("GITHUB_API_URL", "https://api.github.com", "GitHub's API; `https://HOST/api/v3` on Enterprise Server."),
    plain("GITHUB_GRAPHQL_URL", "", "GitHub's GraphQL API. Default: derived from GITHUB_API_URL."),
    plain(
        "GITHUB_CLONE_URL",
        "https://github.com",
        "Repositories are cloned from `{GITHUB_CLONE_URL}/{owner}/{name}.git`.",
    ),
    plain(
        "GITHUB_REDELIVER",
        "",
        "Webhooks whose failed deliveries of the last three days are requested again, at startup and every ten minutes: `app` and `owner/name/HOOK`, comma separated. Empty: off.",
    ),
    plain(
        "POLL_REPOSITORIES",
        "",
        "GitHub repositories (`owner/name`) whose new comments are polled for mentions, for servers that GitHub cannot reach. Empty: off.",
    ),
    plain(
        "POLL_REGISTERED",
        "false",
        "Whether the GitHub repositories that were added to this server are polled too. The registration of a GitHub App on `/welcome` sets it where GitHub cannot reach this server.",
    )
    .live(),
    plain("POLL_INTERVAL", "60", "Seconds between two polls of a repository."),
    secret("GITCODE_TOKEN", "A personal access token for GitCode. Enables GitCode."),
    secret("GITCODE_PAT", "An alias of GITCODE_TOKEN."),
    plain("GITCODE_TOKEN_HEADER", "bearer", "How the token is sent: `bearer` (in `Authorization`) or `private-token`."),
    plain("GITCODE_API_URL", "https://api.gitcode.com/api/v5", "GitCode's API."),
    plain(
        "GITCODE_CLONE_URL",
        "https://gitcode.com",
        "Repositories are cloned from `{GITCODE_CLONE_URL}/{owner}/{name}.git`.",
    ),
    plain(
        "GITCODE_BOT_USERNAME",
        "",
        "The login of the server's own account on GitCode. Default: BOT_USERNAME or APP_NAME.",
    ),
    plain(
        "GITCODE_BOT_ID",
        "",
        "The numeric id of the server's own account, which webhooks use for assignees. Default: taken from the first webhook about an action of this account.",
    ),
    plain(
        "GITCODE_WEBHOOK_PASSWORD",
        "false",
        "Whether a webhook may send WEBHOOK_SECRET itself in `X-GitCode-Token` (encryption type \"password\") in place of a signature.",
    ),
    plain(
        "JIRA_CLIENT_ID",
        "",
        "The client id of the OAuth 2.0 application at Atlassian. Lets users link their accounts (`docs/jira.md`).",
    ),
    secret("JIRA_CLIENT_SECRET", "Its secret."),
    plain(
        "JIRA_REDIRECT_URI",
        "",
        "The callback URL that is registered at Atlassian. Default: `{PUBLIC_URL}/api/v1/jira/callback`.",
    ),
    plain("JIRA_AUTH_URL", "https://auth.atlassian.com/authorize", "The authorization endpoint."),
    plain("JIRA_TOKEN_URL", "https://auth.atlassian.com/oauth/token", "The token endpoint."),
    plain(
        "JIRA_ACCESSIBLE_RESOURCES_URL",
        "https://api.atlassian.com/oauth/token/accessible-resources",
        "The endpoint that lists the sites of a token.",
    ),
    plain("JIRA_ME_URL", "https://api.atlassian.com/me", "The endpoint that returns the account of a token."),
    plain(
        "JIRA_CLOUD_API_URL",
        "https://api.atlassian.com/ex/jira",
        "Jira's API: requests go to `{JIRA_CLOUD_API_URL}/{cloud id}/rest/api/…`.",
    ),
    plain(
        "JIRA_SCOPES",
        "",
        "The OAuth scopes that are requested. Default: `read:me read:jira-user read:jira-work`, and with JIRA_WRITE_AS=user also `write:jira-work offline_access`.",
    ),
    plain(
        "JIRA_API_VERSION",
        "2",
        "`2`: texts are wiki markup. `3`: texts are in the Atlassian Document Format (ADF).",
    ),
    plain(
        "JIRA_WRITE_AS",
        "service",
        "The author of comments: `service` (the site's service account) or `user` (the user who made the request; the service account if that fails).",
    ),
    plain(
        "JIRA_STATUS_ON_START",
        "",
        "The name of the workflow status that an issue is moved to when a job starts. Empty: it is not moved.",
    ),
    plain("JIRA_STATUS_ON_PR", "", "The same when the pull request waits for review, such as `In Review`."),
    plain("JIRA_STATUS_ON_MERGE", "", "The same when it is merged, such as `Done`."),
    plain(
        "JIRA_TEMPLATES",
        "",
        "A folder with custom templates (`instructions.j2`, `new_conversation.j2`, `existing_conversation.j2`).",
    ),
    plain(
        "LLM_BASE_URL",
        "",
        "An OpenAI-compatible server. Default if LLM_API_KEY is set: `https://api.openai.com/v1`. Without both, no model is configured and issues are only analyzed.",
    ).live(),
    secret("LLM_API_KEY", "The API key of the model server.").live(),
    plain("LLM_MODEL", "gpt-4o-mini", "The model.").live(),
    plain("LLM_STREAM", "false", "Whether responses are streamed.").live(),
    plain(
        "LLM_TOOLS",
        "auto",
        "`auto`: the actions of a fix are offered as the tools of the chat API, until the server refuses them; the model may also write them as text. `off`: as text only.",
    ).live(),
    plain("LLM_TIMEOUT", "180", "Seconds until the response must be there (with LLM_STREAM, its first part).").live(),
    plain("LLM_IDLE_TIMEOUT", "60", "With LLM_STREAM, seconds between two parts of a response.").live(),
    plain("LLM_TOTAL_TIMEOUT", "900", "Seconds that one response may take in all.").live(),
    plain(
        "LLM_FALLBACKS",
        "",
        "Models to ask where LLM_MODEL cannot answer, in this order, comma separated: `MODEL` on the same server, or `MODEL@ADDRESS` on another one. A model that fails three times in a row is left alone for half a minute, and longer each time.",
    ).live(),
    secret("LLM_FALLBACK_API_KEY", "The API key of other servers in LLM_FALLBACKS.").live(),
    plain("LLM_TRIES", "3", "How often a request is tried while the model is unavailable.").live(),
    plain("LLM_MAX_TOKENS", "8192", "The largest response in tokens; 0: the server's default.").live(),
    plain(
        "LLM_MAX_TOKENS_FIELD",
        "max_tokens",
        "`max_tokens` or `max_completion_tokens`. The other one is tried, and remembered, where a server refuses it.",
    ).live(),
    plain(
        "LLM_TEMPERATURE",
        "0",
        "The sampling temperature; empty: the server's default. It is left out where a server refuses it.",
    ).live(),
    plain("LLM_PROMPT_PRICE", "0", "The price of a million prompt tokens, for the displayed costs.").live(),
    plain("LLM_COMPLETION_PRICE", "0", "The price of a million completion tokens.").live(),
    plain(
        "LLM_PRICES",
        "",
        "Prices of models that cost something else, comma separated: `MODEL=PROMPT/COMPLETION`, for a million tokens each.",
    ).live(),
    plain(
        "LLM_RECORD",
        "",
        "A file to which every request to the model and its response is appended, with secrets masked.",
    ),
    plain(
        "DEMO_MODEL",
        "false",
        "Whether, without a model, the recorded answers of the demo repository stand in for one. They fit its issue only.",
    ).live(),
    plain("LLM_REPLAY", "", "A recording (see LLM_RECORD) to use instead of a server."),
    plain("BUDGET_TOKENS", "400000", "The most tokens that one job may use. 0: no limit.").live(),
    plain("BUDGET_CALLS", "60", "The most model calls that one job may make. 0: no limit.").live(),
    plain("BUDGET_COST", "0", "The most money that one job may cost, in the unit of LLM_PROMPT_PRICE. 0: no limit.").live(),
    plain(
        "BUDGET_REPOSITORY_DAY_TOKENS",
        "0",
        "The most tokens that the jobs of one repository may use in a day (UTC), on all servers together. 0: no limit.",
    ).live(),
    plain(
        "BUDGET_REPOSITORY_DAY_CALLS",
        "0",
        "The most model calls that the jobs of one repository may make in a day. 0: no limit.",
    ).live(),
    plain(
        "BUDGET_REPOSITORY_DAY_COST",
        "0",
        "The most money that the jobs of one repository may cost in a day, in the unit of LLM_PROMPT_PRICE. 0: no limit.",
    ).live(),
    plain("BUDGET_DAY_TOKENS", "0", "The most tokens that all jobs together may use in a day (UTC). 0: no limit.").live(),
    plain("BUDGET_DAY_CALLS", "0", "The most model calls that all jobs together may make in a day. 0: no limit.").live(),
    plain("BUDGET_DAY_COST", "0", "The most money that all jobs together may cost in a day. 0: no limit.").live(),
    plain("JOB_TIMEOUT", "7200", "Seconds that a worker may spend on one job.").live(),
    plain(
        "KEEP_MODEL_CALLS",
        "true",
        "Whether the model's prompts and answers are kept for users to read, with secrets masked; as long as task logs.",
    ).live(),
    plain("REVIEW_PLANS", "false", "Whether each plan needs approval before anything is changed.").live(),
    plain(
        "FIX_ATTEMPTS",
        "2",
        "How many attempts a fix may take. The next one begins anew after tests that fail or a tree that does not build, and knows \
         what the one before changed and what failed; the best one counts.",
    ).live(),
    plain(
        "REVIEW_MODEL",
        "",
        "The model that reads each change, with the issue and nothing else, before it is tested. What blocks the change goes back \
         once; the pull request shows what is left. Empty: nobody does.",
    ).live(),
    plain("FIX_STEPS", "24", "How often the model may answer in one attempt.").live(),
    plain(
        "FIX_WINDOW",
        "24000",
        "How long the conversation with the model may grow, in tokens, before what it looked at first is shortened.",
    ).live(),
    plain(
        "RETRY_WAIT",
        "30",
        "Seconds until a job is retried; doubled with each retry. A comment or pull request is retried after a sixth of it.",
    ).live(),
    plain("MAX_ATTEMPTS", "3", "How often a job is tried while the forge or the model is unavailable.").live(),
    plain(
        "PATCHWRIGHT_REPORT_FILES",
        "analysis",
        "Whether `agent/analysis.md`, `agent/patch_plan.json` and `agent/report.txt` are committed: `analysis` (only when nothing was fixed), `branch` (always) or `none`.",
    ).live(),
    plain(
        "SANDBOX",
        "require",
        "`require`: run a repository's code only where a backend isolates it from this machine, and refuse it elsewhere. `best-effort`: isolate it where that works, and otherwise run it as this user with resource limits; only for code that you trust like your own. `patchwright doctor` says what this machine can do.",
    ),
    plain(
        "SANDBOX_BACKEND",
        "auto",
        "What isolates: `auto` (bubblewrap where it works), `bwrap`, `podman` or `docker` (with `SANDBOX_IMAGES`), `none`. See `docs/sandbox.md`.",
    ),
    plain(
        "SANDBOX_IMAGES",
        "",
        "The images in which `podman` or `docker` run tests, comma separated: `python=IMAGE`, `cargo=IMAGE`, `npm=IMAGE`, …, or `IMAGE` for all others. They must be on the machine already; none is fetched.",
    ),
    plain(
        "SANDBOX_ENGINE_ARGS",
        "",
        "Arguments of `podman` or `docker` before their command, comma separated, such as `--runtime=/usr/bin/runc`.",
    ),
    plain("SANDBOX_TIMEOUT", "900", "Seconds that one run of a test suite may take."),
    plain("VERIFY_TIMEOUT", "1800", "Seconds that all test runs of a job may take together."),
    plain("SANDBOX_MEMORY", "4096", "Mebibytes of memory that all processes of a run may have together."),
    plain("SANDBOX_PROCESSES", "1024", "How many processes and threads a run may have."),
    plain("SANDBOX_DISK", "10240", "Mebibytes that a run may write."),
    plain(
        "SANDBOX_READABLE",
        "",
        "Further files and folders of this machine that a repository's code may read, comma separated. It reads the system and the tool chains on the `PATH` anyway.",
    ),
    plain(
        "SANDBOX_REGISTRIES",
        "index.crates.io, static.crates.io, registry.npmjs.org, pypi.org, files.pythonhosted.org, proxy.golang.org, sum.golang.org",
        "The hosts of package registries from which the packages of a repository may be fetched, comma separated; `*.example.org` stands for all hosts below. Code of a repository or of a package never has a network. Empty: nothing is fetched.",
    ),
    plain(
        "SANDBOX_CACHE",
        "",
        "The folder in which fetched packages and prepared environments are kept. Default: `{DATA_DIR}/environments`; for `verify` and `run`: `~/.cache/patchwright`.",
    ),
    plain("SANDBOX_CACHE_SIZE", "20480", "Mebibytes of prepared environments that are kept."),
    plain("GIT_TIMEOUT", "120", "Seconds that one clone or push may take."),
    plain("GIT_PROXY", "", "A proxy for git. HTTP_PROXY and HTTPS_PROXY do not apply to git."),
    plain(
        "GIT_CACHE",
        "",
        "The folder in which fetched repositories and unchanged working copies are kept for the next job. Default: `{DATA_DIR}/git`; for `run`: `~/.cache/patchwright/git`. Keep it on the file system of DATA_DIR.",
    ),
    plain(
        "GIT_CACHE_SIZE",
        "20480",
        "Mebibytes that GIT_CACHE may have; the repositories that were used longest ago are deleted. 0: nothing is kept, and every job clones anew.",
    ),
    plain(
        "GIT_HISTORY",
        "8000",
        "How many commits of a repository's history are fetched beside its first job, for `locate`. 0: none.",
    ),
    plain(
        "MAX_REPOSITORY_MB",
        "4096",
        "Mebibytes that a repository may have: what is fetched at once, and all files of a commit together.",
    ),
    plain("MAX_FILES", "500000", "How many files a commit may have."),
    plain(
        "GIT_MEMORY_MB",
        "2048",
        "Mebibytes of memory for the process that fetches and checks out a repository, and a quarter of it for one file.",
    ),
    plain(
        "GIT_SSH_KEY",
        "",
        "The file of the private key for `ssh://` remotes. Default: the ssh agent and the keys of this user.",
    ),
    plain(
        "GIT_SSH_KNOWN_HOSTS",
        "",
        "The file with the keys of the hosts of `ssh://` remotes; others are refused then. Default: the file of this user.",
    ),
    plain(
        "COMMIT_SIGNING_KEY",
        "",
        "The key that signs commits: the file of a private ssh key (Ed25519 or RSA, without a passphrase), or `gpg:ID` for a key of gpg. Nodes sign with their own.",
    ),
    plain("ALLOW_CLEAR_HTTP", "false", "Whether credentials may be sent over unencrypted `http` to other machines."),
    plain("HTTP_PROXY", "", "A proxy for `http://` requests to forges and the model."),
    plain("HTTPS_PROXY", "", "A proxy for `https://` requests to forges and the model."),
    plain("NO_PROXY", "", "Hosts that are reached without a proxy, comma separated."),
    plain("CA_BUNDLE", "", "A PEM file with certificates to trust in addition to the system's."),
    secret(
        "SMTP_URL",
        "The mail server for notifications: `smtps://user:password@host`, `smtp://host:587?tls=required`.",
    ),
    plain("SMTP_FROM", "patchwright <patchwright@localhost>", "The sender of its mails."),
    plain(
        "ALLOW_PRIVATE_ADDRESSES",
        "false",
        "Whether notifications may be sent to loopback, private and link-local addresses.",
    ),
    plain(
        "OIDC_ISSUER",
        "",
        "The issuer URL of the OpenID Connect provider, exactly as its discovery document has it: `https://keycloak.example/realms/main`. The redirect URI is `{PUBLIC_URL}/api/v1/auth/oidc/callback`.",
    ),
    plain("OIDC_CLIENT_ID", "", "The client id of this server at the provider."),
    secret("OIDC_CLIENT_SECRET", "The client secret of this server at the provider."),
    plain("OIDC_SCOPES", "openid profile email", "The scopes that are requested."),
    plain("OIDC_LOGIN_CLAIM", "preferred_username", "The claim that provides a user's login."),
    plain(
        "OIDC_ADMIN_GROUP",
        "",
        "The group or role at the provider (`groups`, `roles`, `realm_access.roles`) whose members are administrators; other users of the provider are not. Empty: roles are managed in this server.",
    ),
    plain(
        "READY_WHEN",
        "proven",
        "What makes a pull request ready for review; all others stay drafts. `proven`: a test failed before the change and passes after it. `proven_by_existing_test`: a test that the repository had before, as it was. `proven_and_ci`: in addition to `proven`, the checks of the repository's own CI pass, or failed before the change too.",
    ).live(),
    plain(
        "AUTO_REBASE",
        "off",
        "Whether the branch of an open pull request is rebased and tested again without being asked, within ten minutes: `conflict` (when it conflicts with its base), `behind` (also when the forge wants it to have the newest commits of its base) or `off`. For GitHub, and for GitCode as far as it says that there is a conflict.",
    ),
    plain(
        "PUSH_TO",
        "branch",
        "Where the branches of jobs are pushed. `branch`: to the repository. `fork`: to a fork of the account of GITHUB_TOKEN, which is made when it is needed; that account needs no write access to the repository. Forks are for GitHub with a token, not for a GitHub App.",
    ),
    plain(
        "SIGN_OFF",
        "false",
        "Whether commits are signed off by their author (`Signed-off-by`), as repositories with a Developer Certificate of Origin want it.",
    ).live(),
    plain(
        "EDITABLE_PATHS",
        "",
        "Protected files that jobs may change after all, separated by commas: `Cargo.lock` (in any folder), `.github/ISSUE_TEMPLATE/` (a folder), `deploy/*.lock`. Without it, files of the CI, of tools and agents, lock files and files for secrets are refused.",
    ).live(),
    plain("AUTHOR_NAME", "patchwright", "The name of the author of commits.").live(),
    plain("AUTHOR_EMAIL", "patchwright@users.noreply.localhost", "The e-mail address of the author of commits.").live(),
];

impl Setting {
    const fn live(self) -> Self {
        Self { live: true, ..self }
    }

    /// Returns the key in `patchwright.toml`: the name in lower case, without the prefix `PATCHWRIGHT_`.
    pub fn key(&self) -> String {
        self.name.strip_prefix("PATCHWRIGHT_").unwrap_or(self.name).to_lowercase()
    }
}

/// Renders `docs/configuration.md`.
pub fn documentation() -> String {
    let mut out = "# Configuration\n\n\
        Sources, lowest precedence first: the defaults below, the file of `--config` (or \
        `patchwright/patchwright.toml` in the user's configuration folder, `~/.config`), what an administrator changed while the \
        server ran (settings marked *runtime*; on the settings page, over the API or with `patchwright settings`), the \
        environment, `--set NAME=VALUE`. `patchwright config` prints every value and its source, \
        secrets masked. A file in the working directory is not read: a \
        repository could bring one. The server does not start with an unknown key or an invalid value; the error names it.\n\n\
        In the file a key is the variable's name in lower case, without `patchwright_`: `bind = \
        \"0.0.0.0:8080\"`. Lists may be arrays.\n"
        .to_owned();
    for setting in SETTINGS {
        if let Some(group) = GROUPS.iter().find(|group| group.first == setting.name) {
            out.push_str(&format!("\n## {}\n\n| variable | default | meaning |\n| --- | --- | --- |\n", group.title));
        }
        let default = if setting.default.is_empty() { String::new() } else { format!("`{}`", setting.default) };
        let secret = match (setting.secret, setting.live) {
            (true, true) => " *(secret, runtime)*",
            (true, false) => " *(secret)*",
            (false, true) => " *(runtime)*",
            (false, false) => "",
        };
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
        let at = |first: &str| SETTINGS.iter().position(|setting| setting.name == first);
        let parts: Vec<_> = GROUPS.iter().map(|group| at(group.first)).collect();
        assert!(parts.first() == Some(&Some(0)) && parts.iter().all(Option::is_some) && parts.is_sorted(), "{parts:?}");
        assert_eq!(group_of("GITHUB_TOKEN").0, "GitHub");
    }

    #[test]
    fn the_documentation_is_made_from_the_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, documentation()).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert_eq!(written, documentation(), "run the tests with UPDATE_DOCS=1 to regenerate it");
    }
}
