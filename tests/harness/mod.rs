//! One running Patchwright with everything around it: GitHub, git and the model, all over real HTTP.
//!
//! The server's work is driven by hand: nothing happens behind a test's back but the requests that it sends, and
//! [`TestServer::run_until_idle`] returns when everything that is due is done. What is scheduled for later, such as a
//! retry, comes at once, because the clock is moved to it. Dropping a server asserts that nothing is left in its outbox.

mod log;

use std::time::Duration;

use patchwright_core::Secret;
use patchwright_core::query::{JobFilter, Queries as _};
use patchwright_core::store::Store as _;
use patchwright_core::webhook::SigningKeys;
use patchwright_domain::{Job, JobId};
use patchwright_http::{HttpClient, HttpOptions, Request, Response, Retry};
use patchwright_server::compose::{App, Overrides, compose};
use patchwright_server::config::{Config, Layers};
use patchwright_server::serve::Server;
use patchwright_testkit::server::{GITCODE_TOKEN, GitServer, GitcodeServer, GithubServer, LlmServer, Script, TOKEN};
use serde_json::{Value, json};

pub(crate) use log::ProcessLog;

/// The webhook's secret.
pub(crate) const SECRET: &str = "webhook-secret-canary-9876543210";
/// The repository of every scenario.
pub(crate) const REPO: &str = "acme/demo";
/// Work that is due later than this is not advanced to, such as a plan that waits for approval.
const MAX_SCHEDULE: Duration = Duration::from_secs(3600);

/// A small Python library with a bug and a failing test.
pub(crate) const FILES: &[(&str, &str)] = &[
    ("README.md", "# demo\n"),
    ("calc.py", "def add(a, b):\n    return a - b\n\n\ndef double(a):\n    return a * 2\n"),
    ("tests/__init__.py", ""),
    (
        "tests/test_calc.py",
        "import unittest\n\nfrom calc import add, double\n\n\nclass CalcTest(unittest.TestCase):\n    def test_add(self):\n        self.assertEqual(add(1, 2), 3)\n\n    def test_double(self):\n        self.assertEqual(double(2), 4)\n",
    ),
];

/// The model's answers that fix it.
pub(crate) fn good_answers() -> Vec<Script> {
    let fixed = "def add(a, b):\n    return a + b\n\n\ndef double(a):\n    return a * 2\n";
    [analysis(), plan(&["calc.py"]), format!("```python\n{fixed}```")].into_iter().map(Script::Answer).collect()
}

/// The answers of a follow-up that changes `calc.py` as a whole: no test can show it, and the model says so.
pub(crate) fn follow_up_answers(file: &str) -> [Script; 4] {
    [analysis(), plan(&["calc.py"]), format!("```python\n{file}```"), "### finish There is nothing to test.".to_owned()]
        .map(Script::Answer)
}

pub(crate) fn analysis() -> String {
    let answer =
        json!({"analysis": "add subtracts", "candidate_files": ["calc.py"], "reasoning": "it is defined there"});
    format!("Sure:\n```json\n{answer}\n```")
}

pub(crate) fn plan(files: &[&str]) -> String {
    let changes: Vec<Value> =
        files.iter().map(|file| json!({"file": file, "description": "add instead of subtract"})).collect();
    let plan = json!({
        "root_cause": "`add` subtracts, cc @everyone", "fix_strategy": "Use + in add", "changes": changes,
        "risks": ["callers that relied on it"], "testing_suggestions": ["tests/test_calc.py"], "risk_level": "low",
    });
    format!("```json\n{plan}\n```")
}

/// The running components.
pub(crate) struct TestServer {
    pub(crate) git: GitServer,
    pub(crate) github: GithubServer,
    pub(crate) gitcode: GitcodeServer,
    pub(crate) llm: LlmServer,
    pub(crate) http: HttpClient,
    server: Option<Server>,
    folder: tempfile::TempDir,
    settings: Vec<(String, String)>,
    deliveries: u32,
    /// Whether loops take the server's work, as they do for a browser or a node that waits for what comes.
    live: bool,
    may_leave_work: bool,
}

impl TestServer {
    /// Starts everything, with the repository and issue #42, and `alice` with write access.
    pub(crate) async fn start(script: Vec<Script>) -> Self {
        Self::start_with(script, &[]).await
    }

