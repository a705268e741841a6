//! TLS in front of another server, with a certificate authority of its own.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

/// A proxy that speaks TLS as `127.0.0.1` and passes everything on.
#[derive(Debug)]
pub struct TlsProxy {
    folder: TempDir,
    address: SocketAddr,
    task: tokio::task::JoinHandle<()>,
}

impl TlsProxy {
    /// Starts in front of a server.
    pub async fn start(server: SocketAddr) -> Self {
        let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        make_certificates(folder.path());
        let read = |name: &str| folder.path().join(name);
        let certificate = CertificateDer::from_pem_file(read("leaf.pem")).unwrap();
        let key = PrivateKeyDer::from_pem_file(read("leaf.key")).unwrap();
        let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    // Clients that do not know the authority hang up.
                    let Ok(mut connection) = acceptor.accept(connection).await else { return };
                    let Ok(mut server) = TcpStream::connect(server).await else { return };
                    let _ = tokio::io::copy_bidirectional(&mut connection, &mut server).await;
                });
            }
        });
        Self { folder, address, task }
    }

    /// Returns the address with its scheme.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// Returns the file with the certificate of the authority.
    pub fn authority(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }
}

impl Drop for TlsProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Makes an authority, and a certificate for loopback that it signs: rustls takes no authority as a server.
fn make_certificates(folder: &Path) {
    let openssl = |args: &str| {
        let output = Command::new("openssl").current_dir(folder).args(args.split(' ')).output().unwrap();
        assert!(output.status.success(), "openssl {args}: {}", String::from_utf8_lossy(&output.stderr));
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(&format!("req -x509 {key} -keyout ca.key -out ca.pem -subj /CN=testkit -days 2"));
    openssl(&format!("req {key} -keyout leaf.key -out leaf.csr -subj /CN=127.0.0.1"));
    std::fs::write(folder.join("leaf.ext"), "subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n").unwrap();
    openssl("x509 -req -in leaf.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out leaf.pem -days 2 -extfile leaf.ext");
}
