//! Code that tries to get out, as root and as an ordinary user, from a shell and from what build tools run.

use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use patchwright_testkit::has_isolation;

const PROBES: &str = include_str!("probes.sh");
const SECRET: &str = "patchwright-secret-of-the-server";

/// The users that run the sandbox: this one and, if this is root, an ordinary one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum User {
    This,
    Ordinary,
}

fn users() -> Vec<User> {
    let is_root = rustix::process::geteuid().is_root();
    if is_root { vec![User::This, User::Ordinary] } else { vec![User::This] }
}

/// A machine with something to find, and the program that runs code on it.
struct Machine {
    folder: tempfile::TempDir,
    program: PathBuf,
    user: User,
    service: TcpListener,
    _socket: UnixListener,
    _abstract: UnixListener,
    name: String,
}

impl Machine {
    fn new(user: User) -> Self {
        use std::os::linux::net::SocketAddrExt as _;
        let folder = tempfile::Builder::new().prefix("escape-").tempdir().unwrap();
        let here = std::env::current_exe().unwrap();
        let example = here.parent().unwrap().parent().unwrap().join("examples/isolate");
        // The build folder may be in a home that others cannot enter.
        let program = folder.path().join("isolate");
        std::fs::copy(example, &program).unwrap();
        let name =
            format!("patchwright-canary-{}-{}", std::process::id(), folder.path().file_name().unwrap().display());
        std::fs::write(folder.path().join(&name), SECRET).unwrap();
        let socket = UnixListener::bind(folder.path().join("socket")).unwrap();
        let address = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
        let tree = folder.path().join("tree");
        std::fs::create_dir(&tree).unwrap();
        let machine = Self {
            program,
            user,
            service: TcpListener::bind("127.0.0.1:0").unwrap(),
            _socket: socket,
            _abstract: UnixListener::bind_addr(&address).unwrap(),
            name,
            folder,
        };
        run(Command::new("chmod").args(["-R", "a+rwX"]).arg(machine.folder.path()));
        machine
    }

    fn tree(&self) -> PathBuf {
        self.folder.path().join("tree")
    }

    fn isolate(&self, script: &str, limits: &[&str]) -> Command {
        let mut command = match self.user {
            User::This => Command::new(&self.program),
            User::Ordinary => {
                let mut command = Command::new("setpriv");
                command.args(["--reuid=1001", "--regid=1001", "--clear-groups", "--"]).arg(&self.program);
                command
            }
        };
        command.arg(self.tree()).arg(script).args(limits);
        command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("TOKEN", SECRET);
        command
    }

    /// The probes with what they look for.
    fn probes(&self) -> String {
        let path = self.folder.path();
        format!(
            "SECRET_MARK={SECRET} CANARY={} SERVER={} SERVER_NAME=isolate PORT={} ABSTRACT={} SOCKET={}\n{PROBES}",
            path.join(&self.name).display(),
            std::process::id(),
            self.service.local_addr().unwrap().port(),
            self.name,
            path.join("socket").display(),
        )
    }
}

fn run(command: &mut Command) -> Output {
    command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"))
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn nothing_gets_out_of_the_sandbox() {
    if !has_isolation() {
        return;
    }
    for user in users() {
        let machine = Machine::new(user);
        let found = text(&run(&mut machine.isolate(&machine.probes(), &[])));
        assert!(found.contains("DONE\n") && !found.contains("ESCAPED"), "{user:?}: {found}");
    }
}

#[test]
fn a_process_that_hides_ends_with_its_run() {
    if !has_isolation() {
        return;
    }
    for user in users() {
        let machine = Machine::new(user);
        let mark = format!("60{}", std::process::id());
        let script = format!(
            "setsid sleep {mark} >/dev/null 2>&1 & (trap '' TERM HUP; nohup setsid sh -c 'sleep {mark}; :' &) ; exit 0"
        );
        run(&mut machine.isolate(&script, &[]));
        let gone = (0..50).any(|_| {
            std::thread::sleep(Duration::from_millis(20));
            !text(&run(Command::new("ps").args(["-eo", "args"])))
                .lines()
                .any(|line| line.trim() == format!("sleep {mark}"))
        });
        assert!(gone, "{user:?}");
    }
}

#[test]
fn a_run_ends_with_the_server() {
    if !has_isolation() {
        return;
    }
    let machine = Machine::new(User::This);
    let mark = format!("61{}", std::process::id());
    let script = format!("echo started > started; sleep {mark}");
    let mut server = machine.isolate(&script, &[]).spawn().unwrap();
    let started = (0..500).any(|_| {
        std::thread::sleep(Duration::from_millis(20));
        machine.tree().join("started").exists()
    });
    server.kill().unwrap();
    server.wait().unwrap();
    let gone = (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(20));
        !text(&run(Command::new("ps").args(["-eo", "args"]))).lines().any(|line| line.trim() == format!("sleep {mark}"))
    });
    assert!(started && gone);
}

