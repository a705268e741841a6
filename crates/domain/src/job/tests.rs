use super::report::*;
use super::stage::*;
use super::*;
use crate::node::Needs;
use crate::{Effect, IssueNumber, IssueStatus, Milestone, PlatformId, Refused, RepoPath, TaskId, TaskStatus};
use std::fmt::Write as _;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_755_858_600 + second).unwrap()
}

fn uuid(n: u128) -> uuid::Uuid {
    uuid::Uuid::from_u128(n)
}

fn job() -> Job {
    let number = IssueNumber { api: 42, display: 3_243_389 };
    let (platform, repo) = (PlatformId::from_static("github"), "acme/demo".parse().unwrap());
    let source = IssueRef::on_forge(platform, repo, number);
    Job::new(NewJob {
        follows: None,
        id: JobId::from_uuid(uuid(1)),
        issue_id: IssueId::from_uuid(uuid(2)),
        title: "Bug".into(),
        trigger: JobTrigger {
            kind: TriggerKind::Mention,
            event_type: "issue_comment".into(),
            actor: "alice".into(),
            instructions: None,
            comment_id: Some("7".into()),
            at: at(0),
            language: crate::trigger::Language::English,
        },
        branch: BranchName::for_issue(&source, at(0)),
        source,
        base_branch: BranchName::parse("main").unwrap(),
        publish: PublishMode::PullRequest,
        needs: Needs::default(),
        command: None,
        priority: Priority::Normal,
        review_plan: false,
    })
}

fn leased(job: Job) -> Job {
    let lease = Lease { holder: "worker".into(), task_id: TaskId::from_uuid(uuid(3)), until: at(60) };
    job.advance(JobEvent::Leased { lease }, at(1)).unwrap().0
}

fn locate_report() -> StageReport {
    StageReport::Locate(LocateReport {
        candidate_files: vec![RepoPath::parse("src/app.py").unwrap()],
        stage_data: LocateData {
            analysis_method: AnalysisMethod::Heuristic,
            confidence_level: Level::High,
            files_analyzed: 120,
            history_depth: None,
        },
        candidates: vec![],
    })
}

