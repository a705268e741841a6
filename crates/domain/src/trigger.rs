//! Commands in comments: their grammar, and the allow-lists.

use serde::{Deserialize, Serialize};

/// A command to this server in a comment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// Fix the issue.
    Fix {
        /// The rest of the comment, as written.
        instructions: Option<String>,
    },
    /// List the commands.
    Help,
    /// Show the status of the job.
    Status,
    /// Cancel the job.
    Cancel,
    /// Restart the failed job.
    Retry,
    /// Cancel the running job and fix the issue from the beginning.
    Restart {
        /// The rest of the comment, as written.
        instructions: Option<String>,
    },
    /// A mention without a known command.
    Unknown {
        /// The first word after the mention; empty if there is none.
        word: String,
    },
}

/// The longest stored instructions, in characters.
pub const MAX_INSTRUCTIONS: usize = 8_000;

/// Finds the first command in a comment: `@<app-name>` as a whole word, then a verb.
///
/// The mention counts in any case, but not inside quoted lines, code spans, code blocks or HTML comments, and not as
/// part of a longer name, an e-mail address or a path. `None` without a mention.
pub fn find_command(comment: &str, app_name: &str) -> Option<Command> {
    let text = visible_text(comment);
    after_mention(&text, app_name).map(command_of)
}

/// Does the same, except that every mention without a command requests a fix, as in Jira (`docs/requirements.md#jira`):
/// the text after it is the instructions.
pub fn find_request(comment: &str, app_name: &str) -> Option<Command> {
    let text = visible_text(comment);
    let after = after_mention(&text, app_name)?;
    Some(match command_of(after) {
        Command::Unknown { .. } => Command::Fix { instructions: instructions(after, "") },
        command => command,
    })
}

/// Returns the verb after a mention, and the text after it.
fn command_of(after: &str) -> Command {
    let (first_line, rest) = after.split_once('\n').unwrap_or((after, ""));
    let first_line = first_line.trim_start_matches([',', ':', '，', '：', ' ', '\t']);
    let end = first_line.find(|c: char| !c.is_alphanumeric() && c != '-' && c != '_').unwrap_or(first_line.len());
    let (word, tail) = first_line.split_at(end);
    match word.to_lowercase().as_str() {
        "fix" | "修复" => Command::Fix { instructions: instructions(tail, rest) },
        "help" | "帮助" => Command::Help,
        "status" | "状态" => Command::Status,
        "cancel" | "取消" => Command::Cancel,
        "retry" | "重试" => Command::Retry,
        "restart" | "重来" => Command::Restart { instructions: instructions(tail, rest) },
        _ => Command::Unknown { word: word.chars().take(40).collect() },
    }
}

fn instructions(tail: &str, rest: &str) -> Option<String> {
    let tail = tail.trim_start_matches([',', ':', '，', '：', '.', '!', ' ', '\t']);
    let joined = format!("{tail}\n{rest}");
    let text: String = joined.trim().chars().take(MAX_INSTRUCTIONS).collect();
    (!text.is_empty()).then_some(text)
}

/// Returns the comment without quoted lines, code and HTML comments. Each is replaced by a space, so that two words do
/// not become one.
pub fn visible_text(comment: &str) -> String {
    let without_comments = without_html_comments(comment);
    let mut out = String::with_capacity(without_comments.len());
    let mut fence: Option<(char, usize)> = None;
    for line in without_comments.lines() {
        let trimmed = line.trim_start();
        let indent = line.len() - trimmed.len();
        if let Some((mark, length)) = fence {
            if fence_of(trimmed).is_some_and(|(m, l, info)| m == mark && l >= length && info.is_empty()) {
                fence = None;
            }
            continue;
        }
        match fence_of(trimmed) {
            Some((mark, length, _)) if indent < 4 => fence = Some((mark, length)),
            _ if trimmed.starts_with('>') => {}
            _ => {
                out.push_str(&without_code_spans(line));
                out.push('\n');
            }
        }
    }
    out
}

