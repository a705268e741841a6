//! A list of hostile deliveries, each with its expected response. The list is a file that `BAD_INPUTS` names; this
//! module parses its notation (`{{base_comment title=x}}`, `sig: truncate:63`).

use patchwright_core::Secret;
use patchwright_core::webhook::SigningKeys;
use patchwright_http::{Request, Response};
use patchwright_testkit::fetched;
use serde_json::Value;

use crate::harness::{SECRET, TestServer};

/// The delivery that all others derive from (`docs/requirements.md#r220`).
const BASE: &str = r#"{"action":"created","issue":{"number":NUMBER,"title":"Bug","body":"details"},"comment":{"id":COMMENT,"body":"@app-name fix","user":{"login":"alice"}},"repository":{"owner":{"login":"acme"},"name":"demo","default_branch":"main"},"sender":{"login":"alice"}}"#;

/// Cases with more than one delivery to one server, each with the name of the separate test that covers it.
const ELSEWHERE: &[(&str, &str)] = &[
    ("WA17", "core: ring::hmac::verify is the only comparison"),
    ("WA26", "Jira has no door yet"),
    ("WA27", "config: a_door_without_a_lock_is_not_opened"),
    ("WC05", "intake: a_hundred_copies_of_one_delivery_are_one_job"),
    ("WC06", "webhook: a_delivery_counts_once; store: old_deliveries_stay_known_by_what_they_were_about"),
    ("WC07", "webhook: a_delivery_counts_once"),
    ("WC08", "intake: the_same_delivery_with_another_body_keeps_the_first_job"),
    ("WC14", "story: job_active"),
    ("WC15", "webhook: allow-lists"),
    ("WC16", "webhook: allow-lists"),
    ("WC19", "gitcode: a_note_becomes_a_ready_pull_request_on_gitcode"),
    ("WC20", "story: one job at a time; two branches in one second differ"),
    ("WC21", "Jira has no door yet"),
];

struct Case {
    id: String,
    input: Value,
    statuses: Vec<u64>,
}

fn cases(text: &str) -> Vec<Case> {
    let list: Value = serde_json::from_str(text).unwrap();
    let webhook_warnings = |case: &&Value| case["category"].as_str().unwrap().starts_with("webhook");
    let found = list["cases"].as_array().unwrap().iter().filter(webhook_warnings).map(|case| Case {
        id: case["id"].as_str().unwrap().to_owned(),
        input: case["input"].clone(),
        statuses: [&case["expect"]["status"], &case["expect"]["alt"]].into_iter().filter_map(Value::as_u64).collect(),
    });
    found.collect()
}

