//! Patchwright inside another program: bring your own ports, start a job, run it, read the patch. Here the ports are
//! the test kit's doubles; a real service hands in its adapters.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use patchwright_core::forge::Forge;
use patchwright_core::sandbox::SandboxError;
use patchwright_core::webhook::InboundIssue;
use patchwright_core::{CancellationToken, Redactor, Secret};
use patchwright_domain::PlatformId;
use patchwright_domain::job::PublishMode;
use patchwright_engine::{Engine, ManualStart, MarkerKey, Ports, Settings, Tools};
use patchwright_testkit::build;
use patchwright_testkit::fake::{
    FakeClock, FakeForge, FakeGit, FakeIndex, FakeStore, ScriptedLlm, ScriptedSandbox, SequentialIds,
};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let plan = r#"{"root_cause":"-","fix_strategy":"say hello","changes":[{"file":"hi.txt","description":"-"}]}"#;
    let forge: Arc<dyn Forge> = Arc::new(FakeForge::default());
    let store = Arc::new(FakeStore::default());
    let tools = Tools {
        git: Arc::new(FakeGit::with_files(&[("hi.txt", "helo\n")])),
        llm: Some(Arc::new(ScriptedLlm::new(&[r#"{"candidate_files":["hi.txt"]}"#, plan, "```\nhello\n```"]))),
        code_index: Arc::new(FakeIndex),
        sandbox: Arc::new(ScriptedSandbox::new(|_| Err(SandboxError::NoTests))),
        model_gate: None,
        presets: BTreeMap::new(),
        command_timeout: Duration::from_secs(60),
        progress: None,
        redactor: Redactor::default(),
    };
    let ports = Ports {
        store: store.clone(),
        ledger: store.clone(),
        nodes: store.clone(),
        notices: store.clone(),
        logs: store.clone(),
        calls: store,
        forges: HashMap::from([(PlatformId::from_static("github"), forge)]),
        trackers: HashMap::new(),
        jira: None,
        webhooks: HashMap::new(),
        clock: Arc::new(FakeClock::default()),
        ids: Arc::new(SequentialIds::default()),
        tools,
    };
    let folder = tempfile::tempdir()?;
    let settings = Settings::new(folder.path().to_owned());
    let engine = Engine::new(ports, settings, MarkerKey::new(&Secret::new("a key of your own")));
    let issue = InboundIssue {
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
