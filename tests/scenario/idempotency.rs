//! Repeated requests, and events over a WebSocket.

use patchwright_http::{Request, Response};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::harness::{REPO, TestServer, good_answers};

async fn post_once(test_server: &TestServer, path: &str, key: &str, body: &Value) -> Response {
    test_server.send(Request::post(test_server.url(path)).header("idempotency-key", key).json(body)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_with_a_key_is_done_once_however_often_it_is_sent() {
    let test_server = TestServer::start(vec![]).await;
    let body = json!({"platform": "github", "name": REPO});
    let first = post_once(&test_server, "/api/v1/repositories", "add-demo", &body).await;
    assert_eq!((first.status, first.header("idempotent-replayed")), (201, None), "{}", first.text());
    let second = post_once(&test_server, "/api/v1/repositories", "add-demo", &body).await;
    assert_eq!((second.status, second.header("idempotent-replayed")), (201, Some("true")));
    assert_eq!(second.text(), first.text());
    assert_eq!(second.header("content-type"), first.header("content-type"));
    let other = json!({"platform": "github", "name": "acme/other"});
    let another = post_once(&test_server, "/api/v1/repositories", "add-demo", &other).await;
    assert_eq!((another.status, &another.json::<Value>().unwrap()["code"]), (422, &"key_reused".into()));
    // A permanent refusal is repeated, and the same key on another path is a different key.
    let refused = post_once(&test_server, "/api/v1/repositories", "twice", &body).await;
    assert_eq!(refused.status, 409);
    assert_eq!(post_once(&test_server, "/api/v1/repositories", "twice", &body).await.text(), refused.text());
    let secrets = json!({"name": "n", "labels": []});
    let node = post_once(&test_server, "/api/v1/nodes", "add-demo", &secrets).await;
    assert_eq!(node.status, 201, "{}", node.text());
    let again = post_once(&test_server, "/api/v1/nodes", "add-demo", &secrets).await;
    assert_eq!(again.status, 409, "an answer with a secret in it is not kept: {}", again.text());
    let long = "x".repeat(256);
    assert_eq!(post_once(&test_server, "/api/v1/repositories", &long, &body).await.status, 400);
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_thing_that_has_not_changed_is_not_sent_again() {
    let test_server = TestServer::start(vec![]).await;
    let body = json!({"platform": "github", "name": REPO});
    let added: Value =
        test_server.send(Request::post(test_server.url("/api/v1/repositories")).json(&body)).await.json().unwrap();
    let path = format!("/api/v1/repositories/{}", added["id"].as_str().unwrap());
    let tag = test_server.get(&path).await.header("etag").unwrap().to_owned();
    let ask =
        async |tag: &str| test_server.send(Request::get(test_server.url(&path)).header("if-none-match", tag)).await;
    let same = ask(&tag).await;
    assert_eq!((same.status, same.text().as_str(), same.header("etag")), (304, "", Some(tag.as_str())));
    assert_eq!(ask("\"other\"").await.status, 200);
    test_server.send(Request::post(test_server.url(&format!("{path}/sync"))).json(&json!({}))).await;
    let changed = ask(&tag).await;
    assert!(changed.status == 200 && changed.header("etag") != Some(&tag), "{}", changed.text());
    test_server.finish().await;
}

/// The client side of a WebSocket.
struct Socket(tokio::net::TcpStream);

impl Socket {
    async fn open(test_server: &TestServer, origin: &str) -> (String, Self) {
        let url = test_server.url("/api/v1/ws");
        let host = url.trim_start_matches("http://").split('/').next().unwrap().to_owned();
        let mut stream = tokio::net::TcpStream::connect(&host).await.unwrap();
        let handshake = format!(
            "GET /api/v1/ws HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nOrigin: {origin}\r\n\r\n"
        );
        stream.write_all(handshake.replace("{host}", &host).as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        (String::from_utf8(head).unwrap(), Self(stream))
    }

    /// Returns the next text message.
    async fn text(&mut self) -> String {
        loop {
            let kind = self.0.read_u8().await.unwrap() & 0x0f;
            let length = match self.0.read_u8().await.unwrap() {
                126 => usize::from(self.0.read_u16().await.unwrap()),
                127 => usize::try_from(self.0.read_u64().await.unwrap()).unwrap(),
                short => usize::from(short),
            };
            let mut bytes = vec![0; length];
            self.0.read_exact(&mut bytes).await.unwrap();
            if kind == 1 {
                return String::from_utf8(bytes).unwrap();
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_sees_jobs_go_on_over_a_websocket_and_a_foreign_page_sees_nothing() {
    let mut test_server = TestServer::start(good_answers()).await;
    let (refused, _) = Socket::open(&test_server, "https://evil.example").await;
    assert!(refused.starts_with("HTTP/1.1 403"), "{refused}");
    let own = test_server.url("").trim_end_matches('/').to_owned();
    let (opened, mut socket) = Socket::open(&test_server, &own).await;
    assert!(opened.starts_with("HTTP/1.1 101") && opened.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{opened}");
    let job = test_server.fix().await;
    loop {
        let message: Value = serde_json::from_str(&socket.text().await).unwrap();
        assert_eq!((&message["event"], &message["data"]["job_id"]), (&"job".into(), &job.id.to_string().into()));
        if message["data"]["status"] == "succeeded" {
            break;
        }
    }
    drop(socket);
    test_server.expect_comments(0).await;
    test_server.finish().await;
}
