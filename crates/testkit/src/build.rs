//! Builders of the values that many tests need.

use std::sync::atomic::{AtomicU32, Ordering};

use jiff::Timestamp;
use patchwright_core::audit::AuditEntry;
use patchwright_domain::job::{JobTrigger, NewJob, Priority, PublishMode, TriggerKind};
use patchwright_domain::node::Needs;
use patchwright_domain::{
    AuditId, BranchName, EffectId, Issue, IssueId, IssueNumber, IssueRef, IssueStatus, Job, JobId, PlatformId,
    RepoName, TaskId,
};
use uuid::Uuid;

/// The time at which every test begins.
pub fn start_of_time() -> Timestamp {
    "2026-01-02T03:04:05Z".parse().unwrap()
}

/// The time so many seconds after [`start_of_time`].
pub fn after(seconds: i64) -> Timestamp {
    Timestamp::from_second(start_of_time().as_second() + seconds).unwrap()
}

/// The job with this number.
pub fn job_id(n: u32) -> JobId {
    JobId::from_uuid(Uuid::from_u128(0x100_0000 + u128::from(n)))
}

/// The issue with this number.
pub fn issue_id(n: u32) -> IssueId {
    IssueId::from_uuid(Uuid::from_u128(0x200_0000 + u128::from(n)))
}

/// The task with this number.
pub fn task_id(n: u32) -> TaskId {
    TaskId::from_uuid(Uuid::from_u128(0x300_0000 + u128::from(n)))
}

/// The effect with this number.
pub fn effect_id(n: u32) -> EffectId {
    EffectId::from_uuid(Uuid::from_u128(0x400_0000 + u128::from(n)))
}

/// The repository `acme/demo`.
pub fn repo() -> RepoName {
    "acme/demo".parse().unwrap()
}

/// The issue `acme/demo#n` on GitHub.
pub fn source(n: u32) -> IssueRef {
    IssueRef::on_forge(PlatformId::from_static("github"), repo(), IssueNumber::same(u64::from(n)))
}

/// An issue that is being processed.
pub fn issue(n: u32) -> Issue {
    Issue {
        id: issue_id(n),
        source: source(n),
        title: format!("Bug {n}"),
        body: "It breaks.".to_owned(),
        author: "alice".to_owned(),
        labels: vec!["area: checkout".to_owned(), "缺陷".to_owned()],
        owner: None,
        status: IssueStatus::Processing,
        created_at: start_of_time(),
        updated_at: start_of_time(),
    }
}

/// A queued job for the issue of the same number.
pub fn job(n: u32) -> Job {
    job_for(n, n, start_of_time())
}

/// A queued job for an issue, accepted at a time.
pub fn job_for(n: u32, issue: u32, at: Timestamp) -> Job {
    Job::new(NewJob {
        id: job_id(n),
        issue_id: issue_id(issue),
        source: source(issue),
        title: format!("Bug {issue}"),
        trigger: JobTrigger {
            kind: TriggerKind::Mention,
            event_type: "issue_comment".to_owned(),
            actor: "alice".to_owned(),
            instructions: None,
            comment_id: Some(format!("{}", 70 + n)),
            at,
            language: patchwright_domain::trigger::Language::English,
        },
        follows: None,
        branch: BranchName::parse(&format!("agent/fix-{issue}-{n}")).unwrap(),
        base_branch: BranchName::parse("main").unwrap(),
        publish: PublishMode::PullRequest,
        needs: Needs::default(),
        command: None,
        priority: Priority::Normal,
        review_plan: false,
    })
}

/// The audit entry of an action, with an id of its own.
pub fn audit_entry(action: &str) -> AuditEntry {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    AuditEntry {
        id: AuditId::from_uuid(Uuid::from_u128(0x500_0000 + u128::from(number))),
        at: start_of_time(),
        actor: "olga".to_owned(),
        action: action.to_owned(),
        subject: "the subject".to_owned(),
        detail: "the detail".to_owned(),
    }
}
