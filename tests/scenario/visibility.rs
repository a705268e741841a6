//! Who sees what: by the forge's permission, by assignment, or as the owner of an issue.

use serde_json::{Value, json};

use super::accounts_fixture::{AccountsFixture, Caller, Method, accounts_fixture};
use crate::harness::TestServer;

async fn count(test_server: &TestServer, by: &Caller, path: &str) -> usize {
    test_server.get_json(by, path).await["items"].as_array().unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_sees_a_repository_by_assignment_or_permission_and_nothing_of_others() {
    let AccountsFixture { test_server, admin, owner, repository, issue, .. } = accounts_fixture().await;
    let started =
        test_server.ask(&owner, Method::Post, &format!("/api/v1/issues/{issue}/start"), Some(&json!({}))).await;
    let task: Value = started.json().unwrap();
    let (task, job) = (task["id"].as_str().unwrap(), task["job_id"].as_str().unwrap());
    test_server.run_until_idle().await;
    let nina = test_server.add_user(&admin, "nina", "member").await;
    let outsider = test_server.session("nina").await;
    let hidden = [
        format!("/api/v1/issues/{issue}"),
        format!("/api/v1/jobs/{job}"),
        format!("/api/v1/jobs/{job}/events"),
        format!("/api/v1/jobs/{job}/calls"),
        format!("/api/v1/tasks/{task}"),
        format!("/api/v1/tasks/{task}/logs"),
        format!("/api/v1/tasks/{task}/logs/stream"),
        format!("/api/v1/tasks/{task}/calls/0"),
        format!("/api/v1/repositories/{repository}"),
    ];
    let lists =
        ["/api/v1/issues", "/api/v1/issues?q=subtracts", "/api/v1/jobs", "/api/v1/tasks", "/api/v1/repositories"];
    let pages = [
        format!("/issues/{issue}"),
        format!("/jobs/{job}"),
        format!("/jobs/{job}/patch"),
        format!("/tasks/{task}/calls/0"),
    ];

    for path in &hidden {
        assert_eq!(test_server.ask(&outsider, Method::Get, path, None).await.status, 404, "{path}");
    }
    for action in ["start", "cancel", "ready", "merge"] {
        let path = format!("/api/v1/issues/{issue}/{action}");
        assert_eq!(test_server.ask(&outsider, Method::Post, &path, Some(&json!({}))).await.status, 404, "{path}");
    }
    for path in lists {
        assert_eq!(count(&test_server, &outsider, path).await, 0, "{path}");
        assert!(count(&test_server, &owner, path).await > 0, "{path}");
    }
    for path in &pages {
        assert_eq!(test_server.page(&outsider, path).await.status, 404, "{path}");
        assert_eq!(test_server.page(&owner, path).await.status, 200, "{path}");
    }
    for path in ["/board", "/issues", "/jobs", "/statistics"] {
        let page = test_server.page(&outsider, path).await;
        assert!(
            page.status == 200 && !page.text().contains("subtracts") && !page.text().contains("acme/demo"),
            "{path}"
        );
    }
    let groups =
        async |by: &Caller, path: &str| test_server.get_json(by, path).await["groups"].as_array().unwrap().len();
    assert_eq!((groups(&outsider, "/api/v1/stats").await, groups(&owner, "/api/v1/stats").await), (0, 1));
    let by_model = "/api/v1/stats?group_by=model";
    assert_eq!(test_server.ask(&owner, Method::Get, by_model, None).await.status, 403, "it counts all repositories");
    assert_eq!(groups(&admin, by_model).await, 1);
    let draft = json!({"repository_id": repository, "title": "x"});
    assert_eq!(test_server.ask(&outsider, Method::Post, "/api/v1/issues", Some(&draft)).await.status, 404);

    // An administrator links her account, which may read on the forge; another one may not.
    let accounts = format!("/api/v1/users/{nina}/accounts");
    let link = async |login: &str| {
        let body = json!({"accounts": [{"platform": "github", "login": login}]});
        assert_eq!(test_server.ask(&admin, Method::Put, &accounts, Some(&body)).await.status, 200);
    };
    link("mallory").await;
    assert_eq!(count(&test_server, &outsider, "/api/v1/jobs").await, 0, "mallory has no access to the repository");
    link("Alice").await;
    assert_eq!(count(&test_server, &outsider, "/api/v1/jobs").await, 1);
    assert_eq!(test_server.ask(&outsider, Method::Get, &hidden[0], None).await.status, 200);
    let start = format!("/api/v1/issues/{issue}/cancel");
    assert_eq!(test_server.ask(&outsider, Method::Post, &start, None).await.status, 403, "seeing is not owning");

    // Who owns an issue sees it and its jobs without the repository.
    test_server.assign(&admin, &repository, &[]).await;
    assert_eq!(count(&test_server, &owner, "/api/v1/issues").await, 1);
    assert_eq!(test_server.ask(&owner, Method::Get, &hidden[1], None).await.status, 200);
    assert_eq!(test_server.ask(&owner, Method::Get, &hidden[8], None).await.status, 404);
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_and_a_person_are_deleted_with_what_is_theirs() {
    let AccountsFixture { test_server, admin, owner, repository, issue, .. } = accounts_fixture().await;
    let start = format!("/api/v1/issues/{issue}/start");
    let started = test_server.ask(&owner, Method::Post, &start, Some(&json!({}))).await;
    let job = started.json::<Value>().unwrap()["job_id"].as_str().unwrap().to_owned();
    let everything = format!("/api/v1/repositories/{repository}?data=true");
    let early = test_server.ask(&admin, Method::Delete, &everything, None).await;
    assert_eq!(early.status, 409, "{}", early.text());
    assert!(early.text().contains("has not ended; cancel it first"), "{}", early.text());
    test_server.run_until_idle().await;
    assert_eq!(count(&test_server, &admin, "/api/v1/jobs").await, 1);
    let deleted = test_server.ask(&admin, Method::Delete, &everything, None).await;
    assert_eq!(deleted.status, 204, "{}", deleted.text());
    for path in ["/api/v1/issues", "/api/v1/jobs", "/api/v1/tasks", "/api/v1/repositories"] {
        assert_eq!(count(&test_server, &admin, path).await, 0, "{path}");
    }
    assert_eq!(test_server.ask(&admin, Method::Get, &format!("/api/v1/jobs/{job}"), None).await.status, 404);
    let by_repository = test_server.get_json(&admin, "/api/v1/stats?group_by=repository").await;
    assert_eq!(by_repository["groups"], json!([]));
    let actions = test_server.get_json(&admin, "/api/v1/audit").await.to_string();
    assert!(actions.contains("repository.deleted") && actions.contains("issue.started"), "the audit log stays");

    let users = test_server.get_json(&admin, "/api/v1/users").await;
    let id_of = |login: &str| {
        let user = users["items"].as_array().unwrap().iter().find(|user| user["login"] == login).unwrap();
        format!("/api/v1/users/{}", user["id"].as_str().unwrap())
    };
    assert_eq!(test_server.ask(&admin, Method::Delete, &id_of("olga"), None).await.status, 204);
    assert_eq!(test_server.ask(&owner, Method::Get, "/api/v1/me", None).await.status, 401, "the session is gone");
    assert_eq!(test_server.ask(&admin, Method::Get, &id_of("olga"), None).await.status, 404);
    let last = test_server.ask(&admin, Method::Delete, &id_of("root@example.org"), None).await;
    assert_eq!(last.status, 409, "{}", last.text());
    test_server.finish().await;
}
