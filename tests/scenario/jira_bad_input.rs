//! Jira deliveries that must be rejected, and accepted ones that must not be lost.

use std::collections::BTreeSet;

use patchwright_core::Secret;
use patchwright_core::jira::{JiraInbox as _, JiraUsers as _, Tokens};
use patchwright_core::webhook::SigningKeys;
use patchwright_http::{Request, Response};
use patchwright_testkit::server::{JIRA_SERVICE, JIRA_SITE};
use serde_json::{Value, json};

use super::accounts_fixture::{Caller, Method};
use super::jira::{MIA, SECRET, Site};
use crate::harness::ProcessLog;
use crate::harness::good_answers;

fn sign(secret: &str, body: &str) -> String {
    SigningKeys::new([&Secret::new(secret)]).sign(body.as_bytes()).unwrap()
}

/// A comment by Mia that requests a fix and was not delivered yet.
fn comment(text: &str) -> Value {
    let own = |path: &str| format!("https://{JIRA_SITE}/rest/api/2/{path}");
    json!({
        "timestamp": jiff::Timestamp::now().as_millisecond(), "webhookEvent": "comment_created",
        "comment": {
            "self": own("issue/10042/comment/77"), "id": "77", "body": text,
            "author": {"self": own("user"), "accountId": MIA, "displayName": "Mia", "accountType": "atlassian"},
        },
        "issue": {"id": "10042", "key": "PROJ-12", "self": own("10042"), "fields": {"summary": "x"}},
    })
}

impl Site {
    async fn signed(&self, id: &str, body: &Value) -> Response {
        self.deliver(&(id.to_owned(), body.to_string())).await
    }

