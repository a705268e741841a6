//! Servers are killed at random moments, the forge and the model fail at random, and in the end every accepted job has
//! ended and every effect has happened once.
//!
//! `CHAOS_JOBS` and `CHAOS_KILLS` set the size (`just chaos`); what CI runs is small.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use patchwright_core::Secret;
use patchwright_core::webhook::SigningKeys;
use patchwright_http::{HttpClient, HttpOptions, Request, Retry};
use patchwright_testkit::postgres;
use patchwright_testkit::server::{GitServer, GithubServer, LlmServer, Script, TOKEN};
use serde_json::{Value, json};

const SECRET: &str = "chaos-test-webhook-secret";

/// A random number generator (xorshift) with a seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

struct World {
    git: GitServer,
    github: GithubServer,
    llm: LlmServer,
    http: HttpClient,
    folder: tempfile::TempDir,
    database: String,
    addresses: Vec<String>,
    servers: Vec<Option<Child>>,
}

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).map_or(usual, |text| text.parse().unwrap())
}

/// The model's answer to each kind of prompt; one in five requests fails.
fn model(question: &Value) -> Script {
    static ASKED: std::sync::Mutex<Dice> = std::sync::Mutex::new(Dice(0x1234_5678_9abc));
    let chance = ASKED.lock().unwrap().below(100);
    if chance < 20 {
        return match chance % 4 {
            0 => Script::Error(429, json!({"error": {"message": "busy", "type": "rate_limit_error"}})),
            1 => Script::Error(502, json!({"error": "bad gateway"})),
            2 => Script::Error(500, json!({"error": {"message": "oops", "type": "server_error"}})),
            _ => Script::Silence(Duration::from_secs(3)),
        };
    }
    let text = question["messages"].to_string();
    if text.contains("candidate_files") {
        Script::Answer(json!({"candidate_files": ["calc.py"]}).to_string())
    } else if text.contains("fix_strategy") {
        let changes = json!([{"file": "calc.py", "description": "+"}]);
        Script::Answer(json!({"root_cause": "x", "fix_strategy": "+", "changes": changes}).to_string())
    } else {
        Script::Answer("```python\ndef add(a, b):\n    return a + b\n```".into())
    }
}

impl World {
    fn new(replicas: usize, database: impl FnOnce(&Path) -> String, jobs: u64) -> Self {
        patchwright_http::install_tls();
        let git = GitServer::start();
        git.make("acme/demo", &[("calc.py", "def add(a, b):\n    return a - b\n")]);
        let github = GithubServer::start(git.path("x").parent().unwrap().to_owned());
        github.permit("alice", "write");
        for issue in 1..=jobs {
            github.open_issue("acme/demo", issue, "add() subtracts", "see calc.py");
        }
        let folder = tempfile::tempdir().unwrap();
        let addresses = (0..replicas)
            .map(|_| TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string())
            .collect();
        Self {
            git,
            github,
            llm: LlmServer::deciding(model),
            http: HttpClient::new(&HttpOptions::default()).unwrap(),
            database: database(folder.path()),
            folder,
            addresses,
            servers: (0..replicas).map(|_| None).collect(),
        }
    }

