use patchwright_core::webhook::{Actor, InboundEvent};

use super::*;

const SECRET: &str = "It's a Secret to Everybody";

fn webhook(passwords: bool) -> GitcodeWebhook {
    let secrets = [Secret::new("an older one"), Secret::new(SECRET)];
    GitcodeWebhook::new(GitcodeSecrets::new(&secrets, passwords), GitcodeBot::new("patchwright", None))
}

fn hmac(body: &[u8]) -> String {
    SigningKeys::new([&Secret::new(SECRET)]).sign(body).unwrap()
}

#[test]
fn every_candidate_header_accepts_an_hmac_and_only_an_hmac() {
    let body = b"Hello, World!";
    for header in SIGNATURE_HEADERS.into_iter().chain([TOKEN_HEADER]) {
        for value in [hmac(body), hmac(body).replace("sha256=", "")] {
            assert_eq!(webhook(false).verify(&[(header, value)], body), Ok(()), "{header}");
        }
        for value in [SECRET.to_owned(), hmac(b"other"), String::new()] {
            let refused = webhook(false).verify(&[(header, value)], body);
            assert_eq!(refused, Err(SignatureError::Wrong), "{header}");
        }
    }
    let none: [(&str, &str); 0] = [];
    assert_eq!(webhook(false).verify(&none, body), Err(SignatureError::Missing));
    let repeated = [(TOKEN_HEADER, hmac(body)), (TOKEN_HEADER, hmac(body))];
    assert_eq!(webhook(false).verify(&repeated, body), Err(SignatureError::Wrong));
}

#[test]
fn a_password_is_accepted_only_if_allowed_and_in_the_token_header() {
    let webhook = webhook(true);
    assert_eq!(webhook.verify(&[(TOKEN_HEADER, SECRET)], b"x"), Ok(()));
    for header in SIGNATURE_HEADERS {
        assert_eq!(webhook.verify(&[(header, SECRET)], b"x"), Err(SignatureError::Wrong), "{header}");
    }
    assert_eq!(webhook.verify(&[(TOKEN_HEADER, "It's no Secret")], b"x"), Err(SignatureError::Wrong));
    // A signature takes precedence, even if it is wrong and the password next to it is right.
    let both = [(SIGNATURE_HEADERS[0], hmac(b"other")), (TOKEN_HEADER, SECRET.to_owned())];
    assert_eq!(webhook.verify(&both, b"x"), Err(SignatureError::Wrong));
}

#[test]
fn fault_a8_a_wrong_signature_beside_a_right_one_is_refused() {
    let two = |first: String, second: String| [(SIGNATURE_HEADERS[0], first), (SIGNATURE_HEADERS[1], second)];
    assert_eq!(webhook(false).verify(&two(hmac(b"x"), hmac(b"x")), b"x"), Ok(()));
    for wrong in [two(hmac(b"x"), hmac(b"other")), two(hmac(b"other"), hmac(b"x"))] {
        assert_eq!(webhook(false).verify(&wrong, b"x"), Err(SignatureError::Wrong));
    }
}

#[test]
fn fault_b7_an_edited_or_deleted_note_starts_nothing() {
    for action in ["update", "delete"] {
        let edited = NOTE.replace("\"system\": false", &format!("\"system\": false, \"action\": \"{action}\""));
        assert!(matches!(decode("Note Hook", &edited), Ok(InboundEvent::Other { .. })), "{action}");
    }
    let created = NOTE.replace("\"system\": false", "\"system\": false, \"action\": \"create\"");
    assert!(matches!(decode("Note Hook", &created), Ok(InboundEvent::Commented { .. })));
}

fn decode_with(webhook: &GitcodeWebhook, event: &str, body: &str) -> Result<InboundEvent, String> {
    webhook
        .decode(&[(EVENT_HEADER, event)], body.as_bytes())
        .map(|delivery| delivery.event)
        .map_err(|error| error.to_string())
}

fn decode(event: &str, body: &str) -> Result<InboundEvent, String> {
    decode_with(&webhook(false), event, body)
}

