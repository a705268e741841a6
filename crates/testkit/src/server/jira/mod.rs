//! A site of Jira Cloud with Atlassian's login, as far as Patchwright uses them, with state. Like the real ones, refresh
//! tokens work once, transitions depend on the state of an issue, a text of the wrong format is refused, and every change
//! sends a webhook, also those of the server itself.

mod api;
mod login;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex};

use actix_web::{App, HttpRequest, HttpResponse, web};
use serde_json::{Value, json};

use super::{Running, listen};

/// The host of the site.
pub const JIRA_SITE: &str = "acme.atlassian.net";
/// Atlassian's id of the site.
pub const JIRA_CLOUD_ID: &str = "11223344-a1b2-3b33-c444-def123456789";
/// The service account: mail address and API key.
pub const JIRA_SERVICE: (&str, &str, &str) =
    ("bot@acme.example", "ATATT3jiraCanaryCanaryCanary0123456789", "712020:service-account");
/// The application at Atlassian: client id and secret.
pub const JIRA_APPLICATION: (&str, &str) = ("client-id-0123", "jira-client-secret-canary-0123");

#[derive(Debug, Clone)]
struct Issue {
    id: String,
    key: String,
    summary: String,
    description: Value,
    labels: Vec<String>,
    status: String,
}

#[derive(Debug, Clone)]
struct Comment {
    id: u64,
    issue: String,
    author: String,
    body: Value,
    properties: Value,
    edits: u32,
}

/// The response to the next request of a path, instead of the regular one.
#[derive(Debug, Clone)]
struct Fault {
    part: String,
    status: u16,
    headers: Vec<(String, String)>,
    body: Value,
    /// Whether the request takes effect all the same, as if only its response was lost.
    done: bool,
}

#[derive(Debug, Default)]
struct Model {
    base: String,
    people: BTreeMap<String, String>,
    issues: Vec<Issue>,
    comments: Vec<Comment>,
    links: Vec<(String, String, String)>,
    /// Source state, id, target state.
    workflow: Vec<(String, String, String)>,
    /// Code to account and redirect address.
    codes: HashMap<String, (String, String)>,
    access: HashMap<String, String>,
    refresh: HashMap<String, String>,
    scopes: String,
    refreshed: u32,
    service_refused: bool,
    no_site: bool,
    counter: u64,
    deliveries: VecDeque<(String, String)>,
    faults: Vec<Fault>,
    requests: Vec<String>,
}

type Shared = web::Data<Mutex<Model>>;

/// A server that behaves like a site of Jira Cloud.
#[derive(Debug)]
pub struct JiraServer {
    model: Arc<Mutex<Model>>,
    running: Running,
}

impl JiraServer {
    /// Starts a site with an ordinary workflow and the service account only.
    pub fn start() -> Self {
        let model = Arc::new(Mutex::new(Model::default()));
        let shared = Arc::clone(&model);
        let running =
            listen!(move || { App::new().app_data(Shared::from(Arc::clone(&shared))).default_service(web::to(serve)) });
        let server = Self { model, running };
        {
            let mut model = server.model.lock().unwrap();
            model.base = format!("http://{}", server.running.address);
            model.people.insert(JIRA_SERVICE.2.to_owned(), "Patchwright".to_owned());
            let ways = [
                ("To Do", "11", "In Progress"),
                ("In Progress", "21", "In Review"),
                ("In Review", "22", "In Progress"),
                ("In Review", "31", "Done"),
            ];
            model.workflow = ways.map(|(from, id, to)| (from.to_owned(), id.to_owned(), to.to_owned())).to_vec();
            model.counter = 10_000;
        }
        server
    }

    /// Returns the base address.
    pub fn url(&self) -> String {
        format!("http://{}", self.running.address)
    }

