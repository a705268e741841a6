//! The binary as a process: killed in the middle of a job, and asked to stop.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use patchwright_core::Secret;
use patchwright_core::webhook::SigningKeys;
use patchwright_http::{HttpClient, HttpOptions, Request, Response, Retry};
use patchwright_testkit::server::{GitServer, GithubServer, LlmServer, Script, TOKEN};
use serde_json::{Value, json};

const SECRET: &str = "process-test-webhook-secret";
const WAIT_TIMEOUT: Duration = Duration::from_secs(60);

struct World {
    git: GitServer,
    github: GithubServer,
    llm: LlmServer,
    http: HttpClient,
    folder: tempfile::TempDir,
    address: String,
}

impl World {
    fn new(script: Vec<Script>) -> Self {
        patchwright_http::install_tls();
        let git = GitServer::start();
        git.make("acme/demo", &[("calc.py", "def add(a, b):\n    return a - b\n")]);
        let github = GithubServer::start(git.path("x").parent().unwrap().to_owned());
        github.open_issue("acme/demo", 42, "add() subtracts", "see calc.py");
        github.permit("alice", "write");
        let llm = LlmServer::start(script);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let http = HttpClient::new(&HttpOptions::default()).unwrap();
        Self { git, github, llm, http, folder: tempfile::tempdir().unwrap(), address }
    }

