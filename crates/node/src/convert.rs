//! Conversions between the types of the node protocol and of the ports.

use std::time::Duration;

use patchwright_core::fault::Fault;
use patchwright_core::llm::{Message, Role};
use patchwright_core::model_calls::{ModelCall, Transcript};
use patchwright_core::task_session::{
    Assignment, DEFAULT_FIX_STEPS, DEFAULT_FIX_WINDOW, Refusal, ReportFiles, TaskLease, TaskOutcome, TaskPolicy,
};
use patchwright_domain::JobId;
use patchwright_protocol::calls::MessageView;
use patchwright_protocol::node as wire;

/// The lease of a task that came without one.
const DEFAULT_LEASE: Duration = Duration::from_secs(40);

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

pub(crate) fn lease_to_wire(lease: TaskLease) -> wire::TaskLease {
    wire::TaskLease { task: lease.task, job: lease.job, epoch: lease.epoch, duration_ms: millis(lease.duration) }
}

pub(crate) const fn lease(lease: wire::TaskLease) -> TaskLease {
    TaskLease {
        task: lease.task,
        job: lease.job,
        epoch: lease.epoch,
        duration: Duration::from_millis(lease.duration_ms),
    }
}

/// Returns the lease of a pushed task. A server that knows the eight fields of `docs/requirements.md#r144` only sends none;
/// the id of the task then stands for the job's, which names the folder, and the lease is renewed as usual.
pub(crate) fn lease_of(sent: &wire::ProcessIssue) -> TaskLease {
    let unknown = || TaskLease {
        task: sent.task_id,
        job: JobId::from_uuid(sent.task_id.as_uuid()),
        epoch: 0,
        duration: DEFAULT_LEASE,
    };
    sent.lease.map_or_else(unknown, lease)
}

pub(crate) fn assignment(assignment: wire::Assignment) -> Assignment {
    let wire::Assignment { job, issue, clone_url, push_url, policy, conversation } = assignment;
    let report_files = match policy.report_files {
        wire::ReportFiles::WhenAnalysisOnly => ReportFiles::WhenAnalysisOnly,
        wire::ReportFiles::Branch => ReportFiles::Branch,
        wire::ReportFiles::None => ReportFiles::None,
    };
    let policy = TaskPolicy {
        budget: policy.budget,
        job_timeout: Duration::from_millis(policy.job_timeout_ms),
        max_answer_tokens: policy.max_answer_tokens,
        fix_attempts: policy.max_rounds.saturating_add(1),
        fix_steps: policy.fix_steps.unwrap_or(DEFAULT_FIX_STEPS),
        fix_window: policy.fix_window.unwrap_or(DEFAULT_FIX_WINDOW),
        review_model: policy.review_model,
        report_files,
        keep_model_calls: policy.keep_model_calls,
        author_name: policy.author_name,
        author_email: policy.author_email,
        co_author: policy.co_author,
        sign_off: policy.sign_off,
        editable_paths: policy.editable_paths,
        ready_when: policy.ready_when,
        test_command: policy.test_command,
        grants: policy.grants,
    };
    // One of another version is of no use, and the work begins anew.
    let conversation = conversation.and_then(|conversation| serde_json::from_value(conversation).ok());
    Assignment { job, issue, clone_url, push_url, policy, conversation }
}

pub(crate) fn refusal(refusal: wire::Refusal) -> Refusal {
    let fault = match refusal.fault {
        wire::Fault::Retry { after_ms } => Fault::Retry { after: after_ms.map(Duration::from_millis) },
        wire::Fault::Denied => Fault::Denied,
        wire::Fault::Missing => Fault::Missing,
        wire::Fault::Internal => Fault::Internal,
    };
    Refusal {
        fault,
        out_of_budget: refusal.out_of_budget,
        origin: refusal.origin,
        ..Refusal::new(refusal.reason, refusal.remedy, fault)
    }
}

fn refusal_to_wire(refusal: Refusal) -> wire::Refusal {
    let fault = match refusal.fault {
        Fault::Retry { after } => wire::Fault::Retry { after_ms: after.map(millis) },
        Fault::Denied => wire::Fault::Denied,
        Fault::Missing => wire::Fault::Missing,
        Fault::Internal => wire::Fault::Internal,
    };
    wire::Refusal {
        reason: refusal.reason,
        remedy: refusal.remedy,
        fault,
        out_of_budget: refusal.out_of_budget,
        origin: refusal.origin,
    }
}

pub(crate) fn outcome_to_wire(outcome: TaskOutcome) -> wire::TaskOutcome {
    match outcome {
        TaskOutcome::Completed { verdict } => wire::TaskOutcome::Completed { verdict },
        TaskOutcome::Failed { refusal, stage, usage } => {
            wire::TaskOutcome::Failed { refusal: refusal_to_wire(refusal), stage, usage }
        }
        TaskOutcome::Released => wire::TaskOutcome::Released,
        TaskOutcome::Paused => wire::TaskOutcome::Paused,
    }
}

pub(crate) fn call_to_wire(call: ModelCall, transcript: Transcript) -> wire::RecordedCall {
    let message = |message: Message| MessageView { role: role(message.role).to_owned(), content: message.content };
    wire::RecordedCall {
        call: wire::ModelCall {
            number: call.number,
            purpose: call.purpose,
            model: call.model,
            usage: call.usage,
            millis: call.millis,
            error: call.error,
        },
        transcript: wire::Transcript {
            question: transcript.question.into_iter().map(message).collect(),
            answer: transcript.answer,
        },
    }
}

const fn role(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
    }
}
