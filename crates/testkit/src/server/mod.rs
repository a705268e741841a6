//! Servers on loopback that behave like the real ones.

mod git;
mod gitcode;
mod github;
mod hook;
mod jira;
mod llm;
mod prism;
mod smtp;
mod ssh;
mod tls;

pub use git::{GitServer, PASSWORD, Served, git};
pub use gitcode::{GITCODE_TOKEN, GitcodeServer};
pub use github::{GithubServer, TOKEN};
pub use hook::{HookServer, Posted};
pub use jira::{JIRA_APPLICATION, JIRA_CLOUD_ID, JIRA_SERVICE, JIRA_SITE, JiraServer};
pub use llm::{LlmServer, Script};
pub use prism::Prism;
pub use smtp::SmtpServer;
pub use ssh::SshServer;
pub use tls::TlsProxy;

use std::net::SocketAddr;

use actix_web::dev::ServerHandle;

/// A running server, which stops when it is dropped.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    handle: ServerHandle,
}

impl Running {
    pub(crate) fn start(server: actix_web::dev::Server, address: SocketAddr) -> Self {
        let handle = server.handle();
        tokio::spawn(server);
        Self { address, handle }
    }
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.address)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The server stops when `stop` is called; its future only waits for that.
        drop(self.handle.stop(false));
    }
}

/// Starts an application on a free port of loopback.
macro_rules! listen {
    ($app:expr) => {{
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server = actix_web::HttpServer::new($app).workers(1).disable_signals().listen(listener).unwrap().run();
        $crate::server::Running::start(server, address)
    }};
}
pub(crate) use listen;