    /// Returns the settings with which Patchwright uses the site.
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        let url = self.url();
        vec![
            ("JIRA_CLIENT_ID", JIRA_APPLICATION.0.to_owned()),
            ("JIRA_CLIENT_SECRET", JIRA_APPLICATION.1.to_owned()),
            ("JIRA_REDIRECT_URI", "https://patchwright.example/api/v1/jira/callback".to_owned()),
            ("JIRA_AUTH_URL", format!("{url}/authorize")),
            ("JIRA_TOKEN_URL", format!("{url}/oauth/token")),
            ("JIRA_ACCESSIBLE_RESOURCES_URL", format!("{url}/oauth/token/accessible-resources")),
            ("JIRA_ME_URL", format!("{url}/me")),
            ("JIRA_CLOUD_API_URL", format!("{url}/ex/jira")),
        ]
    }

    /// Adds a user.
    pub fn add_person(&self, account: &str, name: &str) {
        self.model.lock().unwrap().people.insert(account.to_owned(), name.to_owned());
    }

    /// Opens an issue in the first state, without a webhook.
    pub fn open_issue(&self, id: &str, key: &str, summary: &str, description: &str) {
        let issue = Issue {
            id: id.to_owned(),
            key: key.to_owned(),
            summary: summary.to_owned(),
            description: description.into(),
            labels: Vec::new(),
            status: "To Do".to_owned(),
        };
        self.model.lock().unwrap().issues.push(issue);
    }

    /// Changes the text of an issue, without a webhook.
    pub fn describe(&self, key: &str, description: Value) {
        let mut model = self.model.lock().unwrap();
        let issue = model.issues.iter_mut().find(|issue| issue.key == key).unwrap();
        issue.description = description;
    }

    /// Changes the key of an issue, as a move to another project does.
    pub fn move_issue(&self, key: &str, to: &str) {
        let mut model = self.model.lock().unwrap();
        model.issues.iter_mut().find(|issue| issue.key == key).unwrap().key = to.to_owned();
    }

    /// Adds a comment of a user and returns its delivery.
    pub fn comment(&self, account: &str, key: &str, body: impl Into<Value>) -> (String, String) {
        let mut model = self.model.lock().unwrap();
        let issue = model.issues.iter().find(|issue| issue.key == key).unwrap().id.clone();
        model.add_comment(&issue, account, body.into(), json!([]));
        model.deliveries.pop_back().unwrap()
    }

    /// Adds a label in the name of a user and returns the delivery.
    pub fn add_label(&self, account: &str, key: &str, label: &str) -> (String, String) {
        let mut model = self.model.lock().unwrap();
        let issue = model.issues.iter_mut().find(|issue| issue.key == key).unwrap();
        let before = issue.labels.join(" ");
        issue.labels.push(label.to_owned());
        let (after, id) = (issue.labels.join(" "), issue.id.clone());
        let change = json!({"items": [{
            "field": "labels", "fieldId": "labels", "fieldtype": "jira", "from": null, "fromString": before,
            "to": null, "toString": after,
        }]});
        model.send_event(
            "jira:issue_updated",
            &id,
            account,
            &json!({ "changelog": change, "issue_event_type_name": "issue_updated" }),
        );
        model.deliveries.pop_back().unwrap()
    }

    /// Returns the deliveries since the last call, with identifier and body.
    pub fn deliveries(&self) -> Vec<(String, String)> {
        self.model.lock().unwrap().deliveries.drain(..).collect()
    }

    /// Consents in the name of a user and returns the address that their browser is redirected to.
    pub fn consent(&self, page: &str, account: &str) -> String {
        login::consent(&mut self.model.lock().unwrap(), page, account)
    }

    /// Returns the comments on an issue as users see them.
    pub fn comments_on(&self, key: &str) -> Vec<String> {
        self.comments_with_edits(key).into_iter().map(|(text, _)| text).collect()
    }

    /// Returns the comments that Patchwright wrote on an issue, and how often each was edited.
    pub fn comments_with_edits(&self, key: &str) -> Vec<(String, u32)> {
        let model = self.model.lock().unwrap();
        let Some(issue) = model.issues.iter().find(|issue| issue.key == key) else { return Vec::new() };
        let own = model.comments.iter().filter(|comment| comment.issue == issue.id && comment.properties != json!([]));
        let text = |body: &Value| body.as_str().map_or_else(|| body.to_string(), str::to_owned);
        own.map(|comment| (text(&comment.body), comment.edits)).collect()
    }

    /// Returns the authors of the comments that Patchwright wrote on an issue.
    pub fn authors_on(&self, key: &str) -> Vec<String> {
        let model = self.model.lock().unwrap();
        let issue = model.issues.iter().find(|issue| issue.key == key).unwrap();
        let own = model.comments.iter().filter(|comment| comment.issue == issue.id && comment.properties != json!([]));
        own.map(|comment| comment.author.clone()).collect()
    }

    /// Returns the state of an issue.
    pub fn status_of(&self, key: &str) -> String {
        self.model.lock().unwrap().issues.iter().find(|issue| issue.key == key).unwrap().status.clone()
    }

    /// Returns the pages that issues are linked to.
    pub fn links(&self) -> Vec<String> {
        self.model.lock().unwrap().links.iter().map(|(_, _, url)| url.clone()).collect()
    }

    /// Returns everything that users can see in one text, to search it for secrets.
    pub fn everything_visible(&self) -> String {
        let model = self.model.lock().unwrap();
        format!("{:?} {:?} {:?}", model.issues, model.comments, model.links)
    }

    /// Returns method and path of every request.
    pub fn requests(&self) -> Vec<String> {
        self.model.lock().unwrap().requests.clone()
    }

    /// Responds to the next request whose path contains `part` with a status, and does nothing.
    pub fn answer_next(&self, part: &str, status: u16, headers: &[(&str, &str)], body: Value) {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let fault = Fault { part: part.to_owned(), status, headers, body, done: false };
        self.model.lock().unwrap().faults.push(fault);
    }

    /// Performs the next request whose path contains `part`, and responds with 502.
    pub fn lose_answer_of_next(&self, part: &str) {
        let fault = Fault { part: part.to_owned(), status: 502, headers: vec![], body: json!({}), done: true };
        self.model.lock().unwrap().faults.push(fault);
    }

    /// Refuses the service account from now on, or accepts it again.
    pub fn refuse_service_account(&self, refused: bool) {
        self.model.lock().unwrap().service_refused = refused;
    }

    /// Withdraws everybody's access to the site: their tokens are for other sites.
    pub fn show_no_site(&self) {
        self.model.lock().unwrap().no_site = true;
    }

    /// Expires all access tokens; refresh tokens stay valid.
    pub fn end_access_tokens(&self) {
        self.model.lock().unwrap().access.clear();
    }

    /// Revokes all grants.
    pub fn end_grants(&self) {
        let mut model = self.model.lock().unwrap();
        model.access.clear();
        model.refresh.clear();
    }

    /// Returns how many refresh tokens were exchanged.
    pub fn refreshed(&self) -> u32 {
        self.model.lock().unwrap().refreshed
    }

    /// Leaves one transition only from the first state.
    pub fn forbid_transitions(&self) {
        self.model.lock().unwrap().workflow.retain(|(_, id, _)| id == "11");
    }

    /// Returns the scopes of the last consent.
    pub fn scopes(&self) -> String {
        self.model.lock().unwrap().scopes.clone()
    }
}