/// A line that opens or closes a code block: the fence's character, its length, and the rest of the line.
fn fence_of(line: &str) -> Option<(char, usize, &str)> {
    let mark = line.chars().next().filter(|c| matches!(c, '`' | '~'))?;
    let length = line.chars().take_while(|c| *c == mark).count();
    let info = line[length..].trim();
    (length >= 3 && !(mark == '`' && info.contains('`'))).then_some((mark, length, info))
}

fn without_html_comments(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("<!--") {
        out.push_str(&rest[..start]);
        out.push(' ');
        // An unclosed comment hides all that follows, as in rendered Markdown.
        rest = rest[start..].find("-->").map_or("", |end| &rest[start + end + 3..]);
    }
    out.push_str(rest);
    out
}

fn without_code_spans(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(start) = rest.find('`') {
        let ticks = rest[start..].bytes().take_while(|b| *b == b'`').count();
        let inner = &rest[start + ticks..];
        out.push_str(&rest[..start]);
        if let Some(end) = closing_ticks(inner, ticks) {
            out.push(' ');
            rest = &inner[end + ticks..];
        } else {
            out.push_str(&rest[start..start + ticks]);
            rest = inner;
        }
    }
    out.push_str(rest);
    out
}

fn closing_ticks(text: &str, ticks: usize) -> Option<usize> {
    let mut at = 0;
    while let Some(found) = text[at..].find('`') {
        let start = at + found;
        let run = text[start..].bytes().take_while(|b| *b == b'`').count();
        if run == ticks {
            return Some(start);
        }
        at = start + run;
    }
    None
}

fn after_mention<'a>(text: &'a str, app_name: &str) -> Option<&'a str> {
    for (at, _) in text.match_indices('@') {
        let Some(name) = text.get(at + 1..at + 1 + app_name.len()) else { continue };
        let after = &text[at + 1 + app_name.len()..];
        if name.eq_ignore_ascii_case(app_name) && begins_word(&text[..at]) && ends_name(after) {
            return Some(after);
        }
    }
    None
}

fn begins_word(before: &str) -> bool {
    before.chars().next_back().is_none_or(|c| !c.is_alphanumeric() && !matches!(c, '_' | '-' | '@' | '.' | '/' | '+'))
        || before.chars().next_back().is_some_and(is_cjk)
}

fn ends_name(after: &str) -> bool {
    let mut chars = after.chars();
    match chars.next() {
        None => true,
        // Chinese is written without spaces: `@patchwright修复` is a mention.
        Some(c) if is_cjk(c) => true,
        Some('.' | '@' | '/') => !chars.next().is_some_and(char::is_alphanumeric),
        Some('[') => false, // `@patchwright[bot]` names another account
        Some(c) => !c.is_alphanumeric() && !matches!(c, '-' | '_'),
    }
}

const fn is_cjk(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{2fa1f}' | '\u{3000}'..='\u{303f}')
}

/// The users and repositories that may start jobs.
///
/// Entries are compared without case. `*` matches any characters except `/`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowLists {
    /// Logins; empty: everyone.
    pub users: Vec<String>,
    /// Full repository names; empty: every repository.
    pub repos: Vec<String>,
}

impl AllowLists {
    /// Returns whether the list allows this user.
    pub fn admits_user(&self, login: &str) -> bool {
        self.users.is_empty() || self.names_user(login)
    }

    /// Returns whether the list names this user, who then needs no permission on the forge.
    pub fn names_user(&self, login: &str) -> bool {
        self.users.iter().any(|pattern| glob(pattern, login))
    }

    /// Returns whether the list allows this repository.
    pub fn admits_repo(&self, full_name: &str) -> bool {
        self.repos.is_empty() || self.repos.iter().any(|pattern| glob(pattern, full_name))
    }
}

