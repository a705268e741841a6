//! What every keeper of Jira's sites, people and events does.

use std::sync::Arc;

use patchwright_core::Secret;
use patchwright_core::jira::{
    JiraEvent, JiraInbox, JiraUsers, LinkError, SiteEvent, SiteEventKind, Tokens, WorkspaceSecrets, Workspaces,
};
use patchwright_core::store::EffectOutcome;
use patchwright_domain::jira::{Asked, Conversation, JIRA, JiraUser, LinkStatus, ProjectRepository, Workspace};
use patchwright_domain::{
    ConversationId, DeliveryId, JiraEventId, JiraUserId, PlatformId, TrackerRef, UserId, WorkspaceId,
};
use uuid::Uuid;

use crate::build::{after, repo, start_of_time};

/// The three ports of one database.
pub trait Keeper: Workspaces + JiraUsers + JiraInbox {}

impl<T: Workspaces + JiraUsers + JiraInbox> Keeper for T {}

/// Runs the whole suite. `fresh` makes an empty store that knows these two people.
pub async fn suite<F, Fut>(fresh: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = (Arc<dyn Keeper>, [UserId; 2])>,
{
    let (keeper, people) = fresh().await;
    a_site_is_kept_with_its_secrets(keeper.as_ref(), people).await;
    let (keeper, people) = fresh().await;
    one_person_has_one_account_of_a_site(keeper.as_ref(), people).await;
    let (keeper, people) = fresh().await;
    a_refresh_token_is_one_persons_to_send(keeper.as_ref(), people).await;
    let (keeper, people) = fresh().await;
    a_state_is_taken_once_and_in_time(keeper.as_ref(), people).await;
    let (keeper, people) = fresh().await;
    an_event_is_heard_once_and_in_its_turn(keeper.as_ref(), people).await;
    let (keeper, people) = fresh().await;
    a_conversation_is_one_for_each_person_and_issue(keeper.as_ref(), people).await;
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

/// A site that is there, for what hangs on it.
async fn site(keeper: &dyn Keeper, admin: UserId) -> WorkspaceId {
    let workspace = workspace(1, "acme.atlassian.net", admin);
    assert!(keeper.add_workspace(&workspace, &secrets("s")).await.unwrap());
    workspace.id
}

async fn a_site_is_kept_with_its_secrets(keeper: &dyn Keeper, [admin, other]: [UserId; 2]) {
    let one = workspace(1, "b.atlassian.net", admin);
    assert!(keeper.add_workspace(&one, &secrets("first")).await.unwrap());
    let same_name = workspace(2, "b.atlassian.net", other);
    assert!(!keeper.add_workspace(&same_name, &secrets("x")).await.unwrap(), "names are unique");
    assert!(keeper.add_workspace(&workspace(3, "a.atlassian.net", admin), &secrets("y")).await.unwrap());
    let names: Vec<String> = keeper.workspaces().await.unwrap().into_iter().map(|workspace| workspace.name).collect();
    assert_eq!(names, ["a.atlassian.net", "b.atlassian.net"]);
    let (found, kept) = keeper.open_workspace("b.atlassian.net").await.unwrap().unwrap();
    assert_eq!(found, one);
    assert!(kept.webhook[0].matches("first") && kept.service_account.unwrap().1.matches("key"));
    assert!(keeper.open_workspace("c.atlassian.net").await.unwrap().is_none());

    let changed = Workspace {
        cloud_id: Some("cloud".into()),
        status: LinkStatus::Inactive,
        own_account: Some("bot".into()),
        updated_at: after(5),
        ..one.clone()
    };
    assert!(keeper.change_workspace(&changed, None).await.unwrap());
    assert_eq!(keeper.workspace(one.id).await.unwrap().unwrap(), changed);
    let (_, kept) = keeper.open_workspace("b.atlassian.net").await.unwrap().unwrap();
    assert!(kept.webhook[0].matches("first"), "what is not named stays");
    let two = WorkspaceSecrets { webhook: vec![Secret::new("second"), Secret::new("first")], service_account: None };
    assert!(keeper.change_workspace(&changed, Some(&two)).await.unwrap());
    let (_, kept) = keeper.open_workspace("b.atlassian.net").await.unwrap().unwrap();
    assert!(kept.webhook.len() == 2 && kept.webhook[0].matches("second") && kept.service_account.is_none());
    assert!(!keeper.change_workspace(&workspace(9, "nowhere", admin), None).await.unwrap());
    keeper.learn(one.id, Some("another cloud"), None).await.unwrap();
    keeper.learn(one.id, None, Some("another bot")).await.unwrap();
    let (cloud_id, own_account) = (Some("another cloud".to_owned()), Some("another bot".to_owned()));
    let learnt = Workspace { cloud_id, own_account, ..changed };
    assert_eq!(keeper.workspace(one.id).await.unwrap().unwrap(), learnt, "nothing else of it has changed");

    let project = |key: &str, name: &str| ProjectRepository {
        project: key.to_owned(),
        platform: PlatformId::from_static("github"),
        repo: name.parse().unwrap(),
    };
    for (key, name) in [("Z", "acme/z"), ("A", "acme/a"), ("Z", "acme/other")] {
        keeper.set_project(one.id, &project(key, name)).await.unwrap();
    }
    assert_eq!(keeper.projects(one.id).await.unwrap(), [project("A", "acme/a"), project("Z", "acme/other")]);
    assert!(keeper.remove_project(one.id, "A").await.unwrap());
    assert!(!keeper.remove_project(one.id, "A").await.unwrap());
}

/// A link of a person to an account.
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

/// What they have allowed.
pub fn tokens(access: &str) -> Tokens {
    let refresh = Some(Secret::new(format!("refresh of {access}")));
    Tokens { access: Secret::new(access), expires_at: after(3_600), refresh }
}

async fn one_person_has_one_account_of_a_site(keeper: &dyn Keeper, [mia, olga]: [UserId; 2]) {
    let site = site(keeper, mia).await;
    let first = keeper.link(&link(1, mia, "acc-mia", site), Some(&tokens("a"))).await.unwrap();
    assert_eq!(first, link(1, mia, "acc-mia", site));
    let taken = keeper.link(&link(2, olga, "acc-mia", site), None).await;
    assert!(matches!(taken, Err(LinkError::AccountTaken)));
    let second = keeper.link(&link(3, mia, "acc-other", site), None).await;
    assert!(matches!(second, Err(LinkError::OtherAccount)));
    let again = keeper.link(&link(4, mia, "acc-mia", site), Some(&tokens("b"))).await.unwrap();
    assert_eq!((again.id, again.created_at), (first.id, first.created_at), "made anew, it is the same link");
    assert!(keeper.tokens(first.id).await.unwrap().unwrap().access.matches("b"));
    assert_eq!(keeper.linked(site, "acc-mia").await.unwrap().unwrap().id, first.id);
    assert!(keeper.linked(site, "acc-olga").await.unwrap().is_none());

    assert!(keeper.unlink(first.id, after(9)).await.unwrap());
    assert!(!keeper.unlink(first.id, after(9)).await.unwrap());
    assert!(keeper.linked(site, "acc-mia").await.unwrap().is_none());
    assert!(keeper.tokens(first.id).await.unwrap().is_none(), "its tokens are forgotten");
    keeper.keep_tokens(first.id, Some(&tokens("late"))).await.unwrap();
    assert!(keeper.tokens(first.id).await.unwrap().is_none(), "and do not come back");
    assert_eq!(keeper.jira_user(first.id).await.unwrap().unwrap().status, LinkStatus::Inactive);
    let others = keeper.link(&link(5, olga, "acc-mia", site), None).await.unwrap();
    assert_eq!(keeper.links(Some(olga)).await.unwrap(), [others]);
    assert_eq!(keeper.links(None).await.unwrap().len(), 2);
}

async fn a_refresh_token_is_one_persons_to_send(keeper: &dyn Keeper, [mia, _]: [UserId; 2]) {
    let site = site(keeper, mia).await;
    let id = keeper.link(&link(1, mia, "acc", site), Some(&tokens("a"))).await.unwrap().id;
    let (a, other) = (Secret::new("a"), Secret::new("not a"));
    assert!(!keeper.acquire_refresh(id, &other, after(0), after(40)).await.unwrap(), "others have exchanged it");
    assert!(keeper.acquire_refresh(id, &a, after(0), after(40)).await.unwrap());
    assert!(!keeper.acquire_refresh(id, &a, after(39), after(79)).await.unwrap(), "somebody is at it");
    assert!(keeper.acquire_refresh(id, &a, after(40), after(80)).await.unwrap(), "whoever it was has died");
    keeper.release_refresh(id).await.unwrap();
    assert!(keeper.acquire_refresh(id, &a, after(41), after(81)).await.unwrap(), "it was given back");
    keeper.keep_tokens(id, Some(&tokens("b"))).await.unwrap();
    let kept = keeper.tokens(id).await.unwrap().unwrap();
    assert!(kept.access.matches("b") && kept.refresh.unwrap().matches("refresh of b"));
    assert_eq!(kept.expires_at, after(3_600));
    assert!(!keeper.acquire_refresh(id, &a, after(42), after(82)).await.unwrap());
    assert!(keeper.acquire_refresh(id, &Secret::new("b"), after(42), after(82)).await.unwrap());
    keeper.keep_tokens(id, None).await.unwrap();
    assert!(keeper.tokens(id).await.unwrap().is_none());
}

async fn a_state_is_taken_once_and_in_time(keeper: &dyn Keeper, _: [UserId; 2]) {
    for hash in ["in time", "late"] {
        keeper.keep_state(hash, &Secret::new(format!("what {hash}")), after(600)).await.unwrap();
    }
    assert!(keeper.consume_state("in time", after(599)).await.unwrap().unwrap().matches("what in time"));
    assert!(keeper.consume_state("in time", after(599)).await.unwrap().is_none());
    assert!(keeper.consume_state("late", after(600)).await.unwrap().is_none());
    assert!(keeper.consume_state("guess", after(0)).await.unwrap().is_none());
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

async fn an_event_is_heard_once_and_in_its_turn(keeper: &dyn Keeper, [mia, _]: [UserId; 2]) {
    let site = site(keeper, mia).await;
    let names = |name: &str, until: i64| vec![(name.to_owned(), after(until))];
    let first = event(1, site, "10", 0);
    assert!(keeper.add_event(&first, &names("a", 300)).await.unwrap());
    assert!(!keeper.add_event(&first, &names("b", 300)).await.unwrap(), "the delivery is known");
    assert!(!keeper.add_event(&event(2, site, "10", 1), &names("a", 300)).await.unwrap(), "the name is known");
    assert!(keeper.add_event(&event(2, site, "10", 1), &names("b", 300)).await.unwrap(), "nothing was kept of either");
    assert!(keeper.add_event(&event(3, site, "11", 2), &[]).await.unwrap());

    let claim = |now: i64| async move {
        let claimed = keeper.claim_event(after(now), after(now + 100)).await.unwrap();
        claimed.map(|claimed| (claimed.event.id, claimed.attempt))
    };
    assert_eq!(claim(5).await, Some((first.id, 1)));
    assert_eq!(claim(5).await, Some((event(3, site, "11", 2).id, 1)), "another issue does not wait");
    assert_eq!(claim(5).await, None, "the next one of the same issue does");
    assert_eq!(claim(105).await, Some((first.id, 2)), "a worker has died");
    let later = EffectOutcome::Retry { at: after(200), error: "down".into() };
    keeper.settle_event(first.id, later).await.unwrap();
    keeper.settle_event(event(3, site, "11", 2).id, EffectOutcome::Done).await.unwrap();
    assert_eq!(claim(199).await, None);
    assert_eq!(claim(200).await, Some((first.id, 3)));
    let patience = EffectOutcome::Postponed { at: after(200), error: "slow down".into() };
    keeper.settle_event(first.id, patience).await.unwrap();
    assert_eq!(claim(200).await, Some((first.id, 3)), "what was not tried does not count");
    keeper.settle_event(first.id, EffectOutcome::Dead { error: "never".into() }).await.unwrap();
    assert_eq!(claim(201).await, Some((event(2, site, "10", 1).id, 1)));
    let dead = keeper.dead_events(9).await.unwrap();
    assert_eq!(dead, [(first.clone(), "never".to_owned())]);

    assert!(keeper.add_event(&event(4, site, "12", 301), &names("a", 900)).await.unwrap(), "the name was free again");
    assert_eq!(keeper.forget_events(after(3), after(302)).await.unwrap(), 3, "two that ended and one name");
    assert!(keeper.dead_events(9).await.unwrap().is_empty());
    assert_eq!(claim(302).await, Some((event(2, site, "10", 1).id, 2)), "what waits is not forgotten");
}

async fn a_conversation_is_one_for_each_person_and_issue(keeper: &dyn Keeper, [mia, olga]: [UserId; 2]) {
    let site = site(keeper, mia).await;
    let ours = keeper.link(&link(1, mia, "acc-mia", site), None).await.unwrap().id;
    let hers = keeper.link(&link(2, olga, "acc-olga", site), None).await.unwrap().id;
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
    keeper.keep_conversation(&begun).await.unwrap();
    assert_eq!(keeper.conversations_on(site, "10").await.unwrap(), std::slice::from_ref(&begun));
    let known = Conversation {
        id: ConversationId::from_uuid(Uuid::from_u128(2)),
        issue_key: "OTHER-1".to_owned(),
        repository: Some((PlatformId::from_static("github"), repo())),
        asked: None,
        created_at: after(7),
        updated_at: after(7),
        ..begun.clone()
    };
    keeper.keep_conversation(&known).await.unwrap();
    let kept = Conversation { id: begun.id, created_at: begun.created_at, ..known.clone() };
    let both = keeper.conversations_on(site, "10").await.unwrap();
    assert_eq!(both, std::slice::from_ref(&kept), "two begin one conversation");
    let second = Conversation {
        id: ConversationId::from_uuid(Uuid::from_u128(3)),
        jira_user_id: hers,
        created_at: after(2),
        updated_at: after(2),
        ..known
    };
    keeper.keep_conversation(&second).await.unwrap();
    assert_eq!(keeper.conversations_on(site, "10").await.unwrap(), [kept.clone(), second.clone()]);
    assert_eq!(keeper.conversations(1).await.unwrap(), [kept]);
    assert!(keeper.conversations_on(site, "11").await.unwrap().is_empty());
}
