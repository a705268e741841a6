//! Jira Cloud, from a label to Done: a real server beside a site that behaves like Atlassian's.

use patchwright_core::Secret;
use patchwright_core::jira::{JiraInbox as _, JiraUsers as _};
use patchwright_core::webhook::SigningKeys;
use patchwright_domain::job::report::Verdict;
use patchwright_domain::{Job, JobStatus};
use patchwright_http::{Request, Response};
use patchwright_testkit::server::{JIRA_APPLICATION, JIRA_SERVICE, JIRA_SITE, JiraServer, Script};
use serde_json::{Value, json};

use super::accounts_fixture::{Caller, Method};
use crate::harness::{FILES, REPO, TestServer, follow_up_answers, good_answers};

/// The secret that the site signs with.
pub(super) const SECRET: &str = "jira-webhook-secret-canary-0123";
/// A user of the site, and of the server.
pub(super) const MIA: &str = "557058:mia-krystof";

/// A server and a site, and an administrator who has added the site and linked their account.
pub(super) struct Site {
    pub(super) test_server: TestServer,
    pub(super) jira: JiraServer,
    pub(super) mia: Caller,
    pub(super) workspace: String,
}

impl Site {
    pub(super) async fn start(script: Vec<Script>) -> Self {
        Self::start_with(script, &[]).await
    }

    /// All set up, with the repository known and the issue PROJ-12 open.
    pub(super) async fn start_with(script: Vec<Script>, settings: &[(&str, &str)]) -> Self {
        let site = Self::unlinked(script, settings).await;
        let linked = site.link(&site.mia, MIA).await;
        assert_eq!(linked.status, 200, "{}", linked.text());
        site
    }

    /// Does the same without a link.
    pub(super) async fn unlinked(script: Vec<Script>, settings: &[(&str, &str)]) -> Self {
        let jira = JiraServer::start();
        jira.add_person(MIA, "Mia Krystof");
        jira.open_issue("10042", "PROJ-12", "add() subtracts", "{{add(1, 2)}} is -1.\r\n\r\nh3. Expected\r\n3");
        let own = jira.settings();
        let mut all: Vec<(&str, &str)> = own.iter().map(|(name, value)| (*name, value.as_str())).collect();
        all.extend(settings);
        let test_server = TestServer::start_with(script, &all).await;
        test_server.add_user(&Caller::default(), "mia", "admin").await;
        let mia = test_server.session("mia").await;
        let added = test_server
            .ask(&mia, Method::Post, "/api/v1/repositories", Some(&json!({"platform": "github", "name": REPO})))
            .await;
        assert_eq!(added.status, 201, "{}", added.text());
        let site = json!({
            "name": JIRA_SITE, "webhook_secret": SECRET, "svc_acc_email": JIRA_SERVICE.0, "svc_acc_api_key": JIRA_SERVICE.1,
        });
        let added = test_server.ask(&mia, Method::Post, "/api/v1/jira/workspaces", Some(&site)).await;
        assert_eq!(added.status, 201, "{}", added.text());
        let workspace = added.json::<Value>().unwrap()["id"].as_str().unwrap().to_owned();
        Self { test_server, jira, mia, workspace }
    }

    /// A user links their account in their browser.
    pub(super) async fn link(&self, by: &Caller, account: &str) -> Response {
        let back = self.begin_link(by, account).await;
        self.test_server.ask(by, Method::Get, &back, None).await
    }

    /// Follows the redirect to Atlassian and consents; returns the callback URL.
    pub(super) async fn begin_link(&self, by: &Caller, account: &str) -> String {
        let path = format!("/api/v1/jira/link?workspace={JIRA_SITE}");
        let sent = self.test_server.ask(by, Method::Get, &path, None).await;
        assert_eq!(sent.status, 302, "{}", sent.text());
        let back = self.jira.consent(sent.header("location").unwrap(), account);
        back.strip_prefix("https://patchwright.example").unwrap().to_owned()
    }

    /// Posts a delivery as the site does.
    pub(super) async fn deliver(&self, (id, body): &(String, String)) -> Response {
        let keys = SigningKeys::new([&Secret::new(SECRET)]);
        let signature = keys.sign(body.as_bytes()).unwrap();
        self.test_server.send(self.delivery(id, body).header("x-hub-signature", signature)).await
    }

