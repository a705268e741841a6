//! Forks of this server's account.

use std::path::Path;
use std::process::Command;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use serde_json::{Value, json};

use super::{OWN_LOGIN, Shared, not_found};

/// Makes the fork, unless there is one.
pub(super) async fn create(path: web::Path<(String, String)>, model: Shared) -> HttpResponse {
    let root = model.lock().unwrap().git_root.clone();
    let (parent, fork) = (format!("{}/{}", path.0, path.1), format!("{OWN_LOGIN}/{}", path.1));
    let (from, to) = (root.join(format!("{parent}.git")), root.join(format!("{fork}.git")));
    if !from.exists() {
        return not_found();
    }
    if path.0 == OWN_LOGIN {
        return HttpResponse::Forbidden().json(json!({"message": "You cannot fork your own repository."}));
    }
    if !to.exists() {
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        run(&root, &["clone", "-q", "--bare", from.to_str().unwrap(), to.to_str().unwrap()]);
        run(&to, &["config", "http.receivepack", "true"]);
    }
    HttpResponse::Accepted().json(json!({
        "id": 2, "full_name": fork, "default_branch": "main", "private": true, "archived": false, "fork": true,
        "parent": {"full_name": parent},
    }))
}

/// Brings a branch of the fork up to date.
pub(super) async fn merge_upstream(
    path: web::Path<(String, String)>,
    body: web::Json<Value>,
    model: Shared,
) -> HttpResponse {
    let root = model.lock().unwrap().git_root.clone();
    let fork = root.join(format!("{}/{}.git", path.0, path.1));
    let Some(branch) = body["branch"].as_str().filter(|_| fork.exists() && path.0 == OWN_LOGIN) else {
        return not_found();
    };
    let origin = run(&fork, &["config", "--get", "remote.origin.url"]);
    let spec = format!("refs/heads/{branch}:refs/heads/{branch}");
    if !Command::new("git").arg("-C").arg(&fork).args(["fetch", "-q", origin.trim(), &spec]).status().unwrap().success()
    {
        let message = "There are merge conflicts";
        return HttpResponse::build(StatusCode::CONFLICT).json(json!({"message": message}));
    }
    HttpResponse::Ok()
        .json(json!({"message": "Successfully fetched", "merge_type": "fast-forward", "base_branch": branch}))
}

fn run(at: &Path, args: &[&str]) -> String {
    let output = Command::new("git").arg("-C").arg(at).args(args).output().unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
