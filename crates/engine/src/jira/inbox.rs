//! Processing of accepted Jira events: finds out the requester, the issue and the repository, then creates a job or
//! comments why there is none.

use std::time::Duration;

use jiff::SignedDuration;
use patchwright_core::fault::error_chain;
use patchwright_core::forge::ForgeError;
use patchwright_core::jira::{ClaimedJiraEvent, JiraEvent, JiraPerson, SiteEventKind};
use patchwright_core::outgoing_text::OutgoingText;
use patchwright_core::store::{DeliveryRecord, EffectOutcome, StoreError};
use patchwright_core::tracker::RemoteIssue;
use patchwright_domain::effect::NothingTo;
use patchwright_domain::jira::{Asked, Conversation, JIRA, JiraUser, LinkStatus, Workspace};
use patchwright_domain::job::TriggerKind;
use patchwright_domain::trigger::{Command, Language, MAX_INSTRUCTIONS, language_of};
use patchwright_domain::{ConversationId, IssueRef, JiraEventId, TrackerRef, TriggerRequest, User};

use super::resolution::RepositoryResolution;
use super::{Context, JiraPorts};
use crate::Engine;
use crate::intake::{IntakeError, IntakeOutcome, Mention, Permit, RequestRecord, clean_request, find_request};

/// The timeout of one attempt, and the lease of an event during it.
const PROCESS_TIMEOUT: Duration = Duration::from_secs(90);
const CLAIM_DURATION: SignedDuration = SignedDuration::from_secs(120);
/// How often an event is tried; with the doubling waits this takes some hours.
const MAX_ATTEMPTS: u32 = 12;

/// The event could not be processed.
pub(super) enum JiraError {
    Store(StoreError),
    Site(ForgeError),
}

impl From<StoreError> for JiraError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<ForgeError> for JiraError {
    fn from(error: ForgeError) -> Self {
        Self::Site(error)
    }
}

/// An event with everything that its processing needs.
pub(super) struct EventContext<'a> {
    pub(super) jira: &'a JiraPorts,
    pub(super) workspace: Workspace,
    pub(super) event: &'a JiraEvent,
    /// Whether an earlier attempt may have written something.
    again: bool,
}

/// The author of the request: the Jira account and the user of this server.
struct Requester<'a> {
    person: &'a JiraPerson,
    link: &'a JiraUser,
    user: &'a User,
}

/// The issue as Jira returns it now.
pub(super) struct ResolvedIssue {
    pub(super) at: TrackerRef,
    pub(super) remote: RemoteIssue,
}

/// The request, before its repository is known.
struct Request {
    command: Command,
    kind: TriggerKind,
    /// The language of replies.
    language: Language,
    /// The text of the comment.
    text_after: Option<String>,
}

impl Engine {
    /// Processes the oldest due Jira event, if there is one. Events of one issue are processed in order.
    ///
    /// # Errors
    /// [`StoreError`]. A failing site is no error here: the event is retried later.
    pub async fn process_next_jira_event(&self) -> Result<Option<JiraEventId>, StoreError> {
        let Some(jira) = &self.ports.jira else { return Ok(None) };
        let now = self.ports.clock.now();
        let until = now.saturating_add(CLAIM_DURATION).unwrap_or(now);
        let Some(claimed) = jira.inbox.claim_event(now, until).await? else { return Ok(None) };
        let id = claimed.event.id;
        let processed =
            tokio::time::timeout(PROCESS_TIMEOUT, self.process(jira, &claimed)).await.unwrap_or_else(|_| {
                let detail = "no answer in time".to_owned();
                Err(JiraError::Site(ForgeError::Unavailable { platform: JIRA, detail }))
            });
        let outcome = match processed {
            Ok(()) => EffectOutcome::Done,
            // The lease expires and the event is retried.
            Err(JiraError::Store(error)) => return Err(error),
            Err(JiraError::Site(error)) => self.later(&claimed, &error),
        };
        jira.inbox.settle_event(id, outcome).await?;
        self.wake();
        Ok(Some(id))
    }

    fn later(&self, claimed: &ClaimedJiraEvent, error: &ForgeError) -> EffectOutcome {
        let detail = self.ports.tools.redactor().redact(&error_chain(error));
        let (attempt, site_event) = (claimed.attempt, &claimed.event.event);
        let (site, issue) = (&site_event.issue.site, &site_event.issue.key);
        if let Some((at, outcome)) = self.schedule_retry(error, attempt, MAX_ATTEMPTS, claimed.event.id.as_uuid(), true)
        {
            tracing::warn!(site, issue, attempt, retry_at = %at, error = %detail, "failed to process a Jira event; retrying");
            return outcome;
        }
        tracing::error!(site, issue, attempt, error = %detail, "giving up on a Jira event");
        EffectOutcome::Dead { error: detail }
    }