    /// Does the same with other settings.
    pub(crate) async fn start_with(script: Vec<Script>, settings: &[(&str, &str)]) -> Self {
        Self::start_as(script, settings, false).await
    }

    /// The same with a server that works by itself, for whoever watches it live.
    pub(crate) async fn start_live(script: Vec<Script>, settings: &[(&str, &str)]) -> Self {
        Self::start_as(script, settings, true).await
    }

    async fn start_as(script: Vec<Script>, settings: &[(&str, &str)], live: bool) -> Self {
        patchwright_http::install_tls();
        let git = GitServer::start();
        git.make(REPO, FILES);
        let github = GithubServer::start(git.path("x").parent().unwrap().to_owned());
        github.open_issue(REPO, 42, "add() subtracts", "`add(1, 2)` is -1.");
        github.permit("alice", "write");
        let gitcode = GitcodeServer::start(git.path("x").parent().unwrap().to_owned());
        gitcode.open_issue(REPO, 42, "add() subtracts", "`add(1, 2)` is -1.");
        gitcode.permit("alice", "developer");
        let llm = LlmServer::start(script);
        let folder = tempfile::tempdir().unwrap();
        let own = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut all = vec![
            own("BIND", "127.0.0.1:0"),
            own("DATA_DIR", &folder.path().display().to_string()),
            own("WEBHOOK_SECRET", SECRET),
            own("GITHUB_TOKEN", TOKEN),
            own("GITHUB_API_URL", &github.url()),
            own("GITHUB_CLONE_URL", &git.url()),
            own("GITCODE_TOKEN", GITCODE_TOKEN),
            own("GITCODE_API_URL", &gitcode.url()),
            own("GITCODE_CLONE_URL", &git.url()),
            own("LLM_BASE_URL", &llm.url()),
            own("LLM_API_KEY", "sk-canaryCanaryCanaryCanary0123"),
            own("SANDBOX", "best-effort"),
            own("MAX_ATTEMPTS", "1"),
            own("WORKERS", "1"),
            // It is fetched beside the first job, and would be there for the next one or not.
            own("GIT_HISTORY", "0"),
            own("PATH", &std::env::var("PATH").unwrap()),
        ];
        for (name, value) in settings {
            all.retain(|(known, _)| known != name);
            all.push(own(name, value));
        }
        let http = HttpClient::new(&HttpOptions::default()).unwrap();
        let mut test_server = Self {
            git,
            github,
            gitcode,
            llm,
            http,
            server: None,
            folder,
            settings: all,
            deliveries: 0,
            live,
            may_leave_work: false,
        };
        test_server.restart().await;
        test_server
    }

    /// Stops the server, if it runs, and starts it on the same data.
    pub(crate) async fn restart(&mut self) {
        self.stop().await;
        let layers = Layers { env: self.settings.clone(), ..Layers::default() };
        let config = Config::load(&layers).unwrap();
        let overrides = Overrides { manual: !self.live, ..Overrides::default() };
        let server = Server::start(config, overrides).await.unwrap();
        self.server = Some(server);
    }

    /// Does the same with further settings.
    pub(crate) async fn restart_with(&mut self, settings: &[(&str, &str)]) {
        self.settings.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        self.restart().await;
    }

    /// Composes a second server on the same data, without its loops.
    pub(crate) async fn another(&self) -> App {
        let layers = Layers { env: self.settings.clone(), ..Layers::default() };
        compose(&Config::load(&layers).unwrap(), Overrides::default()).await.unwrap()
    }

    /// Returns the address of `/metrics` of its own.
    pub(crate) fn metrics_address(&self) -> std::net::SocketAddr {
        self.server.as_ref().unwrap().metrics_address().unwrap()
    }

