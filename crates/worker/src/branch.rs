//! The commits of the branch: restoring a checkpointed fix after a restart, and the report files.

use patchwright_core::fault::Fault;
use patchwright_core::git::{CommitRequest, Workspace};
use patchwright_core::outgoing_text::OutgoingText;
use patchwright_domain::job::report::{ChangeForm, FileContent, FixReport, Verdict};
use patchwright_domain::{CommitSha, Job, RepoPath};

use crate::context::StageError;
use crate::edit::encode;
use crate::report_files;
use patchwright_core::task_session::{ReportFiles, TaskPolicy};

/// Returns the author, time and message of the job's commits. The time is the job's, so that the same change gives the
/// same commit.
pub(crate) fn commit_request(job: &Job, policy: &TaskPolicy, form: &ChangeForm) -> CommitRequest {
    // Together with the job's own line it is the last paragraph, where git and forges look for trailers.
    let mut message = report_files::commit_message(job, form);
    if let Some(person) = &policy.co_author {
        message.push(&OutgoingText::person_trailer("Co-authored-by", person));
    }
    if policy.sign_off {
        let author = format!("{} <{}>", policy.author_name, policy.author_email);
        message.push(&OutgoingText::person_trailer("Signed-off-by", &author));
    }
    CommitRequest {
        message,
        author_name: policy.author_name.clone(),
        author_email: policy.author_email.clone(),
        at: job.created_at,
    }
}

/// Restores the checkpointed fix in a new working copy.
pub(crate) async fn restore(
    workspace: &dyn Workspace,
    fix: &FixReport,
    job: &Job,
    policy: &TaskPolicy,
) -> Result<(), StageError> {
    let paths = write_all(workspace, &fix.contents).await?;
    workspace.commit(&paths, &commit_request(job, policy, &fix.form)).await?;
    Ok(())
}

pub(crate) async fn write_all(
    workspace: &dyn Workspace,
    contents: &[FileContent],
) -> Result<Vec<RepoPath>, StageError> {
    for file in contents {
        match &file.text {
            Some(text) => workspace.write(&file.path, &encoded(file, text)?).await?,
            None => workspace.remove(&file.path).await?,
        }
    }
    Ok(contents.iter().map(|file| file.path.clone()).collect())
}

/// Returns a text in the encoding of its file.
fn encoded(file: &FileContent, text: &str) -> Result<Vec<u8>, StageError> {
    encode(text, file.encoding.as_deref()).map_err(|problem| {
        let reason = format!("{} cannot be written: {problem}", file.path);
        StageError::new(reason, "Retry the job, or convert the file to UTF-8.", Fault::Internal)
    })
}

/// Returns the `agent/*` files of `docs/requirements.md#r293` that the setting puts on the branch.
pub(crate) fn report_files(job: &Job, verdict: Verdict, policy: &TaskPolicy) -> Vec<FileContent> {
    let wanted = match policy.report_files {
        ReportFiles::Branch => true,
        ReportFiles::WhenAnalysisOnly => verdict == Verdict::AnalysisOnly,
        ReportFiles::None => false,
    };
    if !wanted {
        return Vec::new();
    }
    let file = |path: &str, text: String| FileContent {
        path: RepoPath::parse(path).expect("our own paths are plain"),
        text: Some(text),
        encoding: None,
    };
    let plan = job.proposed().map(|report| &report.plan);
    let plan = serde_json::to_string_pretty(&plan).expect("a plan is only text");
    vec![
        file("agent/analysis.md", report_files::analysis_file(job)),
        file("agent/patch_plan.json", format!("{plan}\n")),
        file("agent/report.txt", report_files::report_file(job, verdict)),
    ]
}

/// Commits the report files together with the fix, as one commit on the branch.
pub(crate) async fn commit_reports(
    workspace: &dyn Workspace,
    job: &Job,
    files: &[FileContent],
    policy: &TaskPolicy,
) -> Result<CommitSha, StageError> {
    let mut paths = write_all(workspace, files).await?;
    if let Some(fix) = job.fixed() {
        paths.extend(fix.contents.iter().map(|file| file.path.clone()));
    }
    let form = job.fixed().map(|fix| fix.form.clone()).unwrap_or_default();
    Ok(workspace.commit(&paths, &commit_request(job, policy, &form)).await?)
}