#[test]
fn the_job_object_serialises_exactly_as_the_contract() {
    let payload = serde_json::json!({"action": "created"});
    let object = serde_json::to_value(job().object(&payload)).unwrap();
    insta::assert_json_snapshot!(object, @r#"
    {
      "actor": "alice",
      "branch": "agent/fix-42-0822-103000",
      "created_at": "2025-08-22T10:30:00Z",
      "default_branch": "main",
      "display_issue_number": 3243389,
      "event_type": "issue_comment",
      "issue_number": 42,
      "issue_title": "Bug",
      "job_id": "00000000-0000-0000-0000-000000000001",
      "owner": "acme",
      "platform": "github",
      "repo": "demo",
      "triggered_by_assignment": false,
      "webhook_payload": {
        "action": "created"
      }
    }
    "#);
}

#[test]
fn a_stage_report_serialises_with_the_names_of_the_contract() {
    let value = serde_json::to_value(locate_report()).unwrap();
    assert_eq!(value["candidate_files"], serde_json::json!(["src/app.py"]));
    assert_eq!(
        value["stage_data"],
        serde_json::json!({"analysis_method": "heuristic", "confidence_level": "high", "files_analyzed": 120})
    );
    let mut record = StageRecord::pending(StageKind::Locate);
    record.report = Some(locate_report());
    let written = serde_json::to_value(&record).unwrap();
    assert_eq!(written["report"], value);
    assert_eq!(serde_json::from_value::<StageRecord>(written.clone()).unwrap(), record);
    let mut mislabelled = written;
    mislabelled["kind"] = "verify".into();
    assert!(serde_json::from_value::<StageRecord>(mislabelled).is_err(), "the stage decides how a report is read");
}

#[test]
fn a_worker_that_lost_its_lease_changes_nothing() {
    let job = leased(job());
    let stale = job.epoch;
    let (job, _) = job.advance(JobEvent::LeaseExpired, at(61)).unwrap();
    let job = leased(job);
    let refused = job
        .clone()
        .advance(JobEvent::progress(stale, WorkerEvent::StageStarted { stage: StageKind::Locate }), at(62))
        .unwrap_err();
    assert_eq!(refused, Refused::Stale { epoch: stale, current: job.epoch });
    assert_eq!(job.attempts, 2);
}

#[test]
fn a_finished_stage_is_not_run_again_after_a_crash() {
    let job = leased(job());
    let epoch = job.epoch;
    let (job, _) =
        job.advance(JobEvent::progress(epoch, WorkerEvent::StageStarted { stage: StageKind::Locate }), at(2)).unwrap();
    let done = JobEvent::progress(
        epoch,
        WorkerEvent::StageSucceeded {
            report: locate_report(),
            comment: "found".into(),
            usage: Usage { calls: 1, prompt_tokens: 10, completion_tokens: 5, cost_micros: 0 },
        },
    );
    let (job, effects) = job.advance(done, at(5)).unwrap();
    assert_eq!(effects, [Effect::RefreshProgress]);
    let (job, _) = job.advance(JobEvent::LeaseExpired, at(61)).unwrap();
    let job = leased(job);
    assert_eq!(job.next_stage(), Some(StageKind::Propose));
    assert_eq!(job.stage(StageKind::Locate).seconds(), Some(3.0));
    assert_eq!(job.usage().tokens(), 15);
    let again = JobEvent::progress(job.epoch, WorkerEvent::StageStarted { stage: StageKind::Locate });
    assert!(job.advance(again, at(62)).is_err());
}

#[test]
fn the_summary_of_a_job_agrees_with_the_job_at_every_step() {
    let plan = Plan {
        root_cause: "it subtracts".into(),
        fix_strategy: "add".into(),
        tests: vec![],
        changes: vec![],
        risks: vec![],
        testing_suggestions: vec![],
    };
    let stage_data = ProposeData { fix_strategy: "add".into(), changes_count: 0, risk_level: Level::Low };
    let proposed = StageReport::Propose(ProposeReport { target_files: vec![], stage_data, plan });
    let succeeded = |report| {
        JobEvent::progress(
            1,
            WorkerEvent::StageSucceeded {
                report,
                comment: String::new(),
                usage: Usage { calls: 1, prompt_tokens: 10, completion_tokens: 5, cost_micros: 0 },
            },
        )
    };
    let started = |stage| JobEvent::progress(1, WorkerEvent::StageStarted { stage });
    let mut job = leased(Job { review: PlanReview::Requested, ..job() });
    for event in [
        started(StageKind::Locate),
        succeeded(locate_report()),
        started(StageKind::Propose),
        succeeded(proposed),
        JobEvent::Released { epoch: 1 },
        JobEvent::CancelRequested,
        JobEvent::RestartRequested,
    ] {
        job = job.advance(event, at(2)).unwrap().0;
        let summary = JobSummary::from(&job);
        assert_eq!(summary.status(), job.status());
        assert_eq!(summary.next_stage(), job.next_stage());
        assert_eq!(summary.usage(), job.usage());
        assert_eq!(summary.awaits_approval(), job.awaits_approval());
    }
    assert!(job.awaits_approval() && job.usage().calls == 2);
}

#[test]
fn a_hand_back_at_shutdown_is_no_try() {
    let job = leased(job());
    let epoch = job.epoch;
    let (job, _) = job.advance(JobEvent::Released { epoch }, at(2)).unwrap();
    assert_eq!((job.status(), job.attempts), (JobStatus::Queued, 0));
}

/// A job whose stages are done and whose branch is pushed.
fn pushed() -> CommitSha {
    CommitSha::parse("0123456789abcdef0123456789abcdef01234567").unwrap()
}

fn completed(verdict: Verdict) -> (Job, Vec<Effect>) {
    let job = leased(job());
    let epoch = job.epoch;
    let pushed = WorkerEvent::BranchPushed { commit: pushed() };
    let (job, effects) = job.advance(JobEvent::progress(epoch, pushed), at(8)).unwrap();
    assert_eq!(effects, [Effect::OpenPullRequest]);
    job.advance(JobEvent::Completed { epoch, verdict }, at(9)).unwrap()
}

fn pull_request() -> crate::job::PullRequestRef {
    crate::job::PullRequestRef { number: 7, url: String::new(), node_id: None, draft: true, end: None }
}

#[test]
fn a_job_has_succeeded_when_the_forge_shows_its_result() {
    let opened = JobEvent::PullRequestOpened(pull_request());
    let (job, effects) = completed(Verdict::NoRegressions);
    assert_eq!((job.status(), effects), (JobStatus::Publishing, vec![Effect::RefreshProgress]));
    assert!(job.clone().advance(JobEvent::CancelRequested, at(10)).is_err());
    let (job, effects) = job.advance(opened.clone(), at(10)).unwrap();
    assert_eq!((job.status(), job.ended_at), (JobStatus::Succeeded, Some(at(10))));
    let read = Effect::ReadCi { commit: pushed(), base: "main".to_owned() };
    assert_eq!(effects, [Effect::RefreshProgress, Effect::PostResult, read]);

    let (job, effects) = completed(Verdict::FixedProven);
    assert_eq!(effects, [Effect::RefreshProgress, Effect::MarkReady], "only a proven fix is marked ready");
    let (job, _) = job.advance(opened, at(10)).unwrap();
    assert_eq!(job.status(), JobStatus::Publishing, "it is not ready for review yet");
    for event in [
        JobEvent::PullRequestReady,
        JobEvent::PullRequestEnded { end: crate::job::PullRequestEnd::Merged },
        JobEvent::DeliveryFailed { problem: "drafts stay drafts".to_owned() },
    ] {
        let (job, effects) = job.clone().advance(event, at(11)).unwrap();
        assert_eq!((job.status(), effects.contains(&Effect::PostResult)), (JobStatus::Succeeded, true));
        let is_open = job.published.open_pull_request().is_some();
        assert_eq!(effects.iter().any(|effect| matches!(effect, Effect::ReadCi { .. })), is_open);
    }
}

#[test]
fn what_the_ci_says_is_about_the_commit_on_an_open_pull_request_and_never_about_the_verdict() {
    use crate::job::ci::{CiCheck, CiOutcome, CiReport};
    let check = CiCheck { name: "test".into(), outcome: CiOutcome::Failed, before: None, url: None, id: None };
    let report = |commit: CommitSha| JobEvent::CiRead(Box::new(CiReport::new(commit, vec![check.clone()], vec![])));
    let (job, _) = completed(Verdict::NoRegressions);
    assert!(job.clone().advance(report(pushed()), at(10)).is_err(), "nothing is published yet");
    let (job, _) = job.advance(JobEvent::PullRequestOpened(pull_request()), at(10)).unwrap();
    let other = CommitSha::parse(&"9".repeat(40)).unwrap();
    assert!(job.clone().advance(report(other), at(11)).is_err(), "another commit was pushed");
    let (job, effects) = job.advance(report(pushed()), at(11)).unwrap();
    assert_eq!(effects, [Effect::RefreshProgress]);
    assert_eq!((job.status(), job.verdict), (JobStatus::Succeeded, Some(Verdict::NoRegressions)));
    let (job, effects) = job.advance(report(pushed()), at(12)).unwrap();
    assert_eq!(effects, [], "the panel says it already");
    let closed = JobEvent::PullRequestEnded { end: crate::job::PullRequestEnd::Closed };
    let (job, _) = job.advance(closed, at(13)).unwrap();
    assert!(job.advance(report(pushed()), at(14)).is_err());
}

#[test]
fn a_pull_request_that_waits_for_its_checks_is_ready_when_no_further_check_is_expected() {
    use crate::job::ci::{CiCheck, CiOutcome, CiReport};
    let check = CiCheck { name: "DCO".into(), outcome: CiOutcome::Passed, before: None, url: None, id: None };
    let report = |is_final| {
        let report = CiReport::new(pushed(), vec![check.clone()], vec![]);
        JobEvent::CiRead(Box::new(CiReport { is_final, ..report }))
    };
    let (mut job, _) = completed(Verdict::FixedProven);
    let report_of_tests = serde_json::json!({
        "build_success": true, "test_results": null, "before": null, "verdict": "fixed_proven", "explanation": "",
        "fixed_tests": ["test_a"], "broken_tests": [], "draft_until": "proven_and_ci", "command": null,
        "isolation": "", "log_tail": "",
    });
    let found: VerifyReport = serde_json::from_value(report_of_tests).unwrap();
    assert_eq!(found.draft_until, Some(ReadyWhen::ProvenAndCi));
    job.stages[StageKind::Verify as usize].report = Some(StageReport::Verify(Box::new(found)));
    let (job, _) = job.advance(JobEvent::PullRequestOpened(pull_request()), at(10)).unwrap();
    let (job, effects) = job.advance(report(false), at(11)).unwrap();
    assert_eq!(effects, [Effect::RefreshProgress], "others may begin");
    let (_, effects) = job.advance(report(true), at(12)).unwrap();
    assert_eq!(effects, [Effect::MarkReady, Effect::RefreshProgress]);
}

#[test]
fn a_pull_request_that_people_closed_is_no_place_for_a_later_push() {
    let running = leased(job());
    let epoch = running.epoch;
    let push = |digit: char| {
        let commit = CommitSha::parse(&digit.to_string().repeat(40)).unwrap();
        JobEvent::progress(epoch, WorkerEvent::BranchPushed { commit })
    };
    let (running, _) = running.advance(push('1'), at(2)).unwrap();
    let (running, _) = running.advance(JobEvent::PullRequestOpened(pull_request()), at(3)).unwrap();
    let (running, _) = running.advance(JobEvent::PullRequestReady, at(4)).unwrap();
    let closed = JobEvent::PullRequestEnded { end: crate::job::PullRequestEnd::Closed };
    let (running, _) = running.advance(closed, at(5)).unwrap();
    let (running, effects) = running.advance(push('2'), at(6)).unwrap();
    assert_eq!(effects, [Effect::OpenPullRequest]);
    let completed = JobEvent::Completed { epoch, verdict: Verdict::FixedProven };
    let (waiting, effects) = running.advance(completed, at(7)).unwrap();
    assert_eq!((waiting.status(), effects.contains(&Effect::MarkReady)), (JobStatus::Publishing, true));
    let again = crate::job::PullRequestRef { number: 8, ..pull_request() };
    let (waiting, _) = waiting.advance(JobEvent::PullRequestOpened(again), at(8)).unwrap();
    assert_eq!(waiting.status(), JobStatus::Publishing, "the new one is a draft");
    let (done, effects) = waiting.advance(JobEvent::PullRequestReady, at(9)).unwrap();
    assert_eq!((done.status(), effects.len()), (JobStatus::Succeeded, 3), "{effects:?}");
}

#[test]
fn fault_c5_a_job_whose_pull_request_cannot_be_opened_fails_and_a_restart_publishes_only() {
    let (job, _) = completed(Verdict::FixedProven);
    let (job, effects) = job.advance(JobEvent::DeliveryFailed { problem: "422".to_owned() }, at(10)).unwrap();
    assert_eq!((job.status(), job.verdict), (JobStatus::Failed, Some(Verdict::FixedProven)));
    assert_eq!(effects, [Effect::RefreshProgress, Effect::PostResult]);
    let (job, effects) = job.advance(JobEvent::RestartRequested, at(11)).unwrap();
    assert_eq!((job.status(), effects.first()), (JobStatus::Queued, Some(&Effect::OpenPullRequest)));
}

#[test]
fn a_failed_job_restarts_at_the_stage_that_failed() {
    let job = leased(job());
    let epoch = job.epoch;
    let (job, _) =
        job.advance(JobEvent::progress(epoch, WorkerEvent::StageStarted { stage: StageKind::Locate }), at(2)).unwrap();
    let failure = Failure {
        stage: Some(StageKind::Locate),
        reason: "no".into(),
        remedy: "yes".into(),
        origin: FailureOrigin::Request,
    };
    let (job, effects) = job.advance(JobEvent::Failed { epoch, failure, usage: Usage::default() }, at(3)).unwrap();
    assert_eq!(effects, [Effect::RefreshProgress, Effect::PostResult]);
    assert_eq!(job.stage(StageKind::Locate).status, StageStatus::Failed);
    let (job, _) = job.advance(JobEvent::RestartRequested, at(4)).unwrap();
    assert_eq!((job.status(), job.next_stage(), job.attempts), (JobStatus::Queued, Some(StageKind::Locate), 0));
}

#[test]
fn a_job_that_publishes_nothing_has_no_effects() {
    let mut job = job();
    job.publish = PublishMode::Patch;
    assert!(job.accepted_effects().is_empty());
    let job = leased(job);
    let epoch = job.epoch;
    let (_, effects) = job.advance(JobEvent::Completed { epoch, verdict: Verdict::FixedProven }, at(2)).unwrap();
    assert!(effects.is_empty());
}

/// Every state with every event of the four machines, as the table that docs/pipeline.md shows.
#[test]
fn a_job_of_a_tracker_tells_it_its_milestones_and_a_job_of_a_forge_none() {
    let of_forge = job();
    assert_eq!(of_forge.accepted_effects(), [Effect::Acknowledge]);
    let text = serde_json::to_string(&of_forge.source).unwrap();
    assert!(!text.contains("tracker"), "{text}");
    assert_eq!(serde_json::from_str::<IssueRef>(&text).unwrap(), of_forge.source);

    let tracker =
        crate::TrackerRef::new(PlatformId::from_static("jira"), "acme.atlassian.net", "10042", "PROJ-12").unwrap();
    let source = IssueRef::tracked(of_forge.source.platform.clone(), of_forge.source.repo.clone(), tracker);
    let of_jira = Job { source, ..of_forge.clone() };
    let object = serde_json::to_value(of_jira.object(())).unwrap();
    assert_eq!((&object["issue_number"], &object["display_issue_number"]), (&10042.into(), &12.into()));
    let to = |to| Effect::Transition { to };
    assert_eq!(of_jira.accepted_effects(), [Effect::Acknowledge, to(Milestone::Started)]);
    for (job, link) in [(&of_forge, false), (&of_jira, true)] {
        let (_, effects) = job.clone().advance(JobEvent::PullRequestOpened(pull_request()), at(2)).unwrap();
        assert_eq!(effects.contains(&Effect::LinkPullRequest), link);
        let running = leased(job.clone());
        let completed = JobEvent::Completed { epoch: running.epoch, verdict: Verdict::NoRegressions };
        let (done, effects) = running.advance(completed, at(3)).unwrap();
        assert_eq!(effects.contains(&to(Milestone::InReview)), link);
        let merged = JobEvent::PullRequestEnded { end: crate::job::PullRequestEnd::Merged };
        let (_, effects) = done.advance(merged, at(4)).unwrap();
        assert_eq!(effects.contains(&to(Milestone::Merged)), link);
    }
}

fn transition_tables() -> String {
    let mut out = String::new();
    let mut table = |name: &str, events: Vec<&str>, rows: Vec<(&str, Vec<Option<&str>>)>| {
        writeln!(out, "### {name}\n\n| from | {} |", events.join(" | ")).unwrap();
        writeln!(out, "| --- |{}", " --- |".repeat(events.len())).unwrap();
        for (from, cells) in rows {
            let cells: Vec<_> = cells.into_iter().map(|cell| cell.unwrap_or("·")).collect();
            writeln!(out, "| **{from}** | {} |", cells.join(" | ")).unwrap();
        }
        out.push('\n');
    };
    macro_rules! machine {
        ($name:literal, $status:ty, $event:ty) => {
            table(
                $name,
                <$event>::ALL.iter().map(|event| event.as_str()).collect(),
                <$status>::ALL
                    .iter()
                    .map(|from| {
                        let cells = <$event>::ALL.iter().map(|event| from.on(*event).ok().map(|to| to.as_str()));
                        (from.as_str(), cells.collect())
                    })
                    .collect(),
            );
        };
    }
    machine!("Issue", IssueStatus, crate::IssueEvent);
    machine!("Job", JobStatus, JobTransition);
    machine!("Stage", StageStatus, StageEvent);
    machine!("Task", TaskStatus, crate::TaskEvent);
    out
}

#[test]
fn the_documented_tables_are_the_real_ones() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/pipeline.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (begin, end) = ("<!-- tables: begin -->\n", "<!-- tables: end -->");
    let (head, rest) = text.split_once(begin).expect("docs/pipeline.md has the begin mark");
    let (shown, tail) = rest.split_once(end).expect("docs/pipeline.md has the end mark");
    let real = transition_tables();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, format!("{head}{begin}{real}{end}{tail}")).unwrap();
    } else {
        assert_eq!(shown, real, "run the tests with UPDATE_DOCS=1 to write the tables anew");
    }
}
