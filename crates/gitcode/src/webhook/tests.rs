use super::*;

struct Given(Vec<(&'static str, String)>);

impl Headers for Given {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }
    fn is_repeated(&self, name: &str) -> bool {
        self.0.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name)).count() > 1
    }
}

const SECRET: &str = "It's a Secret to Everybody";

fn webhook(passwords: bool) -> GitcodeWebhook {
    let secrets = [Secret::new("an older one"), Secret::new(SECRET)];
    GitcodeWebhook::new(GitcodeSecrets::new(&secrets, passwords), GitcodeBot::new("patchwright", None))
}

fn hmac(body: &[u8]) -> String {
    SigningKeys::new([&Secret::new(SECRET)]).sign(body).unwrap()
}

#[test]
fn every_candidate_header_takes_an_hmac_and_only_an_hmac() {
    let body = b"Hello, World!";
    for header in SIGNATURES.into_iter().chain([TOKEN]) {
        for value in [hmac(body), hmac(body).replace("sha256=", "")] {
            assert_eq!(webhook(false).verify(&Given(vec![(header, value)]), body), Ok(()), "{header}");
        }
        for value in [SECRET.to_owned(), hmac(b"other"), String::new()] {
            let refused = webhook(false).verify(&Given(vec![(header, value)]), body);
            assert_eq!(refused, Err(SignatureError::Wrong), "{header}");
        }
    }
    assert_eq!(webhook(false).verify(&Given(vec![]), body), Err(SignatureError::Missing));
    let twice = Given(vec![(TOKEN, hmac(body)), (TOKEN, hmac(body))]);
    assert_eq!(webhook(false).verify(&twice, body), Err(SignatureError::Wrong));
}

#[test]
fn a_password_is_taken_where_it_was_allowed_and_nowhere_else() {
    let given = |header| Given(vec![(header, SECRET.to_owned())]);
    assert_eq!(webhook(true).verify(&given(TOKEN), b"x"), Ok(()));
    for header in SIGNATURES {
        assert_eq!(webhook(true).verify(&given(header), b"x"), Err(SignatureError::Wrong), "{header}");
    }
    let wrong = Given(vec![(TOKEN, "It's no Secret".to_owned())]);
    assert_eq!(webhook(true).verify(&wrong, b"x"), Err(SignatureError::Wrong));
    // A signature that is there decides, even when it is wrong and the password beside it is right.
    let both = Given(vec![(SIGNATURES[0], hmac(b"other")), (TOKEN, SECRET.to_owned())]);
    assert_eq!(webhook(true).verify(&both, b"x"), Err(SignatureError::Wrong));
}

fn decode_with(webhook: &GitcodeWebhook, event: &str, body: &str) -> Result<InboundEvent, String> {
    let headers = Given(vec![(EVENT, event.to_owned())]);
    webhook.decode(&headers, body.as_bytes()).map(|delivery| delivery.event).map_err(|error| error.to_string())
}

fn decode(event: &str, body: &str) -> Result<InboundEvent, String> {
    decode_with(&webhook(false), event, body)
}

/// As recorded from the platform in 2024, cut to what is read and what is easily mistaken.
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
fn the_contracts_forms_are_taken_too() {
    // `seeds/002 §4.2`: the namespace is an object and there is no full path.
    let seed = NOTE
        .replace(r#""namespace": "acme", "path_with_namespace": "acme/test1","#, r#""namespace": {"name": "acme"},"#)
        .replace(r#""iid": 4"#, r#""number": "4""#);
    assert_ne!(seed, NOTE);
    let Ok(InboundEvent::Commented { issue, .. }) = decode("Note Hook", &seed) else { panic!() };
    assert_eq!(issue.source.to_string(), "acme/test1#4");
    // Its own sample does not say which issue it is about.
    let sample = r#"{"action": "created", "object_attributes": {"note": "@app-name fix"},
        "project": {"namespace": {"name": "acme"}, "name": "demo", "default_branch": "master"},
        "user": {"username": "alice"}}"#;
    assert_eq!(decode("Note Hook", sample), Err("the body cannot be read: missing field `issue`".into()));
}

#[test]
fn what_lacks_is_named() {
    for (from, to, said) in [
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
        assert!(error.contains(said), "{said}: {error}");
    }
    assert!(decode("Note Hook", "[]").is_err());
    assert_eq!(decode("Ping Hook", "{}"), Err("\"Ping Hook\" is no event of gitcode".into()));
}

#[test]
fn notes_of_the_platform_and_on_other_things_start_nothing() {
    for (from, to) in [
        (r#""system": false"#, r#""system": true"#),
        (r#""noteable_type": "Issue""#, r#""noteable_type": "MergeRequest""#),
        (r#""noteable_type": "Issue""#, r#""noteable_type": "Commit""#),
    ] {
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
fn assignment_is_seen_in_what_changed_and_by_our_number_in_hooks() {
    let assigned = issue("update", r#"{"assignee_ids": {"previous": [], "current": [77]}}"#);
    let door = webhook(false);
    let assignees = |door: &GitcodeWebhook, body: &str| match decode_with(door, "Issue Hook", body) {
        Ok(InboundEvent::Assigned { assignees, .. }) => assignees,
        other => panic!("{other:?}"),
    };
    assert_eq!(assignees(&door, &assigned), Vec::<String>::new(), "nobody knows yet who 77 is");
    let own =
        NOTE.replace(r#""id": 1710427, "name": "A", "username": "alice""#, r#""id": 77, "username": "PatchWright""#);
    decode_with(&door, "Note Hook", &own).unwrap();
    assert_eq!(assignees(&door, &assigned), ["patchwright"], "our own comment told our number");
    let configured = GitcodeWebhook::new(GitcodeSecrets::new(&[], false), GitcodeBot::new("patchwright", Some(77)));
    assert_eq!(assignees(&configured, &assigned), ["patchwright"]);
    let named = assigned.replace(r#""labels":"#, r#""assignees": [{"id": 5, "username": "carol"}], "labels":"#);
    assert_eq!(assignees(&webhook(false), &named), ["carol"]);
    // A later edit repeats the assignees and is no assignment.
    let edited = issue("update", r#"{"title": {"previous": "s", "current": "t"}}"#);
    assert!(matches!(decode_with(&configured, "Issue Hook", &edited), Ok(InboundEvent::Other { .. })));
}

#[test]
fn labels_openings_and_closings_are_read() {
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