    /// Stops the server in an orderly way.
    pub(crate) async fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop().await.unwrap();
        }
    }

    /// Runs all work that is due or scheduled; the clock is advanced to what is scheduled.
    pub(crate) async fn run_until_idle(&self) {
        if self.live {
            return self.wait_until("nothing is left to do", async || self.is_idle().await).await;
        }
        let server = self.server.as_ref().unwrap();
        loop {
            server.run_until_idle().await.unwrap();
            let depth = self.app().store.queue_depth().await.unwrap();
            let now = server.app().engine.now();
            let due = server.app().store.next_due(now).await.unwrap();
            let Some(due) = due.filter(|_| depth.queued + depth.effects + depth.events + depth.requests > 0) else {
                return;
            };
            let wait = Duration::try_from(due.duration_since(now)).unwrap();
            if wait > MAX_SCHEDULE {
                return;
            }
            server.app().clock.advance(wait);
        }
    }

    /// Decides all requests that are due, and runs nothing else: jobs stay in the queue.
    pub(crate) async fn admit(&self) {
        while self.app().engine.admit_next().await.unwrap().is_some() {}
    }

    /// Runs the work that is due now.
    pub(crate) async fn run_due(&self) {
        self.server.as_ref().unwrap().run_until_idle().await.unwrap();
    }

    /// Advances the clock, then runs all work that is due or scheduled.
    pub(crate) async fn advance(&self, by: Duration) {
        self.app().clock.advance(by);
        self.run_until_idle().await;
    }

    /// Runs the due work concurrently with the test.
    pub(crate) fn run_aside(&self) -> tokio::task::JoinHandle<()> {
        let work = self.server.as_ref().unwrap().run_until_idle();
        tokio::spawn(async move {
            work.await.unwrap();
        })
    }

    /// Whether nothing is queued, running or waiting for delivery.
    async fn is_idle(&self) -> bool {
        let depth = self.app().store.queue_depth().await.unwrap();
        depth.requests + depth.queued + depth.running + depth.effects + depth.events == 0
    }

    /// Waits for a condition on a live server, which is evaluated after each write of the engine.
    pub(crate) async fn wait_until(&self, what: &str, mut is_so: impl AsyncFnMut() -> bool) {
        let mut writes = self.app().engine.subscribe();
        let waiting = async {
            while !is_so().await {
                // Other processes, and the end of a delivery, do not notify.
                let _ = tokio::time::timeout(Duration::from_millis(200), writes.changed()).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(120), waiting).await;
        assert!(waited.is_ok(), "timed out: {what}");
    }

    /// Ends the scenario after all work is done: none may be left.
    pub(crate) async fn finish(mut self) {
        self.run_until_idle().await;
        let depth = self.app().store.queue_depth().await.unwrap();
        assert_eq!(
            (depth.requests, depth.queued, depth.running, depth.effects),
            (0, 0, 0, 0),
            "something is left undone"
        );
        self.stop().await;
    }

    /// Ends the scenario with work left: no workers run here.
    pub(crate) async fn abandon(mut self) {
        self.may_leave_work = true;
        self.stop().await;
    }

    /// Returns the composed application.
    pub(crate) fn app(&self) -> &App {
        self.server.as_ref().unwrap().app()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.server.as_ref().unwrap().address())
    }

    /// The payload of a new comment on issue #42, in GitHub's shape.
    pub(crate) fn comment(body: &str, by: &str, id: u64) -> Value {
        json!({
            "action": "created",
            "issue": {
                "url": "https://api.github.invalid/repos/acme/demo/issues/42", "id": 444, "node_id": "I_1",
                "number": 42, "title": "add() subtracts", "state": "open", "labels": [], "assignees": [],
                "user": {"login": "alice", "id": 1, "type": "User"},
                "body": "`add(1, 2)` is -1.", "html_url": "https://github.invalid/acme/demo/issues/42",
            },
            "comment": {
                "id": id, "body": body, "user": {"login": by, "id": 1, "type": "User"},
                "author_association": "MEMBER", "performed_via_github_app": null,
            },
            "repository": {
                "id": 7, "name": "demo", "full_name": "acme/demo", "private": true,
                "owner": {"login": "acme", "id": 2, "type": "Organization"}, "default_branch": "main",
                "clone_url": "http://169.254.169.254/evil.git",
            },
            "sender": {"login": by, "id": 1, "type": "User", "user_view_type": "public"},
        })
    }

    /// Posts a signed comment and returns the response.
    pub(crate) async fn post_comment(&mut self, body: &str) -> Response {
        self.deliveries += 1;
        let payload = Self::comment(body, "alice", u64::from(self.deliveries) + 900);
        self.deliver("issue_comment", &payload.to_string(), &format!("delivery-{}", self.deliveries)).await
    }

    /// Posts a signed delivery.
    pub(crate) async fn deliver(&self, event: &str, body: &str, id: &str) -> Response {
        let keys = SigningKeys::new([&Secret::new(SECRET)]);
        let signature = keys.sign(body.as_bytes()).unwrap();
        self.send(self.delivery(event, body, id).header("x-hub-signature-256", signature)).await
    }

    /// A delivery without its signature.
    pub(crate) fn delivery(&self, event: &str, body: &str, id: &str) -> Request {
        Request::post(self.url("/api/webhook"))
            .raw_json(body.to_owned())
            .header("x-github-event", event)
            .header("x-github-delivery", id)
    }

    pub(crate) async fn send(&self, request: Request) -> Response {
        self.http.send(request, Retry::Never).await.unwrap()
    }

    pub(crate) async fn get(&self, path: &str) -> Response {
        self.send(Request::get(self.url(path))).await
    }

    /// Runs all work, and returns the job, which must have ended.
    pub(crate) async fn expect_end(&self, id: JobId) -> Job {
        self.run_until_idle().await;
        let job = self.app().engine.job(id).await.unwrap().expect("the job is there");
        assert!(job.status().is_terminal(), "the job does not end: {job:#?}");
        job
    }

    /// Requests a fix and waits for its end.
    pub(crate) async fn fix(&mut self) -> Job {
        let answer = self.post_comment("@patchwright fix").await;
        assert_eq!(answer.status, 202, "{}", answer.text());
        self.expect_end(accepted(&answer)).await
    }

    /// Returns all secrets of the scenario, to search for.
    pub(crate) fn secrets() -> [&'static str; 4] {
        [SECRET, TOKEN, GITCODE_TOKEN, "sk-canaryCanaryCanaryCanary0123"]
    }

    /// Returns the data folder.
    pub(crate) fn data_dir(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Returns everything below the data folder as text.
    pub(crate) fn data_on_disk(&self) -> String {
        let mut out = String::new();
        let mut folders = vec![self.folder.path().to_owned()];
        while let Some(folder) = folders.pop() {
            // The folder of an ended job may be deleted meanwhile.
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                if entry.path().is_dir() {
                    folders.push(entry.path());
                } else {
                    out.push_str(&String::from_utf8_lossy(&std::fs::read(entry.path()).unwrap_or_default()));
                }
            }
        }
        out
    }
}

