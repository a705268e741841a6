//! The contract of Jira's sites, account links and inbox.

use std::sync::Arc;

use patchwright_core::Secret;
use patchwright_core::audit::Audit;
use patchwright_core::jira::{
    JiraEvent, JiraInbox, JiraUsers, LinkError, SiteEvent, SiteEventKind, Tokens, WorkspaceSecrets, Workspaces,
};
use patchwright_core::store::EffectOutcome;
use patchwright_domain::jira::{Asked, Conversation, JIRA, JiraUser, LinkStatus, ProjectRepository, Workspace};
use patchwright_domain::{
    ConversationId, DeliveryId, JiraEventId, JiraUserId, PlatformId, TrackerRef, UserId, WorkspaceId,
};
use uuid::Uuid;

use super::audit::actions;
use crate::build::{after, audit_entry, repo, start_of_time};

/// The three ports of one database.
pub trait JiraStore: Workspaces + JiraUsers + JiraInbox {}

impl<T: Workspaces + JiraUsers + JiraInbox> JiraStore for T {}

/// An empty store.
pub struct Setting {
    /// The ports.
    pub store: Arc<dyn JiraStore>,
    /// The audit log of the same database.
    pub audit: Arc<dyn Audit>,
    /// Two users who exist in the database. Their audit entries are ignored.
    pub people: [UserId; 2],
}

impl Setting {
    /// Returns the actions of the suite. The users were added before it.
    async fn actions(&self) -> Vec<String> {
        let mut actions = actions(self.audit.as_ref()).await;
        actions.retain(|action| action != "user.added");
        actions
    }
}

impl std::fmt::Debug for Setting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Setting").field("people", &self.people).finish_non_exhaustive()
    }
}

