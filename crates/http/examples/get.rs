//! Sends a GET request with retries: `cargo run -p patchwright-http --example get -- URL`.
//!
//! Without an address it starts a server that fails once, and shows the retry.

#![expect(clippy::print_stdout, reason = "an example shows its result")]

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use patchwright_http::{HttpClient, HttpOptions, Request, Retry};

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    patchwright_http::install_tls();
    let url = match std::env::args().nth(1) {
        Some(url) => url,
        None => start_flaky_server()?,
    };
    let client = HttpClient::new(&HttpOptions::default())?;
    let response = client.send(Request::get(&url), Retry::Safe).await?;
    println!("GET {url}: {} {}", response.status, response.excerpt());
    Ok(())
}

/// Answers the first request with 503 and the second one with 200.
fn start_flaky_server() -> std::io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let url = format!("http://{}/", listener.local_addr()?);
    std::thread::spawn(move || -> std::io::Result<()> {
        for status in ["503 Service Unavailable", "200 OK"] {
            let (mut stream, _) = listener.accept()?;
            let received = stream.read(&mut [0; 4096])?;
            println!("server: {received} bytes received, answering {status}");
            write!(stream, "HTTP/1.1 {status}\r\nretry-after: 0\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok")?;
        }
        Ok(())
    });
    Ok(url)
}
