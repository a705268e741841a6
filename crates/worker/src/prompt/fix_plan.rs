//! `generate_fix_plan` of `docs/requirements.md#r281`: plans the changes, file by file.

use patchwright_core::llm::Message;
use patchwright_domain::{Issue, Job};
use serde::Deserialize;

use super::{ask_json, feedback_text, file_text, issue_text, rules, text_or_nothing, texts_or_nothing};
use crate::budgeted_llm::BudgetedLlm;
use crate::context::StageError;

/// The model's answer, before its paths are checked.
#[derive(Debug, Deserialize)]
pub(crate) struct PlanAnswer {
    #[serde(default, deserialize_with = "text_or_nothing")]
    pub(crate) root_cause: String,
    #[serde(default, deserialize_with = "text_or_nothing")]
    pub(crate) fix_strategy: String,
    pub(crate) changes: Vec<ChangeAnswer>,
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
    #[serde(alias = "change", default, deserialize_with = "text_or_nothing")]
    pub(crate) description: String,
}

/// Sends the request; `Ok(Err(..))` is the error in an answer that cannot be used, also after asking again.
pub(crate) async fn ask<T>(
    llm: &BudgetedLlm<'_>,
    issue: &Issue,
    job: &Job,
    files: &[(String, String)],
    check: impl Fn(PlanAnswer) -> Result<T, String>,
) -> Result<Result<T, String>, StageError> {
    let files: Vec<String> = files.iter().map(|(path, text)| file_text(path, text)).collect();
    let question = format!(
        "{}\n\n{}{}\n\nPlan the smallest change that fixes the issue at its cause. Add or extend a test that fails today and \
         passes after the fix, where the repository has tests. CI configuration, lock files and agent settings cannot be \
         changed.\nAnswer with one JSON object in a ```json block:\n\
         {{\"root_cause\": \"…\", \"fix_strategy\": \"one line\", \"changes\": [{{\"file\": \"path\", \"description\": \
         \"what to change there\"}}], \"risks\": [\"…\"], \"testing_suggestions\": [\"…\"], \
         \"risk_level\": \"low|medium|high\"}}",
        issue_text(issue, job),
        files.join("\n\n"),
        feedback_text(job, "What fails on the branch that this continues").unwrap_or_default()
    );
    ask_json(llm, "fix_plan", vec![rules(), Message::user(question)], check).await
}
