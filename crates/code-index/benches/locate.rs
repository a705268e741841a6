//! Measures the time and memory of ranking a repository without a cache, with one, and at another commit, beside `ctags` and
//! aider's repository map.
//!
//! `LOCATE_REPO=path/of/django LOCATE_REV=… cargo bench -p patchwright-code-index --bench locate`; `LOCATE_NEXT` names a
//! second commit, `LOCATE_ISSUE` a file with a text, `AIDER` the program where it is installed.
//!
//! Each ranking is a process of its own, so that processor time and peak memory are those of this ranking.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a failed measurement ends the benchmark")]

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

#[derive(Debug, Clone, Copy)]
struct Cost {
    wall_seconds: f64,
    cpu_seconds: f64,
    peak_mebibytes: f64,
}

/// Returns the processor time of this process in seconds. `/proc/self/stat` counts hundredths.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

fn peak_mebibytes() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

/// Ranks once and prints the cost, in a process that was started for it.
fn measure(repo: &Path, rev: &str, cache: PathBuf) {
    let text =
        std::env::var("LOCATE_ISSUE").map_or_else(|_| ISSUE.to_owned(), |path| std::fs::read_to_string(path).unwrap());
    let (title, body) = text.split_once('\n').unwrap_or((&text, ""));
    let start = Instant::now();
    let tree = Arc::new(Snapshot::open(repo, rev).unwrap());
    let query = IndexQuery::new(tree, title, body).with_repository("bench").with_outlines(5).with_limit(30);
    let ranking = Locator::new(Some(cache)).locate(&query).unwrap();
    assert!(!ranking.files.is_empty());
    println!("{} {} {}", start.elapsed().as_secs_f64(), cpu_seconds(), peak_mebibytes());
}

fn measure_in_child(repo: &Path, rev: &str, cache: &Path) -> Cost {
    let output = Command::new(std::env::current_exe().unwrap())
        .env("LOCATE_CACHE", cache)
        .env("LOCATE_REPO", repo)
        .env("LOCATE_REV", rev)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let numbers: Vec<f64> = text.split_whitespace().map(|number| number.parse().unwrap()).collect();
    Cost { wall_seconds: numbers[0], cpu_seconds: numbers[1], peak_mebibytes: numbers[2] }
}

/// Returns the wall time and the processor time of a command in seconds, with the processes that it starts.
fn time(command: &str, folder: &Path) -> Option<(f64, f64)> {
    let script = format!("TIMEFORMAT='%R %U %S'; time ( {{ {command}; }} >/dev/null 2>&1 )");
    let output = Command::new("bash").arg("-c").arg(script).current_dir(folder).output().ok()?;
    let text = String::from_utf8(output.stderr).ok()?;
    let numbers: Vec<f64> = text.split_whitespace().filter_map(|number| number.parse().ok()).collect();
    (output.status.success() && numbers.len() == 3).then(|| (numbers[0], numbers[1] + numbers[2]))
}

fn report(name: &str, costs: &mut [Cost]) {
    costs.sort_by(|a, b| a.wall_seconds.total_cmp(&b.wall_seconds));
    let median = costs[costs.len() / 2];
    let memory = costs.iter().map(|cost| cost.peak_mebibytes).fold(0.0, f64::max);
    println!("{name:<44} {:>6.2} s wall {:>6.2} s CPU {memory:>6.0} MiB", median.wall_seconds, median.cpu_seconds);
}

fn main() {
    let Some(repo) = std::env::var_os("LOCATE_REPO").map(PathBuf::from) else {
        println!("LOCATE_REPO is not set; nothing is measured");
        return;
    };
    let rev = std::env::var("LOCATE_REV").unwrap_or_else(|_| "HEAD".to_owned());
    if let Some(cache) = std::env::var_os("LOCATE_CACHE") {
        return measure(&repo, &rev, cache.into());
    }
    let folder = tempfile::tempdir().unwrap();
    let cache = |name: &str| folder.path().join(name);
    // The first run is not counted: it brings the repository into the page cache.
    measure_in_child(&repo, &rev, &cache("warm-up"));
    let mut cold: Vec<Cost> =
        (0..ROUNDS).map(|round| measure_in_child(&repo, &rev, &cache(&format!("cold{round}")))).collect();
    report("without a cache", &mut cold);
    let mut warm: Vec<Cost> = (0..ROUNDS).map(|_| measure_in_child(&repo, &rev, &cache("cold0"))).collect();
    report("with a cache, the same commit", &mut warm);
    if let Ok(next) = std::env::var("LOCATE_NEXT") {
        let mut second: Vec<Cost> =
            (0..ROUNDS).map(|round| measure_in_child(&repo, &next, &cache(&format!("cold{round}")))).collect();
        report("with a cache, another commit", &mut second);
    }
    let checkout = cache("checkout");
    std::fs::create_dir_all(&checkout).unwrap();
    let archive = format!(
        "git -C {} archive {rev} | tar -x && git init -q && git add -A && git -c user.name=b -c user.email=b@b commit -qm b",
        repo.display()
    );
    time(&archive, &checkout).expect("a working copy for the other programs");
    let aider = std::env::var("AIDER").map(|program| {
        format!("{program} --show-repo-map --map-tokens 1024 --no-check-update --no-show-model-warnings --analytics-disable --model gpt-4o --openai-api-key none --yes")
    });
    let peers = [
        (
            "ctags -R, one tag file",
            Some("ctags -R --languages=Python,JavaScript -f tags.out . && test -s tags.out".to_owned()),
        ),
        ("aider's repository map, first run", aider.clone().ok()),
        ("aider's repository map, second run", aider.ok()),
    ];
    for (name, command) in peers {
        match command.and_then(|command| time(&command, &checkout)) {
            Some((wall, cpu)) => {
                println!(
                    "{name:<44} {wall:>6.2} s wall {cpu:>6.2} s CPU, {:.1} times the ranking without a cache",
                    wall / cold[ROUNDS / 2].wall_seconds
                );
            }
            None => println!("{name:<44} is not installed"),
        }
    }
}
