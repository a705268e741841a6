//! The fix by an external program: it runs in the sandbox on a copy of the tree, and its changes are validated by the
//! same rules as the model's edits.

use std::path::Path;

use patchwright_core::fault::Fault;
use patchwright_core::model_proxy::{ProxyRequest, ProxySession};
use patchwright_core::sandbox::{ProgramReport, ProgramRequest, TreeChange};
use patchwright_domain::RepoPath;
use patchwright_domain::job::report::FileContent;
use patchwright_domain::node::WorkCommand;
use patchwright_domain::protected::EditablePaths;

use super::propose::{CODE_TOKENS, describe, focus_of};
use crate::change::unified_diff;
use crate::command::{Words, issue_text, prompt};
use crate::context::{StageContext, StageError};
use crate::edit::{Decoded, decode};
use crate::fix::draft::MAX_FILE_BYTES;
use patchwright_core::outgoing_text::shorten;

/// The most files that a program may change.
const MAX_CHANGES: usize = 100;
/// The names of the files with the issue and the prompt.
const ISSUE_FILE: &str = "issue.md";
const PROMPT_FILE: &str = "prompt.md";

/// Runs the program and returns all files that differ from the base, and the diff.
pub(super) async fn run(
    context: &StageContext<'_>,
    command: &WorkCommand,
) -> Result<(Vec<FileContent>, String), StageError> {
    let tree = context.scratch.join(format!("program-{}", context.job.rounds));
    let standing = context.job.fixed().map_or_else(|| context.workspace.base_commit(), |fix| &fix.commit);
    let _ = tokio::fs::remove_dir_all(&tree).await;
    context.workspace.export(standing, &tree).await?;
    let report = call(context, command, &tree).await?;
    if report.code != Some(0) {
        let how = match report.code {
            Some(code) => format!("ended with {code}"),
            None => report.exceeded.map_or_else(|| "was killed".to_owned(), |limit| limit.to_string()),
        };
        let reason = format!("`{command}` {how}: {}", shorten(report.log_tail.trim(), 500));
        let remedy = "Look at the task's log; raise COMMAND_TIMEOUT if it needs more time. Then retry the job.";
        return Err(StageError::new(reason, remedy, Fault::Internal));
    }
    let mut contents = context.job.fixed().map(|fix| fix.contents.clone()).unwrap_or_default();
    for change in report.changed {
        let file = checked(change, command, &context.policy.editable_paths)?;
        contents.retain(|known| known.path != file.path);
        contents.push(file);
    }
    if contents.len() > MAX_CHANGES {
        return Err(refused(command, &format!("it changes {} files, more than {MAX_CHANGES}", contents.len())));
    }
    let mut diff = String::new();
    for file in &contents {
        let before = context.workspace.read(&file.path).await?;
        let before = before.and_then(|bytes| decode(&bytes).ok()).map(|decoded| decoded.text);
        let (old, new) = (before.as_deref().unwrap_or_default(), file.text.as_deref().unwrap_or_default());
        if context.tools.redactor.adds_secret(old, new) {
            return Err(refused(command, &format!("{} would contain a key or token", file.path)));
        }
        diff.push_str(&unified_diff(&file.path, before.as_deref(), file.text.as_deref()));
    }
    Ok((contents, diff))
}

async fn call(context: &StageContext<'_>, command: &WorkCommand, tree: &Path) -> Result<ProgramReport, StageError> {
    let sandbox = &context.tools.sandbox;
    sandbox.probe().await?;
    let folder = context.scratch.join("scratch");
    let inputs = sandbox.input_folder(&folder);
    let (issue_file, prompt_file) = (inputs.join(ISSUE_FILE), inputs.join(PROMPT_FILE));
    let located = context.job.located().map(|report| report.candidates.as_slice()).unwrap_or_default();
    let code = describe(context, focus_of(located), CODE_TOKENS).await?;
    let prompt = prompt(context.issue, context.job, &code);
    let mut proxy = match context.tools.model_proxy() {
        Some(proxy) => Some(proxy.open().await.map_err(|error| {
            let reason = format!("the model cannot be lent to `{command}`: {error}");
            StageError::new(reason, "Retry the job.", Fault::RETRY)
        })?),
        None => None,
    };
    let words = Words {
        prompt: &prompt,
        prompt_file: &prompt_file.display().to_string(),
        issue_file: &issue_file.display().to_string(),
        model: proxy.as_ref().map_or("", |proxy| proxy.model.as_str()),
        base_url: proxy.as_ref().map_or("", |proxy| proxy.base_url.as_str()),
        api_key: proxy.as_ref().map_or("", |proxy| proxy.api_key.expose()),
    };
    let Some((args, env)) = words.call(command, &context.tools.presets) else {
        return Err(refused(command, "this machine does not have this preset"));
    };
    context.progress.set_activity(format!("running {command}"));
    let issue = issue_text(context.issue, context.job);
    let request = ProgramRequest {
        root: tree.to_owned(),
        scratch: folder,
        inputs: [(ISSUE_FILE, issue), (PROMPT_FILE, prompt.clone())].map(|(name, text)| (name.to_owned(), text)).into(),
        reachable: proxy.as_ref().map(|proxy| proxy.address),
        args,
        env,
        timeout: context.tools.command_timeout,
    };
    let running = sandbox.run(request, context.progress, context.cancel);
    let mut running = std::pin::pin!(running);
    loop {
        tokio::select! {
            report = &mut running => return Ok(report?),
            request = next(&mut proxy) => account(context, request).await,
        }
    }
}

/// Receives the program's next call to the model; pends forever without a model.
async fn next(proxy: &mut Option<ProxySession>) -> ProxyRequest {
    if let Some(proxy) = proxy
        && let Some(request) = proxy.requests.recv().await
    {
        return request;
    }
    std::future::pending().await
}

/// Reserves or settles the budget of a program's call.
async fn account(context: &StageContext<'_>, request: ProxyRequest) {
    let Some(llm) = context.llm else { return };
    match request {
        ProxyRequest::Reserve { most, answer } => {
            let reserved = llm.reserve_call(most).await;
            let _ = answer.send(reserved.map_err(|error| error.reason));
        }
        ProxyRequest::Settle { day, most, spent } => llm.settle_call(day, most, spent).await,
    }
}

fn refused(command: &WorkCommand, why: &str) -> StageError {
    let reason = format!("the changes of `{command}` cannot be used: {why}");
    StageError::new(reason, "Retry the job, or describe the change in a comment.", Fault::Internal)
}

fn checked(change: TreeChange, command: &WorkCommand, editable: &EditablePaths) -> Result<FileContent, StageError> {
    let path = RepoPath::parse(&change.path).map_err(|error| refused(command, &error.to_string()))?;
    if let Some(reason) = editable.protection(&path) {
        return Err(refused(command, &format!("it changes {path}, which no job may: {reason}")));
    }
    let Some(bytes) = change.content else { return Ok(FileContent { path, text: None, encoding: None }) };
    if bytes.len() > MAX_FILE_BYTES {
        return Err(refused(command, &format!("{path} has {} bytes now", bytes.len())));
    }
    match decode(&bytes) {
        Ok(Decoded { text, encoding }) if !text.contains('\0') => Ok(FileContent { path, text: Some(text), encoding }),
        Ok(_) => Err(refused(command, &format!("{path} holds a NUL character"))),
        Err(problem) => Err(refused(command, &format!("{path}: {problem}"))),
    }
}
