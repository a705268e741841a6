//! A git server over HTTP: `git http-backend` behind Basic authentication.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use actix_web::{App, HttpRequest, HttpResponse, web};
use base64::Engine as _;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::{Running, listen};

/// The password that the server accepts with any user name: as on GitHub, the token of the API.
pub const PASSWORD: &str = super::TOKEN;

/// A git server with bare repositories in a folder of its own.
#[derive(Debug)]
pub struct GitServer {
    folder: TempDir,
    running: Running,
    log: Arc<Mutex<Vec<Served>>>,
}

/// A request that was served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// Method and path.
    pub line: String,
    /// Whether the client asked for objects.
    pub is_fetch: bool,
    /// The length of the answer.
    pub bytes: usize,
}

impl GitServer {
    /// Starts a server without repositories.
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root: Arc<Path> = folder.path().into();
        let log = Arc::new(Mutex::new(Vec::new()));
        let written = Arc::clone(&log);
        let running = listen!(move || {
            let (root, log) = (Arc::clone(&root), Arc::clone(&written));
            App::new().app_data(web::PayloadConfig::new(512 * 1024 * 1024)).default_service(web::to(
                move |request: HttpRequest, body: web::Bytes| {
                    let (root, log) = (Arc::clone(&root), Arc::clone(&log));
                    async move {
                        let line = format!("{} {}", request.method(), request.path());
                        let is_fetch = is_fetch(&request, &body);
                        let (response, bytes) = backend(root, request, body).await;
                        log.lock().unwrap().push(Served { line, is_fetch, bytes });
                        response
                    }
                },
            ))
        });
        Self { folder, running, log }
    }

    /// Returns what was served so far.
    pub fn served(&self) -> Vec<Served> {
        self.log.lock().unwrap().clone()
    }

    /// Returns the address on which the server listens.
    pub const fn address(&self) -> std::net::SocketAddr {
        self.running.address
    }

    /// Returns the folder of all repositories.
    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    /// Returns the base of the clone addresses: `{url}/{owner}/{name}.git`.
    pub fn url(&self) -> String {
        format!("http://{}", self.running.address)
    }

    /// Returns the folder of a repository.
    pub fn path(&self, full_name: &str) -> PathBuf {
        self.folder.path().join(format!("{full_name}.git"))
    }

    /// Creates a repository whose `main` has these files and that accepts pushes.
    pub fn make(&self, full_name: &str, files: &[(&str, &str)]) {
        let path = self.path(full_name);
        self.make_empty(full_name);
        let work = tempfile::tempdir().unwrap();
        let at = work.path();
        git(at, &["init", "-q", "-b", "main"]);
        for (name, text) in files {
            let place = at.join(name);
            std::fs::create_dir_all(place.parent().unwrap()).unwrap();
            std::fs::write(place, text).unwrap();
        }
        git(at, &["add", "-A"]);
        git(at, &["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-q", "-m", "First commit"]);
        git(at, &["push", "-q", path.to_str().unwrap(), "main"]);
    }

    /// Commits files to `main`, each with its text or `None` to remove it, and returns the commit.
    pub fn commit(&self, full_name: &str, message: &str, files: &[(&str, Option<&str>)]) -> String {
        self.commit_to(full_name, "main", message, files)
    }

    /// Does the same on another branch.
    pub fn commit_to(&self, full_name: &str, branch: &str, message: &str, files: &[(&str, Option<&str>)]) -> String {
        let path = self.path(full_name);
        let work = tempfile::tempdir().unwrap();
        let at = work.path();
        git(at, &["clone", "-q", "-b", branch, path.to_str().unwrap(), "."]);
        for (name, text) in files {
            let place = at.join(name);
            std::fs::create_dir_all(place.parent().unwrap()).unwrap();
            match text {
                Some(text) => {
                    let _ = std::fs::remove_dir(&place);
                    std::fs::write(place, text).unwrap();
                }
                None => std::fs::remove_file(place).unwrap(),
            }
        }
        git(at, &["add", "-A"]);
        git(at, &["-c", "user.name=t", "-c", "user.email=t@t", "commit", "-q", "-m", message]);
        git(at, &["push", "-q", "origin", branch]);
        git(at, &["rev-parse", "HEAD"]).trim().to_owned()
    }

    /// Creates a repository without commits.
    pub fn make_empty(&self, full_name: &str) {
        let path = self.path(full_name);
        std::fs::create_dir_all(&path).unwrap();
        git(&path, &["init", "-q", "--bare", "-b", "main"]);
        git(&path, &["config", "http.receivepack", "true"]);
    }

    /// Makes a repository refuse pushes with a reason.
    pub fn refuse_pushes(&self, full_name: &str) {
        self.refuse_pushes_with(full_name, "protected");
    }

    /// Makes a repository refuse pushes with these words, which hold no quotation mark.
    pub fn refuse_pushes_with(&self, full_name: &str, words: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        let hook = self.path(full_name).join("hooks/pre-receive");
        std::fs::create_dir_all(hook.parent().unwrap()).unwrap();
        std::fs::write(&hook, format!("#!/bin/sh\necho '{words}' >&2\nexit 1\n")).unwrap();
        std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Makes the server refuse the objects of pushes with 403, as a forge does for a token that may only read.
    pub fn forbid_pushes(&self, full_name: &str) {
        std::fs::write(self.path(full_name).join("forbids-pushes"), "").unwrap();
    }

    /// Runs `git` in a repository and returns its output.
    pub fn git(&self, full_name: &str, args: &[&str]) -> String {
        git(&self.path(full_name), args)
    }
}

