//! What an event requests, and whether its actor and repository are allowed to.

use patchwright_core::webhook::{Actor, InboundComment, InboundEvent, InboundIssue};
use patchwright_domain::UserId;
use patchwright_domain::job::TriggerKind;
use patchwright_domain::trigger::{Command, Language};

use super::IntakeOutcome;
use super::mention::{Mention, find_command};
use crate::Engine;
use crate::engine::AllowListMode;

/// A request that an event makes.
pub(crate) struct TriggerRequest {
    pub(crate) issue: InboundIssue,
    pub(crate) actor: Actor,
    /// The user of this server who owns the issue, if known.
    pub(crate) owner: Option<UserId>,
    pub(crate) kind: TriggerKind,
    pub(crate) command: Command,
    /// The language of replies.
    pub(crate) language: Language,
    /// Whether the request has new instructions, which justify a further job while another is running.
    pub(crate) has_instructions: bool,
    pub(crate) comment_id: Option<String>,
    /// The identity of the event, which is independent of the delivery's id.
    pub(crate) identity: Option<String>,
}

impl TriggerRequest {
    /// Returns the request with texts that both databases can store.
    pub(crate) fn clean(self) -> Self {
        let instructions = self.command.instructions().map(|text| without_nul(text.to_owned()));
        let command = self.command.with_instructions(instructions);
        Self { issue: clean(self.issue), command, ..self }
    }
}

impl Engine {
    /// Returns the request of the event, or the outcome of an event without one.
    pub(super) fn parse_trigger(&self, event: InboundEvent) -> Result<TriggerRequest, IntakeOutcome> {
        match event {
            InboundEvent::Commented { issue, comment } => self.trigger_of_comment(issue, comment),
            InboundEvent::Assigned { issue, assignees, actor, at } => {
                if !assignees.iter().any(|assignee| self.is_own_login(assignee)) {
                    return Err(ignored("the issue was assigned to another account"));
                }
                // An assignment that is repeated after a failure is a new request: its time differs.
                let identity = at.map(|at| format!("assigned:{}:{at}", issue.source));
                Ok(fix(issue, actor, TriggerKind::Assignment, None, identity))
            }
            InboundEvent::Labeled { issue, labels, actor, at } => {
                if !labels.iter().any(|label| label.eq_ignore_ascii_case(&self.settings.label)) {
                    return Err(ignored("the label is not ours"));
                }
                let identity = at.map(|at| format!("labeled:{}:{at}", issue.source));
                Ok(fix(issue, actor, TriggerKind::Label, None, identity))
            }
            InboundEvent::Opened { issue, actor } => {
                let text = format!("{}\n\n{}", issue.title, issue.body);
                match find_command(&text, &self.mention_names()) {
                    Some(Mention { command: Command::Fix { instructions }, language })
                        if self.settings.trigger_on_open =>
                    {
                        let identity = format!("opened:{}", issue.source);
                        let request = fix(issue, actor, TriggerKind::Opened, instructions, Some(identity));
                        Ok(TriggerRequest { language, ..request })
                    }
                    _ => Err(ignored("an opened issue starts nothing")),
                }
            }
            InboundEvent::Ping => Err(ignored("ping")),
            InboundEvent::ReviewCommented { .. } => Err(ignored("comments on pull requests start nothing")),
            InboundEvent::ChecksCompleted { name, conclusion, .. } => {
                Err(ignored(&format!("{name} ended with {conclusion}, which starts nothing")))
            }
            InboundEvent::InstallationChanged { account, action } => {
                tracing::info!(account, action, "the application's installation changed");
                Err(ignored(&format!("noted: installation {action}")))
            }
            InboundEvent::PullRequestClosed { .. } => Err(ignored("no pull request of ours")),
            InboundEvent::Other { reason } => Err(ignored(&reason)),
            _ => Err(ignored("the event starts nothing")),
        }
    }

    fn trigger_of_comment(
        &self,
        issue: InboundIssue,
        comment: InboundComment,
    ) -> Result<TriggerRequest, IntakeOutcome> {
        if self.is_own_login(&comment.author.login) || self.marker.is_ours(&comment.body) {
            return Err(ignored("the comment is by this server's own account"));
        }
        if comment.author.is_bot && !self.settings.allow.names_user(&comment.author.login) {
            return Err(ignored("the comment is another bot's"));
        }
        if issue.is_pull_request {
            return Err(ignored("comments on pull requests start nothing"));
        }
        let found = find_command(&without_nul(comment.body), &self.mention_names());
        let Some(Mention { command, language }) = found else {
            return Err(ignored("the comment does not mention the app"));
        };
        let comment_id = Some(comment.id).filter(|id| !id.is_empty());
        Ok(TriggerRequest {
            issue: clean(issue),
            actor: comment.author,
            owner: None,
            kind: TriggerKind::Mention,
            has_instructions: command.instructions().is_some(),
            command,
            language,
            identity: comment_id.as_ref().map(|id| format!("comment:{id}")),
            comment_id,
        })
    }

    /// Returns the names that mention this server: that of the app, and those of its accounts, which people pick from a
    /// list. The account of a GitHub App is mentioned without its `[bot]`.
    pub(crate) fn mention_names(&self) -> Vec<&str> {
        let logins = self.settings.own_logins.iter().map(String::as_str);
        let without_suffix = logins.clone().filter_map(|login| login.strip_suffix("[bot]"));
        std::iter::once(self.settings.app_name.as_str()).chain(logins).chain(without_suffix).collect()
    }

    fn is_own_login(&self, login: &str) -> bool {
        self.settings.own_logins.iter().any(|own| own.eq_ignore_ascii_case(login))
    }

    pub(super) fn refuse(&self, request: &TriggerRequest) -> Option<IntakeOutcome> {
        let repo = request.issue.source.repo.to_string();
        let reason = if !self.settings.allow.admits_repo(&repo) {
            format!("the repository {repo} is not on the allow-list")
        } else if !self.settings.allow.admits_user(&request.actor.login) {
            format!("{} is not on the allow-list", request.actor.login)
        } else {
            return None;
        };
        Some(match self.settings.allow_mode {
            AllowListMode::Forbid => IntakeOutcome::Forbidden { reason },
            AllowListMode::Ignore => IntakeOutcome::Ignored { reason, job_id: None },
        })
    }
}

fn ignored(reason: &str) -> IntakeOutcome {
    IntakeOutcome::Ignored { reason: reason.to_owned(), job_id: None }
}

/// PostgreSQL's `text` cannot store U+0000; both databases store the same replacement character instead.
fn without_nul(text: String) -> String {
    if text.contains('\0') { text.replace('\0', "\u{fffd}") } else { text }
}

fn clean(issue: InboundIssue) -> InboundIssue {
    InboundIssue {
        title: without_nul(issue.title),
        body: without_nul(issue.body),
        author: without_nul(issue.author),
        labels: issue.labels.into_iter().map(without_nul).collect(),
        ..issue
    }
}

fn fix(
    issue: InboundIssue,
    actor: Actor,
    kind: TriggerKind,
    instructions: Option<String>,
    identity: Option<String>,
) -> TriggerRequest {
    TriggerRequest {
        issue: clean(issue),
        actor,
        owner: None,
        kind,
        has_instructions: instructions.is_some(),
        command: Command::Fix { instructions },
        language: Language::default(),
        comment_id: None,
        identity,
    }
}
