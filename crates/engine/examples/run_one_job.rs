//! Embeds Patchwright in another program: provide the ports, start a job, run it, read the patch. The ports here are
//! the test kit's fakes; a real service provides its adapters.

use std::sync::Arc;

use patchwright_core::forge::Forge;
use patchwright_core::sandbox::SandboxError;
use patchwright_core::webhook::InboundIssue;
use patchwright_core::{CancellationToken, Secret};
use patchwright_domain::job::PublishMode;
use patchwright_engine::{Engine, ManualStart, MarkerKey, Settings};
use patchwright_testkit::build;
use patchwright_testkit::fake::{FakeForge, FakeGit, FakeIndex, FakeStore, ScriptedLlm, ScriptedSandbox};
use patchwright_worker::Tools;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let plan = r#"{"root_cause":"-","fix_strategy":"say hello","changes":[{"file":"hi.txt","description":"-"}]}"#;
    let forge: Arc<dyn Forge> = Arc::new(FakeForge::default());
    let store = Arc::new(FakeStore::default());
    let model = ScriptedLlm::new(&[r#"{"candidate_files":["hi.txt"]}"#, plan, "```\nhello\n```"]);
    let git = Arc::new(FakeGit::with_files(&[("hi.txt", "helo\n")]));
    let sandbox = Arc::new(ScriptedSandbox::new(|_| Err(SandboxError::NoTests)));
    let tools = Tools::new(git, Arc::new(FakeIndex), sandbox).with_llm(Some(Arc::new(model)));
    let folder = tempfile::tempdir()?;
    let settings = Settings::new(folder.path().to_owned());
    let marker = MarkerKey::new(&Secret::new("a key of your own"));
    let engine = Engine::builder(store, tools, settings, marker).forge(forge).build();
    let issue = InboundIssue {
        opened_at: None,
        source: build::source(1),
        title: "A letter is missing".into(),
        body: String::new(),
        author: "you".into(),
        labels: Vec::new(),
        is_pull_request: false,
        default_branch: None,
    };
    let start = ManualStart { issue, actor: "you".into(), instructions: None, publish: PublishMode::Patch };
    let job = engine.start(start).await?;
    engine.run_next("embedded", &CancellationToken::new()).await?;
    let job = engine.job(job.id).await?.ok_or("the job is gone")?;
    tracing::info!(verdict = ?job.verdict, "{}", job.fixed().map_or("no change", |fix| fix.diff.as_str()));
    Ok(())
}
