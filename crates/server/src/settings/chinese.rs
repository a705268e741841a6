//! What the settings mean, in Chinese, for the settings page.

/// Returns the description of a setting in Chinese, in Markdown.
pub(crate) fn chinese_doc(name: &str) -> Option<&'static str> {
    DOCS.iter().find(|(known, _)| *known == name).map(|(_, doc)| *doc)
}

const DOCS: &[(&str, &str)] = &[
    ("BIND", "监听的地址和端口。端口 0：任意空闲端口。"),
    ("PUBLIC_URL", "用户访问本服务的 URL，用于评论中的链接。"),
    (
        "TRUSTED_PROXIES",
        "反向代理的地址和网络，例如 `127.0.0.1, 10.0.0.0/8`。来自它们的 `Forwarded` 或 `X-Forwarded-For` 和 `X-Forwarded-Proto` 表明客户端：登录限制和日志使用其地址。",
    ),
    ("DATA_DIR", "存放数据库、密钥文件和工作副本的文件夹。"),
    ("DATABASE_URL", "`sqlite://PATH` 或 `postgres://…`。默认：`sqlite://{DATA_DIR}/patchwright.db`。"),
    (
        "PATCHWRIGHT_MASTER_KEY",
        "加密所存密钥并签署服务评论中标记的密钥。默认：`{DATA_DIR}/master.key` 中的随机密钥（权限 0600）。",
    ),
    (
        "PATCHWRIGHT_OLD_MASTER_KEYS",
        "以前的主密钥，以逗号分隔：用它们加密和签署的内容仍然有效（`patchwright rotate-keys`）。",
    ),
    ("API_TOKEN", "`/api/v1` 的 Bearer 令牌。没有时，仅当服务监听回环地址时才提供 `/api/v1`。"),
    (
        "METRICS_BIND",
        "`/metrics` 单独的地址（`docs/metrics.md`），例如 `127.0.0.1:9464`，应当只有 Prometheus 可以访问。空：没有。",
    ),
    ("METRICS_TOKEN", "在服务地址上访问 `/metrics` 的 Bearer 令牌。没有时，那里不提供 `/metrics`。"),
    ("MAX_BODY_BYTES", "可接受的 Webhook 正文的最大字节数（GitHub 自身的限制为 25 MiB）。"),
    ("MAX_IN_FLIGHT", "同时处理的投递数；更多的投递得到 503 和 `Retry-After`。"),
    ("MAX_IN_FLIGHT_BYTES", "这些投递的正文合计的最大字节数；更多的投递得到 503 和 `Retry-After`。"),
    ("WRITE_QUEUE", "等待数据库的写入数上限；更多的写入得到 503 和 `Retry-After`。"),
    (
        "GROUP_COMMIT_WAIT",
        "有其他写入正在进行时，一次写入等待更多写入共享提交的毫秒数（最多 50）。已在等待的写入总是共享提交。",
    ),
    ("DELIVERY_RETENTION", "保留投递、其正文和已完成效果的天数。处理过哪些事件在此之后仍然保留。"),
    ("DELIVERY_RETENTION_BYTES", "压缩后的投递正文合计的最大字节数；最旧的先删除。0：不限。"),
    ("LOG_RETENTION", "保留任务日志的天数。"),
    ("MODEL_CALL_RETENTION", "保留模型提示和回答的天数。"),
    ("JOB_RETENTION", "作业结束后连同其全部内容保留的天数；问题的最新作业会保留。0：永久。"),
    ("AUDIT_RETENTION", "保留审计日志条目的天数。0：永久。"),
    (
        "WORKERS",
        "同时运行的作业数。默认：CPU 核数。0：本服务接收投递并提供 API 和页面，所有作业交给同一数据库上的其他服务。",
    ),
    ("EMBEDDED_NODE", "作业是否也在本进程中运行。`false`：仅在节点上运行（`docs/nodes.md`）。"),
    ("NODE_LABELS", "本机的标签，作业可以要求它们，例如 `gpu`；以逗号分隔。节点会加上其操作系统和 CPU 架构。"),
    ("AI_COMMANDS", "可以代替内置阶段进行修改的程序预设：`name=命令行`，以分号分隔（`docs/nodes.md`）。"),
    ("COMMAND_TIMEOUT", "此类程序可以运行的秒数。"),
    ("ALLOW_FREE_COMMANDS", "管理员是否可以用任意命令行启动问题并由本机运行。"),
    ("NODE_CAPACITY", "`patchwright node` 同时运行的任务数。默认：CPU 核数。"),
    ("JOBS_PER_REPOSITORY", "同一仓库在所有服务上同时运行的作业数。0：不限。"),
    ("JOBS_PER_ACTOR", "同一用户在所有服务上同时运行的作业数。0：不限。"),
    ("SHUTDOWN_TIMEOUT", "收到 SIGTERM 后，运行中的作业在放回队列之前可以用来完成的秒数。"),
    (
        "LEASE_TIMEOUT",
        "工作进程的租约在没有续期时失效、由另一个接管作业的秒数，最多 600。被杀死的服务的作业要等待这么久。",
    ),
    ("NODE_SILENT_LIMIT", "第三方节点不应答 `GET /health` 时，处理任务而无任何消息的秒数上限。"),
    (
        "LOG_LEVEL",
        "`error`、`warn`、`info`、`debug` 或 `trace`，不分大小写；Python 的名称（`WARNING`、`CRITICAL`）含义相同。",
    ),
    ("LOG_FILTER", "按程序部分设定的级别，代替 `LOG_LEVEL`：例如 `info,patchwright_engine=debug`。"),
    ("LOG_FORMAT", "`text`（文本）或 `json`。"),
    ("LANGUAGE", "评论和合并请求的语言：`auto`（与请求或问题的语言相同）、`en` 或 `zh`。"),
    ("APP_NAME", "用户提及以启动作业的名称，不含 `@`。"),
    (
        "BOT_USERNAME",
        "本服务自己账号的登录名：其评论不会启动任何作业；将问题指派给它会启动作业。默认：`{APP_NAME}` 和 `{APP_NAME}[bot]`。",
    ),
    ("PLATFORM", "发往 `/api/webhook` 且没有事件标头的投递所属的平台：`github`、`gitcode` 或 `local`。"),
    ("WEBHOOK_SECRET", "签署投递的密钥。"),
    ("WEBHOOK_SECRET_PREVIOUS", "以前的密钥，仍然接受，使更换密钥时无需停机。"),
    ("TEST_MODE", "接受未签名的投递。仅限回环地址；否则服务拒绝启动。"),
    ("PATCHWRIGHT_LABEL", "启动作业的标签。"),
    ("REVIEW_FOLLOW_UPS", "对我们的合并请求提出修改要求的审阅，是否无需提及即启动后续作业。"),
    ("TRIGGER_ON_OPEN", "正文含有 `@APP_NAME fix` 的新问题是否启动作业。"),
    (
        "TRIGGER_PERMISSION",
        "`write`：只有对仓库有推送权限的用户可以启动作业。`anyone`：任何可以评论的人都可以启动作业，费用由你承担。",
    ),
    (
        "ALLOWED_USERS",
        "可以启动作业的登录名，以逗号分隔，`*` 为通配符。他们在平台上无需权限。空：TRIGGER_PERMISSION 允许的所有人。",
    ),
    ("ALLOWED_REPOS", "可以为其运行作业的仓库（`owner/name`），以逗号分隔，`*` 为通配符。空：全部。"),
    ("ALLOWLIST_MODE", "对其他所有人的回应：`forbid`（403，拒绝）或 `ignore`（200，忽略）。"),
    (
        "TRIGGERS_PER_ISSUE",
        "一个问题一小时内接受的请求数（命令、指派、标签）；超过上限的第一个会得到一条评论。0：不限。",
    ),
    ("TRIGGERS_PER_ACTOR", "同上，按用户计。"),
    ("TRIGGERS_PER_REPOSITORY", "同上，按仓库计。"),
    ("GITHUB_APP_ID", "所使用的 GitHub App 的 ID（或 Client ID）。需要其私钥。"),
    ("GITHUB_APP_PRIVATE_KEY_PATH", "App 私钥的路径，即来自 GitHub 的 PEM 文件。"),
    ("GITHUB_APP_LOGIN", "App 的登录名，例如 `patchwright-acme[bot]`，与 BOT_USERNAME 并用。由入门步骤保存。"),
    ("GITHUB_APP_PRIVATE_KEY", "该文件的内容，代替其路径。入门步骤（`/welcome`）在注册 App 时保存。"),
    ("GITHUB_TOKEN", "个人访问令牌（内容、问题和合并请求：写）。用于没有安装 GitHub App 的仓库。"),
    ("GITHUB_API_URL", "GitHub 的 API；Enterprise Server 上为 `https://HOST/api/v3`。"),
    ("GITHUB_GRAPHQL_URL", "GitHub 的 GraphQL API。默认：由 GITHUB_API_URL 得出。"),
    ("GITHUB_CLONE_URL", "仓库从 `{GITHUB_CLONE_URL}/{owner}/{name}.git` 克隆。"),
    (
        "GITHUB_REDELIVER",
        "在启动时和每十分钟重新请求最近三天失败投递的 Webhook：`app` 和 `owner/name/HOOK`，以逗号分隔。空：关闭。",
    ),
    ("POLL_REPOSITORIES", "轮询新评论中提及的 GitHub 仓库（`owner/name`），用于 GitHub 无法访问的服务。空：关闭。"),
    (
        "POLL_REGISTERED",
        "是否也轮询已添加到本服务的 GitHub 仓库。在 GitHub 无法访问本服务时，于 `/welcome` 注册 GitHub App 会设置它。",
    ),
    ("POLL_INTERVAL", "对同一仓库两次轮询之间的秒数。"),
    ("GITCODE_TOKEN", "GitCode 的个人访问令牌。启用 GitCode。"),
    ("GITCODE_PAT", "GITCODE_TOKEN 的别名。"),
    ("GITCODE_TOKEN_HEADER", "发送令牌的方式：`bearer`（在 `Authorization` 中）或 `private-token`。"),
    ("GITCODE_API_URL", "GitCode 的 API 地址。"),
    ("GITCODE_CLONE_URL", "仓库从 `{GITCODE_CLONE_URL}/{owner}/{name}.git` 克隆。"),
    ("GITCODE_BOT_USERNAME", "本服务在 GitCode 上的账号的登录名。默认：BOT_USERNAME 或 APP_NAME。"),
    ("GITCODE_BOT_ID", "本服务账号的数字 ID，Webhook 用它表示被指派人。默认：取自关于该账号操作的第一个 Webhook。"),
    (
        "GITCODE_WEBHOOK_PASSWORD",
        "Webhook 是否可以在 `X-GitCode-Token` 中直接发送 WEBHOOK_SECRET（加密类型“password”）以代替签名。",
    ),
    ("JIRA_CLIENT_ID", "Atlassian 的 OAuth 2.0 应用的 Client ID。使用户可以关联其账号（`docs/jira.md`）。"),
    ("JIRA_CLIENT_SECRET", "该应用的密钥。"),
    ("JIRA_REDIRECT_URI", "在 Atlassian 登记的回调 URL。默认：`{PUBLIC_URL}/api/v1/jira/callback`。"),
    ("JIRA_AUTH_URL", "授权端点。"),
    ("JIRA_TOKEN_URL", "令牌端点。"),
    ("JIRA_ACCESSIBLE_RESOURCES_URL", "列出令牌可访问站点的端点。"),
    ("JIRA_ME_URL", "返回令牌所属账号的端点。"),
    ("JIRA_CLOUD_API_URL", "Jira 的 API：请求发往 `{JIRA_CLOUD_API_URL}/{cloud id}/rest/api/…`。"),
    (
        "JIRA_SCOPES",
        "请求的 OAuth 范围。默认：`read:me read:jira-user read:jira-work`；JIRA_WRITE_AS=user 时还有 `write:jira-work offline_access`。",
    ),
    ("JIRA_API_VERSION", "`2`：文本为 wiki 标记。`3`：文本为 Atlassian 文档格式（ADF）。"),
    ("JIRA_WRITE_AS", "评论的作者：`service`（站点的服务账号）或 `user`（提出请求的用户；失败时为服务账号）。"),
    ("JIRA_STATUS_ON_START", "作业启动时将问题移到的工作流状态的名称。空：不移动。"),
    ("JIRA_STATUS_ON_PR", "同上，用于合并请求等待审阅时，例如 `In Review`。"),
    ("JIRA_STATUS_ON_MERGE", "同上，用于合入时，例如 `Done`。"),
    ("JIRA_TEMPLATES", "自定义模板的文件夹（`instructions.j2`、`new_conversation.j2`、`existing_conversation.j2`）。"),
    (
        "LLM_BASE_URL",
        "兼容 OpenAI 的服务器。设置了 LLM_API_KEY 时默认为 `https://api.openai.com/v1`。两者都没有时未配置模型，问题只做分析。",
    ),
    ("LLM_API_KEY", "模型服务器的 API 密钥。"),
    ("LLM_MODEL", "模型的名称。"),
    ("LLM_STREAM", "是否以流的方式接收应答。"),
    ("LLM_TOOLS", "`auto`：修复的操作以聊天 API 的工具提供，直到服务器拒绝；模型也可以用文本写出。`off`：仅用文本。"),
    ("LLM_TIMEOUT", "应答到达之前的秒数（LLM_STREAM 时为其第一部分）。"),
    ("LLM_IDLE_TIMEOUT", "LLM_STREAM 时，应答两部分之间的秒数。"),
    ("LLM_TOTAL_TIMEOUT", "一次应答总共可用的秒数。"),
    (
        "LLM_FALLBACKS",
        "LLM_MODEL 不能应答时依次询问的模型，以逗号分隔：同一服务器上的 `MODEL`，或另一服务器上的 `MODEL@ADDRESS`。连续失败三次的模型会停用半分钟，每次更久。",
    ),
    ("LLM_FALLBACK_API_KEY", "LLM_FALLBACKS 中其他服务器的 API 密钥。"),
    ("LLM_TRIES", "模型不可用时一次请求尝试的次数。"),
    ("LLM_MAX_TOKENS", "最长应答的令牌数；0：服务器的默认值。"),
    ("LLM_MAX_TOKENS_FIELD", "`max_tokens` 或 `max_completion_tokens`。服务器拒绝时会尝试另一个并记住。"),
    ("LLM_TEMPERATURE", "采样温度；空：服务器的默认值。服务器拒绝时不发送。"),
    ("LLM_PROMPT_PRICE", "一百万个提示令牌的价格，用于显示费用。"),
    ("LLM_COMPLETION_PRICE", "一百万个回答令牌的价格。"),
    ("LLM_PRICES", "价格不同的模型的价格，以逗号分隔：`MODEL=PROMPT/COMPLETION`，均按一百万个令牌计。"),
    ("LLM_RECORD", "追加记录每次模型请求及其应答的文件，其中的密钥已遮盖。"),
    ("DEMO_MODEL", "没有模型时，是否以演示仓库的录制回答代替。它们只适合其自身的问题。"),
    ("LLM_REPLAY", "代替服务器使用的录制（见 LLM_RECORD）。"),
    ("BUDGET_TOKENS", "一个作业最多可用的令牌数。0：不限。"),
    ("BUDGET_CALLS", "一个作业最多可进行的模型调用次数。0：不限。"),
    ("BUDGET_COST", "一个作业的最高费用，单位同 LLM_PROMPT_PRICE。0：不限。"),
    ("BUDGET_REPOSITORY_DAY_TOKENS", "一个仓库的作业一天（UTC）内在所有服务上最多可用的令牌数。0：不限。"),
    ("BUDGET_REPOSITORY_DAY_CALLS", "一个仓库的作业一天内最多可进行的模型调用次数。0：不限。"),
    ("BUDGET_REPOSITORY_DAY_COST", "一个仓库的作业一天内的最高费用，单位同 LLM_PROMPT_PRICE。0：不限。"),
    ("BUDGET_DAY_TOKENS", "所有作业一天（UTC）内最多可用的令牌数。0：不限。"),
    ("BUDGET_DAY_CALLS", "所有作业一天内最多可进行的模型调用次数。0：不限。"),
    ("BUDGET_DAY_COST", "所有作业一天内的最高费用。0：不限。"),
    ("JOB_TIMEOUT", "工作进程处理一个作业可用的秒数。"),
    ("KEEP_MODEL_CALLS", "是否保留模型的提示和回答供用户查看，其中的密钥已遮盖；保留时间与任务日志相同。"),
    ("REVIEW_PLANS", "修改之前是否每个方案都需要批准。"),
    (
        "FIX_ATTEMPTS",
        "一次修复最多尝试的次数。测试失败或无法构建后，下一次尝试从头开始，并知道前一次修改了什么、什么失败了；以最好的一次为准。",
    ),
    (
        "REVIEW_MODEL",
        "在测试之前只凭问题阅读每次修改的模型。阻碍修改的意见会退回一次；其余的显示在合并请求中。空：没有。",
    ),
    ("FIX_STEPS", "一次尝试中模型可以应答的次数。"),
    ("FIX_WINDOW", "与模型的对话可以增长到的令牌数，超过后缩短其最先查看的内容。"),
    ("RETRY_WAIT", "作业重试之前的秒数；每次重试加倍。评论或合并请求在其六分之一之后重试。"),
    ("MAX_ATTEMPTS", "平台或模型不可用时作业尝试的次数。"),
    (
        "PATCHWRIGHT_REPORT_FILES",
        "是否提交 `agent/analysis.md`、`agent/patch_plan.json` 和 `agent/report.txt`：`analysis`（仅在没有修复时）、`branch`（总是）或 `none`（从不）。",
    ),
    (
        "SANDBOX",
        "`require`：仅在后端能将仓库代码与本机隔离时运行，否则拒绝。`best-effort`：能隔离时隔离，否则以本用户身份在资源限制下运行；仅用于你像自己的代码一样信任的代码。`patchwright doctor` 说明本机的能力。",
    ),
    (
        "SANDBOX_BACKEND",
        "隔离的方式：`auto`（bubblewrap 可用时使用）、`bwrap`、`podman` 或 `docker`（配合 `SANDBOX_IMAGES`）、`none`（无）。见 `docs/sandbox.md`。",
    ),
    (
        "SANDBOX_IMAGES",
        "`podman` 或 `docker` 运行测试的镜像，以逗号分隔：`python=IMAGE`、`cargo=IMAGE`、`npm=IMAGE`、……，或以 `IMAGE` 用于其他所有。它们必须已在本机上；不会拉取。",
    ),
    ("SANDBOX_ENGINE_ARGS", "`podman` 或 `docker` 命令之前的参数，以逗号分隔，例如 `--runtime=/usr/bin/runc`。"),
    ("SANDBOX_TIMEOUT", "测试套件一次运行可用的秒数。"),
    ("VERIFY_TIMEOUT", "一个作业的所有测试运行合计可用的秒数。"),
    ("SANDBOX_MEMORY", "一次运行的所有进程合计可用的内存（MiB）。"),
    ("SANDBOX_PROCESSES", "一次运行可以有的进程和线程数。"),
    ("SANDBOX_DISK", "一次运行可以写入的 MiB 数。"),
    ("SANDBOX_READABLE", "仓库代码可以读取的本机其他文件和文件夹，以逗号分隔。系统和 `PATH` 上的工具链总是可读。"),
    (
        "SANDBOX_REGISTRIES",
        "可以获取仓库所需软件包的软件源主机，以逗号分隔；`*.example.org` 表示其下所有主机。仓库或软件包的代码从不能访问网络。空：不获取任何内容。",
    ),
    (
        "SANDBOX_CACHE",
        "存放已获取软件包和已准备环境的文件夹。默认：`{DATA_DIR}/environments`；`verify` 和 `run` 为 `~/.cache/patchwright`。",
    ),
    ("SANDBOX_CACHE_SIZE", "保留的已准备环境的 MiB 数。"),
    ("GIT_TIMEOUT", "一次克隆或推送可用的秒数。"),
    ("GIT_PROXY", "git 的代理。HTTP_PROXY 和 HTTPS_PROXY 不适用于 git。"),
    (
        "GIT_CACHE",
        "为下一个作业存放已获取仓库和未改动工作副本的文件夹。默认：`{DATA_DIR}/git`；`run` 为 `~/.cache/patchwright/git`。请与 DATA_DIR 放在同一文件系统上。",
    ),
    ("GIT_CACHE_SIZE", "GIT_CACHE 的 MiB 数上限；最久未用的仓库会被删除。0：什么都不保留，每个作业重新克隆。"),
    ("GIT_HISTORY", "在仓库的第一个作业之外获取多少个历史提交，供 `locate` 使用。0：不获取。"),
    ("MAX_REPOSITORY_MB", "一个仓库的 MiB 数上限：一次获取的内容，以及一个提交的全部文件。"),
    ("MAX_FILES", "一个提交的文件数上限。"),
    ("GIT_MEMORY_MB", "获取和检出仓库的进程的内存（MiB）；单个文件为其四分之一。"),
    ("GIT_SSH_KEY", "用于 `ssh://` 远端的私钥文件。默认：ssh 代理和本用户的密钥。"),
    ("GIT_SSH_KNOWN_HOSTS", "`ssh://` 远端主机密钥的文件；此时拒绝其他主机。默认：本用户的文件。"),
    (
        "COMMIT_SIGNING_KEY",
        "签署提交的密钥：ssh 私钥文件（Ed25519 或 RSA，无口令），或 gpg 密钥 `gpg:ID`。节点使用自己的密钥签署。",
    ),
    ("ALLOW_CLEAR_HTTP", "是否可以通过未加密的 `http` 向其他机器发送凭据。"),
    ("HTTP_PROXY", "对平台和模型的 `http://` 请求的代理。"),
    ("HTTPS_PROXY", "对平台和模型的 `https://` 请求的代理。"),
    ("NO_PROXY", "不经代理访问的主机，以逗号分隔。"),
    ("SMTP_URL", "发送通知的邮件服务器：`smtps://user:password@host`、`smtp://host:587?tls=required`。"),
    ("SMTP_FROM", "其邮件的发件人。"),
    ("ALLOW_PRIVATE_ADDRESSES", "通知是否可以发往回环、专用和链路本地地址。"),
    (
        "OIDC_ISSUER",
        "OpenID Connect 提供方的签发者 URL，须与其发现文档完全一致：`https://keycloak.example/realms/main`。重定向 URI 为 `{PUBLIC_URL}/api/v1/auth/oidc/callback`。",
    ),
    ("OIDC_CLIENT_ID", "本服务在提供方的 Client ID。"),
    ("OIDC_CLIENT_SECRET", "本服务在提供方的 Client Secret。"),
    ("OIDC_SCOPES", "请求的范围。"),
    ("OIDC_LOGIN_CLAIM", "提供用户登录名的声明（claim）。"),
    (
        "OIDC_ADMIN_GROUP",
        "其成员为管理员的提供方组或角色（`groups`、`roles`、`realm_access.roles`）；提供方的其他用户不是管理员。空：角色在本服务中管理。",
    ),
    ("CA_BUNDLE", "除系统证书之外信任的证书的 PEM 文件。"),
    (
        "READY_WHEN",
        "何时将合并请求标记为可审阅；其他的保持草稿。`proven`：有测试在修改前失败、修改后通过。`proven_by_existing_test`：仓库原有且未改动的测试。`proven_and_ci`：除 `proven` 外，仓库自身 CI 的检查通过，或在修改前就失败。",
    ),
    (
        "AUTO_REBASE",
        "是否在十分钟内自动对打开的合并请求的分支变基并重新测试：`conflict`（与目标分支冲突时）、`behind`（平台要求包含目标分支最新提交时也执行）或 `off`（关闭）。适用于 GitHub；GitCode 上仅限其报告冲突时。",
    ),
    (
        "PUSH_TO",
        "作业分支推送到哪里。`branch`：推送到仓库。`fork`：推送到 GITHUB_TOKEN 账号的派生仓库，需要时创建；该账号无需对仓库的写权限。派生仓库适用于使用令牌的 GitHub，不适用于 GitHub App。",
    ),
    ("SIGN_OFF", "提交是否由其作者签署（`Signed-off-by`），如采用开发者来源证书（DCO）的仓库所要求。"),
    (
        "EDITABLE_PATHS",
        "作业仍可修改的受保护文件，以逗号分隔：`Cargo.lock`（任意文件夹中）、`.github/ISSUE_TEMPLATE/`（一个文件夹）、`deploy/*.lock`。没有时，拒绝修改 CI、工具和代理的文件、锁文件和密钥文件。",
    ),
    ("AUTHOR_NAME", "提交作者的姓名。"),
    ("AUTHOR_EMAIL", "提交作者的电子邮件地址。"),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::SETTINGS;

    #[test]
    fn every_setting_is_described_in_chinese_with_the_same_names_and_examples() {
        let quoted = |text: &str| text.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
        for setting in SETTINGS {
            let chinese = chinese_doc(setting.name).unwrap_or_else(|| panic!("{} is not there", setting.name));
            let (mut ours, mut theirs) = (quoted(setting.doc), quoted(chinese));
            ours.retain(|word| word.is_ascii() && !word.contains("command line"));
            theirs.retain(|word| word.is_ascii());
            ours.sort_unstable();
            theirs.sort_unstable();
            ours.dedup();
            theirs.dedup();
            let missing: Vec<_> = ours.iter().filter(|word| !theirs.contains(word)).collect();
            assert!(missing.is_empty(), "{}: {missing:?} is not in the Chinese text", setting.name);
        }
        assert_eq!(DOCS.len(), SETTINGS.len());
    }
}
