//! The OAuth server of Atlassian: consent, codes, tokens.

use std::collections::BTreeMap;

use actix_web::{HttpRequest, HttpResponse};
use serde_json::{Value, json};

use super::{JIRA_APPLICATION, JIRA_CLOUD_ID, JIRA_SITE, Model};

/// Checks the address of a consent page and returns the address that the browser is redirected to.
pub(super) fn consent(model: &mut Model, page: &str, account: &str) -> String {
    let url: actix_web::http::Uri = page.parse().unwrap();
    let query: BTreeMap<String, String> =
        actix_web::web::Query::<BTreeMap<String, String>>::from_query(url.query().unwrap()).unwrap().into_inner();
    assert_eq!(url.path(), "/authorize");
    assert_eq!(query["audience"], "api.atlassian.com");
    assert_eq!(query["client_id"], JIRA_APPLICATION.0);
    assert_eq!((query["response_type"].as_str(), query["prompt"].as_str()), ("code", "consent"));
    model.scopes.clone_from(&query["scope"]);
    let code = format!("code-{}", model.fresh());
    model.codes.insert(code.clone(), (account.to_owned(), query["redirect_uri"].clone()));
    format!("{}?code={code}&state={}", query["redirect_uri"], query["state"])
}

pub(super) fn serve(request: &HttpRequest, body: &Value, model: &mut Model) -> HttpResponse {
    let bearer = request.headers().get("authorization").and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let account = bearer.and_then(|token| model.access.get(token)).cloned();
    match (request.method().as_str(), request.path()) {
        ("POST", "/oauth/token") => token(body, model),
        ("GET", _) if account.is_none() => {
            HttpResponse::Unauthorized().json(json!({"code": 401, "message": "Unauthorized"}))
        }
        ("GET", "/oauth/token/accessible-resources") => {
            let other = json!({"id": "99", "url": "https://other.atlassian.net", "name": "other", "scopes": []});
            let this = json!({
                "id": JIRA_CLOUD_ID, "url": format!("https://{JIRA_SITE}"), "name": "acme", "scopes": ["read:jira-work"],
                "avatarUrl": "https://site-admin-avatar-cdn.invalid/1.png",
            });
            HttpResponse::Ok().json(if model.no_site { json!([other]) } else { json!([other, this]) })
        }
        ("GET", "/me") => {
            let account = account.unwrap_or_default();
            HttpResponse::Ok().json(json!({
                "account_type": "atlassian", "account_id": account, "name": model.people.get(&account),
                "picture": "https://avatar.invalid/1", "account_status": "active",
            }))
        }
        _ => HttpResponse::NotFound().json(json!({"code": 404, "message": "Not Found"})),
    }
}

fn refused(status: u16, error: &str, description: &str) -> HttpResponse {
    HttpResponse::build(actix_web::http::StatusCode::from_u16(status).unwrap())
        .json(json!({"error": error, "error_description": description}))
}

fn token(body: &Value, model: &mut Model) -> HttpResponse {
    let given = |name: &str| body[name].as_str().unwrap_or_default();
    if (given("client_id"), given("client_secret")) != JIRA_APPLICATION {
        return refused(401, "access_denied", "Unauthorized");
    }
    let account = match given("grant_type") {
        "authorization_code" => match model.codes.remove(given("code")) {
            Some((account, redirect)) if redirect == given("redirect_uri") => account,
            _ => return refused(403, "invalid_grant", "Invalid authorization code"),
        },
        // A refresh token works once.
        "refresh_token" => match model.refresh.remove(given("refresh_token")) {
            Some(account) => {
                model.refreshed += 1;
                account
            }
            None => return refused(403, "invalid_grant", "Unknown or invalid refresh token."),
        },
        _ => return refused(400, "unsupported_grant_type", ""),
    };
    let (access, refresh) = (format!("access-canary-{}", model.fresh()), format!("refresh-canary-{}", model.fresh()));
    model.access.insert(access.clone(), account.clone());
    let mut answer = json!({"access_token": access, "expires_in": 3600, "token_type": "Bearer", "scope": model.scopes});
    if model.scopes.split(' ').any(|scope| scope == "offline_access") {
        model.refresh.insert(refresh.clone(), account);
        answer["refresh_token"] = refresh.into();
    }
    HttpResponse::Ok().json(answer)
}
