//! Renders the replies to commands that start no job.

use patchwright_core::outgoing_text::{OutgoingText, code_span};
use patchwright_domain::effect::{CannotStart, NothingTo};
use patchwright_domain::trigger::{COMMANDS, Language, Translated};

use super::Renderer;

const HEADLINE: Translated =
    Translated::new("Comment on an issue with one of these commands:\n\n", "请在问题下评论以下命令之一：\n\n");
const COMMAND: Translated =
    Translated::new("- `@{app} {usage}` ({others}): {summary}\n", "- `@{app} {usage}`（{others}）：{summary}\n");
const ALLOWED_ON_A_FORGE: Translated = Translated::new(
    "\nOnly users with write access to this repository can start jobs.\n",
    "\n只有对本仓库有写权限的用户可以启动任务。\n",
);
const ALLOWED_IN_A_TRACKER: Translated = Translated::new(
    "\nOnly users who have linked their account with this server can start jobs.\n",
    "\n只有已在本服务器关联账号的用户可以启动任务。\n",
);
const RUNS_ALREADY: Translated = Translated::new(
    "A job for this issue is already queued or running. To add something to it, comment `@{app} fix` with your \
              instructions; to stop it, `@{app} cancel`.\n",
    "该问题已有排队中或运行中的任务。要补充说明，请评论 `@{app} 修复` 并附上说明；要停止它，请评论 `@{app} 取消`。\n",
);
const IS_MERGED: Translated = Translated::new(
    "The pull request of this issue was merged, so there is nothing left to fix here. Open a new issue for what is \
              still wrong.\n",
    "该问题的合并请求已合入，没有需要修复的内容。如仍有问题，请新建一个问题。\n",
);
const WRONG_STATE: Translated = Translated::new(
    "No job can be started for this issue in its present state; `@{app} status` shows it.\n",
    "该问题在当前状态下无法启动任务；`@{app} 状态` 可查看状态。\n",
);
const NOT_PERMITTED: Translated = Translated::new(
    "Thank you, {login}. Only people with write access to {repository} can start jobs here, so nothing was started. \
              One of them can do it with the same comment.\n",
    "谢谢，{login}。只有对 {repository} 有写权限的用户才能在此启动任务，因此没有启动任何任务。有权限的用户发表同样的评论即可启动。\n",
);
const NOTHING_TO_APPROVE: Translated = Translated::new(
    "There is nothing to approve: no plan of this issue waits for approval.\n",
    "没有可批准的内容：该问题没有等待批准的方案。\n",
);
const NOTHING_TO_REBASE: Translated = Translated::new(
    "There is nothing to rebase: this issue has no open pull request.\n",
    "没有可变基的内容：该问题没有打开的合并请求。\n",
);
const HAS_SUCCEEDED: Translated = Translated::new(
    "The last job succeeded, so there is nothing to retry. To have more changed, comment `fix` with your instructions.\n",
    "上一个任务已成功，无需重试。如需进一步修改，请评论“修复”并附上说明。\n",
);
const NOTHING_TO_RETRY: Translated = Translated::new(
    "There is nothing to retry: no job of this issue has ended.\n",
    "没有可重试的任务：该问题还没有已结束的任务。\n",
);
const NOTHING_TO_CANCEL: Translated = Translated::new(
    "There is nothing to cancel: no job of this issue is running.\n",
    "没有可取消的任务：该问题没有正在运行的任务。\n",
);

impl Renderer {
    /// Renders the reply to `help` and to a mention without a known command, from the table of commands.
    pub(crate) fn help(&self, in_tracker: bool) -> OutgoingText {
        let mut out = self.fill(HEADLINE, &[]);
        for spec in &COMMANDS {
            let others = match self.language {
                Language::English => literals(spec.chinese, ", "),
                Language::Chinese => literals(&[&spec.chinese[1..], &[spec.name]].concat(), "、"),
            };
            let (verb, words) = spec.usage(self.language);
            let usage = literals(&[verb, words], "");
            let summary = self.fill(spec.summary, &[]);
            out.push(&self.fill_app(COMMAND, &[("usage", &usage), ("others", &others), ("summary", &summary)]));
        }
        out.push(&self.fill(if in_tracker { ALLOWED_IN_A_TRACKER } else { ALLOWED_ON_A_FORGE }, &[]));
        out
    }

    /// Renders the reply to a request that starts no job.
    pub(crate) fn cannot_start(&self, reason: CannotStart) -> OutgoingText {
        let text = match reason {
            CannotStart::Running => RUNS_ALREADY,
            CannotStart::Merged => IS_MERGED,
            CannotStart::State => WRONG_STATE,
        };
        self.fill_app(text, &[])
    }

    /// Renders the reply to a request whose author may not make it.
    pub(crate) fn not_permitted(&self, login: &str, repository: &str) -> OutgoingText {
        self.fill(NOT_PERMITTED, &[("login", &code_span(login)), ("repository", &code_span(repository))])
    }

    /// Renders the reply to a command that has no job to act on.
    pub(crate) fn nothing_to(&self, verb: NothingTo) -> OutgoingText {
        let text = match verb {
            NothingTo::Approve => NOTHING_TO_APPROVE,
            NothingTo::Rebase => NOTHING_TO_REBASE,
            NothingTo::RetrySuccess => HAS_SUCCEEDED,
            NothingTo::Retry => NOTHING_TO_RETRY,
            NothingTo::Cancel => NOTHING_TO_CANCEL,
        };
        self.fill(text, &[])
    }
}

fn literals(words: &[&'static str], separator: &'static str) -> OutgoingText {
    let words: Vec<OutgoingText> = words.iter().map(|word| OutgoingText::own(word)).collect();
    OutgoingText::join(&words, separator)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn renderer(language: Language) -> Renderer {
        Renderer { app_name: "bot".to_owned(), public_url: None, language, is_recorded: false }
    }

    #[test]
    fn the_help_lists_every_command_in_both_languages() {
        for language in [Language::English, Language::Chinese] {
            let text = renderer(language).help(false).to_string();
            for spec in &COMMANDS {
                let (verb, words) = spec.usage(language);
                assert!(text.contains(&format!("- `@bot {verb}{words}`")), "{text}");
                assert!(text.contains(spec.name) && text.contains(spec.summary.get(language)), "{text}");
                assert!(spec.chinese.iter().all(|verb| text.contains(verb)), "{text}");
            }
        }
        let chinese = renderer(Language::Chinese);
        assert!(chinese.help(false).as_str().contains("- `@bot 修复 [说明]`（修一下、解决、fix）："));
        let english = renderer(Language::English);
        assert!(english.help(true).as_str().ends_with("linked their account with this server can start jobs.\n"));
        assert_ne!(english.nothing_to(NothingTo::Approve), chinese.nothing_to(NothingTo::Approve));
    }
}
