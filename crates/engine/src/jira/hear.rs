//! Behind the door: who asks, what the issue says, where its code is; then a job, or a word about why there is none.

use std::time::Duration;

use jiff::SignedDuration;
use patchwright_core::fault::Fault;
use patchwright_core::forge::ForgeError;
use patchwright_core::jira::{ClaimedJiraEvent, JiraEvent, JiraPerson, SiteEventKind};
use patchwright_core::repositories::RegisteredRepository;
use patchwright_core::store::{DeliveryRecord, EffectOutcome, StoreError};
use patchwright_core::tracker::RemoteIssue;
use patchwright_core::webhook::{Actor, InboundIssue};
use patchwright_domain::jira::{Asked, Conversation, JIRA, JiraUser, LinkStatus, Workspace};
use patchwright_domain::job::TriggerKind;
use patchwright_domain::trigger::{Command, MAX_INSTRUCTIONS, find_request};
use patchwright_domain::{ConversationId, IssueRef, JiraEventId, PlatformId, RepoName, TrackerRef, User};

use super::repository::{hinted, named};
use super::{Context, JiraPorts, words};
use crate::Engine;
use crate::intake::{Answer, IntakeError, Wish};
use crate::render;
use patchwright_core::fault::error_chain as error_words;

/// How long one try may take, and how long an event is held for it.
const PATIENCE: Duration = Duration::from_secs(90);
const HOLD: SignedDuration = SignedDuration::from_secs(120);
/// How often an event is tried; with the doubling waits that is some hours.
const MAX_TRIES: u32 = 12;

/// It could not be seen to.
enum Trouble {
    Store(StoreError),
    Site(ForgeError),
}

impl From<StoreError> for Trouble {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<ForgeError> for Trouble {
    fn from(error: ForgeError) -> Self {
        Self::Site(error)
    }
}

/// An event with all that it takes to see to it.
struct Case<'a> {
    jira: &'a JiraPorts,
    workspace: Workspace,
    event: &'a JiraEvent,
    /// Whether an earlier try may have written something.
    again: bool,
}

/// Who asks: in Jira, and here.
struct Asker<'a> {
    person: &'a JiraPerson,
    link: &'a JiraUser,
    user: &'a User,
}

/// The issue as it is now.
struct Found {
    at: TrackerRef,
    remote: RemoteIssue,
}

/// What is wanted, before it is known where.
struct Request {
    command: Command,
    kind: TriggerKind,
    /// What the person said, as it was said.
    said: Option<String>,
}

impl Engine {
    /// Sees to the oldest due event of Jira, if there is one. Events of one issue are seen to one after the other.
    ///
    /// # Errors
    /// [`StoreError`]. A site that fails is no error here: it is tried again later.
    pub async fn hear_jira(&self) -> Result<Option<JiraEventId>, StoreError> {
        let Some(jira) = &self.ports.jira else { return Ok(None) };
        let now = self.ports.clock.now();
        let until = now.saturating_add(HOLD).unwrap_or(now);
        let Some(claimed) = jira.inbox.claim_event(now, until).await? else { return Ok(None) };
        let id = claimed.event.id;
        let heard = tokio::time::timeout(PATIENCE, self.hear(jira, &claimed)).await.unwrap_or_else(|_| {
            let detail = "no answer in time".to_owned();
            Err(Trouble::Site(ForgeError::Unavailable { platform: JIRA, detail }))
        });
        let outcome = match heard {
            Ok(()) => EffectOutcome::Done,
            // The hold runs out and somebody tries again.
            Err(Trouble::Store(error)) => return Err(error),
            Err(Trouble::Site(error)) => self.later(&claimed, &error),
        };
        jira.inbox.settle_event(id, outcome).await?;
        self.wake();
        Ok(Some(id))
    }