    /// The program with the whole configuration of a server.
    fn command(&self, argument: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_patchwright"));
        command
            .arg(argument)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("BIND", &self.address)
            .env("DATA_DIR", self.folder.path())
            .env("WEBHOOK_SECRET", SECRET)
            .env("GITHUB_TOKEN", TOKEN)
            .env("GITHUB_API_URL", self.github.url())
            .env("GITHUB_CLONE_URL", self.git.url())
            .env("LLM_BASE_URL", self.llm.url())
            .env("SANDBOX", "best-effort")
            .env("LEASE_TIMEOUT", "2")
            .stdin(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    async fn start(&self) -> Child {
        let server = self.command("serve").stdout(Stdio::null()).spawn().unwrap();
        let began = Instant::now();
        while !matches!(self.get("/readyz").await, Ok(answer) if answer.status == 200) {
            assert!(began.elapsed() < WAIT_TIMEOUT, "the server does not become ready");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        server
    }

    /// Runs a command of this server's machine with an input; returns whether it succeeded, and what it printed.
    fn ask(&self, args: &[&str], input: &str) -> (bool, String) {
        use std::io::Write as _;
        let mut child = Command::new(env!("CARGO_BIN_EXE_patchwright"))
            .args(args)
            .env_clear()
            .env("DATA_DIR", self.folder.path())
            .env("HOME", self.folder.path())
            .env("BIND", &self.address)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        let printed = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.success(), printed)
    }

    async fn get(&self, path: &str) -> Result<Response, patchwright_http::HttpError> {
        self.http.send(Request::get(format!("http://{}{path}", self.address)), Retry::Never).await
    }

    async fn ask_for_a_fix(&self) -> String {
        let body = json!({
            "action": "created",
            "issue": {"number": 42, "title": "add() subtracts", "body": "see calc.py", "user": {"login": "alice"}},
            "comment": {"id": 1, "body": "@patchwright fix", "user": {"login": "alice"}},
            "repository": {"name": "demo", "owner": {"login": "acme"}, "default_branch": "main"},
            "sender": {"login": "alice"},
        })
        .to_string();
        let signature = SigningKeys::new([&Secret::new(SECRET)]).sign(body.as_bytes()).unwrap();
        let request = Request::post(format!("http://{}/api/webhook", self.address))
            .raw_json(body)
            .header("x-github-event", "issue_comment")
            .header("x-github-delivery", "only-one")
            .header("x-hub-signature-256", signature);
        let answer = self.http.send(request, Retry::Never).await.unwrap();
        assert_eq!(answer.status, 202, "{}", answer.text());
        let reply: Value = answer.json().unwrap();
        reply["job_id"].as_str().unwrap().to_owned()
    }

    async fn model_was_asked(&self, times: usize) {
        let began = Instant::now();
        while self.llm.asked().len() < times {
            assert!(began.elapsed() < WAIT_TIMEOUT, "the model is not asked");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until the job has ended and all effects are delivered.
    async fn end_of(&self, id: &str) -> Value {
        let began = Instant::now();
        loop {
            let job: Value = self.get(&format!("/api/v1/jobs/{id}")).await.unwrap().json().unwrap();
            let status: Value = self.get("/api/status").await.unwrap().json().unwrap();
            if job["ended_at"].is_string() && status["queue"]["effects"] == 0 {
                return job;
            }
            assert!(began.elapsed() < WAIT_TIMEOUT, "the job does not end: {job}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn script() -> Vec<Script> {
    let plan = json!({"root_cause": "x", "fix_strategy": "+", "changes": [{"file": "calc.py", "description": "+"}]});
    vec![
        Script::Answer(json!({"candidate_files": ["calc.py"]}).to_string()),
        // The server is killed while it waits for the plan.
        Script::Silence(Duration::from_secs(120)),
        Script::Answer(plan.to_string()),
        Script::Answer("```python\ndef add(a, b):\n    return a + b\n```".into()),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_goes_on_and_does_nothing_twice() {
    let world = World::new(script());
    let mut server = world.start().await;
    let id = world.ask_for_a_fix().await;
    world.model_was_asked(2).await;
    server.kill().unwrap();
    server.wait().unwrap();

    let mut server = world.start().await;
    let job = world.end_of(&id).await;
    assert_eq!(
        (&job["status"], &job["verdict"], &job["attempts"]),
        (&json!("succeeded"), &json!("no_tests"), &json!(2))
    );
    assert_eq!(world.llm.asked().len(), 4, "the finished stage was not paid for twice");
    assert_eq!(world.github.comments_on(42).len(), 2);
    assert_eq!(world.github.pulls().len(), 1);
    server.kill().unwrap();
    server.wait().unwrap();
}

/// Asks the server to stop, as an init system does.
fn terminate(server: &Child) {
    assert!(Command::new("kill").args(["-TERM", &server.id().to_string()]).status().unwrap().success());
}

async fn stopped(server: &mut Child) -> std::process::ExitStatus {
    let began = Instant::now();
    loop {
        if let Some(status) = server.try_wait().unwrap() {
            return status;
        }
        assert!(began.elapsed() < WAIT_TIMEOUT, "the server does not stop");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_asked_to_stop_does() {
    let world = World::new(vec![]);
    let mut server = world.start().await;
    terminate(&server);
    let status = stopped(&mut server).await;
    assert!(status.success(), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_asked_twice_leaves_at_once_and_its_job_goes_on() {
    let world = World::new(script());
    let mut server = world.start().await;
    let id = world.ask_for_a_fix().await;
    // It waits for the model, longer than a stop waits for a job.
    world.model_was_asked(2).await;
    terminate(&server);
    while matches!(world.get("/readyz").await, Ok(answer) if answer.status == 200) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let began = Instant::now();
    terminate(&server);
    assert_eq!(stopped(&mut server).await.code(), Some(130));
    assert!(began.elapsed() < Duration::from_secs(10), "it did not wait for the job");
    let mut server = world.start().await;
    assert_eq!(world.end_of(&id).await["status"], "succeeded");
    assert_eq!(world.github.comments_on(42).len(), 2);
    server.kill().unwrap();
    server.wait().unwrap();
}

/// Runs the command line against a running server.
fn patchwright(world: &World, arguments: &[&str]) -> (bool, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_patchwright"))
        .args(arguments)
        .env_clear()
        .env("PATCHWRIGHT_SERVER", format!("http://{}", world.address))
        .env("DATA_DIR", world.folder.path())
        .current_dir(world.folder.path())
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.success(), text(&output.stdout), text(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_listed_cancelled_and_retried_from_a_terminal_and_the_database_is_copied_meanwhile() {
    let plan = json!({"root_cause": "x", "fix_strategy": "+", "changes": [{"file": "calc.py", "description": "+"}]});
    let script = vec![
        // The job is cancelled while it waits for this.
        Script::Silence(Duration::from_secs(120)),
        Script::Answer(json!({"candidate_files": ["calc.py"]}).to_string()),
        Script::Answer(plan.to_string()),
        Script::Answer("```python\ndef add(a, b):\n    return a + b\n```".into()),
    ];
    let world = World::new(script);
    let mut server = world.start().await;
    let id = world.ask_for_a_fix().await;
    world.model_was_asked(1).await;
    let (done, list, _) = patchwright(&world, &["jobs", "list", "--status", "running"]);
    assert!(done && list.contains(&id) && list.contains("acme/demo#42"), "{list}");
    let (refused, _, printed) = patchwright(&world, &["jobs", "retry", &id]);
    assert!(!refused && printed.contains("a job that is running cannot be restarted"), "{printed}");
    let (done, shown, _) = patchwright(&world, &["jobs", "cancel", &id]);
    assert!(done && shown.contains("cancelled"), "{shown}");
    world.end_of(&id).await;
    let (done, _, printed) = patchwright(&world, &["jobs", "retry", &id]);
    assert!(done, "{printed}");
    let job = world.end_of(&id).await;
    assert_eq!(job["status"], "succeeded");
    let (done, shown, _) = patchwright(&world, &["jobs", "show", &id, "--json"]);
    let shown: Value = serde_json::from_str(&shown).unwrap();
    assert!(done && shown["job_id"] == id.as_str());
    let (_, _, printed) = patchwright(&world, &["jobs", "show", "00000000-0000-0000-0000-000000000001"]);
    assert!(printed.contains("there is no job with this id"), "{printed}");

    let (done, printed, _) = patchwright(&world, &["backup", "copy.db"]);
    assert!(done && printed.contains("copy.db"), "{printed}");
    let (done, _, printed) = patchwright(&world, &["restore", "copy.db"]);
    assert!(!done && printed.contains("stop the server first"), "{printed}");
    server.kill().unwrap();
    server.wait().unwrap();
    let (done, printed, _) = patchwright(&world, &["restore", "copy.db"]);
    assert!(done && printed.contains("before-restore"), "{printed}");
    let mut server = world.start().await;
    assert_eq!(world.get(&format!("/api/v1/jobs/{id}")).await.unwrap().status, 200);
    server.kill().unwrap();
    server.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_added_at_the_command_line_and_programs_ask_with_their_tokens() {
    let world = World::new(vec![]);
    let patchwright = |args: &[&str], input: &str| world.ask(args, input);
    assert!(!patchwright(&["user", "add", "root"], "short\n").0);
    let (added, printed) = patchwright(&["user", "add", "Root"], "correct horse battery\n");
    assert!(added && printed.contains("root was added as admin"), "{printed}");
    assert!(patchwright(&["user", "list"], "").1.contains("root"));
    let (refused, printed) = patchwright(&["user", "disable", "root"], "");
    assert!(!refused && printed.contains("last active administrator"), "{printed}");

    let mut server = world.start().await;
    let login = Request::post(format!("http://{}/api/v1/auth/login", world.address))
        .json(&json!({"login": "root", "password": "correct horse battery"}));
    let session = world.http.send(login, Retry::Never).await.unwrap();
    let cookie = session.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let csrf = session.json::<Value>().unwrap()["csrf_token"].as_str().unwrap().to_owned();
    let token = Request::post(format!("http://{}/api/v1/tokens", world.address))
        .header("cookie", cookie)
        .header("x-csrf-token", csrf)
        .json(&json!({"name": "terminal", "scope": "admin"}));
    let token = world.http.send(token, Retry::Never).await.unwrap().json::<Value>().unwrap();
    let token = token["secret"].as_str().unwrap();
    let ask = |args: &[&str]| patchwright(&[args, &["--token", token]].concat(), "");
    let (done, printed) = ask(&["repositories", "add", "github", "acme/demo"]);
    assert!(done && printed.contains("acme/demo"), "{printed}");
    let id = printed.split_whitespace().next().unwrap().to_owned();
    assert!(ask(&["repositories", "sync", "acme/demo"]).1.contains("1 imported"));
    let (_, printed) = ask(&["issues", "list", "--search", "SUBTRACTS"]);
    assert!(printed.contains("pending") && printed.contains("add() subtracts"), "{printed}");
    let heading: Vec<&str> = printed.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(heading, ["ID", "STATUS", "REPOSITORY", "NUMBER", "KEY", "TITLE"]);
    let (_, printed) = ask(&["tokens", "list", "--json"]);
    assert!(printed.contains("\"terminal\"") && !printed.contains(token), "{printed}");
    assert!(ask(&["stats"]).0);
    let (issue, page) = ("acme/demo#42", "https://github.com/acme/demo/issues/42?x=1#issuecomment-9");
    assert!(ask(&["issues", "show", page]).1.contains("see calc.py"));
    let (refused, printed) = ask(&["issues", "show", "acme/demo#43"]);
    assert!(!refused && printed.contains("the server has no issue") && printed.contains("acme/demo#43"), "{printed}");
    let (done, printed) = ask(&["issues", "edit", issue, "--title", "add() is wrong"]);
    assert!(done && printed.contains("add() is wrong"), "{printed}");
    let (done, printed) = ask(&["issues", "start", issue, &id]);
    assert!(
        done && printed.contains("true") && printed.contains("false"),
        "one is an issue and one is none: {printed}"
    );
    let (refused, printed) = ask(&["issues", "start", issue, &id, "--priority", "high"]);
    assert!(!refused && printed.contains("one id at a time"), "{printed}");
    let tasks = ask(&["tasks", "list"]).1;
    let task = tasks.lines().nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
    assert!(ask(&["jobs", "show", issue]).1.contains("add() is wrong"));
    assert!(ask(&["tasks", "show", &task]).1.contains(&task));
    assert!(ask(&["tasks", "logs", &task]).0);
    let (done, printed) = ask(&["notifications", "add", "ops", "webhook", "https://ops.example/hook"]);
    assert!(done && printed.contains("secret: whsec_"), "{printed}");
    let channel = printed.split_whitespace().next().unwrap().to_owned();
    assert!(ask(&["notifications", "list"]).1.contains("https://ops.example/hook"));
    assert!(ask(&["notifications", "remove", &channel]).0);
    assert!(ask(&["audit", "--limit", "5"]).1.contains("notification.removed"));

    let jira = |args: &[&str], input: &str| patchwright(&[&["jira"], args, &["--token", token]].concat(), input);
    assert!(jira(&["status"], "").1.contains("configured: false"));
    let cloud = ["--account", "bot@acme.example", "--cloud-id", "11223344"];
    let (done, printed) = jira(&[&["add", "Acme.atlassian.net"], &cloud[..]].concat(), "ATATT3canary\n");
    assert!(
        done && printed.contains("acme.atlassian.net") && printed.contains("pwj_") && !printed.contains("canary"),
        "{printed}"
    );
    let site = printed.split_whitespace().next().unwrap().to_owned();
    let (done, printed) = jira(&["map", &site, "PROJ", "acme/demo"], "");
    assert!(done && printed.contains("PROJ  github  acme/demo"), "{printed}");
    assert!(jira(&["projects", &site], "").1.contains("acme/demo"));
    assert!(jira(&["unmap", &site, "PROJ"], "").0);
    assert!(jira(&["deactivate", &site], "").1.contains("inactive"));
    assert!(jira(&["activate", &site], "").1.contains("active"));
    assert!(jira(&["secret", &site], "another-secret\n").0 && jira(&["key", &site], "another-key\n").0);
    for list in ["sites", "links", "conversations", "failed"] {
        assert!(jira(&[list], "").0, "{list}");
    }
    let (refused, printed) = jira(&["unlink", &site], "");
    assert!(!refused && printed.contains("there is no link with this id"), "{printed}");
    let (refused, printed) = patchwright(&["issues", "list"], "");
    assert!(!refused && printed.contains("PATCHWRIGHT_TOKEN"), "{printed}");
    assert!(patchwright(&["completions", "bash"], "").1.contains("repositories"));
    assert!(patchwright(&["man"], "").1.contains(".TH patchwright"));
    server.kill().unwrap();
    server.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn after_the_master_key_was_changed_what_it_sealed_opens_and_what_it_signed_is_known() {
    let world = World::new(vec![]);
    let mut server = world.start().await;
    let url = |path: &str| format!("http://{}{path}", world.address);
    let body = json!({"name": "all", "platform": "github", "scope": "*", "secret": TOKEN});
    let added = world.http.send(Request::post(url("/api/v1/credentials")).json(&body), Retry::Never).await.unwrap();
    assert_eq!(added.status, 201, "{}", added.text());
    server.kill().unwrap();
    server.wait().unwrap();
    let key = || std::fs::read_to_string(world.folder.path().join("master.key")).unwrap();
    let before = key();
    for round in 1..=2 {
        let rotated = Command::new(env!("CARGO_BIN_EXE_patchwright"))
            .arg("rotate-keys")
            .env_clear()
            .env("DATA_DIR", world.folder.path())
            .output()
            .unwrap();
        let printed = String::from_utf8_lossy(&rotated.stdout).into_owned();
        assert!(
            rotated.status.success() && printed.starts_with("1 secrets were encrypted with the new key"),
            "{printed}"
        );
        assert_eq!(key().lines().count(), 1 + round);
    }
    assert!(key().ends_with(&before) && !key().starts_with(before.trim()));
    let mut server = world.start().await;
    let repository = json!({"platform": "github", "name": "acme/demo"});
    let request = Request::post(url("/api/v1/repositories")).json(&repository);
    let opened = world.http.send(request, Retry::Never).await.unwrap();
    assert_eq!(opened.status, 201, "the credential opens the forge: {}", opened.text());
    let used: Value = world.get("/api/v1/credentials").await.unwrap().json().unwrap();
    assert!(used["items"][0]["last_used_at"].is_string(), "{used}");
    server.kill().unwrap();
    server.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_says_what_is_there_and_what_is_not() {
    let world = World::new(vec![
        Script::Answer("ready".to_owned()),
        Script::Error(401, json!({"error": {"message": "no such key"}})),
    ]);
    let doctor = || {
        let output = world.command("doctor").output().unwrap();
        (output.status.success(), String::from_utf8(output.stdout).unwrap())
    };
    let (well, printed) = doctor();
    assert!(well, "{printed}");
    let line = |subject: &str| printed.lines().find(|line| line.contains(subject)).unwrap_or_default().to_owned();
    assert!(line("Model").starts_with("ok") && line("Model").contains("answered in"), "{printed}");
    assert!(line("Database").contains("SQLite") && line("GitHub").starts_with("ok"), "{printed}");
    assert!(line("Public address").starts_with("warning") && printed.contains("Set PUBLIC_URL"), "{printed}");
    let (well, printed) = doctor();
    assert!(!well && printed.contains("ERROR") && printed.contains("refused the request"), "{printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_located_in_a_repository() {
    let world = World::new(vec![]);
    world.git.make(
        "acme/shop",
        &[
            ("shop/cart.py", "class Cart:\n    def total(self):\n        return sum(self.prices)\n"),
            ("shop/mail.py", "def send(to, text):\n    print(to, text)\n"),
            ("tests/test_cart.py", "from shop.cart import Cart\n"),
        ],
    );
    let repository = world.git.path("acme/shop").display().to_string();
    let issue = world.folder.path().join("issue.md");
    std::fs::write(&issue, "Cart.total ignores discounts\n\nThe sum of the prices is wrong.\n").unwrap();
    let issue = issue.display().to_string();
    let (done, printed, _) =
        patchwright(&world, &["locate", "--repo", &repository, "--issue", &issue, "--rev", "main"]);
    assert!(done && printed.trim_start().starts_with("1. shop/cart.py"), "{printed}");
    assert!(printed.contains("defines `Cart.total`") && !printed.contains("test_cart"), "{printed}");
    assert!(printed.contains("shop/cart.py:2 method Cart.total"), "{printed}");
    let (_, json, _) =
        patchwright(&world, &["locate", "--repo", &repository, "--issue", &issue, "--rev", "main", "--json"]);
    let first = serde_json::from_str::<Value>(&json).unwrap()[0].clone();
    assert_eq!((&first["path"], &first["symbols"][0]["name"]), (&json!("shop/cart.py"), &json!("Cart.total")));
    // A second run with the cache prints the same.
    let kept = ["locate", "--repo", &repository, "--issue", &issue, "--rev", "main", "--json", "--cache", "kept"];
    for _ in 0..2 {
        assert_eq!(patchwright(&world, &kept).1, json);
    }
    assert_eq!(std::fs::read_dir(world.folder.path().join("kept")).unwrap().count(), 1);
    let elsewhere = ["locate", "--repo", &repository, "--issue", &issue, "--rev", "main", "--folder", "docs"];
    assert!(patchwright(&world, &elsewhere).1.starts_with("No file matches"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_is_kept_for_the_commands_of_a_server_until_the_logout() {
    let world = World::new(vec![]);
    let patchwright = |args: &[&str], input: &str| world.ask(args, input);
    assert!(patchwright(&["user", "add", "root"], "correct horse battery\n").0);
    let mut server = world.start().await;
    let address = format!("http://{}", world.address);
    let (refused, printed) = patchwright(&["login", &address, "--login", "root"], "a wrong password\n");
    assert!(!refused && !printed.contains("wrong password\n"), "{printed}");
    let (done, printed) = patchwright(&["login", &address, "--login", "root"], "correct horse battery\n");
    assert!(done && printed.contains("as root (admin)") && !printed.contains("pwt_"), "{printed}");
    assert!(patchwright(&["jobs", "list"], "").0, "the login is kept");
    assert!(patchwright(&["logout"], "").0);
    assert!(!patchwright(&["jobs", "list"], "").0);
    let (done, printed) = patchwright(&["user", "token", "root", "--scope", "read"], "");
    assert!(done && printed.starts_with("pwt_"), "{printed}");
    assert!(patchwright(&["jobs", "list", "--token", printed.trim()], "").0);
    server.kill().unwrap();
    server.wait().unwrap();
}
