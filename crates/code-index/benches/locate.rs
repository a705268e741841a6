//! How long the first look at a repository takes, how long the next ones, and how much memory, beside `ctags` and aider's map.
//!
//! `LOCATE_REPO=path/of/django LOCATE_REV=… cargo bench -p patchwright-code-index --bench locate`; `LOCATE_NEXT` names a
//! second commit for a second job, `LOCATE_ISSUE` a file with a text, `AIDER` the program where it is installed.
//!
//! Each look is a process of its own, so that time on all processors and the most memory are those of this look.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement that cannot be taken ends here")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use patchwright_code_index::Locator;
use patchwright_core::code_index::IndexQuery;
use patchwright_gitops_gix::Snapshot;

const ROUNDS: usize = 5;
const ISSUE: &str = "Cannot use aggregate over window functions since 4.2\nAfter upgrading, `Sum(Window(...))` raises \
    FieldError: Cannot compute Sum('cumul_DJR'): 'cumul_DJR' is an aggregate";

/// What one look cost.
#[derive(Debug, Clone, Copy)]
struct Cost {
    wall: f64,
    cpu: f64,
    mebibytes: f64,
}

/// Seconds of this process on all processors, from `/proc/self/stat`, in hundredths.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

fn most_memory() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

/// One look, in the process that was started for it.
fn look(repo: &Path, rev: &str, cache: PathBuf) {
    let text =
        std::env::var("LOCATE_ISSUE").map_or_else(|_| ISSUE.to_owned(), |path| std::fs::read_to_string(path).unwrap());
    let (title, body) = text.split_once('\n').unwrap_or((&text, ""));
    let began = Instant::now();
    let query = IndexQuery {
        tree: Arc::new(Snapshot::open(repo, rev).unwrap()),
        repository: Some("bench".to_owned()),
        title: title.to_owned(),
        body: body.to_owned(),
        labels: Vec::new(),
        folder: None,
        outlined: 5,
        limit: 30,
    };
    let ranking = Locator::new(Some(cache)).locate(&query).unwrap();
    assert!(!ranking.files.is_empty());
    println!("{} {} {}", began.elapsed().as_secs_f64(), cpu(), most_memory());
}

fn child(repo: &Path, rev: &str, cache: &Path) -> Cost {
    let output = Command::new(std::env::current_exe().unwrap())
        .env("LOCATE_LOOK", cache)
        .env("LOCATE_REPO", repo)
        .env("LOCATE_REV", rev)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let numbers: Vec<f64> = text.split_whitespace().map(|number| number.parse().unwrap()).collect();
    Cost { wall: numbers[0], cpu: numbers[1], mebibytes: numbers[2] }
}

/// The time of a program and what it starts, as the shell tells it: wall, and processors.
fn timed(command: &str, at: &Path) -> Option<(f64, f64)> {
    let script = format!("TIMEFORMAT='%R %U %S'; time ( {{ {command}; }} >/dev/null 2>&1 )");
    let output = Command::new("bash").arg("-c").arg(script).current_dir(at).output().ok()?;
    let text = String::from_utf8(output.stderr).ok()?;
    let numbers: Vec<f64> = text.split_whitespace().filter_map(|number| number.parse().ok()).collect();
    (output.status.success() && numbers.len() == 3).then(|| (numbers[0], numbers[1] + numbers[2]))
}

fn say(name: &str, costs: &mut [Cost]) {
    costs.sort_by(|a, b| a.wall.total_cmp(&b.wall));
    let middle = costs[costs.len() / 2];
    let memory = costs.iter().map(|cost| cost.mebibytes).fold(0.0, f64::max);
    println!("{name:<44} {:>6.2} s wall {:>6.2} s processors {memory:>6.0} MiB", middle.wall, middle.cpu);
}

fn main() {
    let Some(repo) = std::env::var_os("LOCATE_REPO").map(PathBuf::from) else {
        println!("LOCATE_REPO names no repository; nothing is measured");
        return;
    };
    let rev = std::env::var("LOCATE_REV").unwrap_or_else(|_| "HEAD".to_owned());
    if let Some(cache) = std::env::var_os("LOCATE_LOOK") {
        return look(&repo, &rev, cache.into());
    }
    let folder = tempfile::tempdir().unwrap();
    let cache = |name: &str| folder.path().join(name);
    // Once unmeasured, so that every round finds the repository's own files in memory.
    child(&repo, &rev, &cache("before"));
    let mut cold: Vec<Cost> = (0..ROUNDS).map(|round| child(&repo, &rev, &cache(&format!("cold{round}")))).collect();
    say("first look", &mut cold);
    let mut warm: Vec<Cost> = (0..ROUNDS).map(|_| child(&repo, &rev, &cache("cold0"))).collect();
    say("another look at the same commit", &mut warm);
    if let Ok(next) = std::env::var("LOCATE_NEXT") {
        let mut second: Vec<Cost> =
            (0..ROUNDS).map(|round| child(&repo, &next, &cache(&format!("cold{round}")))).collect();
        say("a look at another commit", &mut second);
    }
    let checkout = cache("checkout");
    std::fs::create_dir_all(&checkout).unwrap();
    let archive = format!(
        "git -C {} archive {rev} | tar -x && git init -q && git add -A && git -c user.name=b -c user.email=b@b commit -qm b",
        repo.display()
    );
    timed(&archive, &checkout).expect("a working copy for the others");
    let aider = std::env::var("AIDER").map(|program| {
        format!("{program} --show-repo-map --map-tokens 1024 --no-check-update --no-show-model-warnings --analytics-disable --model gpt-4o --openai-api-key none --yes")
    });
    let peers = [
        (
            "ctags -R, one tag file",
            Some("ctags -R --languages=Python,JavaScript -f tags.out . && test -s tags.out".to_owned()),
        ),
        ("aider's repo map, first", aider.clone().ok()),
        ("aider's repo map, again", aider.ok()),
    ];
    for (name, command) in peers {
        match command.and_then(|command| timed(&command, &checkout)) {
            Some((wall, cpu)) => {
                println!(
                    "{name:<44} {wall:>6.2} s wall {cpu:>6.2} s processors, {:.1} times the first look's",
                    wall / cold[ROUNDS / 2].wall
                );
            }
            None => println!("{name:<44} is not here"),
        }
    }
}