fn glob(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.to_lowercase().chars().collect();
    let text: Vec<char> = text.to_lowercase().chars().collect();
    // The classic two-pointer walk: on a mismatch go back to the last star and let it take one character more.
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if p < pattern.len() && pattern[p] == '*' {
            star = Some((p, t));
            p += 1;
        } else if p < pattern.len() && pattern[p] == text[t] {
            p += 1;
            t += 1;
        } else if let Some((star_p, star_t)) = star.filter(|(_, star_t)| text[*star_t] != '/') {
            star = Some((star_p, star_t + 1));
            p = star_p + 1;
            t = star_t + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(comment: &str) -> Option<Command> {
        find_command(comment, "patchwright")
    }

    #[expect(clippy::unnecessary_wraps, reason = "it is compared with an option everywhere")]
    fn fix(instructions: Option<&str>) -> Option<Command> {
        Some(Command::Fix { instructions: instructions.map(Into::into) })
    }

    #[test]
    fn a_mention_with_a_verb_is_a_command() {
        assert_eq!(command("@patchwright fix"), fix(None));
        assert_eq!(command("Hi @PatchWright, fix: only the parser.\nPlease."), fix(Some("only the parser.\nPlease.")));
        assert_eq!(command("@patchwright help"), Some(Command::Help));
        assert_eq!(command("(@patchwright status)"), Some(Command::Status));
        assert_eq!(command("@patchwright\tCANCEL!"), Some(Command::Cancel));
        assert_eq!(command("@patchwright retry"), Some(Command::Retry));
        assert_eq!(command("请@patchwright修复"), fix(None));
    }

    #[test]
    fn a_mention_without_a_known_verb_is_a_question() {
        assert_eq!(command("@patchwright"), Some(Command::Unknown { word: String::new() }));
        assert_eq!(command("@patchwright deploy now"), Some(Command::Unknown { word: "deploy".into() }));
    }

    #[test]
    fn in_jira_any_mention_asks_for_a_fix() {
        let request = |comment| find_request(comment, "patchwright");
        assert_eq!(
            request("@patchwright please look at the parser\nand the lexer"),
            fix(Some("please look at the parser\nand the lexer"))
        );
        assert_eq!(request("@patchwright"), fix(None));
        assert_eq!(request("@patchwright fix it"), fix(Some("it")));
        assert_eq!(request("@patchwright status"), Some(Command::Status));
        assert_eq!(request("please fix"), None);
    }

    #[test]
    fn what_is_not_said_to_us_is_no_command() {
        for comment in [
            "please fix this",
            "@patchwright-dev fix",
            "@patchwright_x fix",
            "@patchwright[bot] fix",
            "mail me@patchwright fix",
            "mail a@patchwright.io fix",
            "see x/@patchwright/fix",
            "> @patchwright fix",
            "  > quoted @patchwright fix",
            "`@patchwright fix`",
            "``a ` @patchwright fix``",
            "```\n@patchwright fix\n```",
            "~~~~md\n~~~\n@patchwright fix\n~~~~",
            "```\nnever closed @patchwright fix",
            "<!-- @patchwright fix -->",
            "<!-- @patchwright fix",
            "@pаtchwright fix", // a Cyrillic а
            "@patchwrighté fix",
        ] {
            assert_eq!(command(comment), None, "{comment:?}");
        }
    }

    #[test]
    fn code_beside_the_mention_does_not_hide_it() {
        assert_eq!(command("`x` and @patchwright fix"), fix(None));
        assert_eq!(command("```\ncode\n```\n@patchwright fix"), fix(None));
        assert_eq!(command("> quoted\n@patchwright fix `f()`"), fix(None));
        assert_eq!(command("an unclosed ` and @patchwright fix"), fix(None));
    }

    #[test]
    fn allow_lists_compare_whole_names_without_case() {
        let lists = AllowLists { users: vec!["Alice".into()], repos: vec!["acme/demo".into(), "tools/*".into()] };
        assert!(lists.admits_user("alice"));
        assert!(!lists.admits_user("alice "));
        assert!(!lists.admits_user("mallory"));
        assert!(lists.admits_repo("ACME/demo"));
        assert!(!lists.admits_repo("acme/demo2"));
        assert!(lists.admits_repo("tools/x"));
        assert!(!lists.admits_repo("tools/x/y"));
        assert!(AllowLists::default().admits_user("anyone"));
        assert!(!AllowLists::default().names_user("anyone"));
    }
}