/// Runs git in a folder without the configuration of this machine, and returns its output.
///
/// # Panics
/// If it fails.
pub fn git(at: &Path, args: &[&str]) -> String {
    let output = std::process::Command::new("git")
        .arg("-C")
        .arg(at)
        .args(args)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// Returns whether a request asks for objects, in protocol version 2 or before.
fn is_fetch(request: &HttpRequest, body: &[u8]) -> bool {
    let is_service = request.path().ends_with("/git-upload-pack");
    is_service && !body.windows(15).any(|part| part == b"command=ls-refs")
}

async fn backend(root: Arc<Path>, request: HttpRequest, body: web::Bytes) -> (HttpResponse, usize) {
    let header = |name: &str| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let decoded = header("authorization")
        .strip_prefix("Basic ")
        .map(|pair| base64::engine::general_purpose::STANDARD.decode(pair));
    let pair = decoded.and_then(Result::ok).and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
    let bearer = header("authorization").strip_prefix("Bearer ");
    let password = pair.split_once(':').map(|(_, password)| password).or(bearer);
    if password.is_none_or(|password| password != PASSWORD && password != super::GITCODE_TOKEN) {
        let refused = HttpResponse::Unauthorized().insert_header(("www-authenticate", "Basic realm=\"git\"")).finish();
        return (refused, 0);
    }
    if let Some(repository) = request.path().strip_suffix("/git-receive-pack")
        && root.join(repository.trim_start_matches('/')).join("forbids-pushes").exists()
    {
        return (HttpResponse::Forbidden().body("Resource not accessible by integration"), 0);
    }
    let mut child = Command::new("git")
        .arg("http-backend")
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("GIT_PROJECT_ROOT", root.as_os_str())
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("REMOTE_USER", "test_server")
        .env("REQUEST_METHOD", request.method().as_str())
        .env("PATH_INFO", request.path())
        .env("QUERY_STRING", request.query_string())
        .env("CONTENT_TYPE", header("content-type"))
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .env("GIT_PROTOCOL", header("git-protocol"))
        .env("CONTENT_LENGTH", body.len().to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let feeding = tokio::spawn(async move {
        // The program may end before it has read everything.
        let _ = stdin.write_all(&body).await;
    });
    let output = child.wait_with_output().await.unwrap();
    feeding.await.unwrap();
    (response(&output.stdout), output.stdout.len())
}

/// Converts CGI output to a response.
fn response(output: &[u8]) -> HttpResponse {
    let Some(end) = output.windows(4).position(|window| window == b"\r\n\r\n") else {
        return HttpResponse::InternalServerError().finish();
    };
    let head = String::from_utf8_lossy(&output[..end]).into_owned();
    let mut response = HttpResponse::Ok();
    for line in head.lines() {
        let Some((name, value)) = line.split_once(": ") else { continue };
        if name.eq_ignore_ascii_case("status") {
            let code: u16 = value.split(' ').next().unwrap().parse().unwrap();
            response.status(actix_web::http::StatusCode::from_u16(code).unwrap());
        } else {
            response.insert_header((name, value));
        }
    }
    response.body(output[end + 4..].to_vec())
}
