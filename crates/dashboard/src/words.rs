//! What the pages say, in each language. A word that one language lacks does not compile.

use patchwright_domain::job::report::Verdict;
use patchwright_domain::{IssueStatus, JobStatus};

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
    /// Both.
    pub const ALL: [Self; 2] = [Self::English, Self::Chinese];

    /// The one that a browser prefers, by its `Accept-Language`.
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

    /// Its code in cookies and addresses.
    pub const fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Chinese => "zh",
        }
    }

    /// Its code in HTML.
    pub const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Chinese => "zh-CN",
        }
    }

    /// Reads [`Self::code`] back.
    pub fn parse(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|language| language.code() == code)
    }

    /// What it calls itself.
    pub const fn name(self) -> &'static str {
        match self {
            Self::English => "English",
            Self::Chinese => "中文",
        }
    }

    /// What it says.
    pub const fn words(self) -> &'static Words {
        match self {
            Self::English => &ENGLISH,
            Self::Chinese => &CHINESE,
        }
    }
}

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident: $english:literal, $chinese:literal;)*) => {
        /// The words of one language.
        #[derive(Debug)]
        pub struct Words { $($(#[$doc])* pub $name: &'static str,)* }
        const ENGLISH: Words = Words { $($name: $english,)* };
        const CHINESE: Words = Words { $($name: $chinese,)* };
    };
}

words! {
    /// The link over everything that leads to the page itself, for who cannot see.
    skip: "Skip to content", "跳到内容";
    /// A page.
    issues: "Issues", "问题";
    /// A page.
    api: "API", "接口";
    /// A button.
    log_in: "Log in", "登录";
    /// A button.
    log_out: "Log out", "退出";
    /// A field.
    login: "Login", "用户名";
    /// A field.
    password: "Password", "密码";
    /// A link.
    log_in_at_provider: "Log in with your organisation", "使用组织账号登录";
    /// Said after a wrong password.
    wrong_password: "The login or the password is wrong.", "用户名或密码错误。";
    /// Said after too many.
    wait_to_log_in: "Too many wrong passwords; wait a moment.", "密码错误次数过多，请稍后再试。";
    /// A heading, where nobody was added.
    first_admin: "The first administrator", "第一位管理员";
    /// What to do then.
    first_admin_hint: "The server printed a setup token when it started.", "服务启动时已打印设置令牌。";
    /// A field.
    setup_token: "Setup token", "设置令牌";
    /// A button.
    begin: "Begin", "开始";
    /// A button.
    filter: "Filter", "筛选";
    /// A field.
    search: "Search title and text", "搜索标题和正文";
    /// A field.
    status: "Status", "状态";
    /// A field.
    repository: "Repository", "仓库";
    /// A choice.
    all: "All", "全部";
    /// A column.
    issue: "Issue", "问题";
    /// A column.
    updated: "Updated", "更新时间";
    /// A column.
    action: "Action", "操作";
    /// A link.
    next_page: "Older issues", "更早的问题";
    /// A link.
    first_page: "Newest", "最新";
    /// A button.
    start_selected: "Start selected", "批量启动";
    /// A box.
    select: "Select", "选择";
    /// Where the list is empty.
    no_issues: "No issues yet", "还没有问题";
    /// What to do then.
    no_issues_hint: "Comment “@patchwright fix” on an issue, or import a repository’s issues.", "在问题下评论“@patchwright fix”，或导入仓库的问题。";
    /// Where a filter finds nothing.
    nothing_found: "Nothing fits the filter", "没有符合条件的问题";
    /// A link.
    clear_filter: "Clear the filter", "清除筛选";
    /// The Start button of an issue that waits.
    start: "Start", "启动";
    /// The Start button of an issue at work.
    running: "Running", "运行中";
    /// The Start button of an issue that waits for people.
    pending_merge: "To be merged", "待合入";
    /// The Start button of an issue that is done.
    merged: "Merged", "已合入";
    /// The Start button of an issue that ended without.
    start_again: "Start again", "重新启动";
    /// A status.
    status_pending: "Pending", "待处理";
    /// A status.
    status_processing: "Processing", "处理中";
    /// A status.
    status_pending_merge: "To be merged", "待合入";
    /// A status.
    status_merged: "Merged", "已合入";
    /// A status.
    status_terminated: "Terminated", "终止";
    /// A status of a job.
    job_queued: "Queued", "排队中";
    /// A status of a job.
    job_running: "Running", "运行中";
    /// A status of a job.
    job_succeeded: "Succeeded", "成功";
    /// A status of a job.
    job_failed: "Failed", "失败";
    /// A status of a job.
    job_cancelled: "Cancelled", "已取消";
    /// A toast.
    started: "The job is started.", "任务已启动。";
    /// A toast.
    stopped: "The job is stopped.", "任务已停止。";
    /// A toast.
    noted_merged: "It is merged.", "已合入。";
    /// A heading.
    description: "Description", "描述";
    /// Where there is none.
    no_description: "No description.", "没有描述。";
    /// A heading.
    jobs: "Jobs", "任务";
    /// Where there is none.
    no_jobs: "Nobody has started this issue.", "还没有人启动此问题。";
    /// A column: when somebody asked.
    asked_at: "Asked", "发起时间";
    /// What the tests showed.
    fixed_proven: "Fixed: a test shows it", "已修复（测试已验证）";
    /// What the tests showed.
    unproven: "Changed; no test shows the fix", "已修改（无测试可验证）";
    /// What the tests showed.
    regressions: "Tests that passed before fail", "原本通过的测试现在失败";
    /// What the tests showed.
    still_failing: "The tests still fail", "测试仍然失败";
    /// What the tests showed.
    could_not_build: "The change does not build", "修改后无法构建";
    /// What the tests showed.
    no_tests: "Changed; there are no tests", "已修改（没有测试）";
    /// What the tests showed.
    not_run: "Changed; the tests were not run", "已修改（未运行测试）";
    /// What the tests showed.
    analysis_only: "Analysis only", "仅分析";
    /// A label.
    opened_by: "opened by", "创建者";
    /// A label.
    pull_request: "Pull request", "合并请求";
    /// A link.
    on_forge: "Open on its page", "查看原页面";
    /// A button.
    cancel: "Cancel", "取消";
    /// A button.
    merge: "Merge", "合入";
    /// A field.
    follow_up: "What else is to be done?", "还需要做什么？";
    /// A button.
    send: "Send", "发送";
    /// A column.
    asked_by: "Asked by", "发起人";
    /// A column.
    outcome: "Outcome", "结果";
    /// A label.
    language: "Language", "语言";
    /// A label.
    theme: "Appearance", "外观";
    /// A choice.
    theme_auto: "As the system", "跟随系统";
    /// A choice.
    theme_light: "Light", "浅色";
    /// A choice.
    theme_dark: "Dark", "深色";
    /// The heading of a page that says what went wrong.
    went_wrong: "That did not work", "操作未成功";
    /// The heading of a page that is not there.
    not_there: "There is no such page", "页面不存在";
    /// A link.
    back: "Back to the issues", "返回问题列表";
    /// A toast, where no answer came.
    unreachable: "The server does not answer.", "服务没有响应。";
    /// Said to those who listen when the list has changed.
    live: "Live", "实时";
}

impl Words {
    /// A status of an issue (`seeds/001`).
    pub const fn issue_status(&self, status: IssueStatus) -> &'static str {
        match status {
            IssueStatus::Pending => self.status_pending,
            IssueStatus::Processing => self.status_processing,
            IssueStatus::PendingMerge => self.status_pending_merge,
            IssueStatus::Merged => self.status_merged,
            IssueStatus::Terminated => self.status_terminated,
        }
    }

    /// The words on the Start button of an issue (`seeds/001`).
    pub const fn start_button(&self, status: IssueStatus) -> &'static str {
        match status {
            IssueStatus::Pending => self.start,
            IssueStatus::Processing => self.running,
            IssueStatus::PendingMerge => self.pending_merge,
            IssueStatus::Merged => self.merged,
            IssueStatus::Terminated => self.start_again,
        }
    }

    /// What the tests of a job showed.
    pub const fn verdict(&self, verdict: Verdict) -> &'static str {
        match verdict {
            Verdict::FixedProven => self.fixed_proven,
            Verdict::Unproven => self.unproven,
            Verdict::Regressions => self.regressions,
            Verdict::StillFailing => self.still_failing,
            Verdict::CouldNotBuild => self.could_not_build,
            Verdict::NoTests => self.no_tests,
            Verdict::NotRun => self.not_run,
            Verdict::AnalysisOnly => self.analysis_only,
        }
    }

    /// A status of a job.
    pub const fn job_status(&self, status: JobStatus) -> &'static str {
        match status {
            JobStatus::Queued => self.job_queued,
            JobStatus::Running => self.job_running,
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
