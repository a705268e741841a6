//! The contract of accounts, sessions and API tokens.

use std::sync::Arc;

use patchwright_core::access::{AccessStore, ForgeAccount, Grants, RepositoryKey};
use patchwright_core::accounts::{AccountError, Accounts, ApiToken, Session};
use patchwright_core::audit::Audit;
use patchwright_domain::user::{Login, Scope};
use patchwright_domain::{PlatformId, Role, TokenId, User, UserId};
use uuid::Uuid;

use super::audit::actions;
use crate::build::{after, audit_entry, start_of_time};

/// A store of accounts and of what they may see, with its audit log.
pub trait AuditedAccounts: Accounts + AccessStore + Audit {}

impl<T: Accounts + AccessStore + Audit> AuditedAccounts for T {}

/// Runs the whole suite. `fresh` creates an empty store.
pub async fn suite<F, Fut>(fresh: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = Arc<dyn AuditedAccounts>>,
{
    a_login_is_unique(fresh().await.as_ref()).await;
    an_identity_belongs_to_one_person(fresh().await.as_ref()).await;
    the_last_administrator_stays(fresh().await.as_ref()).await;
    a_new_password_ends_sessions_and_tokens(fresh().await.as_ref()).await;
    a_session_expires(fresh().await.as_ref()).await;
    a_person_ends_their_other_sessions(fresh().await.as_ref()).await;
    preferences_are_kept_for_each_person(fresh().await.as_ref()).await;
    a_person_ends_only_their_own_tokens(fresh().await.as_ref()).await;
    an_account_on_a_forge_is_one_persons(fresh().await.as_ref()).await;
    a_person_is_deleted_with_everything_of_theirs(fresh().await.as_ref()).await;
}

/// A user.
pub fn user(n: u32, login: &str, role: Role) -> User {
    let id = UserId::from_uuid(Uuid::from_u128(0xa00_0000 + u128::from(n)));
    User { id, login: Login::parse(login).unwrap(), role, active: true, created_at: start_of_time() }
}

fn session(hash: &str, user: &User) -> Session {
    Session {
        hash: hash.to_owned(),
        user_id: user.id,
        csrf: "csrf".to_owned(),
        created_at: start_of_time(),
        expires_at: after(60),
        client: "Firefox, 192.0.2.7".to_owned(),
    }
}

fn token(n: u32, user: &User) -> ApiToken {
    ApiToken {
        id: TokenId::from_uuid(Uuid::from_u128(0xb00_0000 + u128::from(n))),
        user_id: user.id,
        name: format!("token {n}"),
        scope: Scope::Write,
        created_at: start_of_time(),
        expires_at: Some(after(60)),
        last_used_at: None,
    }
}

fn forge_account(login: &str) -> ForgeAccount {
    ForgeAccount { platform: PlatformId::from_static("github"), login: login.to_owned() }
}

fn repository(name: &str) -> RepositoryKey {
    RepositoryKey { platform: PlatformId::from_static("github"), name: name.parse().unwrap() }
}

async fn an_account_on_a_forge_is_one_persons(store: &dyn AuditedAccounts) {
    let (olga, mia) = (user(1, "olga", Role::Member), user(2, "mia", Role::Member));
    for user in [&olga, &mia] {
        store.add_user(user, None, audit_entry("user.added")).await.unwrap();
    }
    let set = async |user: &User, logins: &[&str]| {
        let accounts: Vec<_> = logins.iter().map(|login| forge_account(login)).collect();
        store.set_forge_accounts(user.id, &accounts, audit_entry("user.accounts")).await
    };
    set(&olga, &["olga-at-work", "olga"]).await.unwrap();
    assert_eq!(store.grants(olga.id).await.unwrap().accounts, [forge_account("olga"), forge_account("olga-at-work")]);
    let taken = set(&mia, &["mia", "OLGA"]).await;
    assert!(matches!(&taken, Err(AccountError::Linked(login)) if login == "olga"), "{taken:?}");
    assert_eq!(store.grants(mia.id).await.unwrap(), Grants::default(), "nothing of it is written");
    set(&olga, &[]).await.unwrap();
    set(&mia, &["olga"]).await.unwrap();
    let ghost = set(&user(3, "ghost", Role::Member), &["x"]).await;
    assert!(matches!(ghost, Err(AccountError::NoSuchUser)), "{ghost:?}");

    let (demo, other) = (repository("acme/demo"), repository("acme/other"));
    store.set_members(&demo, &[mia.id, olga.id, mia.id], audit_entry("repository.members")).await.unwrap();
    store.set_members(&other, &[mia.id], audit_entry("repository.members")).await.unwrap();
    assert_eq!(store.members(&demo).await.unwrap(), [olga.id, mia.id]);
    assert_eq!(store.grants(mia.id).await.unwrap().repositories, [demo.clone(), other]);
    let ghost = store.set_members(&demo, &[user(3, "ghost", Role::Member).id], audit_entry("no")).await;
    assert!(matches!(ghost, Err(AccountError::NoSuchUser)), "{ghost:?}");
    store.set_members(&demo, &[], audit_entry("repository.members")).await.unwrap();
    assert_eq!(store.members(&demo).await.unwrap(), []);
    assert!(!actions(store).await.contains(&"no".to_owned()));
}

async fn a_person_is_deleted_with_everything_of_theirs(store: &dyn AuditedAccounts) {
    let (root, mia) = (user(1, "root", Role::Admin), user(2, "mia", Role::Member));
    for user in [&root, &mia] {
        store.add_user(user, Some("hash".to_owned()), audit_entry("user.added")).await.unwrap();
    }
    store.add_session(&session("cookie", &mia), audit_entry("login")).await.unwrap();
    store.add_token(&token(1, &mia), "token", audit_entry("token.added")).await.unwrap();
    store.set_forge_accounts(mia.id, &[forge_account("mia")], audit_entry("user.accounts")).await.unwrap();
    let last = store.delete_user(root.id, audit_entry("root.deleted")).await;
    assert!(matches!(last, Err(AccountError::LastAdmin)), "{last:?}");
    store.delete_user(mia.id, audit_entry("user.deleted")).await.unwrap();
    assert_eq!(store.user(mia.id).await.unwrap(), None);
    assert_eq!(store.session("cookie", after(1)).await.unwrap(), None);
    assert_eq!(store.token("token", after(1)).await.unwrap(), None);
    assert_eq!(store.grants(mia.id).await.unwrap(), Grants::default());
    let again = store.delete_user(mia.id, audit_entry("user.deleted twice")).await;
    assert!(matches!(again, Err(AccountError::NoSuchUser)), "{again:?}");
    let expected = ["user.added", "user.added", "login", "token.added", "user.accounts", "user.deleted"];
    assert_eq!(actions(store).await, expected);
}

async fn a_login_is_unique(accounts: &dyn AuditedAccounts) {
    let olga = user(1, "olga", Role::Admin);
    accounts.add_user(&olga, Some("hash".to_owned()), audit_entry("user.added")).await.unwrap();
    let taken = accounts.add_user(&user(2, "olga", Role::Member), None, audit_entry("user.added twice")).await;
    assert!(matches!(taken, Err(AccountError::Taken(_))), "{taken:?}");
    assert_eq!(accounts.user(olga.id).await.unwrap(), Some(olga.clone()));
    assert_eq!(accounts.user_by_login(&olga.login).await.unwrap(), Some((olga.clone(), Some("hash".to_owned()))));
    assert_eq!(accounts.users().await.unwrap(), [olga]);
    assert_eq!(actions(accounts).await, ["user.added"]);
}

async fn an_identity_belongs_to_one_person(accounts: &dyn AuditedAccounts) {
    let mia = user(1, "mia", Role::Member);
    let add = async |user: &User, action: &str| {
        accounts.add_identified_user(user, "https://id.example", "subject", audit_entry(action)).await
    };
    assert_eq!(add(&mia, "user.added").await.unwrap(), mia);
    assert_eq!(add(&user(2, "mia2", Role::Member), "user.added twice").await.unwrap(), mia, "the identity is known");
    assert_eq!(accounts.user_by_identity("https://id.example", "subject").await.unwrap(), Some(mia.clone()));
    assert_eq!(accounts.user_by_identity("https://id.example", "other").await.unwrap(), None);
    let taken = accounts.add_identified_user(&user(3, "mia", Role::Member), "issuer", "s", audit_entry("taken")).await;
    assert!(matches!(taken, Err(AccountError::Taken(_))), "{taken:?}");
    assert_eq!(accounts.users().await.unwrap(), [mia]);
    assert_eq!(actions(accounts).await, ["user.added"]);
}

async fn the_last_administrator_stays(accounts: &dyn AuditedAccounts) {
    let (olga, mia) = (user(1, "olga", Role::Admin), user(2, "mia", Role::Member));
    for user in [&olga, &mia] {
        accounts.add_user(user, None, audit_entry("user.added")).await.unwrap();
    }
    for changed in [User { role: Role::Member, ..olga.clone() }, User { active: false, ..olga.clone() }] {
        let refused = accounts.change_user(&changed, None, audit_entry("refused")).await;
        assert!(matches!(refused, Err(AccountError::LastAdmin)), "{refused:?}");
    }
    let unknown = accounts.change_user(&user(9, "nobody", Role::Member), None, audit_entry("unknown")).await;
    assert!(matches!(unknown, Err(AccountError::NoSuchUser)), "{unknown:?}");
    accounts.change_user(&User { role: Role::Admin, ..mia }, None, audit_entry("user.promoted")).await.unwrap();
    let demoted = User { role: Role::Member, ..olga };
    accounts.change_user(&demoted, None, audit_entry("user.demoted")).await.unwrap();
    assert_eq!(accounts.user(demoted.id).await.unwrap(), Some(demoted));
    assert_eq!(actions(accounts).await, ["user.added", "user.added", "user.promoted", "user.demoted"]);
}

async fn a_new_password_ends_sessions_and_tokens(accounts: &dyn AuditedAccounts) {
    let olga = user(1, "olga", Role::Admin);
    accounts.add_user(&olga, Some("old".to_owned()), audit_entry("user.added")).await.unwrap();
    accounts.add_session(&session("s", &olga), audit_entry("login")).await.unwrap();
    accounts.add_token(&token(1, &olga), "t", audit_entry("token.added")).await.unwrap();
    accounts.change_user(&olga, None, audit_entry("user.changed")).await.unwrap();
    assert!(accounts.session("s", after(1)).await.unwrap().is_some(), "nothing that matters has changed");
    accounts.change_user(&olga, Some("new".to_owned()), audit_entry("password.changed")).await.unwrap();
    assert!(accounts.session("s", after(1)).await.unwrap().is_none());
    assert!(accounts.token("t", after(1)).await.unwrap().is_none());
    assert_eq!(accounts.user_by_login(&olga.login).await.unwrap().unwrap().1.as_deref(), Some("new"));
    let expected = ["user.added", "login", "token.added", "user.changed", "password.changed"];
    assert_eq!(actions(accounts).await, expected);
}

async fn a_session_expires(accounts: &dyn AuditedAccounts) {
    let olga = user(1, "olga", Role::Admin);
    accounts.add_user(&olga, None, audit_entry("user.added")).await.unwrap();
    for hash in ["one", "two"] {
        accounts.add_session(&session(hash, &olga), audit_entry("login")).await.unwrap();
    }
    assert_eq!(accounts.session("one", after(59)).await.unwrap(), Some((session("one", &olga), olga)));
    assert!(accounts.session("one", after(60)).await.unwrap().is_none());
    accounts.end_session("two").await.unwrap();
    assert!(accounts.session("two", after(1)).await.unwrap().is_none());
}

async fn a_person_ends_their_other_sessions(accounts: &dyn AuditedAccounts) {
    let (olga, mia) = (user(1, "olga", Role::Admin), user(2, "mia", Role::Member));
    for (user, hashes) in [(&olga, ["one", "two"]), (&mia, ["three", "four"])] {
        accounts.add_user(user, None, audit_entry("user.added")).await.unwrap();
        for (at, hash) in (1..).zip(hashes) {
            let session = Session { created_at: after(at), ..session(hash, user) };
            accounts.add_session(&session, audit_entry("login")).await.unwrap();
        }
    }
    let hashes = async |user: &User, at| {
        let sessions = accounts.sessions(user.id, after(at)).await.unwrap();
        sessions.into_iter().map(|session| session.hash).collect::<Vec<_>>()
    };
    assert_eq!(hashes(&olga, 5).await, ["two", "one"]);
    assert!(hashes(&olga, 60).await.is_empty(), "those that have expired are not listed");
    assert_eq!(accounts.end_other_sessions(olga.id, "one", audit_entry("sessions.ended")).await.unwrap(), 1);
    assert_eq!(accounts.end_other_sessions(olga.id, "one", audit_entry("sessions.ended")).await.unwrap(), 0);
    assert_eq!((hashes(&olga, 5).await, hashes(&mia, 5).await.len()), (vec!["one".to_owned()], 2));
    assert_eq!(actions(accounts).await.iter().filter(|action| **action == "sessions.ended").count(), 1);
}

async fn preferences_are_kept_for_each_person(accounts: &dyn AuditedAccounts) {
    let (olga, mia) = (user(1, "olga", Role::Admin), user(2, "mia", Role::Member));
    for user in [&olga, &mia] {
        accounts.add_user(user, None, audit_entry("user.added")).await.unwrap();
    }
    let set = async |user: &User, name, value| accounts.set_preference(user.id, name, value, 2).await.unwrap();
    assert!(set(&olga, "language", Some("zh")).await && set(&olga, "theme", Some("dark")).await);
    assert!(!set(&olga, "third", Some("x")).await, "there is a limit");
    assert!(set(&olga, "language", Some("en")).await, "which a change does not reach");
    assert!(set(&mia, "third", Some("x")).await);
    let all = accounts.preferences(olga.id).await.unwrap();
    let all: Vec<(&str, &str)> = all.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(all, [("language", "en"), ("theme", "dark")]);
    assert!(set(&olga, "theme", None).await && set(&olga, "theme", None).await);
    assert_eq!(accounts.preferences(olga.id).await.unwrap().len(), 1);
    accounts.delete_user(mia.id, audit_entry("user.deleted")).await.unwrap();
    assert!(accounts.preferences(mia.id).await.unwrap().is_empty());
}

async fn a_person_ends_only_their_own_tokens(accounts: &dyn AuditedAccounts) {
    let (olga, mia) = (user(1, "olga", Role::Admin), user(2, "mia", Role::Member));
    for user in [&olga, &mia] {
        accounts.add_user(user, None, audit_entry("user.added")).await.unwrap();
    }
    accounts.add_token(&token(1, &mia), "t", audit_entry("token.added")).await.unwrap();
    let (found, owner) = accounts.token("t", after(1)).await.unwrap().unwrap();
    assert_eq!((found.id, owner.id), (token(1, &mia).id, mia.id));
    assert_eq!(accounts.tokens(mia.id).await.unwrap()[0].last_used_at, Some(after(1)), "the use is recorded");
    let end = async |user: &User| accounts.end_token(user.id, token(1, &mia).id, audit_entry("token.ended")).await;
    assert!(!end(&olga).await.unwrap(), "it is another person's token");
    assert!(end(&mia).await.unwrap());
    assert!(!end(&mia).await.unwrap(), "it has ended");
    assert!(accounts.tokens(mia.id).await.unwrap().is_empty());
    assert_eq!(actions(accounts).await, ["user.added", "user.added", "token.added", "token.ended"]);
}
