//! How long a job waits for its working copy, beside the git program, in one run and as ratios.
//!
//! `WORKSPACE_REPO` is a bare repository with a history, such as one of rust-analyzer; `ROUNDS` is 5 by default.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a benchmark ends when something fails")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use patchwright_core::forge::GitCredential;
use patchwright_core::git::{Checkout, Git as _, Workspace};
use patchwright_core::{CancellationToken, Secret};
use patchwright_domain::BranchName;
use patchwright_gitops_gix::{CHILD_COMMAND, GitOptions, GixGit, Snapshot, StoreOptions, run_child};
use patchwright_testkit::server::{GitServer, PASSWORD, git};

const NAME: &str = "acme/bench";

fn main() -> ExitCode {
    let _ = rustls::crypto::ring::default_provider().install_default();
    if std::env::args().nth(1).as_deref() == Some(CHILD_COMMAND) {
        return run_child();
    }
    let Some(repo) = std::env::var_os("WORKSPACE_REPO").map(PathBuf::from) else {
        println!("set WORKSPACE_REPO to a bare repository with a history");
        return ExitCode::SUCCESS;
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(measure(&repo));
    ExitCode::SUCCESS
}

/// Medians of what was measured under one name.
#[derive(Default)]
struct Times(Vec<(&'static str, Vec<Duration>)>);

impl Times {
    fn add(&mut self, name: &'static str, time: Duration) {
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, times)) => times.push(time),
            None => self.0.push((name, vec![time])),
        }
    }

    fn median(&self, name: &str) -> f64 {
        let mut times = self.0.iter().find(|(known, _)| *known == name).unwrap().1.clone();
        times.sort();
        times[times.len() / 2].as_secs_f64() * 1000.0
    }

    fn print(&self) {
        let (clone, worktree) = (self.median(CLONE), self.median(WORKTREE));
        println!("{:<58} {:>9} {:>12} {:>16}", "", "ms", "x depth 1", "x worktree add");
        for (name, _) in &self.0 {
            let median = self.median(name);
            println!("{name:<58} {median:>9.0} {:>12.2} {:>16.2}", median / clone, median / worktree);
        }
    }
}

const CLONE: &str = "git clone --depth 1";
const WORKTREE: &str = "git worktree add";

async fn measure(repo: &Path) {
    let rounds: usize = std::env::var("ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(5);
    let folder =
        tempfile::Builder::new().prefix("bench-").tempdir_in(std::env::var("BENCH_DIR").unwrap_or("/tmp".into()));
    let folder = folder.unwrap();
    let server = GitServer::start();
    let remote = server.path(NAME);
    std::fs::create_dir_all(remote.parent().unwrap()).unwrap();
    git(folder.path(), &["clone", "--quiet", "--bare", "--shared", &show(repo), &show(&remote)]);
    let head = git(&remote, &["rev-parse", "HEAD"]);
    let move_to = |back: usize| git(&remote, &["update-ref", "refs/heads/main", &format!("{head}~{back}")]);
    move_to(3 * rounds + 1);
    git(&remote, &["symbolic-ref", "HEAD", "refs/heads/main"]);
    let url = format!("{}/{NAME}.git", server.url());
    let secret_url = url.replace("http://", &format!("http://x:{PASSWORD}@"));
    let mirror = folder.path().join("mirror");
    git(folder.path(), &["clone", "--quiet", "--bare", &show(repo), &show(&mirror)]);
    let mut times = Times::default();
    let mut number = 0;
    let mut place = || {
        number += 1;
        folder.path().join(format!("copy-{number}"))
    };
    let stored = Client::new(&url, Some(folder.path().join("store")), 0);
    let kept = Client::new(&url, Some(folder.path().join("kept")), 2);
    stored.checkout(&place()).await;
    kept.checkout(&place()).await.close().await;
    for round in 0..rounds {
        let at = place();
        times.add(CLONE, time(|| drop(git(folder.path(), &["clone", "-q", "--depth", "1", &secret_url, &show(&at)]))));
        let at = place();
        let tip = git(&remote, &["rev-parse", "main"]);
        times.add(WORKTREE, time(|| drop(git(&mirror, &["worktree", "add", "-q", "--detach", &show(&at), &tip]))));
        let first = Client::new(&url, Some(folder.path().join(format!("first-{round}"))), 0);
        times.add("first job", first.time(&place()).await);
        times.add("next job, nothing new, fresh tree", stored.time(&place()).await);
        times.add("next job, nothing new, kept tree", kept.time(&place()).await);
        move_to(3 * (rounds - round));
        times.add("next job, one new commit, fresh tree", stored.time(&place()).await);
        times.add("next job, one new commit, kept tree", kept.time(&place()).await);
        // The working copy of another job is cleaned up, and the next one begins at once.
        let other = place();
        drop(stored.checkout(&other).await);
        let trash = patchwright_core::trash::Trash::new(folder.path().join("trash"));
        let started = Instant::now();
        trash.discard(&other).unwrap();
        stored.checkout(&place()).await;
        times.add("fresh tree straight after another job's clean-up", started.elapsed());
    }
    times.print();
    list(&mirror, rounds);
}

/// Compares listing the files of a commit with `git ls-tree -r`.
fn list(mirror: &Path, rounds: usize) {
    let (mut own, mut peer) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        peer.push(time(|| drop(git(mirror, &["ls-tree", "-r", "HEAD"]))));
        own.push(time(|| {
            let snapshot = Snapshot::open(mirror, "HEAD").unwrap();
            assert!(!patchwright_core::source_tree::SourceTree::files(&snapshot).unwrap().is_empty());
        }));
    }
    own.sort();
    peer.sort();
    let (own, peer) = (own[rounds / 2].as_secs_f64() * 1000.0, peer[rounds / 2].as_secs_f64() * 1000.0);
    println!("list: {own:.1} ms, git ls-tree -r: {peer:.1} ms, ratio {:.2}", own / peer);
}

struct Client {
    git: GixGit,
    url: String,
}

impl Client {
    fn new(url: &str, store: Option<PathBuf>, kept_trees: usize) -> Self {
        let store = store.map(|folder| StoreOptions { kept_trees, history_depth: 0, ..StoreOptions::new(folder) });
        let child = std::env::current_exe().ok();
        let timeout = Duration::from_secs(600);
        Self { git: GixGit::new(GitOptions { store, child, timeout, ..GitOptions::default() }), url: url.to_owned() }
    }

    async fn checkout(&self, at: &Path) -> Box<dyn Workspace> {
        let request = Checkout {
            url: self.url.clone(),
            base: Some(BranchName::parse("main").unwrap()),
            branch: BranchName::parse("agent/fix-1").unwrap(),
            rework: None,
            with_branch: false,
            push_url: None,
            credential: Some(GitCredential { username: "x".into(), password: Secret::new(PASSWORD) }),
            destination: at.to_owned(),
        };
        self.git.checkout(request, &CancellationToken::new()).await.unwrap()
    }

    async fn time(&self, at: &Path) -> Duration {
        let started = Instant::now();
        let workspace = self.checkout(at).await;
        let time = started.elapsed();
        workspace.close().await;
        time
    }
}

fn time(work: impl FnOnce()) -> Duration {
    let started = Instant::now();
    work();
    started.elapsed()
}

fn show(path: &Path) -> String {
    path.display().to_string()
}
