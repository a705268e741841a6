//! The client against servers of others: `LLMOCK` names the program of llmock (from `PyPI`), `LLAMA_URL` the address of a llama.cpp server
//! with the key `sk-local`. Without them, these tests do nothing; `.ci/nightly` has both.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use patchwright_core::CancellationToken;
use patchwright_core::Secret;
use patchwright_core::llm::{ChatRequest, Llm as _, LlmError, Message, Tool, split_calls};
use patchwright_http::{HttpClient, HttpOptions};
use patchwright_llm_openai::{OpenAi, OpenAiOptions};
use serde_json::json;

/// A server that ends with the test.
struct Llmock {
    child: Child,
    program: String,
    address: String,
}

impl Llmock {
    async fn start(faults: &[&str]) -> Option<Self> {
        let Ok(program) = std::env::var("LLMOCK") else {
            return None;
        };
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new(&program);
        command.args(["serve", "--port", &port.to_string()]).args(faults).stdout(Stdio::null()).stderr(Stdio::null());
        let server = Self { child: command.spawn().unwrap(), program, address: format!("http://127.0.0.1:{port}") };
        for _ in 0..200 {
            if tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
                return Some(server);
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("llmock does not listen");
    }

    fn client(&self, stream: bool) -> OpenAi {
        client(OpenAiOptions {
            base_url: self.address.clone(),
            stream,
            max_attempts: 8,
            initial_backoff: Duration::from_millis(5),
            idle_timeout: Duration::from_secs(2),
            ..OpenAiOptions::default()
        })
    }
}

impl Drop for Llmock {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn client(options: OpenAiOptions) -> OpenAi {
    patchwright_http::install_tls();
    OpenAi::new(HttpClient::new(&HttpOptions::default()).unwrap(), options)
}

fn tool() -> Tool {
    let parameters = json!({"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]});
    Tool { name: "read", description: "Reads a file", parameters }
}

#[tokio::test(flavor = "multi_thread")]
async fn llmock_answers_in_text_and_in_calls_of_tools_whole_and_streamed() {
    let Some(server) = Llmock::start(&[]).await else { return };
    let never = CancellationToken::new();
    for stream in [false, true] {
        let llm = server.client(stream);
        let plain = ChatRequest::new("test", vec![Message::user("hello")]);
        assert!(!llm.chat(&plain, &never).await.unwrap().text.is_empty());
        let mut request = ChatRequest { tools: vec![tool()], may_call: true, ..plain.clone() };
        let answer = llm.chat(&request, &never).await.unwrap();
        let (calls, _) = split_calls(&answer.text);
        assert_eq!((calls.len(), calls[0].name.as_str(), calls[0].arguments["path"].is_string()), (1, "read", true));
        // The call and its result go back as such.
        request.messages.extend([Message::assistant(answer.text), Message::user("<result of=\"read\">x = 1</result>")]);
        request.may_call = false;
        let end = llm.chat(&request, &never).await.unwrap();
        assert!(split_calls(&end.text).0.is_empty() && !end.text.is_empty(), "{}", end.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn llmock_finds_nothing_wrong_with_how_faults_are_handled() {
    let faults = ["--error-rate", "429=0.3", "--error-rate", "503=0.1", "--stream-fault", "truncate=0.3"];
    let Some(server) = Llmock::start(&faults).await else { return };
    let llm = server.client(true);
    for number in 0..25 {
        let request = ChatRequest::new("test", vec![Message::user(format!("hello {number}"))]);
        llm.chat(&request, &CancellationToken::new()).await.unwrap();
    }
    let report = Command::new(&server.program).args(["report", "--url", &server.address]).output().unwrap();
    let text = String::from_utf8_lossy(&report.stdout);
    assert!(report.status.success(), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn llama_cpp_answers_and_refuses_a_wrong_key_and_a_prompt_that_is_too_long() {
    let Ok(base_url) = std::env::var("LLAMA_URL") else {
        return;
    };
    let options = |key: &str| OpenAiOptions {
        base_url: base_url.clone(),
        api_key: Some(Secret::new(key)),
        max_attempts: 1,
        ..OpenAiOptions::default()
    };
    let never = CancellationToken::new();
    let ask =
        |text: String| ChatRequest { max_tokens: Some(16), ..ChatRequest::new("test", vec![Message::user(text)]) };
    for stream in [false, true] {
        let llm = client(OpenAiOptions { stream, ..options("sk-local") });
        match llm.chat(&ask("Say hello.".to_owned()), &never).await {
            Ok(answer) => assert!(answer.usage.prompt_tokens > 0, "{answer:?}"),
            Err(error) => assert!(matches!(error, LlmError::Truncated | LlmError::Empty), "{error:?}"),
        }
    }
    let wrong = client(options("sk-other")).chat(&ask("hello".to_owned()), &never).await.unwrap_err();
    assert!(matches!(wrong, LlmError::Denied { .. }), "{wrong:?}");
    let long = client(options("sk-local")).chat(&ask("word ".repeat(200_000)), &never).await.unwrap_err();
    assert!(matches!(long, LlmError::ContextTooLong { .. }), "{long:?}");
}
