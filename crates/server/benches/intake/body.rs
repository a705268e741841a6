//! The delivery: a comment on an issue, split so that the two numbers that make it unique are at its end.

use serde_json::{Value, json};

/// The shared webhook secret.
pub(crate) const SECRET: &str = "bench-secret-0123456789";
/// The text of the comment.
const COMMENT: &str = "Could you have a look? @patchwright fix the parser, please.";

/// A comment as JSON in one piece up to the comment's number; behind it stand that number, [`MIDDLE`], the issue's
/// number and [`END`].
pub(crate) struct Body {
    pub(crate) start: String,
    pub(crate) middle: String,
}

impl Body {
    pub(crate) fn len(&self) -> usize {
        self.start.len() + self.middle.len() + 2 * 9 + 2
    }
}

/// Reads the vendor's own example, or makes one up.
pub(crate) fn read() -> Body {
    let mut payload = std::env::var("WEBHOOK_EXAMPLES").map_or_else(|_| made_up(), |folder| example(&folder));
    payload["comment"]["body"] = COMMENT.into();
    payload["comment"]["performed_via_github_app"] = Value::Null;
    payload["comment"]["user"]["type"] = "User".into();
    payload["repository"]["name"] = "demo".into();
    payload["repository"]["owner"]["login"] = "acme".into();
    let mut object = |name: &str| payload.as_object_mut().unwrap().remove(name).unwrap();
    let (mut comment, mut issue) = (object("comment"), object("issue"));
    comment.as_object_mut().unwrap().remove("id");
    issue.as_object_mut().unwrap().remove("number");
    issue.as_object_mut().unwrap().remove("pull_request");
    let open = |value: &Value| value.to_string().strip_suffix('}').unwrap().to_owned();
    Body {
        // 900… keeps the numbers at one length.
        start: format!("{},\"comment\":{},\"id\":9", open(&payload), open(&comment)),
        middle: format!("}},\"issue\":{},\"number\":9", open(&issue)),
    }
}

fn example(folder: &str) -> Value {
    let text = std::fs::read_to_string(format!("{folder}/api.github.com/index.json")).unwrap();
    let events: Vec<Value> = serde_json::from_str(&text).unwrap();
    let comments = events.iter().find(|event| event["name"] == "issue_comment").unwrap();
    let created = comments["examples"].as_array().unwrap().iter().filter(|one| one["action"] == "created");
    created.min_by_key(|one| one.to_string().len()).unwrap().clone()
}

fn made_up() -> Value {
    let base = "https://api.github.com/repos/acme/demo";
    let user = |login: &str| {
        let mut user = json!({"login": login, "id": 21_031_067, "node_id": "MDQ6VXNlcjIxMDMxMDY3", "gravatar_id": "",
            "type": "User", "site_admin": false, "user_view_type": "public"});
        for name in [
            "avatar",
            "html",
            "followers",
            "following",
            "gists",
            "starred",
            "subscriptions",
            "organizations",
            "repos",
            "events",
            "received_events",
        ] {
            user[format!("{name}_url")] = format!("https://api.github.com/users/{login}/{name}").into();
        }
        user
    };
    let mut repository = json!({"id": 186_853_002, "node_id": "MDEwOlJlcG9zaXRvcnkxODY4NTMwMDI=", "name": "demo",
        "full_name": "acme/demo", "private": false, "owner": user("acme"), "default_branch": "main", "fork": false,
        "description": "A demonstration", "size": 0, "stargazers_count": 0, "open_issues_count": 2});
    for n in 0..60 {
        repository[format!("resource_{n}_url")] = format!("{base}/resource_{n}{{/sha}}").into();
    }
    let urls = |what: &str| format!("{base}/{what}/1");
    json!({
        "action": "created", "repository": repository, "sender": user("alice"),
        "issue": {"url": urls("issues"), "html_url": urls("issues"), "id": 444_500_041, "title": "Spelling error",
            "user": user("alice"), "labels": [{"id": 1, "name": "bug", "url": urls("labels"), "color": "d73a4a"}],
            "state": "open", "locked": false, "assignee": user("alice"), "assignees": [user("alice")], "comments": 0,
            "body": "It looks like you accidentally spelled 'commit' with two 't's.\n".repeat(12)},
        "comment": {"url": urls("comments"), "html_url": urls("comments"), "user": user("alice"),
            "author_association": "OWNER", "reactions": {"url": urls("reactions"), "total_count": 0}},
    })
}
