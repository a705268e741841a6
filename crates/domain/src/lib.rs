#![doc = include_str!("../README.md")]

pub mod branch;
pub mod credential;
pub mod effect;
pub mod id;
pub mod issue;
pub mod issue_number;
pub mod jira;
pub mod job;
pub mod money;
pub mod node;
pub mod notification;
pub mod path;
pub mod pattern;
pub mod platform;
pub mod protected;
pub mod refused;
pub mod repository_settings;
pub mod request;
pub mod run_record;
pub mod sandbox_grants;
pub mod task;
pub mod trigger;
pub mod user;

pub use branch::{BranchName, InvalidBranchName};
pub use effect::{Effect, EffectKind, Milestone};
pub use id::{
    AuditId, ChannelId, CommitSha, ConversationId, CredentialId, DeliveryId, EffectId, IssueId, JiraEventId,
    JiraUserId, JobId, NodeId, NoticeId, RepoName, RepositoryId, TaskId, TokenId, UserId, WorkspaceId,
};
pub use issue::{InboundIssue, Issue, IssueEvent, IssueRef, IssueStatus, TrackerRef};
pub use issue_number::IssueNumber;
pub use job::{Job, JobEvent, JobStatus, JobSummary, WorkerEvent};
pub use money::Usage;
pub use path::RepoPath;
pub use platform::PlatformId;
pub use refused::Refused;
pub use repository_settings::{InvalidRepositorySettings, RepositorySettings};
pub use request::{Request, RequestState, RequestStatus, TriggerRequest};
pub use sandbox_grants::{InvalidGrant, SandboxGrants};
pub use task::{Task, TaskEvent, TaskStatus};
pub use user::{Role, User};
