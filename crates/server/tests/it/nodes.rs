//! Nodes as processes: one is killed, one is disconnected for longer than its lease and reconnected, one is drained;
//! and every task ends once.
//!
//! `NODE_TASKS` sets the size (`just nodes`); what CI runs is small.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use patchwright_core::Secret;
use patchwright_http::{HttpClient, HttpOptions, Request, Response, Retry};
use patchwright_testkit::server::{GitServer, GithubServer, LlmServer, Script, TOKEN};
use serde_json::{Value, json};

const WAIT_TIMEOUT: Duration = Duration::from_secs(180);
/// Short, so that the test is.
const LEASE: Duration = Duration::from_secs(3);

/// A proxy to the server that can be disconnected.
struct Line {
    address: SocketAddr,
    cut: Arc<AtomicBool>,
}

impl Line {
    async fn to(server: String) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let cut = Arc::new(AtomicBool::new(false));
        let is_cut = Arc::clone(&cut);
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let (server, is_cut) = (server.clone(), Arc::clone(&is_cut));
                tokio::spawn(async move {
                    if is_cut.load(Ordering::SeqCst) {
                        return;
                    }
                    let Ok(mut far) = tokio::net::TcpStream::connect(server).await else { return };
                    let broken = async {
                        while !is_cut.load(Ordering::SeqCst) {
                            tokio::time::sleep(Duration::from_millis(20)).await;
                        }
                    };
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                        () = broken => {}
                    }
                });
            }
        });
        Self { address, cut }
    }

    fn cut(&self, cut: bool) {
        self.cut.store(cut, Ordering::SeqCst);
    }
}

struct NodeProcess {
    id: String,
    folder: PathBuf,
    child: Child,
}

