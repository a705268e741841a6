//! Clients of a server (users and programs), and a server with some of each.

use patchwright_core::Secret;
use patchwright_http::{Request, Response};
use serde_json::{Value, json};

use crate::harness::{REPO, TestServer, good_answers};

/// The verb of a request, as the table below writes it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Method {
    Get,
    Post,
    Put,
    Patch,
    Delete,
}

pub(super) const PASSWORD: &str = "correct horse battery";

/// A client with a session, a token, or no credentials.
#[derive(Clone, Default)]
pub(super) struct Caller {
    pub(super) cookie: Option<String>,
    pub(super) csrf: Option<String>,
    pub(super) token: Option<String>,
}

impl TestServer {
    pub(super) async fn ask(&self, caller: &Caller, method: Method, path: &str, body: Option<&Value>) -> Response {
        let url = self.url(path);
        let mut request = match method {
            Method::Get => Request::get(url),
            Method::Post => Request::post(url),
            Method::Put => Request::put(url),
            Method::Patch => Request::patch(url),
            Method::Delete => Request::delete(url),
        };
        if let Some(cookie) = &caller.cookie {
            request = request.header("cookie", cookie);
        }
        if let Some(csrf) = &caller.csrf {
            request = request.header("x-csrf-token", csrf);
        }
        if let Some(token) = &caller.token {
            request = request.bearer(&Secret::new(token.as_str()));
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        self.send(request).await
    }

    pub(super) async fn add_user(&self, by: &Caller, login: &str, role: &str) -> String {
        let body = json!({"login": login, "role": role, "password": PASSWORD});
        let answer = self.ask(by, Method::Post, "/api/v1/users", Some(&body)).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.json::<Value>().unwrap()["id"].as_str().unwrap().to_owned()
    }

    pub(super) async fn log_in(&self, login: &str, password: &str) -> Response {
        let body = json!({"login": login, "password": password});
        self.ask(&Caller::default(), Method::Post, "/api/v1/auth/login", Some(&body)).await
    }

    pub(super) async fn session(&self, login: &str) -> Caller {
        let answer = self.log_in(login, PASSWORD).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let cookie = answer.header("set-cookie").unwrap();
        assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"), "{cookie}");
        let cookie = cookie.split(';').next().unwrap().to_owned();
        let csrf = answer.json::<Value>().unwrap()["csrf_token"].as_str().unwrap().to_owned();
        Caller { cookie: Some(cookie), csrf: Some(csrf), token: None }
    }

    /// Assigns users to a repository, and nobody else.
    pub(super) async fn assign(&self, by: &Caller, repository: &str, users: &[&str]) {
        let path = format!("/api/v1/repositories/{repository}/members");
        let answer = self.ask(by, Method::Put, &path, Some(&json!({"user_ids": users}))).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    pub(super) async fn token(&self, by: &Caller, scope: &str) -> Caller {
        let body = json!({"name": "ci", "scope": scope, "expires_in_days": 7});
        let answer = self.ask(by, Method::Post, "/api/v1/tokens", Some(&body)).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        let secret = answer.json::<Value>().unwrap()["secret"].as_str().unwrap().to_owned();
        Caller { token: Some(secret), ..Caller::default() }
    }

    /// A registered node with its token.
    pub(super) async fn node(&self, by: &Caller, name: &str) -> (String, Caller) {
        let added = self.ask(by, Method::Post, "/api/v1/nodes", Some(&json!({"name": name}))).await;
        assert_eq!(added.status, 201, "{}", added.text());
        let join_token = added.json::<Value>().unwrap()["join_token"].clone();
        let register = json!({"join_token": join_token, "protocol": "1.0", "version": "1.0.0", "capacity": 2});
        let known = self.ask(&Caller::default(), Method::Post, "/api/v1/nodes/register", Some(&register)).await;
        assert_eq!(known.status, 201, "{}", known.text());
        let again = self.ask(&Caller::default(), Method::Post, "/api/v1/nodes/register", Some(&register)).await;
        assert_eq!(again.status, 401, "a join token is good once");
        let known: Value = known.json().unwrap();
        let token = known["token"].as_str().unwrap().to_owned();
        (known["node_id"].as_str().unwrap().to_owned(), Caller { token: Some(token), ..Caller::default() })
    }

    /// Starts an issue on a node, and returns the task once the node has it.
    pub(super) async fn task_for(&self, by: &Caller, issue: &str, node: &str) -> String {
        let body = json!({"node_id": node});
        let started = self.ask(by, Method::Post, &format!("/api/v1/issues/{issue}/start"), Some(&body)).await;
        assert_eq!(started.status, 200, "{}", started.text());
        let id = started.json::<Value>().unwrap()["id"].as_str().unwrap().to_owned();
        self.run_until_idle().await;
        let task = self.get_json(by, &format!("/api/v1/tasks/{id}")).await;
        assert_eq!(task["node_id"], node, "the node is given nothing");
        id
    }

    /// Runs all due work, then asserts that a job meets a condition.
    pub(super) async fn expect_job(&self, by: &Caller, job: &str, is_so: impl Fn(&Value) -> bool) {
        self.run_until_idle().await;
        let job = self.get_json(by, &format!("/api/v1/jobs/{job}")).await;
        assert!(is_so(&job), "{job:#}");
    }

    pub(super) async fn get_json(&self, by: &Caller, path: &str) -> Value {
        let answer = self.ask(by, Method::Get, path, None).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json().unwrap()
    }
}

/// A server with an administrator, a member who owns an issue, another member, and a repository on GitHub that both members
/// are assigned to.
pub(super) struct AccountsFixture {
    pub(super) test_server: TestServer,
    pub(super) admin: Caller,
    pub(super) owner: Caller,
    pub(super) member: Caller,
    pub(super) repository: String,
    pub(super) issue: String,
}

pub(super) async fn accounts_fixture() -> AccountsFixture {
    accounts_on(TestServer::start(good_answers()).await).await
}

/// The same on a server with these settings.
pub(super) async fn accounts_fixture_with(settings: &[(&str, &str)]) -> AccountsFixture {
    accounts_on(TestServer::start_with(good_answers(), settings).await).await
}

/// The same on a server with background loops.
pub(super) async fn live_accounts_fixture() -> AccountsFixture {
    accounts_on(TestServer::start_live(good_answers(), &[]).await).await
}

async fn accounts_on(test_server: TestServer) -> AccountsFixture {
    // There are no users yet, so requests from this machine are the operator's.
    test_server.add_user(&Caller::default(), "Root@Example.org", "admin").await;
    let admin = test_server.session("root@example.org").await;
    let olga = test_server.add_user(&admin, "olga", "member").await;
    let mike = test_server.add_user(&admin, "mike", "member").await;
    let (owner, member) = (test_server.session("olga").await, test_server.session("mike").await);
    let body = json!({"platform": "github", "name": REPO});
    let answer = test_server.ask(&admin, Method::Post, "/api/v1/repositories", Some(&body)).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let repository = answer.json::<Value>().unwrap()["id"].as_str().unwrap().to_owned();
    test_server.assign(&admin, &repository, &[&olga, &mike]).await;
    let body = json!({"repository_id": repository, "title": "add() subtracts", "body": "`add(1, 2)` is -1."});
    let answer = test_server.ask(&owner, Method::Post, "/api/v1/issues", Some(&body)).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let issue = answer.json::<Value>().unwrap();
    assert_eq!(
        (&issue["status"], &issue["number"]),
        (&"pending".into(), &43.into()),
        "it is open on the forge: {issue}"
    );
    let issue = issue["id"].as_str().unwrap().to_owned();
    AccountsFixture { test_server, admin, owner, member, repository, issue }
}
