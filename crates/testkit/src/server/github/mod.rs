//! The part of GitHub that Patchwright uses, with state. Like GitHub, it refuses a missing token, user agent or branch.

mod app;
mod forks;
mod more;

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use actix_web::http::StatusCode;
use actix_web::{App, HttpResponse, web};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Running, listen};
use crate::fake;

/// The token that the server accepts.
pub const TOKEN: &str = "ghp_CanaryCanaryCanaryCanaryCanary012345";
/// The account of the token.
const OWN_LOGIN: &str = "patchwright-bot";

#[derive(Debug, Default)]
struct Model {
    git_root: PathBuf,
    issues: BTreeMap<(String, u64), (String, String)>,
    comments: Vec<Comment>,
    pulls: Vec<Pull>,
    permissions: BTreeMap<String, String>,
    requests: Vec<String>,
    app: Option<app::AppModel>,
    registration: Option<app::Registration>,
    hook_secret: Option<String>,
    more: more::More,
    instead: VecDeque<Instead>,
    unchanged: usize,
    faults: Option<Faults>,
}

/// Calls that fail randomly.
#[derive(Debug)]
struct Faults {
    percent: u64,
    state: u64,
}

/// How a call fails.
#[derive(Debug, Clone, Copy)]
enum Fault {
    /// The server responds with an error and does nothing.
    Status(u16),
    /// The call takes effect, and its response is cut off.
    CutOff,
}

impl Faults {
    /// Random numbers (xorshift), the same for the same seed.
    fn next(&mut self) -> Option<Fault> {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        if self.state % 100 >= self.percent {
            return None;
        }
        Some(match (self.state >> 32) % 4 {
            0 => Fault::Status(502),
            1 => Fault::Status(429),
            2 => Fault::Status(500),
            _ => Fault::CutOff,
        })
    }
}

/// A response that replaces the regular one.
#[derive(Debug, Clone)]
struct Instead {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Value,
}

#[derive(Debug, Clone)]
struct Comment {
    id: u64,
    repo: String,
    number: u64,
    body: String,
    edits: u32,
}

#[derive(Debug, Clone)]
struct Pull {
    author: String,
    repo: String,
    number: u64,
    head: String,
    base: String,
    title: String,
    bodies: Vec<String>,
    draft: bool,
    merged: bool,
    reviewers: Vec<String>,
}

/// A server that behaves like GitHub.
#[derive(Debug)]
pub struct GithubServer {
    model: Arc<Mutex<Model>>,
    running: Running,
}

type Shared = web::Data<Mutex<Model>>;

impl GithubServer {
    /// Starts a server whose bare repositories are in a folder, as `owner/name.git`.
    pub fn start(git_root: PathBuf) -> Self {
        let model = Arc::new(Mutex::new(Model { git_root, ..Model::default() }));
        let shared = Arc::clone(&model);
        let running = listen!(move || {
            App::new()
                .app_data(Shared::from(Arc::clone(&shared)))
                .wrap_fn(guard)
                .configure(register_more)
                .route("/user", web::get().to(user))
                .route("/users/{login}", web::get().to(account))
                .route("/graphql", web::post().to(graphql))
                .route("/repos/{o}/{r}", web::get().to(repository))
                .route("/repos/{o}/{r}/issues/{n}", web::get().to(issue))
                .route("/repos/{o}/{r}/issues/{n}/comments", web::get().to(comments))
                .route("/repos/{o}/{r}/issues/{n}/comments", web::post().to(post_comment))
                .route("/repos/{o}/{r}/issues/comments/{id}", web::patch().to(edit_comment))
                .route("/repos/{o}/{r}/collaborators/{user}/permission", web::get().to(permission))
                .route("/repos/{o}/{r}/forks", web::post().to(forks::create))
                .route("/repos/{o}/{r}/merge-upstream", web::post().to(forks::merge_upstream))
                .route("/repos/{o}/{r}/pulls", web::get().to(list_pulls))
                .route("/repos/{o}/{r}/pulls", web::post().to(create_pull))
                .route("/repos/{o}/{r}/pulls/{n}", web::patch().to(update_pull))
                .route("/repos/{o}/{r}/pulls/{n}", web::get().to(read_pull))
                .route("/repos/{o}/{r}/pulls/{n}/merge", web::put().to(merge_pull))
                .route("/repos/{o}/{r}/pulls/{n}/requested_reviewers", web::post().to(request_reviewers))
                .default_service(web::to(|| async { not_found() }))
        });
        Self { model, running }
    }

