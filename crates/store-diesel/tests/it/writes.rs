//! What is written is in proportion to what changed.

use std::sync::Arc;

use patchwright_core::query::Queries as _;
use patchwright_core::sandbox::TestOutcome;
use patchwright_core::store::{ConcurrencyLimits, Store as _};
use patchwright_core::task_session::{TaskSession as _, TaskSessionError};
use patchwright_core::webhook::InboundIssue;
use patchwright_core::{CancellationToken, Clock as _, Secret};
use patchwright_domain::job::report::Verdict;
use patchwright_domain::job::stage::{StageKind, StageStatus};
use patchwright_domain::job::{JobState, Lease, PublishMode};
use patchwright_domain::{Job, Task};
use patchwright_engine::{Engine, ManualStart, MarkerKey, Settings};
use patchwright_store_diesel::DieselStore;
use patchwright_testkit::build;
use patchwright_testkit::fake::{
    FakeClock, FakeForge, FakeGit, FakeIndex, ScriptedLlm, ScriptedSandbox, SequentialIds, report,
};
use patchwright_worker::Tools;

use crate::on_both_databases;
use crate::sql::Sql;

const COUNT_ON_SQLITE: &str = "CREATE TABLE stage_write (stage TEXT NOT NULL);
    CREATE TRIGGER stage_insert AFTER INSERT ON job_stage BEGIN INSERT INTO stage_write VALUES (NEW.stage); END;
    CREATE TRIGGER stage_update AFTER UPDATE ON job_stage BEGIN INSERT INTO stage_write VALUES (NEW.stage); END;";
const COUNT_ON_POSTGRES: &str = "CREATE TABLE stage_write (stage TEXT NOT NULL);
    CREATE FUNCTION count_stage_write() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO stage_write VALUES (NEW.stage); RETURN NULL; END $$;
    CREATE TRIGGER stage_write AFTER INSERT OR UPDATE ON job_stage
    FOR EACH ROW EXECUTE FUNCTION count_stage_write();";

const ANSWERS: [&str; 3] = [
    r#"{"candidate_files": ["calc.py"]}"#,
    r#"{"root_cause": "it subtracts", "fix_strategy": "Use +", "changes": [{"file": "calc.py", "description": "use +"}], "risk_level": "low"}"#,
    "```python\ndef add(a, b):\n    return a + b\n```",
];

/// An engine over fakes and a real store.
struct EngineFixture {
    engine: Engine,
    clock: Arc<FakeClock>,
    _folder: tempfile::TempDir,
}

impl EngineFixture {
    fn new(store: DieselStore) -> Self {
        let git = FakeGit::with_files(&[("calc.py", "def add(a, b):\n    return a - b\n")]);
        let sandbox = ScriptedSandbox::new(|request| {
            let text = std::fs::read_to_string(request.root.join("calc.py")).unwrap();
            let add = if text.contains("a + b") { TestOutcome::Passed } else { TestOutcome::Failed };
            Ok(report(&[("test_add", add)]))
        });
        let llm = Arc::new(ScriptedLlm::new(&ANSWERS));
        let tools = Tools::new(Arc::new(git), Arc::new(FakeIndex), Arc::new(sandbox)).with_llm(Some(llm));
        let (folder, clock) = (tempfile::tempdir().unwrap(), Arc::new(FakeClock::default()));
        let settings = Settings::new(folder.path().to_owned());
        let engine = Engine::builder(Arc::new(store), tools, settings, MarkerKey::new(&Secret::new("master")))
            .forge(Arc::new(FakeForge::default()))
            .clock(clock.clone(), Arc::new(SequentialIds::default()))
            .build();
        Self { engine, clock, _folder: folder }
    }

    async fn start(&self, number: u32) -> Job {
        let issue = InboundIssue {
            opened_at: None,
            source: build::source(number),
            title: "add() subtracts".into(),
            body: "`add(1, 2)` is -1.".into(),
            author: "alice".into(),
            labels: Vec::new(),
            is_pull_request: false,
            default_branch: None,
        };
        let start = ManualStart { issue, actor: "alice".into(), instructions: None, publish: PublishMode::Patch };
        self.engine.start(start).await.unwrap()
    }
}

async fn stage_writes(sql: &Sql) -> i64 {
    sql.number("SELECT count(*) AS number FROM stage_write").await
}

async fn a_job_writes_each_stage_twice_and_a_renewal_writes_none(store: DieselStore, sql: Sql) {
    sql.run(COUNT_ON_SQLITE, COUNT_ON_POSTGRES).await;
    let fixture = EngineFixture::new(store.clone());
    let job = fixture.start(1).await;
    fixture.engine.run_next("worker", &CancellationToken::new()).await.unwrap();
    let job = fixture.engine.job(job.id).await.unwrap().unwrap();
    assert_eq!(job.verdict, Some(Verdict::FixedProven), "{:?}", job.failure);
    assert_eq!(job.stages.each_ref().map(|stage| stage.status), [StageStatus::Succeeded; 4]);
    for stage in StageKind::ALL {
        let query = format!("SELECT count(*) AS number FROM stage_write WHERE stage = '{stage}'");
        let writes = sql.number(&query).await;
        assert!((1..=2).contains(&writes), "{stage} is written {writes} times");
    }

    fixture.start(2).await;
    let (until, now) = (fixture.clock.now() + jiff::SignedDuration::from_secs(40), fixture.clock.now());
    let lease = Lease { holder: "worker".into(), task_id: build::task_id(1), until };
    let claimed = store.claim_job(now, Arc::new(lease), ConcurrencyLimits::default()).await.unwrap().unwrap();
    let (writes, changed_at) = (stage_writes(&sql).await, claimed.value.updated_at.as_microsecond());
    let session = fixture.engine.task_session(Task::first(&claimed.value, "embedded", now));
    for _ in 0..10 {
        fixture.clock.advance(10);
        session.renew_lease().await.unwrap();
    }
    let mut expected = claimed;
    if let JobState::Running { lease } = &mut expected.value.state {
        lease.until = fixture.clock.now() + jiff::SignedDuration::from_secs(40);
    }
    let id = expected.value.id;
    assert_eq!(store.job(id).await.unwrap().unwrap(), expected, "revision and `updated_at` stay");
    assert_eq!(stage_writes(&sql).await, writes);
    assert!(store.jobs_changed(changed_at + 1, 9).await.unwrap().is_empty());

    fixture.engine.cancel(id, None).await.unwrap();
    assert!(matches!(session.renew_lease().await, Err(TaskSessionError::LeaseLost)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_writes_each_stage_twice_and_a_renewal_writes_none_on_both_databases() {
    on_both_databases(a_job_writes_each_stage_twice_and_a_renewal_writes_none).await;
}
