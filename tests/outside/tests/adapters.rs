//! The adapters in a program that is not Patchwright.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::thread::JoinHandle;

use http::HeaderMap;
use jiff::Timestamp;
use patchwright_code_index::Locator;
use patchwright_core::code_index::{CodeIndex as _, IndexQuery};
use patchwright_core::git::{Checkout, CommitRequest, Git as _};
use patchwright_core::outgoing_text::OutgoingText;
use patchwright_core::llm::{ChatRequest, Llm as _, Message};
use patchwright_core::source_tree::SourceTree as _;
use patchwright_core::webhook::{InboundEvent, SigningKeys, WebhookDecoder as _};
use patchwright_core::{CancellationToken, Secret};
use patchwright_domain::{BranchName, RepoPath};
use patchwright_github::GithubWebhook;
use patchwright_gitops_gix::{GitOptions, GixGit, Snapshot, seed_repository};
use patchwright_http::{HttpClient, HttpOptions};
use patchwright_llm_openai::{OpenAi, OpenAiOptions};

#[test]
fn github_decodes_a_delivery_from_the_headers_of_a_web_framework() {
    let body = br#"{
        "action": "created",
        "issue": {"number": 42, "title": "add() subtracts", "body": "`add(1, 2)` is -1."},
        "comment": {"id": 7, "body": "@patchwright fix", "user": {"login": "alice"}},
        "repository": {"owner": {"login": "acme"}, "name": "demo", "default_branch": "main"},
        "sender": {"login": "alice"}
    }"#;
    let keys = SigningKeys::new([&Secret::new("a webhook secret")]);
    let mut headers = HeaderMap::new();
    headers.insert("x-github-event", "issue_comment".parse().unwrap());
    headers.insert("x-hub-signature-256", keys.sign(body).unwrap().parse().unwrap());
    let webhook = GithubWebhook::new(keys, None);
    webhook.verify(&headers, body).unwrap();
    assert!(webhook.verify(&headers, b"{}").is_err());
    match webhook.decode(&headers, body).unwrap().event {
        InboundEvent::Commented { issue, comment } => {
            assert_eq!((issue.title.as_str(), comment.body.as_str()), ("add() subtracts", "@patchwright fix"));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn gix_clones_commits_and_pushes_and_the_index_ranks_what_was_pushed() {
    let folder = tempfile::tempdir().unwrap();
    let remote = folder.path().join("demo.git");
    let (main, fix) = (BranchName::parse("main").unwrap(), BranchName::parse("agent/fix-1").unwrap());
    let files = [("calc.py", "def add(a, b):\n    return a - b\n"), ("mail.py", "def send(to):\n    print(to)\n")];
    seed_repository(&remote, &main, &files, Timestamp::now()).unwrap();
    let request = Checkout {
        url: remote.display().to_string(),
        base: Some(main),
        branch: fix,
        rework: None,
        with_branch: false,
        push_url: None,
        credential: None,
        destination: folder.path().join("work"),
    };
    let git = GixGit::new(GitOptions::default());
    let workspace = git.checkout(request, &CancellationToken::new()).await.unwrap();
    let path = RepoPath::parse("calc.py").unwrap();
    workspace.write(&path, b"def add(a, b):\n    return a + b\n").await.unwrap();
    let commit = CommitRequest {
        message: OutgoingText::own("Add instead of subtracting\n"),
        author_name: "somebody".to_owned(),
        author_email: "somebody@example.org".to_owned(),
        at: Timestamp::now(),
    };
    let commit = workspace.commit(&[path], &commit).await.unwrap();
    workspace.push(&commit, None, None).await.unwrap();

    let tree = Snapshot::open(&remote, "agent/fix-1").unwrap();
    assert_eq!(tree.history(10)[0].message.trim(), "Add instead of subtracting");
    let query = IndexQuery::new(Arc::new(tree), "`add` is wrong for negative numbers", "").with_outlines(1);
    let ranking = Locator::new(None).rank(query).await.unwrap();
    assert_eq!(ranking.files[0].path, "calc.py");
    assert_eq!(ranking.files[0].symbols[0].name, "add");
}

#[tokio::test]
async fn a_model_server_is_asked_for_an_answer() {
    let answer = r#"{"model": "m", "choices": [{"message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6}}"#;
    let (base_url, request) = answer_once(answer);
    patchwright_http::install_tls();
    let options = OpenAiOptions {
        base_url,
        model: "m".to_owned(),
        api_key: Some(Secret::new("a key")),
        stream: false,
        ..OpenAiOptions::default()
    };
    let llm = OpenAi::new(HttpClient::new(&HttpOptions::default()).unwrap(), options);
    let question =
        ChatRequest { max_tokens: Some(10), ..ChatRequest::new("greeting", vec![Message::user("Say hello.")]) };
    let completion = llm.chat(&question, &CancellationToken::new()).await.unwrap();
    assert_eq!((completion.text.as_str(), completion.usage.prompt_tokens), ("hello", 5));
    let request = request.join().unwrap();
    assert!(request.starts_with("POST /v1/chat/completions"), "{request}");
    assert!(request.contains("Say hello."), "{request}");
}

/// Serves one response on a local port. Returns the base URL and, after the request, its text.
fn answer_once(body: &'static str) -> (String, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(connection.try_clone().unwrap());
        let mut request = String::new();
        let mut length = 0;
        loop {
            let start = request.len();
            reader.read_line(&mut request).unwrap();
            let line = request[start..].trim().to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line.is_empty() {
                break;
            }
        }
        let mut content = vec![0; length];
        reader.read_exact(&mut content).unwrap();
        request.push_str(&String::from_utf8(content).unwrap());
        let head = format!("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n", body.len());
        write!(connection, "{head}connection: close\r\n\r\n{body}").unwrap();
        request
    });
    (base_url, server)
}
