//! What other programs and services refuse: the forge, git, the model's server, the database.

use super::Sentence;

pub(super) const SENTENCES: &[Sentence] = &[
    // Forges.
    (
        "this server cannot keep forks up to date there; set PUSH_TO=branch",
        "本服务无法在那里保持派生仓库最新；请设置 PUSH_TO=branch",
    ),
    (
        "{} was not found on {}; check the name, and that the token may read it",
        "在 {1} 上没有找到 {0}；请检查名称，并确认令牌可以读取",
    ),
    ("{} refused the credentials ({}); set a valid token", "{} 拒绝了凭据（{}）；请设置有效的令牌"),
    (
        "{} does not allow this token to {} ({}); grant the permission or use another token",
        "{} 不允许此令牌执行“{}”（{}）；请授予权限或使用另一个令牌",
    ),
    ("{} refused to {}: {}", "{} 拒绝“{}”：{}"),
    ("{} limits the rate of requests", "{} 限制请求频率"),
    ("{} cannot be reached or fails ({})", "无法连接 {} 或其出错（{}）"),
    ("{} sent an invalid response to `{}`", "{} 对 `{}` 的应答无效"),
    // Git.
    (
        "the repository {} was not found; check the address, and that the token may read it",
        "没有找到仓库 {}；请检查地址，并确认令牌可以读取",
    ),
    ("the repository {} is empty; push a first commit", "仓库 {} 为空；请推送第一个提交"),
    ("the repository {} has no branch `{}`; name another base branch", "仓库 {} 没有分支 `{}`；请指定另一个基础分支"),
    ("{} refused the credentials; set a token that may read and write it", "{} 拒绝了凭据；请设置可以读写它的令牌"),
    ("the address {} cannot be used: {}", "地址 {} 无法使用：{}"),
    (
        "the address {} cannot be used: a token would travel in clear text; use https, or allow clear http",
        "地址 {} 无法使用：令牌会以明文传输；请使用 https，或允许明文 http",
    ),
    ("the option {} cannot be used: {}", "选项 {} 无法使用：{}"),
    ("the repository {} is too large to work on: {}", "仓库 {} 过大，无法处理：{}"),
    (
        "the repository {} is too large to work on: {}; free space there, or raise the limit",
        "仓库 {} 过大，无法处理：{}；请释放空间，或调大限制",
    ),
    ("the repository {} cannot be checked out: {}", "无法检出仓库 {}：{}"),
    (
        "the repository {} uses {}, which is not supported; convert it, or work on a copy in git's default format",
        "仓库 {} 使用不受支持的 {}；请转换它，或使用 git 默认格式的副本",
    ),
    ("`{}` is not pushed: {}", "没有推送 `{}`：{}"),
    (
        "{} does not allow this token to push ({}); give it write access to the repository",
        "{} 不允许此令牌推送（{}）；请授予其对仓库的写权限",
    ),
    ("the remote refused the push of `{}`: {}", "远端拒绝推送 `{}`：{}"),
    (
        "the remote refused the push of `{}`: {}; allow this account to push to such branches",
        "远端拒绝推送 `{}`：{}；请允许此账号推送到这类分支",
    ),
    ("the commit cannot be signed: {}", "无法签名提交：{}"),
    ("the branch `{}` has moved on the remote; somebody else pushed to it", "远端的分支 `{}` 已移动；有其他人推送过"),
    (
        "the branch `{}` cannot be rebased: it has more than {} commits of its own",
        "分支 `{}` 无法变基：其自有提交超过 {} 个",
    ),
    ("the path `{}` leads out of the working copy through a symbolic link", "路径 `{}` 通过符号链接离开了工作副本"),
    ("{} took longer than {} s", "{} 超过 {} 秒"),
    ("`{}` cannot be a branch name: {}", "`{}` 不能作为分支名：{}"),
    ("`{}` cannot be a path in the repository: {}", "`{}` 不能作为仓库中的路径：{}"),
    ("it is empty", "为空"),
    ("it is longer than 200 bytes", "超过 200 字节"),
    ("it begins with `-`", "以 `-` 开头"),
    ("it holds a space, a control character or one of ~ ^ : ? * [ \\", "含有空格、控制字符或 ~ ^ : ? * [ \\ 之一"),
    ("it holds `..` or `@{`", "含有 `..` 或 `@{`"),
    ("it ends with `.`, or a `/` stands at an end or twice", "以 `.` 结尾，或 `/` 位于两端或重复"),
    ("a part begins with `.` or ends with `.lock`", "某一部分以 `.` 开头或以 `.lock` 结尾"),
    ("it is a full reference or HEAD, not a branch", "它是完整引用或 HEAD，不是分支"),
    ("it is too long", "过长"),
    ("it is absolute", "是绝对路径"),
    ("it holds a control character or a backslash", "含有控制字符或反斜杠"),
    ("a part is empty", "某一部分为空"),
    ("it holds `.` or `..`", "含有 `.` 或 `..`"),
    ("it reaches into `.git`", "进入了 `.git`"),
    ("it names a Windows device", "是 Windows 设备名"),
    // The model.
    (
        "the model server refused the request ({}); check the API key (LLM_API_KEY) and the model (LLM_MODEL)",
        "模型服务器拒绝了请求（{}）；请检查 API 密钥（LLM_API_KEY）和模型（LLM_MODEL）",
    ),
    (
        "the model server does not have the model ({}); check LLM_MODEL and LLM_BASE_URL",
        "模型服务器没有该模型（{}）；请检查 LLM_MODEL 和 LLM_BASE_URL",
    ),
    ("the model server refuses the parameter `{}` ({}); change {}", "模型服务器拒绝参数 `{}`（{}）；请修改 {}"),
    (
        "the model server gives no answers of that length ({}); lower LLM_MAX_TOKENS",
        "模型服务器不给出这么长的回答（{}）；请调小 LLM_MAX_TOKENS",
    ),
    (
        "the model account has no quota left ({}); top it up or use another key",
        "模型账号的额度已用完（{}）；请充值或使用另一个密钥",
    ),
    (
        "the prompt is too long for the model ({}); choose a model with a larger context (LLM_MODEL)",
        "提示对该模型过长（{}）；请选择上下文更大的模型（LLM_MODEL）",
    ),
    (
        "the model server at {} cannot answer now ({}); check the server and its address",
        "位于 {} 的模型服务器暂时不能应答（{}）；请检查该服务器及其地址",
    ),
    (
        "the model's answer was cut off at its length limit; raise the limit on tokens (LLM_MAX_TOKENS)",
        "模型的回答因长度限制被截断；请调大令牌上限（LLM_MAX_TOKENS）",
    ),
    ("the model's answer cannot be used: it is empty", "模型的回答无法使用：回答为空"),
    ("the model refused to answer: {}", "模型拒绝回答：{}"),
    (
        "the model server's content filter withheld the answer; use another model (LLM_MODEL), or change the filter",
        "模型服务器的内容过滤器扣留了回答；请使用另一个模型（LLM_MODEL），或修改过滤器",
    ),
    ("the model's answer cannot be used: {}", "模型的回答无法使用：{}"),
    // The database.
    ("the {} was changed meanwhile", "{}在此期间已被修改"),
    ("the delivery is known already", "此投递已经收到过"),
    (
        "the database has the schema {}, and this version knows up to {}; use the newer version again, or restore a backup from before the upgrade",
        "数据库的结构版本为 {}，而本版本最多支持 {}；请重新使用较新的版本，或恢复升级前的备份",
    ),
    ("the database has invalid data or sent an invalid response: {}", "数据库含有无效数据或发送了无效应答：{}"),
    // Deliveries.
    (
        "the delivery carries no signature; set the webhook's secret on the platform",
        "投递没有签名；请在平台上设置 Webhook 密钥",
    ),
    (
        "the delivery's signature is wrong; check that both sides have the same webhook secret",
        "投递的签名错误；请确认两侧的 Webhook 密钥相同",
    ),
    ("the header {} is missing or malformed", "标头 {} 缺失或格式错误"),
    ("{} is not an event of {}", "{} 不是 {} 的事件"),
    ("the body cannot be read: {}", "无法读取正文：{}"),
    ("the field {} cannot be used", "字段 {} 无法使用"),
    ("missing field `{}`", "缺少字段 `{}`"),
    ("it is nested deeper than {} levels", "嵌套超过 {} 层"),
    // Connections.
    ("the connection failed", "连接失败"),
    ("the answer is larger than {} bytes", "应答超过 {} 字节"),
    ("the address cannot be used: {}", "地址无法使用：{}"),
    (
        "{} is an address of a private network, which HttpOptions::public_only does not allow",
        "{} 是专用网络的地址，不允许使用",
    ),
    ("{} has no public address", "{} 没有公网地址"),
];
