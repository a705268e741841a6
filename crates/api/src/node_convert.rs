//! Conversions between the types of the node protocol and of the ports.

use std::time::Duration;

use patchwright_core::fault::Fault;
use patchwright_core::llm::{Message, Role};
use patchwright_core::model_calls::{ModelCall, Transcript};
use patchwright_core::task_session::{Assignment, Refusal, ReportFiles, TaskLease, TaskOutcome};
use patchwright_protocol::calls::MessageView;
use patchwright_protocol::node as wire;

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

pub(crate) fn lease_to_wire(lease: TaskLease) -> wire::TaskLease {
    wire::TaskLease { task: lease.task, job: lease.job, epoch: lease.epoch, duration_ms: millis(lease.duration) }
}

pub(crate) fn assignment_to_wire(assignment: Assignment) -> wire::Assignment {
    let Assignment { job, issue, clone_url, push_url, policy, conversation } = assignment;
    let report_files = match policy.report_files {
        ReportFiles::WhenAnalysisOnly => wire::ReportFiles::WhenAnalysisOnly,
        ReportFiles::Branch => wire::ReportFiles::Branch,
        ReportFiles::None => wire::ReportFiles::None,
    };
    let policy = wire::TaskPolicy {
        budget: policy.budget,
        job_timeout_ms: millis(policy.job_timeout),
        max_answer_tokens: policy.max_answer_tokens,
        max_rounds: policy.fix_attempts.saturating_sub(1),
        fix_steps: Some(policy.fix_steps),
        fix_window: Some(policy.fix_window),
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
    let conversation = conversation.and_then(|conversation| serde_json::to_value(conversation).ok());
    wire::Assignment { job, issue, clone_url, push_url, policy, conversation }
}

pub(crate) fn refusal_to_wire(refusal: Refusal) -> wire::Refusal {
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

fn refusal(refusal: wire::Refusal) -> Refusal {
    let fault = match refusal.fault {
        wire::Fault::Retry { after_ms } => Fault::Retry { after: after_ms.map(Duration::from_millis) },
        wire::Fault::Denied => Fault::Denied,
        wire::Fault::Missing => Fault::Missing,
        wire::Fault::Internal => Fault::Internal,
    };
    Refusal {
        out_of_budget: refusal.out_of_budget,
        origin: refusal.origin,
        ..Refusal::new(refusal.reason, refusal.remedy, fault)
    }
}

pub(crate) fn outcome(outcome: wire::TaskOutcome) -> TaskOutcome {
    match outcome {
        wire::TaskOutcome::Completed { verdict } => TaskOutcome::Completed { verdict },
        wire::TaskOutcome::Failed { refusal: refused, stage, usage } => {
            TaskOutcome::Failed { refusal: refusal(refused), stage, usage }
        }
        wire::TaskOutcome::Released => TaskOutcome::Released,
        wire::TaskOutcome::Paused => TaskOutcome::Paused,
    }
}

pub(crate) fn recorded_call(recorded: wire::RecordedCall) -> (ModelCall, Transcript) {
    let wire::RecordedCall { call, transcript } = recorded;
    let call = ModelCall {
        number: call.number,
        purpose: call.purpose,
        model: call.model,
        usage: call.usage,
        millis: call.millis,
        error: call.error,
    };
    let message = |message: MessageView| Message { role: role(&message.role), content: message.content };
    let question = transcript.question.into_iter().map(message).collect();
    (call, Transcript { question, answer: transcript.answer })
}

fn role(text: &str) -> Role {
    match text {
        "system" => Role::System,
        "assistant" => Role::Assistant,
        _ => Role::User,
    }
}

pub(crate) fn message_view(message: Message) -> MessageView {
    let role = match message.role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
    };
    MessageView { role: role.to_owned(), content: message.content }
}