    fn later(&self, claimed: &ClaimedJiraEvent, error: &ForgeError) -> EffectOutcome {
        let detail = self.ports.tools.redactor().redact(&error_words(error));
        let (attempt, told) = (claimed.attempt, &claimed.event.event);
        let (site, issue) = (&told.issue.site, &told.issue.key);
        if let Some((at, outcome)) = self.put_off(error, attempt, MAX_TRIES, claimed.event.id.as_uuid(), true) {
            tracing::warn!(site, issue, attempt, retry_at = %at, error = %detail, "what Jira told is tried again later");
            return outcome;
        }
        tracing::error!(site, issue, attempt, error = %detail, "what Jira told is given up");
        EffectOutcome::Dead { error: detail }
    }

    async fn hear(&self, jira: &JiraPorts, claimed: &ClaimedJiraEvent) -> Result<(), Trouble> {
        let event = &claimed.event;
        let Some(workspace) = jira.workspaces.workspace(event.workspace_id).await? else { return Ok(()) };
        let case = Case { jira, workspace, event, again: claimed.attempt > 1 };
        let app_name = &self.settings.app_name;
        if case.workspace.status == LinkStatus::Inactive {
            return self.say(&case, "inactive", &words::inactive(app_name)).await;
        }
        let own = self.own_account(&case).await?;
        let Some(person) = event.event.person.as_ref().filter(|person| person.account != own) else { return Ok(()) };
        let request = self.request(&case, &own);
        let Some(link) = jira.users.linked(case.workspace.id, &person.account).await? else {
            tracing::warn!(site = case.workspace.name, account = person.account, "a person of Jira is not linked here");
            let public_url = self.settings.public_url.as_deref();
            let text = words::not_linked(app_name, person, &case.workspace.name, public_url);
            return self.say_to_asker(&case, request.as_ref(), "not_linked", &text).await;
        };
        let user = jira.accounts.user(link.user_id).await?;
        let allowed = |user: &User| user.active && self.settings.allow.admits_user(user.login.as_str());
        let Some(user) = user.filter(allowed) else {
            let text = words::shut_out(app_name, person);
            return self.say_to_asker(&case, request.as_ref(), "shut_out", &text).await;
        };
        let (at, remote) = match jira.sites.issue_at(&event.event.issue).await {
            Ok(found) => found,
            Err(error @ (ForgeError::NotFound { .. } | ForgeError::Forbidden { .. })) => {
                let text = words::unreadable(&event.event.issue.key, &error.to_string());
                return self.say_to_asker(&case, request.as_ref(), "unreadable", &text).await;
            }
            Err(error) => return Err(error.into()),
        };
        let asker = Asker { person, link: &link, user: &user };
        self.answer(&case, request, &asker, Found { at, remote }).await
    }

    /// Who we are there. Asked once for each site.
    async fn own_account(&self, case: &Case<'_>) -> Result<String, Trouble> {
        if let Some(own) = &case.workspace.own_account {
            return Ok(own.clone());
        }
        let own = case.jira.sites.own_account(&case.workspace.name).await?;
        case.jira.workspaces.learn(case.workspace.id, None, Some(&own)).await?;
        Ok(own)
    }

    /// What was asked for; none when the event says nothing to us.
    fn request(&self, case: &Case<'_>, own: &str) -> Option<Request> {
        match &case.event.event.kind {
            SiteEventKind::Labeled { .. } => {
                Some(Request { command: Command::Fix { instructions: None }, kind: TriggerKind::Label, said: None })
            }
            SiteEventKind::Commented { body, mentions, .. } => {
                let picked = mentions.iter().any(|mention| mention == own);
                let command = find_request(body, &self.settings.app_name);
                let command = command.or_else(|| picked.then(|| Command::Fix { instructions: Some(body.clone()) }))?;
                let said = match &command {
                    Command::Fix { instructions } | Command::Restart { instructions } => instructions.clone(),
                    _ => None,
                };
                Some(Request { command, kind: TriggerKind::Mention, said })
            }
        }
    }

