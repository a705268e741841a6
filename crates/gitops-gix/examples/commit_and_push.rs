//! Clones, changes, commits and pushes: `cargo run -p patchwright-gitops-gix --example commit_and_push`.

#![expect(clippy::print_stdout, reason = "an example shows its result")]

use jiff::Timestamp;
use patchwright_core::CancellationToken;
use patchwright_core::git::{Checkout, CommitRequest, Git as _};
use patchwright_core::outgoing_text::OutgoingText;
use patchwright_core::source_tree::SourceTree as _;
use patchwright_domain::{BranchName, RepoPath};
use patchwright_gitops_gix::{GitOptions, GixGit, Snapshot, seed_repository};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let remote = folder.path().join("demo.git");
    let (main, fix) = (BranchName::parse("main")?, BranchName::parse("agent/fix-1")?);
    let files = [("calc.py", "def add(a, b):\n    return a - b\n")];
    seed_repository(&remote, &main, &files, Timestamp::now())?;

    let request = Checkout {
        url: remote.display().to_string(),
        base: Some(main),
        branch: fix,
        rework: None,
        with_branch: false,
        push_url: None,
        credential: None,
        destination: folder.path().join("work"),
    };
    let git = GixGit::new(GitOptions::default());
    let workspace = git.checkout(request, &CancellationToken::new()).await?;
    let path = RepoPath::parse("calc.py")?;
    workspace.write(&path, b"def add(a, b):\n    return a + b\n").await?;
    for changed in workspace.list_changed_files().await? {
        println!("{} {}", changed.status.letter(), changed.file);
    }
    let commit = CommitRequest {
        message: OutgoingText::own("Add instead of subtracting\n"),
        author_name: "patchwright".to_owned(),
        author_email: "patchwright@localhost".to_owned(),
        at: Timestamp::now(),
    };
    let commit = workspace.commit(&[path], &commit).await?;
    workspace.push(&commit, None, None).await?;

    for entry in Snapshot::open(&remote, "agent/fix-1")?.history(10) {
        println!("{} {}", &entry.id[..8], entry.message.trim());
    }
    Ok(())
}