/// Runs the whole suite. `fresh` creates an empty store.
pub async fn suite<F, Fut>(fresh: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = Setting>,
{
    a_site_is_stored_with_its_secrets(&fresh().await).await;
    a_person_links_one_account_of_a_site(&fresh().await).await;
    one_process_at_a_time_exchanges_a_refresh_token(&fresh().await).await;
    an_oauth_state_is_consumed_once_before_it_expires(&fresh().await).await;
    an_event_is_accepted_once_and_processed_in_order(&fresh().await).await;
    a_person_has_one_conversation_on_an_issue(&fresh().await).await;
}

fn workspace(n: u128, name: &str, admin: UserId) -> Workspace {
    Workspace {
        id: WorkspaceId::from_uuid(Uuid::from_u128(0x7000 + n)),
        name: name.to_owned(),
        cloud_id: None,
        admin,
        status: LinkStatus::Active,
        own_account: None,
        created_at: start_of_time(),
        updated_at: start_of_time(),
    }
}

fn secrets(webhook: &str) -> WorkspaceSecrets {
    WorkspaceSecrets {
        webhook: vec![Secret::new(webhook)],
        service_account: Some(("bot@acme.example".to_owned(), Secret::new("key"))),
    }
}

/// Adds the site that other rows refer to.
async fn site(store: &dyn JiraStore, admin: UserId) -> WorkspaceId {
    let workspace = workspace(1, "acme.atlassian.net", admin);
    assert!(store.add_workspace(&workspace, &secrets("s"), audit_entry("site.added")).await.unwrap());
    workspace.id
}

async fn a_site_is_stored_with_its_secrets(setting: &Setting) {
    let (store, [admin, other]) = (setting.store.as_ref(), setting.people);
    let one = workspace(1, "b.atlassian.net", admin);
    assert!(store.add_workspace(&one, &secrets("first"), audit_entry("site.added")).await.unwrap());
    let same_name = workspace(2, "b.atlassian.net", other);
    let added = store.add_workspace(&same_name, &secrets("x"), audit_entry("added twice")).await.unwrap();
    assert!(!added, "names are unique");
    let two = workspace(3, "a.atlassian.net", admin);
    assert!(store.add_workspace(&two, &secrets("y"), audit_entry("site.added")).await.unwrap());
    let names: Vec<String> = store.workspaces().await.unwrap().into_iter().map(|workspace| workspace.name).collect();
    assert_eq!(names, ["a.atlassian.net", "b.atlassian.net"]);
    let (found, stored) = store.open_workspace("b.atlassian.net").await.unwrap().unwrap();
    assert_eq!(found, one);
    assert!(stored.webhook[0].matches("first") && stored.service_account.unwrap().1.matches("key"));
    assert!(store.open_workspace("c.atlassian.net").await.unwrap().is_none());

    let changed = Workspace {
        cloud_id: Some("cloud".into()),
        status: LinkStatus::Inactive,
        own_account: Some("bot".into()),
        updated_at: after(5),
        ..one.clone()
    };
    assert!(store.change_workspace(&changed, None, audit_entry("site.changed")).await.unwrap());
    assert_eq!(store.workspace(one.id).await.unwrap().unwrap(), changed);
    let (_, stored) = store.open_workspace("b.atlassian.net").await.unwrap().unwrap();
    assert!(stored.webhook[0].matches("first"), "without new secrets the old ones stay");
    let two = WorkspaceSecrets { webhook: vec![Secret::new("second"), Secret::new("first")], service_account: None };
    assert!(store.change_workspace(&changed, Some(&two), audit_entry("site.changed")).await.unwrap());
    let (_, stored) = store.open_workspace("b.atlassian.net").await.unwrap().unwrap();
    assert!(stored.webhook.len() == 2 && stored.webhook[0].matches("second") && stored.service_account.is_none());
    let unknown = workspace(9, "nowhere", admin);
    assert!(!store.change_workspace(&unknown, None, audit_entry("unknown")).await.unwrap());
    store.set_discovered(one.id, Some("another cloud"), None).await.unwrap();
    store.set_discovered(one.id, None, Some("another bot")).await.unwrap();
    let (cloud_id, own_account) = (Some("another cloud".to_owned()), Some("another bot".to_owned()));
    let discovered = Workspace { cloud_id, own_account, ..changed };
    assert_eq!(store.workspace(one.id).await.unwrap().unwrap(), discovered, "nothing else has changed");

    let project = |key: &str, name: &str| ProjectRepository {
        project: key.to_owned(),
        platform: PlatformId::from_static("github"),
        repo: name.parse().unwrap(),
    };
    for (key, name) in [("Z", "acme/z"), ("A", "acme/a"), ("Z", "acme/other")] {
        store.set_project(one.id, &project(key, name), audit_entry("project.set")).await.unwrap();
    }
    assert_eq!(store.projects(one.id).await.unwrap(), [project("A", "acme/a"), project("Z", "acme/other")]);
    assert!(store.remove_project(one.id, "A", audit_entry("project.removed")).await.unwrap());
    assert!(!store.remove_project(one.id, "A", audit_entry("removed twice")).await.unwrap());
    let expected = [
        "site.added",
        "site.added",
        "site.changed",
        "site.changed",
        "project.set",
        "project.set",
        "project.set",
        "project.removed",
    ];
    assert_eq!(setting.actions().await, expected);
}

/// A link of a user to an account.
pub fn link(n: u128, user_id: UserId, account: &str, workspace_id: WorkspaceId) -> JiraUser {
    JiraUser {
        id: JiraUserId::from_uuid(Uuid::from_u128(0x8000 + n)),
        user_id,
        account: account.to_owned(),
        workspace_id,
        display_name: format!("{account} of n"),
        status: LinkStatus::Active,
        created_at: after(i64::try_from(n).unwrap()),
        updated_at: after(i64::try_from(n).unwrap()),
    }
}

/// The tokens of a link.
pub fn tokens(access: &str) -> Tokens {
    let refresh = Some(Secret::new(format!("refresh of {access}")));
    Tokens { access: Secret::new(access), expires_at: after(3_600), refresh }
}

async fn a_person_links_one_account_of_a_site(setting: &Setting) {
    let (store, [mia, olga]) = (setting.store.as_ref(), setting.people);
    let link_with = async |link: JiraUser, tokens: Option<Tokens>, action: &str| {
        store.link(&link, tokens.as_ref(), audit_entry(action)).await
    };
    let site = site(store, mia).await;
    let first = link_with(link(1, mia, "acc-mia", site), Some(tokens("a")), "linked").await.unwrap();
    assert_eq!(first, link(1, mia, "acc-mia", site));
    let taken = link_with(link(2, olga, "acc-mia", site), None, "taken").await;
    assert!(matches!(taken, Err(LinkError::AccountTaken)));
    let second = link_with(link(3, mia, "acc-other", site), None, "other account").await;
    assert!(matches!(second, Err(LinkError::OtherAccount)));
    let again = link_with(link(4, mia, "acc-mia", site), Some(tokens("b")), "renewed").await.unwrap();
    assert_eq!((again.id, again.created_at), (first.id, first.created_at), "a renewed link keeps its id");
    assert!(store.tokens(first.id).await.unwrap().unwrap().access.matches("b"));
    assert_eq!(store.linked(site, "acc-mia").await.unwrap().unwrap().id, first.id);
    assert!(store.linked(site, "acc-olga").await.unwrap().is_none());

    assert!(store.unlink(first.id, after(9), audit_entry("unlinked")).await.unwrap());
    assert!(!store.unlink(first.id, after(9), audit_entry("unlinked twice")).await.unwrap());
    assert!(store.linked(site, "acc-mia").await.unwrap().is_none());
    assert!(store.tokens(first.id).await.unwrap().is_none(), "its tokens are deleted");
    store.store_tokens(first.id, Some(&tokens("late"))).await.unwrap();
    assert!(store.tokens(first.id).await.unwrap().is_none(), "an ended link has no tokens");
    assert_eq!(store.jira_user(first.id).await.unwrap().unwrap().status, LinkStatus::Inactive);
    let others = link_with(link(5, olga, "acc-mia", site), None, "linked").await.unwrap();
    assert_eq!(store.links(Some(olga)).await.unwrap(), [others]);
    assert_eq!(store.links(None).await.unwrap().len(), 2);
    let expected = ["site.added", "linked", "renewed", "unlinked", "linked"];
    assert_eq!(setting.actions().await, expected);
}

async fn one_process_at_a_time_exchanges_a_refresh_token(setting: &Setting) {
    let (store, [mia, _]) = (setting.store.as_ref(), setting.people);
    let site = site(store, mia).await;
    let linked = store.link(&link(1, mia, "acc", site), Some(&tokens("a")), audit_entry("linked")).await;
    let id = linked.unwrap().id;
    let (a, other) = (Secret::new("a"), Secret::new("not a"));
    assert!(!store.acquire_refresh(id, &other, after(0), after(40)).await.unwrap(), "another process has exchanged it");
    assert!(store.acquire_refresh(id, &a, after(0), after(40)).await.unwrap());
    assert!(!store.acquire_refresh(id, &a, after(39), after(79)).await.unwrap(), "another process holds the right");
    assert!(store.acquire_refresh(id, &a, after(40), after(80)).await.unwrap(), "the right has expired");
    store.release_refresh(id).await.unwrap();
    assert!(store.acquire_refresh(id, &a, after(41), after(81)).await.unwrap(), "the right was released");
    store.store_tokens(id, Some(&tokens("b"))).await.unwrap();
    let stored = store.tokens(id).await.unwrap().unwrap();
    assert!(stored.access.matches("b") && stored.refresh.unwrap().matches("refresh of b"));
    assert_eq!(stored.expires_at, after(3_600));
    assert!(!store.acquire_refresh(id, &a, after(42), after(82)).await.unwrap());
    assert!(store.acquire_refresh(id, &Secret::new("b"), after(42), after(82)).await.unwrap());
    store.store_tokens(id, None).await.unwrap();
    assert!(store.tokens(id).await.unwrap().is_none());
}

async fn an_oauth_state_is_consumed_once_before_it_expires(setting: &Setting) {
    let store = setting.store.as_ref();
    for hash in ["in time", "late"] {
        store.store_state(hash, &Secret::new(format!("what {hash}")), after(600)).await.unwrap();
    }
    assert!(store.consume_state("in time", after(599)).await.unwrap().unwrap().matches("what in time"));
    assert!(store.consume_state("in time", after(599)).await.unwrap().is_none());
    assert!(store.consume_state("late", after(600)).await.unwrap().is_none());
    assert!(store.consume_state("guess", after(0)).await.unwrap().is_none());
}

fn event(n: u128, workspace_id: WorkspaceId, issue: &str, at: i64) -> JiraEvent {
    JiraEvent {
        id: JiraEventId::from_uuid(Uuid::from_u128(0x9000 + n)),
        workspace_id,
        delivery_id: DeliveryId::parse(&format!("delivery-{n}")).unwrap(),
        event: SiteEvent {
            event_type: "comment_created".to_owned(),
            issue: TrackerRef::new(JIRA, "acme.atlassian.net", issue, "PROJ-1").unwrap(),
            timestamp: at,
            person: None,
            kind: SiteEventKind::Labeled { labels: vec!["x".to_owned()] },
        },
        created_at: after(at),
    }
}

async fn an_event_is_accepted_once_and_processed_in_order(setting: &Setting) {
    let (store, [mia, _]) = (setting.store.as_ref(), setting.people);
    let site = site(store, mia).await;
    let keys = |key: &str, until: i64| vec![(key.to_owned(), after(until))];
    let first = event(1, site, "10", 0);
    assert!(store.add_event(&first, &keys("a", 300)).await.unwrap());
    assert!(!store.add_event(&first, &keys("b", 300)).await.unwrap(), "the delivery is known");
    assert!(!store.add_event(&event(2, site, "10", 1), &keys("a", 300)).await.unwrap(), "the key is known");
    assert!(store.add_event(&event(2, site, "10", 1), &keys("b", 300)).await.unwrap(), "refused events left no key");
    assert!(store.add_event(&event(3, site, "11", 2), &[]).await.unwrap());

    let claim = |now: i64| async move {
        let claimed = store.claim_event(after(now), after(now + 100)).await.unwrap();
        claimed.map(|claimed| (claimed.event.id, claimed.attempt))
    };
    assert_eq!(claim(5).await, Some((first.id, 1)));
    assert_eq!(claim(5).await, Some((event(3, site, "11", 2).id, 1)), "events of other issues do not wait");
    assert_eq!(claim(5).await, None, "the next event of the same issue waits");
    assert_eq!(claim(105).await, Some((first.id, 2)), "the claim has expired");
    let later = EffectOutcome::Retry { at: after(200), error: "down".into() };
    store.settle_event(first.id, later).await.unwrap();
    store.settle_event(event(3, site, "11", 2).id, EffectOutcome::Done).await.unwrap();
    assert_eq!(claim(199).await, None);
    assert_eq!(claim(200).await, Some((first.id, 3)));
    let postponed = EffectOutcome::Postponed { at: after(200), error: "slow down".into() };
    store.settle_event(first.id, postponed).await.unwrap();
    assert_eq!(claim(200).await, Some((first.id, 3)), "a postponed attempt is not counted");
    store.settle_event(first.id, EffectOutcome::Dead { error: "never".into() }).await.unwrap();
    assert_eq!(claim(201).await, Some((event(2, site, "10", 1).id, 1)));
    let dead = store.dead_events(9).await.unwrap();
    assert_eq!(dead, [(first.clone(), "never".to_owned())]);

    assert!(store.add_event(&event(4, site, "12", 301), &keys("a", 900)).await.unwrap(), "the key has expired");
    assert_eq!(store.forget_events(after(3), after(302)).await.unwrap(), 3, "two settled events and one key");
    assert!(store.dead_events(9).await.unwrap().is_empty());
    assert_eq!(claim(302).await, Some((event(2, site, "10", 1).id, 2)), "waiting events stay");
}

async fn a_person_has_one_conversation_on_an_issue(setting: &Setting) {
    let (store, [mia, olga]) = (setting.store.as_ref(), setting.people);
    let site = site(store, mia).await;
    let link_of = async |n, person, account| {
        let linked = store.link(&link(n, person, account, site), None, audit_entry("linked")).await;
        linked.unwrap().id
    };
    let ours = link_of(1, mia, "acc-mia").await;
    let hers = link_of(2, olga, "acc-olga").await;
    let begun = Conversation {
        id: ConversationId::from_uuid(Uuid::from_u128(1)),
        workspace_id: site,
        issue_id: "10".to_owned(),
        issue_key: "PROJ-1".to_owned(),
        jira_user_id: ours,
        repository: None,
        asked: Some(Asked { instructions: Some("please".into()) }),
        created_at: after(1),
        updated_at: after(1),
    };
    store.store_conversation(&begun).await.unwrap();
    assert_eq!(store.conversations_on(site, "10").await.unwrap(), std::slice::from_ref(&begun));
    let known = Conversation {
        id: ConversationId::from_uuid(Uuid::from_u128(2)),
        issue_key: "OTHER-1".to_owned(),
        repository: Some((PlatformId::from_static("github"), repo())),
        asked: None,
        created_at: after(7),
        updated_at: after(7),
        ..begun.clone()
    };
    store.store_conversation(&known).await.unwrap();
    let merged = Conversation { id: begun.id, created_at: begun.created_at, ..known.clone() };
    let both = store.conversations_on(site, "10").await.unwrap();
    assert_eq!(both, std::slice::from_ref(&merged), "stored twice, it keeps its first id");
    let second = Conversation {
        id: ConversationId::from_uuid(Uuid::from_u128(3)),
        jira_user_id: hers,
        created_at: after(2),
        updated_at: after(2),
        ..known
    };
    store.store_conversation(&second).await.unwrap();
    assert_eq!(store.conversations_on(site, "10").await.unwrap(), [merged.clone(), second.clone()]);
    assert_eq!(store.conversations(1).await.unwrap(), [merged]);
    assert!(store.conversations_on(site, "11").await.unwrap().is_empty());
}
