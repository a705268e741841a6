//! Third-party nodes, as a program of sixty lines that knows the requirements' two requests and git.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use patchwright_core::store::Store as _;
use patchwright_domain::job::report::Verdict;
use patchwright_domain::{Job, JobStatus};
use patchwright_http::Request;
use serde_json::{Value, json};

use crate::harness::{REPO, TestServer, accepted};

/// The running program.
struct Program {
    child: Child,
    /// What it printed after its port.
    printed: Arc<Mutex<Vec<String>>>,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Program {
    fn printed(&self) -> String {
        self.printed.lock().unwrap().join("\n")
    }
}

async fn post(test_server: &TestServer, path: &str, body: Value) -> Value {
    let answer = test_server.send(Request::post(test_server.url(path)).json(&body)).await;
    assert!(answer.status < 300, "{}", answer.text());
    answer.json().unwrap()
}

/// Starts a server whose only node is the program.
async fn start(behaviour: &str, more: &[&str]) -> (TestServer, Program) {
    let (test_server, program, _) = start_with(behaviour, more, &[("EMBEDDED_NODE", "false")]).await;
    (test_server, program)
}

/// Starts a server and the program, and returns the node's id too.
async fn start_with(behaviour: &str, more: &[&str], settings: &[(&str, &str)]) -> (TestServer, Program, String) {
    let limits = [("LEASE_TIMEOUT", "2"), ("NODE_SILENT_LIMIT", "3"), ("MAX_ATTEMPTS", "1")];
    let test_server = TestServer::start_live(vec![], &[settings, &limits].concat()).await;
    // The operator registers the node; the program gets the token.
    let added = post(&test_server, "/api/v1/nodes", json!({"name": "theirs", "push_url": "http://127.0.0.1:1"})).await;
    let register = json!({
        "join_token": added["join_token"], "protocol": "1.0", "version": "theirs", "capacity": 1, "labels": [],
    });
    let known = post(&test_server, "/api/v1/nodes/register", register).await;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/third_party_node.py");
    let mut child = Command::new("python3")
        .args([script, test_server.url("").trim_end_matches('/'), known["token"].as_str().unwrap(), behaviour])
        .args(more)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let port = lines.next().unwrap().unwrap();
    let printed = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&printed);
    std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| sink.lock().unwrap().push(line)));
    let change = json!({"push_url": format!("http://127.0.0.1:{port}")});
    let path = format!("/api/v1/nodes/{}", known["node_id"].as_str().unwrap());
    let changed = test_server.send(Request::patch(test_server.url(&path)).json(&change)).await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    (test_server, Program { child, printed }, known["node_id"].as_str().unwrap().to_owned())
}

async fn fix(test_server: &TestServer, words: &str, id: u64) -> Job {
    let payload = TestServer::comment(words, "alice", id).to_string();
    let answer = test_server.deliver("issue_comment", &payload, &format!("d-{id}")).await;
    let id = accepted(&answer);
    test_server
        .wait_until("the job ends", async || {
            let job = test_server.app().engine.job(id).await.unwrap();
            job.is_some_and(|job| job.status().is_terminal())
        })
        .await;
    test_server.expect_end(id).await
}

