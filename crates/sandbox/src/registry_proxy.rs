//! The proxy through which package managers reach registries: it connects to the hosts of a list, and to nothing else.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// The port of registries.
const HTTPS: u16 = 443;
/// The longest request to the proxy, in bytes.
const MAX_REQUEST: u64 = 16 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// A proxy on this machine's loopback. It ends on drop.
pub(crate) struct RegistryProxy {
    pub(crate) address: SocketAddr,
    task: JoinHandle<()>,
}

impl RegistryProxy {
    /// Starts the proxy.
    ///
    /// # Errors
    /// When it cannot listen.
    pub(crate) async fn start(hosts: &[String]) -> std::io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let hosts: Arc<Vec<String>> = Arc::new(hosts.iter().map(|host| host.to_lowercase()).collect());
        let task = tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let hosts = Arc::clone(&hosts);
                tokio::spawn(async move {
                    if let Err(error) = serve(connection, &hosts).await {
                        tracing::debug!(%error, "a connection to a registry failed");
                    }
                });
            }
        });
        Ok(Self { address, task })
    }
}

impl Drop for RegistryProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(connection: TcpStream, hosts: &[String]) -> std::io::Result<()> {
    let mut connection = BufReader::new(connection);
    let mut request = String::new();
    let mut head = (&mut connection).take(MAX_REQUEST);
    head.read_line(&mut request).await?;
    loop {
        let mut line = String::new();
        if head.read_line(&mut line).await? == 0 || line.trim().is_empty() {
            break;
        }
    }
    let Some(host) = host_of(&request).filter(|host| is_allowed(host, hosts)) else {
        tracing::warn!(request = request.trim(), "a package manager asked for a host that is no registry");
        let refusal = "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        return connection.write_all(refusal.as_bytes()).await;
    };
    let connect = TcpStream::connect((host.as_str(), HTTPS));
    let Ok(Ok(mut registry)) = tokio::time::timeout(CONNECT_TIMEOUT, connect).await else {
        return connection
            .write_all(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            .await;
    };
    connection.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
    tokio::io::copy_bidirectional(&mut connection, &mut registry).await.map(|_| ())
}

/// Returns the host of `CONNECT host:443 HTTP/1.1`. Nothing else is passed on: without TLS, answers could be anybody's.
fn host_of(request: &str) -> Option<String> {
    let mut words = request.split_whitespace();
    let (method, target) = (words.next()?, words.next()?);
    let (host, port) = target.rsplit_once(':')?;
    (method == "CONNECT" && port == HTTPS.to_string()).then(|| host.to_lowercase())
}

fn is_allowed(host: &str, hosts: &[String]) -> bool {
    hosts.iter().any(|allowed| match allowed.strip_prefix("*.") {
        Some(domain) => host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.')),
        None => allowed == host,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_tls_to_the_hosts_of_the_list_is_passed_on() {
        let hosts = ["registry.example".to_owned(), "*.cdn.example".to_owned()];
        let allowed = |request: &str| host_of(request).is_some_and(|host| is_allowed(&host, &hosts));
        assert!(allowed("CONNECT registry.example:443 HTTP/1.1\r\n"));
        assert!(allowed("CONNECT Registry.Example:443 HTTP/1.1\r\n"));
        assert!(allowed("CONNECT a.cdn.example:443 HTTP/1.1"));
        for refused in [
            "CONNECT registry.example:80 HTTP/1.1",
            "CONNECT other.example:443 HTTP/1.1",
            "CONNECT registry.example.evil.example:443 HTTP/1.1",
            "CONNECT evilcdn.example:443 HTTP/1.1",
            "CONNECT cdn.example:443 HTTP/1.1",
            "CONNECT 127.0.0.1:443 HTTP/1.1",
            "GET http://registry.example/ HTTP/1.1",
            "",
        ] {
            assert!(!allowed(refused), "{refused}");
        }
    }

    #[tokio::test]
    async fn a_refused_host_gets_an_answer() {
        let proxy = RegistryProxy::start(&["registry.example".to_owned()]).await.unwrap();
        let mut connection = TcpStream::connect(proxy.address).await.unwrap();
        connection.write_all(b"CONNECT 127.0.0.1:443 HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    }
}