    /// A job, or the question where the code is.
    async fn answer(
        &self,
        case: &Case<'_>,
        request: Option<Request>,
        asker: &Asker<'_>,
        found: Found,
    ) -> Result<(), Trouble> {
        let on = case.jira.inbox.conversations_on(case.workspace.id, &found.at.id).await?;
        let known = on.iter().find(|conversation| conversation.jira_user_id == asker.link.id);
        let (platform, repo) = match self.place(case, &on, &found).await? {
            Place::Found(platform, repo) => (platform, repo),
            Place::NotOurs(name) => {
                // Whoever neither asked nor was asked only talks.
                let is_asked = known.is_some_and(|conversation| conversation.asked.is_some());
                if request.is_none() && !is_asked {
                    return Ok(());
                }
                return self.say(case, "unknown_repository", &words::unknown_repository(&name)).await;
            }
            Place::Unknown(candidates) => return self.ask(case, request, known, asker, &found.at, &candidates).await,
        };
        let Some(request) = continued(known, request) else { return Ok(()) };
        let key = found.at.key.clone();
        let source = IssueRef::tracked(platform.clone(), repo.clone(), found.at.clone());
        let goes_on = known.is_some_and(|known| known.repository.is_some()) && self.has_job(&source).await?;
        // Before the job, so that its first comment is part of it. What was asked stays until the job is there: another try
        // must find what this one found.
        let begun = self.conversation(case, known, asker, &found.at);
        let begun = Conversation { repository: Some((platform, repo)), ..begun };
        case.jira.inbox.keep_conversation(&begun).await?;
        let wish = self.jira_wish(case, request, asker, source, found, goes_on);
        match self.grant(wish, record(case.event)).await {
            Ok(answer) => log(&answer, &key),
            Err(IntakeError::Store(error)) => return Err(error.into()),
            Err(error) => {
                let text = words::went_wrong(&self.settings.app_name, &error.to_string());
                return self.say(case, "failed", &text).await;
            }
        }
        if begun.asked.is_some() {
            case.jira.inbox.keep_conversation(&Conversation { asked: None, ..begun }).await?;
        }
        Ok(())
    }

    async fn has_job(&self, source: &IssueRef) -> Result<bool, StoreError> {
        match self.ports.store.issue_by_source(source).await? {
            Some(issue) => Ok(self.ports.store.latest_job(issue.value.id).await?.is_some()),
            None => Ok(false),
        }
    }

    fn jira_wish(
        &self,
        case: &Case<'_>,
        request: Request,
        asker: &Asker<'_>,
        source: IssueRef,
        found: Found,
        goes_on: bool,
    ) -> Wish {
        let Found { at, remote } = found;
        let context = Context {
            issue_key: at.key.clone(),
            issue_url: at.url(),
            issue_title: remote.title.clone(),
            issue_description: remote.body.clone(),
            user_message: request.said.clone().unwrap_or_default(),
            display_name: asker.person.display_name.clone(),
            repository: source.repo.to_string(),
            app_name: self.settings.app_name.clone(),
        };
        let templates = &case.jira.templates;
        let tell = || Some(if goes_on { templates.next(&context) } else { templates.first(&context) });
        let command = match request.command {
            Command::Fix { .. } => Command::Fix { instructions: tell() },
            Command::Restart { .. } => Command::Restart { instructions: tell() },
            other => other,
        };
        let comment_id = match &case.event.event.kind {
            SiteEventKind::Commented { comment_id, .. } => Some(comment_id.clone()),
            SiteEventKind::Labeled { .. } => None,
        };
        Wish {
            issue: InboundIssue::from_remote(source, remote),
            actor: Actor { login: asker.user.login.to_string(), is_bot: false },
            owner: Some(asker.user.id),
            kind: request.kind,
            says_more: request.said.is_some(),
            command,
            comment_id,
            identity: Some(case.event.event.identity()),
        }
        .clean()
    }