/// Recorded from the platform in 2024, reduced to the fields that are read and those that resemble them.
const NOTE: &str = r#"{
  "object_kind": "note", "event_type": "note", "uuid": "u-1",
  "user": {"id": 1710427, "name": "A", "username": "alice"},
  "project": {"id": 4163304, "name": "test1", "namespace": "acme", "path_with_namespace": "acme/test1",
              "default_branch": "main", "git_http_url": "https://gitcode.com/acme/test1.git"},
  "object_attributes": {"id": 1530793, "note": "@patchwright fix", "noteable_id": 515443, "noteable_type": "Issue",
                        "system": false, "type": "DiscussionNote", "change_position": {}},
  "issue": {"id": 515443, "iid": 4, "title": "It \"breaks\"", "description": null, "state": "opened",
            "author": {"id": 858059, "username": "bob"}, "assignee_ids": []}
}"#;

#[test]
fn a_note_on_an_issue_is_a_comment() {
    let Ok(InboundEvent::Commented { issue, comment }) = decode("Note Hook", NOTE) else { panic!() };
    assert_eq!(issue.source.to_string(), "acme/test1#4");
    assert_eq!((issue.title.as_str(), issue.body.as_str(), issue.author.as_str()), ("It \"breaks\"", "", "bob"));
    assert_eq!((comment.id.as_str(), comment.body.as_str()), ("1530793", "@patchwright fix"));
    assert_eq!(comment.author, Actor { login: "alice".into(), is_bot: false });
    assert_eq!(issue.default_branch.unwrap().as_str(), "main");
}

