//! The API of a site.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, HttpResponse, web};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::{Comment, Issue, JIRA_SERVICE, JIRA_SITE, Model};

fn errors(status: u16, message: &str) -> HttpResponse {
    HttpResponse::build(actix_web::http::StatusCode::from_u16(status).unwrap())
        .json(json!({"errorMessages": [message], "errors": {}}))
}

fn missing() -> HttpResponse {
    errors(404, "Issue does not exist or you do not have permission to see it.")
}

/// Returns the account of a request: of a user's token, or the service account.
fn account(request: &HttpRequest, model: &Model) -> Option<String> {
    let header = request.headers().get("authorization")?.to_str().ok()?;
    if let Some(token) = header.strip_prefix("Bearer ") {
        return model.access.get(token).cloned();
    }
    let pair = STANDARD.encode(format!("{}:{}", JIRA_SERVICE.0, JIRA_SERVICE.1));
    (header == format!("Basic {pair}") && !model.service_refused).then(|| JIRA_SERVICE.2.to_owned())
}

pub(super) fn serve(request: &HttpRequest, call: &str, body: &Value, model: &mut Model) -> HttpResponse {
    let Some(account) = account(request, model) else {
        return HttpResponse::Unauthorized()
            .json(json!({"code": 401, "message": "Unauthorized; scope does not match"}));
    };
    let Some((version, path)) = call.split_once('/') else { return missing() };
    let query: BTreeMap<String, String> =
        web::Query::<BTreeMap<String, String>>::from_query(request.query_string()).unwrap().into_inner();
    let parts: Vec<&str> = path.split('/').collect();
    let issue = match parts.as_slice() {
        ["issue", name, ..] => {
            let found = model.issues.iter().find(|issue| issue.id == *name || issue.key == *name);
            let Some(found) = found else { return missing() };
            Some(found.clone())
        }
        _ => None,
    };
    match (request.method().as_str(), parts.as_slice(), issue) {
        ("GET", ["myself"], _) => HttpResponse::Ok().json(model.person(&account)),
        ("GET", ["issue", _], Some(issue)) => HttpResponse::Ok().json(shown(&issue, model)),
        ("GET", ["issue", _, "comment"], Some(issue)) => {
            let start: usize = query.get("startAt").map_or(0, |start| start.parse().unwrap());
            let most: usize = query.get("maxResults").map_or(50, |most| most.parse().unwrap());
            let all: Vec<&Comment> = model.comments.iter().filter(|comment| comment.issue == issue.id).collect();
            let page: Vec<Value> =
                all.iter().skip(start).take(most).map(|comment| comment_json(comment, model, false)).collect();
            HttpResponse::Ok().json(json!({"startAt": start, "maxResults": most, "total": all.len(), "comments": page}))
        }
        ("POST", ["comment", "list"], _) => {
            let ids: Vec<u64> = body["ids"].as_array().into_iter().flatten().filter_map(Value::as_u64).collect();
            let with = query.get("expand").is_some_and(|expand| expand.contains("properties"));
            let found = model.comments.iter().filter(|comment| ids.contains(&comment.id));
            let values: Vec<Value> = found.map(|comment| comment_json(comment, model, with)).collect();
            HttpResponse::Ok().json(json!({"isLast": true, "values": values}))
        }
        ("POST" | "PUT", ["issue", _, "comment", ..], _) if fault(version, &body["body"]).is_some() => {
            errors(400, fault(version, &body["body"]).unwrap_or_default())
        }
        ("POST", ["issue", _, "comment"], Some(issue)) => {
            let id = model.add_comment(&issue.id, &account, body["body"].clone(), body["properties"].clone());
            let comment = model.comments.iter().find(|comment| comment.id == id).unwrap();
            HttpResponse::Created().json(comment_json(comment, model, false))
        }
        ("PUT", ["issue", _, "comment", id], Some(issue)) => edit(&issue, id, body["body"].clone(), &account, model),
        ("GET", ["issue", _, "comment", id], Some(issue)) => {
            let here = |comment: &&Comment| comment.issue == issue.id && comment.id.to_string() == *id;
            match model.comments.iter().find(here) {
                Some(comment) => HttpResponse::Ok().json(comment_json(comment, model, false)),
                None => errors(404, "Can not find a comment for the id"),
            }
        }
        ("GET", ["issue", _, "transitions"], Some(issue)) => {
            let ways = model.workflow.iter().filter(|(from, ..)| *from == issue.status);
            let way = |(_, id, to): &(String, String, String)| json!({"id": id, "name": format!("Move to {to}"), "to": {"name": to}});
            HttpResponse::Ok().json(json!({"expand": "transitions", "transitions": ways.map(way).collect::<Vec<_>>()}))
        }
        ("POST", ["issue", _, "transitions"], Some(issue)) => {
            let id = body["transition"]["id"].as_str().unwrap_or_default();
            let way = model.workflow.iter().find(|(from, known, _)| *from == issue.status && known == id);
            let Some((_, _, to)) = way.cloned() else {
                return errors(400, "It seems that you have tried to perform an illegal workflow operation.");
            };
            model.issues.iter_mut().find(|known| known.id == issue.id).unwrap().status = to;
            let change = json!({"items": [{"field": "status", "fromString": issue.status, "toString": "x"}]});
            model.send_event("jira:issue_updated", &issue.id, &account, &json!({ "changelog": change }));
            HttpResponse::NoContent().finish()
        }
        ("POST", ["issue", _, "remotelink"], Some(issue)) => {
            let (Some(url), Some(_)) = (body["object"]["url"].as_str(), body["object"]["title"].as_str()) else {
                return errors(400, "object.url and object.title are needed");
            };
            let global = body["globalId"].as_str().unwrap_or_default().to_owned();
            let known = model.links.iter().any(|(of, id, _)| *of == issue.id && *id == global);
            if known {
                return HttpResponse::Ok().json(json!({"id": 1}));
            }
            model.links.push((issue.id, global, url.to_owned()));
            HttpResponse::Created().json(json!({"id": 1, "self": format!("https://{JIRA_SITE}/link/1")}))
        }
        _ => errors(404, "null for uri"),
    }
}

