//! Finds out whether a backend isolates on this machine, by trying to break out.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use patchwright_core::CancellationToken;
use patchwright_core::progress::Progress;
use patchwright_domain::JobId;

use super::bubblewrap::Bubblewrap;
use super::cgroup::ControlGroups;
use super::container::{ContainerEngine, EngineKind, Profiles};
use super::{Backend, Limits, Mount, Network};
use crate::options::ContainerOptions;
use crate::process::{CommandSpec, Runner};

/// How long the self-test may take.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Each line tries one thing that must fail, or looks for one that must not be there, and prints what got through.
const PROBES: &str = r#"
bad() { echo "BAD $1"; }
# A container has files and a first process of its own.
[ -n "$CONTAINER" ] || ! cat /etc/shadow >/dev/null 2>&1 || bad "reads /etc/shadow"
for folder in / /usr /etc /proc/sys/kernel $DEVICES; do (: > "$folder/patchwright-probe") 2>/dev/null && bad "writes $folder"; done
(: > /proc/sys/kernel/domainname) 2>/dev/null && bad "writes /proc/sys"
(: > /proc/sysrq-trigger) 2>/dev/null && bad "writes /proc/sysrq-trigger"
grep -q '^CapEff:[[:space:]]*0*$' /proc/self/status || bad "has capabilities"
grep -q '^CapBnd:[[:space:]]*0*$' /proc/self/status || bad "can get capabilities"
grep -q '^NoNewPrivs:[[:space:]]*1$' /proc/self/status || bad "can get privileges"
grep -q '^Seccomp:[[:space:]]*2$' /proc/self/status || bad "has no filter of system calls"
[ "$(grep -c : /proc/net/dev)" -le 1 ] || bad "sees network interfaces"
[ -n "$CONTAINER" ] || ! tr '\0' '\n' < /proc/1/environ 2>/dev/null | grep -q . || bad "reads the environment of its launcher"
[ -e "$CANARY" ] && bad "sees files of this machine"
[ -d "/proc/$SERVER" ] && grep -q "$SERVER_NAME" "/proc/$SERVER/comm" 2>/dev/null && bad "sees processes of this machine"
unshare -U true 2>/dev/null && bad "makes a user namespace"
mount -t tmpfs none /tmp 2>/dev/null && bad "mounts"
(: > probe) 2>/dev/null || bad "cannot write its own folder"
echo DONE
"#;

/// The result of a self-test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// What is not isolated, or why nothing could be started; empty if the backend holds.
    pub(crate) problems: Vec<String>,
}

impl Finding {
    pub(crate) fn holds(&self) -> bool {
        self.problems.is_empty()
    }
}

/// Finds `bwrap` on the `PATH` and tests it.
pub(crate) async fn test_bubblewrap(
    path: &str,
    view: Vec<Mount>,
    groups: &ControlGroups,
) -> (Option<Bubblewrap>, Finding) {
    let problem = |text: String| Finding { problems: vec![text] };
    let Some(program) = find_program(path, "bwrap") else {
        return (None, problem("`bwrap` is not installed (Debian, Ubuntu, Fedora: the package bubblewrap)".to_owned()));
    };
    let is_root = rustix::process::geteuid().is_root();
    let setpriv = find_program(path, "setpriv");
    if is_root && setpriv.is_none() {
        return (None, problem("`setpriv` is not installed (the package util-linux), which root needs".to_owned()));
    }
    let bubblewrap = Bubblewrap {
        disables_nesting: version_of(&program).await >= Some((0, 8)),
        program,
        setpriv: setpriv.filter(|_| is_root),
        view,
        counts_all_memory: groups.limit_memory(),
    };
    let finding = probe(&Backend::Bubblewrap(bubblewrap.clone()), None, groups).await;
    (Some(bubblewrap), finding)
}

