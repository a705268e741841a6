//! The sentences of comments and descriptions, in both languages. Placeholders stand in braces.

use patchwright_domain::job::FailureOrigin;
use patchwright_domain::job::ci::{CiOutcome, CiState};
use patchwright_domain::job::report::{Proof, ReadyWhen, Verdict};
use patchwright_domain::job::stage::StageStatus;
use patchwright_domain::trigger::Translated;

// The progress comment.
pub(super) const PLAN_WAITS: Translated =
    Translated::new("**{app}** has a plan, which waits for approval.", "**{app}** 已制定方案，等待批准。");
pub(super) const CONTINUES: Translated = Translated::new("**{app}** will continue shortly.", "**{app}** 稍后继续。");
pub(super) const QUEUED_BEHIND: Translated = Translated::new(
    "**{app}** has queued this and will continue on the same branch when the previous job has ended.",
    "**{app}** 已将其加入队列，上一个任务结束后会在同一分支上继续。",
);
pub(super) const QUEUED: Translated =
    Translated::new("**{app}** has queued this and will start shortly.", "**{app}** 已将其加入队列，稍后开始。");
pub(super) const RUNNING: Translated = Translated::new("**{app}** is working on this.", "**{app}** 正在处理。");
pub(super) const PUBLISHING: Translated =
    Translated::new("**{app}** is done and publishes the result.", "**{app}** 已完成，正在发布结果。");
pub(super) const ENDED: Translated = Translated::new("**{app}**: {outcome}", "**{app}**：{outcome}");
pub(super) const PULL_REQUEST: Translated =
    Translated::new("\nPull request: #{number}{place}\n", "\n合并请求：#{number}{place}\n");
pub(super) const APPROVE_IT: Translated = Translated::new(
    "\nApprove it {page}, or comment `@{app} approve` or `@{app} cancel`.\n",
    "\n可{page}批准，或评论 `@{app} 批准`、`@{app} 取消`。\n",
);
pub(super) const ON_ITS_PAGE: Translated =
    Translated::new("on [its page]({url}/jobs/{job})", "在[任务页面]({url}/jobs/{job})上");
pub(super) const WITH_THE_COMMAND: Translated =
    Translated::new("with `patchwright jobs approve {job}`", "用 `patchwright jobs approve {job}` ");

// The plan.
pub(super) const CAUSE: Translated = Translated::new("\n### Cause\n\n{cause}\n", "\n### 原因\n\n{cause}\n");
pub(super) const PLANNED: Translated =
    Translated::new("\n### Planned changes\n\n{strategy}\n\n", "\n### 计划的修改\n\n{strategy}\n\n");
pub(super) const RISKS: Translated = Translated::new("\n### Risks\n\n", "\n### 风险\n\n");

// The description of the pull request.
pub(super) const ANALYSIS_ONLY: Translated = Translated::new(
    "> **Analysis only.** No model is configured, so the files were ranked and nothing was changed.\n\n",
    "> **仅分析。** 未配置模型，因此只对文件排序，没有修改任何内容。\n\n",
);
pub(super) const RECORDED: Translated =
    Translated::new("> **Demo.** The model's answers are a recording.\n\n", "> **演示。** 模型的回答为预先录制。\n\n");
pub(super) const PANEL_IS_LIVE: Translated = Translated::new(
    "> **{app}** is still working on this; the panel below is live.\n\n",
    "> **{app}** 仍在处理；下面的面板会实时更新。\n\n",
);
pub(super) const FOLLOW_UP: Translated = Translated::new(
    "> Follow-up of job `{job}`, requested by {actor}. {words}\n\n",
    "> 任务 `{job}` 的后续，由 {actor} 请求。{words}\n\n",
);
pub(super) const FOLLOW_UP_FAILED: Translated = Translated::new(
    "> The follow-up job `{job}`, requested by {actor}, failed. What is below still holds.\n\n",
    "> 由 {actor} 请求的后续任务 `{job}` 失败。以下内容仍然有效。\n\n",
);
pub(super) const FOLLOW_UP_CANCELLED: Translated = Translated::new(
    "> The follow-up job `{job}`, requested by {actor}, was cancelled. What is below still holds.\n\n",
    "> 由 {actor} 请求的后续任务 `{job}` 已取消。以下内容仍然有效。\n\n",
);
// Forges read the keyword, so it is the same in every language.
pub(super) const CLOSES: Translated = Translated::new("Closes {issue} ({url})\n\n", "Closes {issue} ({url})\n\n");
pub(super) const BELONGS_TO: Translated = Translated::new("For {issue} ({url})\n\n", "相关问题：{issue} ({url})\n\n");

