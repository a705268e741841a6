//! Intake of Jira deliveries. The order of the checks is that of `docs/jira.md#how-it-is-kept`.

use jiff::{SignedDuration, Timestamp};
use patchwright_core::jira::{JiraEvent, SiteEvent, SiteEventKind};
use patchwright_core::signature::SigningKeys;
use patchwright_core::webhook::{Headers, SignatureError};
use patchwright_domain::jira::{JIRA, LinkStatus, Workspace};
use patchwright_domain::{JiraEventId, WorkspaceId};

use super::JiraPorts;
use crate::Engine;
use crate::intake::{IntakeError, find_request};

/// How long the deduplication keys of signatures and of changes (issue and millisecond) are kept
/// (`docs/requirements.md#jira`).
const SIGNATURE_DEDUPLICATION: SignedDuration = SignedDuration::from_secs(300);
const CHANGE_DEDUPLICATION: SignedDuration = SignedDuration::from_secs(60);
/// How long the deduplication keys of comments and labels are kept, whatever delivery has them: Jira retries for more
/// than an hour, and administrators resend by hand for days.
const IDENTITY_DEDUPLICATION: SignedDuration = SignedDuration::from_hours(31 * 24);
/// Older events are ignored.
const MAX_EVENT_AGE: SignedDuration = SignedDuration::from_hours(24);

/// The outcome of a Jira delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JiraIntakeOutcome {
    /// The event is a request; it is stored and will be processed.
    Accepted {
        /// The id of the stored event.
        event_id: JiraEventId,
    },
    /// The delivery starts nothing.
    Ignored {
        /// The reason, for the response.
        reason: String,
    },
    /// The site is deactivated; a comment on the issue says so.
    Forbidden {
        /// The reason, for the response.
        reason: String,
    },
}

fn ignored(reason: impl Into<String>) -> JiraIntakeOutcome {
    JiraIntakeOutcome::Ignored { reason: reason.into() }
}

impl Engine {
    pub(super) fn jira(&self) -> Result<&JiraPorts, IntakeError> {
        self.ports.jira.as_ref().ok_or(IntakeError::UnknownPlatform(JIRA))
    }

    /// Accepts a delivery of Jira.
    ///
    /// # Errors
    /// [`IntakeError`]; nothing is stored in this case. Every error before the signature is verified is a
    /// [`SignatureError`], so that unauthenticated senders do not learn which sites are configured.
    pub async fn receive_jira(
        &self,
        headers: &(dyn Headers + Sync),
        body: &[u8],
    ) -> Result<JiraIntakeOutcome, IntakeError> {
        let jira = self.jira()?;
        let name = jira.decoder.signature_header();
        if headers.get(name).is_none() {
            tracing::warn!("rejected a Jira delivery without a signature");
            return Err(SignatureError::Missing.into());
        }
        let site = jira.decoder.site(body).map_err(|error| {
            tracing::warn!(%error, "rejected a Jira delivery that does not name its site");
            SignatureError::Wrong
        })?;
        let Some((workspace, secrets)) = jira.workspaces.open_workspace(&site).await? else {
            tracing::warn!(site, "rejected a delivery of an unknown Jira site");
            return Err(SignatureError::Wrong.into());
        };
        SigningKeys::new(&secrets.webhook).verify(headers, name, body).inspect_err(|error| {
            tracing::error!(site, %error, "rejected a Jira delivery with an invalid signature");
        })?;
        let delivery = jira.decoder.decode(headers, body, &site, workspace.own_account.as_deref())?;
        let site_event = match delivery.event {
            Ok(site_event) => site_event,
            Err(reason) => return Ok(ignored(reason)),
        };
        let now = self.ports.clock.now();
        if is_stale(&site_event, now) {
            return Ok(ignored("it happened more than a day ago"));
        }
        if !self.is_for_us(jira, &workspace, &site_event).await? {
            return Ok(ignored("it is not a request to the app"));
        }
        let signature = headers.get(name).unwrap_or_default().to_ascii_lowercase();
        let names = names(&workspace, &site_event, &signature, now);
        let event = JiraEvent {
            id: JiraEventId::from_uuid(self.ports.ids.effect().as_uuid()),
            workspace_id: workspace.id,
            delivery_id: delivery.id,
            event: site_event,
            created_at: now,
        };
        if !jira.inbox.add_event(&event, &names).await? {
            return Ok(ignored("duplicate_event"));
        }
        self.wake();
        if workspace.status == LinkStatus::Inactive {
            tracing::warn!(site, issue = event.event.issue.key, "rejected a delivery of a deactivated Jira site");
            return Ok(JiraIntakeOutcome::Forbidden {
                reason: format!("the site {site} is deactivated on this server"),
            });
        }
        tracing::info!(site, issue = event.event.issue.key, event_id = %event.id, "accepted a Jira delivery");
        Ok(JiraIntakeOutcome::Accepted { event_id: event.id })
    }

    /// Returns whether the event may be a request.
    async fn is_for_us(
        &self,
        jira: &JiraPorts,
        workspace: &Workspace,
        site_event: &SiteEvent,
    ) -> Result<bool, IntakeError> {
        match &site_event.kind {
            SiteEventKind::Labeled { labels } => {
                Ok(labels.iter().any(|label| label.eq_ignore_ascii_case(&self.settings().label)))
            }
            SiteEventKind::Commented { body, mentions, .. } => {
                let picked = match &workspace.own_account {
                    Some(own) => mentions.contains(own),
                    // The account of this server on the site is found out during processing.
                    None => !mentions.is_empty(),
                };
                if picked || find_request(body, &self.mention_names()).is_some() {
                    return Ok(true);
                }
                self.awaits_answer(jira, workspace.id, &site_event.issue.id).await
            }
        }
    }

    /// Returns whether a question about the issue's repository is open: then any comment may be the answer.
    async fn awaits_answer(&self, jira: &JiraPorts, workspace: WorkspaceId, issue: &str) -> Result<bool, IntakeError> {
        let conversations = jira.inbox.conversations_on(workspace, issue).await?;
        Ok(conversations.iter().any(|conversation| conversation.asked.is_some()))
    }
}

fn is_stale(site_event: &SiteEvent, now: Timestamp) -> bool {
    let at = Timestamp::from_millisecond(site_event.timestamp).ok().filter(|_| site_event.timestamp > 0);
    at.is_some_and(|at| now.duration_since(at) > MAX_EVENT_AGE)
}

/// Returns the deduplication keys of an event: the two of `docs/requirements.md#jira`, and one for the action.
fn names(workspace: &Workspace, site_event: &SiteEvent, signature: &str, now: Timestamp) -> Vec<(String, Timestamp)> {
    let until = |time: SignedDuration| now.saturating_add(time).unwrap_or(now);
    let (site, issue) = (&workspace.name, &site_event.issue.id);
    let mut names = vec![(format!("jira:{signature}"), until(SIGNATURE_DEDUPLICATION))];
    if site_event.timestamp > 0 {
        names.push((format!("jira:{site}:{issue}:{}", site_event.timestamp), until(CHANGE_DEDUPLICATION)));
    }
    names.push((format!("jira:{site}:{}", site_event.identity()), until(IDENTITY_DEDUPLICATION)));
    names
}