/// What uses up a resource, and the limit that ends it. `None`: the program fails by itself.
const BOMBS: &[(&str, &str, Option<&str>)] = &[
    ("memory", "tail /dev/zero", Some("Memory")),
    ("memory of many", "for n in 1 2 3 4 5 6 7 8; do tail /dev/zero & done; wait", Some("Memory")),
    (
        "shared memory",
        "head -c 2G /dev/zero > /dev/shm/x; test $(stat -c %s /dev/shm/x) -gt 300000000 && echo TOO MUCH",
        None,
    ),
    ("disk", "n=0; while :; do n=$((n+1)); head -c 20M /dev/zero > file$n || exit; done", Some("Disk")),
    ("temporary files", "n=0; while :; do n=$((n+1)); head -c 20M /dev/zero > /tmp/file$n || exit; done", Some("Disk")),
    ("time", "sleep 1000", Some("Time")),
    ("a loop", "while :; do :; done", Some("Time")),
    ("processes", "f() { f | f & }; f; sleep 1000", Some("Time")),
    ("output", "yes | head -c 300M; echo", None),
    ("one file", "ulimit -f unlimited; head -c 5G /dev/zero > file && echo TOO MUCH; rm file", None),
];

#[test]
fn what_uses_up_the_machine_is_ended_by_its_limit() {
    if !has_isolation() {
        return;
    }
    for user in users() {
        for (name, script, limit) in BOMBS {
            let machine = Machine::new(user);
            let started = Instant::now();
            let found = text(&run(&mut machine.isolate(script, &["300", "3"])));
            let ended = found.lines().last().unwrap_or_default().to_owned();
            let expected = limit.map_or("limit None".to_owned(), |limit| format!("limit Some({limit})"));
            assert!(ended.contains(&expected) && !found.contains("TOO MUCH"), "{user:?}, {name}: {found}");
            assert!(started.elapsed() < Duration::from_secs(30), "{user:?}, {name}: {:?}", started.elapsed());
        }
    }
}

#[test]
fn a_tree_that_code_prepared_leads_nobody_out() {
    if !has_isolation() {
        return;
    }
    for user in users() {
        let machine = Machine::new(user);
        let secret = machine.folder.path().join(&machine.name);
        std::fs::create_dir(machine.tree().join("folder")).unwrap();
        std::fs::write(machine.tree().join("folder").join(&machine.name), "a file of the repository").unwrap();
        run(Command::new("chmod").args(["-R", "a+rwX"]).arg(machine.tree()));
        // The folder becomes a link to where the secret is: what is read as a change would be the secret.
        let script = format!("rm -r folder; ln -s {} folder", machine.folder.path().display());
        let found = text(&run(&mut machine.isolate(&script, &[])));
        assert!(!found.contains(SECRET), "{user:?}: {found}");
        assert_eq!(std::fs::read_to_string(secret).unwrap(), SECRET);
        let script = "rm -rf folder; mkfifo folder; mkfifo pipe; ln -s /dev/zero zero";
        let started = Instant::now();
        run(&mut machine.isolate(script, &[]));
        assert!(started.elapsed() < Duration::from_secs(20), "{user:?}: reading the tree waits for a writer");
    }
}

/// Runs the probes from a file that a build tool executes, in a project of that tool.
fn from_project(files: &[(&str, String)], command: &str) -> String {
    let machine = Machine::new(User::This);
    for (path, text) in files {
        let file = machine.tree().join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }
    std::fs::write(machine.tree().join("probes.sh"), machine.probes()).unwrap();
    let mut isolate = machine.isolate(&format!("{command}; cat probes.txt"), &["2048", "120"]);
    isolate.env("PATH", std::env::var_os("PATH").unwrap());
    let rustup = std::env::var_os("RUSTUP_HOME").map(PathBuf::from);
    let rustup = rustup.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".rustup")));
    isolate.envs(rustup.filter(|folder| folder.is_dir()).map(|folder| ("RUSTUP_HOME", folder)));
    text(&run(&mut isolate))
}

#[test]
fn build_tools_get_no_further_than_a_shell() {
    if !has_isolation() {
        return;
    }
    let python = "import subprocess\nsubprocess.run('sh probes.sh > probes.txt', shell=True)\n";
    let rust = "fn main() { std::process::Command::new(\"sh\").args([\"-c\", \"sh probes.sh > probes.txt\"]).status().unwrap(); }";
    let package = r#"{"name":"x","version":"1.0.0","scripts":{"preinstall":"sh probes.sh > probes.txt"}}"#;
    let projects: [(&str, Vec<(&str, String)>); 3] = [
        ("python3 -c 'import conftest'", vec![("conftest.py", python.to_owned())]),
        (
            "HOME=/tmp cargo build --offline",
            vec![
                ("Cargo.toml", "[package]\nname = \"x\"\nversion = \"0.1.0\"\nedition = \"2021\"\n".to_owned()),
                ("src/lib.rs", String::new()),
                ("build.rs", rust.to_owned()),
            ],
        ),
        ("npm install --offline", vec![("package.json", package.to_owned())]),
    ];
    for (command, files) in projects {
        let program = command.trim_start_matches("HOME=/tmp ").split(' ').next().unwrap();
        let path = std::env::var_os("PATH").unwrap();
        if !std::env::split_paths(&path).any(|folder| folder.join(program).is_file()) {
            continue;
        }
        let found = from_project(&files, command);
        assert!(found.contains("DONE\n") && !found.contains("ESCAPED"), "{command}: {found}");
    }
}
