//! `/metrics`: its protection, what it tells of a job, and the files that read it.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use patchwright_core::Secret;
use patchwright_http::Request;

use crate::harness::{TestServer, good_answers};

const TOKEN: &str = "metrics-token-canary-0123";

fn read(path: &str) -> String {
    std::fs::read_to_string(format!("{}/../{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// The names of the metrics that a text mentions, without the suffixes of their series.
fn names_in(text: &str) -> BTreeSet<String> {
    let is_name = |c: char| c.is_ascii_lowercase() || c == '_';
    let words =
        text.split(|c| !is_name(c)).filter(|word| word.starts_with("patchwright_") || word.starts_with("process_"));
    let base = |word: &str| {
        ["_bucket", "_count", "_sum", "_total"]
            .iter()
            .fold(word.to_owned(), |word, suffix| word.strip_suffix(suffix).map_or(word.clone(), str::to_owned))
    };
    words.map(base).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_tell_of_a_job_to_whoever_has_the_token() {
    let mut test_server =
        TestServer::start_with(good_answers(), &[("METRICS_TOKEN", TOKEN), ("METRICS_BIND", "127.0.0.1:0")]).await;
    test_server.fix().await;
    test_server.run_until_idle().await;
    assert_eq!(test_server.get("/metrics").await.status, 401);
    let with = |token: &str| Request::get(test_server.url("/metrics")).bearer(&Secret::new(token));
    assert_eq!(test_server.send(with("another")).await.status, 401);
    let answer = test_server.send(with(TOKEN)).await;
    assert!(answer.header("content-type").unwrap().starts_with("application/openmetrics-text"));
    let text = answer.text();
    for line in [
        "patchwright_deliveries_total{platform=\"github\",outcome=\"accepted\"} 1",
        "patchwright_jobs_ended_total{status=\"succeeded\",verdict=\"fixed_proven\"} 1",
        "patchwright_stage_duration_seconds_count{stage=\"verify\",status=\"succeeded\"} 1",
        "patchwright_model_calls_total{model=\"scripted-1\",outcome=\"answered\"} 3",
        "patchwright_effects_total{kind=\"open_pull_request\",outcome=\"delivered\"} 1",
        "patchwright_queue_jobs{state=\"queued\"} 0",
        "route=\"/api/webhook\"",
    ] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
    assert!(
        !text.contains("acme/demo") && !text.contains("alice"),
        "no job waits, so that no repository is named: {text}"
    );
    // An address of its own needs no token, and has nothing else.
    let own = |path: &str| Request::get(format!("http://{}{path}", test_server.metrics_address()));
    assert_eq!(test_server.send(own("/metrics")).await.status, 200);
    assert_eq!(test_server.send(own("/issues")).await.status, 404);
    what_reads_them_uses_names_that_there_are(&text);
    the_parser_of_prometheus_accepts(&text);
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_there_are_no_metrics_on_the_public_address() {
    let test_server = TestServer::start(good_answers()).await;
    assert_eq!(test_server.get("/metrics").await.status, 404);
    test_server.finish().await;
}

/// The documentation lists every metric, and the alerts and the dashboard use no other.
fn what_reads_them_uses_names_that_there_are(text: &str) {
    let described = text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next());
    let exported: BTreeSet<String> = described.map(str::to_owned).collect();
    let documented = names_in(&read("docs/metrics.md"));
    // What has no series yet is not exported.
    let empty = ["patchwright_deliveries_refused", "patchwright_queue_oldest_seconds", "patchwright_queue_waiting"];
    let absent: Vec<&str> = documented.difference(&exported).map(String::as_str).collect();
    assert_eq!(absent, empty, "docs/metrics.md");
    assert!(exported.is_subset(&documented), "docs/metrics.md lacks {:?}", exported.difference(&documented));
    for file in ["deploy/prometheus/alerts.yml", "deploy/prometheus/grafana.json"] {
        let used = names_in(&read(file));
        assert!(used.is_subset(&documented), "{file}: {:?}", used.difference(&documented));
    }
}

/// `PROMETHEUS_PARSER` names a Python with Prometheus' own client library.
fn the_parser_of_prometheus_accepts(text: &str) {
    let Ok(python) = std::env::var("PROMETHEUS_PARSER") else { return };
    let script = "import sys; from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse; \
                  print(sum(len(family.samples) for family in parse(sys.stdin.read())))";
    let mut parser =
        Command::new(python).args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut parser.stdin.take().unwrap(), text.as_bytes()).unwrap();
    let output = parser.wait_with_output().unwrap();
    assert!(output.status.success());
    assert!(String::from_utf8(output.stdout).unwrap().trim().parse::<usize>().unwrap() > 30);
}
