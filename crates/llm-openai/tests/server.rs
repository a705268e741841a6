//! The client against a fake server that follows and violates the protocol.

#![expect(clippy::unwrap_used, reason = "a failed setup ends the test")]

use std::time::Duration;

use patchwright_core::CancellationToken;
use patchwright_core::llm::{ChatRequest, Llm as _, LlmError, Message};
use patchwright_http::{HttpClient, HttpOptions};
use patchwright_llm_openai::{MaxTokensField, OpenAi, OpenAiOptions};
use patchwright_testkit::server::{LlmServer, Script};
use serde_json::json;

fn client(server: &LlmServer, change: impl FnOnce(&mut OpenAiOptions)) -> OpenAi {
    patchwright_http::install_tls();
    let mut options = OpenAiOptions {
        base_url: server.url(),
        timeout: Duration::from_millis(500),
        initial_backoff: Duration::from_millis(5),
        ..OpenAiOptions::default()
    };
    change(&mut options);
    OpenAi::new(HttpClient::new(&HttpOptions::default()).unwrap(), options)
}

async fn ask(client: &OpenAi) -> Result<String, LlmError> {
    let request = ChatRequest { purpose: "test", messages: vec![Message::user("hello")], max_tokens: Some(5) };
    client.chat(&request, &CancellationToken::new()).await.map(|answer| answer.text)
}

#[tokio::test(flavor = "multi_thread")]
async fn complete_and_streamed_answers_are_the_same() {
    let server = LlmServer::answering(&["héllo 修", "héllo 修"]);
    assert_eq!(ask(&client(&server, |_| {})).await.unwrap(), "héllo 修");
    assert_eq!(ask(&client(&server, |options| options.stream = true)).await.unwrap(), "héllo 修");
    let asked = server.asked();
    assert_eq!((&asked[0]["stream"], &asked[0]["max_tokens"]), (&json!(false), &json!(5)));
    assert_eq!(asked[1]["stream_options"]["include_usage"], true);
    let server = LlmServer::answering(&["x"]);
    ask(&client(&server, |options| options.max_tokens_field = MaxTokensField::MaxCompletionTokens)).await.unwrap();
    assert_eq!(server.asked()[0]["max_completion_tokens"], 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn transient_errors_are_retried_and_permanent_ones_are_not() {
    let busy = |status| Script::Error(status, json!({"error": {"message": "busy", "code": "rate_limit_exceeded"}}));
    let server = LlmServer::start([busy(429), busy(502), Script::Answer("at last".into())]);
    assert_eq!(ask(&client(&server, |_| {})).await.unwrap(), "at last");
    for (status, body, expected) in [
        (401, json!({"detail": "Invalid API key"}), "Denied"),
        (404, json!({"error": {"message": "no such model", "code": "model_not_found"}}), "Denied"),
        (429, json!({"error": {"message": "quota", "type": "insufficient_quota"}}), "QuotaExhausted"),
        (400, json!({"error": {"message": "too long", "code": "context_length_exceeded"}}), "ContextTooLong"),
    ] {
        let server = LlmServer::start([Script::Error(status, body)]);
        let error = ask(&client(&server, |_| {})).await.unwrap_err();
        assert!(format!("{error:?}").starts_with(expected), "{error:?}");
        assert_eq!(server.asked().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_truncated_empty_or_late_answer_is_an_error() {
    let once = |options: &mut OpenAiOptions| {
        options.max_attempts = 1;
        options.stream = true;
    };
    let cut = ask(&client(&LlmServer::start([Script::CutOff("half".into())]), once)).await.unwrap_err();
    assert!(cut.to_string().contains("the stream was cut off"), "{cut}");
    let empty = ask(&client(&LlmServer::answering(&["  "]), |_| {})).await.unwrap_err();
    assert_eq!(empty.to_string(), "the model's answer cannot be used: it is empty");
    let late = LlmServer::start([Script::Silence(Duration::from_secs(30))]);
    let late = ask(&client(&late, once)).await.unwrap_err();
    assert!(late.to_string().contains("no answer in time"), "{late}");
    let server = LlmServer::answering(&[]);
    let nowhere = client(&server, |options| {
        options.base_url = "http://127.0.0.1:1".into();
        options.max_attempts = 1;
    });
    assert!(ask(&nowhere).await.unwrap_err().to_string().contains("check the server and its address"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_request_ends_at_once() {
    let server = LlmServer::start([Script::Silence(Duration::from_secs(30))]);
    let cancel = CancellationToken::new();
    let stop = cancel.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(50)).await;
        stop.cancel();
    });
    let client = client(&server, |options| options.timeout = Duration::from_secs(30));
    let request = ChatRequest { purpose: "test", messages: vec![], max_tokens: None };
    let start = std::time::Instant::now();
    assert!(matches!(client.chat(&request, &cancel).await, Err(LlmError::Cancelled)));
    assert!(start.elapsed() < Duration::from_secs(10));
}