// The result comment.
pub(super) const PULL_REQUEST_MERGED: Translated =
    Translated::new("\nPull request #{number} is merged: {url}\n", "\n合并请求 #{number} 已合入：{url}\n");
pub(super) const PULL_REQUEST_CLOSED: Translated =
    Translated::new("\nPull request #{number} is closed: {url}\n", "\n合并请求 #{number} 已关闭：{url}\n");
pub(super) const PULL_REQUEST_DRAFT: Translated =
    Translated::new("\nPull request #{number} is a draft: {url}\n", "\n合并请求 #{number} 是草稿：{url}\n");
pub(super) const PULL_REQUEST_READY: Translated =
    Translated::new("\nPull request #{number} is ready for review: {url}\n", "\n合并请求 #{number} 可以评审：{url}\n");
pub(super) const NOT_ALL_PUBLISHED: Translated = Translated::new(
    "\nNot everything could be published: the forge refused it or did not answer. The job's page has the details.\n",
    "\n未能发布全部内容：代码平台拒绝了请求或没有应答。详情见任务页面。\n",
);
pub(super) const ERROR: Translated =
    Translated::new("\nError: {reason}\n\nWhat to do: {remedy}\n", "\n错误：{reason}\n\n处理办法：{remedy}\n");
pub(super) const ERROR_IN_STAGE: Translated = Translated::new(
    "\nError in `{stage}`: {reason}\n\nWhat to do: {remedy}\n",
    "\n`{stage}` 出错：{reason}\n\n处理办法：{remedy}\n",
);
pub(super) const OUTPUT_END: Translated = Translated::new(
    "\n<details><summary>End of the test output</summary>\n\n{log}\n\n</details>\n",
    "\n<details><summary>测试输出的结尾</summary>\n\n{log}\n\n</details>\n",
);
pub(super) const TRY_AGAIN: Translated =
    Translated::new("\nTo try again, comment `@{app} retry`.\n", "\n如需重试，请评论 `@{app} 重试`。\n");

// Replies.
pub(super) const NO_JOB: Translated = Translated::new(
    "There is no job for this issue. Comment `@{app} fix` to start one.\n",
    "该问题没有任务。评论 `@{app} 修复` 可启动一个。\n",
);
pub(super) const TOO_MANY: Translated = Translated::new(
    "The limit of {count} requests per hour on one issue is reached. Further requests on this issue are ignored for up to an \
     hour.\n",
    "已达到单个问题每小时 {count} 次请求的上限。一小时内对该问题的其他请求将被忽略。\n",
);

// Tables.
pub(super) const STAGES: Translated = Translated::new(
    "| stage | state | time | tokens |\n| --- | --- | --- | --- |\n",
    "| 阶段 | 状态 | 用时 | 令牌 |\n| --- | --- | --- | --- |\n",
);
pub(super) const RETRYING: Translated = Translated::new("⏳ retrying", "⏳ 重试中");
pub(super) const TESTS_NOT_RUN: Translated =
    Translated::new("\n**Tests were not run:** {why}\n", "\n**未运行测试：**{why}\n");
pub(super) const TESTS: Translated = Translated::new(
    "\n### Tests\n\n{command} (isolation: {isolation})\n\n| run | passed | failed | skipped | total |\n\
     | --- | --- | --- | --- | --- |\n",
    "\n### 测试\n\n{command}（隔离：{isolation}）\n\n| 运行 | 通过 | 失败 | 跳过 | 总数 |\n| --- | --- | --- | --- | --- |\n",
);
pub(super) const BEFORE: Translated = Translated::new("before", "修改前");
pub(super) const AFTER: Translated = Translated::new("after", "修改后");
pub(super) const COMPARED: Translated = Translated::new(
    "\n{ran} of {known} known tests were run after the change.\n",
    "\n修改后运行了已知 {known} 个测试中的 {ran} 个。\n",
);
pub(super) const CI_CHECKS: Translated = Translated::new(
    "\n| check | before | after |\n| --- | --- | --- |\n",
    "\n| 检查 | 修改前 | 修改后 |\n| --- | --- | --- |\n",
);
pub(super) const REVIEW: Translated =
    Translated::new("\n### Second reader ({model})\n\n", "\n### 第二审阅者（{model}）\n\n");
pub(super) const REVIEW_CLEAN: Translated = Translated::new("No problem was found.\n", "未发现问题。\n");
pub(super) const REVIEW_BLOCKING: Translated =
    Translated::new("- **must be settled first**, {file}: {problem}\n", "- **合并前须解决**，{file}：{problem}\n");
pub(super) const REVIEW_REMARK: Translated = Translated::new("- {file}: {problem}\n", "- {file}：{problem}\n");
pub(super) const FLAKY: Translated =
    Translated::new("\nfailed and passed on the same tree: {test}\n", "\n在同一代码上时而失败、时而通过：{test}\n");