    async fn process(&self, jira: &JiraPorts, claimed: &ClaimedJiraEvent) -> Result<(), JiraError> {
        let event = &claimed.event;
        let Some(workspace) = jira.workspaces.workspace(event.workspace_id).await? else { return Ok(()) };
        let context = EventContext { jira, workspace, event, again: claimed.attempt > 1 };
        if context.workspace.status == LinkStatus::Inactive {
            return self.comment(&context, "inactive", &self.renderer(Language::default()).inactive_site()).await;
        }
        let own = self.own_account(&context).await?;
        let Some(person) = event.event.person.as_ref().filter(|person| person.account != own) else { return Ok(()) };
        let request = self.parse_request(&context, &own);
        let Some(link) = jira.users.linked(context.workspace.id, &person.account).await? else {
            tracing::warn!(
                site = context.workspace.name,
                account = person.account,
                "no user is linked to the Jira account"
            );
            let text = self.renderer(language_of_request(request.as_ref())).not_linked(person, &context.workspace.name);
            return self.reply_to_requester(&context, request.as_ref(), "not_linked", &text).await;
        };
        let user = jira.accounts.user(link.user_id).await?;
        let allowed = |user: &User| user.active && self.settings().allow.admits_user(user.login.as_str());
        let Some(user) = user.filter(allowed) else {
            let text = self.renderer(language_of_request(request.as_ref())).no_permission(person);
            return self.reply_to_requester(&context, request.as_ref(), "deactivated", &text).await;
        };
        let (at, remote) = match jira.sites.issue_at(&event.event.issue).await {
            Ok(found) => found,
            Err(error @ (ForgeError::NotFound { .. } | ForgeError::Forbidden { .. })) => {
                let renderer = self.renderer(language_of_request(request.as_ref()));
                let text = renderer.unreadable_issue(&event.event.issue.key, &error.to_string());
                return self.reply_to_requester(&context, request.as_ref(), "unreadable", &text).await;
            }
            Err(error) => return Err(error.into()),
        };
        let requester = Requester { person, link: &link, user: &user };
        self.answer(&context, request, &requester, ResolvedIssue { at, remote }).await
    }

    /// Returns the account of this server on the site, which is requested once per site.
    async fn own_account(&self, context: &EventContext<'_>) -> Result<String, JiraError> {
        if let Some(own) = &context.workspace.own_account {
            return Ok(own.clone());
        }
        let own = context.jira.sites.own_account(&context.workspace.name).await?;
        context.jira.workspaces.set_discovered(context.workspace.id, None, Some(&own)).await?;
        Ok(own)
    }

    /// Returns the request of the event, or `None` if it is not addressed to this server.
    fn parse_request(&self, context: &EventContext<'_>, own: &str) -> Option<Request> {
        match &context.event.event.kind {
            SiteEventKind::Labeled { .. } => Some(Request {
                command: Command::Fix { instructions: None },
                kind: TriggerKind::Label,
                language: Language::default(),
                text_after: None,
            }),
            SiteEventKind::Commented { body, mentions, .. } => {
                let picked = mentions.iter().any(|mention| mention == own);
                let found = find_request(body, &self.mention_names()).or_else(|| {
                    let command = Command::Fix { instructions: Some(body.clone()) };
                    picked.then(|| Mention { command, language: language_of(body) })
                });
                let Mention { command, language } = found?;
                let text_after = command.instructions().map(str::to_owned);
                Some(Request { command, kind: TriggerKind::Mention, language, text_after })
            }
        }
    }

