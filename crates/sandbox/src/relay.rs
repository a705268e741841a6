//! The one way out of a sandbox without a network: a port of its own loopback that leads to a socket of this machine.
//!
//! A command in a network namespace reaches nothing of this machine, and most programs speak only to an address. The embedding
//! program is therefore started once more inside of the sandbox, in front of the command, and passes connections on to a socket
//! that is mounted there ([`crate::SandboxOptions::relay`]).

use std::ffi::OsString;
use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::thread;

use tokio::net::UnixListener;
use tokio::task::JoinHandle;

/// Where the socket and the program are, as a command sees them.
pub(crate) const FOLDER: &str = "/run/patchwright";
pub(crate) const PROGRAM: &str = "/run/patchwright-relay";
pub(crate) const SOCKET: &str = "relay.sock";
/// The first argument with which the embedding program is started.
pub(crate) const COMMAND: &str = "sandbox-relay";

/// Listens on an address of the sandbox's loopback, runs a command, and passes connections on to a socket until it has ended.
/// Returns the exit code of the command, or 128 and the number of the signal that ended it.
///
/// The embedding program calls this when it is started as `PROGRAM sandbox-relay ADDRESS SOCKET COMMAND…`.
///
/// # Errors
/// When the address cannot be used, or the command cannot be started.
pub fn relay(address: SocketAddr, socket: &Path, command: &[OsString]) -> io::Result<ExitCode> {
    use std::os::unix::process::ExitStatusExt as _;
    let listener = TcpListener::bind(address)?;
    let socket = socket.to_owned();
    thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            let socket = socket.clone();
            thread::spawn(move || forward(&connection, &socket));
        }
    });
    let (program, args) = command.split_first().ok_or_else(|| io::Error::other("there is no command"))?;
    let status = Command::new(program).args(args).status()?;
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

fn forward(connection: &TcpStream, socket: &Path) {
    let Ok(out) = UnixStream::connect(socket) else { return };
    let (Ok(from), Ok(to)) = (connection.try_clone(), out.try_clone()) else { return };
    let sending = thread::spawn(move || {
        let _ = io::copy(&mut &from, &mut &to);
        let _ = to.shutdown(Shutdown::Write);
    });
    let _ = io::copy(&mut &out, &mut &*connection);
    let _ = connection.shutdown(Shutdown::Write);
    let _ = sending.join();
}

/// Passes the connections of a socket on to an address of this machine until it is dropped.
pub(crate) struct Outlet {
    /// The folder with the socket.
    pub(crate) folder: PathBuf,
    parent: PathBuf,
    task: JoinHandle<()>,
}

impl Outlet {
    /// Listens on a socket in a new folder.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub(crate) fn open(address: SocketAddr) -> io::Result<Self> {
        use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
        // The path of a socket has at most 108 bytes, and that of a job's folder may be longer.
        let parent = std::env::temp_dir().join(format!("patchwright-{:016x}", fastrand::u64(..)));
        std::fs::DirBuilder::new().mode(0o700).create(&parent)?;
        let folder = parent.join("run");
        std::fs::create_dir(&folder)?;
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o755))?;
        let path = folder.join(SOCKET);
        let listener = UnixListener::bind(&path)?;
        // The command may be another user, and sees this folder alone. Nobody else on this machine gets past its parent.
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666))?;
        let task = tokio::spawn(async move {
            while let Ok((mut inside, _)) = listener.accept().await {
                tokio::spawn(async move {
                    if let Ok(mut outside) = tokio::net::TcpStream::connect(address).await {
                        let _ = tokio::io::copy_bidirectional(&mut inside, &mut outside).await;
                    }
                });
            }
        });
        Ok(Self { folder, parent, task })
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        self.task.abort();
        let _ = std::fs::remove_dir_all(&self.parent);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn a_connection_is_passed_on_in_both_directions_and_the_folder_is_gone_afterwards() {
        let service = TcpListener::bind("127.0.0.1:0").unwrap();
        let outlet = Outlet::open(service.local_addr().unwrap()).unwrap();
        let folder = outlet.folder.clone();
        let answered = thread::spawn(move || {
            let (mut connection, _) = service.accept().unwrap();
            let mut question = [0; 4];
            connection.read_exact(&mut question).unwrap();
            connection.write_all(b"pong").unwrap();
            question
        });
        let inside = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = inside.local_addr().unwrap();
        let socket = folder.join(SOCKET);
        thread::spawn(move || forward(&inside.accept().unwrap().0, &socket));
        let asked = tokio::task::spawn_blocking(move || {
            let mut connection = TcpStream::connect(address).unwrap();
            connection.write_all(b"ping").unwrap();
            let mut answer = [0; 4];
            connection.read_exact(&mut answer).unwrap();
            answer
        });
        assert_eq!(&asked.await.unwrap(), b"pong");
        assert_eq!(&answered.join().unwrap(), b"ping");
        drop(outlet);
        assert!(!folder.exists());
    }
}