    /// Asserts that there is no job and no comment.
    async fn nothing_came(&self) {
        self.settle().await;
        assert!(self.jobs().await.is_empty());
        assert_eq!(self.jira.comments_on("PROJ-12"), Vec::<String>::new());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_is_not_signed_by_its_site_is_refused() {
    let site = Site::start(vec![]).await;
    let body = comment("@patchwright fix").to_string();
    let right = sign(SECRET, &body);
    let digits = right.strip_prefix("sha256=").unwrap();
    let bad = [
        String::new(),
        "sha256=".to_owned(),
        digits.to_owned(),
        format!("sha1={digits}"),
        format!("sha256={}", &digits[1..]),
        format!("sha256={digits}0"),
        format!("sha256={}", digits.replace(|c: char| c.is_ascii_digit(), "g")),
        sign("another secret", &body),
        sign(SECRET, &format!("{body} ")),
        format!("sha256={}", "0".repeat(64)),
    ];
    for signature in bad {
        let answer = site.test_server.send(site.delivery("d", &body).header("x-hub-signature", &signature)).await;
        assert_eq!(answer.status, 401, "{signature}: {}", answer.text());
    }
    let answer = site.test_server.send(site.delivery("d", &body)).await;
    assert_eq!(answer.status, 401, "without one");
    let twice = site.delivery("d", &body).header("x-hub-signature", &right).header("x-hub-signature", &right);
    assert_eq!(site.test_server.send(twice).await.status, 401, "two are none");
    let wrong_header = site.delivery("d", &body).header("x-hub-signature-256", &right);
    assert_eq!(site.test_server.send(wrong_header).await.status, 401, "that is GitHub's");

    // The body of a delivery names its site, which is trusted only if the signature is the site's.
    let elsewhere = body.replace(JIRA_SITE, "evil.atlassian.net");
    let mut both = comment("@patchwright fix");
    both["issue"]["self"] = json!("https://evil.atlassian.net/rest/api/2/10042");
    let mut nowhere = comment("@patchwright fix");
    for place in ["issue", "comment"] {
        nowhere[place]["self"] = json!(null);
    }
    nowhere["comment"]["author"]["self"] = json!("no address");
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(200), "]".repeat(200));
    for body in [elsewhere, both.to_string(), nowhere.to_string(), deep, "not json".to_owned(), String::new()] {
        let answer =
            site.test_server.send(site.delivery("d", &body).header("x-hub-signature", sign(SECRET, &body))).await;
        assert_eq!(answer.status, 401, "{}", answer.text());
        assert!(!answer.text().contains(JIRA_SITE), "nobody learns which sites are known here");
    }
    let form = Request::post(site.test_server.url("/api/jira/webhook")).body(body).header("x-hub-signature", &right);
    let form = form.header("content-type", "application/x-www-form-urlencoded");
    assert_eq!(site.test_server.send(form).await.status, 415);
    site.nothing_came().await;
    site.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_says_what_the_door_refused_and_how_bad_that_is() {
    let logged = ProcessLog::start();
    let site = Site::start(vec![]).await;
    let body = comment("@patchwright fix").to_string();
    site.test_server.send(site.delivery("d", &body)).await;
    site.test_server.send(site.delivery("d", &body).header("x-hub-signature", sign("wrong", &body))).await;
    let elsewhere = body.replace(JIRA_SITE, "evil.atlassian.net");
    site.test_server.send(site.delivery("d", &elsewhere).header("x-hub-signature", sign(SECRET, &elsewhere))).await;
    let off = json!({"status": "inactive"});
    let path = format!("/api/v1/jira/workspaces/{}", site.workspace);
    assert_eq!(site.test_server.ask(&site.mia, Method::Patch, &path, Some(&off)).await.status, 200);
    assert_eq!(site.deliver(&("d".into(), body)).await.status, 403);
    for (line, level) in [
        ("rejected a Jira delivery without a signature", "WARN"),
        ("rejected a Jira delivery with an invalid signature", "ERROR"),
        ("rejected a delivery of an unknown Jira site", "WARN"),
        ("rejected a delivery of a deactivated Jira site", "WARN"),
    ] {
        assert_eq!(logged.levels(line), BTreeSet::from([level.to_owned()]), "{line}");
    }
    site.jira.deliveries();
    site.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_delivery_that_makes_no_sense_or_asks_nothing_starts_nothing() {
    let site = Site::start(vec![]).await;
    let with = |path: &str, value: Value| {
        let mut body = comment("@patchwright fix");
        *body.pointer_mut(path).unwrap() = value;
        body
    };
    let day = jiff::SignedDuration::from_hours(25);
    let stale = (jiff::Timestamp::now() - day).as_millisecond();
    for (body, status, word) in [
        (with("/issue", json!(null)), 400, "issue"),
        (with("/issue/key", json!("../../x")), 400, "issue.key"),
        (with("/issue/id", json!("1; drop")), 400, "issue.key"),
        (with("/comment", json!({"self": format!("https://{JIRA_SITE}/x")})), 400, "id"),
        (with("/webhookEvent", json!("comment_updated")), 200, "starts no job"),
        (with("/webhookEvent", json!("")), 200, "starts no job"),
        (with("/webhookEvent", json!("jira:issue_deleted")), 200, "starts no job"),
        (with("/timestamp", json!(stale)), 200, "more than a day ago"),
        (with("/comment/body", json!("please fix")), 200, "is not a request"),
        (with("/comment/body", json!("{code}\n@patchwright fix\n{code}")), 200, "is not a request"),
        (with("/comment/body", json!("{quote}@patchwright fix{quote}")), 200, "is not a request"),
        (with("/comment/body", json!("mail me@patchwright")), 200, "is not a request"),
        (with("/comment/body", json!("[~accountid:557058:somebody] fix")), 200, "is not a request"),
        (with("/comment/body", json!("{".repeat(30_000))), 200, "is not a request"),
        (with("/comment/author/accountId", json!(JIRA_SERVICE.2)), 200, "the own account"),
        (with("/comment/author/accountType", json!("app")), 200, "by an app"),
    ] {
        let answer = site.signed("d", &body).await;
        assert_eq!(
            answer.status,
            status,
            "{}: {}",
            body.to_string().chars().take(300).collect::<String>(),
            answer.text()
        );
        assert!(answer.text().contains(word), "{word}: {}", answer.text());
    }
    let spaced = comment("@patchwright fix").to_string();
    let request = site.delivery("not one word", &spaced).header("x-hub-signature", sign(SECRET, &spaced));
    assert_eq!(site.test_server.send(request).await.status, 400);

    // A document with deeply nested nodes within the bounds, and a wide one.
    let mut bomb = json!({"type": "text", "text": "@patchwright fix"});
    for _ in 0..25 {
        bomb = json!({"type": "blockquote", "content": [bomb]});
    }
    let wide: Vec<Value> =
        (0..30_000).map(|_| json!({"type": "paragraph", "content": [{"type": "text", "text": "x"}]})).collect();
    for content in [json!([bomb]), json!(wide)] {
        let answer =
            site.signed("bomb", &with("/comment/body", json!({"type": "doc", "version": 1, "content": content}))).await;
        assert!(answer.text().contains("is not a request"), "{}", answer.text());
    }

    // Labels: only what was added counts.
    let (id, body) = site.jira.add_label(MIA, "PROJ-12", "urgent");
    assert!(site.deliver(&(id, body.clone())).await.text().contains("is not a request"));
    let known = body
        .replace(r#""fromString":"""#, r#""fromString":"patchwright""#)
        .replace(r#""toString":"urgent""#, r#""toString":"patchwright urgent""#);
    assert_ne!(known, body);
    assert!(site.deliver(&("again".into(), known)).await.text().contains("is not a request"));
    site.nothing_came().await;
    site.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_thing_told_in_many_ways_is_one_job() {
    let site = Site::start(good_answers()).await;
    let first = site.jira.comment(MIA, "PROJ-12", "@patchwright fix");
    let all = futures_util::future::join_all((0..100).map(|_| site.deliver(&first))).await;
    let accepted = all.iter().filter(|answer| answer.status == 202).count();
    assert_eq!((accepted, all.iter().filter(|answer| answer.status == 200).count()), (1, 99));
    // The same body under another identifier, and the same comment in another body.
    let again = site.deliver(&("another-id".into(), first.1.clone())).await;
    assert!(again.text().contains("duplicate_event"), "{}", again.text());
    let mut other: Value = serde_json::from_str(&first.1).unwrap();
    other["timestamp"] = json!(jiff::Timestamp::now().as_millisecond() + 5_000);
    let again = site.signed("a-third-id", &other).await;
    assert!(again.text().contains("duplicate_event"), "{}", again.text());
    // Another comment in the same millisecond of the same issue is the same change.
    other["timestamp"] = serde_json::from_str::<Value>(&first.1).unwrap()["timestamp"].clone();
    other["comment"]["id"] = json!("78");
    let again = site.signed("a-fourth-id", &other).await;
    assert!(again.text().contains("duplicate_event"), "{}", again.text());
    site.settle().await;
    assert_eq!(site.jobs().await.len(), 1);
    site.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_may_not_is_told_and_starts_nothing() {
    let site = Site::start(vec![]).await;
    let (test_server, jira) = (&site.test_server, &site.jira);
    jira.add_person("557058:stranger", "Stran*ger* [~accountid:1]");
    let asked = site.deliver(&jira.comment("557058:stranger", "PROJ-12", "@patchwright fix")).await;
    assert_eq!(asked.status, 202);
    site.settle().await;
    let comments = jira.comments_on("PROJ-12");
    assert!(comments[0].contains("does not know your account yet") && !comments[0].contains("[~"), "{comments:?}");

    // A deactivated user, and one who is not on the allow-list.
    let olga = test_server.add_user(&site.mia, "olga", "member").await;
    let session = test_server.session("olga").await;
    jira.add_person("557058:olga", "Olga");
    assert_eq!(site.link(&session, "557058:olga").await.status, 200);
    test_server.ask(&site.mia, Method::Patch, &format!("/api/v1/users/{olga}"), Some(&json!({"active": false}))).await;
    site.deliver(&jira.comment("557058:olga", "PROJ-12", "@patchwright fix")).await;
    site.settle().await;
    assert!(
        jira.comments_on("PROJ-12")[1].contains("do not have permission to start"),
        "{:?}",
        jira.comments_on("PROJ-12")
    );

    // An issue that the service account may not see.
    jira.answer_next(
        "/issue/10042",
        404,
        &[],
        json!({"errorMessages": ["Issue does not exist or you do not have permission to see it."]}),
    );
    site.comment("@patchwright fix").await;
    site.settle().await;
    assert!(jira.comments_on("PROJ-12")[2].contains("cannot be read"), "{:?}", jira.comments_on("PROJ-12"));

    // A deactivated site gets one comment for each request.
    let path = format!("/api/v1/jira/workspaces/{}", site.workspace);
    let off = test_server.ask(&site.mia, Method::Patch, &path, Some(&json!({"status": "inactive"}))).await;
    assert_eq!(off.status, 200, "{}", off.text());
    let asked = jira.comment(MIA, "PROJ-12", "@patchwright fix");
    for status in [403, 200] {
        assert_eq!(site.deliver(&asked).await.status, status);
    }
    assert_eq!(site.comment("just talking").await.status, 200);
    test_server.run_until_idle().await;
    let comments = jira.comments_on("PROJ-12");
    assert_eq!(comments.len(), 4, "{comments:#?}");
    assert!(comments[3].contains("deactivated for this site"), "{}", comments[3]);
    assert!(site.jobs().await.is_empty());
    site.jira.deliveries();
    site.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_was_acknowledged_is_lost() {
    let mut site = Site::start_with(good_answers(), &[("RETRY_WAIT", "1")]).await;
    // The site is down, the service account has lost its key, and the server goes down.
    for _ in 0..5 {
        site.jira.answer_next("/issue/10042", 502, &[], json!({}));
    }
    site.jira.refuse_service_account(true);
    assert_eq!(site.comment("@patchwright fix").await.status, 202);
    site.test_server.restart().await;
    site.test_server.run_due().await;
    assert!(site.jira.requests().iter().any(|request| request.ends_with("/issue/10042")));
    site.jira.refuse_service_account(false);
    site.settle().await;
    let jobs = site.jobs().await;
    assert_eq!(jobs.len(), 1);
    assert_eq!(site.jira.comments_on("PROJ-12").len(), 2);
    assert!(site.test_server.app().vault.dead_events(10).await.unwrap().is_empty());
    site.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_made_once_in_the_session_that_began_it() {
    let site = Site::unlinked(vec![], &[]).await;
    let (test_server, jira) = (&site.test_server, &site.jira);
    let code = |answer: &Response| answer.json::<Value>().unwrap()["code"].as_str().unwrap_or_default().to_owned();
    test_server.add_user(&site.mia, "olga", "member").await;
    let olga = test_server.session("olga").await;
    jira.add_person("557058:olga", "Olga");
    let get = |by: &Caller, path: String| {
        let by = by.clone();
        async move { test_server.ask(&by, Method::Get, &path, None).await }
    };

    // Only with a session, and only with a valid state.
    let token = test_server.token(&site.mia, "admin").await;
    assert_eq!(get(&token, "/api/v1/jira/link".into()).await.status, 403);
    assert_eq!(get(&olga, "/api/v1/jira/link?workspace=other.atlassian.net".into()).await.status, 404);
    for query in ["", "?code=x", "?code=x&state=", "?code=x&state=guess"] {
        let answer = get(&olga, format!("/api/v1/jira/callback{query}")).await;
        assert_eq!((answer.status, code(&answer).as_str()), (400, "no_link"), "{query}");
    }
    // The state of another session is used up by the attempt.
    let back = site.begin_link(&site.mia, MIA).await;
    let answer = get(&olga, back.clone()).await;
    assert_eq!((answer.status, code(&answer).as_str()), (400, "wrong_state"));
    assert_eq!(code(&get(&site.mia, back).await), "no_link");
    let again = test_server.session("mia").await;
    let back = site.begin_link(&site.mia, MIA).await;
    assert_eq!(code(&get(&again, back).await), "wrong_state", "another session of the same person is another one");

    // Consent refused, a code used before, a token endpoint that is down: nothing is stored, and the next attempt
    // works.
    let state = |back: &str| back.split("state=").nth(1).unwrap().to_owned();
    let back = site.begin_link(&site.mia, MIA).await;
    let refused = get(&site.mia, format!("/api/v1/jira/callback?error=access_denied&state={}", state(&back))).await;
    assert_eq!((refused.status, code(&refused).as_str()), (400, "link_refused"));
    jira.answer_next("/oauth/token", 503, &[], json!({}));
    let back = site.begin_link(&site.mia, MIA).await;
    let down = get(&site.mia, back).await;
    assert_eq!(down.status, 503, "{}", down.text());
    assert!(test_server.app().vault.links(None).await.unwrap().is_empty());
    let back = site.begin_link(&site.mia, MIA).await;
    let linked = get(&site.mia, back.clone()).await;
    assert_eq!(linked.status, 200, "{}", linked.text());
    assert_eq!(code(&get(&site.mia, back.clone()).await), "no_link", "a state is used once");
    let fresh = site.begin_link(&site.mia, MIA).await;
    let used = format!("{}&state={}", back.split('&').next().unwrap(), state(&fresh));
    let spent = get(&site.mia, used).await;
    assert_eq!((spent.status, code(&spent).as_str()), (400, "not_accepted"), "{}", spent.text());

    // One account is one user's, and one user has one account.
    let hers = site.link(&olga, MIA).await;
    assert_eq!((hers.status, code(&hers).as_str()), (409, "account_taken"));
    let other = site.link(&site.mia, "557058:olga").await;
    assert_eq!((other.status, code(&other).as_str()), (409, "other_account"));
    let id = linked.json::<Value>().unwrap()["id"].as_str().unwrap().to_owned();
    let relinked = site.link(&site.mia, MIA).await;
    assert_eq!(relinked.json::<Value>().unwrap()["id"], id.as_str(), "made anew, it is the same link");
    let path = format!("/api/v1/jira/links/{id}");
    assert_eq!(test_server.ask(&olga, Method::Delete, &path, None).await.status, 404, "it is not hers");
    assert_eq!(test_server.ask(&site.mia, Method::Delete, &path, None).await.status, 204);
    assert_eq!(test_server.ask(&site.mia, Method::Delete, &path, None).await.status, 404);
    assert_eq!(site.link(&olga, MIA).await.status, 200, "now it is free");
    jira.show_no_site();
    let outside = site.link(&site.mia, "557058:olga").await;
    assert_eq!(outside.status, 403, "{}", outside.text());
    site.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_its_administrator_changes_a_site_and_nobody_sees_its_secrets() {
    let site = Site::start(vec![]).await;
    let (test_server, path) = (&site.test_server, format!("/api/v1/jira/workspaces/{}", site.workspace));
    test_server.add_user(&site.mia, "root", "admin").await;
    let root = test_server.session("root").await;
    let answer = test_server.ask(&root, Method::Patch, &path, Some(&json!({"webhook_secret": "root-was-here"}))).await;
    assert_eq!(answer.status, 403, "{}", answer.text());
    let shown: Value = test_server.ask(&root, Method::Get, &path, None).await.json().unwrap();
    assert_eq!(
        (&shown["name"], &shown["editable"], &shown["status"]),
        (&JIRA_SITE.into(), &false.into(), &"active".into())
    );
    assert_eq!(shown["account_id"], JIRA_SERVICE.2, "whose comments are ours is known since the first link");
    let twice = json!({"name": JIRA_SITE.to_uppercase()});
    assert_eq!(test_server.ask(&site.mia, Method::Post, "/api/v1/jira/workspaces", Some(&twice)).await.status, 409);
    let valid: Value = test_server.ask(&site.mia, Method::Get, &format!("{path}/validate"), None).await.json().unwrap();
    assert_eq!((&valid["valid"], &valid["status"]), (&true.into(), &"active".into()), "{valid}");
    site.jira.refuse_service_account(true);
    let valid: Value = test_server.ask(&site.mia, Method::Get, &format!("{path}/validate"), None).await.json().unwrap();
    assert_eq!(valid["valid"], false);
    assert!(valid["message"].as_str().unwrap().contains("refused the credentials"), "{valid}");

    // A new secret is valid at once, and the old one until the next change.
    let body = comment("just talking").to_string();
    let deliver = |secret: &'static str| {
        let request = site.delivery("d", &body).header("x-hub-signature", sign(secret, &body));
        async move { test_server.send(request).await.status }
    };
    for (new, expected) in [("second-secret", [200, 200, 401]), ("third-secret", [401, 200, 200])] {
        let changed = test_server.ask(&site.mia, Method::Patch, &path, Some(&json!({"webhook_secret": new}))).await;
        assert_eq!(changed.status, 200, "{}", changed.text());
        let seen = [deliver(SECRET).await, deliver("second-secret").await, deliver("third-secret").await];
        assert_eq!(seen, expected, "{new}");
    }
    let made = test_server
        .ask(&site.mia, Method::Post, "/api/v1/jira/workspaces", Some(&json!({"name": "new.atlassian.net"})))
        .await;
    assert!(made.json::<Value>().unwrap()["webhook_secret"].as_str().unwrap().starts_with("pwj_"));
    site.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_exchange_a_refresh_token_once() {
    let site = Site::start_with(vec![], &[("JIRA_WRITE_AS", "user")]).await;
    let (app, other) = (site.test_server.app(), site.test_server.another().await);
    let link = app.vault.links(None).await.unwrap().remove(0);
    for round in 1..=3 {
        let tokens = app.vault.tokens(link.id).await.unwrap().unwrap();
        let ended = Tokens { expires_at: jiff::Timestamp::now(), ..tokens.clone() };
        app.vault.store_tokens(link.id, Some(&ended)).await.unwrap();
        let asks =
            (0..8).map(|at| if at % 2 == 0 { app.jira.token(link.id, None) } else { other.jira.token(link.id, None) });
        let found = futures_util::future::join_all(asks).await;
        let first = found[0].as_ref().unwrap().expose().to_owned();
        assert_ne!(first, tokens.access.expose());
        assert!(found.iter().all(|token| token.as_ref().unwrap().matches(&first)), "all have the new one");
        assert_eq!(site.jira.refreshed(), round);
    }
    site.finish().await;
}
