//! Labels, reactions, checks, files, and the delivery logs of webhooks.

use std::collections::{BTreeMap, HashMap};

use actix_web::{HttpResponse, web};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{Shared, not_found, unprocessable};

/// The state of these.
#[derive(Debug, Default)]
pub(super) struct More {
    pub(super) labels: Vec<String>,
    pub(super) reactions: Vec<String>,
    pub(super) checks: Vec<Value>,
    /// By branch and path, with the number of the write that created it.
    files: BTreeMap<(String, String), (String, u64)>,
    writes: u64,
    /// Newest first, as GitHub lists them.
    pub(super) deliveries: Vec<Value>,
    pub(super) redelivered: Vec<u64>,
    pub(super) listed_comments: Vec<Value>,
    /// The comments of reviews, by the review's id.
    pub(super) review_comments: Vec<(u64, Value)>,
    /// Check runs and statuses, by commit.
    pub(super) ci: BTreeMap<String, (Vec<Value>, Vec<Value>)>,
    pub(super) refuses_ci: bool,
}

pub(super) async fn check_runs(
    path: web::Path<(String, String, String)>,
    query: web::Query<HashMap<String, String>>,
    model: Shared,
) -> HttpResponse {
    let model = model.lock().unwrap();
    if model.more.refuses_ci {
        return HttpResponse::Forbidden().json(json!({"message": "Resource not accessible by integration"}));
    }
    let runs = model.more.ci.get(&path.2).map(|(runs, _)| runs.clone()).unwrap_or_default();
    HttpResponse::Ok().json(json!({"total_count": runs.len(), "check_runs": page_of(&runs, &query)}))
}

pub(super) async fn combined_status(
    path: web::Path<(String, String, String)>,
    query: web::Query<HashMap<String, String>>,
    model: Shared,
) -> HttpResponse {
    let model = model.lock().unwrap();
    let statuses = model.more.ci.get(&path.2).map(|(_, statuses)| statuses.clone()).unwrap_or_default();
    // GitHub says `pending` for a commit without statuses.
    let page = page_of(&statuses, &query);
    HttpResponse::Ok().json(json!({"state": "pending", "total_count": statuses.len(), "statuses": page}))
}

fn page_of(all: &[Value], query: &HashMap<String, String>) -> Vec<Value> {
    let number = |name: &str, default: usize| query.get(name).and_then(|text| text.parse().ok()).unwrap_or(default);
    let size = number("per_page", 30).min(100);
    all.iter().skip((number("page", 1) - 1) * size).take(size).cloned().collect()
}

pub(super) async fn check_run(path: web::Path<(String, String, u64)>, model: Shared) -> HttpResponse {
    let model = model.lock().unwrap();
    let mut runs = model.more.ci.values().flat_map(|(runs, _)| runs);
    runs.find(|run| run["id"] == path.2).map_or_else(not_found, |run| HttpResponse::Ok().json(run))
}

pub(super) async fn annotations() -> HttpResponse {
    HttpResponse::Ok().json(json!([
        {"path": "src/lib.rs", "start_line": 7, "end_line": 7, "annotation_level": "failure", "message": "expected 5, got 6"},
        {"path": ".github", "start_line": 1, "end_line": 1, "annotation_level": "notice", "message": "a new runner"},
    ]))
}

pub(super) async fn review_comments(path: web::Path<(String, String, u64, u64)>, model: Shared) -> HttpResponse {
    let model = model.lock().unwrap();
    let found = model.more.review_comments.iter().filter(|(review, _)| *review == path.3);
    HttpResponse::Ok().json(found.map(|(_, comment)| comment).collect::<Vec<_>>())
}

pub(super) async fn add_labels(body: web::Json<Value>, model: Shared) -> HttpResponse {
    let labels = &mut model.lock().unwrap().more.labels;
    for label in body["labels"].as_array().unwrap() {
        labels.push(label.as_str().unwrap().to_owned());
    }
    HttpResponse::Ok().json(json!([]))
}

pub(super) async fn remove_label(path: web::Path<(String, String, u64, String)>, model: Shared) -> HttpResponse {
    let labels = &mut model.lock().unwrap().more.labels;
    let before = labels.len();
    labels.retain(|label| *label != path.3);
    if labels.len() == before { not_found() } else { HttpResponse::Ok().json(json!([])) }
}

pub(super) async fn react(body: web::Json<Value>, model: Shared) -> HttpResponse {
    let content = body["content"].as_str().unwrap().to_owned();
    let reactions = &mut model.lock().unwrap().more.reactions;
    if reactions.contains(&content) {
        return HttpResponse::Ok().json(json!({"id": 1, "content": content}));
    }
    reactions.push(content.clone());
    HttpResponse::Created().json(json!({"id": 1, "content": content}))
}

pub(super) async fn create_check(body: web::Json<Value>, model: Shared) -> HttpResponse {
    let checks = &mut model.lock().unwrap().more.checks;
    if !body["name"].is_string() || !body["head_sha"].is_string() {
        return unprocessable("name and head_sha are needed");
    }
    checks.push(body.into_inner());
    HttpResponse::Created().json(json!({"id": checks.len()}))
}

pub(super) async fn update_check(
    path: web::Path<(String, String, usize)>,
    body: web::Json<Value>,
    model: Shared,
) -> HttpResponse {
    let checks = &mut model.lock().unwrap().more.checks;
    let Some(check) = checks.get_mut(path.2 - 1) else { return not_found() };
    for (name, value) in body.as_object().unwrap() {
        check[name] = value.clone();
    }
    HttpResponse::Ok().json(json!({"id": path.2}))
}

