//! The part of GitCode's API v5 that Patchwright uses, with state. It has the peculiarities of the platform: numbers
//! are strings, a missing object is a 400 with the code 404 in the body, and responses to changes are short.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use actix_web::{App, HttpRequest, HttpResponse, web};
use serde_json::{Value, json};

use super::{Running, listen};
use crate::fake;

/// Added to the number of a pull request to keep its comments apart from those of issues.
const PULLS: u64 = 1_000_000;

/// The token that the server accepts.
pub const GITCODE_TOKEN: &str = "gitcodeCanaryCanaryCanary0123456789";
const OWN_LOGIN: &str = "patchwright-bot";

#[derive(Debug, Default)]
struct Model {
    git_root: PathBuf,
    issues: BTreeMap<(String, u64), (String, String)>,
    comments: Vec<(u64, String, u64, String)>,
    pulls: Vec<Pull>,
    permissions: BTreeMap<String, String>,
    requests: Vec<String>,
    slow_down: u32,
    only_private_token: bool,
}

#[derive(Debug, Clone)]
struct Pull {
    repo: String,
    number: u64,
    head: String,
    base: String,
    title: String,
    body: String,
    draft: bool,
    merged: bool,
}

type Shared = web::Data<Mutex<Model>>;

/// A server that behaves like GitCode.
#[derive(Debug)]
pub struct GitcodeServer {
    model: Arc<Mutex<Model>>,
    running: Running,
}

impl GitcodeServer {
    /// Starts a server whose bare repositories are in a folder, as `owner/name.git`.
    pub fn start(git_root: PathBuf) -> Self {
        let model = Arc::new(Mutex::new(Model { git_root, ..Model::default() }));
        let shared = Arc::clone(&model);
        let running =
            listen!(move || { App::new().app_data(Shared::from(Arc::clone(&shared))).default_service(web::to(serve)) });
        Self { model, running }
    }

    /// Returns the base of the API.
    pub fn url(&self) -> String {
        format!("http://{}/api/v5", self.running.address)
    }

    /// Opens an issue.
    pub fn open_issue(&self, repo: &str, number: u64, title: &str, body: &str) {
        let issue = (title.to_owned(), body.to_owned());
        self.model.lock().unwrap().issues.insert((repo.to_owned(), number), issue);
    }

    /// Gives a user a permission.
    pub fn permit(&self, login: &str, permission: &str) {
        self.model.lock().unwrap().permissions.insert(login.to_owned(), permission.to_owned());
    }

    /// Responds to the next requests with 429.
    pub fn slow_down(&self, requests: u32) {
        self.model.lock().unwrap().slow_down = requests;
    }

    /// Accepts the token in the header `PRIVATE-TOKEN` only.
    pub fn take_private_token_only(&self) {
        self.model.lock().unwrap().only_private_token = true;
    }

    /// Returns the comments on a pull request, without hidden markers.
    pub fn comments_on_pull(&self, number: u64) -> Vec<String> {
        self.comments_on(PULLS + number)
    }

    /// Returns the comments on an issue, without hidden markers.
    pub fn comments_on(&self, number: u64) -> Vec<String> {
        let model = self.model.lock().unwrap();
        model.comments.iter().filter(|c| c.2 == number).map(|c| fake::visible_text(&c.3)).collect()
    }

    /// Returns each pull request as (title, head, base, draft).
    pub fn pulls(&self) -> Vec<(String, String, String, bool)> {
        let model = self.model.lock().unwrap();
        let row = |p: &Pull| (p.title.clone(), p.head.clone(), p.base.clone(), p.draft);
        model.pulls.iter().map(row).collect()
    }

    /// Returns everything that users can see in one text, to search it for secrets.
    pub fn everything_visible(&self) -> String {
        format!("{:?}", self.model.lock().unwrap())
    }

    /// Returns method and path of every request.
    pub fn requests(&self) -> Vec<String> {
        self.model.lock().unwrap().requests.clone()
    }
}

/// A 400 with the real code in the body, as recorded.
fn missing() -> HttpResponse {
    HttpResponse::BadRequest().json(json!({
        "error_code": 404, "error_code_name": "UN_KNOW", "error_message": "404 Not Found", "trace_id": "t",
    }))
}

fn refused(message: &str) -> HttpResponse {
    HttpResponse::BadRequest()
        .json(json!({"error_code": 400, "error_code_name": "BAD_REQUEST", "error_message": message}))
}