    /// Returns a delivery without its signature.
    pub(super) fn delivery(&self, id: &str, body: &str) -> Request {
        Request::post(self.test_server.url("/api/jira/webhook"))
            .raw_json(body.to_owned())
            .header("x-atlassian-webhook-identifier", id)
            .header("x-atlassian-webhook-flow", "Primary")
    }

    /// Mia comments, and the site sends the delivery.
    pub(super) async fn comment(&self, body: impl Into<Value>) -> Response {
        self.deliver(&self.jira.comment(MIA, "PROJ-12", body)).await
    }

    /// Waits until all events, jobs and effects are processed, and delivers the site's events about the server's own
    /// actions.
    pub(super) async fn settle(&self) {
        loop {
            self.test_server.run_until_idle().await;
            let reply = self.jira.deliveries();
            if reply.is_empty() {
                return;
            }
            for delivery in &reply {
                let answer = self.deliver(delivery).await;
                assert_eq!(answer.status, 200, "our own doings start nothing: {} {}", answer.text(), delivery.1);
            }
        }
    }

    /// All jobs, oldest first.
    pub(super) async fn jobs(&self) -> Vec<Job> {
        use patchwright_core::query::{JobFilter, Queries as _};
        let filter = JobFilter { limit: 50, ..JobFilter::default() };
        let app = self.test_server.app();
        let mut jobs = Vec::new();
        for summary in app.store.jobs(filter).await.unwrap().into_iter().rev() {
            jobs.push(app.engine.job(summary.id).await.unwrap().unwrap());
        }
        jobs
    }

