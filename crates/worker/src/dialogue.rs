//! The one conversation of a job: it only grows, so that providers cache its beginning, and it is stored after each step.

use patchwright_core::Redactor;
use patchwright_core::conversation::{Attempt, Conversation};
use patchwright_core::fault::error_chain;
use patchwright_core::llm::{Message, count_tokens};
use patchwright_core::task_session::TaskSession;
use patchwright_domain::CommitSha;
use patchwright_domain::job::report::{FixReport, Verdict, VerifyReport};
use tokio::sync::{Mutex, MutexGuard};

/// The conversation of a run, and where it is stored.
pub(crate) struct Dialogue<'a> {
    session: &'a dyn TaskSession,
    redactor: Redactor,
    state: Mutex<Conversation>,
}

impl<'a> Dialogue<'a> {
    /// Takes up the conversation that an earlier worker stored, if there is one.
    pub(crate) fn new(session: &'a dyn TaskSession, redactor: Redactor, stored: Option<Conversation>) -> Self {
        Self { session, redactor, state: Mutex::new(stored.unwrap_or_default()) }
    }

    /// Forgets everything.
    pub(crate) async fn forget(&self) {
        *self.state.lock().await = Conversation::default();
    }

    /// Forgets what was said about another commit than this one.
    pub(crate) async fn keep_for(&self, base: &CommitSha) {
        let mut state = self.state.lock().await;
        if state.base.as_ref() != Some(base) {
            *state = Conversation { base: Some(base.clone()), ..Conversation::default() };
        }
    }

    pub(crate) async fn state(&self) -> MutexGuard<'_, Conversation> {
        self.state.lock().await
    }

    /// Stores the conversation. A job goes on if that fails: it would repeat some steps after a crash.
    pub(crate) async fn save(&self) {
        let mut stored = self.state.lock().await.clone();
        if let Some(reproduction) = &mut stored.reproduction {
            reproduction.script = self.redactor.redact(&reproduction.script);
        }
        for message in &mut stored.messages {
            message.content = self.redactor.redact(&message.content);
        }
        if let Err(error) = self.session.save_conversation(stored).await {
            tracing::warn!(error = %error_chain(&error), "failed to store the conversation with the model");
        }
    }

    /// Ends an attempt that the tests do not prove: the next one starts anew, and knows the better one of those before it.
    pub(crate) async fn end_attempt(&self, fix: &FixReport, verification: &VerifyReport) {
        let mut state = self.state.lock().await;
        let attempt = Attempt { fix: fix.clone(), verification: verification.clone() };
        let best = match state.earlier.take() {
            Some(earlier) if !is_better(&attempt, &earlier) => earlier,
            _ => Box::new(attempt),
        };
        *state = Conversation {
            base: state.base.clone(),
            attempt: state.attempt + 1,
            earlier: Some(best),
            reproduction: state.reproduction.take(),
            ..Conversation::default()
        };
        drop(state);
        self.save().await;
    }
}

/// Returns whether an attempt is better than an earlier one: by what the tests showed, then by its size.
pub(crate) fn is_better(attempt: &Attempt, earlier: &Attempt) -> bool {
    let value =
        |attempt: &Attempt| (rank(attempt.verification.verdict), std::cmp::Reverse(attempt.fix.diff.lines().count()));
    value(attempt) > value(earlier)
}

const fn rank(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::FixedProven => 5,
        Verdict::NoRegressions => 4,
        Verdict::StillFailing => 3,
        Verdict::NotRun | Verdict::NoTests | Verdict::AnalysisOnly => 2,
        Verdict::Regressions => 1,
        Verdict::CouldNotBuild => 0,
    }
}

/// How an answer to actions begins: those are shortened first.
pub(crate) const RESULT: &str = "<result";

/// How many of the last messages are never shortened.
const KEPT_MESSAGES: usize = 3;

/// Shortens the oldest answers to actions to a line each, in one go, if the conversation is longer than the window.
pub(crate) fn shrink(messages: &mut [Message], window: usize) {
    let total = |messages: &[Message]| messages.iter().map(|message| count_tokens(&message.content)).sum::<usize>();
    if total(messages) <= window {
        return;
    }
    let last = messages.len().saturating_sub(KEPT_MESSAGES);
    for at in 0..last {
        if messages[at].content.starts_with(RESULT) && !messages[at].content.ends_with(LEFT_OUT) {
            messages[at].content = shorten_results(&messages[at].content);
        }
        if total(messages) <= window * 2 / 3 {
            return;
        }
    }
}

/// What stands in place of a result.
const LEFT_OUT: &str = " left out, ask again if it is needed</result>";

fn shorten_results(text: &str) -> String {
    let headings = text.lines().filter(|line| line.starts_with(RESULT));
    let lines: Vec<String> = headings.map(|line| format!("{}{LEFT_OUT}", line.trim_end())).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_full_window_is_shortened_and_the_last_messages_stay() {
        let result = format!("<result of=\"read a.py\">\n{}\n</result>", "word ".repeat(2_000));
        let mut messages = vec![Message::system("rules"), Message::user("the issue")];
        for _ in 0..4 {
            messages.push(Message::assistant("### read a.py"));
            messages.push(Message::user(result.clone()));
        }
        let before = messages.clone();
        shrink(&mut messages, 100_000);
        assert_eq!(messages, before);
        shrink(&mut messages, 6_000);
        assert_eq!(messages[..3], before[..3]);
        assert_eq!(messages[3].content, "<result of=\"read a.py\"> left out, ask again if it is needed</result>");
        assert_eq!(messages[9], before[9], "what was said last stays");
    }
}
