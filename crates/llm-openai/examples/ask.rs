//! Asks a chat model: `cargo run -p patchwright-llm-openai --example ask -- URL [MODEL] [QUESTION]`.

#![expect(clippy::print_stdout, reason = "an example shows its result")]

use patchwright_core::CancellationToken;
use patchwright_core::llm::{ChatRequest, Llm as _, Message};
use patchwright_http::{HttpClient, HttpOptions};
use patchwright_llm_openai::{OpenAi, OpenAiOptions};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let Some(base_url) = args.next() else {
        println!("usage: ask URL [MODEL] [QUESTION], for example: ask http://localhost:11434/v1 llama3.2");
        return Ok(());
    };
    let defaults = OpenAiOptions::default();
    let model = args.next().unwrap_or(defaults.model.clone());
    let question = args.next().unwrap_or_else(|| "Say hello in one sentence.".to_owned());

    patchwright_http::install_tls();
    let options = OpenAiOptions { base_url, model, stream: true, ..defaults };
    let llm = OpenAi::new(HttpClient::new(&HttpOptions::default())?, options);
    let messages = vec![Message::system("Answer briefly."), Message::user(question)];
    let request = ChatRequest { max_tokens: Some(500), ..ChatRequest::new("example", messages) };
    let answer = llm.chat(&request, &CancellationToken::new()).await?;
    println!("{}", answer.text);
    println!("{}: {} + {} tokens", answer.model, answer.usage.prompt_tokens, answer.usage.completion_tokens);
    Ok(())
}
