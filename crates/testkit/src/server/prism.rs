//! Prism (npm `@stoplight/prism-cli`) as a proxy that validates every request against a vendor's OpenAPI document.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A running Prism.
#[derive(Debug)]
pub struct Prism {
    child: Child,
    url: String,
    folder: tempfile::TempDir,
}

impl Prism {
    /// Starts Prism from the `node_modules` of a folder, between a client and an upstream server, with the document reduced
    /// to these calls.
    pub fn start(npm: &Path, document: &Path, calls: &[(&str, &[&str])], upstream: &str) -> Self {
        Self::start_below(npm, document, calls, upstream, "")
    }

    /// Starts Prism for calls below a path that the document does not have.
    pub fn start_below(npm: &Path, document: &Path, calls: &[(&str, &[&str])], upstream: &str, below: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let cut = folder.path().join("openapi.json");
        let calls: serde_json::Map<String, serde_json::Value> =
            calls.iter().map(|(path, methods)| ((*path).to_owned(), (*methods).into())).collect();
        let status = Command::new("node")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/src/server/openapi.mjs"))
            .args([document, &cut])
            .arg(serde_json::Value::Object(calls).to_string())
            .arg(below)
            .status()
            .unwrap();
        assert!(status.success(), "{} cannot be reduced", document.display());
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let child = Command::new(npm.join("node_modules/.bin/prism"))
            .args(["proxy", "-h", "127.0.0.1", "-p", &port.to_string()])
            .arg(&cut)
            .arg(upstream)
            .stdout(std::fs::File::create(folder.path().join("log")).unwrap())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let prism = Self { child, url: format!("http://127.0.0.1:{port}"), folder };
        let began = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(began.elapsed() < Duration::from_secs(60), "Prism does not start");
            std::thread::sleep(Duration::from_millis(50));
        }
        prism
    }

    /// Returns the address of the proxy.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns the violations of all requests so far, and the number of requests.
    pub fn verdict(&self) -> (Vec<String>, usize) {
        let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap();
        let wrong = log.lines().filter(|line| {
            line.contains("Violation: request") || line.contains("NO_PATH") || line.contains("Route not resolved")
        });
        (wrong.map(str::to_owned).collect(), log.matches("Request received").count())
    }
}

impl Drop for Prism {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