    /// Starts a job, or asks for the repository.
    async fn answer(
        &self,
        context: &EventContext<'_>,
        request: Option<Request>,
        requester: &Requester<'_>,
        found: ResolvedIssue,
    ) -> Result<(), JiraError> {
        let on = context.jira.inbox.conversations_on(context.workspace.id, &found.at.id).await?;
        let known = on.iter().find(|conversation| conversation.jira_user_id == requester.link.id);
        let (platform, repo) = match self.resolve_repository(context, &on, &found).await? {
            RepositoryResolution::Found(platform, repo) => (platform, repo),
            RepositoryResolution::NotRegistered(name) => {
                // A comment without a mention is no request, unless it answers a question.
                let is_asked = known.is_some_and(|conversation| conversation.asked.is_some());
                if request.is_none() && !is_asked {
                    return Ok(());
                }
                let text = self.renderer(language_of_request(request.as_ref())).unknown_repository(&name);
                return self.comment(context, "unknown_repository", &text).await;
            }
            RepositoryResolution::Unknown(candidates) => {
                return self.ask(context, request, known, requester, &found.at, &candidates).await;
            }
        };
        let Some(request) = continued(known, request) else { return Ok(()) };
        let key = found.at.key.clone();
        let source = IssueRef::tracked(platform.clone(), repo.clone(), found.at.clone());
        let is_continuation = known.is_some_and(|known| known.repository.is_some()) && self.has_job(&source).await?;
        // Written before the job, so that its first comment belongs to the conversation. The question is kept until the
        // job exists, so that another attempt finds the same.
        let begun = self.conversation(context, known, requester, &found.at);
        let begun = Conversation { repository: Some((platform, repo)), ..begun };
        context.jira.inbox.store_conversation(&begun).await?;
        let request = self.trigger_request(context, request, requester, source, found, is_continuation);
        let settled = RequestRecord::Delivery(record(context.event));
        match self.apply(&request, &settled, self.permit_of_user(requester.user.login.as_str())).await {
            Ok(answer) => log(&answer, &key),
            Err(IntakeError::Store(error)) => return Err(error.into()),
            Err(error) => {
                let text = self.renderer(Language::default()).start_failed(&error.to_string());
                return self.comment(context, "failed", &text).await;
            }
        }
        if begun.asked.is_some() {
            context.jira.inbox.store_conversation(&Conversation { asked: None, ..begun }).await?;
        }
        Ok(())
    }

    /// Returns on which jobs a user of this server may act by a comment.
    fn permit_of_user(&self, login: &str) -> Permit {
        if self.is_open_to(login) { Permit::Writer } else { Permit::Starter }
    }

    async fn has_job(&self, source: &IssueRef) -> Result<bool, StoreError> {
        match self.ports.store.issue_by_source(source).await? {
            Some(issue) => Ok(self.ports.store.latest_job(issue.value.id).await?.is_some()),
            None => Ok(false),
        }
    }

    fn trigger_request(
        &self,
        context: &EventContext<'_>,
        request: Request,
        requester: &Requester<'_>,
        source: IssueRef,
        found: ResolvedIssue,
        is_continuation: bool,
    ) -> TriggerRequest {
        let ResolvedIssue { at, remote } = found;
        let values = Context {
            issue_key: at.key.clone(),
            issue_url: at.url(),
            issue_title: remote.title.clone(),
            issue_description: remote.body.clone(),
            user_message: request.text_after.clone().unwrap_or_default(),
            display_name: requester.person.display_name.clone(),
            repository: source.repo.to_string(),
            app_name: self.settings().app_name.clone(),
        };
        let templates = &context.jira.templates;
        let instructions = || Some(if is_continuation { templates.next(&values) } else { templates.first(&values) });
        let command = request.command;
        let command = if command.starts_job() { command.with_instructions(instructions()) } else { command };
        let comment_id = match &context.event.event.kind {
            SiteEventKind::Commented { comment_id, .. } => Some(comment_id.clone()),
            SiteEventKind::Labeled { .. } => None,
        };
        clean_request(TriggerRequest {
            issue: remote.into_inbound(source),
            actor: requester.user.login.to_string(),
            owner: Some(requester.user.id),
            kind: request.kind,
            has_instructions: request.text_after.is_some(),
            command,
            language: request.language,
            comment_id,
            pull_request: None,
            review: None,
        })
    }

    /// Asks for the repository once; from then on any comment may be the answer.
    async fn ask(
        &self,
        context: &EventContext<'_>,
        request: Option<Request>,
        known: Option<&Conversation>,
        requester: &Requester<'_>,
        at: &TrackerRef,
        candidates: &[String],
    ) -> Result<(), JiraError> {
        let Some(request) = request else { return Ok(()) };
        if !request.command.starts_job() {
            let renderer = self.renderer(request.language);
            let text = match request.command {
                Command::Approve => renderer.nothing_to(NothingTo::Approve),
                Command::Cancel => renderer.nothing_to(NothingTo::Cancel),
                Command::Retry => renderer.nothing_to(NothingTo::Retry),
                Command::Status => renderer.status(None),
                _ => renderer.help(true),
            };
            return self.comment(context, "reply", &text).await;
        }
        let begun = self.conversation(context, known, requester, at);
        if begun.asked.is_none() {
            let text = self.renderer(request.language).which_repository(candidates);
            self.comment(context, "ask", &text).await?;
        }
        let before = begun.asked.as_ref().and_then(|asked| asked.instructions.clone());
        let request = Asked { instructions: together(before, request.text_after) };
        Ok(context.jira.inbox.store_conversation(&Conversation { asked: Some(request), ..begun }).await?)
    }