    /// Asks for the repository, once; from then on any comment may be the answer.
    async fn ask(
        &self,
        case: &Case<'_>,
        request: Option<Request>,
        known: Option<&Conversation>,
        asker: &Asker<'_>,
        at: &TrackerRef,
        candidates: &[String],
    ) -> Result<(), Trouble> {
        let Some(request) = request else { return Ok(()) };
        if !matches!(request.command, Command::Fix { .. } | Command::Restart { .. }) {
            let text = match request.command {
                Command::Cancel => render::nothing_to("cancel"),
                Command::Retry => render::nothing_to("retry"),
                Command::Status => render::status(None, &self.settings.app_name, None),
                _ => render::help(&self.settings.app_name, true),
            };
            return self.say(case, "reply", &text).await;
        }
        let begun = self.conversation(case, known, asker, at);
        if begun.asked.is_none() {
            self.say(case, "ask", &words::which_repository(&self.settings.app_name, candidates)).await?;
        }
        let before = begun.asked.as_ref().and_then(|asked| asked.instructions.clone());
        let wish = Asked { instructions: together(before, request.said) };
        Ok(case.jira.inbox.keep_conversation(&Conversation { asked: Some(wish), ..begun }).await?)
    }

    fn conversation(
        &self,
        case: &Case<'_>,
        known: Option<&Conversation>,
        asker: &Asker<'_>,
        at: &TrackerRef,
    ) -> Conversation {
        let now = self.ports.clock.now();
        let new = || Conversation {
            id: ConversationId::from_uuid(self.ports.ids.effect().as_uuid()),
            workspace_id: case.workspace.id,
            issue_id: at.id.clone(),
            issue_key: at.key.clone(),
            jira_user_id: asker.link.id,
            repository: None,
            asked: None,
            created_at: now,
            updated_at: now,
        };
        let known = known.cloned().unwrap_or_else(new);
        Conversation { issue_key: at.key.clone(), updated_at: now, ..known }
    }

    /// The same where somebody has asked for something; whoever only talks is left alone.
    async fn say_to_asker(
        &self,
        case: &Case<'_>,
        request: Option<&Request>,
        what: &str,
        text: &str,
    ) -> Result<(), Trouble> {
        if request.is_some() { self.say(case, what, text).await } else { Ok(()) }
    }

    /// Writes a comment about an event, unless an earlier try has.
    async fn say(&self, case: &Case<'_>, what: &str, text: &str) -> Result<(), Trouble> {
        let at = &case.event.event.issue;
        let subject = format!("jira {} {what}", case.event.id);
        if case.again {
            let comments = case.jira.sites.comments_at(at).await?;
            if comments.iter().any(|comment| self.marker.is_marked(&comment.body, &subject)) {
                return Ok(());
            }
        } else if !self.throttles.may_tell(&format!("{} {}", at.site, at.id), self.ports.clock.now()) {
            tracing::warn!(issue = at.key, what, "too many comments on one issue: this one is left out");
            return Ok(());
        }
        let text = format!("{}\n\n{}", self.ports.tools.redactor().redact(text), self.marker.mark(&subject));
        case.jira.sites.post_comment_at(at, &text).await?;
        Ok(())
    }

    /// Where the code is: what the comment names; where the issue was worked on before; what its text names; what its
    /// project is mapped to; the only repository there is; the one whose name the text has. Of several, those that can be
    /// read.
    async fn place(&self, case: &Case<'_>, on: &[Conversation], found: &Found) -> Result<Place, Trouble> {
        let comment = match &case.event.event.kind {
            SiteEventKind::Commented { body, .. } => body.as_str(),
            SiteEventKind::Labeled { .. } => "",
        };
        let all = case.jira.repositories.repositories().await?;
        let admitted =
            |repository: &RegisteredRepository| self.settings.allow.admits_repo(&repository.name.to_string());
        let known: Vec<RegisteredRepository> = all.into_iter().filter(admitted).collect();
        let in_comment = named(comment, &known);
        if let Some(found) = self.readable(&in_comment.known).await? {
            return Ok(found);
        }
        if let Some(other) = in_comment.others.into_iter().next().filter(|_| in_comment.known.is_empty()) {
            return Ok(Place::NotOurs(other));
        }
        let before = on.iter().filter_map(|conversation| conversation.repository.clone());
        if let Some((platform, repo)) = before.into_iter().next_back() {
            return Ok(still_known(&known, platform, repo));
        }
        let text = format!("{}\n{}", found.remote.title, found.remote.body);
        if let Some(found) = self.readable(&named(&text, &known).known).await? {
            return Ok(found);
        }
        let mapped = case.jira.workspaces.projects(case.workspace.id).await?;
        if let Some(mapped) = mapped.into_iter().find(|mapped| mapped.project == found.at.project()) {
            return Ok(still_known(&known, mapped.platform, mapped.repo));
        }
        if let [only] = known.as_slice() {
            return Ok(Place::Found(only.platform.clone(), only.name.clone()));
        }
        if let Some(found) = self.readable(&hinted(&format!("{comment}\n{text}"), &known)).await? {
            return Ok(found);
        }
        Ok(Place::Unknown(known.iter().map(|repository| repository.name.to_string()).collect()))
    }