/// Returns why this version of the API refuses a text.
fn fault(version: &str, body: &Value) -> Option<&'static str> {
    let fits = match version {
        "2" => body.is_string(),
        _ => body["type"] == "doc" && body["version"] == 1 && body["content"].is_array(),
    };
    let length = body.as_str().map_or_else(|| body.to_string().chars().count(), |text| text.chars().count());
    if !fits {
        return Some("Comment body is not valid!");
    }
    if length > 32_767 {
        return Some("The entered text is too long. It exceeds the allowed limit of 32,767 characters.");
    }
    None
}

fn edit(issue: &Issue, id: &str, text: Value, account: &str, model: &mut Model) -> HttpResponse {
    let at = model.comments.iter().position(|comment| comment.issue == issue.id && comment.id.to_string() == id);
    let Some(at) = at else { return errors(404, "Can not find a comment for the id") };
    if model.comments[at].author != account {
        return errors(400, "You do not have permission to edit this comment");
    }
    model.comments[at].body = text;
    model.comments[at].edits += 1;
    let comment = comment_json(&model.comments[at], model, false);
    model.send_event("comment_updated", &issue.id, account, &json!({ "comment": comment }));
    HttpResponse::Ok().json(comment)
}

fn comment_json(comment: &Comment, model: &Model, with_properties: bool) -> Value {
    let mut value = json!({
        "self": format!("https://{JIRA_SITE}/rest/api/2/issue/{}/comment/{}", comment.issue, comment.id),
        "id": comment.id.to_string(), "author": model.person(&comment.author), "body": comment.body,
    });
    if with_properties {
        value["properties"] = comment.properties.clone();
    }
    value
}

fn shown(issue: &Issue, model: &Model) -> Value {
    let category = if issue.status == "Done" { "done" } else { "indeterminate" };
    json!({
        "expand": "renderedFields", "id": issue.id, "key": issue.key,
        "self": format!("https://{JIRA_SITE}/rest/api/2/issue/{}", issue.id),
        "fields": {
            "summary": issue.summary, "description": issue.description, "labels": issue.labels,
            "status": {"name": issue.status, "statusCategory": {"key": category}},
            "reporter": model.person(JIRA_SERVICE.2),
        },
    })
}