    fn conversation(
        &self,
        context: &EventContext<'_>,
        known: Option<&Conversation>,
        requester: &Requester<'_>,
        at: &TrackerRef,
    ) -> Conversation {
        let now = self.ports.clock.now();
        let new = || Conversation {
            id: ConversationId::from_uuid(self.ports.ids.effect().as_uuid()),
            workspace_id: context.workspace.id,
            issue_id: at.id.clone(),
            issue_key: at.key.clone(),
            jira_user_id: requester.link.id,
            repository: None,
            asked: None,
            created_at: now,
            updated_at: now,
        };
        let known = known.cloned().unwrap_or_else(new);
        Conversation { issue_key: at.key.clone(), updated_at: now, ..known }
    }

    /// Does the same if the event is a request; other comments get no reply.
    async fn reply_to_requester(
        &self,
        context: &EventContext<'_>,
        request: Option<&Request>,
        what: &str,
        text: &OutgoingText,
    ) -> Result<(), JiraError> {
        if request.is_some() { self.comment(context, what, text).await } else { Ok(()) }
    }

    /// Writes a comment about an event, unless an earlier attempt wrote it.
    async fn comment(&self, context: &EventContext<'_>, what: &str, text: &OutgoingText) -> Result<(), JiraError> {
        let at = &context.event.event.issue;
        let subject = format!("jira {} {what}", context.event.id);
        if context.again {
            let comments = context.jira.sites.comments_at(at).await?;
            if comments.iter().any(|comment| self.marker.is_marked(&comment.body, &subject)) {
                return Ok(());
            }
        } else if !self.rate_limiters.try_acquire_comment(&format!("{} {}", at.site, at.id), self.ports.clock.now()) {
            tracing::warn!(issue = at.key, what, "too many comments on one issue; skipping this one");
            return Ok(());
        }
        let (text, mark) = (text.redact(self.ports.tools.redactor()), self.marker.mark(&subject));
        let text = OutgoingText::fill("{text}\n\n{mark}", &[("text", &text), ("mark", &mark)]);
        context.jira.sites.post_comment_at(at, &text).await?;
        Ok(())
    }
}

fn language_of_request(request: Option<&Request>) -> Language {
    request.map_or_else(Language::default, |request| request.language)
}

/// Returns the current request. The answer to a question continues the request before it.
fn continued(known: Option<&Conversation>, request: Option<Request>) -> Option<Request> {
    let Some(asked) = known.and_then(|conversation| conversation.asked.clone()) else { return request };
    let (text_after, language, wants_plan) = match request {
        None => (None, Language::default(), false),
        Some(Request { command, text_after, language, .. }) if command.starts_job() => {
            (text_after, language, matches!(command, Command::Plan { .. }))
        }
        // Commands such as `status` do not continue an earlier request.
        other => return other,
    };
    let text_after = together(asked.instructions, text_after);
    let instructions = text_after.clone();
    let command = if wants_plan { Command::Plan { instructions } } else { Command::Fix { instructions } };
    Some(Request { command, kind: TriggerKind::Mention, language, text_after })
}

/// Joins the first message and the additions to it.
fn together(first: Option<String>, then: Option<String>) -> Option<String> {
    let all: Vec<String> = first.into_iter().chain(then).collect();
    (!all.is_empty()).then(|| all.join("\n\n").chars().take(MAX_INSTRUCTIONS).collect())
}

fn record(event: &JiraEvent) -> DeliveryRecord {
    DeliveryRecord {
        platform: JIRA,
        id: event.delivery_id.clone(),
        identity: Some(event.event.identity()),
        event_type: event.event.event_type.clone(),
        job_id: None,
        received_at: event.created_at,
        payload: serde_json::to_string(&event.event).unwrap_or_default().into(),
    }
}

fn log(answer: &IntakeOutcome, key: &str) {
    match answer {
        IntakeOutcome::Ignored { reason, .. } | IntakeOutcome::Forbidden { reason } => {
            tracing::info!(issue = key, reason, "ignored a Jira event");
        }
        IntakeOutcome::Accepted { .. } | IntakeOutcome::Answered { .. } => {}
    }
}