    fn start(&mut self, replica: usize) {
        let server = Command::new(env!("CARGO_BIN_EXE_patchwright"))
            .arg("serve")
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("BIND", &self.addresses[replica])
            .env("DATA_DIR", self.folder.path().join(replica.to_string()))
            // One key for all servers, so that they recognize each other's comments.
            .env("PATCHWRIGHT_MASTER_KEY", "0123456789abcdef0123456789abcdef")
            .env("DATABASE_URL", &self.database)
            .env("WEBHOOK_SECRET", SECRET)
            .env("GITHUB_TOKEN", TOKEN)
            .env("GITHUB_API_URL", self.github.url())
            .env("GITHUB_CLONE_URL", self.git.url())
            .env("LLM_BASE_URL", self.llm.url())
            .env("LLM_TIMEOUT", "2")
            .env("SANDBOX", "best-effort")
            .env("LEASE_TIMEOUT", "2")
            .env("RETRY_WAIT", "1")
            .env("MAX_ATTEMPTS", "1000")
            .env("WORKERS", "4")
            .envs(["TRIGGERS_PER_ISSUE", "TRIGGERS_PER_ACTOR", "TRIGGERS_PER_REPOSITORY"].map(|name| (name, "0")))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::options().create(true).append(true).open(self.folder.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        self.servers[replica] = Some(server);
    }

    fn kill(&mut self, replica: usize) {
        if let Some(mut server) = self.servers[replica].take() {
            server.kill().unwrap();
            server.wait().unwrap();
        }
    }

    /// Delivers until a server accepts, like a user who presses "redeliver".
    async fn deliver(&self, issue: u64) -> String {
        let body = json!({
            "action": "created",
            "issue": {"number": issue, "title": "add() subtracts", "body": "see calc.py", "user": {"login": "alice"}},
            "comment": {"id": issue, "body": "@patchwright fix", "user": {"login": "alice"}},
            "repository": {"name": "demo", "owner": {"login": "acme"}, "default_branch": "main"},
            "sender": {"login": "alice"},
        })
        .to_string();
        let signature = SigningKeys::new([&Secret::new(SECRET)]).sign(body.as_bytes()).unwrap();
        for attempt in 0.. {
            let address = &self.addresses[attempt % self.addresses.len()];
            let request = Request::post(format!("http://{address}/api/webhook"))
                .raw_json(body.clone())
                .header("x-github-event", "issue_comment")
                .header("x-github-delivery", format!("delivery-{issue}"))
                .header("x-hub-signature-256", signature.clone());
            if let Ok(answer) = self.http.send(request, Retry::Never).await
                && matches!(answer.status, 200 | 202)
            {
                let reply: Value = answer.json().unwrap();
                return reply["job_id"].as_str().unwrap().to_owned();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        unreachable!("it tries for ever")
    }

    /// Waits until no work is left, and returns the jobs.
    async fn settle(&self, shutdown_timeout: Duration) -> BTreeMap<String, Value> {
        let began = Instant::now();
        let get = async |path: &str| -> Option<Value> {
            let request = Request::get(format!("http://{}{path}", self.addresses[0]));
            self.http.send(request, Retry::Never).await.ok()?.json().ok()
        };
        loop {
            if let Some(status) = get("/api/status").await {
                let left = ["requests", "queued", "running", "effects"]
                    .map(|name| status["queue"][name].as_u64().unwrap_or(1));
                if left == [0, 0, 0, 0] {
                    break;
                }
                if began.elapsed() > shutdown_timeout {
                    let jobs = get("/api/v1/jobs?limit=200").await;
                    let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap();
                    let tail: Vec<&str> = log.lines().rev().take(60).collect();
                    panic!("left to do: {left:?}\n{jobs:#?}\n{}", tail.join("\n"));
                }
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let page = get("/api/v1/jobs?limit=200").await.unwrap();
        let items = page["items"].as_array().unwrap();
        items.iter().map(|job| (job["job_id"].as_str().unwrap().to_owned(), job.clone())).collect()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for replica in 0..self.servers.len() {
            self.kill(replica);
        }
    }
}

async fn survive(mut world: World, jobs: u64, kills: u64, mut dice: Dice) {
    let replicas = world.servers.len() as u64;
    // The first one migrates the schema alone.
    for replica in 0..world.servers.len() {
        world.start(replica);
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    world.github.fail_by_chance(20, 99);
    let mut accepted = BTreeMap::new();
    let mut killed = 0;
    for issue in 1..=jobs {
        accepted.insert(issue, world.deliver(issue).await);
        if killed * jobs < kills * issue {
            tokio::time::sleep(Duration::from_millis(dice.below(150))).await;
            let victim = usize::try_from(dice.below(replicas)).unwrap();
            world.kill(victim);
            killed += 1;
            world.start(victim);
        }
    }
    while killed < kills {
        tokio::time::sleep(Duration::from_millis(100 + dice.below(900))).await;
        let victim = usize::try_from(dice.below(replicas)).unwrap();
        world.kill(victim);
        killed += 1;
        world.start(victim);
    }
    let found = world.settle(Duration::from_secs(120 + jobs * 4)).await;
    world.github.fail_no_more();

    assert_eq!(found.len() as u64, jobs, "every delivery is one job");
    let pulls = world.github.pulls();
    for (issue, id) in &accepted {
        let job = &found[id];
        assert_eq!(job["status"], "succeeded", "{job:#}");
        let comments = world.github.comments_on(*issue);
        assert_eq!(comments.len(), 2, "issue {issue} has one acknowledgement and one result: {comments:#?}");
        let branch = job["branch"].as_str().unwrap();
        assert_eq!(pulls.iter().filter(|pull| pull.1 == branch).count(), 1, "issue {issue} has one pull request");
    }
    assert_eq!(pulls.len() as u64, jobs);
    // Every pushed branch is a job's branch, with one commit.
    let branches = world.git.git("acme/demo", &["for-each-ref", "--format=%(refname:short)", "refs/heads/agent"]);
    assert_eq!(branches.lines().count() as u64, jobs, "{branches}");
    for branch in branches.lines() {
        let commits = world.git.git("acme/demo", &["rev-list", "--count", &format!("main..{branch}")]);
        assert_eq!(commits.trim(), "1", "{branch}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_random_moments_with_a_failing_forge_everything_ends_once_on_sqlite() {
    let (jobs, kills) = (number("CHAOS_JOBS", 8), number("CHAOS_KILLS", 10));
    let world = World::new(1, |folder| format!("sqlite://{}/p.db", folder.display()), jobs);
    survive(world, jobs, kills, Dice(0xfeed_beef)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn three_replicas_killed_at_random_moments_end_everything_once_on_postgresql() {
    let Some(cluster) = postgres::cluster().await else { return };
    let (jobs, kills) = (number("CHAOS_JOBS", 8), number("CHAOS_KILLS", 10));
    let database = cluster.database(&format!("chaos_{}", std::process::id()));
    let world = World::new(3, |_| database, jobs);
    survive(world, jobs, kills, Dice(0xdead_cafe)).await;
}
