//! `generate_code_fix` of `docs/requirements.md#r282`: changes one file. The code is never requested inside JSON, where
//! models write worse code.

use patchwright_core::llm::Message;
use patchwright_domain::job::report::{Plan, PlannedChange};
use patchwright_domain::{Issue, Job};

use super::{feedback_text, file_text, issue_text, rules};
use crate::edit::plain;

/// Files up to this many lines are requested whole; longer ones as search/replace blocks.
const WHOLE_UP_TO: usize = 120;

const BLOCKS: &str = "Answer with search/replace blocks and nothing else:\n\
    <<<<<<< SEARCH\nlines that stand in the file, letter by letter, enough of them to be found only once\n=======\n\
    the lines that replace them\n>>>>>>> REPLACE";

/// What else may be answered for a file that is there.
const OTHERWISE: &str =
    "\nIf nothing is to be done in this file, answer NO CHANGE; if it is to be removed, DELETE FILE.";

/// The conversation about one file. `text` is `None` for a file that does not exist yet.
pub(crate) fn conversation(
    issue: &Issue,
    job: &Job,
    plan: &Plan,
    change: &PlannedChange,
    text: Option<&str>,
) -> Vec<Message> {
    let (file, form) = match text {
        None => (
            format!("The file {} does not exist yet.", change.file),
            "Answer with the whole new file in one ``` block and nothing else.".to_owned(),
        ),
        Some(text) if text.lines().count() <= WHOLE_UP_TO => (
            file_text(change.file.as_str(), &plain(text)),
            format!("Answer with the whole changed file in one ``` block and nothing else.{OTHERWISE}"),
        ),
        Some(text) => (file_text(change.file.as_str(), &plain(text)), format!("{BLOCKS}{OTHERWISE}")),
    };
    let others: Vec<String> = plan
        .changes
        .iter()
        .filter(|other| other.file != change.file)
        .map(|other| format!("- {}: {}", other.file, other.description))
        .collect();
    let mut question = format!(
        "{}\n\nThe cause: {}\nThe plan: {}\nIn {}: {}\n",
        issue_text(issue, job),
        plan.root_cause,
        plan.fix_strategy,
        change.file,
        change.description
    );
    if !others.is_empty() {
        question.push_str(&format!("Elsewhere, by others:\n{}\n", others.join("\n")));
    }
    if let Some(feedback) = feedback_text(job, "An earlier try of yours was tested and did not hold") {
        question.push_str(&format!("{feedback}Make it better.\n"));
    }
    question.push_str(&format!("\n{file}\n\n{form}"));
    vec![rules(), Message::user(question)]
}

/// Returns the message for the model about an edit that cannot be applied.
pub(crate) fn complaint(problem: &str) -> Message {
    Message::user(format!(
        "That cannot be applied: {problem}\nAnswer again for the whole file's change, in the form that was asked for."
    ))
}
