//! The table of commands, from which the parser, the help reply and the documentation are made.

use std::fmt::Write as _;

use super::Language;

/// A command of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// Fix the issue.
    Fix,
    /// Make a plan and wait for its approval.
    Plan,
    /// Approve the plan that waits.
    Approve,
    /// Move the branch of the pull request onto its base.
    Rebase,
    /// Continue a failed job.
    Retry,
    /// Start again from the beginning.
    Restart,
    /// Cancel the jobs of the issue.
    Cancel,
    /// Show the status of the job.
    Status,
    /// List the commands.
    Help,
}

/// The users who may give a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allowed {
    /// Users who may write to the repository.
    Writers,
    /// Those, and the user who started the job.
    Starter,
    /// Everyone.
    Everyone,
}

/// A text in the languages of replies.
#[derive(Debug, Clone, Copy)]
pub struct Translated {
    english: &'static str,
    chinese: &'static str,
}

impl Translated {
    /// Creates a text from both.
    pub const fn new(english: &'static str, chinese: &'static str) -> Self {
        Self { english, chinese }
    }

    /// Returns the text in a language.
    pub const fn get(self, language: Language) -> &'static str {
        match language {
            Language::English => self.english,
            Language::Chinese => self.chinese,
        }
    }
}

/// A row of the table of commands.
#[derive(Debug)]
pub struct CommandSpec {
    /// The command.
    pub verb: Verb,
    /// The English verb.
    pub name: &'static str,
    /// The Chinese verbs.
    pub chinese: &'static [&'static str],
    /// Other words for the command, in both languages. They are accepted, and not listed in the help.
    pub aliases: &'static [&'static str],
    /// Whether the words after the verb are instructions.
    pub takes_words: bool,
    /// The users who may give the command.
    pub allowed: Allowed,
    /// The effect of the command.
    pub summary: Translated,
}

impl Allowed {
    /// Returns the users as text.
    pub const fn text(self) -> Translated {
        match self {
            Self::Writers => Translated::new("users with write access", "有写权限的用户"),
            Self::Starter => Translated::new(
                "users with write access, the user who started the job",
                "有写权限的用户、启动该任务的用户",
            ),
            Self::Everyone => Translated::new("everyone", "所有人"),
        }
    }
}

impl CommandSpec {
    /// Returns all words for the command.
    pub fn words(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.chinese.iter().copied()).chain(self.aliases.iter().copied())
    }

    /// Returns the verb as the help shows it, such as `fix [words]` and `修复 [说明]`.
    /// The second part is the place of the instructions.
    pub fn usage(&self, language: Language) -> (&'static str, &'static str) {
        let (verb, words) = match language {
            Language::English => (self.name, " [words]"),
            Language::Chinese => (self.chinese.first().copied().unwrap_or(self.name), " [说明]"),
        };
        (verb, if self.takes_words { words } else { "" })
    }

    /// Returns the table as Markdown, for the documentation.
    pub fn markdown_table() -> String {
        let mut out =
            "| command | Chinese | also | who may | what it does |\n| --- | --- | --- | --- | --- |\n".to_owned();
        for spec in &COMMANDS {
            let (verb, words) = spec.usage(Language::English);
            let (chinese, also) = (spec.chinese.join(", "), spec.aliases.join(", "));
            let (allowed, summary) = (spec.allowed.text().get(Language::English), spec.summary.get(Language::English));
            let _ = writeln!(out, "| `{verb}{words}` | {chinese} | {also} | {allowed} | {summary} |");
        }
        out
    }
}