    /// The one of the candidates that the forge shows us; none when there is none, or more than one.
    async fn readable(&self, candidates: &[&RegisteredRepository]) -> Result<Option<Place>, Trouble> {
        let mut found = Vec::new();
        for candidate in candidates.iter().take(8) {
            let Some(forge) = self.ports.forges.get(&candidate.platform) else { continue };
            match forge.repository(&candidate.name).await {
                Ok(_) => found.push(*candidate),
                Err(error) if matches!(error.fault(), Fault::Retry { .. }) => return Err(error.into()),
                Err(error) => tracing::info!(repository = %candidate.name, %error, "a candidate cannot be read"),
            }
        }
        Ok(match found.as_slice() {
            [one] => Some(Place::Found(one.platform.clone(), one.name.clone())),
            _ => None,
        })
    }
}

/// What is asked now. With the answer to our question goes what was asked for before it.
fn continued(known: Option<&Conversation>, request: Option<Request>) -> Option<Request> {
    let Some(asked) = known.and_then(|conversation| conversation.asked.clone()) else { return request };
    let said = match request {
        None => None,
        Some(Request { command: Command::Fix { .. } | Command::Restart { .. }, said, .. }) => said,
        // `status` and its like are what they say.
        other => return other,
    };
    let said = together(asked.instructions, said);
    Some(Request { command: Command::Fix { instructions: said.clone() }, kind: TriggerKind::Mention, said })
}

/// What was said first, and what came to it.
fn together(first: Option<String>, then: Option<String>) -> Option<String> {
    let all: Vec<String> = first.into_iter().chain(then).collect();
    (!all.is_empty()).then(|| all.join("\n\n").chars().take(MAX_INSTRUCTIONS).collect())
}

/// A repository that was found out before, if jobs may still run for it.
fn still_known(known: &[RegisteredRepository], platform: PlatformId, repo: RepoName) -> Place {
    if known.iter().any(|known| known.platform == platform && known.name == repo) {
        Place::Found(platform, repo)
    } else {
        Place::NotOurs(repo.to_string())
    }
}

/// Where the code of an issue is.
enum Place {
    Found(PlatformId, RepoName),
    /// The comment names one that is not known here.
    NotOurs(String),
    /// Nobody knows; these could be named.
    Unknown(Vec<String>),
}

fn record(event: &JiraEvent) -> DeliveryRecord {
    DeliveryRecord {
        platform: JIRA,
        id: event.delivery_id.clone(),
        identity: None,
        event_type: event.event.event_type.clone(),
        job_id: None,
        received_at: event.created_at,
        payload: serde_json::to_string(&event.event).unwrap_or_default(),
    }
}

fn log(answer: &Answer, key: &str) {
    match answer {
        Answer::Ignored { reason, .. } | Answer::Forbidden { reason } => {
            tracing::info!(issue = key, reason, "what Jira told comes to nothing");
        }
        Answer::Accepted { .. } | Answer::Answered { .. } => {}
    }
}
