//! An action whose audit entry cannot be written changes nothing.

use jiff::Timestamp;
use patchwright_core::Secret;
use patchwright_core::accounts::{Accounts as _, ApiToken, Session};
use patchwright_core::audit::{Audit as _, AuditEntry};
use patchwright_core::credentials::{CredentialChange, Credentials as _};
use patchwright_core::jira::{JiraUsers as _, WorkspaceSecrets, Workspaces as _};
use patchwright_core::nodes::{Invitation, NodeChange, Nodes as _, Registration};
use patchwright_core::notifications::Channels as _;
use patchwright_core::repositories::Repositories as _;
use patchwright_core::store::{JobWrite, Step, Store as _, Write};
use patchwright_core::stored_settings::{SettingChange, StoredSettings as _};
use patchwright_domain::jira::{LinkStatus, ProjectRepository, Workspace};
use patchwright_domain::notification::Channel;
use patchwright_domain::user::Scope;
use patchwright_domain::{Issue, JobEvent, PlatformId, RepositorySettings, Role, TokenId, User, WorkspaceId};
use patchwright_store_diesel::{DieselStore, Vault};
use patchwright_testkit::build::{after, audit_entry, issue, job, job_id, repo, start_of_time};
use patchwright_testkit::contract;
use uuid::Uuid;

use crate::sql::Sql;
use crate::{add_people, new_job, on_both_databases, vault};

const REFUSE_ON_SQLITE: &str =
    "CREATE TRIGGER refuse_audit BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no audit'); END;";
const REFUSE_ON_POSTGRES: &str = "CREATE FUNCTION refuse_audit() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'no audit'; END $$;
    CREATE TRIGGER refuse_audit BEFORE INSERT ON audit FOR EACH ROW EXECUTE FUNCTION refuse_audit();";

fn entry() -> AuditEntry {
    audit_entry("action")
}

fn token(n: u128, user: &User) -> ApiToken {
    ApiToken {
        id: TokenId::from_uuid(Uuid::from_u128(n)),
        user_id: user.id,
        name: "token".to_owned(),
        scope: Scope::Read,
        created_at: start_of_time(),
        expires_at: None,
        last_used_at: None,
    }
}

fn session(user: &User) -> Session {
    let (created_at, expires_at) = (start_of_time(), after(60));
    Session {
        hash: "session".to_owned(),
        user_id: user.id,
        csrf: "csrf".to_owned(),
        created_at,
        expires_at,
        client: String::new(),
    }
}

fn workspace(n: u128, name: &str, admin: &User) -> Workspace {
    Workspace {
        id: WorkspaceId::from_uuid(Uuid::from_u128(n)),
        name: name.to_owned(),
        cloud_id: None,
        admin: admin.id,
        status: LinkStatus::Active,
        own_account: None,
        created_at: start_of_time(),
        updated_at: start_of_time(),
    }
}

fn setting() -> SettingChange {
    SettingChange { name: "LLM_MODEL".to_owned(), value: Some(Secret::new("m")), audit: entry() }
}

fn secrets() -> WorkspaceSecrets {
    WorkspaceSecrets { webhook: vec![Secret::new("webhook")], service_account: None }
}

fn project(name: &str) -> ProjectRepository {
    ProjectRepository { project: name.to_owned(), platform: PlatformId::from_static("github"), repo: repo() }
}

fn invitation(hash: &str) -> Invitation {
    Invitation { hash: hash.to_owned(), until: Timestamp::MAX }
}

fn registration() -> Registration {
    Registration { token: "t".to_owned(), labels: [].into(), capacity: 1, version: "1".to_owned() }
}

/// A database with a row of everything that is audited.
struct Fixture {
    store: DieselStore,
    vault: Vault,
    mia: User,
    olga: User,
    site: Workspace,
}

