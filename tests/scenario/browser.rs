//! The pages in a real browser, as users use them.

use jiff::ToSpan as _;
use patchwright_core::accounts::Accounts as _;
use patchwright_core::store::{Step, Store as _};
use patchwright_core::task_log::TaskLogs as _;
use patchwright_domain::run_record::RunRecord;
use patchwright_domain::{JobId, JobStatus, TaskId, Usage};
use patchwright_testkit::server::Script;
use serde_json::{Value, json};

use super::accounts_fixture::{AccountsFixture, Caller, Method, PASSWORD, live_accounts_fixture};
use super::chromium::Browser;
use crate::harness::{REPO, TestServer, good_answers};

/// The longest time until a page is usable, in milliseconds, on a busy machine.
const INTERACTIVE: f64 = 3_000.0;

#[tokio::test(flavor = "multi_thread")]
async fn a_person_logs_in_starts_an_issue_watches_it_and_merges() {
    let Some(browser) = Browser::start().await else { return };
    let AccountsFixture { test_server, issue, .. } = live_accounts_fixture().await;
    let url = |path: &str| test_server.url(path);
    browser.go(&url(&format!("/issues/{issue}"))).await;
    browser.judge_everywhere("login").await;
    browser.log_in("olga", "a wrong password").await;
    browser.see("[role=alert]").await;
    browser.log_in("olga", PASSWORD).await;
    // The login leads to the requested page; the list is one step away.
    browser.read("h1", "add() subtracts").await;
    browser.press(".brand").await;
    browser.see("[data-live]:not([hidden])").await;
    browser.judge_everywhere("issues").await;
    browser.press("td button.start.pending").await;
    browser.read(".toast", "The job was started.").await;
    // The page is not reloaded: it updates itself.
    browser.run("window.samePage = true").await;
    browser.see("tr .chip.pending_merge").await;
    assert_eq!(browser.run("return window.samePage").await, true);
    browser.read("tr button.start", "Ready to merge").await;
    browser.press("td.what a").await;
    browser.read("[data-part=jobs] tbody .chip", "Succeeded").await;
    browser.read("[data-part=jobs] tbody .what", "Fixed: a test shows it").await;
    browser.press("[data-load] summary").await;
    browser.read("article.comment", "patchwright").await;
    browser.judge_everywhere("issue").await;
    browser.press("[data-part=actions] button.primary").await;
    browser.see(".meta .chip.merged").await;
    browser.press("button[name=language]").await;
    browser.see("html[lang=zh-CN]").await;
    browser.read(".meta .chip", "已合入").await;
    browser.judge_everywhere("issue-zh").await;
    browser.press(".brand").await;
    browser.see("[data-list]").await;
    browser.judge_everywhere("issues-zh").await;
    browser.press("form[action='/logout'] button").await;
    browser.see("[name=password]").await;
    browser.go(&url("/issues")).await;
    // The session has ended.
    browser.read("h1", "登录").await;
    browser.close().await;
    test_server.finish().await;
}