    /// Returns the base of the REST API; GraphQL is below it.
    pub fn url(&self) -> String {
        format!("http://{}", self.running.address)
    }

    /// Opens an issue.
    pub fn open_issue(&self, repo: &str, number: u64, title: &str, body: &str) {
        let issue = (title.to_owned(), body.to_owned());
        self.model.lock().unwrap().issues.insert((repo.to_owned(), number), issue);
    }

    /// Gives a user a permission: `admin`, `write`, `read`.
    pub fn permit(&self, login: &str, permission: &str) {
        self.model.lock().unwrap().permissions.insert(login.to_owned(), permission.to_owned());
    }

    /// Returns the comments on an issue or pull request, without hidden markers.
    pub fn comments_on(&self, number: u64) -> Vec<String> {
        let model = self.model.lock().unwrap();
        model.comments.iter().filter(|c| c.number == number).map(|c| fake::visible_text(&c.body)).collect()
    }

    /// Returns how often each comment on an issue was edited, in their order.
    pub fn edits_on(&self, number: u64) -> Vec<u32> {
        let model = self.model.lock().unwrap();
        model.comments.iter().filter(|c| c.number == number).map(|c| c.edits).collect()
    }

    /// Returns each pull request as (title, head, base, draft).
    pub fn pulls(&self) -> Vec<(String, String, String, bool)> {
        let model = self.model.lock().unwrap();
        let row = |p: &Pull| (p.title.clone(), p.head.clone(), p.base.clone(), p.draft);
        model.pulls.iter().map(row).collect()
    }

    /// Opens a pull request of somebody else.
    pub fn open_pull(&self, repo: &str, author: &str, title: &str, body: &str) {
        let mut model = self.model.lock().unwrap();
        let pull = Pull {
            author: author.to_owned(),
            number: 600 + model.pulls.len() as u64,
            repo: repo.to_owned(),
            head: format!("{author}-1"),
            base: "main".to_owned(),
            title: title.to_owned(),
            bodies: vec![body.to_owned()],
            draft: false,
            merged: false,
            reviewers: Vec::new(),
        };
        model.pulls.push(pull);
    }

    /// Returns who was asked to review a pull request.
    pub fn reviewers(&self, number: u64) -> Vec<String> {
        let model = self.model.lock().unwrap();
        model.pulls.iter().filter(|pull| pull.number == number).flat_map(|pull| pull.reviewers.clone()).collect()
    }

    /// Returns every text that a pull request has had, without hidden markers, oldest first.
    pub fn panels(&self, number: u64) -> Vec<String> {
        let model = self.model.lock().unwrap();
        let pull = model.pulls.iter().find(|pull| pull.number == number);
        pull.map(|pull| pull.bodies.iter().map(|body| fake::visible_text(body)).collect()).unwrap_or_default()
    }

    /// Returns everything that users can see in one text, to search it for secrets.
    pub fn everything_visible(&self) -> String {
        format!("{:?}", self.model.lock().unwrap())
    }

    /// Installs a GitHub App with a public key (DER) for all repositories. Its tokens expire at a time of RFC 3339.
    pub fn install_app(&self, id: &str, public_key: Vec<u8>, expires_at: &str) {
        self.model.lock().unwrap().app = Some(app::AppModel::new(id, public_key, expires_at));
    }

    /// Registers an App on its page: the code that the browser is sent back with is exchanged for these, once.
    pub fn register_app(&self, code: &str, private_key: &str, webhook_secret: &str) {
        let (code, private_key) = (code.to_owned(), private_key.to_owned());
        let registration = app::Registration { code, private_key, webhook_secret: webhook_secret.to_owned() };
        self.model.lock().unwrap().registration = Some(registration);
    }

    /// Returns the secret that the App's webhook was given.
    pub fn hook_secret(&self) -> Option<String> {
        self.model.lock().unwrap().hook_secret.clone()
    }

    /// Uninstalls the App.
    pub fn uninstall_app(&self) {
        self.model.lock().unwrap().app.as_mut().unwrap().installed = false;
    }

    /// Returns how many installation tokens were issued.
    pub fn installation_tokens(&self) -> usize {
        self.model.lock().unwrap().app.as_ref().map_or(0, app::AppModel::tokens)
    }

