//! `generate_fix_plan` of `docs/requirements.md#r281`: plans the changes, file by file.

use patchwright_core::llm::Role;
use patchwright_domain::{Issue, Job};
use serde::Deserialize;

use super::{ask_json, feedback_text, issue_text, text_or_nothing, texts_or_nothing};
use crate::budgeted_llm::BudgetedLlm;
use crate::context::StageError;
use crate::dialogue::Dialogue;

/// What the form of a plan begins with.
pub(crate) const FORM: &str = "{\"root_cause\"";

/// The model's answer, before its paths are checked.
#[derive(Debug, Deserialize)]
pub(crate) struct PlanAnswer {
    #[serde(default, deserialize_with = "text_or_nothing")]
    pub(crate) root_cause: String,
    #[serde(default, deserialize_with = "text_or_nothing")]
    pub(crate) fix_strategy: String,
    pub(crate) changes: Vec<ChangeAnswer>,
    #[serde(default)]
    pub(crate) tests: Option<Vec<ChangeAnswer>>,
    #[serde(default, deserialize_with = "texts_or_nothing")]
    pub(crate) risks: Vec<String>,
    #[serde(default, deserialize_with = "texts_or_nothing")]
    pub(crate) testing_suggestions: Vec<String>,
    #[serde(default, deserialize_with = "text_or_nothing")]
    pub(crate) risk_level: String,
}

/// One change of the plan.
#[derive(Debug, Deserialize)]
pub(crate) struct ChangeAnswer {
    #[serde(alias = "path", alias = "file_path")]
    pub(crate) file: String,
    #[serde(default, deserialize_with = "texts_or_nothing")]
    pub(crate) symbols: Vec<String>,
    #[serde(alias = "change", alias = "what", default, deserialize_with = "text_or_nothing")]
    pub(crate) description: String,
}

/// Asks for another plan than the one that the conversation ends with; as [`ask`].
pub(crate) async fn ask_again<T>(
    llm: &BudgetedLlm<'_>,
    dialogue: &Dialogue<'_>,
    words: &str,
    check: impl Fn(PlanAnswer) -> Result<T, String>,
) -> Result<Result<T, String>, StageError> {
    let words = words.replace("</words>", "<\\/words>");
    let asked = format!("<words>\n{words}\n</words>");
    if let Some(known) = answer_to(dialogue, &asked).await.and_then(|answer| super::extract::json(&answer).ok()) {
        // An earlier worker asked, and stored the answer.
        if let Ok(plan) = check(known) {
            return Ok(Ok(plan));
        }
    }
    let question = format!(
        "Somebody who may decide about the plan wants it changed:\n{asked}\nMake the whole plan again, as they want it. \
         Answer with one JSON object of the same form."
    );
    ask_json(llm, "fix_plan", dialogue, question, check).await
}

/// Returns the last answer if it is the one to a question with this text.
async fn answer_to(dialogue: &Dialogue<'_>, asked: &str) -> Option<String> {
    let state = dialogue.state().await;
    let [.., question, answer] = &state.messages[..] else { return None };
    (question.content.contains(asked) && answer.role == Role::Assistant).then(|| answer.content.clone())
}

/// Asks as the next question of the conversation; `Ok(Err(..))` is the error in an answer that cannot be used, also after asking
/// again.
pub(crate) async fn ask<T>(
    llm: &BudgetedLlm<'_>,
    dialogue: &Dialogue<'_>,
    (issue, job): (&Issue, &Job),
    code: &str,
    check: impl Fn(PlanAnswer) -> Result<T, String>,
) -> Result<Result<T, String>, StageError> {
    // The issue stands at the beginning of the conversation already if the model was asked for files.
    let is_first = dialogue.state().await.messages.is_empty();
    let issue = if is_first { format!("{}\n\n", issue_text(issue, job)) } else { String::new() };
    let question = format!(
        "{issue}{code}{}\n\nPlan the smallest change that fixes the issue at its cause. Add or extend a test that fails today and \
         passes after the fix, where the repository has tests. CI configuration, lock files and agent settings cannot be \
         changed.\nAnswer with one JSON object in a ```json block:\n\
         {{\"root_cause\": \"…\", \"fix_strategy\": \"one line\", \"changes\": [{{\"file\": \"path\", \"symbols\": [\"Class.method\"], \
         \"description\": \"what to change there\"}}], \"tests\": [{{\"file\": \"path\", \"what\": \"what it shows\"}}], \
         \"risks\": [\"…\"], \"testing_suggestions\": [\"…\"], \"risk_level\": \"low|medium|high\"}}",
        feedback_text(job, "What fails on the branch that this continues").unwrap_or_default()
    );
    ask_json(llm, "fix_plan", dialogue, question, check).await
}