async fn serve(request: HttpRequest, body: web::Bytes, model: Shared) -> HttpResponse {
    let model = &mut *model.lock().unwrap();
    model.requests.push(format!("{} {}", request.method(), request.path()));
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    let bearer = header("authorization") == Some(&format!("Bearer {GITCODE_TOKEN}")) && !model.only_private_token;
    if !bearer && header("private-token") != Some(GITCODE_TOKEN) {
        return HttpResponse::Unauthorized().json(json!({"message": "401 Unauthorized"}));
    }
    if model.slow_down > 0 {
        model.slow_down -= 1;
        return HttpResponse::TooManyRequests().json(json!({"message": "Too Many Requests"}));
    }
    let Some(path) = request.path().strip_prefix("/api/v5") else { return missing() };
    let query: BTreeMap<String, String> =
        web::Query::<BTreeMap<String, String>>::from_query(request.query_string()).unwrap().into_inner();
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    match (request.method().as_str(), parts.as_slice()) {
        ("GET", ["user"]) => HttpResponse::Ok().json(json!({"login": OWN_LOGIN, "id": "64f0a1b2c3"})),
        ("POST", ["repos", owner, "issues"]) => {
            let (Some(name), Some(title)) = (body["repo"].as_str(), body["title"].as_str()) else {
                return refused("repo and title are needed");
            };
            let repo = format!("{owner}/{name}");
            let taken = model.issues.keys().filter(|(of, _)| *of == repo).map(|(_, number)| *number).max();
            let number = taken.unwrap_or(0) + 1;
            let text = body["body"].as_str().unwrap_or_default().to_owned();
            model.issues.insert((repo.clone(), number), (title.to_owned(), text.clone()));
            HttpResponse::Ok().json(issue_json(&repo, &number.to_string(), title, &text))
        }
        (method, ["repos", owner, name, rest @ ..]) => {
            model.repository(&format!("{owner}/{name}"), method, rest, &query, &body)
        }
        _ => missing(),
    }
}

impl Model {
    fn repository(
        &mut self,
        repo: &str,
        method: &str,
        rest: &[&str],
        query: &BTreeMap<String, String>,
        body: &Value,
    ) -> HttpResponse {
        match (method, rest) {
            ("GET", []) if self.git_root.join(format!("{repo}.git")).exists() => HttpResponse::Ok().json(json!({
                "id": 1, "full_name": repo, "path": repo, "default_branch": "main", "private": true,
                "html_url": "https://elsewhere.invalid/never-used.git",
            })),
            ("GET", ["issues"]) => {
                let number_of = |name: &str, usual| query.get(name).and_then(|text| text.parse().ok()).unwrap_or(usual);
                let (page, size): (usize, usize) = (number_of("page", 1), number_of("per_page", 20).min(100));
                let all = self.issues.iter().filter(|((of, _), _)| of == repo);
                let issues: Vec<Value> = all
                    .map(|((_, number), (title, body))| issue_json(repo, &number.to_string(), title, body))
                    .skip((page - 1) * size)
                    .take(size)
                    .collect();
                HttpResponse::Ok().json(issues)
            }
            ("GET", ["issues", number]) => match self.issues.get(&(repo.to_owned(), number.parse().unwrap_or(0))) {
                Some((title, body)) => HttpResponse::Ok().json(issue_json(repo, number, title, body)),
                None => missing(),
            },
            ("GET", ["issues", number, "comments"]) => self.comments(repo, number, query),
            ("POST", ["issues", number, "comments"]) => self.post_comment(repo, number, body),
            ("PATCH", ["issues", "comments", id]) => {
                match self.comments.iter_mut().find(|comment| comment.0.to_string() == **id) {
                    Some(comment) => {
                        comment.3 = body["body"].as_str().unwrap().to_owned();
                        HttpResponse::Ok().json(json!({"id": comment.0, "body": comment.3}))
                    }
                    None => missing(),
                }
            }
            ("GET", ["collaborators", login, "permission"]) => match self.permissions.get(*login) {
                Some(permission) => HttpResponse::Ok().json(json!({"permission": permission})),
                None => HttpResponse::NotFound().json(json!({"error_code": 404, "error_message": "404 Not Found"})),
            },
            ("GET", ["contents", path @ ..]) if *path == ["README.md"] => HttpResponse::Ok().json(json!({
                "type": "file", "encoding": "base64", "content": "aGVsbG8K\n", "sha": "1", "path": "README.md",
            })),
            (method, ["pulls", rest @ ..]) => self.pulls_of(repo, method, rest, query, body),
            _ => missing(),
        }
    }

    fn comments(&self, repo: &str, number: &str, query: &BTreeMap<String, String>) -> HttpResponse {
        let number: u64 = number.parse().unwrap_or(0);
        if !self.issues.contains_key(&(repo.to_owned(), number)) {
            return missing();
        }
        self.page_of_comments(repo, number, query)
    }

    fn has_pull(&self, repo: &str, number: &str) -> bool {
        self.pulls.iter().any(|pull| pull.repo == repo && pull.number.to_string() == number)
    }

    fn page_of_comments(&self, repo: &str, number: u64, query: &BTreeMap<String, String>) -> HttpResponse {
        let number_of = |name: &str, usual: usize| query.get(name).and_then(|text| text.parse().ok()).unwrap_or(usual);
        let (page, size) = (number_of("page", 1), number_of("per_page", 20).min(100));
        let all: Vec<Value> = self
            .comments
            .iter()
            .filter(|comment| comment.1 == repo && comment.2 == number)
            .map(|comment| json!({"id": comment.0, "body": comment.3, "user": {"login": OWN_LOGIN}}))
            .collect();
        let pages = all.len().div_ceil(size).to_string();
        let found: Vec<Value> = all.into_iter().skip((page - 1) * size).take(size).collect();
        HttpResponse::Ok().insert_header(("total_page", pages)).json(found)
    }

