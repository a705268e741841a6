//! What an event requests, and whether its actor and repository are allowed to.

use patchwright_core::webhook::{Actor, InboundComment, InboundEvent};
use patchwright_domain::job::TriggerKind;
use patchwright_domain::trigger::{Command, language_of};
use patchwright_domain::{InboundIssue, TriggerRequest};

use super::IntakeOutcome;
use super::mention::{Mention, find_command};
use crate::Engine;
use crate::engine::AllowListMode;

/// A request with the identity of its event, which is independent of the delivery's id.
pub(super) type Identified = (TriggerRequest, Option<String>);

/// Returns the request with texts that both databases can store.
pub(crate) fn clean_request(request: TriggerRequest) -> TriggerRequest {
    let instructions = request.command.instructions().map(|text| without_nul(text.to_owned()));
    let command = request.command.with_instructions(instructions);
    TriggerRequest { issue: clean(request.issue), command, ..request }
}

impl Engine {
    /// Returns the request of the event, or the outcome of an event without one.
    pub(super) fn parse_trigger(&self, event: InboundEvent) -> Result<Identified, IntakeOutcome> {
        match event {
            InboundEvent::Commented { issue, comment } => self.trigger_of_comment(issue, comment),
            InboundEvent::Assigned { issue, assignees, actor, at } => {
                if !assignees.iter().any(|assignee| self.is_own_login(assignee)) {
                    return Err(ignored("the issue was assigned to another account"));
                }
                // An assignment that is repeated after a failure is a new request: its time differs.
                let identity = at.map(|at| format!("assigned:{}:{at}", issue.source));
                Ok((fix(issue, actor, TriggerKind::Assignment, None), identity))
            }
            InboundEvent::Labeled { issue, labels, actor, at } => {
                if !labels.iter().any(|label| label.eq_ignore_ascii_case(&self.settings().label)) {
                    return Err(ignored("the label is not ours"));
                }
                let identity = at.map(|at| format!("labeled:{}:{at}", issue.source));
                Ok((fix(issue, actor, TriggerKind::Label, None), identity))
            }
            InboundEvent::Opened { issue, actor } => {
                let text = format!("{}\n\n{}", issue.title, issue.body);
                match find_command(&text, &self.mention_names()) {
                    Some(Mention { command: Command::Fix { instructions }, language })
                        if self.settings().trigger_on_open =>
                    {
                        let identity = format!("opened:{}", issue.source);
                        let request = fix(issue, actor, TriggerKind::Opened, instructions);
                        Ok((TriggerRequest { language, ..request }, Some(identity)))
                    }
                    _ => Err(ignored("an opened issue starts nothing")),
                }
            }
            InboundEvent::Ping => Err(ignored("ping")),
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

    fn trigger_of_comment(&self, issue: InboundIssue, comment: InboundComment) -> Result<Identified, IntakeOutcome> {
        if let Some(outcome) = self.ignore_author(&comment) {
            return Err(outcome);
        }
        let found = find_command(&without_nul(comment.body), &self.mention_names());
        let Some(Mention { command, language }) = found else {
            return Err(ignored("the comment does not mention the app"));
        };
        let comment_id = Some(comment.id).filter(|id| !id.is_empty());
        let identity = comment_id.as_ref().map(|id| format!("comment:{id}"));
        let request = TriggerRequest {
            issue: clean(issue),
            actor: comment.author.login,
            owner: None,
            kind: TriggerKind::Mention,
            has_instructions: command.instructions().is_some(),
            command,
            language,
            comment_id,
            pull_request: None,
            review: None,
        };
        Ok((request, identity))
    }

    /// Returns the outcome of a comment whose author is not heard: this server itself, and other programs.
    pub(super) fn ignore_author(&self, comment: &InboundComment) -> Option<IntakeOutcome> {
        if self.is_own_login(&comment.author.login) || self.marker.is_ours(&comment.body) {
            return Some(ignored("the comment is by this server's own account"));
        }
        let is_other_bot = comment.author.is_bot && !self.settings().allow.names_user(&comment.author.login);
        is_other_bot.then(|| ignored("the comment is another bot's"))
    }

    /// Returns the names that mention this server: that of the app, and those of its accounts, which people pick from a
    /// list. The account of a GitHub App is mentioned without its `[bot]`.
    pub(crate) fn mention_names(&self) -> Vec<String> {
        let settings = self.settings();
        let logins = settings.own_logins.iter().map(String::as_str);
        let without_suffix = logins.clone().filter_map(|login| login.strip_suffix("[bot]"));
        let names = std::iter::once(settings.app_name.as_str()).chain(logins).chain(without_suffix);
        names.map(str::to_owned).collect()
    }

    fn is_own_login(&self, login: &str) -> bool {
        self.settings().own_logins.iter().any(|own| own.eq_ignore_ascii_case(login))
    }

    pub(super) fn refuse(&self, request: &TriggerRequest) -> Option<IntakeOutcome> {
        let repo = request.issue.source.repo.to_string();
        let settings = self.settings();
        let reason = if !settings.allow.admits_repo(&repo) {
            format!("the repository {repo} is not on the allow-list")
        } else if !settings.allow.admits_user(&request.actor) {
            format!("{} is not on the allow-list", request.actor)
        } else {
            return None;
        };
        Some(match settings.allow_mode {
            AllowListMode::Forbid => IntakeOutcome::Forbidden { reason },
            AllowListMode::Ignore => IntakeOutcome::Ignored { reason, job_id: None },
        })
    }
}

pub(super) fn ignored(reason: &str) -> IntakeOutcome {
    IntakeOutcome::Ignored { reason: reason.to_owned(), job_id: None }
}

/// PostgreSQL's `text` cannot store U+0000; both databases store the same replacement character instead.
pub(super) fn without_nul(text: String) -> String {
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
    .bounded()
}

fn fix(issue: InboundIssue, actor: Actor, kind: TriggerKind, instructions: Option<String>) -> TriggerRequest {
    let language = instructions.as_deref().map_or_else(|| issue.language(), language_of);
    TriggerRequest {
        issue: clean(issue),
        actor: actor.login,
        owner: None,
        kind,
        has_instructions: instructions.is_some(),
        command: Command::Fix { instructions },
        language,
        comment_id: None,
        pull_request: None,
        review: None,
    }
}