async fn tasks(test_server: &TestServer, job: &Job) -> Vec<Value> {
    let page: Value = test_server.get(&format!("/api/v1/tasks?job={}", job.id)).await.json().unwrap();
    page["items"].as_array().unwrap().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_d4_a_node_that_knows_the_eight_fields_only_makes_a_pull_request_and_a_follow_up() {
    let (test_server, program) = start("success", &["--health"]).await;
    let job = fix(&test_server, "@patchwright fix", 1).await;
    assert_eq!(job.status(), JobStatus::Succeeded, "{:?}\n{}", job.failure, program.printed());
    assert_eq!(job.verdict, Some(Verdict::NotRun), "nothing is claimed");
    let pulls = test_server.github.pulls();
    assert_eq!((pulls.len(), pulls[0].1.as_str()), (1, job.branch.as_str()), "it is from the job's own branch");
    let file = test_server.git.git(REPO, &["show", &format!("{}:calc.py", job.branch)]);
    assert!(file.contains("a + b") && file.contains("# process issue #42"), "{file}");
    let task = tasks(&test_server, &job).await.remove(0);
    assert_eq!((&task["status"], &task["result_branch"]), (&json!("success"), &json!("feature/issue-42")), "{task}");
    let next = fix(&test_server, "@patchwright fix and keep `double`", 2).await;
    assert_eq!((next.status(), &next.branch), (JobStatus::Succeeded, &job.branch), "{:?}", next.failure);
    let file = test_server.git.git(REPO, &["show", &format!("{}:calc.py", job.branch)]);
    assert!(file.contains("# process issue #42: and keep `double`"), "fault D2: the instructions reach it: {file}");
    assert_eq!(test_server.github.pulls().len(), 1);
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_d4_the_branch_of_a_node_is_tested_here_where_a_sandbox_holds() {
    let (test_server, program, node) = start_with("success", &["--health"], &[]).await;
    let issue = test_server
        .app()
        .engine
        .import_issues(&patchwright_domain::PlatformId::from_static("github"), &REPO.parse().unwrap())
        .await;
    assert!(issue.is_ok(), "{issue:?}");
    let listed: Value = test_server.get("/api/v1/issues").await.json().unwrap();
    let issue = listed["items"].as_array().unwrap().iter().find(|issue| issue["number"] == 42).unwrap();
    let path = format!("/api/v1/issues/{}/start", issue["id"].as_str().unwrap());
    let started = post(&test_server, &path, json!({"node_id": node})).await;
    let id = started["job_id"].as_str().unwrap().parse().unwrap();
    test_server
        .wait_until("the job ends", async || {
            let job = test_server.app().engine.job(id).await.unwrap();
            job.is_some_and(|job| job.status().is_terminal())
        })
        .await;
    let job = test_server.expect_end(id).await;
    assert_eq!(job.status(), JobStatus::Succeeded, "{:?}\n{}", job.failure, program.printed());
    assert_eq!(job.verdict, Some(Verdict::FixedProven), "{:#?}", job.verified());
    let tasks = tasks(&test_server, &job).await;
    let nodes: Vec<_> = tasks.iter().rev().map(|task| (&task["node_id"], &task["status"])).collect();
    assert_eq!(nodes, [(&json!(node), &json!("success")), (&json!("embedded"), &json!("success"))]);
    let tip = test_server.git.git(REPO, &["rev-parse", job.branch.as_str()]);
    assert_eq!(job.fixed().unwrap().commit.as_str(), tip, "the node's own commit is what was tested");
    assert!(job.fixed().unwrap().diff.contains("+    return a + b"), "{}", job.fixed().unwrap().diff);
    assert!(test_server.github.pulls().len() == 1 && job.published.ready, "a proven fix is ready for review");
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_d3_a_change_is_found_by_its_tree_whatever_else_is_there() {
    for (behaviour, changed) in [("mode", ":100644 100755"), ("build folder", "build/table.txt")] {
        let (test_server, program) = start(behaviour, &["--health"]).await;
        let large = "0123456789abcde\n".repeat(5 * 1024 * 1024 / 16);
        test_server.git.commit(REPO, "A table", &[("data/table.txt", Some(&large))]);
        let job = fix(&test_server, "@patchwright fix", 1).await;
        assert_eq!(job.status(), JobStatus::Succeeded, "{behaviour}: {:?}\n{}", job.failure, program.printed());
        let raw = test_server.git.git(REPO, &["diff", "--raw", "main", job.branch.as_str()]);
        assert!(raw.lines().count() == 1 && raw.contains(changed), "{behaviour}: {raw}");
        test_server.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_d4_a_node_that_reports_twice_is_heard_once_and_its_words_are_shown() {
    let (test_server, program) = start("double report", &[]).await;
    let job = fix(&test_server, "@patchwright fix", 1).await;
    assert_eq!(job.status(), JobStatus::Succeeded, "{:?}", job.failure);
    test_server.wait_until("both are answered", async || program.printed().matches("reported 200").count() == 2).await;
    assert_eq!(test_server.github.pulls().len(), 1);
    test_server.finish().await;

    let (test_server, _program) = start("failure", &[]).await;
    let job = fix(&test_server, "@patchwright fix", 1).await;
    assert_eq!((job.status(), job.failure.unwrap().reason.as_str()), (JobStatus::Failed, "no idea, sorry"));
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_d4_what_a_node_says_wrongly_is_found_out_and_said_to_it() {
    for (behaviour, why) in [
        ("protected file", "CI configuration"),
        ("no change", "changes nothing"),
        ("branch of somebody else", "is not the task's"),
        ("branch that does not exist", "feature/nowhere"),
    ] {
        let (test_server, program) = start(behaviour, &["--health"]).await;
        let payload = TestServer::comment("@patchwright fix", "alice", 1).to_string();
        test_server.deliver("issue_comment", &payload, "d").await;
        test_server.wait_until(behaviour, async || program.printed().contains("refused 422")).await;
        assert!(program.printed().contains(why), "{behaviour}: {}", program.printed());
        assert!(test_server.github.pulls().is_empty(), "{behaviour}");
        assert_eq!(
            test_server.git.git(REPO, &["rev-parse", "main"]),
            test_server.git.git(REPO, &["rev-parse", "HEAD"])
        );
        test_server.abandon().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fault_d4_a_node_that_says_nothing_loses_its_task_after_the_limit_and_not_before() {
    let (test_server, _program) = start("silence", &[]).await;
    let payload = TestServer::comment("@patchwright fix", "alice", 1).to_string();
    let id = accepted(&test_server.deliver("issue_comment", &payload, "d").await);
    let store = &test_server.app().store;
    test_server.wait_until("the node has it", async || !store.open_tasks(id).await.unwrap().is_empty()).await;
    test_server
        .wait_until("the task is lost", async || {
            let page: Value = test_server.get(&format!("/api/v1/tasks?job={id}")).await.json().unwrap();
            page["items"].as_array().unwrap().iter().any(|task| task["status"] == "failed")
        })
        .await;
    let page: Value = test_server.get(&format!("/api/v1/tasks?job={id}")).await.json().unwrap();
    let failed = page["items"].as_array().unwrap().iter().find(|task| task["status"] == "failed");
    let task = failed.unwrap_or_else(|| panic!("{page}")).clone();
    let time = |name: &str| task[name].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let lasted = time("completed_at").duration_since(time("created_at"));
    assert!(lasted.as_secs() >= 3, "it had the silent limit, which is longer than a lease: {lasted}");
    assert!(task["error_message"].as_str().unwrap().starts_with("node_lost"), "{task}");
    test_server.abandon().await;
}