#[test]
fn the_forms_of_the_requirements_are_accepted() {
    // `docs/requirements.md#r221`: the namespace is an object and there is no full path.
    let sample = NOTE
        .replace(r#""namespace": "acme", "path_with_namespace": "acme/test1","#, r#""namespace": {"name": "acme"},"#)
        .replace(r#""iid": 4"#, r#""number": "4""#);
    assert_ne!(sample, NOTE);
    let Ok(InboundEvent::Commented { issue, .. }) = decode("Note Hook", &sample) else { panic!() };
    assert_eq!(issue.source.to_string(), "acme/test1#4");
    // The complete sample does not name the issue.
    let sample = r#"{"action": "created", "object_attributes": {"note": "@app-name fix"},
        "project": {"namespace": {"name": "acme"}, "name": "demo", "default_branch": "master"},
        "user": {"username": "alice"}}"#;
    assert_eq!(decode("Note Hook", sample), Err("the body cannot be read: missing field `issue`".into()));
}

#[test]
fn errors_name_the_missing_field() {
    for (from, to, expected) in [
        (r#""note": "@patchwright fix", "#, "", "missing field `object_attributes.note`"),
        (r#""iid": 4, "#, "", "missing field `iid`"),
        (r#""iid": 4"#, r#""iid": "four""#, "the field issue.iid cannot be used"),
        (r#""username": "alice""#, r#""nick": "alice""#, "missing field `user.username`"),
        (r#""path_with_namespace": "acme/test1""#, r#""path_with_namespace": "../x""#, "the field project cannot"),
        (r#""default_branch": "main""#, r#""default_branch": "--x""#, "project.default_branch cannot be used"),
    ] {
        let body = NOTE.replace(from, to);
        assert_ne!(body, NOTE);
        let error = decode("Note Hook", &body).unwrap_err();
        assert!(error.contains(expected), "{expected}: {error}");
    }
    assert!(decode("Note Hook", "[]").is_err());
    assert_eq!(decode("Ping Hook", "{}"), Err("\"Ping Hook\" is not an event of gitcode".into()));
}

#[test]
fn notes_by_the_platform_and_on_other_objects_are_ignored() {
    for (from, to) in
        [(r#""system": false"#, r#""system": true"#), (r#""noteable_type": "Issue""#, r#""noteable_type": "Commit""#)]
    {
        assert!(matches!(decode("Note Hook", &NOTE.replace(from, to)), Ok(InboundEvent::Other { .. })), "{to}");
    }
    assert!(matches!(
        decode("Push Hook", r#"{"ref": "refs/heads/main", "project": 7}"#),
        Ok(InboundEvent::Other { .. })
    ));
}

const ISSUE: &str = r#"{
  "event_type": "issue", "user": {"id": 1, "username": "alice"},
  "object_attributes": {"iid": 4, "id": 515443, "title": "t", "description": "d", "action": "ACTION", "state": "opened",
                        "author": {"id": 2, "username": "bob"}, "assignee_ids": [77], "assignee_id": null},
  "changes": CHANGES, "labels": [{"title": "bug"}],
  "project": {"path_with_namespace": "acme/test1", "namespace": "acme", "name": "test1", "default_branch": "main"}
}"#;

fn issue(action: &str, changes: &str) -> String {
    ISSUE.replace("ACTION", action).replace("CHANGES", changes)
}

#[test]
fn an_assignment_is_a_change_of_assignees_and_the_own_number_is_recorded() {
    let assigned = issue("update", r#"{"assignee_ids": {"previous": [], "current": [77]}}"#);
    let decoder = webhook(false);
    let assignees = |decoder: &GitcodeWebhook, body: &str| match decode_with(decoder, "Issue Hook", body) {
        Ok(InboundEvent::Assigned { assignees, .. }) => assignees,
        other => panic!("{other:?}"),
    };
    assert_eq!(assignees(&decoder, &assigned), Vec::<String>::new(), "77 is not known yet");
    let own =
        NOTE.replace(r#""id": 1710427, "name": "A", "username": "alice""#, r#""id": 77, "username": "PatchWright""#);
    decode_with(&decoder, "Note Hook", &own).unwrap();
    assert_eq!(assignees(&decoder, &assigned), ["patchwright"], "recorded from the own comment");
    let configured = GitcodeWebhook::new(GitcodeSecrets::new(&[], false), GitcodeBot::new("patchwright", Some(77)));
    assert_eq!(assignees(&configured, &assigned), ["patchwright"]);
    let named = assigned.replace(r#""labels":"#, r#""assignees": [{"id": 5, "username": "carol"}], "labels":"#);
    assert_eq!(assignees(&webhook(false), &named), ["carol"]);
    // A later edit repeats the assignees and is not an assignment.
    let edited = issue("update", r#"{"title": {"previous": "s", "current": "t"}}"#);
    assert!(matches!(decode_with(&configured, "Issue Hook", &edited), Ok(InboundEvent::Other { .. })));
}

#[test]
fn labels_openings_and_closings_are_decoded() {
    let labeled = issue(
        "update",
        r#"{"labels": {"previous": [{"title": "bug"}], "current": [{"title": "bug"}, {"title": "patchwright"}]}}"#,
    );
    assert!(matches!(
        decode("Issue Hook", &labeled),
        Ok(InboundEvent::Labeled { labels, .. }) if labels == ["patchwright"]
    ));
    for action in ["open", "opened"] {
        assert!(matches!(decode("Issue Hook", &issue(action, "{}")), Ok(InboundEvent::Opened { .. })));
    }
    assert!(matches!(decode("Issue Hook", &issue("close", "{}")), Ok(InboundEvent::Other { .. })));
    let merged = r#"{"object_attributes": {"iid": 9, "action": "merge", "state": "merged", "source_branch": "agent/x"},
        "project": {"path_with_namespace": "acme/test1"}}"#;
    assert!(matches!(
        decode("Merge Request Hook", merged),
        Ok(InboundEvent::PullRequestClosed { merged: true, number: 9, head, .. }) if head == "agent/x"
    ));
    let closed = merged.replace(r#""merge", "state": "merged""#, r#""close", "state": "closed""#);
    assert!(matches!(decode("Merge Request Hook", &closed), Ok(InboundEvent::PullRequestClosed { merged: false, .. })));
}
