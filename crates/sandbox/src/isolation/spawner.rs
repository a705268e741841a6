//! Starts programs from one thread that lives as long as this process.
//!
//! The kernel ends a program with its parent *thread* if it asked for that (`bwrap --die-with-parent`), and the threads of an
//! asynchronous runtime come and go.

use std::sync::LazyLock;
use std::sync::mpsc::{Sender, channel};

use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// The first descriptor behind the standard streams.
const FIRST_INHERITED: i32 = 3;

type Work = Box<dyn FnOnce() + Send>;

static SPAWNER: LazyLock<Option<Sender<Work>>> = LazyLock::new(|| {
    let (sender, receiver) = channel::<Work>();
    let work = move || receiver.into_iter().for_each(|work| work());
    std::thread::Builder::new().name("sandbox-spawner".to_owned()).spawn(work).ok().map(|_| sender)
});

/// Starts a program.
///
/// # Errors
/// Those of [`Command::spawn`].
pub(crate) async fn spawn(mut command: Command) -> std::io::Result<Child> {
    let runtime = Handle::current();
    let (answer, started) = oneshot::channel();
    let work = move || {
        let _runtime = runtime.enter();
        // Descriptors that this process inherited would be inherited again, by code that must not have them.
        close_fds::set_fds_cloexec(FIRST_INHERITED, &[]);
        // The command holds descriptors that must be closed now, so it ends here.
        let _ = answer.send(command.spawn());
    };
    let gone = || std::io::Error::other("the thread that starts programs is gone");
    SPAWNER.as_ref().ok_or_else(gone)?.send(Box::new(work)).map_err(|_| gone())?;
    started.await.map_err(|_| gone())?
}