fn hash(write: u64) -> String {
    format!("{write:040x}")
}

pub(super) async fn read_content(
    path: web::Path<(String, String, String)>,
    query: web::Query<BTreeMap<String, String>>,
    model: Shared,
) -> HttpResponse {
    let at = (query.get("ref").cloned().unwrap_or_default(), path.2.clone());
    match model.lock().unwrap().more.files.get(&at) {
        Some((text, write)) => HttpResponse::Ok().json(json!({
            "type": "file", "encoding": "base64", "content": format!("{}\n", STANDARD.encode(text)), "sha": hash(*write),
        })),
        None => not_found(),
    }
}

pub(super) async fn write_content(
    path: web::Path<(String, String, String)>,
    body: web::Json<Value>,
    model: Shared,
) -> HttpResponse {
    let more = &mut model.lock().unwrap().more;
    let at = (body["branch"].as_str().unwrap().to_owned(), path.2.clone());
    let known = more.files.get(&at).map(|(_, write)| hash(*write));
    match (&known, body["sha"].as_str()) {
        (Some(_), None) => return unprocessable("Invalid request.\n\n\"sha\" wasn't supplied."),
        (Some(known), Some(given)) if known != given => {
            return HttpResponse::Conflict().json(json!({"message": format!("{} does not match {given}", path.2)}));
        }
        _ => {}
    }
    more.writes += 1;
    let text = String::from_utf8(STANDARD.decode(body["content"].as_str().unwrap()).unwrap()).unwrap();
    more.files.insert(at, (text, more.writes));
    let answer = json!({"content": {"sha": hash(more.writes)}, "commit": {"sha": hash(more.writes)}});
    if known.is_some() { HttpResponse::Ok().json(answer) } else { HttpResponse::Created().json(answer) }
}

/// Two per page, so that a test does not need a hundred.
pub(super) async fn deliveries(query: web::Query<BTreeMap<String, String>>, model: Shared) -> HttpResponse {
    let from: usize = query.get("cursor").map_or(0, |cursor| cursor.parse().unwrap());
    let all = &model.lock().unwrap().more.deliveries;
    let page: Vec<&Value> = all.iter().skip(from).take(2).collect();
    let mut answer = HttpResponse::Ok();
    if from + 2 < all.len() {
        answer.insert_header(("link", format!("<https://api.invalid/x?cursor={}>; rel=\"next\"", from + 2)));
    }
    answer.json(page)
}

pub(super) async fn redeliver(request: actix_web::HttpRequest, model: Shared) -> HttpResponse {
    let id = request.match_info().get("id").unwrap().parse().unwrap();
    model.lock().unwrap().more.redelivered.push(id);
    HttpResponse::Accepted().json(json!({}))
}

pub(super) async fn listed_comments(query: web::Query<BTreeMap<String, String>>, model: Shared) -> HttpResponse {
    let since = query.get("since").cloned().unwrap_or_default();
    let model = model.lock().unwrap();
    let recent = |comment: &&Value| comment["updated_at"].as_str().unwrap() >= since.as_str();
    let found: Vec<&Value> = model.more.listed_comments.iter().filter(recent).collect();
    HttpResponse::Ok().json(found)
}

/// Returns a page of the open issues; `per_page` and `page` as on GitHub.
pub(super) async fn list_issues(
    path: web::Path<(String, String)>,
    query: web::Query<BTreeMap<String, String>>,
    model: Shared,
) -> HttpResponse {
    let number = |name: &str, usual: usize| query.get(name).and_then(|text| text.parse().ok()).unwrap_or(usual);
    let (page, size) = (number("page", 1), number("per_page", 30).min(100));
    let repo = format!("{}/{}", path.0, path.1);
    let model = model.lock().unwrap();
    let mut all: Vec<Value> = model
        .issues
        .iter()
        .filter(|((of, _), _)| *of == repo)
        .map(|((_, number), (title, body))| super::issue_json(*number, title, body))
        .collect();
    // GitHub lists pull requests among the issues.
    let mut pull = super::issue_json(9_999, "a pull request", "");
    pull["pull_request"] = json!({"url": "https://api.github.invalid/pulls/9999"});
    all.insert(0, pull);
    let mut response = HttpResponse::Ok();
    if all.len() > page * size {
        response.insert_header(("link", "<https://api.invalid/next>; rel=\"next\""));
    }
    response.json(all.into_iter().skip((page - 1) * size).take(size).collect::<Vec<_>>())
}

pub(super) async fn create_issue(
    path: web::Path<(String, String)>,
    body: web::Json<Value>,
    model: Shared,
) -> HttpResponse {
    let Some(title) = body["title"].as_str().filter(|title| !title.is_empty()) else {
        return unprocessable("title is needed");
    };
    let text = body["body"].as_str().unwrap_or_default();
    let repo = format!("{}/{}", path.0, path.1);
    let issues = &mut model.lock().unwrap().issues;
    let number = issues.keys().filter(|(of, _)| *of == repo).map(|(_, number)| *number).max().unwrap_or(0) + 1;
    issues.insert((repo, number), (title.to_owned(), text.to_owned()));
    HttpResponse::Created().json(super::issue_json(number, title, text))
}