impl Fixture {
    async fn new(store: DieselStore) -> Self {
        let [mia, olga] = add_people(&store).await;
        let (vault, site) = (vault(store.clone()), workspace(1, "acme.atlassian.net", &mia));
        store.add_token(&token(1, &mia), "hash", entry()).await.unwrap();
        store.add_node(&contract::nodes::node(1), &invitation("join"), entry()).await.unwrap();
        store.add_repository(&contract::repositories::repository(1), entry()).await.unwrap();
        vault.add_credential(contract::credentials::credential(1), &Secret::new("x"), entry()).await.unwrap();
        vault.add_channel(&contract::notifications::channel(1), None, entry()).await.unwrap();
        vault.add_workspace(&site, &secrets(), entry()).await.unwrap();
        vault.set_project(site.id, &project("PROJ"), entry()).await.unwrap();
        vault.link(&contract::jira::link(1, mia.id, "account", site.id), None, entry()).await.unwrap();
        store.commit(new_job(1)).await.unwrap();
        Self { store, vault, mia, olga, site }
    }

    /// Everything that the audited writes could have changed.
    async fn state(&self) -> String {
        let (store, vault) = (&self.store, &self.vault);
        let people = (store.users().await.unwrap(), store.user_by_login(&self.mia.login).await.unwrap());
        let tokens = (store.tokens(self.mia.id).await.unwrap(), store.session("session", after(1)).await.unwrap());
        let nodes = (store.nodes().await.unwrap(), store.node_by_token("t").await.unwrap());
        let repositories = store.repositories().await.unwrap();
        let secrets = (vault.credentials().await.unwrap(), vault.channels(None).await.unwrap());
        let sites = (vault.workspaces().await.unwrap(), vault.projects(self.site.id).await.unwrap());
        let links = vault.links(None).await.unwrap();
        let issues = (store.issue(issue(1).id).await.unwrap(), store.issue(issue(2).id).await.unwrap());
        let job = store.job(job_id(1)).await.unwrap();
        let audit = store.entries(None, 99).await.unwrap();
        format!(
            "{people:?}\n{tokens:?}\n{nodes:?}\n{repositories:?}\n{secrets:?}\n{sites:?}\n{links:?}\n{issues:?}\n{job:?}\n{audit:?}"
        )
    }

    async fn change_accounts(&self) -> Vec<bool> {
        let store = &self.store;
        let new = contract::accounts::user(9, "new", Role::Member);
        let promoted = User { role: Role::Admin, ..self.olga.clone() };
        vec![
            store.add_user(&new, None, entry()).await.is_ok(),
            store.add_identified_user(&new, "issuer", "subject", entry()).await.is_ok(),
            store.add_session(&session(&self.mia), entry()).await.is_ok(),
            store.add_token(&token(2, &self.mia), "other", entry()).await.is_ok(),
            store.end_token(self.mia.id, token(1, &self.mia).id, entry()).await.is_ok(),
            store.change_user(&promoted, None, entry()).await.is_ok(),
            store.change_user(&self.mia, Some("other".to_owned()), entry()).await.is_ok(),
        ]
    }

    async fn change_nodes_and_repositories(&self) -> Vec<bool> {
        let store = &self.store;
        let (node, repository) = (contract::nodes::node(1), contract::repositories::repository(1));
        let draining = NodeChange { draining: Some(true), ..NodeChange::default() };
        let other = patchwright_core::repositories::RegisteredRepository {
            name: "acme/other".parse().unwrap(),
            ..contract::repositories::repository(2)
        };
        vec![
            store.add_node(&contract::nodes::node(2), &invitation("other"), entry()).await.is_ok(),
            store.change_node(node.id, draining, entry()).await.is_ok(),
            store.register_node("join", &registration(), after(1), entry()).await.is_ok(),
            store.remove_node(node.id, entry()).await.is_ok(),
            store.add_repository(&other, entry()).await.is_ok(),
            store.record_sync(repository.id, after(1), entry()).await.is_ok(),
            store.set_repository_settings(repository.id, &RepositorySettings::default(), entry()).await.is_ok(),
            store.remove_repository(repository.id, entry()).await.is_ok(),
        ]
    }