pub(super) const EDITED: Translated =
    Translated::new("\nedited, so that it proves nothing: {test}\n", "\n测试被修改，不能作为证明：{test}\n");
pub(super) const NOW_PASSES: Translated = Translated::new("\nnow passes: {test}\n", "\n现在通过：{test}\n");
pub(super) const NOW_FAILS: Translated = Translated::new("\nnow fails: {test}\n", "\n现在失败：{test}\n");

// The footer.
pub(super) const LINKED_JOB: Translated =
    Translated::new("job [`{job}`]({url}/jobs/{job})", "任务 [`{job}`]({url}/jobs/{job})");
pub(super) const JOB: Translated = Translated::new("job `{job}`", "任务 `{job}`");
pub(super) const USAGE: Translated =
    Translated::new("{tokens} tokens in {calls} model calls", "{calls} 次模型调用，{tokens} 个令牌");
pub(super) const COST: Translated = Translated::new("cost {cost}", "费用 {cost}");

// The outcome. A sentence claims success only if tests showed it.
pub(super) const WAS_CANCELLED: Translated = Translated::new("The job was cancelled.", "任务已取消。");
pub(super) const TESTS_FAIL: Translated =
    Translated::new("The tests fail with the change: {why}.", "修改后测试失败：{why}。");
pub(super) const NOT_PUBLISHED: Translated = Translated::new(
    "A change was made, and could not be published. The tests: {why}.",
    "已完成修改，但未能发布。测试结果：{why}。",
);
pub(super) const FAILED: Translated = Translated::new("The job failed.", "任务失败。");
pub(super) const IN_PROGRESS: Translated = Translated::new("The job is in progress.", "任务进行中。");

/// Returns the sentence about a verdict.
pub(super) const fn outcome(verdict: Verdict) -> Translated {
    match verdict {
        Verdict::FixedProven => {
            Translated::new("Fixed, and tests show it: {why}.", "已修复，且测试证明了这一点：{why}。")
        }
        Verdict::NoRegressions => Translated::new(
            "A change is ready for review, but no test shows that it fixes the issue: {why}.",
            "修改已可评审，但没有测试证明它修复了问题：{why}。",
        ),
        Verdict::StillFailing => {
            Translated::new("A change was made, but tests still fail: {why}.", "已完成修改，但测试仍然失败：{why}。")
        }
        Verdict::NoTests => {
            Translated::new("A change is ready for review, untested: {why}.", "修改已可评审，未经测试：{why}。")
        }
        Verdict::NotRun => Translated::new(
            "A change is ready for review, **not tested**: {why}.",
            "修改已可评审，**未经测试**：{why}。",
        ),
        Verdict::AnalysisOnly => Translated::new(
            "No model is configured, so nothing was changed; these files most likely contain the fault.",
            "未配置模型，因此没有修改任何内容；问题最可能在这些文件中。",
        ),
        Verdict::Regressions => Translated::new("The change breaks tests: {why}.", "修改破坏了测试：{why}。"),
        Verdict::CouldNotBuild => Translated::new("The change cannot be built: {why}.", "修改后无法构建：{why}。"),
    }
}

/// Returns why a proven fix stays a draft.
pub(super) const fn stays_draft(asked: ReadyWhen) -> Translated {
    match asked {
        ReadyWhen::ProvenByExistingTest => Translated::new(
            "\nThe pull request stays a draft: only a test that the repository had before makes it ready here.\n",
            "\n该合并请求保持草稿状态：此处只有仓库原有的测试才能使其变为可评审。\n",
        ),
        ReadyWhen::Proven => Translated::new(
            "\nThe pull request stays a draft: a script shows the fix, and no test that is kept.\n",
            "\n该合并请求保持草稿状态：只有脚本能够证明修复，没有保留下来的测试。\n",
        ),
        ReadyWhen::ProvenAndCi => Translated::new(
            "\nThe pull request stays a draft until the checks of the repository's own CI have passed.\n",
            "\n在仓库自身的 CI 检查通过之前，该合并请求保持草稿状态。\n",
        ),
    }
}