/// A server without users, with a model.
async fn empty_house() -> TestServer {
    let mut answers = vec![Script::Answer("ready".to_owned())];
    answers.extend(good_answers());
    TestServer::start_live(answers, &[]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_gets_from_nothing_to_a_merged_pull_request() {
    let Some(browser) = Browser::start().await else { return };
    let test_server = empty_house().await;
    test_server.add_user(&Caller::default(), "root", "admin").await;
    let url = |path: &str| test_server.url(path);
    browser.go(&url("/welcome")).await;
    browser.log_in("root", PASSWORD).await;
    browser.read("h1", "Get started").await;
    browser.judge_everywhere("welcome").await;
    browser.press("[data-part=model] button").await;
    browser.see("[data-part=model] .chip.succeeded").await;
    browser.press("[data-part=forge] button").await;
    browser.see("[data-part=forge] .chip.succeeded").await;
    let address = browser.see("#url-GitHub").await.text().await.unwrap();
    assert!(address.ends_with("/api/github/webhook"), "{address}");
    assert_eq!(browser.see("[data-part=delivery]").await.text().await.unwrap(), "Nothing received yet");
    browser.press("form[action='/welcome/secret'] button").await;
    browser.read("#secret", crate::harness::SECRET).await;
    let ping = json!({"zen": "Design for failure.", "hook_id": 1, "hook": {"type": "Repository"}}).to_string();
    assert_eq!(test_server.deliver("ping", &ping, "delivery-of-the-ping").await.status, 200);
    browser.go(&url("/welcome")).await;
    browser.read("[data-part=delivery]", "Received").await;
    browser.choose("form[action='/settings/repositories/add'] [name=platform]", "github").await;
    browser.write("form[action='/settings/repositories/add'] [name=name]", REPO).await;
    browser.press("form[action='/settings/repositories/add'] button").await;
    browser.read("td.what", REPO).await;
    browser.press("form[action$='/sync'] button").await;
    browser.see("td.when time").await;
    browser.go(&url("/issues")).await;
    browser.press("td.what a").await;
    browser.read("h1", "add() subtracts").await;
    // The plan needs approval.
    browser.press("[name=review_plan]").await;
    browser.press(".follow button").await;
    browser.see("[data-part=jobs] tbody tr").await;
    browser.press("[data-part=jobs] .what a").await;
    browser.see("#plan").await;
    browser.read("[data-part=meta] .chip", "Plan waits for approval").await;
    browser.judge_everywhere("job-plan").await;
    browser.go(&url("/jobs")).await;
    browser.read("td.what a", "add() subtracts").await;
    browser.judge_everywhere("jobs").await;
    browser.go(&url("/board")).await;
    browser.read(".cards .chip", "Plan waits for approval").await;
    browser.press(".cards a").await;
    browser.press("form[action$='/approve'] button").await;
    browser.run("window.samePage = true").await;
    browser.read("[data-part=meta] .chip", "Succeeded").await;
    assert_eq!(browser.run("return window.samePage").await, true, "it went on by itself");
    the_job_shows_how_it_came_about(&browser).await;
    browser.press(".where a").await;
    browser.press("[data-part=actions] button.primary").await;
    browser.see(".meta .chip.merged").await;
    browser.go(&url("/statistics")).await;
    browser.read(".figures dd", "1").await;
    browser.judge_everywhere("statistics").await;
    browser.close().await;
    test_server.finish().await;
}

/// The diff in both layouts, the tests, the model calls, the log.
async fn the_job_shows_how_it_came_about(browser: &Browser) {
    browser.read(".split .code.removed", "return a - b").await;
    browser.read(".split .code.added", "return a + b").await;
    browser.see(".diff .k").await;
    browser.read("#tests h3", "Now pass").await;
    browser.read(".candidates code", "calc.py").await;
    browser.press("#calls details summary").await;
    browser.read("#calls .said.answer", "Sure:").await;
    browser.see(".lines .sheet div").await;
    browser.write(".find input", "verify").await;
    browser.see(".hit.now").await;
    browser.judge_everywhere("job").await;
    browser.press(".split tr:has(.added) td.no:nth-child(3)").await;
    browser.write(".remark textarea", "use a constant").await;
    browser.read("form[data-remarks] button", "Send the comments (1)").await;
    let line = browser.run("return document.querySelector('.remark').dataset.line").await;
    assert_eq!(line, "calc.py:2");
    browser.judge("job-remark").await;
    browser.press(".remark button").await;
    assert_eq!(browser.run("return document.querySelector('form[data-remarks]').hidden").await, true);
    browser.press(".actions a[href*='diff=unified']").await;
    browser.read(".unified .sign.added", "+").await;
    browser.judge_everywhere("job-unified").await;
    browser.press(".raw a").await;
    browser.read(".json", "{").await;
    browser.judge("object").await;
    browser.client.back().await.unwrap();
    browser.press("button[name=language]").await;
    browser.see("html[lang=zh-CN]").await;
    browser.judge_everywhere("job-zh").await;
    browser.press("button[name=language]").await;
    browser.see("html[lang=en]").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_finds_everything_that_can_be_set() {
    let Some(browser) = Browser::start().await else { return };
    let AccountsFixture { test_server, admin, .. } = live_accounts_fixture().await;
    let url = |path: &str| test_server.url(path);
    test_server.node(&admin, "builder-1").await;
    browser.go(&url("/settings")).await;
    browser.log_in("root@example.org", PASSWORD).await;
    browser.read("h1", "Repositories").await;
    for section in
        ["repositories", "credentials", "nodes", "users", "tokens", "jira", "notifications", "audit", "configuration"]
    {
        browser.go(&url(&format!("/settings/{section}"))).await;
        browser.see(&format!("a[href='/settings/{section}'][aria-current]")).await;
        browser.judge_everywhere(&format!("settings-{section}")).await;
    }
    browser.press("form[action$='/check'] button").await;
    browser.read("#findings li", "OK").await;
    browser.judge_everywhere("settings-findings").await;
    assert!(!browser.client.source().await.unwrap().contains(crate::harness::SECRET), "secrets are masked");
    browser.go(&url("/settings/tokens")).await;
    browser.write("[name=name]", "laptop").await;
    browser.press("form.add button").await;
    let token = browser.see("#revealed").await.text().await.unwrap();
    let by_token = Caller { token: Some(token), ..Caller::default() };
    assert_eq!(test_server.get_json(&by_token, "/api/v1/me").await["login"], "root@example.org");
    browser.go(&url("/settings/tokens")).await;
    browser.gone("#revealed").await;
    browser.press("form[action$='/end'] button").await;
    browser.client.accept_alert().await.unwrap();
    browser.gone("form[action$='/end']").await;
    browser.go(&url("/settings/users")).await;
    browser.write("[name=login]", "nina").await;
    browser.write("[name=password]", PASSWORD).await;
    browser.press("form.add button").await;
    browser.read("td.what", "nina").await;
    browser.go(&url("/board")).await;
    browser.read(".nodes h3", "builder-1").await;
    browser.judge_everywhere("board").await;
    browser.press("form[action$='/drain'] button").await;
    browser.read(".nodes .chip", "Draining").await;
    browser.press("button[name=language]").await;
    browser.see("html[lang=zh-CN]").await;
    browser.judge_everywhere("board-zh").await;
    a_month_of_work(&test_server).await;
    for page in [
        "welcome",
        "statistics",
        "statistics?group_by=repository",
        "settings/notifications",
        "settings/configuration",
        "issues/new",
    ] {
        browser.go(&url(&format!("/{page}"))).await;
        browser.judge_everywhere(&format!("{}-zh", page.replace(['/', '?', '='], "-"))).await;
    }
    browser.close().await;
    test_server.finish().await;
}

/// Runs that ended in the last thirty days, in growing numbers.
async fn a_month_of_work(test_server: &TestServer) {
    let today = test_server.app().engine.now().to_zoned(jiff::tz::TimeZone::UTC).date();
    for n in 0..240_u16 {
        let back = 29 - i64::from(n.isqrt() * 2).min(29);
        let outcome =
            [JobStatus::Succeeded, JobStatus::Succeeded, JobStatus::Succeeded, JobStatus::Failed, JobStatus::Cancelled];
        let prompt_tokens = 6_000 + u64::from(n) * 37 % 9_000;
        let ended = RunRecord {
            day: today.checked_sub(back.days()).unwrap().to_string(),
            repository: ["acme/demo", "acme/website", "acme/billing"][usize::from(n) % 3].to_owned(),
            node: "embedded".to_owned(),
            model: "m-1".to_owned(),
            outcome: outcome[usize::from(n) * 7 % outcome.len()],
            wait: n % 14,
            run: Some(24 + n % 9),
            usage: Usage {
                calls: 4,
                prompt_tokens,
                completion_tokens: prompt_tokens / 6,
                cost_micros: prompt_tokens * 3,
            },
        };
        test_server.app().store.commit(Step { ended: Some(ended), ..Step::default() }).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_ended_is_told_and_a_form_of_another_page_is_not_taken() {
    let Some(browser) = Browser::start().await else { return };
    let AccountsFixture { test_server, .. } = live_accounts_fixture().await;
    browser.go(&test_server.url("/issues")).await;
    browser.log_in("olga", PASSWORD).await;
    browser.see("td button.start.pending").await;
    browser.run("document.querySelectorAll('[name=csrf]').forEach(field => field.value = 'guess')").await;
    browser.press("td button.start.pending").await;
    browser.read(".toast.bad", "the request lacks the session's CSRF token").await;
    browser.go(&test_server.url("/issues")).await;
    browser.see("td button.start.pending").await;
    let cookie = browser.client.get_named_cookie("patchwright_session").await.unwrap();
    let hash = ring::digest::digest(&ring::digest::SHA256, cookie.value().as_bytes());
    let hash: String = hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    test_server.app().store.end_session(&hash).await.unwrap();
    browser.press("td button.start.pending").await;
    browser.read(".toast.bad", "the session has ended").await;
    browser.go(&test_server.url("/issues")).await;
    browser.read("h1", "Log in").await;
    browser.close().await;
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_page_is_light_and_soon_of_use() {
    let Some(browser) = Browser::start().await else { return };
    let AccountsFixture { test_server, .. } = live_accounts_fixture().await;
    browser.go(&test_server.url("/issues")).await;
    browser.log_in("olga", PASSWORD).await;
    browser.see("[data-live]:not([hidden])").await;
    browser.go(&test_server.url("/board")).await;
    browser.see(".board").await;
    let sizes = "return [...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
        .map(entry => [entry.name, entry.encodedBodySize, entry.domInteractive ?? 0])";
    let loaded = browser.run(sizes).await;
    let loaded: Vec<(String, u64, f64)> = serde_json::from_value(loaded).unwrap();
    let bytes: u64 = loaded.iter().map(|(_, bytes, _)| bytes).sum();
    assert!(bytes > 1_000 && bytes <= 40_000, "{bytes} bytes: {loaded:?}");
    let ours = |name: &String| name.starts_with(&test_server.url("/"));
    assert!(loaded.iter().all(|(name, ..)| ours(name)), "nothing comes from elsewhere: {loaded:?}");
    // The bound only detects hangs; the benchmarks measure the speed.
    assert!(loaded[0].2 < INTERACTIVE, "{loaded:?}");
    browser.close().await;
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_of_any_length_is_shown_in_its_colours_and_can_do_nothing() {
    let Some(browser) = Browser::start().await else { return };
    let AccountsFixture { test_server, owner, issue, .. } = live_accounts_fixture().await;
    let started = test_server.ask(&owner, Method::Post, &format!("/api/v1/issues/{issue}/start"), None).await;
    let task: Value = started.json().unwrap();
    let job: JobId = task["job_id"].as_str().unwrap().parse().unwrap();
    test_server.expect_end(job).await;
    let task: TaskId = task["id"].as_str().unwrap().parse().unwrap();
    let hostile =
        "\u{1b}[31mred <img src=x onerror=alert(1)>\u{1b}[0m \u{1b}]8;;javascript:alert(2)\u{7}link\u{1b}]8;;\u{7}\n";
    let many: String = (1..=100_000).map(|n| format!("line {n}\n")).collect();
    let now = test_server.app().engine.now();
    for (piece, text) in [(1_000, hostile), (1_001, many.as_str())] {
        test_server.app().store.append_log(task, piece, text, now).await.unwrap();
    }
    browser.go(&test_server.url(&format!("/jobs/{job}"))).await;
    browser.log_in("olga", PASSWORD).await;
    // The view follows the end, and only visible lines are rendered.
    let last = "return [...document.querySelectorAll('.sheet div')].some(row => row.innerText.includes('line 100000'))";
    browser.until(last).await;
    let drawn = browser.run("return document.querySelectorAll('.sheet div').length").await;
    assert!(drawn.as_u64().unwrap() < 200, "{drawn} lines are in the page");
    browser.write(".find input", "<img").await;
    browser.read(".hit.now .a1", "red <img src=x onerror=alert(1)>").await;
    browser.until("return document.querySelector('.hit.now').innerText.endsWith('link')").await;
    assert_eq!(browser.run("return document.querySelectorAll('.lines img, .lines a').length").await, 0);
    browser.judge("log").await;
    let download = test_server.page(&owner, &format!("/tasks/{task}/log.txt")).await;
    assert!(download.text().ends_with("line 100000\n") && download.text().contains(hostile));
    let printed = browser.see("#calls .what a").await.attr("href").await.unwrap().unwrap();
    for (name, path) in [
        ("call", printed.as_str()),
        ("conversation", &format!("/issues/{issue}/conversation")),
        ("problem", "/issues/00000000-0000-0000-0000-000000000009"),
        ("draft", "/issues/new"),
    ] {
        browser.go(&test_server.url(path)).await;
        browser.judge_everywhere(name).await;
    }
    browser.close().await;
    test_server.finish().await;
}