    async fn change_secrets(&self) -> Vec<bool> {
        let vault = &self.vault;
        let other = patchwright_core::credentials::NewCredential {
            scope: "other".parse().unwrap(),
            ..contract::credentials::credential(2)
        };
        let (credential, channel) = (contract::credentials::credential(1).id, contract::notifications::channel(1));
        let renamed = CredentialChange { name: Some("renamed".to_owned()), ..CredentialChange::default() };
        let renamed_channel = Channel { name: "renamed".to_owned(), ..channel.clone() };
        vec![
            vault.add_credential(other, &Secret::new("y"), entry()).await.is_ok(),
            vault.change_credential(credential, renamed, after(1), entry()).await.is_ok(),
            vault.record_use(credential, after(1), entry()).await.is_ok(),
            vault.remove_credential(credential, entry()).await.is_ok(),
            vault.add_channel(&contract::notifications::channel(2), None, entry()).await.is_ok(),
            vault.change_channel(&renamed_channel, Some(&Secret::new("z")), entry()).await.is_ok(),
            vault.remove_channel(channel.id, entry()).await.is_ok(),
            vault.change_settings(vec![setting()], "olga", after(1)).await.is_ok(),
        ]
    }

    async fn change_jira(&self) -> Vec<bool> {
        let vault = &self.vault;
        let inactive = Workspace { status: LinkStatus::Inactive, ..self.site.clone() };
        let link = contract::jira::link(1, self.mia.id, "account", self.site.id);
        let other = contract::jira::link(2, self.olga.id, "other", self.site.id);
        vec![
            vault.add_workspace(&workspace(2, "b.atlassian.net", &self.mia), &secrets(), entry()).await.is_ok(),
            vault.change_workspace(&inactive, Some(&secrets()), entry()).await.is_ok(),
            vault.set_project(self.site.id, &project("OTHER"), entry()).await.is_ok(),
            vault.remove_project(self.site.id, "PROJ", entry()).await.is_ok(),
            vault.link(&other, None, entry()).await.is_ok(),
            vault.unlink(link.id, after(1), entry()).await.is_ok(),
        ]
    }

    /// Steps that only insert, and steps that update, are different statements on PostgreSQL.
    async fn commit_steps(&self) -> Vec<bool> {
        let known = self.store.issue(issue(1).id).await.unwrap().unwrap();
        let edited = Issue { title: "edited".to_owned(), ..known.value.clone() };
        let edited = Write::Update(patchwright_core::store::Versioned { value: edited, ..known });
        let job = self.store.job(job(1).id).await.unwrap().unwrap();
        let cancelled = job.value.clone().advance(JobEvent::CancelRequested, after(1)).unwrap().0;
        let cancelled = JobWrite::update(&job, cancelled);
        vec![
            self.store.commit(Step { audit: Some(entry()), ..new_job(2) }).await.is_ok(),
            self.store.commit(Step { issue: Some(edited), audit: Some(entry()), ..Step::default() }).await.is_ok(),
            self.store.commit(Step { job: Some(cancelled), audit: Some(entry()), ..Step::default() }).await.is_ok(),
        ]
    }

    /// Whether each audited write succeeded.
    async fn change_everything(&self) -> Vec<bool> {
        let mut written = self.commit_steps().await;
        written.extend(self.change_accounts().await);
        written.extend(self.change_nodes_and_repositories().await);
        written.extend(self.change_secrets().await);
        written.extend(self.change_jira().await);
        written
    }
}

async fn an_action_without_its_audit_entry_changes_nothing(store: DieselStore, sql: Sql) {
    let fixture = Fixture::new(store).await;
    let before = fixture.state().await;
    sql.run(REFUSE_ON_SQLITE, REFUSE_ON_POSTGRES).await;
    let written = fixture.change_everything().await;
    assert_eq!(written, vec![false; written.len()]);
    assert_eq!(fixture.state().await, before);
    // With an audit log all of them are real changes.
    sql.run("DROP TRIGGER refuse_audit", "DROP TRIGGER refuse_audit ON audit").await;
    let entries = fixture.store.entries(None, 99).await.unwrap().len();
    let written = fixture.change_everything().await;
    let refused = written.iter().filter(|is_written| !**is_written).count();
    let new_entries = fixture.store.entries(None, 99).await.unwrap().len() - entries;
    assert_eq!((refused, new_entries), (1, written.len() - 1), "a login that was just added cannot be added again");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_without_its_audit_entry_changes_nothing_on_both_databases() {
    on_both_databases(an_action_without_its_audit_entry_changes_nothing).await;
}
