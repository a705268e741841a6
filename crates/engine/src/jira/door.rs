//! The door for deliveries of Jira. The order of the checks is that of `spec/jira`.

use jiff::{SignedDuration, Timestamp};
use patchwright_core::jira::{JiraEvent, SiteEvent, SiteEventKind};
use patchwright_core::signature::SigningKeys;
use patchwright_core::webhook::{Headers, SignatureError};
use patchwright_domain::jira::{JIRA, LinkStatus, Workspace};
use patchwright_domain::trigger::find_request;
use patchwright_domain::{JiraEventId, WorkspaceId};

use super::JiraPorts;
use crate::Engine;
use crate::intake::IntakeError;

/// How long a signature, and an issue's change in one millisecond, are known (`seeds/000`).
const SAME_SIGNATURE: SignedDuration = SignedDuration::from_secs(300);
const SAME_CHANGE: SignedDuration = SignedDuration::from_secs(60);
/// How long a comment or a label is known, whatever delivery tells it: Jira goes on trying for more than an hour, and
/// people send again by hand for days.
const SAME_DEED: SignedDuration = SignedDuration::from_hours(31 * 24);
/// What is older is not done any more.
const STALE: SignedDuration = SignedDuration::from_hours(24);

/// What a delivery of Jira is answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// It asks something of us, is kept, and will be seen to.
    Accepted {
        /// Ours.
        event_id: JiraEventId,
    },
    /// It starts nothing.
    Ignored {
        /// Why.
        reason: String,
    },
    /// The site is switched off; the issue will say so.
    Forbidden {
        /// Why.
        reason: String,
    },
}

fn ignored(reason: impl Into<String>) -> Heard {
    Heard::Ignored { reason: reason.into() }
}

impl Engine {
    pub(super) fn jira(&self) -> Result<&JiraPorts, IntakeError> {
        self.ports.jira.as_ref().ok_or(IntakeError::UnknownPlatform(JIRA))
    }

    /// Takes a delivery of Jira.
    ///
    /// # Errors
    /// [`IntakeError`]; after one, nothing is kept. Whatever is wrong before the signature is right is a
    /// [`SignatureError`]: nobody learns which sites are known here.
    pub async fn receive_jira(&self, headers: &(dyn Headers + Sync), body: &[u8]) -> Result<Heard, IntakeError> {
        let jira = self.jira()?;
        let name = jira.decoder.signature_header();
        if headers.get(name).is_none() {
            tracing::warn!("a delivery of Jira carries no signature");
            return Err(SignatureError::Missing.into());
        }
        let site = jira.decoder.site(body).map_err(|error| {
            tracing::warn!(%error, "a delivery of Jira does not say which site it is of");
            SignatureError::Wrong
        })?;
        let Some((workspace, secrets)) = jira.workspaces.open_workspace(&site).await? else {
            tracing::warn!(site, "a delivery came from a Jira site that is not linked here");
            return Err(SignatureError::Wrong.into());
        };
        SigningKeys::new(&secrets.webhook).verify(headers, name, body).inspect_err(|error| {
            tracing::error!(site, %error, "a delivery of Jira is not signed with the site's secret");
        })?;
        let delivery = jira.decoder.decode(headers, body, &site, workspace.own_account.as_deref())?;
        let told = match delivery.event {
            Ok(told) => told,
            Err(reason) => return Ok(ignored(reason)),
        };
        let now = self.ports.clock.now();
        if is_stale(&told, now) {
            return Ok(ignored("it happened more than a day ago"));
        }
        if !self.is_for_us(jira, &workspace, &told).await? {
            return Ok(ignored("it asks nothing of us"));
        }
        let signature = headers.get(name).unwrap_or_default().to_ascii_lowercase();
        let names = names(&workspace, &told, &signature, now);
        let event = JiraEvent {
            id: JiraEventId::from_uuid(self.ports.ids.effect().as_uuid()),
            workspace_id: workspace.id,
            delivery_id: delivery.id,
            event: told,
            created_at: now,
        };
        if !jira.inbox.add_event(&event, &names).await? {
            return Ok(ignored("duplicate_event"));
        }
        self.wake();
        if workspace.status == LinkStatus::Inactive {
            tracing::warn!(
                site,
                issue = event.event.issue.key,
                "a delivery came from a Jira site that is switched off"
            );
            return Ok(Heard::Forbidden { reason: format!("the site {site} is switched off on this server") });
        }
        tracing::info!(site, issue = event.event.issue.key, event_id = %event.id, "a delivery of Jira was accepted");
        Ok(Heard::Accepted { event_id: event.id })
    }

    /// Whether it is worth to be looked at closely.
    async fn is_for_us(&self, jira: &JiraPorts, workspace: &Workspace, told: &SiteEvent) -> Result<bool, IntakeError> {
        match &told.kind {
            SiteEventKind::Labeled { labels } => {
                Ok(labels.iter().any(|label| label.eq_ignore_ascii_case(&self.settings.label)))
            }
            SiteEventKind::Commented { body, mentions, .. } => {
                let picked = match &workspace.own_account {
                    Some(own) => mentions.contains(own),
                    // Who we are there is found out behind the door.
                    None => !mentions.is_empty(),
                };
                if picked || find_request(body, &self.settings.app_name).is_some() {
                    return Ok(true);
                }
                self.awaits_answer(jira, workspace.id, &told.issue.id).await
            }
        }
    }

    /// Whether somebody was asked for the repository of the issue: then any comment may be the answer.
    async fn awaits_answer(&self, jira: &JiraPorts, workspace: WorkspaceId, issue: &str) -> Result<bool, IntakeError> {
        let conversations = jira.inbox.conversations_on(workspace, issue).await?;
        Ok(conversations.iter().any(|conversation| conversation.asked.is_some()))
    }
}

fn is_stale(told: &SiteEvent, now: Timestamp) -> bool {
    let at = Timestamp::from_millisecond(told.timestamp).ok().filter(|_| told.timestamp > 0);
    at.is_some_and(|at| now.duration_since(at) > STALE)
}

/// By what it is known again: the two keys of `seeds/000`, and what was done.
fn names(workspace: &Workspace, told: &SiteEvent, signature: &str, now: Timestamp) -> Vec<(String, Timestamp)> {
    let until = |time: SignedDuration| now.saturating_add(time).unwrap_or(now);
    let (site, issue) = (&workspace.name, &told.issue.id);
    let mut names = vec![(format!("jira:{signature}"), until(SAME_SIGNATURE))];
    if told.timestamp > 0 {
        names.push((format!("jira:{site}:{issue}:{}", told.timestamp), until(SAME_CHANGE)));
    }
    names.push((format!("jira:{site}:{}", told.identity()), until(SAME_DEED)));
    names
}
