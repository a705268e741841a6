//! The backend `podman`, with an image of a shell and nothing else. Skipped without podman, unless `REQUIRE_PODMAN` is set.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use patchwright_core::CancellationToken;
use patchwright_core::progress::Progress;
use patchwright_core::sandbox::{
    CheckReport, CheckRequest, Exceeded, Sandbox as _, SandboxError, Selection, SuiteQuery, TestOutcome,
};
use patchwright_sandbox::{BackendChoice, ContainerOptions, LocalSandbox, SandboxOptions};

const IMAGE: &str = "localhost/patchwright-test:1";
const BUSYBOX: &str = "/bin/busybox";

/// What old kernels and machines without systemd need.
fn engine_args() -> Vec<String> {
    let mut args =
        ["--cgroup-manager=cgroupfs", "--events-backend=none", "--storage-driver=vfs"].map(str::to_owned).to_vec();
    args.extend(Path::new("/usr/sbin/runc").exists().then(|| "--runtime=/usr/sbin/runc".to_owned()));
    args
}

fn has_podman() -> bool {
    let is_there = Path::new(BUSYBOX).exists()
        && Command::new("podman").args(engine_args()).arg("info").output().is_ok_and(|output| output.status.success());
    assert!(is_there || std::env::var_os("REQUIRE_PODMAN").is_none(), "podman or busybox is missing");
    is_there
}

/// Makes the image: a shell with its tools.
fn make_image(folder: &Path) {
    std::fs::create_dir_all(folder.join("bin")).unwrap();
    std::fs::create_dir_all(folder.join("tmp")).unwrap();
    std::fs::copy(BUSYBOX, folder.join("bin/busybox")).unwrap();
    for name in ["sh", "cat", "echo", "grep", "tr", "ls", "id", "sleep", "wget", "env", "mkdir", "test", "[", "seq"] {
        std::os::unix::fs::symlink("busybox", folder.join("bin").join(name)).unwrap();
    }
    let archive = folder.with_extension("tar");
    let tar = Command::new("tar").arg("-C").arg(folder).arg("-cf").arg(&archive).arg(".").status().unwrap();
    assert!(tar.success());
    let import = Command::new("podman").args(engine_args()).arg("import").arg(&archive).arg(IMAGE).output().unwrap();
    assert!(import.status.success(), "{}", String::from_utf8_lossy(&import.stderr));
}

fn containers() -> Vec<String> {
    let listed = Command::new("podman").args(engine_args()).args(["ps", "--all", "--format", "{{.Names}}"]).output();
    let text = String::from_utf8(listed.unwrap().stdout).unwrap();
    text.lines().filter(|name| name.starts_with("patchwright-")).map(str::to_owned).collect()
}

async fn check(sandbox: &LocalSandbox, script: &str, timeout: Duration) -> Result<CheckReport, SandboxError> {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("tree");
    std::fs::create_dir(&root).unwrap();
    std::fs::write(root.join("test.sh"), script).unwrap();
    let test_command = Some("sh ./test.sh".to_owned());
    let query = SuiteQuery { root: root.clone(), test_command, ..SuiteQuery::default() };
    let suite = sandbox.find_suites(query).await?.remove(0);
    let scratch = folder.path().join("scratch");
    let request = CheckRequest {
        root,
        scratch,
        suite,
        selection: Selection::All,
        local_folder: None,
        has_base_manifests: true,
        timeout,
    };
    let job = "00000000-0000-0000-0000-000000000001".parse().unwrap();
    sandbox.check(request, &Progress::silent(job), &CancellationToken::new()).await
}

#[tokio::test]
async fn tests_run_in_a_container_that_reaches_nothing_and_is_gone_afterwards() {
    if !has_podman() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    make_image(&folder.path().join("image"));
    let env = std::env::vars().filter(|(name, _)| ["HOME", "PATH", "XDG_RUNTIME_DIR"].contains(&name.as_str()));
    let container = ContainerOptions {
        args: engine_args(),
        env: env.collect(),
        images: BTreeMap::from([("*".to_owned(), IMAGE.to_owned())]),
    };
    let options = SandboxOptions {
        backend: BackendChoice::Podman,
        container: container.clone(),
        path: std::env::var("PATH").unwrap(),
        ..SandboxOptions::default()
    };
    let sandbox = LocalSandbox::new(options.clone());
    let diagnosis = sandbox.diagnose().await;
    assert_eq!((diagnosis.isolation, diagnosis.problems), ("strong", Vec::new()));

    let script = "
echo 1..6
t() { if eval \"$2\" >/dev/null 2>&1; then echo \"ok $1\"; else echo \"not ok $1\"; fi; }
t '1 - writes its tree' 'echo x > here'
t '2 - writes the root' 'echo x > /here'
t '3 - has an account of its own' '[ \"$(id -u)\" != 0 ] || ! cat /etc/shadow'
t '4 - sees the machine' 'ls /work /root /home/*'
t '5 - reaches an address' 'wget -T 2 -q -O - http://1.1.1.1/'
t '6 - has capabilities' 'grep -q CapEff.*[1-9a-f] /proc/self/status'
";
    let report = check(&sandbox, script, Duration::from_secs(60)).await.unwrap();
    let passed: Vec<_> = report.tests.iter().filter(|(_, outcome)| **outcome == TestOutcome::Passed).collect();
    let names: Vec<_> = passed.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["has an account of its own", "writes its tree"], "{}", report.log_tail);
    assert_eq!(report.results.failed, 4, "{}", report.log_tail);

    let late = check(&sandbox, "sleep 300 & sleep 300", Duration::from_secs(3)).await.unwrap();
    assert_eq!(late.exceeded, Some(Exceeded::Time));
    assert_eq!(containers(), Vec::<String>::new(), "nothing is left");

    let images = BTreeMap::from([("python".to_owned(), IMAGE.to_owned())]);
    let other = SandboxOptions { container: ContainerOptions { images, ..container.clone() }, ..options.clone() };
    let refused = check(&LocalSandbox::new(other), "true", Duration::from_secs(9)).await.unwrap_err();
    assert!(refused.to_string().contains("SANDBOX_IMAGES"), "{refused}");
    let images = BTreeMap::from([("*".to_owned(), "localhost/not-there:1".to_owned())]);
    let missing = SandboxOptions { container: ContainerOptions { images, ..container }, ..options };
    let refused = check(&LocalSandbox::new(missing), "true", Duration::from_secs(9)).await.unwrap_err();
    assert!(refused.to_string().contains("localhost/not-there:1"), "{refused}");
}
