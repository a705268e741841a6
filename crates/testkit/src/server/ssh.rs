//! OpenSSH's server on loopback, with keys of its own.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// A running `sshd` that lets the user of this process in with one key.
#[derive(Debug)]
pub struct SshServer {
    folder: TempDir,
    port: u16,
    child: Child,
}

impl SshServer {
    /// Starts the server. Returns `None` if this machine has none, and `REQUIRE_SSH` is not set.
    pub fn start() -> Option<Self> {
        let program =
            ["/usr/sbin/sshd", "/usr/local/sbin/sshd", "/sbin/sshd"].into_iter().find(|p| Path::new(p).exists());
        let Some(program) = program else {
            assert!(std::env::var_os("REQUIRE_SSH").is_none(), "sshd is missing: install openssh-server");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["host", "user", "stranger"] {
            let made =
                Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(path(name)).status();
            assert!(made.unwrap().success(), "ssh-keygen failed");
        }
        std::fs::copy(path("user.pub"), path("authorized")).unwrap();
        // Privilege separation needs the folder if the server runs as root.
        let _ = std::fs::create_dir_all("/run/sshd");
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let host = std::fs::read_to_string(path("host.pub")).unwrap();
        std::fs::write(path("known"), format!("[127.0.0.1]:{port} {host}")).unwrap();
        std::fs::write(
            path("other"),
            format!("[127.0.0.1]:{port} {}", std::fs::read_to_string(path("user.pub")).unwrap()),
        )
        .unwrap();
        let child = Command::new(program)
            .args(["-D", "-e", "-f", "/dev/null", "-p", &port.to_string()])
            .arg(format!("-oHostKey={}", path("host").display()))
            .arg(format!("-oAuthorizedKeysFile={}", path("authorized").display()))
            .args(["-oListenAddress=127.0.0.1", "-oStrictModes=no", "-oPidFile=none", "-oUsePAM=no"])
            .args(["-oPasswordAuthentication=no", "-oPermitRootLogin=prohibit-password", "-oAcceptEnv=GIT_PROTOCOL"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(path("log")).unwrap())
            .spawn()
            .unwrap();
        let server = Self { folder, port, child };
        let limit = Instant::now() + Duration::from_secs(20);
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < limit, "sshd does not listen: {}", server.log());
            std::thread::yield_now();
        }
        Some(server)
    }

    /// Returns the address of a repository in a folder.
    pub fn url(&self, repository: &Path) -> String {
        let user = Command::new("id").arg("-un").output().unwrap();
        let user = String::from_utf8(user.stdout).unwrap();
        format!("ssh://{}@127.0.0.1:{}{}", user.trim(), self.port, repository.display())
    }

    /// Returns the file of the key that is let in.
    pub fn key(&self) -> PathBuf {
        self.folder.path().join("user")
    }

    /// Returns the file of a key that is not let in.
    pub fn strange_key(&self) -> PathBuf {
        self.folder.path().join("stranger")
    }

    /// Returns the file with the key of the host.
    pub fn known_hosts(&self) -> PathBuf {
        self.folder.path().join("known")
    }

    /// Returns a file with another key for the host.
    pub fn other_known_hosts(&self) -> PathBuf {
        self.folder.path().join("other")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }
}

impl Drop for SshServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