    fn post_comment(&mut self, repo: &str, number: &str, body: &Value) -> HttpResponse {
        let number: u64 = number.parse().unwrap_or(0);
        if !self.issues.contains_key(&(repo.to_owned(), number)) {
            return missing();
        }
        self.add_comment(repo, number, body)
    }

    fn add_comment(&mut self, repo: &str, number: u64, body: &Value) -> HttpResponse {
        let id = 1_530_000 + self.comments.len() as u64;
        let text = body["body"].as_str().unwrap().to_owned();
        self.comments.push((id, repo.to_owned(), number, text.clone()));
        HttpResponse::Created().json(json!({"id": id, "body": text, "target": {"issue": {"id": 1, "nubmer": number}}}))
    }

    fn pulls_of(
        &mut self,
        repo: &str,
        method: &str,
        rest: &[&str],
        query: &BTreeMap<String, String>,
        body: &Value,
    ) -> HttpResponse {
        match (method, rest) {
            ("GET", []) => {
                // Returns all open ones: whether the filter works everywhere is not known.
                assert_eq!(query["state"], "open");
                let found = self.pulls.iter().filter(|pull| pull.repo == repo && !pull.merged).map(pull_json);
                HttpResponse::Ok().json(found.collect::<Vec<_>>())
            }
            ("POST", []) => self.create_pull(repo, body),
            ("GET", [number, "comments"]) if self.has_pull(repo, number) => {
                self.page_of_comments(repo, thread(number), query)
            }
            ("POST", [number, "comments"]) if self.has_pull(repo, number) => {
                self.add_comment(repo, thread(number), body)
            }
            ("PUT", [number, "merge"]) => {
                let Some(pull) = self.pulls.iter_mut().find(|pull| pull.number.to_string() == **number) else {
                    return missing();
                };
                if pull.draft {
                    return refused("the pull request is a draft");
                }
                pull.merged = true;
                HttpResponse::Ok().json(json!({"sha": "0", "merged": true, "message": "Pull Request has been merged"}))
            }
            (method, [number]) => {
                let Some(pull) = self.pulls.iter_mut().find(|pull| pull.number.to_string() == **number) else {
                    return missing();
                };
                if method == "GET" {
                    return HttpResponse::Ok().json(pull_json(pull));
                }
                if let Some(text) = body["body"].as_str() {
                    text.clone_into(&mut pull.body);
                }
                if let Some(title) = body["title"].as_str() {
                    title.clone_into(&mut pull.title);
                }
                pull.draft = body["draft"].as_bool().unwrap_or(pull.draft);
                HttpResponse::Ok().json(json!({"title": pull.title, "body": pull.body, "state": "opened"}))
            }
            _ => missing(),
        }
    }

    fn create_pull(&mut self, repo: &str, body: &Value) -> HttpResponse {
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        let (head, base) = (text("head"), text("base"));
        let place = self.git_root.join(format!("{repo}.git"));
        let exists = |branch: &str| {
            let name = format!("refs/heads/{branch}");
            let mut git = std::process::Command::new("git");
            git.arg("-C").arg(&place).args(["rev-parse", "--verify", "-q", &name]).output().unwrap().status.success()
        };
        if !exists(&head) || !exists(&base) {
            return refused("source branch or target branch does not exist");
        }
        if self.pulls.iter().any(|pull| pull.repo == repo && pull.head == head && !pull.merged) {
            return refused("Another open merge request already exists for this source branch");
        }
        let pull = Pull {
            repo: repo.to_owned(),
            number: 30 + self.pulls.len() as u64,
            title: text("title"),
            body: text("body"),
            draft: body["draft"].as_bool().unwrap_or(false),
            merged: false,
            head,
            base,
        };
        self.pulls.push(pull.clone());
        HttpResponse::Ok().json(pull_json(&pull))
    }
}

/// The number under which the comments of a pull request are kept.
fn thread(pull: &str) -> u64 {
    PULLS + pull.parse::<u64>().unwrap_or(0)
}

fn pull_json(pull: &Pull) -> Value {
    json!({
        "id": 190_000 + pull.number, "number": pull.number.to_string(), "iid": pull.number, "title": pull.title,
        "body": pull.body, "draft": pull.draft, "state": if pull.merged { "merged" } else { "open" }, "user": {"login": OWN_LOGIN},
        "head": {"ref": pull.head}, "base": {"ref": pull.base},
        "html_url": format!("https://gitcode.invalid/{}/pull/{}", pull.repo, pull.number),
    })
}

fn issue_json(repo: &str, number: &str, title: &str, body: &str) -> Value {
    json!({
        "id": 515_443, "number": number, "title": title, "body": body, "state": "open", "issue_state": "开启的",
        "user": {"login": "alice"}, "labels": [{"name": "bug"}],
        "html_url": format!("https://gitcode.invalid/{repo}/issues/{number}"),
    })
}
