//! Renders the replies to commands that start no job, in the language of the request.

use std::fmt::Write as _;

use patchwright_core::outgoing_text::code_span;
use patchwright_domain::effect::CannotStart;
use patchwright_domain::trigger::{COMMANDS, Language};

/// Renders the reply to `help` and to a mention without a known command, from the table of commands.
pub(crate) fn help(app_name: &str, in_tracker: bool, language: Language) -> String {
    let (headline, allowed) = match (language, in_tracker) {
        (Language::English, false) => (
            "Comment on an issue with one of these commands:",
            "Only users with write access to this repository can start jobs.",
        ),
        (Language::English, true) => (
            "Comment on an issue with one of these commands:",
            "Only users who have linked their account with this server can start jobs.",
        ),
        (Language::Chinese, false) => ("请在问题下评论以下命令之一：", "只有对本仓库有写权限的用户可以启动任务。"),
        (Language::Chinese, true) => ("请在问题下评论以下命令之一：", "只有已在本服务器关联账号的用户可以启动任务。"),
    };
    let mut out = format!("{headline}\n\n");
    for spec in &COMMANDS {
        let (usage, summary) = (spec.usage(language), spec.summary.get(language));
        let _ = match language {
            Language::English => writeln!(out, "- `@{app_name} {usage}` ({}): {summary}", spec.chinese.join(", ")),
            Language::Chinese => {
                let others: String = spec.chinese.iter().skip(1).map(|verb| format!("{verb}、")).collect();
                writeln!(out, "- `@{app_name} {usage}`（{others}{}）：{summary}", spec.name)
            }
        };
    }
    let _ = writeln!(out, "\n{allowed}");
    out
}

/// Renders the reply to a request that starts no job.
pub(crate) fn cannot_start(reason: CannotStart, app_name: &str, language: Language) -> String {
    let text = match (reason, language) {
        (CannotStart::Running, Language::English) => format!(
            "A job for this issue is already queued or running. To add something to it, comment `@{app_name} fix` with your \
             instructions; to stop it, `@{app_name} cancel`."
        ),
        (CannotStart::Running, Language::Chinese) => format!(
            "该问题已有排队中或运行中的任务。要补充说明，请评论 `@{app_name} 修复` 并附上说明；要停止它，请评论 `@{app_name} 取消`。"
        ),
        (CannotStart::Merged, Language::English) => {
            "The pull request of this issue was merged, so there is nothing left to fix here. Open a new issue for what is \
             still wrong."
                .to_owned()
        }
        (CannotStart::Merged, Language::Chinese) => {
            "该问题的拉取请求已合入，没有需要修复的内容。如仍有问题，请新建一个问题。".to_owned()
        }
        (CannotStart::State, Language::English) => {
            format!("No job can be started for this issue in its present state; `@{app_name} status` shows it.")
        }
        (CannotStart::State, Language::Chinese) => {
            format!("该问题在当前状态下无法启动任务；`@{app_name} 状态` 可查看状态。")
        }
    };
    format!("{text}\n")
}

/// Renders the reply to a request whose author may not make it.
pub(crate) fn not_permitted(login: &str, repository: &str, language: Language) -> String {
    let (login, repository) = (code_span(login), code_span(repository));
    match language {
        Language::English => format!(
            "Thank you, {login}. Only people with write access to {repository} can start jobs here, so nothing was started. \
             One of them can do it with the same comment.\n"
        ),
        Language::Chinese => format!(
            "谢谢，{login}。只有对 {repository} 有写权限的用户才能在此启动任务，因此没有启动任何任务。有权限的用户发表同样的评论即可启动。\n"
        ),
    }
}

/// Renders the reply to a command that has no job to act on.
pub(crate) fn nothing_to(verb: &str, language: Language) -> String {
    let text = match (verb, language) {
        ("approve", Language::English) => "There is nothing to approve: no plan of this issue waits for approval.",
        ("approve", Language::Chinese) => "没有可批准的内容：该问题没有等待批准的方案。",
        ("retry_success", Language::English) => {
            "The last job succeeded, so there is nothing to retry. To have more changed, comment `fix` with your instructions."
        }
        ("retry_success", Language::Chinese) => "上一个任务已成功，无需重试。如需进一步修改，请评论“修复”并附上说明。",
        ("retry", Language::English) => "There is nothing to retry: no job of this issue has ended.",
        ("retry", Language::Chinese) => "没有可重试的任务：该问题还没有已结束的任务。",
        (_, Language::English) => "There is nothing to cancel: no job of this issue is running.",
        (_, Language::Chinese) => "没有可取消的任务：该问题没有正在运行的任务。",
    };
    format!("{text}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_lists_every_command_in_both_languages() {
        for language in [Language::English, Language::Chinese] {
            let text = help("bot", false, language);
            for spec in &COMMANDS {
                assert!(text.contains(&format!("- `@bot {}`", spec.usage(language))), "{text}");
                assert!(text.contains(spec.name) && text.contains(spec.summary.get(language)), "{text}");
                assert!(spec.chinese.iter().all(|verb| text.contains(verb)), "{text}");
            }
        }
        assert!(help("bot", false, Language::Chinese).contains("- `@bot 修复 [说明]`（修一下、解决、fix）："));
        assert!(
            help("bot", true, Language::English).ends_with("linked their account with this server can start jobs.\n")
        );
        assert_ne!(nothing_to("approve", Language::English), nothing_to("approve", Language::Chinese));
    }
}
