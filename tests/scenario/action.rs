//! The GitHub Action: which events start a run, and for whom.

use std::path::Path;
use std::process::Command;

use patchwright_testkit::server::{GithubServer, TOKEN};
use serde_json::{Value, json};

/// A program that writes down how it was called, and answers like `patchwright run --json`.
const PROGRAM: &str = r#"#!/bin/sh
printf '%s\n' "$@" > "$RECORD"
echo 'progress'
echo '{"verdict":"not_proven","pull_request":{"url":"https://github.com/acme/demo/pull/7"}}'
exit 3
"#;

struct Action {
    github: GithubServer,
    folder: tempfile::TempDir,
}

impl Action {
    fn new() -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        let github = GithubServer::start("/nowhere".into());
        github.permit("alice", "write");
        github.permit("rita", "read");
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("patchwright");
        std::fs::write(&program, PROGRAM).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        Self { github, folder }
    }

    /// Returns the arguments of the program (none if it was not called), what was printed, and the outputs.
    async fn run(&self, name: &str, event: &Value, issue: &str) -> (Option<String>, String, String) {
        let at = |file: &str| self.folder.path().join(file);
        for file in ["record", "outputs"] {
            let _ = std::fs::remove_file(at(file));
        }
        std::fs::write(at("event.json"), event.to_string()).unwrap();
        let mut command = Command::new("python3");
        command
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/action/start.py"))
            .env_clear()
            .env("PATH", std::env::var("PATH").unwrap())
            .env("PATCHWRIGHT_PROGRAM", at("patchwright"))
            .env("RECORD", at("record"))
            .env("GITHUB_OUTPUT", at("outputs"))
            .env("GITHUB_EVENT_PATH", at("event.json"))
            .env("GITHUB_EVENT_NAME", name)
            .env("GITHUB_REPOSITORY", "acme/demo")
            .env("GITHUB_API_URL", self.github.url())
            .env("GITHUB_TOKEN", TOKEN)
            .env("ISSUE", issue);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let outputs = std::fs::read_to_string(at("outputs")).unwrap();
        (std::fs::read_to_string(at("record")).ok(), String::from_utf8(output.stdout).unwrap(), outputs)
    }
}

fn comment(login: &str, kind: &str, body: &str) -> Value {
    json!({"action": "created", "issue": {"number": 42}, "comment": {"body": body, "user": {"login": login, "type": kind}}})
}

#[tokio::test(flavor = "multi_thread")]
async fn people_who_may_push_start_a_run_and_a_run_without_a_proof_is_no_failure() {
    let action = Action::new();
    let (called, _, outputs) =
        action.run("issue_comment", &comment("alice", "User", "Please, @patchwright fix"), "").await;
    assert_eq!(called.unwrap(), "run\n--repo\nacme/demo\n--issue\n#42\n--pr\n--json\n");
    assert_eq!(outputs, "verdict=not_proven\npull-request=https://github.com/acme/demo/pull/7\n");
    let labeled = json!({"action": "labeled", "issue": {"number": 5}, "label": {"name": "Patchwright"}, "sender": {"login": "alice", "type": "User"}});
    assert!(action.run("issues", &labeled, "").await.0.unwrap().contains("#5"));
    assert!(action.run("workflow_dispatch", &json!({}), "#9").await.0.unwrap().contains("#9"));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_else_starts_a_run() {
    let action = Action::new();
    let on_pull_request = json!({"action": "created", "issue": {"number": 4, "pull_request": {}}, "comment": {"body": "@patchwright fix", "user": {"login": "alice", "type": "User"}}});
    let edited = json!({"action": "edited", "issue": {"number": 4}, "comment": {"body": "@patchwright fix", "user": {"login": "alice", "type": "User"}}});
    let other_label = json!({"action": "labeled", "issue": {"number": 5}, "label": {"name": "bug"}, "sender": {"login": "alice", "type": "User"}});
    for (name, event, says) in [
        ("issue_comment", comment("rita", "User", "@patchwright fix"), "rita may not push"),
        ("issue_comment", comment("stranger/../alice", "User", "@patchwright fix"), "may not push"),
        ("issue_comment", comment("renovate[bot]", "Bot", "@patchwright fix"), "by a bot"),
        ("issue_comment", comment("alice", "User", "mail me at a@patchwright fix"), "does not ask"),
        ("issue_comment", comment("alice", "User", "@patchwright-ng fix"), "does not ask"),
        ("issue_comment", on_pull_request, "on a pull request"),
        ("issue_comment", edited, "only new comments"),
        ("issues", other_label, "only the label"),
        ("push", json!({}), "starts no run"),
        ("workflow_dispatch", json!({}), "no number"),
    ] {
        let (called, printed, outputs) = action.run(name, &event, "1; id").await;
        assert_eq!((called, outputs.as_str()), (None, "verdict=not_started\n"), "{printed}");
        assert!(printed.contains(says), "{says}: {printed}");
    }
}
