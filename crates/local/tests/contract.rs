//! The built-in forge against the contract of the forge port, over a database and repositories on disk.

use std::path::PathBuf;
use std::sync::Arc;

use patchwright_core::forge::Forge as _;
use patchwright_domain::{BranchName, Issue, IssueNumber, IssueRef};
use patchwright_gitops_gix::seed_repository;
use patchwright_local::{LOCAL, LocalForge};
use patchwright_store_diesel::DieselStore;
use patchwright_testkit::build::{issue, start_of_time};
use patchwright_testkit::contract;
use patchwright_testkit::fake::{FakeClock, SequentialIds};

#[tokio::test(flavor = "multi_thread")]
async fn the_built_in_forge_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    let store = DieselStore::open(&format!("sqlite://{}/forge.db", folder.path().display())).await.unwrap();
    store.migrate().await.unwrap();
    let root: PathBuf = folder.path().join("repositories");
    let forge =
        LocalForge::new(Arc::new(store), Arc::new(FakeClock::default()), Arc::new(SequentialIds::default()), root);
    let source = IssueRef::on_forge(LOCAL, "acme/demo".parse().unwrap(), IssueNumber::same(1));
    let main = BranchName::parse("main").unwrap();
    let branch = BranchName::parse("agent/fix-1").unwrap();
    let path = forge.path_of(&source.repo);
    let commit = seed_repository(&path, &main, &[("README.md", "hello\n")], start_of_time()).unwrap();
    std::fs::create_dir_all(path.join("refs/heads/agent")).unwrap();
    std::fs::write(path.join("refs/heads/agent/fix-1"), format!("{commit}\n")).unwrap();
    let opened = Issue { source: source.clone(), title: "Bug".into(), body: "It breaks.".into(), ..issue(1) };
    forge.open_issue(opened).await.unwrap();
    let head = patchwright_domain::CommitSha::parse(&commit.to_string()).unwrap();
    contract::forge::suite(contract::forge::Setting { forge: &forge, issue: source.clone(), branch, head }).await;

    let read = |path: &str| patchwright_domain::RepoPath::parse(path).unwrap();
    let text = forge.read_file(&source.repo, &read("README.md"), "main").await.unwrap();
    assert_eq!(text.as_deref(), Some("hello\n"));
    assert_eq!(forge.read_file(&source.repo, &read("ghost"), "main").await.unwrap(), None);
}