impl Model {
    fn fresh(&mut self) -> u64 {
        self.counter += 1;
        self.counter
    }

    fn person(&self, account: &str) -> Value {
        // Without an e-mail address, because most users hide it.
        json!({
            "self": format!("https://{JIRA_SITE}/rest/api/2/user?accountId={account}"), "accountId": account,
            "displayName": self.people.get(account).cloned().unwrap_or_default(), "active": true,
            "accountType": "atlassian", "timeZone": "Etc/UTC",
        })
    }

    fn add_comment(&mut self, issue: &str, account: &str, body: Value, properties: Value) -> u64 {
        let id = self.fresh();
        self.comments.push(Comment {
            id,
            issue: issue.to_owned(),
            author: account.to_owned(),
            body,
            properties,
            edits: 0,
        });
        let body = &self.comments.last().unwrap().body;
        let comment = json!({
            "self": format!("https://{JIRA_SITE}/rest/api/2/issue/{issue}/comment/{id}"), "id": id.to_string(),
            "author": self.person(account), "body": body, "updateAuthor": self.person(account), "jsdPublic": true,
        });
        self.send_event("comment_created", issue, account, &json!({ "comment": comment }));
        id
    }

    /// Queues the delivery of an event; the issue of a comment is abridged.
    fn send_event(&mut self, event: &str, issue: &str, account: &str, more: &Value) {
        let number = self.fresh();
        let known = self.issues.iter().find(|known| known.id == issue).unwrap().clone();
        let mut fields = json!({
            "summary": known.summary, "status": {"name": known.status, "statusCategory": {"key": "new"}},
            "project": {"key": known.key.split('-').next(), "self": format!("https://{JIRA_SITE}/rest/api/2/project/1")},
        });
        if !event.starts_with("comment") {
            fields["description"] = known.description.clone();
            fields["labels"] = json!(known.labels);
        }
        let mut body = json!({
            "timestamp": 1_763_800_000_000_u64 + number, "webhookEvent": event,
            "issue": {
                "id": known.id, "self": format!("https://{JIRA_SITE}/rest/api/2/{}", known.id), "key": known.key,
                "fields": fields,
            },
        });
        if !event.starts_with("comment") {
            body["user"] = self.person(account);
        }
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        // The current time, because deliveries that are a day old are ignored.
        body["timestamp"] = json!(jiff::Timestamp::now().as_millisecond() + i64::try_from(number).unwrap() % 1_000);
        self.deliveries.push_back((format!("delivery-{number}"), body.to_string()));
    }
}

async fn serve(request: HttpRequest, body: web::Bytes, model: Shared) -> HttpResponse {
    let model = &mut *model.lock().unwrap();
    let path = request.path().to_owned();
    model.requests.push(format!("{} {path}", request.method()));
    let fault = model.faults.iter().position(|fault| path.contains(&fault.part)).map(|at| model.faults.remove(at));
    if let Some(fault) = fault.as_ref().filter(|fault| !fault.done) {
        return answer(fault);
    }
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let done = match path.strip_prefix(&format!("/ex/jira/{JIRA_CLOUD_ID}/rest/api/")) {
        Some(call) => api::serve(&request, call, &body, model),
        None => login::serve(&request, &body, model),
    };
    fault.as_ref().map_or(done, answer)
}

fn answer(fault: &Fault) -> HttpResponse {
    let mut answer = HttpResponse::build(actix_web::http::StatusCode::from_u16(fault.status).unwrap());
    for (name, value) in &fault.headers {
        answer.insert_header((name.as_str(), value.as_str()));
    }
    answer.json(&fault.body)
}