/// Finds a container engine on the `PATH` and tests it with each of its images.
pub(crate) async fn test_engine(
    path: &str,
    options: &ContainerOptions,
    kind: EngineKind,
    groups: &ControlGroups,
) -> (Option<ContainerEngine>, Finding) {
    let problem = |text: String| Finding { problems: vec![text] };
    let Some(program) = find_program(path, kind.name()) else {
        return (None, problem(format!("`{}` is not installed", kind.name())));
    };
    let profiles = match Profiles::write() {
        Ok(profiles) => Arc::new(profiles),
        Err(error) => return (None, problem(format!("the filter of system calls cannot be written: {error}"))),
    };
    let mut engine = ContainerEngine { program, args: options.args.clone(), env: options.env.clone(), kind, profiles };
    if kind != EngineKind::Podman {
        let options = engine_says(&engine, &["info", "--format", "{{.SecurityOptions}}"]).await;
        engine.kind = EngineKind::Docker { is_rootless: options.contains("rootless") };
    }
    let images: BTreeSet<&String> = options.images.values().collect();
    if images.is_empty() {
        return (None, problem(format!("`{}` has no image: name one in SANDBOX_IMAGES", kind.name())));
    }
    let mut problems = Vec::new();
    for image in images {
        let finding = probe(&Backend::Container(engine.clone()), Some(image), groups).await;
        problems.extend(finding.problems.into_iter().map(|problem| format!("in the image {image}: {problem}")));
    }
    (Some(engine), Finding { problems })
}

async fn engine_says(engine: &ContainerEngine, args: &[&str]) -> String {
    let output = engine.command().args(args).output().await;
    output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
}

async fn probe(backend: &Backend, image: Option<&str>, groups: &ControlGroups) -> Finding {
    let found = async {
        let folder = temporary_folder()?;
        let result = probe_in(&folder, backend, image, groups).await;
        let _ = std::fs::remove_dir_all(&folder);
        result
    };
    match found.await {
        Ok(problems) => Finding { problems },
        Err(error) => Finding { problems: vec![format!("the self-test could not be run: {error}")] },
    }
}

fn temporary_folder() -> std::io::Result<PathBuf> {
    use std::os::unix::fs::DirBuilderExt as _;
    let folder = std::env::temp_dir().join(format!("patchwright-self-test-{:016x}", fastrand::u64(..)));
    std::fs::DirBuilder::new().mode(0o700).create(&folder)?;
    std::fs::create_dir(folder.join("tree"))?;
    std::fs::write(folder.join("canary"), "")?;
    Ok(folder)
}

async fn probe_in(
    folder: &Path,
    backend: &Backend,
    image: Option<&str>,
    groups: &ControlGroups,
) -> std::io::Result<Vec<String>> {
    let name = std::fs::read_to_string("/proc/self/comm").unwrap_or_default();
    // The devices of a container are memory of a bounded size.
    let (container, devices) = if image.is_some() { ("1", "") } else { ("", "/dev") };
    let env = [
        ("CONTAINER", container.to_owned()),
        ("DEVICES", devices.to_owned()),
        ("PATH", "/usr/local/bin:/usr/bin:/bin".to_owned()),
        ("CANARY", folder.join("canary").display().to_string()),
        ("SERVER", std::process::id().to_string()),
        ("SERVER_NAME", name.trim().to_owned()),
    ];
    let spec = CommandSpec {
        image: image.map(str::to_owned),
        program: "/bin/sh".into(),
        args: vec!["-c".to_owned(), PROBES.to_owned()],
        folder: "/workspace".into(),
        env: env.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        mounts: vec![Mount::write(folder.join("tree"), "/workspace"), Mount::hidden("/tmp")],
        network: Network::None,
        writes_cache: false,
        timeout: TIMEOUT,
        limits: Limits {
            output_bytes: 64 << 10,
            file_bytes: 1 << 20,
            disk_bytes: 1 << 20,
            memory_bytes: 256 << 20,
            processes: 64,
            open_files: 256,
        },
    };
    let runner = Runner { backend: backend.clone(), groups: groups.clone() };
    let progress = Progress::silent(JobId::from_uuid(uuid::Uuid::nil()));
    let result = runner.run(&spec, &progress, &CancellationToken::new()).await.map_err(std::io::Error::other)?;
    let found = result.output.lines().filter_map(|line| line.strip_prefix("BAD ")).map(|what| format!("code {what}"));
    let mut problems: Vec<String> = found.collect();
    if !result.output.lines().any(|line| line == "DONE") {
        problems.push(format!("`{}` does not work here: {}", backend.name(), result.output.trim()));
    }
    Ok(problems)
}

pub(crate) fn find_program(path: &str, program: &str) -> Option<PathBuf> {
    std::env::split_paths(path).map(|folder| folder.join(program)).find(|path| path.is_file())
}

/// Returns the version of `bwrap`, which prints `bubblewrap 0.8.0`.
async fn version_of(program: &Path) -> Option<(u32, u32)> {
    let output = tokio::process::Command::new(program).arg("--version").env_clear().output().await.ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let mut numbers = text.trim().rsplit(' ').next()?.split('.').map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}