impl Drop for NodeProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct World {
    git: GitServer,
    github: GithubServer,
    llm: LlmServer,
    http: HttpClient,
    folder: tempfile::TempDir,
    address: String,
    server: Option<Child>,
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(mut server) = self.server.take() {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

fn model(question: &Value) -> Script {
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
    async fn start(model: impl Fn(&Value) -> Script + Send + Sync + 'static, settings: &[(&str, &str)]) -> Self {
        patchwright_http::install_tls();
        let git = GitServer::start();
        git.make("acme/demo", &[("calc.py", "def add(a, b):\n    return a - b\n")]);
        let github = GithubServer::start(git.path("x").parent().unwrap().to_owned());
        github.permit("alice", "write");
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let http = HttpClient::new(&HttpOptions::default()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let llm = LlmServer::deciding(model);
        let mut world = Self { git, github, llm, http, folder, address, server: None };
        let server = world
            .command("serve", "server")
            .env("BIND", &world.address)
            .env("WEBHOOK_SECRET", "node-test-webhook-secret")
            .env("GITHUB_TOKEN", TOKEN)
            .env("GITHUB_API_URL", world.github.url())
            .env("GITHUB_CLONE_URL", world.git.url())
            .env("LEASE_TIMEOUT", LEASE.as_secs().to_string())
            .env("RETRY_WAIT", "1")
            .env("EMBEDDED_NODE", "false")
            .envs(settings.iter().copied())
            .spawn()
            .unwrap();
        world.server = Some(server);
        world.until("the server is ready", async || world.get("/readyz").await.is_some()).await;
        world
    }

    fn command(&self, verb: &str, name: &str) -> Command {
        let log = self.folder.path().join(format!("{name}.log"));
        let mut command = Command::new(env!("CARGO_BIN_EXE_patchwright"));
        command
            .arg(verb)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("DATA_DIR", self.folder.path().join(name))
            .env("LLM_BASE_URL", self.llm.url())
            .env("LLM_MODEL", format!("model-of-{name}"))
            .env("SANDBOX", "best-effort")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::options().create(true).append(true).open(log).unwrap());
        command
    }

    fn log(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(format!("{name}.log"))).unwrap_or_default()
    }

    async fn send(&self, request: Request) -> Option<Response> {
        self.http.send(request, Retry::Never).await.ok()
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    async fn get(&self, path: &str) -> Option<Value> {
        self.send(Request::get(self.url(path))).await.filter(Response::is_success)?.json().ok()
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        let answer = self.send(Request::post(self.url(path)).json(body)).await.unwrap();
        assert!(answer.is_success(), "{path}: {}", answer.text());
        answer.json().unwrap()
    }

    async fn until(&self, what: &str, mut is: impl AsyncFnMut() -> bool) {
        let began = Instant::now();
        while !is().await {
            if began.elapsed() > WAIT_TIMEOUT {
                let logs: Vec<String> = ["server", "a", "b", "c"]
                    .iter()
                    .map(|name| {
                        let log = self.log(name);
                        let tail: Vec<&str> = log.lines().rev().take(25).collect();
                        format!("--- {name}\n{}", tail.into_iter().rev().collect::<Vec<_>>().join("\n"))
                    })
                    .collect();
                panic!("it never happens that {what}\n{}", logs.join("\n"));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Adds a node and starts its process.
    async fn node(&self, name: &str, server: &str, new: Value, args: &[&str]) -> NodeProcess {
        let mut body = new;
        body["name"] = name.into();
        let added = self.post("/api/v1/nodes", &body).await;
        let child = self
            .command("node", name)
            .args(["--server", &format!("http://{server}"), "--token", added["join_token"].as_str().unwrap()])
            .args(args)
            .spawn()
            .unwrap();
        let id = added["id"].as_str().unwrap().to_owned();
        let folder = self.folder.path().join(name).join("node");
        self.until("the node is online", async || {
            self.get(&format!("/api/v1/nodes/{id}")).await.is_some_and(|node| node["online"] == true)
        })
        .await;
        NodeProcess { id, folder, child }
    }

    async fn running(&self, node: &NodeProcess) -> u64 {
        self.get(&format!("/api/v1/nodes/{}", node.id)).await.unwrap()["running"].as_u64().unwrap()
    }

    /// Opens issues on the forge, imports them, and returns their ids.
    async fn issues(&self, count: u64) -> Vec<String> {
        for number in 1..=count {
            self.github.open_issue("acme/demo", number, "add() subtracts", "see calc.py");
        }
        let repository = self.post("/api/v1/repositories", &json!({"platform": "github", "name": "acme/demo"})).await;
        let id = repository["id"].as_str().unwrap();
        self.post(&format!("/api/v1/repositories/{id}/sync"), &json!({})).await;
        self.all("issues", "id").await
    }

    /// Returns a field of all items of a list.
    async fn all(&self, list: &str, field: &str) -> Vec<String> {
        let things = self.list(list).await;
        things.iter().map(|thing| thing[field].as_str().unwrap().to_owned()).collect()
    }

    async fn list(&self, list: &str) -> Vec<Value> {
        let mut found = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = self.get(&format!("/api/v1/{list}?limit=200{cursor}")).await.unwrap();
            found.extend(page["items"].as_array().unwrap().iter().cloned());
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return found,
            }
        }
    }

    async fn settled(&self) {
        self.until("everything has ended", async || {
            let Some(status) = self.get("/api/status").await else { return false };
            ["queued", "running", "effects"].iter().all(|name| status["queue"][*name] == 0)
        })
        .await;
    }
}

fn size() -> u64 {
    std::env::var("NODE_TASKS").map_or(24, |text| text.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_killed_a_cut_off_and_a_draining_node_every_task_ends_once() {
    let slow = |question: &Value| {
        // Long enough to be interrupted in the middle.
        std::thread::sleep(Duration::from_millis(60));
        model(question)
    };
    let world = World::start(slow, &[]).await;
    let line = Line::to(world.address.clone()).await;
    let through = line.address.to_string();
    let capacity = ["--capacity", "3"];
    let mut a = world.node("a", &world.address, json!({}), &capacity).await;
    let b = world.node("b", &through, json!({}), &capacity).await;
    let c = world.node("c", &world.address, json!({}), &capacity).await;
    let count = size();
    let ids = world.issues(count).await;
    let batch = world.post("/api/v1/issues/start-batch", &json!({"ids": ids})).await;
    assert!(batch["items"].as_array().unwrap().iter().all(|item| item["started"] == true), "{batch}");

    world
        .until("all three are at work", async || {
            world.running(&a).await > 0 && world.running(&b).await > 0 && world.running(&c).await > 0
        })
        .await;
    // The log is readable while the task runs.
    let tasks = world.list("tasks").await;
    let cut_off: Vec<&Value> =
        tasks.iter().filter(|task| task["node_id"] == b.id.as_str() && task["completed_at"].is_null()).collect();
    line.cut(true);
    let lost = cut_off.first().map(|task| (*task).clone());
    a.child.kill().unwrap();
    a.child.wait().unwrap();
    world.post(&format!("/api/v1/nodes/{}/drain", c.id), &json!({"draining": true})).await;
    tokio::time::sleep(LEASE + Duration::from_secs(1)).await;
    world.until("the draining one has finished", async || world.running(&c).await == 0).await;
    line.cut(false);
    let drained = world.list("tasks").await.iter().filter(|task| task["node_id"] == c.id.as_str()).count();
    world.settled().await;

    let jobs = world.list("jobs").await;
    assert_eq!(jobs.len() as u64, count);
    if let Some(job) = jobs.iter().find(|job| job["status"] != "succeeded") {
        let id = job["job_id"].as_str().unwrap();
        let failure = world.get(&format!("/api/v1/jobs/{id}")).await.unwrap()["failure"].clone();
        let tasks = world.get(&format!("/api/v1/tasks?job={id}")).await.unwrap();
        panic!("of the nodes {}, {}, {}: {failure:#} {tasks:#}", a.id, b.id, c.id);
    }
    let tasks = world.list("tasks").await;
    for job in &jobs {
        let own: Vec<_> = tasks.iter().filter(|task| task["job_id"] == job["job_id"]).collect();
        assert!(own.iter().all(|task| task["completed_at"].is_string()), "{own:#?}");
        assert_eq!(own.iter().filter(|task| task["status"] == "success").count(), 1, "{own:#?}");
        assert!(own.len() <= 3, "at most three tasks for a job: {own:#?}");
    }
    let of_c = tasks.iter().filter(|task| task["node_id"] == c.id.as_str()).count();
    assert_eq!(of_c, drained, "a draining node is given nothing more");
    // No branch was published twice.
    assert_eq!(world.github.pulls().len() as u64, count);
    let branches = world.git.git("acme/demo", &["for-each-ref", "--format=%(refname:short)", "refs/heads/agent"]);
    assert_eq!(branches.lines().count() as u64, count, "{branches}");
    for branch in branches.lines() {
        assert_eq!(world.git.git("acme/demo", &["rev-list", "--count", &format!("main..{branch}")]).trim(), "1");
    }
    // The disconnected node's report of a task that another one ended is refused.
    if let Some(lost) =
        lost.filter(|lost| !tasks.iter().any(|task| task["id"] == lost["id"] && task["status"] == "success"))
    {
        let kept: Value = serde_json::from_str(&std::fs::read_to_string(b.folder.join("node.json")).unwrap()).unwrap();
        let report = json!({"task_id": lost["id"], "branch_name": "agent/x", "status": "success"});
        let path = format!("/api/v1/issues/{}/report-branch", lost["issue_id"].as_str().unwrap());
        let token = Secret::new(kept["token"].as_str().unwrap());
        let late = world.send(Request::post(world.url(&path)).bearer(&token).json(&report)).await.unwrap();
        assert_eq!((late.status, &late.json::<Value>().unwrap()["code"]), (409, &"task_gone".into()));
    }
    let log =
        world.send(Request::get(world.url(&format!("/api/v1/tasks/{}/logs", tasks[0]["id"].as_str().unwrap())))).await;
    assert!(log.unwrap().text().contains("asking the model"), "{:?}", tasks[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_listens_is_sent_its_tasks_and_a_job_waits_for_the_node_that_it_asks_for() {
    let world = World::start(model, &[]).await;
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let new = json!({"labels": ["gpu"], "push_url": format!("http://{port}")});
    let listening = world.node("a", &world.address, new, &["--listen", &port, "--capacity", "2"]).await;
    let plain = world.node("b", &world.address, json!({}), &["--capacity", "2"]).await;
    let ids = world.issues(4).await;
    for id in &ids {
        let task = world.post(&format!("/api/v1/issues/{id}/start"), &json!({"labels": ["gpu"]})).await;
        assert_eq!(task["status"], "pending");
    }
    world.settled().await;
    let tasks = world.list("tasks").await;
    assert!(
        tasks.iter().all(|task| task["node_id"] == listening.id.as_str() && task["status"] == "success"),
        "{tasks:#?}"
    );
    // The usage is counted for the node that caused it.
    let stats = world.get("/api/v1/stats?group_by=model").await.unwrap();
    assert_eq!((&stats["groups"][0]["key"], &stats["groups"][0]["succeeded"]), (&"model-of-a".into(), &4.into()));
    // No other sender is accepted.
    let health: Value = world.send(Request::get(format!("http://{port}/health"))).await.unwrap().json().unwrap();
    assert_eq!((&health["capacity"], &health["running"]), (&json!(2), &json!([])), "{health}");
    for path in ["/process-issue", "/tasks/x/cancel"] {
        let forged = Request::post(format!("http://{port}{path}"))
            .header("x-patchwright-timestamp", "1800000000")
            .header("x-patchwright-signature", format!("v1={}", "0".repeat(64)))
            .json(&json!({}));
        assert_eq!(world.send(forged).await.unwrap().status, 401);
    }
    drop(plain);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_listens_is_told_when_a_task_is_cancelled() {
    // Nothing of this waits for a lease.
    let settings = [("LEASE_TIMEOUT", "300"), ("LLM_TIMEOUT", "90")];
    let world = World::start(|_: &Value| Script::Silence(Duration::from_secs(60)), &settings).await;
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let new = json!({"push_url": format!("http://{port}")});
    let node = world.node("a", &world.address, new, &["--listen", &port, "--capacity", "1"]).await;
    let ids = world.issues(1).await;
    let task = world.post(&format!("/api/v1/issues/{}/start", ids[0]), &json!({})).await;
    world.until("the model is asked", async || world.llm.asked().len() == 1).await;
    let work = || std::fs::read_dir(node.folder.join("work")).unwrap().count();
    assert_eq!(work(), 1);
    world.post(&format!("/api/v1/jobs/{}/cancel", task["job_id"].as_str().unwrap()), &json!({})).await;
    world.until("the working copy is gone", async || work() == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_task_is_stopped_on_its_node_and_a_restarted_node_gives_its_tasks_back_at_once() {
    let world = World::start(
        |_: &Value| Script::Silence(Duration::from_secs(60)),
        // Nothing of this waits for a lease.
        &[("LEASE_TIMEOUT", "300"), ("LLM_TIMEOUT", "90")],
    )
    .await;
    let mut node = world.node("a", &world.address, json!({}), &["--capacity", "1"]).await;
    let ids = world.issues(1).await;
    let task = world.post(&format!("/api/v1/issues/{}/start", ids[0]), &json!({})).await;
    let id = task["id"].as_str().unwrap();
    let asked = async || world.llm.asked().len();
    world.until("the model is asked", async || asked().await == 1).await;
    let work = || std::fs::read_dir(node.folder.join("work")).unwrap().count();
    assert_eq!(work(), 1);
    world.post(&format!("/api/v1/jobs/{}/cancel", task["job_id"].as_str().unwrap()), &json!({})).await;
    world.until("the working copy is gone", async || work() == 0).await;
    let ended = world.get(&format!("/api/v1/tasks/{id}")).await.unwrap();
    assert_eq!((&ended["status"], &ended["error_message"]), (&"failed".into(), &"the job was cancelled".into()));

    // Killed in the middle and restarted: the server finds out at once that the task is lost.
    let task = world.post(&format!("/api/v1/issues/{}/start", ids[0]), &json!({})).await;
    world.until("the model is asked again", async || asked().await == 2).await;
    node.child.kill().unwrap();
    node.child.wait().unwrap();
    node.child = world.command("node", "a").args(["--server", &format!("http://{}", world.address)]).spawn().unwrap();
    world.until("the job is given out again", async || asked().await == 3).await;
    let tasks = world.get(&format!("/api/v1/tasks?job={}", task["job_id"].as_str().unwrap())).await.unwrap();
    let ends: Vec<_> = tasks["items"].as_array().unwrap().iter().map(|task| task["status"].as_str().unwrap()).collect();
    assert_eq!(ends, ["running", "failed"], "{tasks:#}");
    let why = tasks["items"][1]["error_message"].as_str().unwrap();
    assert!(why.starts_with("node_lost"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ephemeral_node_runs_one_task_and_its_exit_code_says_how_it_ended() {
    let world = World::start(model, &[]).await;
    let mut node = world.node("a", &world.address, json!({}), &["--ephemeral"]).await;
    let ids = world.issues(2).await;
    for id in &ids {
        world.post(&format!("/api/v1/issues/{id}/start"), &json!({})).await;
    }
    assert_eq!(ended(&mut node).await, Some(0), "{}", world.log("a"));
    let statuses = async || {
        let mut statuses = world.all("tasks", "status").await;
        statuses.sort_unstable();
        statuses
    };
    assert_eq!(statuses().await, ["pending", "success"], "one task, and the server has its report");
    assert_eq!(std::fs::read_dir(node.folder.join("work")).unwrap().count(), 0, "nothing of it is left");
    let again = |args: &[&str]| {
        world.command("node", "a").args(["--server", &world.url(""), "--ephemeral"]).args(args).spawn().unwrap()
    };
    node.child = again(&[]);
    assert_eq!(ended(&mut node).await, Some(0), "{}", world.log("a"));
    assert_eq!(statuses().await, ["success", "success"]);
    node.child = again(&["--wait", "1"]);
    assert_eq!(ended(&mut node).await, Some(4), "there is nothing to do");
}

/// Waits for the end of a node's process, and returns its exit code.
async fn ended(node: &mut NodeProcess) -> Option<i32> {
    let began = Instant::now();
    loop {
        if let Some(status) = node.child.try_wait().unwrap() {
            return status.code();
        }
        assert!(began.elapsed() < WAIT_TIMEOUT, "the node does not end");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
