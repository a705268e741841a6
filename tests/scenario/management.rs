//! Users, programs and their permissions: the management API over real HTTP.

use std::collections::BTreeSet;

use patchwright_domain::JobStatus;
use patchwright_http::Request;
use serde_json::{Value, json};

use super::accounts_fixture::{AccountsFixture, Caller, Method, PASSWORD, accounts_fixture, live_accounts_fixture};
use crate::harness::{REPO, TestServer};

#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::too_many_lines, reason = "it is one table")]
async fn who_may_what_stands_in_this_table() {
    use Method::{Delete, Get, Patch, Post, Put};
    let accounts_fixture = accounts_fixture().await;
    let AccountsFixture { test_server, admin, owner, member, repository, issue } = &accounts_fixture;
    let ghost = "00000000-0000-0000-0000-000000000009";
    // In the order of the columns.
    let (read, write) = (test_server.token(admin, "read").await, test_server.token(admin, "write").await);
    let (machine, held) = test_server.node(admin, "node-1").await;
    let (_, other) = test_server.node(admin, "node-2").await;
    let draft_of_task = json!({"repository_id": repository, "title": "for a node", "body": "x"});
    let assigned = test_server.ask(admin, Post, "/api/v1/issues", Some(&draft_of_task)).await.json::<Value>().unwrap();
    let assigned = assigned["id"].as_str().unwrap();
    let task = test_server.task_for(admin, assigned, &machine).await;
    let callers = [&Caller::default(), member, owner, &read, &write, admin, &held, &other];
    let none = json!({});
    let (unchanged, value) = (json!({"changes": []}), json!({"value": "x"}));
    let (accounts, nobody) = (json!({"accounts": []}), json!({"user_ids": []}));
    let words = json!({"words": "x"});
    let tested = json!({"test_command": "make check", "ci_rounds": 1});
    let user = json!({"login": "x", "role": "none"});
    let token = json!({"name": "", "scope": "read"});
    let added = json!({"platform": "github", "name": "acme/ghost"});
    let draft = json!({"repository_id": ghost, "title": "x"});
    let usage = json!({"calls": 1, "prompt_tokens": 1, "completion_tokens": 1, "cost_micros": 0});
    let key = json!({"name": "", "platform": "github", "scope": "*", "secret": "ghp_canary"});
    let channel = json!({"name": "", "kind": "slack", "target": "https://x", "events": []});
    let unnamed = json!({"name": "no name"});
    let nameless = json!({"name": ""});
    let mapped = json!({"platform": "github", "repository": "acme/demo"});
    let drain = json!({"draining": true});
    let guess = json!({"join_token": "guess", "protocol": "1.0", "version": "1", "capacity": 1});
    let beat = json!({"health": {"load": 0.1, "running": 0}, "protocol": "1.0"});
    let ask = json!({"running": [task], "wait_seconds": 0});
    let most = json!({"most": usage});
    let spent = json!({"day": "2026-01-02", "reserved": usage, "spent": usage});
    let piece = json!({"piece": 0, "text": "a line\n"});
    let call = json!({"call": {"number": 0, "purpose": "fix_plan", "model": "m", "usage": {"calls": 1, "prompt_tokens": 1, "completion_tokens": 1, "cost_micros": 0}, "millis": 1, "error": null}, "transcript": {"question": [], "answer": "a"}});
    let saved = json!({"conversation": {"base": null, "messages": [], "attempt": 0, "steps": 0, "draft": []}});
    let failed = json!({"task_id": task, "status": "failed", "error_message": "it was too hard"});
    #[rustfmt::skip]
    let table: &[(Method, &str, Option<&Value>, [u16; 8])] = &[
        //                                                             nobody member owner read write admin node other
        (Get,    "/api/v1/me",                            None,         [401, 200, 200, 200, 200, 200, 401, 401]),
        (Get,    "/api/v1/users",                         None,         [401, 403, 403, 403, 403, 200, 401, 401]),
        (Post,   "/api/v1/users",                         Some(&user),  [401, 403, 403, 403, 403, 400, 401, 401]),
        (Get,    "/api/v1/users/{ghost}",                 None,         [401, 403, 403, 403, 403, 404, 401, 401]),
        (Patch,  "/api/v1/users/{ghost}",                 Some(&none),  [401, 403, 403, 403, 403, 404, 401, 401]),
        (Delete, "/api/v1/users/{ghost}",                 None,         [401, 403, 403, 403, 403, 404, 401, 401]),
        (Get,    "/api/v1/users/{ghost}/accounts",        None,         [401, 403, 403, 403, 403, 404, 401, 401]),
        (Put,    "/api/v1/users/{ghost}/accounts",        Some(&accounts), [401, 403, 403, 403, 403, 404, 401, 401]),
        (Get,    "/api/v1/tokens",                        None,         [401, 200, 200, 200, 200, 200, 401, 401]),
        (Post,   "/api/v1/tokens",                        Some(&token), [401, 400, 400, 403, 400, 400, 401, 401]),
        (Delete, "/api/v1/tokens/{ghost}",                None,         [401, 404, 404, 403, 404, 404, 401, 401]),
        (Get,    "/api/v1/repositories",                  None,         [401, 200, 200, 200, 200, 200, 401, 401]),
        (Post,   "/api/v1/repositories",                  Some(&added), [401, 403, 403, 403, 403, 404, 401, 401]),
        (Get,    "/api/v1/repositories/{repository}",     None,         [401, 200, 200, 200, 200, 200, 401, 401]),
        (Delete, "/api/v1/repositories/{ghost}",          None,         [401, 403, 403, 403, 403, 404, 401, 401]),
        (Get,    "/api/v1/repositories/{ghost}/members",  None,         [401, 403, 403, 403, 403, 404, 401, 401]),
        (Put,    "/api/v1/repositories/{ghost}/members",  Some(&nobody), [401, 403, 403, 403, 403, 404, 401, 401]),
        (Put,    "/api/v1/repositories/{ghost}/settings", Some(&tested), [401, 403, 403, 403, 403, 404, 401, 401]),
        (Post,   "/api/v1/repositories/{repository}/sync", None,        [401, 403, 403, 403, 403, 200, 401, 401]),
        (Get,    "/api/v1/issues",                        None,         [401, 200, 200, 200, 200, 200, 401, 401]),
        (Post,   "/api/v1/issues",                        Some(&draft), [401, 404, 404, 403, 404, 404, 401, 401]),
        (Get,    "/api/v1/issues/{issue}",                None,         [401, 200, 200, 200, 200, 200, 401, 401]),
        (Patch,  "/api/v1/issues/{issue}",                Some(&none),  [401, 403, 200, 403, 403, 200, 401, 401]),
        (Post,   "/api/v1/issues/{issue}/cancel",         None,         [401, 403, 409, 403, 403, 409, 401, 401]),
        (Post,   "/api/v1/issues/{issue}/ready",          None,         [401, 403, 409, 403, 403, 409, 401, 401]),
        (Post,   "/api/v1/issues/{issue}/merge",          None,         [401, 403, 409, 403, 403, 409, 401, 401]),
        (Post,   "/api/v1/issues/{ghost}/start",          Some(&none),  [401, 404, 404, 404, 404, 404, 401, 401]),
        (Post,   "/api/v1/issues/start-batch",            Some(&none),  [401, 400, 400, 400, 400, 400, 401, 401]),
        (Get,    "/api/v1/tasks",                         None,         [401, 200, 200, 200, 200, 200, 401, 401]),
        (Get,    "/api/v1/tasks/{ghost}",                 None,         [401, 404, 404, 404, 404, 404, 401, 401]),
        (Get,    "/api/v1/jobs",                          None,         [401, 200, 200, 200, 200, 200, 401, 401]),
        (Get,    "/api/v1/jobs/{ghost}",                  None,         [401, 404, 404, 404, 404, 404, 401, 401]),
        (Post,   "/api/v1/jobs/{ghost}/retry",            None,         [401, 404, 404, 404, 404, 404, 401, 401]),
        (Post,   "/api/v1/jobs/{ghost}/approve",          None,         [401, 404, 404, 404, 404, 404, 401, 401]),
        (Post,   "/api/v1/jobs/{ghost}/plan",             Some(&words), [401, 404, 404, 404, 404, 404, 401, 401]),
        (Post,   "/api/v1/jobs/{ghost}/cancel",           None,         [401, 404, 404, 404, 404, 404, 401, 401]),
        (Get,    "/api/v1/stats",                         None,         [401, 200, 200, 200, 200, 200, 401, 401]),
        (Get,    "/api/v1/jobs/{ghost}/events",           None,         [401, 404, 404, 404, 404, 404, 401, 401]),
        (Get,    "/api/v1/audit",                         None,         [401, 403, 403, 403, 403, 200, 401, 401]),
        (Get,    "/api/v1/settings",                      None,         [401, 403, 403, 403, 403, 200, 401, 401]),
        (Patch,  "/api/v1/settings",                      Some(&unchanged), [401, 403, 403, 403, 403, 409, 401, 401]),
        (Put,    "/api/v1/settings/{name}",               Some(&value), [401, 403, 403, 403, 403, 404, 401, 401]),
        (Delete, "/api/v1/settings/{name}",               None,         [401, 403, 403, 403, 403, 404, 401, 401]),
        (Get,    "/api/v1/nodes",                         None,         [401, 200, 200, 200, 200, 200, 401, 401]),
        (Post,   "/api/v1/nodes",                         Some(&unnamed), [401, 403, 403, 403, 403, 400, 401, 401]),
        (Get,    "/api/v1/nodes/{ghost}",                 None,         [401, 404, 404, 404, 404, 404, 401, 401]),
        (Patch,  "/api/v1/nodes/{ghost}",                 Some(&none),  [401, 403, 403, 403, 403, 404, 401, 401]),
        (Post,   "/api/v1/nodes/{ghost}/drain",           Some(&drain), [401, 403, 403, 403, 403, 404, 401, 401]),
        (Delete, "/api/v1/nodes/{ghost}",                 None,         [401, 403, 403, 403, 403, 404, 401, 401]),
        (Get,    "/api/v1/tasks/{task}/logs",             None,         [401, 200, 200, 200, 200, 200, 401, 401]),
        (Get,    "/api/v1/jobs/{ghost}/calls",            None,         [401, 404, 404, 404, 404, 404, 401, 401]),
        (Get,    "/api/v1/tasks/{task}/calls/{turn}",     None,         [401, 404, 404, 404, 404, 404, 401, 401]),
        (Get,    "/api/v1/tasks/{ghost}/logs/stream",     None,         [401, 404, 404, 404, 404, 404, 401, 401]),
        (Get,    "/api/v1/credentials",                   None,         [401, 403, 403, 403, 403, 200, 401, 401]),
        (Post,   "/api/v1/credentials",                   Some(&key),   [401, 403, 403, 403, 403, 400, 401, 401]),
        (Get,    "/api/v1/credentials/{ghost}",           None,         [401, 403, 403, 403, 403, 404, 401, 401]),
        (Patch,  "/api/v1/credentials/{ghost}",           Some(&none),  [401, 403, 403, 403, 403, 404, 401, 401]),
        (Delete, "/api/v1/credentials/{ghost}",           None,         [401, 403, 403, 403, 403, 404, 401, 401]),
        (Get,    "/api/v1/notifications",                 None,         [401, 200, 200, 200, 200, 200, 401, 401]),
        (Post,   "/api/v1/notifications",                 Some(&channel), [401, 400, 400, 403, 400, 400, 401, 401]),
        (Get,    "/api/v1/notifications/{ghost}",         None,         [401, 404, 404, 404, 404, 404, 401, 401]),
        (Patch,  "/api/v1/notifications/{ghost}",         Some(&none),  [401, 404, 404, 403, 404, 404, 401, 401]),
        (Delete, "/api/v1/notifications/{ghost}",         None,         [401, 404, 404, 403, 404, 404, 401, 401]),
        (Post,   "/api/v1/notifications/{ghost}/test",    None,         [401, 404, 404, 403, 404, 404, 401, 401]),
        (Get,    "/api/v1/notifications/failed",          None,         [401, 403, 403, 403, 403, 200, 401, 401]),
        (Get,    "/api/v1/jira/status",                   None,         [401, 200, 200, 200, 200, 200, 401, 401]),
        // Linking requires a session; no application at Atlassian is configured here.
        (Get,    "/api/v1/jira/link",                     None,         [401, 404, 404, 403, 403, 404, 401, 401]),
        (Get,    "/api/v1/jira/callback",                 None,         [401, 404, 404, 403, 403, 404, 401, 401]),
        (Get,    "/api/v1/jira/links",                    None,         [401, 200, 200, 200, 200, 200, 401, 401]),
        (Delete, "/api/v1/jira/links/{ghost}",            None,         [401, 404, 404, 403, 404, 404, 401, 401]),
        (Get,    "/api/v1/jira/conversations",            None,         [401, 403, 403, 403, 403, 200, 401, 401]),
        (Get,    "/api/v1/jira/failed",                   None,         [401, 403, 403, 403, 403, 200, 401, 401]),
        (Get,    "/api/v1/jira/workspaces",               None,         [401, 200, 200, 200, 200, 200, 401, 401]),
        (Post,   "/api/v1/jira/workspaces",               Some(&nameless), [401, 403, 403, 403, 403, 400, 401, 401]),
        (Get,    "/api/v1/jira/workspaces/{ghost}",       None,         [401, 404, 404, 404, 404, 404, 401, 401]),
        (Patch,  "/api/v1/jira/workspaces/{ghost}",       Some(&none),  [401, 403, 403, 403, 403, 404, 401, 401]),
        (Get,    "/api/v1/jira/workspaces/{ghost}/validate", None,      [401, 403, 403, 403, 403, 404, 401, 401]),
        (Get,    "/api/v1/jira/workspaces/{ghost}/projects", None,      [401, 404, 404, 404, 404, 404, 401, 401]),
        (Post,   "/api/v1/jira/workspaces/{ghost}/projects/{key}", Some(&mapped), [401, 403, 403, 403, 403, 404, 401, 401]),
        (Delete, "/api/v1/jira/workspaces/{ghost}/projects/{key}", None, [401, 403, 403, 403, 403, 404, 401, 401]),
        // Requests of a node. Another node cannot even find out that the task exists.
        (Post,   "/api/v1/nodes/register",                Some(&guess), [401, 401, 401, 401, 401, 401, 401, 401]),
        (Post,   "/api/v1/nodes/{node}/heartbeat",        Some(&beat),  [401, 401, 401, 401, 401, 401, 200, 404]),
        (Post,   "/api/v1/nodes/{node}/lease",            Some(&ask),   [401, 401, 401, 401, 401, 401, 200, 404]),
        (Post,   "/api/v1/tasks/{task}/begin",            Some(&none),  [401, 401, 401, 401, 401, 401, 200, 404]),
        (Post,   "/api/v1/tasks/{task}/progress",         Some(&none),  [401, 401, 401, 401, 401, 401, 200, 404]),
        (Post,   "/api/v1/tasks/{task}/credential",       None,         [401, 401, 401, 401, 401, 401, 200, 404]),
        (Post,   "/api/v1/tasks/{task}/reserve",          Some(&most),  [401, 401, 401, 401, 401, 401, 200, 404]),
        (Post,   "/api/v1/tasks/{task}/settle",           Some(&spent), [401, 401, 401, 401, 401, 401, 204, 404]),
        (Post,   "/api/v1/tasks/{task}/calls",            Some(&call),  [401, 401, 401, 401, 401, 401, 204, 404]),
        (Post,   "/api/v1/tasks/{task}/conversation",     Some(&saved), [401, 401, 401, 401, 401, 401, 204, 404]),
        (Post,   "/api/v1/tasks/{task}/logs",             Some(&piece), [401, 401, 401, 401, 401, 401, 204, 404]),
        (Post,   "/api/v1/issues/{assigned}/report-branch",  Some(&failed), [401, 401, 401, 401, 401, 401, 200, 404]),
        (Get,    "/api/openapi.json",                     None,         [200, 200, 200, 200, 200, 200, 200, 200]),
        (Get,    "/api/v1/nowhere",                       None,         [404, 404, 404, 404, 404, 404, 404, 404]),
    ];
    for (method, path, body, expected) in table {
        let path = path.replace("{ghost}", ghost).replace("{repository}", repository).replace("{issue}", issue);
        let path = path
            .replace("{node}", &machine)
            .replace("{turn}", "0")
            .replace("{task}", &task)
            .replace("{assigned}", assigned);
        for (caller, expected) in callers.iter().zip(expected) {
            let answer = test_server.ask(caller, *method, &path, *body).await;
            assert_eq!(answer.status, *expected, "{method:?} {path}: {}", answer.text());
            if answer.status >= 400 {
                assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{path}");
            }
        }
    }
    described(test_server, table.iter().map(|(method, path, ..)| (*method, *path)).collect()).await;
    accounts_fixture.test_server.finish().await;
}

