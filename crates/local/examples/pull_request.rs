//! Opens and merges a pull request on the built-in forge: `cargo run -p patchwright-local --example pull_request`.

#![expect(clippy::print_stdout, reason = "an example shows its result")]

use std::sync::Arc;

use patchwright_core::forge::{Forge as _, NewPullRequest, Tracker as _};
use patchwright_core::outgoing_text::neutralise;
use patchwright_domain::{BranchName, IssueRef, RepoName};
use patchwright_gitops_gix::seed_repository;
use patchwright_local::{LOCAL, LocalForge};
use patchwright_store_diesel::DieselStore;
use patchwright_testkit::build::start_of_time;
use patchwright_testkit::fake::{FakeClock, SequentialIds};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let store = DieselStore::open(&format!("sqlite://{}/forge.db", folder.path().display())).await?;
    store.migrate().await?;
    let (clock, ids) = (Arc::new(FakeClock::default()), Arc::new(SequentialIds::default()));
    let forge = LocalForge::new(Arc::new(store), clock, ids, folder.path().join("repositories"));

    let repo: RepoName = "acme/demo".parse()?;
    let (main, fix) = (BranchName::parse("main")?, BranchName::parse("fix-1")?);
    let path = forge.path_of(&repo);
    let commit = seed_repository(&path, &main, &[("README.md", "hello\n")], start_of_time())?;
    std::fs::write(path.join("refs/heads/fix-1"), format!("{commit}\n"))?;

    let number = forge.create_issue(&repo, "It breaks", "`add(1, 2)` is -1.").await?;
    let issue = IssueRef::on_forge(LOCAL, repo.clone(), number);
    forge.comment_as("alice", &issue, "@patchwright fix").await?;
    for comment in forge.comments(&issue).await? {
        println!("{} on {issue}: {}", comment.author, comment.body);
    }

    let new = NewPullRequest {
        head: fix.into(),
        base: main,
        title: neutralise("Fix it"),
        body: neutralise(""),
        draft: false,
    };
    let pull_request = forge.create_pull_request(&repo, &new).await?;
    forge.merge_pull_request(&repo, pull_request.number, &commit).await?;
    println!("{} is {}", pull_request.url, forge.pull_request(&repo, pull_request.number).await?.state);
    Ok(())
}