/// All commands, in the order of the help.
pub static COMMANDS: [CommandSpec; 9] = [
    CommandSpec {
        verb: Verb::Fix,
        name: "fix",
        chinese: &["修复", "修一下", "解决"],
        aliases: &["solve", "resolve", "修下", "修正", "修復", "解決"],
        takes_words: true,
        allowed: Allowed::Writers,
        summary: Translated::new(
            "Find the cause, change the code, test it and open a pull request; with a job before it, continue \
                      on its branch. The words are used as instructions.",
            "查找原因、修改代码、运行测试并创建合并请求；如已有任务，则在其分支上继续。后面的文字作为说明。",
        ),
    },
    CommandSpec {
        verb: Verb::Plan,
        name: "plan",
        chinese: &["方案"],
        aliases: &["出方案", "出个方案", "给出方案", "给个方案"],
        takes_words: true,
        allowed: Allowed::Writers,
        summary: Translated::new(
            "Find the cause and show a plan, which waits for approval. With words, replace \
                      the plan that waits.",
            "查找原因并给出方案，等待批准。附带说明时，替换正在等待的方案。",
        ),
    },
    CommandSpec {
        verb: Verb::Approve,
        name: "approve",
        chinese: &["批准", "同意"],
        aliases: &[],
        takes_words: false,
        allowed: Allowed::Writers,
        summary: Translated::new(
            "Approve the plan that waits; the job continues.",
            "批准正在等待的方案，任务继续执行。",
        ),
    },
    CommandSpec {
        verb: Verb::Rebase,
        name: "rebase",
        chinese: &["变基"],
        aliases: &["變基", "更新分支"],
        takes_words: false,
        allowed: Allowed::Writers,
        summary: Translated::new(
            "Move the commits of the pull request onto the present base branch, and test the result.",
            "将合并请求的提交移到当前的目标分支之上，并测试结果。",
        ),
    },
    CommandSpec {
        verb: Verb::Retry,
        name: "retry",
        chinese: &["重试"],
        aliases: &["try again", "重試", "再试一次", "再試一次"],
        takes_words: false,
        allowed: Allowed::Starter,
        summary: Translated::new("Repeat the failed stage of a failed job.", "从失败的阶段起，重新执行失败的任务。"),
    },
    CommandSpec {
        verb: Verb::Restart,
        name: "restart",
        chinese: &["重新开始"],
        aliases: &["start over", "重来", "重新來", "重新开始修复", "重新修复", "重新開始"],
        takes_words: true,
        allowed: Allowed::Starter,
        summary: Translated::new(
            "Cancel the running job and start from the beginning. The words are used as instructions.",
            "取消正在运行的任务，并从头开始。后面的文字作为说明。",
        ),
    },
    CommandSpec {
        verb: Verb::Cancel,
        name: "cancel",
        chinese: &["取消"],
        aliases: &["stop", "abort", "停止", "中止"],
        takes_words: false,
        allowed: Allowed::Starter,
        summary: Translated::new("Cancel all jobs of the issue.", "取消该问题的所有任务。"),
    },
    CommandSpec {
        verb: Verb::Status,
        name: "status",
        chinese: &["状态"],
        aliases: &["进度", "狀態", "進度"],
        takes_words: false,
        allowed: Allowed::Everyone,
        summary: Translated::new("Show the status of the job.", "显示任务的状态。"),
    },
    CommandSpec {
        verb: Verb::Help,
        name: "help",
        chinese: &["帮助"],
        aliases: &["幫助"],
        takes_words: false,
        allowed: Allowed::Everyone,
        summary: Translated::new("List the commands.", "列出所有命令。"),
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_names_one_command_and_is_of_one_script() {
        let mut words: Vec<&str> = COMMANDS.iter().flat_map(CommandSpec::words).collect();
        for word in &words {
            assert!(word.is_ascii() || word.chars().all(super::super::language::is_han), "{word}");
            assert_eq!(word.to_lowercase(), **word);
        }
        let count = words.len();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), count, "a word names two commands");
    }

    #[test]
    fn the_documented_commands_are_the_real_ones() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/commands.md");
        let text = std::fs::read_to_string(path).unwrap();
        let (begin, end) = ("<!-- commands: begin -->\n", "<!-- commands: end -->");
        let (head, rest) = text.split_once(begin).expect("docs/commands.md has the begin mark");
        let (shown, tail) = rest.split_once(end).expect("docs/commands.md has the end mark");
        let real = CommandSpec::markdown_table();
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, format!("{head}{begin}{real}{end}{tail}")).unwrap();
        } else {
            assert_eq!(shown, real, "run the tests with UPDATE_DOCS=1 to write the table anew");
        }
    }
}