    pub(super) async fn finish(self) {
        self.settle().await;
        self.test_server.finish().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_label_becomes_a_pull_request_and_a_comment_goes_on_with_it_until_it_is_done() {
    let more = "def add(a, b):\n    return a + b\n\n\ndef double(a):\n    return a * 2\n\n\ndef triple(a):\n    return a * 3\n";
    let mut script = good_answers();
    script.extend(follow_up_answers(more));
    let states = [
        ("JIRA_STATUS_ON_START", "In Progress"),
        ("JIRA_STATUS_ON_PR", "in review"),
        ("JIRA_STATUS_ON_MERGE", "Done"),
        ("PUBLIC_URL", "https://patchwright.example"),
    ];
    let site = Site::start_with(script, &states).await;
    let (test_server, jira) = (&site.test_server, &site.jira);

    // The trigger label: one job, on the only repository.
    let answer = site.deliver(&jira.add_label(MIA, "PROJ-12", "patchwright")).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    site.settle().await;
    let [first] = &site.jobs().await[..] else { panic!("there is one job") };
    assert_eq!(
        (first.status(), first.verdict),
        (JobStatus::Succeeded, Some(Verdict::FixedProven)),
        "{:?}",
        first.failure
    );
    assert_eq!(first.trigger.actor, "mia");
    assert!(first.branch.as_str().starts_with("agent/fix-PROJ-12-"), "{}", first.branch);
    let branch = first.branch.to_string();
    assert_eq!(
        test_server.github.pulls(),
        [("[PROJ-12] add() subtracts".to_owned(), branch.clone(), "main".to_owned(), false)]
    );
    let message = test_server.git.git(REPO, &["log", "-1", "--format=%s", &branch]);
    assert_eq!(message, "Fix for PROJ-12: add() subtracts");
    let panel = test_server.github.panels(700).pop().unwrap();
    assert!(panel.contains(&format!("For PROJ-12 (https://{JIRA_SITE}/browse/PROJ-12)")), "{panel}");

    // In Jira: one comment that was updated after each stage, and one with the result; both in wiki markup.
    let comments = jira.comments_with_edits("PROJ-12");
    assert_eq!(comments.len(), 2, "{comments:#?}");
    let (progress, edits) = &comments[0];
    assert!(*edits >= 4 && progress.contains("||stage||state||time||tokens||"), "{edits}: {progress}");
    assert!(progress.contains(&format!("https://patchwright.example/jobs/{}", first.id)), "{progress}");
    let result = &comments[1].0;
    assert!(result.starts_with("*patchwright*: Fixed, and tests show it"), "{result}");
    assert!(result.contains("/pull/700]") && !result.contains("<!--") && !result.contains("**"), "{result}");
    assert_eq!(jira.status_of("PROJ-12"), "In Review");
    assert_eq!(jira.links().len(), 1, "the issue is linked to the pull request");
    assert_eq!(
        test_server.github.comments_on(42),
        Vec::<String>::new(),
        "the forge's issue of that number is another one"
    );

    // The view in this server.
    let shown: Value = test_server.ask(&site.mia, Method::Get, "/api/v1/issues", None).await.json().unwrap();
    let issue = &shown["items"][0];
    assert_eq!(
        (&issue["key"], &issue["status"], &issue["number"]),
        (&"PROJ-12".into(), &"pending_merge".into(), &12.into())
    );
    assert_eq!(issue["url"], format!("https://{JIRA_SITE}/browse/PROJ-12"));
    assert_eq!(issue["body"], "`add(1, 2)` is -1.\n\n### Expected\n\n3");

    // A comment of the same user, picked from Jira's list, continues the same branch and pull request.
    jira.describe("PROJ-12", "And triple.".into());
    let mention = format!("[~accountid:{}] add triple\\(\\) too", JIRA_SERVICE.2);
    let answer = site.comment(mention).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    site.settle().await;
    let jobs = site.jobs().await;
    let [_, second] = &jobs[..] else { panic!("there are two jobs: {jobs:#?}") };
    assert_eq!(second.status(), JobStatus::Succeeded, "{:?}", second.failure);
    assert_eq!(second.branch.to_string(), branch);
    assert_eq!(second.trigger.instructions.as_deref(), Some("Mia Krystof adds: add triple() too"));
    assert_eq!(test_server.github.pulls().len(), 1, "there is one pull request");
    assert_eq!(test_server.git.git(REPO, &["rev-list", "--count", &format!("main..{branch}")]), "2");
    let asked = test_server.llm.asked();
    assert!(asked[3].to_string().contains("And triple."), "the text as it is now goes to the model: {}", asked[3]);
    assert_eq!(jira.status_of("PROJ-12"), "In Review");

    // The merge changes the status of the issue.
    let merged = json!({
        "action": "closed", "number": 700, "pull_request": {"merged": true, "head": {"ref": branch}},
        "repository": {"name": "demo", "owner": {"login": "acme"}},
    });
    test_server.deliver("pull_request", &merged.to_string(), "merge-1").await;
    site.settle().await;
    assert_eq!(jira.status_of("PROJ-12"), "Done");
    let shown: Value = test_server.ask(&site.mia, Method::Get, "/api/v1/issues", None).await.json().unwrap();
    assert_eq!(shown["items"][0]["status"], "merged");
    let conversations: Value =
        test_server.ask(&site.mia, Method::Get, "/api/v1/jira/conversations", None).await.json().unwrap();
    assert_eq!(conversations["items"].as_array().unwrap().len(), 1, "all of it was one conversation: {conversations}");
    site.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_documents_for_texts_it_is_the_same() {
    let site = Site::start_with(good_answers(), &[("JIRA_API_VERSION", "3")]).await;
    site.jira.describe("PROJ-12", json!({"type": "doc", "version": 1, "content": [
        {"type": "paragraph", "content": [{"type": "text", "text": "add(1, 2)", "marks": [{"type": "code"}]}, {"type": "text", "text": " is -1."}]},
    ]}));
    let mention = json!({"type": "doc", "version": 1, "content": [{"type": "paragraph", "content": [
        {"type": "mention", "attrs": {"id": JIRA_SERVICE.2, "text": "@Patchwright"}}, {"type": "text", "text": " fix"},
    ]}]});
    let answer = site.comment(mention).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    site.settle().await;
    let [job] = &site.jobs().await[..] else { panic!("there is one job") };
    assert_eq!(job.verdict, Some(Verdict::FixedProven), "{:?}", job.failure);
    let comments = site.jira.comments_on("PROJ-12");
    assert_eq!(comments.len(), 2);
    let document: Value = serde_json::from_str(&comments[1]).unwrap();
    assert_eq!((&document["type"], &document["content"][0]["type"]), (&"doc".into(), &"paragraph".into()));
    assert!(site.test_server.llm.asked()[0].to_string().contains("`add(1, 2)` is -1."));
    site.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_repository_is_asked_for_once_and_the_answer_goes_on() {
    let site = Site::start(good_answers()).await;
    site.test_server.git.make("acme/other", FILES);
    let other = json!({"platform": "github", "name": "acme/other"});
    let added = site.test_server.ask(&site.mia, Method::Post, "/api/v1/repositories", Some(&other)).await;
    assert_eq!(added.status, 201, "{}", added.text());
    assert_eq!(site.comment("@patchwright only the sign, please").await.status, 202);
    site.settle().await;
    let comments = site.jira.comments_on("PROJ-12");
    assert_eq!(comments.len(), 1, "{comments:?}");
    assert!(
        comments[0].contains("Which repository contains") && comments[0].contains("{{acme/other}}"),
        "{}",
        comments[0]
    );
    assert_eq!(site.comment("@patchwright please").await.status, 202);
    site.settle().await;
    assert_eq!(site.jira.comments_on("PROJ-12").len(), 1, "it is asked once");
    let unknown = format!("it is {}/evil/thing", site.test_server.git.url());
    assert_eq!(site.comment(unknown.as_str()).await.status, 202);
    site.settle().await;
    assert!(site.jira.comments_on("PROJ-12")[1].contains("is not available on this server"));
    assert!(site.jobs().await.is_empty());
    // The answer to a question needs no mention.
    assert_eq!(site.comment("acme/demo").await.status, 202);
    site.settle().await;
    let [job] = &site.jobs().await[..] else { panic!("there is one job") };
    assert_eq!((job.source.repo.to_string().as_str(), job.verdict), (REPO, Some(Verdict::FixedProven)));
    assert!(
        job.trigger.instructions.as_deref().unwrap().ends_with("writes: only the sign, please"),
        "{:?}",
        job.trigger
    );
    let unasked = site.comment("thanks, acme/other is fine too").await;
    assert!(unasked.text().contains("is not a request to the app"), "{}", unasked.text());
    site.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_projects_repository_is_known_and_a_named_one_goes_before_it() {
    let site = Site::start(vec![]).await;
    site.test_server.git.make("acme/other", FILES);
    let other = json!({"platform": "github", "name": "acme/other"});
    site.test_server.ask(&site.mia, Method::Post, "/api/v1/repositories", Some(&other)).await;
    let path = format!("/api/v1/jira/workspaces/{}/projects/PROJ", site.workspace);
    let mapped = site
        .test_server
        .ask(&site.mia, Method::Post, &path, Some(&json!({"platform": "github", "repository": "Acme/Other"})))
        .await;
    assert_eq!((mapped.status, mapped.json::<Value>().unwrap()["repository"].as_str().unwrap()), (200, "acme/other"));
    let unknown = json!({"platform": "github", "repository": "acme/nothing"});
    assert_eq!(site.test_server.ask(&site.mia, Method::Post, &path, Some(&unknown)).await.status, 400);
    for (key, id) in [("PROJ-13", "10043"), ("PROJ-14", "10044")] {
        site.jira.open_issue(id, key, "Something else", "");
    }
    assert_eq!(site.deliver(&site.jira.comment(MIA, "PROJ-13", "@patchwright fix")).await.status, 202);
    site.settle().await;
    assert_eq!(site.deliver(&site.jira.comment(MIA, "PROJ-14", "@patchwright fix, in acme/demo")).await.status, 202);
    site.settle().await;
    let repos: Vec<String> = site.jobs().await.iter().map(|job| job.source.repo.to_string()).collect();
    assert_eq!(repos, ["acme/other", "acme/demo"]);
    assert_eq!(site.test_server.ask(&site.mia, Method::Delete, &path, None).await.status, 204);
    assert_eq!(site.test_server.ask(&site.mia, Method::Delete, &path, None).await.status, 404);
    site.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_happens_the_issue_is_told_and_told_once() {
    // The response to every write is lost once, and the site limits the rate.
    let site = Site::start_with(good_answers(), &[("RETRY_WAIT", "1")]).await;
    let jira = &site.jira;
    jira.lose_answer_of_next("/comment");
    jira.answer_next("/comment", 429, &[("retry-after", "1")], json!({}));
    jira.lose_answer_of_next("/remotelink");
    assert_eq!(site.comment("@patchwright fix").await.status, 202);
    site.settle().await;
    let [job] = &site.jobs().await[..] else { panic!("there is one job") };
    assert_eq!(job.verdict, Some(Verdict::FixedProven));
    assert_eq!(jira.comments_on("PROJ-12").len(), 2, "{:#?}", jira.comments_on("PROJ-12"));
    assert_eq!(jira.links().len(), 1);
    site.finish().await;

    // A job that fails, and one that is cancelled.
    let site = Site::start(vec![Script::Silence(std::time::Duration::from_secs(60))]).await;
    assert_eq!(site.comment("@patchwright fix").await.status, 202);
    let work = site.test_server.run_aside();
    site.test_server.llm.wait_for_requests(1).await;
    assert_eq!(site.comment("@patchwright cancel").await.status, 202);
    site.test_server.run_due().await;
    work.await.unwrap();
    site.settle().await;
    let comments = site.jira.comments_on("PROJ-12");
    assert!(
        comments.iter().any(|comment| comment.starts_with("*patchwright*: The job was cancelled.")),
        "{comments:#?}"
    );
    assert!(comments.iter().any(|comment| comment.contains("{{@patchwright retry}}")), "{comments:#?}");
    site.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_workflow_that_forbids_it_stops_nothing() {
    let site = Site::start_with(good_answers(), &[("JIRA_STATUS_ON_PR", "Released")]).await;
    assert_eq!(site.comment("@patchwright fix").await.status, 202);
    site.settle().await;
    let [job] = &site.jobs().await[..] else { panic!("there is one job") };
    assert_eq!((job.status(), &job.published.problem), (JobStatus::Succeeded, &None));
    assert_eq!(site.jira.status_of("PROJ-12"), "To Do");
    site.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn comments_carry_the_persons_name_where_that_is_wished() {
    let site = Site::start_with(good_answers(), &[("JIRA_WRITE_AS", "user")]).await;
    assert_eq!(site.jira.scopes(), "read:me read:jira-user read:jira-work write:jira-work offline_access");
    // The token expires and is refreshed; then the user's grant ends and the service account is used.
    site.jira.end_access_tokens();
    let answer = site.comment("@patchwright fix").await;
    assert_eq!(answer.status, 202);
    site.settle().await;
    assert_eq!(site.jobs().await[0].verdict, Some(Verdict::FixedProven));
    assert_eq!(site.jira.refreshed(), 1, "one exchange for all calls");
    let authors = site.jira.authors_on("PROJ-12");
    assert_eq!(authors, [MIA, MIA]);
    site.jira.end_grants();
    assert_eq!(site.comment("@patchwright status").await.status, 202);
    site.settle().await;
    assert_eq!(site.jira.authors_on("PROJ-12").last().unwrap(), JIRA_SERVICE.2);
    let links = site.test_server.app().vault.links(None).await.unwrap();
    assert!(site.test_server.app().vault.tokens(links[0].id).await.unwrap().is_none(), "what is spent is not kept");
    site.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_of_jira_is_anywhere_that_people_or_thieves_could_look() {
    let site = Site::start_with(good_answers(), &[("JIRA_WRITE_AS", "user")]).await;
    site.comment("@patchwright fix").await;
    site.settle().await;
    let seen = format!(
        "{} {} {} {}",
        site.jira.everything_visible(),
        site.test_server.github.everything_visible(),
        serde_json::to_string(&site.test_server.llm.asked()).unwrap(),
        site.test_server.data_on_disk(),
    );
    for path in ["/api/v1/jira/workspaces", "/api/v1/jira/links", "/api/v1/jira/status", "/api/v1/audit"] {
        let shown = site.test_server.ask(&site.mia, Method::Get, path, None).await.text();
        for secret in [SECRET, JIRA_SERVICE.1, JIRA_APPLICATION.1, "access-canary", "refresh-canary"] {
            assert!(!seen.contains(secret) && !shown.contains(secret), "{secret} was found");
        }
    }
    site.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_outlives_a_restart_and_a_moved_issue() {
    let mut script = good_answers();
    script.extend(good_answers());
    let mut site = Site::start(script).await;
    site.comment("@patchwright fix").await;
    site.settle().await;
    site.test_server.restart().await;
    site.jira.move_issue("PROJ-12", "OTHER-3");
    assert_eq!(site.deliver(&site.jira.comment(MIA, "OTHER-3", "@patchwright fix more")).await.status, 202);
    site.settle().await;
    let jobs = site.jobs().await;
    assert_eq!(jobs.len(), 2);
    assert_eq!((jobs[1].issue_id, &jobs[1].branch), (jobs[0].issue_id, &jobs[0].branch), "it is the same issue");
    assert_eq!(jobs[1].source.name(), "OTHER-3");
    let conversations = site.test_server.app().vault.conversations(10).await.unwrap();
    assert_eq!(conversations.iter().map(|c| c.issue_key.as_str()).collect::<Vec<_>>(), ["OTHER-3"]);
    site.finish().await;
}