/// Inserts a case's fields into the base. The values of the list are inserted into the JSON unchanged.
fn filled(template: &str, number: usize) -> String {
    let base = BASE.replace("NUMBER", &number.to_string()).replace("COMMENT", &(9000 + number).to_string());
    let Some(start) = template.find("{{base_comment") else { return template.to_owned() };
    let end = start + template[start..].find("}}").unwrap();
    let mut body = base;
    if let Some((field, value)) = template[start + 14..end].trim().split_once('=') {
        let (from, to) = match field {
            "title" => (r#""title":"Bug""#.to_owned(), format!(r#""title":"{value}""#)),
            "owner" => (r#""login":"acme""#.to_owned(), format!(r#""login":"{value}""#)),
            "default_branch" => (r#""default_branch":"main""#.to_owned(), format!(r#""default_branch":"{value}""#)),
            "user" => (r#""login":"alice""#.to_owned(), r#""login":"app-name[bot]""#.to_owned()),
            "user.type" => (r#""login":"alice""#.to_owned(), format!(r#""login":"other","type":"{value}""#)),
            other => panic!("the field {other} is not known here"),
        };
        assert!(body.contains(&from));
        body = body.replace(&from, &to);
    }
    let before = template[..start].replace("\\ufeff", "\u{feff}");
    format!("{before}{body}{}", &template[end + 2..])
}

/// The bodies of a case: most have one.
fn bodies(case: &Case, number: usize) -> Vec<Vec<u8>> {
    let texts: Vec<String> = match &case.input["body"] {
        Value::Array(list) => list.iter().map(|one| one.as_str().unwrap().to_owned()).collect(),
        other => vec![other.as_str().unwrap_or("{{base_comment}}").to_owned()],
    };
    let base = filled("{{base_comment}}", number);
    let in_field = |from: &str, to: &str| base.replace(from, to).into_bytes();
    match case.id.as_str() {
        "WB13" => return vec![in_field(r#""action":"created""#, r#""action":"created","action":"deleted""#)],
        "WB14" => {
            let number = format!(r#""number":{number}"#);
            return texts.iter().map(|text| in_field(&number, &format!(r#""number":{text}"#))).collect();
        }
        "WC12" => return texts.iter().map(|text| in_field("@app-name fix", &text.replace('\n', "\\n"))).collect(),
        _ => {}
    }
    let generators = match &case.input["body_gen"] {
        Value::Array(list) => list.iter().map(|one| one.as_str().unwrap().to_owned()).collect(),
        Value::String(one) => vec![one.clone()],
        _ => vec![],
    };
    if generators.is_empty() {
        return texts.iter().map(|text| filled(text, number).into_bytes()).collect();
    }
    generators.iter().flat_map(|generator| generated(generator, &base)).collect()
}

fn generated(generator: &str, base: &str) -> Vec<Vec<u8>> {
    let open = base.strip_suffix('}').unwrap();
    let (kind, size) = generator.split_once(':').unwrap_or((generator, ""));
    match kind {
        // The whole body counts as one level.
        "nest" => {
            let depth: usize = size.parse::<usize>().unwrap() - 1;
            let quiet = open.replace("created", "edited");
            vec![format!("{quiet},\"x\":{}{}}}", "[".repeat(depth), "]".repeat(depth)).into_bytes()]
        }
        "keys" => {
            let keys: Vec<String> = (0..size.parse::<usize>().unwrap()).map(|n| format!("\"key{n:08}\":1")).collect();
            let quiet = open.replace("created", "edited");
            vec![format!("{quiet},\"x\":{{{}}}}}", keys.join(",")).into_bytes()]
        }
        "drop-field" => ["issue", "comment", "repository", "owner", "sender"]
            .iter()
            .map(|field| {
                let mut body: Value = serde_json::from_str(base).unwrap();
                let place = if *field == "owner" { &mut body["repository"] } else { &mut body };
                place.as_object_mut().unwrap().remove(*field).unwrap();
                if *field == "sender" {
                    // The author of the comment stands in for a missing sender (fault B7).
                    body["comment"].as_object_mut().unwrap().remove("user");
                }
                body.to_string().into_bytes()
            })
            .collect(),
        "comment" => vec![base.replace("@app-name fix", &format!("{} @app-name fix", "x".repeat(65_537))).into_bytes()],
        "gzip" => vec![vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0]],
        other => panic!("the generator {other} is not known here"),
    }
}

fn signatures(case: &Case, body: &[u8]) -> Vec<String> {
    let kinds: Vec<String> = match &case.input["sig"] {
        Value::Null => vec![],
        Value::Array(list) => list.iter().map(|one| one.as_str().unwrap().to_owned()).collect(),
        one => vec![one.as_str().unwrap().to_owned()],
    };
    let signed = |secret: &str| SigningKeys::new([&Secret::new(secret)]).sign(body).unwrap();
    kinds
        .iter()
        .map(|kind| match kind.split_once(':').unwrap_or((kind, "")) {
            ("valid", _) => signed(SECRET),
            ("upper", _) => signed(SECRET).to_uppercase().replace("SHA256", "sha256"),
            ("raw", value) => value.to_owned(),
            ("secret", secret) => signed(secret),
            ("truncate", digits) => signed(SECRET)[..7 + digits.parse::<usize>().unwrap()].to_owned(),
            ("sha1", _) => {
                let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, SECRET.as_bytes());
                let tag = ring::hmac::sign(&key, body);
                let digits: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
                format!("sha1={digits}")
            }
            _ => panic!("the signature {kind} is not known here"),
        })
        .collect()
}

async fn send(test_server: &TestServer, case: &Case, body: Vec<u8>, delivery: &str) -> Response {
    let signatures = signatures(case, &body);
    let mut body = body;
    if case.input["mutate"] == "flip:100" {
        body[100] ^= 1;
    }
    let path = case.input["path"].as_str().unwrap_or("/api/webhook");
    let mut request = Request::post(test_server.url(path)).body(body);
    // One case is a missing event header.
    let headers = case.input["headers"].as_object().cloned().unwrap_or_default();
    for (name, value) in &headers {
        let value = match value.as_str().unwrap() {
            "{{uuid}}" => delivery,
            "{{secret}}" => SECRET,
            other => other,
        };
        let lower = name.to_lowercase();
        let name: &'static str = lower.leak();
        request = request.header(name, value);
    }
    for signature in signatures {
        request = request.header("x-hub-signature-256", signature);
    }
    test_server.send(request).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_hostile_delivery_is_answered_as_it_must_be() {
    let Some(path) = fetched("BAD_INPUTS") else { return };
    let settings = [("APP_NAME", "app-name"), ("WORKERS", "0"), ("TRIGGERS_PER_ACTOR", "0")];
    let mut test_server = TestServer::start_with(vec![], &settings).await;
    let cases = cases(&std::fs::read_to_string(path).unwrap());
    let (mut wrong, mut tried) = (Vec::new(), 0);
    for (position, case) in cases.iter().enumerate() {
        if ELSEWHERE.iter().any(|(id, _)| *id == case.id) {
            continue;
        }
        for (part, body) in bodies(case, position + 1).into_iter().enumerate() {
            let answer = send(&test_server, case, body, &format!("{}-{part}", case.id)).await;
            tried += 1;
            if !case.statuses.contains(&u64::from(answer.status)) {
                let printed: String = answer.text().chars().take(200).collect();
                wrong.push(format!(
                    "{} part {part}: {} instead of {:?}: {printed}",
                    case.id, answer.status, case.statuses
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(tried > 50, "only {tried} deliveries were tried");
    assert_eq!(test_server.get("/health").await.status, 200, "it still serves");
    test_server.stop().await;
}