/// The table and the description have the same routes.
async fn described(test_server: &TestServer, table: Vec<(Method, &str)>) {
    let document = test_server.get_json(&Caller::default(), "/api/openapi.json").await;
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"), "{}", document["openapi"]);
    let of_table: BTreeSet<(String, String)> = table
        .into_iter()
        .map(|(method, path)| {
            let path = path.replace("{ghost}", "{id}").replace("{repository}", "{id}").replace("{issue}", "{id}");
            let path = path.replace("{turn}", "{number}");
            let path = path.replace("{node}", "{id}").replace("{task}", "{id}").replace("{assigned}", "{id}");
            (format!("{method:?}").to_lowercase(), path)
        })
        // The description itself, and paths that are not routes.
        .filter(|(_, path)| path != "/api/openapi.json" && path != "/api/v1/nowhere")
        .collect();
    let mut of_document = BTreeSet::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        of_document.extend(operations.as_object().unwrap().keys().map(|verb| (verb.clone(), path.clone())));
    }
    // Login routes require no authentication; the stream of all events never ends, and its permissions are checked
    // elsewhere.
    of_document
        .retain(|(_, path)| !path.starts_with("/api/v1/auth/") && path != "/api/v1/events" && path != "/api/v1/ws");
    assert_eq!(of_table, of_document);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issue_is_opened_started_and_merged_by_its_owner() {
    let accounts_fixture = accounts_fixture().await;
    let AccountsFixture { test_server, admin, owner, issue, .. } = &accounts_fixture;
    let path = |verb: &str| format!("/api/v1/issues/{issue}/{verb}");
    let started =
        test_server.ask(owner, Method::Post, &path("start"), Some(&json!({"instructions": "keep it small"}))).await;
    assert_eq!(started.status, 200, "{}", started.text());
    let task: Value = started.json().unwrap();
    assert_eq!((&task["status"], &task["command"]), (&"pending".into(), &"keep it small".into()));
    assert!(task["node_id"].is_null() && task["started_at"].is_null(), "{task}");
    let job = test_server.expect_end(task["job_id"].as_str().unwrap().parse().unwrap()).await;
    assert_eq!(job.status(), JobStatus::Succeeded, "{:?}", job.failure);
    let done = test_server.get_json(owner, &format!("/api/v1/tasks/{}", task["id"].as_str().unwrap())).await;
    assert_eq!((&done["status"], &done["node_id"]), (&"success".into(), &"embedded".into()), "{done}");
    assert_eq!(done["result_branch"], job.branch.to_string());
    assert!(done["completed_at"].is_string());
    let waits = test_server.get_json(owner, "/api/v1/issues?status=pending_merge&q=SUBTRACTS").await;
    assert_eq!(waits["items"][0]["id"], issue.as_str());
    let merged = test_server.ask(owner, Method::Post, &path("merge"), Some(&json!({"pull_request": true}))).await;
    assert_eq!(merged.status, 200, "{}", merged.text());
    assert_eq!(merged.json::<Value>().unwrap()["status"], "merged");
    let log = test_server.git.git(REPO, &["log", "--format=%H", "main"]);
    assert!(log.contains(job.published.pushed.as_ref().unwrap().as_str()), "it is merged on the forge too: {log}");
    let refused = test_server.ask(owner, Method::Post, &path("start"), None).await;
    assert_eq!((refused.status, &refused.json::<Value>().unwrap()["code"]), (409, &"wrong_state".into()));
    for (group, key) in [("repository", REPO), ("node", "embedded"), ("model", "default")] {
        let by = if group == "repository" { owner } else { admin };
        let stats = test_server.get_json(by, &format!("/api/v1/stats?group_by={group}")).await;
        let reply = &stats["groups"][0];
        assert_eq!((&reply["succeeded"], &reply["success_rate"]), (&1.into(), &1.0.into()), "{stats}");
        assert_eq!(reply["model_calls"], 3);
        assert!(reply["key"] == key || group == "model", "{stats}");
    }
    let record = test_server.get_json(admin, "/api/v1/audit").await;
    let actions: Vec<&str> =
        record["items"].as_array().unwrap().iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    assert_eq!(&actions[..3], ["issue.merged", "issue.started", "issue.opened"]);
    test_server.expect_comments(0).await;
    accounts_fixture.test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_site_can_do_nothing_with_a_session() {
    let accounts_fixture = accounts_fixture().await;
    let AccountsFixture { test_server, admin, .. } = &accounts_fixture;
    let without = Caller { csrf: None, ..admin.clone() };
    assert_eq!(test_server.ask(&without, Method::Get, "/api/v1/users", None).await.status, 200);
    let body = json!({"login": "eve", "role": "admin", "password": PASSWORD});
    assert_eq!(test_server.ask(&without, Method::Post, "/api/v1/users", Some(&body)).await.status, 403);
    let wrong = Caller { csrf: Some("guess".into()), ..admin.clone() };
    assert_eq!(test_server.ask(&wrong, Method::Post, "/api/v1/users", Some(&body)).await.status, 403);
    let elsewhere = Request::post(test_server.url("/api/v1/auth/login"))
        .header("origin", "https://evil.example")
        .json(&json!({"login": "root@example.org", "password": PASSWORD}));
    assert_eq!(test_server.send(elsewhere).await.status, 403);
    // After a logout the session's cookie is invalid.
    assert_eq!(test_server.ask(admin, Method::Post, "/api/v1/auth/logout", None).await.status, 204);
    assert_eq!(test_server.ask(admin, Method::Get, "/api/v1/me", None).await.status, 401);
    accounts_fixture.test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn before_anybody_was_added_a_foreign_page_cannot_act_as_the_operator() {
    let test_server = TestServer::start(vec![]).await;
    let body = json!({"login": "eve", "role": "admin", "password": PASSWORD});
    let foreign = Request::post(test_server.url("/api/v1/users")).header("origin", "https://evil.example").json(&body);
    assert_eq!(test_server.send(foreign).await.status, 403);
    assert_eq!(test_server.get_json(&Caller::default(), "/api/v1/users").await["items"], json!([]));
    test_server.add_user(&Caller::default(), "root", "admin").await;
    let nobody = test_server.ask(&Caller::default(), Method::Get, "/api/v1/users", None).await;
    assert_eq!(nobody.status, 401, "once somebody was added, the machine alone is not enough");
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_guesses_passwords_is_made_to_wait() {
    let accounts_fixture = accounts_fixture().await;
    let test_server = &accounts_fixture.test_server;
    for _ in 0..5 {
        assert_eq!(test_server.log_in("mike", "wrong password").await.status, 401);
    }
    let slowed = test_server.log_in("MIKE", PASSWORD).await;
    assert_eq!((slowed.status, slowed.header("retry-after")), (429, Some("1")), "also with the right one");
    assert_eq!(test_server.log_in("nobody", "wrong password").await.status, 401, "another login is not held up");
    assert_eq!(test_server.log_in("olga", PASSWORD).await.status, 200);
    accounts_fixture.test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_shut_out_is_out_at_once_and_the_last_administrator_stays() {
    let accounts_fixture = accounts_fixture().await;
    let AccountsFixture { test_server, admin, owner, .. } = &accounts_fixture;
    let token = test_server.token(owner, "write").await;
    assert_eq!(test_server.ask(&token, Method::Get, "/api/v1/me", None).await.status, 200);
    let users = test_server.get_json(admin, "/api/v1/users").await;
    let id = |login: &str| {
        let all = users["items"].as_array().unwrap();
        all.iter().find(|user| user["login"] == login).unwrap()["id"].as_str().unwrap().to_owned()
    };
    let change = async |login: &str, body: Value| {
        test_server.ask(admin, Method::Patch, &format!("/api/v1/users/{}", id(login)), Some(&body)).await
    };
    assert_eq!(change("olga", json!({"active": false})).await.status, 200);
    assert_eq!(test_server.ask(owner, Method::Get, "/api/v1/me", None).await.status, 401);
    assert_eq!(test_server.ask(&token, Method::Get, "/api/v1/me", None).await.status, 401);
    assert_eq!(test_server.log_in("olga", PASSWORD).await.status, 401);
    for demoted in [json!({"active": false}), json!({"role": "member"})] {
        let refused = change("root@example.org", demoted).await;
        assert_eq!((refused.status, &refused.json::<Value>().unwrap()["code"]), (409, &"last_admin".into()));
    }
    accounts_fixture.test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_open_issues_of_a_repository_are_imported_and_started_together() {
    let accounts_fixture = accounts_fixture().await;
    let AccountsFixture { test_server, admin, repository, issue, .. } = &accounts_fixture;
    let sync = async || {
        let answer =
            test_server.ask(admin, Method::Post, &format!("/api/v1/repositories/{repository}/sync"), None).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json::<Value>().unwrap()
    };
    assert_eq!(sync().await, json!({"imported": 1, "updated": 0}), "#42; the owner's #43 is known");
    assert_eq!(sync().await, json!({"imported": 0, "updated": 0}));
    let first = test_server.get_json(admin, "/api/v1/issues?limit=1").await;
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = test_server.get_json(admin, &format!("/api/v1/issues?limit=1&cursor={cursor}")).await;
    let (first, second) = (&first["items"][0]["id"], &second["items"][0]["id"]);
    assert_ne!(first, second);
    let ids = json!({"ids": [issue, "no-id"]});
    let batch = test_server.ask(admin, Method::Post, "/api/v1/issues/start-batch", Some(&ids)).await;
    let items = batch.json::<Value>().unwrap()["items"].clone();
    assert_eq!((&items[0]["started"], &items[1]["started"]), (&true.into(), &false.into()), "{items}");
    assert_eq!(items[1]["error"], "there is no issue with this id");
    let job = test_server.expect_end(items[0]["job_id"].as_str().unwrap().parse().unwrap()).await;
    assert_eq!(job.status(), JobStatus::Succeeded, "{:?}", job.failure);
    accounts_fixture.test_server.finish().await;
}

/// Reads events until one matches, and returns its id.
async fn watch(stream: &mut patchwright_http::StreamingResponse, fits: impl Fn(&Value) -> bool) -> String {
    let mut text = String::new();
    loop {
        let bytes = stream.chunk().await.unwrap().expect("the stream goes on");
        text.push_str(&String::from_utf8_lossy(&bytes));
        while let Some((frame, rest)) = text.split_once("\n\n") {
            let field = |name: &str| frame.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
            let event = field("data: ").map(|data| serde_json::from_str::<Value>(&data).unwrap());
            let id = field("id: ");
            text = rest.to_owned();
            if event.is_some_and(|event| fits(&event)) {
                return id.unwrap();
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_sees_a_job_go_on_and_resumes_after_a_break() {
    let accounts_fixture = live_accounts_fixture().await;
    let AccountsFixture { test_server, owner, issue, .. } = &accounts_fixture;
    let open = async |path: &str, last: Option<&str>| {
        let mut request = Request::get(test_server.url(path)).header("cookie", owner.cookie.as_deref().unwrap());
        if let Some(last) = last {
            request = request.header("last-event-id", last);
        }
        test_server.http.stream(&request, std::time::Duration::from_secs(30)).await.unwrap()
    };
    let mut board = open("/api/v1/events", None).await;
    let started = test_server.ask(owner, Method::Post, &format!("/api/v1/issues/{issue}/start"), None).await;
    let job_id = started.json::<Value>().unwrap()["job_id"].as_str().unwrap().to_owned();
    let is = |status: &'static str| {
        let job_id = job_id.clone();
        move |event: &Value| event["job_id"] == job_id.as_str() && event["status"] == status
    };
    let running = watch(&mut board, is("running")).await;
    // The connection is lost; missed events are sent first.
    drop(board);
    test_server.expect_end(job_id.parse().unwrap()).await;
    let mut board = open("/api/v1/events", Some(&running)).await;
    watch(&mut board, is("succeeded")).await;
    // A late subscriber gets the current state.
    let mut job = open(&format!("/api/v1/jobs/{job_id}/events"), None).await;
    watch(&mut job, |event| event["stages"] == json!(["succeeded", "succeeded", "succeeded", "succeeded"])).await;
    drop((board, job));
    test_server.expect_comments(0).await;
    accounts_fixture.test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_is_shown_without_anything_from_elsewhere() {
    let test_server = TestServer::start(vec![]).await;
    let short = test_server.get("/api/docs").await;
    assert_eq!(short.status, 200, "it leads to the pages: {}", short.text());
    let page = test_server.get("/api/docs/index.html").await;
    assert_eq!(page.status, 200, "{}", page.text());
    for part in ["index.html", "swagger-initializer.js"] {
        let text = test_server.get(&format!("/api/docs/{part}")).await.text();
        assert!(!text.contains("https://") && !text.contains("http://"), "{part}: {text}");
    }
    assert!(test_server.get("/api/docs/swagger-initializer.js").await.text().contains("/api/openapi.json"));
    assert_eq!(test_server.get("/api/docs/swagger-ui-bundle.js").await.status, 200);
    test_server.finish().await;
}