/// The job of an accepted delivery.
pub(crate) fn accepted(answer: &Response) -> JobId {
    let body: Value = answer.json().unwrap();
    assert_eq!(body["status"], "accepted", "{body}");
    body["job_id"].as_str().unwrap().parse().unwrap()
}

impl TestServer {
    /// Asserts that the help reply was posted, then ends the scenario.
    pub(crate) async fn finish_after_reply(self) {
        self.run_until_idle().await;
        let comments = self.github.comments_on(42);
        assert!(
            comments.iter().any(|comment| comment.contains("Comment on an issue with one of these commands")),
            "{comments:?}"
        );
        self.finish().await;
    }

    /// Runs all work, then asserts that the issue has at least so many comments.
    pub(crate) async fn expect_comments(&self, count: usize) {
        self.run_until_idle().await;
        let comments = self.github.comments_on(42);
        assert!(comments.len() >= count, "{comments:#?}");
    }

    /// Returns the newest job, which the events that came in until now have started.
    pub(crate) async fn expect_a_job(&self) -> JobId {
        self.newest_job().await.expect("there is a job")
    }

    pub(crate) async fn newest_job(&self) -> Option<JobId> {
        let jobs = self.app().store.jobs(JobFilter { limit: 1, ..JobFilter::default() }).await.unwrap();
        jobs.first().map(|job| job.id)
    }
}

impl Drop for TestServer {
    /// A story that ends without a word about what is left must leave nothing to be sent.
    fn drop(&mut self) {
        let Some(server) = self.server.take() else { return };
        if self.may_leave_work || std::thread::panicking() {
            return;
        }
        let store = server.app().store.clone();
        let depth = tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(store.queue_depth()));
        assert_eq!(depth.unwrap().effects, 0, "the outbox is not empty; `run_until_idle` before the end");
    }
}
