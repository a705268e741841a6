//! The pages over HTTP: their permissions, and attacks that they must resist.

use patchwright_http::{Request, Response};
use serde_json::{Value, json};

use super::accounts_fixture::{AccountsFixture, Caller, Method, PASSWORD, accounts_fixture, accounts_fixture_with};
use crate::harness::{TestServer, good_answers};

impl TestServer {
    /// Requests a page like a browser of a client.
    pub(super) async fn page(&self, caller: &Caller, path: &str) -> Response {
        let mut request = Request::get(self.url(path)).header("accept", "text/html");
        if let Some(cookie) = &caller.cookie {
            request = request.header("cookie", cookie);
        }
        self.send(request).await
    }

    /// Sends a form like the page's own script; `csrf` is a field of it.
    async fn form(&self, cookie: Option<&String>, path: &str, fields: &str, origin: Option<&str>) -> Response {
        let mut request = Request::post(self.url(path))
            .header("content-type", "application/x-www-form-urlencoded")
            .header("accept", "application/json")
            .body(fields.to_owned());
        if let Some(cookie) = cookie {
            request = request.header("cookie", cookie);
        }
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        self.send(request).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn people_are_led_to_the_pages_and_programs_are_told_that_the_server_lives() {
    let AccountsFixture { test_server, admin, .. } = accounts_fixture().await;
    assert_eq!(test_server.get("/").await.json::<Value>().unwrap()["status"], "healthy");
    let stranger = test_server.page(&Caller::default(), "/").await;
    assert!(stranger.text().contains("name=\"password\""), "whoever is not known logs in: {}", stranger.text());
    let known = test_server.page(&admin, "/").await;
    assert!(known.text().contains("add() subtracts") && known.text().contains(">Start<"), "{}", known.text());
    let policy = known.header("content-security-policy").unwrap();
    assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    assert_eq!(known.header("cache-control"), Some("no-store"));
    let text = known.text();
    let style = text.split("rel=\"stylesheet\" href=\"").nth(1).unwrap().split('"').next().unwrap();
    let asset = test_server.get(style).await;
    assert_eq!((asset.status, asset.header("content-type")), (200, Some("text/css; charset=utf-8")));
    assert!(asset.header("cache-control").unwrap().contains("immutable"));
    assert_eq!(test_server.get("/assets/000000000000/style.css").await.status, 404);
    assert_eq!(test_server.page(&admin, "/issues/no-such-issue").await.status, 404);
    assert_eq!(test_server.page(&admin, "/issues?status=lost").await.status, 400);
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_form_counts_only_from_our_own_page_and_by_who_may() {
    let AccountsFixture { test_server, owner, member, issue, .. } = accounts_fixture().await;
    let start = format!("/issues/{issue}/start");
    let csrf = |caller: &Caller| format!("csrf={}", caller.csrf.as_ref().unwrap());
    let refused = [
        (owner.cookie.as_ref(), String::new(), None, "a form without the session's token"),
        (owner.cookie.as_ref(), csrf(&member), None, "the token of another session"),
        (owner.cookie.as_ref(), csrf(&owner), Some("https://evil.example"), "a page of another site"),
        (member.cookie.as_ref(), csrf(&member), None, "somebody whose issue it is not"),
    ];
    for (cookie, fields, origin, who) in refused {
        let answer = test_server.form(cookie, &start, &fields, origin).await;
        assert_eq!(answer.status, 403, "{who}: {}", answer.text());
        assert!(answer.json::<Value>().unwrap()["text"].is_string(), "it is printed in words");
    }
    assert_eq!(test_server.form(None, &start, "", None).await.status, 401);
    let theirs = test_server.page(&member, "/issues").await.text();
    assert!(theirs.contains("<button class=\"start pending\" disabled>"), "others cannot press it: {theirs}");
    let answer = test_server.form(owner.cookie.as_ref(), &start, &csrf(&owner), None).await;
    assert_eq!(answer.json::<Value>().unwrap(), json!({"text": "The job was started."}));
    let again = test_server.form(owner.cookie.as_ref(), &start, &csrf(&owner), None).await;
    assert_eq!(again.status, 409, "it is started once: {}", again.text());
    let job = test_server.expect_a_job().await;
    test_server.expect_end(job).await;
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_starts_what_can_be_started_and_says_how_much_was_not() {
    let AccountsFixture { test_server, owner, issue, .. } = accounts_fixture().await;
    let csrf = owner.csrf.as_ref().unwrap();
    let ghost = "00000000-0000-0000-0000-000000000009";
    let fields = format!("csrf={csrf}&ids={issue}&ids={ghost}");
    let answer = test_server.form(owner.cookie.as_ref(), "/issues/start-batch", &fields, None).await;
    let printed = answer.json::<Value>().unwrap();
    assert_eq!((answer.status, &printed["text"]), (409, &"1 / 2 · there is no issue with this id".into()));
    let job = test_server.expect_a_job().await;
    test_server.expect_end(job).await;
    let page = test_server.page(&owner, &format!("/issues/{issue}")).await.text();
    assert!(page.contains(">Merge<") && page.contains("name=\"instructions\""), "it can be merged or go on: {page}");
    assert!(page.contains(&job.to_string()), "{page}");
    let (path, fields) = (format!("/issues/{issue}/cancel"), format!("csrf={csrf}"));
    let other = test_server.form(owner.cookie.as_ref(), &path, &fields, None).await;
    assert_eq!(other.status, 409, "nothing runs that could be cancelled");
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_write_is_shown_as_text() {
    let AccountsFixture { test_server, admin, issue, .. } = accounts_fixture().await;
    let hostile = json!({
        "title": "<script>alert(1)</script>\" onmouseover=\"x",
        "body": "<img src=x onerror=alert(1)> [go](javascript:alert(1)) ![spy](https://evil.example/p.png) **bold**",
    });
    let path = format!("/api/v1/issues/{issue}");
    assert_eq!(test_server.ask(&admin, Method::Patch, &path, Some(&hostile)).await.status, 200);
    for path in ["/issues".to_owned(), format!("/issues/{issue}")] {
        let page = test_server.page(&admin, &path).await.text();
        for bad in ["<script>alert", "<img src=x", "<img src=\"https://evil", "javascript:alert(1)\"", "\" onmouseover"]
        {
            assert!(!page.contains(bad), "{bad} on {path}: {page}");
        }
    }
    assert!(test_server.page(&admin, &format!("/issues/{issue}")).await.text().contains("<strong>bold</strong>"));
    let search = test_server.page(&admin, "/issues?q=%22%3E%3Cscript%3Ealert(2)%3C/script%3E").await.text();
    assert!(!search.contains("<script>alert(2)") && search.contains("No issues match the filter"), "{search}");
    for elsewhere in ["//evil.example", "https://evil.example", "/\\evil.example"] {
        let login = test_server.page(&Caller::default(), &format!("/login?return_to={elsewhere}")).await.text();
        assert!(!login.contains("evil.example"), "nobody is led away after they logged in: {login}");
    }
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_passwords_are_told_on_the_page_and_slowed_down() {
    let AccountsFixture { test_server, .. } = accounts_fixture().await;
    let wrong = format!("login=olga&password=not-{PASSWORD}");
    let mut last = test_server.form(None, "/login", &wrong, None).await;
    assert_eq!(last.status, 401);
    assert!(last.text().contains("The login or the password is wrong."), "{}", last.text());
    for _ in 0..8 {
        last = test_server.form(None, "/login", &wrong, None).await;
    }
    assert_eq!(last.status, 429);
    assert!(last.header("retry-after").is_some() && last.text().contains("Too many failed logins"), "{}", last.text());
    let late = test_server.form(None, "/setup", "token=guess&login=eve&password=long-enough-1", None).await;
    assert_eq!(late.status, 409, "there is an administrator already");
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_speak_the_language_that_was_chosen() {
    let AccountsFixture { test_server, admin, .. } = accounts_fixture().await;
    let mut chinese = admin;
    chinese.cookie = chinese.cookie.map(|own| format!("{own}; patchwright_language=zh"));
    let page = test_server.page(&chinese, "/issues").await.text();
    assert!(page.contains("<html lang=\"zh-CN\"") && page.contains(">启动<") && page.contains("待处理"), "{page}");
    let theirs = Request::get(test_server.url("/login")).header("accept-language", "zh-CN,zh;q=0.9,en;q=0.8");
    assert!(test_server.send(theirs).await.text().contains("登录"));
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_becomes_the_first_administrator_without_the_token() {
    let test_server = TestServer::start(good_answers()).await;
    let guess = test_server.form(None, "/setup", "token=guess&login=eve&password=long-enough-1", None).await;
    assert_eq!(guess.status, 401);
    assert!(guess.text().contains("The first administrator"), "{}", guess.text());
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_sees_what_members_may_and_changes_nothing_of_others() {
    let AccountsFixture { test_server, admin, member, repository, .. } = accounts_fixture().await;
    for path in ["/settings/users", "/settings/credentials", "/settings/audit", "/settings/configuration", "/welcome"] {
        assert_eq!(test_server.page(&member, path).await.status, 403, "{path}");
        assert_eq!(test_server.page(&admin, path).await.status, 200, "{path}");
    }
    for path in ["/settings/repositories", "/settings/nodes", "/settings/tokens", "/settings/jira", "/board"] {
        let page = test_server.page(&member, path).await;
        assert_eq!(page.status, 200, "{path}");
        assert!(!page.text().contains("/settings/users"), "{path} leads where members may not go");
    }
    let listed = test_server.page(&member, "/settings/repositories").await.text();
    assert!(listed.contains("acme/demo") && !listed.contains("/remove"), "{listed}");
    let csrf = format!("csrf={}", member.csrf.as_ref().unwrap());
    for (path, fields) in [
        (format!("/settings/repositories/{repository}/remove"), ""),
        (format!("/settings/repositories/{repository}/sync"), ""),
        ("/settings/repositories/add".to_owned(), "&platform=github&name=acme/other"),
        ("/settings/users/add".to_owned(), "&login=eve&role=admin&password=correct+horse+battery"),
        ("/settings/nodes/add".to_owned(), "&name=mine"),
        ("/settings/notifications/add".to_owned(), "&name=n&kind=slack&target=https://h.example/x&everyone=true"),
        ("/settings/jira/add".to_owned(), "&name=acme.atlassian.net"),
        ("/settings/configuration/check".to_owned(), ""),
        ("/welcome/secret".to_owned(), ""),
        ("/welcome/model".to_owned(), ""),
        ("/welcome/model/set".to_owned(), "&base_url=http://127.0.0.1:1&model=mine"),
        ("/welcome/secret/new".to_owned(), ""),
        ("/welcome/demo".to_owned(), ""),
        ("/welcome/app/disconnect".to_owned(), ""),
        ("/settings/configuration/LLM_MODEL/change".to_owned(), "&value=mine"),
        ("/issues/import".to_owned(), ""),
    ] {
        let answer = test_server.form(member.cookie.as_ref(), &path, &format!("{csrf}{fields}"), None).await;
        assert_eq!(answer.status, 403, "{path}: {}", answer.text());
        assert!(!answer.text().contains(crate::harness::SECRET));
    }
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_api_refuses_a_page_refuses_too_and_says_why() {
    let AccountsFixture { test_server, admin, repository, .. } = accounts_fixture().await;
    let csrf = format!("csrf={}", admin.csrf.as_ref().unwrap());
    for (path, fields, status, printed) in [
        ("/settings/repositories/add", "&platform=github&name=acme/demo", 409, "registered already"),
        ("/settings/repositories/add", "&platform=github&name=invalid", 400, "owner/name"),
        ("/settings/users/add", "&login=nina&role=member&password=short", 400, "10"),
        ("/settings/tokens/add", "&name=&scope=read", 400, "name"),
        ("/settings/tokens/add", "&name=n&scope=everything", 400, "scope"),
        ("/settings/credentials/add", "&name=n&platform=github&scope=*&secret=wrong-token", 409, "refused"),
        ("/settings/audit/add", "", 404, "no form"),
        ("/settings/nowhere/add", "", 404, "no page"),
    ] {
        let answer = test_server.form(admin.cookie.as_ref(), path, &format!("{csrf}{fields}"), None).await;
        assert_eq!(answer.status, status, "{path} {fields}: {}", answer.text());
        assert!(answer.text().contains(printed), "{path} {fields}: {}", answer.text());
    }
    let unknown = format!("/settings/repositories/{repository}/explode");
    assert_eq!(test_server.form(admin.cookie.as_ref(), &unknown, &csrf, None).await.status, 404);
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_can_be_taken_home_as_a_patch_a_log_and_numbers() {
    let AccountsFixture { test_server, owner, member, issue, .. } = accounts_fixture().await;
    let csrf = owner.csrf.as_ref().unwrap();
    let fields = format!("csrf={csrf}&review_plan=true");
    let started = test_server.form(owner.cookie.as_ref(), &format!("/issues/{issue}/start"), &fields, None).await;
    assert_eq!(started.status, 200, "{}", started.text());
    let job = test_server.expect_a_job().await;
    let waits = |job: &Value| job["awaits_approval"] == true && job["status"] == "queued";
    test_server.expect_job(&owner, &job.to_string(), waits).await;
    let page = format!("/jobs/{job}");
    assert_eq!(test_server.page(&owner, &format!("{page}/patch")).await.status, 404, "nothing is changed yet");
    let theirs = test_server.page(&member, &page).await.text();
    assert!(theirs.contains("Use + in add") && !theirs.contains("/approve"), "{theirs}");
    let form = format!("csrf={}", member.csrf.as_ref().unwrap());
    let approve = format!("{page}/approve");
    assert_eq!(test_server.form(member.cookie.as_ref(), &approve, &form, None).await.status, 403);
    let form = format!("csrf={csrf}");
    let approved = test_server.form(owner.cookie.as_ref(), &approve, &form, None).await;
    assert_eq!(approved.json::<Value>().unwrap(), json!({"text": "The plan was approved."}));
    assert_eq!(test_server.form(owner.cookie.as_ref(), &approve, &form, None).await.status, 409, "once");
    test_server.expect_end(job).await;
    let patch = test_server.page(&owner, &format!("{page}/patch")).await;
    assert!(patch.header("content-disposition").unwrap().contains(".patch"));
    assert!(patch.text().contains("+    return a + b"), "{}", patch.text());
    let html = test_server.page(&owner, &page).await.text();
    let log = html.split("/log.txt").next().unwrap().rsplit('"').next().unwrap();
    let log = test_server.page(&owner, &format!("{log}/log.txt")).await;
    assert!(
        log.header("content-type").unwrap().starts_with("text/plain") && log.text().contains("INFO verify: running")
    );
    let call = html.split("data-load=\"").nth(1).unwrap().split('"').next().unwrap();
    let printed = test_server.page(&owner, call).await.text();
    assert!(printed.contains("add() subtracts") && printed.contains("<pre class=\"said answer\""), "{printed}");
    let csv = test_server.page(&owner, "/statistics.csv?group_by=repository").await;
    assert!(csv.header("content-type").unwrap().starts_with("text/csv"));
    let lines = csv.text();
    assert!(lines.starts_with("repository,succeeded,failed") && lines.contains("\r\nacme/demo,1,0,0,"), "{lines}");
    assert_eq!(test_server.page(&owner, "/statistics?from=never").await.status, 400);
    for secret in TestServer::secrets() {
        assert!(!html.contains(secret) && !printed.contains(secret));
    }
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draft_that_no_test_has_proven_is_marked_ready_by_somebody_who_has_looked_at_it() {
    let settings = [("SANDBOX", "require"), ("SANDBOX_BACKEND", "none")];
    let AccountsFixture { test_server, owner, member, issue, .. } = accounts_fixture_with(&settings).await;
    let list = test_server.page(&owner, "/issues?order=updated").await.text();
    assert!(list.contains("add() subtracts") && !list.contains("class=\"pull\""), "no job yet: {list}");
    let form = |caller: &Caller| format!("csrf={}", caller.csrf.as_ref().unwrap());
    let ready = format!("/issues/{issue}/ready");
    let early = test_server.form(owner.cookie.as_ref(), &ready, &form(&owner), None).await;
    assert!(early.status == 409 && early.text().contains("no open pull request"), "{}", early.text());
    let started = test_server.form(owner.cookie.as_ref(), &format!("/issues/{issue}/start"), &form(&owner), None).await;
    assert_eq!(started.status, 200, "{}", started.text());
    let job = test_server.expect_a_job().await;
    let queued = test_server.page(&owner, "/issues").await.text();
    assert!(queued.contains("<span class=\"chip queued\">Queued</span>"), "a job that waits does not run: {queued}");
    test_server.expect_end(job).await;
    let list = test_server.page(&owner, "/issues").await.text();
    assert!(
        list.contains("#700</a>") && list.contains("the tests were not run"),
        "the pull request and the verdict: {list}"
    );
    let page = test_server.page(&owner, &format!("/jobs/{job}")).await.text();
    assert!(page.contains(&format!("action=\"{ready}\"")), "{page}");
    let theirs = test_server.page(&member, &format!("/jobs/{job}")).await.text();
    assert!(!theirs.contains(&ready), "{theirs}");
    assert_eq!(test_server.form(member.cookie.as_ref(), &ready, &form(&member), None).await.status, 403);
    assert!(test_server.github.pulls()[0].3, "a draft");
    let marked = test_server.form(owner.cookie.as_ref(), &ready, &form(&owner), None).await;
    assert_eq!(marked.status, 200, "{}", marked.text());
    assert!(!test_server.github.pulls()[0].3, "it is ready");
    test_server.expect_end(job).await;
    let page = test_server.page(&owner, &format!("/jobs/{job}")).await.text();
    assert!(!page.contains(&ready) && page.contains(&format!("action=\"/issues/{issue}/merge\"")), "{page}");
    let again = test_server.form(owner.cookie.as_ref(), &ready, &form(&owner), None).await;
    assert_eq!(again.status, 200, "once is enough: {}", again.text());
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_address_is_a_page_for_people_and_an_error_for_programs() {
    let AccountsFixture { test_server, admin, .. } = accounts_fixture().await;
    let page = test_server.page(&admin, "/nowhere").await;
    assert_eq!((page.status, page.header("content-type")), (404, Some("text/html; charset=utf-8")));
    assert!(page.text().contains("href=\"/issues\""), "{}", page.text());
    let program = test_server.get("/nowhere").await;
    assert!(program.status == 404 && program.json::<Value>().unwrap()["error"].is_string());
    assert_eq!(test_server.get("/api/v1/nowhere").await.json::<Value>().unwrap()["code"], "not_found");
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_changes_their_own_password_with_the_present_one_and_a_session() {
    let AccountsFixture { test_server, member, .. } = accounts_fixture().await;
    let csrf = member.csrf.as_ref().unwrap();
    let change = async |current: &str, new: &str| {
        let fields = format!("csrf={csrf}&current={current}&new={new}");
        test_server.form(member.cookie.as_ref(), "/account/password", &fields, None).await
    };
    let refused = change("not+the+password", "another+long+password").await;
    assert!(refused.status == 400 && refused.text().contains("current password is wrong"), "{}", refused.text());
    assert_eq!(change(&PASSWORD.replace(' ', "+"), "short").await.status, 400);
    let page = test_server.page(&member, "/settings/tokens").await;
    assert!(page.text().contains("/account/password"), "the session goes on: {}", page.text());
    let changed = change(&PASSWORD.replace(' ', "+"), "another+long+password").await;
    assert!(changed.text().contains("name=\"password\""), "they log in again: {}", changed.text());
    let page = test_server.page(&member, "/settings/tokens").await;
    assert!(!page.text().contains("/account/password"), "all sessions of the user ended");
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_are_found_by_a_word_and_those_that_are_changed_alone() {
    let AccountsFixture { test_server, admin, .. } = accounts_fixture().await;
    let shown = async |query: &str| {
        let page = test_server.page(&admin, &format!("/settings/configuration?{query}")).await.text();
        page.matches("<td class=\"what\"><code>").count()
    };
    let all = shown("").await;
    assert!(all > 100);
    let found = shown("q=lease_timeout").await;
    assert!((1..10).contains(&found), "{found}");
    let changed = shown("changed=true").await;
    assert!(changed > 0 && changed < all, "{changed} of {all}");
    assert_eq!(shown("q=no-such-thing").await, 0);
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_form_keeps_what_was_typed_but_no_secret() {
    let AccountsFixture { test_server, admin, .. } = accounts_fixture().await;
    let csrf = admin.csrf.as_ref().unwrap();
    let post = async |path: &str, fields: &str| {
        let request = Request::post(test_server.url(path))
            .header("content-type", "application/x-www-form-urlencoded")
            .header("accept", "text/html")
            .header("cookie", admin.cookie.clone().unwrap())
            .body(format!("csrf={csrf}&{fields}"));
        test_server.send(request).await
    };
    let refused = post("/settings/users/add", "login=new+person&role=member&password=canary-password-1").await;
    assert_eq!(refused.status, 400);
    let page = refused.text();
    assert!(page.contains("role=\"alert\"") && page.contains("value=\"new person\""), "{page}");
    assert!(page.contains("value=\"member\" selected") && !page.contains("canary-password"), "{page}");
    let refused = post("/settings/repositories/add", "platform=github&name=no-owner").await;
    assert!(refused.status == 400 && refused.text().contains("value=\"no-owner\""), "{}", refused.text());
    let again = post("/login", "login=alice&password=wrong").await;
    assert!(again.status == 401 && again.text().contains("value=\"alice\""), "{}", again.text());
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_administrator_is_created_in_a_browser_on_the_servers_own_machine() {
    let test_server = TestServer::start(good_answers()).await;
    let nobody = Caller::default();
    let welcome = test_server.page(&nobody, "/welcome").await.text();
    assert!(welcome.contains("href=\"/login?return_to=/welcome\""), "{welcome}");
    let form = test_server.page(&nobody, "/login?return_to=/welcome").await;
    assert!(form.status == 200 && form.text().contains("action=\"/setup\""), "{}", form.text());
    test_server.add_user(&nobody, "root", "admin").await;
    let admin = test_server.session("root").await;
    assert!(!test_server.page(&admin, "/welcome").await.text().contains("/login?return_to"));
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_keeps_language_theme_and_filters_in_every_browser_and_logs_out_elsewhere() {
    let AccountsFixture { test_server, owner, member, .. } = accounts_fixture().await;
    let csrf = format!("csrf={}", owner.csrf.as_ref().unwrap());
    let post = async |path: &str, fields: &str| {
        test_server.form(owner.cookie.as_ref(), path, &format!("{csrf}{fields}"), None).await
    };
    assert_eq!(post("/preferences", "&language=zh&theme=dark&return_to=/issues").await.status, 200);
    // No cookie of a preference is sent: it is another browser of the same user.
    let page = test_server.page(&owner, "/issues").await.text();
    assert!(page.contains("lang=\"zh-CN\"") && page.contains("data-theme=\"dark\""), "{page}");
    assert!(test_server.page(&member, "/issues").await.text().contains("lang=\"en\""), "another user's stays");

    let saved = post("/preferences/filters", "&list=/jobs&label=failed+<b>&query=status%3Dfailed").await;
    assert_eq!(saved.status, 200, "{}", saved.text());
    let jobs = test_server.page(&owner, "/jobs").await.text();
    assert!(jobs.contains("href=\"/jobs?status=failed\"") && jobs.contains("failed &#60;b&#62;"), "{jobs}");
    assert!(!test_server.page(&owner, "/issues").await.text().contains("status=failed"), "it is one of the other list");
    assert!(!test_server.page(&member, "/jobs").await.text().contains("status=failed"), "and one's own");
    assert_eq!(post("/preferences/filters", "&list=/settings&label=x&query=y").await.status, 404);
    assert_eq!(post("/preferences/filters", "&list=/jobs&label=+&query=y").await.status, 400);
    assert_eq!(post("/preferences/filters/remove", "&list=/jobs&label=failed+<b>").await.status, 200);
    assert!(!test_server.page(&owner, "/jobs").await.text().contains("status=failed"));

    let elsewhere = test_server.session("olga").await;
    let sessions = test_server.page(&owner, "/settings/tokens").await.text();
    assert_eq!(sessions.matches("127.0.0.1").count(), 2, "{sessions}");
    assert_eq!(post("/account/sessions/end-others", "").await.status, 200);
    let ended = test_server.page(&elsewhere, "/issues").await;
    assert!(ended.text().contains("action=\"/login\""), "{}", ended.text());
    assert_eq!(test_server.page(&owner, "/issues").await.status, 200, "this one goes on");
    assert_eq!(test_server.page(&member, "/issues").await.status, 200, "and those of others");
    test_server.finish().await;
}
