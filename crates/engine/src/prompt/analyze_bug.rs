//! `analyze_bug` of `seeds/002 §9`: which of the ranked files are at fault.

use patchwright_core::code_index::RankedFile;
use patchwright_core::llm::Message;
use patchwright_domain::{Issue, Job};
use serde::Deserialize;

use super::{ask_json, issue_text, rules};
use crate::run::{Asker, StageError};

/// The model's answer.
#[derive(Debug, Deserialize)]
pub(crate) struct BugAnalysis {
    #[serde(default)]
    pub(crate) analysis: String,
    pub(crate) candidate_files: Vec<String>,
}

/// Asks; `Ok(Err(..))` is an answer that cannot be used, in words.
pub(crate) async fn ask(
    asker: &Asker<'_>,
    issue: &Issue,
    job: &Job,
    ranked: &[RankedFile],
) -> Result<Result<BugAnalysis, String>, StageError> {
    let files: Vec<String> =
        ranked.iter().map(|file| format!("- {} ({})", file.path, file.reasons.join("; "))).collect();
    let question = format!(
        "{}\n\nAn index ranked these files for the issue, likeliest first:\n{}\n\n\
         Which of them must be read or changed to fix the issue? Answer with one JSON object in a ```json block:\n\
         {{\"analysis\": \"what goes wrong, in two sentences\", \"technical_areas\": [\"…\"], \
         \"candidate_files\": [\"up to 5 paths from the list, likeliest first\"], \"reasoning\": \"why these\"}}",
        issue_text(issue, job),
        files.join("\n")
    );
    ask_json(asker, "analyze_bug", vec![rules(), Message::user(question)]).await
}
