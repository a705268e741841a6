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
    task: JoinHandle<()>,
}

impl Outlet {
    /// Listens on a socket in a new folder below `parent`.
    ///
    /// # Errors
    /// When the socket cannot be made.
    pub(crate) fn open(parent: &Path, address: SocketAddr) -> io::Result<Self> {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = parent.join("outlet");
        crate::tree::delete(&folder)?;
        std::fs::create_dir_all(&folder)?;
        let path = folder.join(SOCKET);
        let listener = UnixListener::bind(&path)?;
        // The command may be another user. The folder above is this user's alone.
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
        Ok(Self { folder, task })
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        self.task.abort();
    }
}