    /// Revokes all installation tokens that were issued so far.
    pub fn revoke_installation_tokens(&self) {
        self.model.lock().unwrap().app.as_mut().unwrap().revoke();
    }

    /// Sends this response to the next request, whatever it is.
    pub fn answer_next(&self, status: u16, headers: &[(&'static str, &str)], body: Value) {
        let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        self.model.lock().unwrap().instead.push_back(Instead { status, headers, body });
    }

    /// Makes this percentage of calls fail: with 429, 500 and 502, or after they took effect with a cut-off response.
    pub fn fail_by_chance(&self, percent: u64, seed: u64) {
        self.model.lock().unwrap().faults = Some(Faults { percent, state: seed.max(1) });
    }

    /// Makes every call succeed again.
    pub fn fail_no_more(&self) {
        self.model.lock().unwrap().faults = None;
    }

    /// Adds a comment on a line of a diff to a review.
    pub fn comment_in_review(&self, review: u64, path: &str, line: u64, hunk: &str, body: &str) {
        let mut model = self.model.lock().unwrap();
        let comment = json!({
            "id": 9000 + line, "path": path, "line": line, "original_line": line, "start_line": null, "side": "RIGHT",
            "diff_hunk": hunk, "body": body, "user": {"login": "alice", "type": "User"}, "pull_request_review_id": review,
        });
        model.more.review_comments.push((review, comment));
    }

    /// Returns how many reads got "not modified".
    pub fn unchanged(&self) -> usize {
        self.model.lock().unwrap().unchanged
    }

    /// Returns the labels and reactions that were set, in order.
    pub fn labels_and_reactions(&self) -> (Vec<String>, Vec<String>) {
        let more = &self.model.lock().unwrap().more;
        (more.labels.clone(), more.reactions.clone())
    }

    /// Sets what the CI says about a commit: check runs by name with status and conclusion, and statuses by context.
    pub fn set_ci(&self, at: &str, runs: &[(&str, &str, Option<&str>)], statuses: &[(&str, &str)]) {
        let runs = runs.iter().enumerate().map(|(at, (name, status, conclusion))| {
            json!({"id": 501 + at, "name": name, "status": status, "conclusion": conclusion,
                   "html_url": format!("https://ci.example/{name}"), "head_sha": "", "app": {"slug": "github-actions"},
                   "output": {"title": format!("{name} failed"), "summary": "1 error", "text": null, "annotations_count": 1}})
        });
        let statuses = statuses
            .iter()
            .map(|(context, state)| json!({"id": 1, "context": context, "state": state, "target_url": null, "description": ""}));
        self.model.lock().unwrap().more.ci.insert(at.to_owned(), (runs.collect(), statuses.collect()));
    }

    /// Refuses to show checks, as to an account without that permission.
    pub fn refuse_ci(&self) {
        self.model.lock().unwrap().more.refuses_ci = true;
    }

    /// Returns the check runs.
    pub fn checks(&self) -> Vec<Value> {
        self.model.lock().unwrap().more.checks.clone()
    }

    /// Sets the delivery log of a webhook, newest first: number, delivery id, time, status.
    pub fn log_deliveries(&self, log: &[(u64, &str, &str, u16)]) {
        let entry = |(id, guid, at, status): &(u64, &str, &str, u16)| {
            json!({"id": id, "guid": guid, "delivered_at": at, "redelivery": false, "status_code": status,
                   "status": if *status == 200 { "OK" } else { "failed to connect" }, "event": "issue_comment"})
        };
        self.model.lock().unwrap().more.deliveries = log.iter().map(entry).collect();
    }

    /// Returns the deliveries whose redelivery was requested.
    pub fn redelivered(&self) -> Vec<u64> {
        self.model.lock().unwrap().more.redelivered.clone()
    }

    /// Adds a comment of a user to the list of the repository.
    pub fn list_comment(&self, id: u64, number: u64, login: &str, body: &str, at: &str) {
        self.model.lock().unwrap().more.listed_comments.push(json!({
            "id": id, "body": body, "user": {"login": login, "type": "User"}, "created_at": at, "updated_at": at,
            "issue_url": format!("https://api.invalid/repos/acme/demo/issues/{number}"),
        }));
    }

    /// Returns method and path of every request.
    pub fn requests(&self) -> Vec<String> {
        self.model.lock().unwrap().requests.clone()
    }
}

/// Records the request and refuses what GitHub refuses before it routes the request.
fn refusal(request: &actix_web::dev::ServiceRequest) -> Option<HttpResponse> {
    let model = request.app_data::<Shared>().unwrap();
    model.lock().unwrap().requests.push(format!("{} {}", request.method(), request.path()));
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok());
    if header("user-agent").is_none() {
        return Some(HttpResponse::Forbidden().body("Request forbidden by administrative rules."));
    }
    let token = header("authorization").and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    let mut model = model.lock().unwrap();
    let known = app::is_open(request.path())
        || match &model.app {
            Some(app) if app::is_for_the_app(request.path()) => app.accepts(token),
            app => token == TOKEN || app.as_ref().is_some_and(|app| app.knows(token)),
        };
    if !known {
        return Some(HttpResponse::Unauthorized().json(json!({"message": "Bad credentials"})));
    }
    let instead = model.instead.pop_front()?;
    let mut answer = HttpResponse::build(StatusCode::from_u16(instead.status).unwrap());
    for (name, value) in instead.headers {
        answer.insert_header((name, value));
    }
    Some(answer.json(instead.body))
}

fn register_more(services: &mut web::ServiceConfig) {
    services
        .route("/app", web::get().to(app::about))
        .route("/app/hook/config", web::patch().to(app::configure_hook))
        .route("/app-manifests/{code}/conversions", web::post().to(app::convert))
        .route("/app/installations/{id}/access_tokens", web::post().to(app::access_token))
        .route("/app/hook/deliveries", web::get().to(more::deliveries))
        .route("/app/hook/deliveries/{id}/attempts", web::post().to(more::redeliver))
        .route("/repos/{o}/{r}/installation", web::get().to(app::installation))
        .route("/repos/{o}/{r}/hooks/{hook}/deliveries", web::get().to(more::deliveries))
        .route("/repos/{o}/{r}/hooks/{hook}/deliveries/{id}/attempts", web::post().to(more::redeliver))
        .route("/repos/{o}/{r}/pulls/{n}/reviews/{id}/comments", web::get().to(more::review_comments))
        .route("/repos/{o}/{r}/issues", web::get().to(more::list_issues))
        .route("/repos/{o}/{r}/issues", web::post().to(more::create_issue))
        .route("/repos/{o}/{r}/issues/comments", web::get().to(more::listed_comments))
        .route("/repos/{o}/{r}/issues/comments/{id}/reactions", web::post().to(more::react))
        .route("/repos/{o}/{r}/issues/{n}/reactions", web::post().to(more::react))
        .route("/repos/{o}/{r}/issues/{n}/labels", web::post().to(more::add_labels))
        .route("/repos/{o}/{r}/issues/{n}/labels/{name}", web::delete().to(more::remove_label))
        .route("/repos/{o}/{r}/check-runs", web::post().to(more::create_check))
        .route("/repos/{o}/{r}/check-runs/{id}", web::patch().to(more::update_check))
        .route("/repos/{o}/{r}/check-runs/{id}", web::get().to(more::check_run))
        .route("/repos/{o}/{r}/check-runs/{id}/annotations", web::get().to(more::annotations))
        .route("/repos/{o}/{r}/commits/{at}/check-runs", web::get().to(more::check_runs))
        .route("/repos/{o}/{r}/commits/{at}/status", web::get().to(more::combined_status))
        .route("/repos/{o}/{r}/contents/{path:.*}", web::get().to(more::read_content))
        .route("/repos/{o}/{r}/contents/{path:.*}", web::put().to(more::write_content));
}

fn guard<S, B>(
    request: actix_web::dev::ServiceRequest,
    service: &S,
) -> impl Future<Output = Result<actix_web::dev::ServiceResponse<actix_web::body::EitherBody<B>>, actix_web::Error>>
+ use<S, B>
where
    S: actix_web::dev::Service<
            actix_web::dev::ServiceRequest,
            Response = actix_web::dev::ServiceResponse<B>,
            Error = actix_web::Error,
        >,
{
    // No reference to the request may be kept during the call: actix routes only a request that it owns alone.
    let fault = request.app_data::<Shared>().unwrap().lock().unwrap().faults.as_mut().and_then(Faults::next);
    let next = match (refusal(&request), fault) {
        (Some(refusal), _) => Err(request.into_response(refusal.map_into_right_body())),
        (None, Some(Fault::Status(status))) => {
            let mut answer = HttpResponse::build(StatusCode::from_u16(status).unwrap());
            let answer = answer.insert_header(("retry-after", "1")).json(json!({"message": "by chance"}));
            Err(request.into_response(answer.map_into_right_body()))
        }
        (None, _) => Ok(service.call(request)),
    };
    async move {
        match next {
            Err(refusal) => Ok(refusal),
            Ok(next) if matches!(fault, Some(Fault::CutOff)) => {
                let (request, _) = next.await?.into_parts();
                let cut = futures_util::stream::once(async { Err::<web::Bytes, _>(std::io::Error::other("cut off")) });
                let cut = HttpResponse::Ok().body(actix_web::body::SizedStream::new(100, cut));
                Ok(actix_web::dev::ServiceResponse::new(request, cut).map_into_right_body())
            }
            Ok(next) => next.await.map(actix_web::dev::ServiceResponse::map_into_left_body),
        }
    }
}

fn not_found() -> HttpResponse {
    HttpResponse::NotFound().json(json!({"message": "Not Found"}))
}

fn unprocessable(message: &str) -> HttpResponse {
    HttpResponse::UnprocessableEntity().json(json!({
        "message": "Validation Failed",
        "errors": [{"resource": "PullRequest", "code": "custom", "message": message}],
    }))
}

async fn user() -> HttpResponse {
    HttpResponse::Ok().json(json!({"login": OWN_LOGIN, "id": 9, "type": "User"}))
}

/// Everybody with a permission has an account.
async fn account(login: web::Path<String>, model: Shared) -> HttpResponse {
    let login = login.into_inner();
    if !model.lock().unwrap().permissions.contains_key(&login) {
        return not_found();
    }
    HttpResponse::Ok().json(json!({"login": login, "id": 583_231, "type": "User"}))
}

async fn repository(path: web::Path<(String, String)>, model: Shared) -> HttpResponse {
    let full_name = format!("{}/{}", path.0, path.1);
    if !model.lock().unwrap().git_root.join(format!("{full_name}.git")).exists() {
        return not_found();
    }
    HttpResponse::Ok().json(json!({
        "id": 1, "full_name": full_name, "default_branch": "main", "private": true, "archived": false,
        "clone_url": "https://elsewhere.invalid/never-used.git",
    }))
}

async fn issue(request: actix_web::HttpRequest, path: web::Path<(String, String, u64)>, model: Shared) -> HttpResponse {
    let model = &mut *model.lock().unwrap();
    let Some((title, body)) = model.issues.get(&(format!("{}/{}", path.0, path.1), path.2)) else {
        return not_found();
    };
    let etag = format!("W/\"{}-{}\"", title.len(), body.len());
    if request.headers().get("if-none-match").is_some_and(|known| known.as_bytes() == etag.as_bytes()) {
        model.unchanged += 1;
        return HttpResponse::NotModified().insert_header(("etag", etag)).finish();
    }
    HttpResponse::Ok().insert_header(("etag", etag)).json(issue_json(path.2, title, body))
}

fn issue_json(number: u64, title: &str, body: &str) -> Value {
    json!({
        "number": number, "title": title, "body": body, "state": "open", "labels": [],
        "user": {"login": "alice", "type": "User"}, "html_url": "https://github.invalid/issue",
    })
}

fn comment_json(comment: &Comment) -> Value {
    json!({"id": comment.id, "body": comment.body, "user": {"login": OWN_LOGIN, "type": "User"}})
}

async fn comments(
    path: web::Path<(String, String, u64)>,
    query: web::Query<BTreeMap<String, String>>,
    model: Shared,
) -> HttpResponse {
    let number = |name: &str, usual: usize| query.get(name).and_then(|text| text.parse().ok()).unwrap_or(usual);
    let (page, size) = (number("page", 1), number("per_page", 30).min(100));
    let model = model.lock().unwrap();
    let repo = format!("{}/{}", path.0, path.1);
    let all: Vec<Value> =
        model.comments.iter().filter(|c| c.repo == repo && c.number == path.2).map(comment_json).collect();
    let mut response = HttpResponse::Ok();
    if all.len() > page * size {
        response.insert_header(("link", "<https://api.invalid/next>; rel=\"next\""));
    }
    response.json(all.into_iter().skip((page - 1) * size).take(size).collect::<Vec<_>>())
}

#[derive(Deserialize)]
struct Body {
    body: String,
}

async fn post_comment(path: web::Path<(String, String, u64)>, body: web::Json<Body>, model: Shared) -> HttpResponse {
    let mut model = model.lock().unwrap();
    let repo = format!("{}/{}", path.0, path.1);
    let known = model.issues.contains_key(&(repo.clone(), path.2))
        || model.pulls.iter().any(|pull| pull.repo == repo && pull.number == path.2);
    if !known {
        return not_found();
    }
    if body.body.chars().count() > 65_536 {
        return unprocessable("body is too long (maximum is 65536 characters)");
    }
    let id = 5000 + model.comments.len() as u64;
    let comment = Comment { id, repo, number: path.2, body: body.body.clone(), edits: 0 };
    model.comments.push(comment.clone());
    HttpResponse::Created().json(comment_json(&comment))
}

async fn edit_comment(path: web::Path<(String, String, u64)>, body: web::Json<Body>, model: Shared) -> HttpResponse {
    let mut model = model.lock().unwrap();
    let Some(comment) = model.comments.iter_mut().find(|comment| comment.id == path.2) else { return not_found() };
    comment.body.clone_from(&body.body);
    comment.edits += 1;
    HttpResponse::Ok().json(comment_json(comment))
}

async fn permission(path: web::Path<(String, String, String)>, model: Shared) -> HttpResponse {
    match model.lock().unwrap().permissions.get(&path.2) {
        Some(permission) => HttpResponse::Ok().json(json!({"permission": permission, "role_name": permission})),
        None => not_found(),
    }
}

fn pull_json(pull: &Pull) -> Value {
    json!({
        "number": pull.number, "html_url": format!("https://github.invalid/{}/pull/{}", pull.repo, pull.number),
        "node_id": format!("PR_{}", pull.number), "draft": pull.draft, "state": if pull.merged { "closed" } else { "open" }, "merged": pull.merged, "title": pull.title,
        "user": {"login": pull.author, "type": "User"}, "head": {"ref": pull.head}, "base": {"ref": pull.base},
        "body": pull.bodies.last(),
    })
}

async fn list_pulls(
    path: web::Path<(String, String)>,
    query: web::Query<BTreeMap<String, String>>,
    model: Shared,
) -> HttpResponse {
    let repo = format!("{}/{}", path.0, path.1);
    // GitHub ignores the filter without the owner.
    let head = query
        .get("head")
        .and_then(|head| head.split_once(':'))
        .map(|(owner, branch)| if owner == path.0 { branch.to_owned() } else { format!("{owner}:{branch}") });
    let model = model.lock().unwrap();
    let found =
        model.pulls.iter().filter(|p| p.repo == repo && !p.merged && head.as_ref().is_none_or(|head| p.head == *head));
    HttpResponse::Ok().json(found.map(pull_json).collect::<Vec<_>>())
}

#[derive(Deserialize)]
struct NewPull {
    title: String,
    head: String,
    base: String,
    body: String,
    #[serde(default)]
    draft: bool,
}

async fn create_pull(path: web::Path<(String, String)>, new: web::Json<NewPull>, model: Shared) -> HttpResponse {
    let repo = format!("{}/{}", path.0, path.1);
    let mut model = model.lock().unwrap();
    let root = model.git_root.clone();
    let tip = |branch: &str| {
        let (owner, branch) = branch.split_once(':').unwrap_or((&path.0, branch));
        let place = root.join(format!("{owner}/{}.git", path.1));
        let output = std::process::Command::new("git")
            .arg("-C")
            .arg(&place)
            .args(["rev-parse", "--verify", "-q", &format!("refs/heads/{branch}")])
            .output()
            .unwrap();
        output.status.success().then_some(output.stdout)
    };
    let (Some(head), Some(base)) = (tip(&new.head), tip(&new.base)) else {
        return unprocessable("head or base does not exist");
    };
    if head == base {
        return unprocessable(&format!("No commits between {} and {}", new.base, new.head));
    }
    if model.pulls.iter().any(|pull| pull.repo == repo && pull.head == new.head && !pull.merged) {
        return unprocessable(&format!("A pull request already exists for {}:{}.", path.0, new.head));
    }
    let pull = Pull {
        author: OWN_LOGIN.to_owned(),
        number: 700 + model.pulls.len() as u64,
        repo,
        head: new.head.clone(),
        base: new.base.clone(),
        title: new.title.clone(),
        bodies: vec![new.body.clone()],
        draft: new.draft,
        merged: false,
        reviewers: Vec::new(),
    };
    model.pulls.push(pull.clone());
    HttpResponse::Created().json(pull_json(&pull))
}

async fn update_pull(path: web::Path<(String, String, u64)>, body: web::Json<Body>, model: Shared) -> HttpResponse {
    let mut model = model.lock().unwrap();
    let Some(pull) = model.pulls.iter_mut().find(|pull| pull.number == path.2) else { return not_found() };
    pull.bodies.push(body.body.clone());
    HttpResponse::Ok().json(pull_json(pull))
}

async fn read_pull(path: web::Path<(String, String, u64)>, model: Shared) -> HttpResponse {
    let model = model.lock().unwrap();
    let pull = model.pulls.iter().find(|pull| pull.number == path.2);
    pull.map_or_else(not_found, |pull| HttpResponse::Ok().json(pull_json(pull)))
}

async fn merge_pull(path: web::Path<(String, String, u64)>, body: web::Json<Value>, model: Shared) -> HttpResponse {
    let mut model = model.lock().unwrap();
    let root = model.git_root.clone();
    let Some(pull) = model.pulls.iter_mut().find(|pull| pull.number == path.2) else { return not_found() };
    let not_now = |status: StatusCode, message: &str| HttpResponse::build(status).json(json!({"message": message}));
    if pull.draft || pull.merged {
        return not_now(StatusCode::METHOD_NOT_ALLOWED, "Pull Request is not mergeable");
    }
    let place = root.join(format!("{}.git", pull.repo));
    let git = |args: &[&str]| {
        let output = std::process::Command::new("git").arg("-C").arg(&place).args(args).output().unwrap();
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    let head = git(&["rev-parse", &format!("refs/heads/{}", pull.head)]);
    if body["sha"] != head.as_str() {
        return not_now(StatusCode::CONFLICT, "Head branch was modified. Review and try the merge again.");
    }
    git(&["update-ref", &format!("refs/heads/{}", pull.base), &head]);
    pull.merged = true;
    HttpResponse::Ok().json(json!({"sha": head, "merged": true, "message": "Pull Request successfully merged"}))
}

/// Only collaborators can be asked.
async fn request_reviewers(
    path: web::Path<(String, String, u64)>,
    body: web::Json<Value>,
    model: Shared,
) -> HttpResponse {
    let logins: Vec<String> = body["reviewers"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|login| Some(login.as_str()?.to_owned()))
        .collect();
    let mut model = model.lock().unwrap();
    if logins.iter().any(|login| !model.permissions.contains_key(login)) {
        return HttpResponse::UnprocessableEntity()
            .json(json!({"message": "Reviews may only be requested from collaborators."}));
    }
    let Some(pull) = model.pulls.iter_mut().find(|pull| pull.number == path.2) else {
        return HttpResponse::NotFound().json(json!({"message": "Not Found"}));
    };
    for login in logins {
        if !pull.reviewers.contains(&login) {
            pull.reviewers.push(login);
        }
    }
    HttpResponse::Created().json(json!({"number": pull.number}))
}

async fn graphql(body: web::Json<Value>, model: Shared) -> HttpResponse {
    let id = body["variables"]["id"].as_str().unwrap_or_default().to_owned();
    let known_mutation = body["query"].as_str().is_some_and(|query| query.contains("markPullRequestReadyForReview"));
    let mut model = model.lock().unwrap();
    let pull = model.pulls.iter_mut().find(|pull| format!("PR_{}", pull.number) == id);
    match pull.filter(|_| known_mutation) {
        Some(pull) => {
            pull.draft = false;
            HttpResponse::build(StatusCode::OK).json(json!({"data": {"markPullRequestReadyForReview": {"pullRequest": {"isDraft": false, "number": pull.number}}}}))
        }
        // GraphQL reports errors with status 200.
        None => HttpResponse::Ok()
            .json(json!({"data": null, "errors": [{"type": "NOT_FOUND", "message": "Could not resolve to a node"}]})),
    }
}
