//! What an event asks of us, and whether its actor and repository may ask at all.

use patchwright_core::webhook::{Actor, InboundComment, InboundEvent, InboundIssue};
use patchwright_domain::UserId;
use patchwright_domain::job::TriggerKind;
use patchwright_domain::trigger::{Command, find_command};

use super::Answer;
use crate::Engine;
use crate::engine::AllowListMode;

/// What somebody wants of us.
pub(crate) struct Wish {
    pub(crate) issue: InboundIssue,
    pub(crate) actor: Actor,
    /// The person of this server that the issue belongs to, when they are known.
    pub(crate) owner: Option<UserId>,
    pub(crate) kind: TriggerKind,
    pub(crate) command: Command,
    /// Whether something new is said, which is worth a job of its own while another runs.
    pub(crate) says_more: bool,
    pub(crate) comment_id: Option<String>,
    /// What the delivery is about, whatever its id.
    pub(crate) identity: Option<String>,
}

impl Wish {
    /// The same with texts that both databases keep.
    pub(crate) fn clean(self) -> Self {
        let command = match self.command {
            Command::Fix { instructions } => Command::Fix { instructions: instructions.map(without_nul) },
            Command::Restart { instructions } => Command::Restart { instructions: instructions.map(without_nul) },
            other => other,
        };
        Self { issue: clean(self.issue), command, ..self }
    }
}

impl Engine {
    /// What the event asks for; otherwise the answer to it.
    pub(super) fn wish(&self, event: InboundEvent) -> Result<Wish, Answer> {
        match event {
            InboundEvent::Commented { issue, comment } => self.wish_of_comment(issue, comment),
            InboundEvent::Assigned { issue, assignees, actor, at } => {
                if !assignees.iter().any(|assignee| self.is_own_login(assignee)) {
                    return Err(ignored("the issue was assigned to somebody else"));
                }
                // Assigning again after a failure is a new wish, at another time.
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
                match find_command(&text, &self.settings.app_name) {
                    Some(Command::Fix { instructions }) if self.settings.trigger_on_open => {
                        let identity = format!("opened:{}", issue.source);
                        Ok(fix(issue, actor, TriggerKind::Opened, instructions, Some(identity)))
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

    fn wish_of_comment(&self, issue: InboundIssue, comment: InboundComment) -> Result<Wish, Answer> {
        if self.is_own_login(&comment.author.login) || self.marker.is_ours(&comment.body) {
            return Err(ignored("the comment is our own"));
        }
        if comment.author.is_bot && !self.settings.allow.names_user(&comment.author.login) {
            return Err(ignored("the comment is another bot's"));
        }
        if issue.is_pull_request {
            return Err(ignored("comments on pull requests start nothing"));
        }
        let Some(command) = find_command(&without_nul(comment.body), &self.settings.app_name) else {
            return Err(ignored("the comment does not mention us"));
        };
        let comment_id = Some(comment.id).filter(|id| !id.is_empty());
        Ok(Wish {
            issue: clean(issue),
            actor: comment.author,
            owner: None,
            kind: TriggerKind::Mention,
            says_more: matches!(&command, Command::Fix { instructions: Some(_) }),
            command,
            identity: comment_id.as_ref().map(|id| format!("comment:{id}")),
            comment_id,
        })
    }

    fn is_own_login(&self, login: &str) -> bool {
        self.settings.own_logins.iter().any(|own| own.eq_ignore_ascii_case(login))
    }

    pub(super) fn refuse(&self, wish: &Wish) -> Option<Answer> {
        let repo = wish.issue.source.repo.to_string();
        let reason = if !self.settings.allow.admits_repo(&repo) {
            format!("the repository {repo} is not on the allow-list")
        } else if !self.settings.allow.admits_user(&wish.actor.login) {
            format!("{} is not on the allow-list", wish.actor.login)
        } else {
            return None;
        };
        Some(match self.settings.allow_mode {
            AllowListMode::Forbid => Answer::Forbidden { reason },
            AllowListMode::Ignore => Answer::Ignored { reason, job_id: None },
        })
    }
}

fn ignored(reason: &str) -> Answer {
    Answer::Ignored { reason: reason.to_owned(), job_id: None }
}

/// PostgreSQL's text knows no U+0000, and nobody means one: both databases keep the same mark in its place.
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
) -> Wish {
    Wish {
        issue: clean(issue),
        actor,
        owner: None,
        kind,
        says_more: instructions.is_some(),
        command: Command::Fix { instructions },
        comment_id: None,
        identity,
    }
}