/// Returns the sentence about the checks of the forge's CI.
pub(super) const fn ci(state: CiState) -> Translated {
    match state {
        CiState::Absent => Translated::new(
            "\n### CI\n\nThe repository's CI has no checks for this commit.\n",
            "\n### CI\n\n仓库的 CI 没有检查该提交。\n",
        ),
        CiState::Running => Translated::new(
            "\n### CI\n\nThe checks of the repository's CI are running.\n",
            "\n### CI\n\n仓库的 CI 检查正在运行。\n",
        ),
        CiState::Unfinished => Translated::new(
            "\n### CI\n\nSome checks of the repository's CI had not ended after six hours.\n",
            "\n### CI\n\n六小时后，仓库的部分 CI 检查仍未结束。\n",
        ),
        CiState::Passed => Translated::new(
            "\n### CI\n\nThe checks of the repository's CI pass, or failed before the change too.\n",
            "\n### CI\n\n仓库的 CI 检查已通过，或在修改前也失败。\n",
        ),
        CiState::Failed => Translated::new(
            "\n### CI\n\nChecks of the repository's CI fail that did not fail before the change.\n",
            "\n### CI\n\n仓库的部分 CI 检查失败，而修改前没有失败。\n",
        ),
    }
}

/// Returns the outcome of a check.
pub(super) const fn ci_outcome(outcome: CiOutcome) -> Translated {
    match outcome {
        CiOutcome::Pending => Translated::new("⏳ running", "⏳ 进行中"),
        CiOutcome::Passed => Translated::new("✅ passed", "✅ 通过"),
        CiOutcome::Failed => Translated::new("❌ failed", "❌ 失败"),
        CiOutcome::Neutral => Translated::new("– neutral", "– 中性"),
    }
}

/// A pull request of somebody else.
pub(super) const OTHER: Translated = Translated::new(
    "\n⚠️ The open pull request [{title}]({url}) by {author} names this issue already.\n",
    "\n⚠️ {author} 的合并请求 [{title}]({url}) 已经涉及此问题，仍处于打开状态。\n",
);

/// Where the results of tests are.
pub(super) const SEE_TESTS: Translated =
    Translated::new("The tests that were run are listed below.", "运行过的测试见下文。");

/// The script that shows the fault.
pub(super) const SCRIPT: Translated = Translated::new(
    "\n<details><summary>The program, which is not part of the change</summary>\n\n{script}\n\n</details>\n",
    "\n<details><summary>该程序（不属于本次修改）</summary>\n\n{script}\n\n</details>\n",
);

/// Returns what shows that the fault is fixed.
pub(super) const fn proof(proof: Proof) -> Translated {
    match proof {
        Proof::ExistingTest => {
            Translated::new("\nProof: a test that the repository had before.\n", "\n证明：仓库原有的测试。\n")
        }
        Proof::OwnTest => {
            Translated::new("\nProof: a test that the change brings.\n", "\n证明：本次修改新增的测试。\n")
        }
        Proof::Reproduction => {
            Translated::new("\nProof: a program that shows the fault.\n", "\n证明：重现该问题的程序。\n")
        }
    }
}

/// Returns the state of a stage.
pub(super) const fn stage(status: StageStatus) -> Translated {
    match status {
        StageStatus::Pending => Translated::new("· waiting", "· 等待"),
        StageStatus::Running => Translated::new("⏳ running", "⏳ 进行中"),
        StageStatus::Succeeded => Translated::new("✅ done", "✅ 完成"),
        StageStatus::Failed => Translated::new("❌ failed", "❌ 失败"),
        StageStatus::Skipped => Translated::new("– skipped", "– 已跳过"),
    }
}

/// Returns what everybody may read about a failure that is not the request's, and the remedy. The messages of servers and of
/// this machine hold addresses and paths; they are in the log, the API and on the job's page.
pub(super) const fn public_failure(origin: FailureOrigin) -> Option<(Translated, Translated)> {
    const DETAILS: Translated = Translated::new(
        "The job's page and the server's log have the details. Retry the job when that is corrected.",
        "详情见任务页面和服务器日志。问题解决后请重试任务。",
    );
    Some(match origin {
        FailureOrigin::Request => return None,
        FailureOrigin::Machine => (
            Translated::new(
                "the machine that ran the job has no disk space, memory or permission left",
                "运行任务的机器缺少磁盘空间、内存或权限",
            ),
            DETAILS,
        ),
        FailureOrigin::Forge => {
            (Translated::new("the forge refused a request or did not answer", "代码平台拒绝了请求或没有应答"), DETAILS)
        }
        FailureOrigin::Git => (
            Translated::new("the git server refused a request or did not answer", "Git 服务器拒绝了请求或没有应答"),
            DETAILS,
        ),
        FailureOrigin::Model => (
            Translated::new(
                "the model server refused a request or gave no usable answer",
                "模型服务器拒绝了请求或没有给出可用的回答",
            ),
            DETAILS,
        ),
        _ => (
            Translated::new("an error of this server", "本服务器内部错误"),
            Translated::new("Report a bug with the server's log of this job.", "请附上该任务的服务器日志报告此缺陷。"),
        ),
    })
}
