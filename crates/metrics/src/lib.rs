#![doc = include_str!("../README.md")]

mod process;
mod snapshot;

use patchwright_core::meter::{Meter, MeterEvent};
use patchwright_domain::EffectKind;
use patchwright_domain::job::FailureClass;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

pub use process::ProcessUsage;
pub use snapshot::{NodeCounts, Snapshot, WaitingRepository};

/// The media type of the text.
pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The names and values of a series' labels.
type Labels = Vec<(&'static str, String)>;

/// The upper bounds of stages and model calls, in seconds: from what a machine does at once to the longest allowed.
const LONG_BUCKETS: [f64; 12] = [0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 7200.0];
/// The upper bounds of requests, in seconds.
const REQUEST_BUCKETS: [f64; 10] = [0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0];
/// How many models are told apart; a setting or a fallback can name any.
const MAX_MODELS: usize = 20;

fn long_histogram() -> Histogram {
    Histogram::new(LONG_BUCKETS)
}

fn request_histogram() -> Histogram {
    Histogram::new(REQUEST_BUCKETS)
}

/// A family of histograms with the same bounds.
type Histograms = Family<Labels, Histogram, fn() -> Histogram>;

/// The metrics of one process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    deliveries: Family<Labels, Counter>,
    refused: Family<Labels, Counter>,
    jobs: Family<Labels, Counter>,
    failures: Family<Labels, Counter>,
    stages: Histograms,
    model_calls: Family<Labels, Counter>,
    model_seconds: Histograms,
    model_tokens: Family<Labels, Counter>,
    model_cost: Family<Labels, Counter<f64, std::sync::atomic::AtomicU64>>,
    effects: Family<Labels, Counter>,
    leases_lost: Counter,
    requests: Histograms,
    /// The models that have a series.
    models: std::sync::Mutex<Vec<String>>,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Creates metrics that have counted nothing.
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("patchwright"),
            deliveries: Family::default(),
            refused: Family::default(),
            jobs: Family::default(),
            failures: Family::default(),
            stages: Family::new_with_constructor(long_histogram),
            model_calls: Family::default(),
            model_seconds: Family::new_with_constructor(long_histogram),
            model_tokens: Family::default(),
            model_cost: Family::default(),
            effects: Family::default(),
            leases_lost: Counter::default(),
            requests: Family::new_with_constructor(request_histogram),
            models: std::sync::Mutex::default(),
        };
        metrics.register();
        metrics.create_series();
        metrics
    }

    /// Creates the series that alerts watch: the increase from none to one is not seen.
    fn create_series(&self) {
        for kind in EffectKind::ALL {
            for outcome in ["delivered", "retried", "given_up"] {
                add(&self.effects, &vec![label("kind", kind.as_str()), label("outcome", outcome)], 0);
            }
        }
        for class in FailureClass::ALL {
            add(&self.failures, &vec![label("class", class.as_str())], 0);
        }
    }

    fn register(&mut self) {
        let all = &mut self.registry;
        all.register("deliveries", "Deliveries that were acknowledged, by outcome", self.deliveries.clone());
        all.register("deliveries_refused", "Deliveries that were refused, by HTTP status", self.refused.clone());
        all.register("jobs_ended", "Jobs that ended, by status and verdict", self.jobs.clone());
        all.register("job_failures", "Jobs that failed, by the part of the world that did", self.failures.clone());
        let (stages, calls, requests) = (self.stages.clone(), self.model_seconds.clone(), self.requests.clone());
        all.register_with_unit("stage_duration", "Stages of jobs, by status", Unit::Seconds, stages);
        all.register("model_calls", "Calls of the model, by outcome", self.model_calls.clone());
        all.register_with_unit("model_call_duration", "Calls of the model", Unit::Seconds, calls);
        all.register("model_tokens", "Tokens of prompts and answers", self.model_tokens.clone());
        let cost = "The cost of the model, in the unit of its configured prices";
        all.register("model_cost", cost, self.model_cost.clone());
        all.register("effects", "Messages to forges and trackers, by outcome", self.effects.clone());
        all.register(
            "leases_lost",
            "Reports of tasks whose lease had gone to another worker",
            self.leases_lost.clone(),
        );
        let help = "HTTP requests, by registered route and status";
        all.register_with_unit("http_request_duration", help, Unit::Seconds, requests);
    }

    /// Observes an HTTP request. `route` is the pattern that it matched, never its path.
    pub fn observe_request(&self, method: &str, route: &str, status: u16, seconds: f64) {
        let labels = vec![label("method", method), label("route", route), label("status", &status.to_string())];
        self.requests.get_or_create(&labels).observe(seconds);
    }

    /// Renders all metrics with the present state.
    pub fn render(&self, present: &Snapshot) -> String {
        let mut text = String::new();
        let mut state = Registry::with_prefix("patchwright");
        present.register(&mut state);
        let mut process = Registry::default();
        ProcessUsage::read().register(&mut process);
        // Writing to memory fails never; each registry ends with a line of its own.
        for registry in [&self.registry, &state, &process] {
            text.truncate(text.strip_suffix("# EOF\n").map_or(text.len(), str::len));
            encode(&mut text, registry).expect("a string takes everything");
        }
        text
    }

    /// Returns the label of a model; further ones share one after the first twenty.
    fn model(&self, name: &str) -> (&'static str, String) {
        let mut known = self.models.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if !known.iter().any(|model| model == name) {
            if known.len() >= MAX_MODELS {
                return label("model", "other");
            }
            known.push(name.to_owned());
        }
        label("model", name)
    }
}

fn label(name: &'static str, value: &str) -> (&'static str, String) {
    (name, value.to_owned())
}

fn add(family: &Family<Labels, Counter>, labels: &Labels, count: u64) {
    family.get_or_create(labels).inc_by(count);
}

impl Meter for Metrics {
    fn count(&self, event: &MeterEvent) {
        match event {
            MeterEvent::DeliveryAnswered { platform, outcome } => {
                add(&self.deliveries, &vec![label("platform", platform.as_str()), label("outcome", outcome)], 1);
            }
            MeterEvent::DeliveryRefused { platform, status } => {
                let labels = vec![label("platform", platform.as_str()), label("status", &status.to_string())];
                add(&self.refused, &labels, 1);
            }
            MeterEvent::JobEnded { status, verdict } => {
                let verdict = verdict.map_or("none", |verdict| verdict.as_str());
                add(&self.jobs, &vec![label("status", status.as_str()), label("verdict", verdict)], 1);
            }
            MeterEvent::JobFailed { class } => add(&self.failures, &vec![label("class", class.as_str())], 1),
            MeterEvent::StageEnded { stage, status, seconds } => {
                let labels = vec![label("stage", stage.as_str()), label("status", status.as_str())];
                self.stages.get_or_create(&labels).observe(*seconds);
            }
            MeterEvent::ModelCalled { model, failed, usage, seconds } => {
                let model = self.model(model);
                let outcome = label("outcome", if *failed { "failed" } else { "answered" });
                add(&self.model_calls, &vec![model.clone(), outcome], 1);
                self.model_seconds.get_or_create(&vec![model.clone()]).observe(*seconds);
                for (kind, tokens) in [("prompt", usage.prompt_tokens), ("completion", usage.completion_tokens)] {
                    add(&self.model_tokens, &vec![model.clone(), label("kind", kind)], tokens);
                }
                #[expect(clippy::cast_precision_loss, reason = "a price; 2^53 millionths are nine billion")]
                let cost = usage.cost_micros as f64 / 1e6;
                self.model_cost.get_or_create(&vec![model]).inc_by(cost);
            }
            MeterEvent::EffectDelivered { kind } => self.count_effect(kind.as_str(), "delivered"),
            MeterEvent::EffectRetried { kind } => self.count_effect(kind.as_str(), "retried"),
            MeterEvent::EffectGivenUp { kind } => self.count_effect(kind.as_str(), "given_up"),
            MeterEvent::LeaseLost => {
                self.leases_lost.inc();
            }
            // Events of a later version of the port.
            _ => {}
        }
    }
}

impl Metrics {
    fn count_effect(&self, kind: &str, outcome: &str) {
        add(&self.effects, &vec![label("kind", kind), label("outcome", outcome)], 1);
    }
}

#[cfg(test)]
mod tests {
    use patchwright_domain::job::report::Verdict;
    use patchwright_domain::job::stage::{StageKind, StageStatus};
    use patchwright_domain::{JobStatus, PlatformId, Usage};

    use super::*;

    fn called(model: &str) -> MeterEvent {
        let usage = Usage { prompt_tokens: 100, completion_tokens: 20, calls: 1, cost_micros: 1_500_000 };
        MeterEvent::ModelCalled { model: model.to_owned(), failed: false, usage, seconds: 2.5 }
    }

    #[test]
    fn what_is_counted_is_rendered_with_its_labels_and_ends_once() {
        let metrics = Metrics::new();
        let platform = PlatformId::from_static("github");
        metrics.count(&MeterEvent::DeliveryAnswered { platform, outcome: "accepted" });
        metrics.count(&MeterEvent::JobEnded { status: JobStatus::Succeeded, verdict: Some(Verdict::FixedProven) });
        let stage = MeterEvent::StageEnded { stage: StageKind::Verify, status: StageStatus::Succeeded, seconds: 7.0 };
        metrics.count(&stage);
        metrics.count(&called("tiny"));
        metrics.observe_request("GET", "/issues/{id}", 200, 0.003);
        let repository = WaitingRepository { name: "acme/demo".to_owned(), jobs: 3, oldest_seconds: 61 };
        let text = metrics.render(&Snapshot { waiting: vec![repository], queued: 3, ..Snapshot::default() });
        for line in [
            "patchwright_deliveries_total{platform=\"github\",outcome=\"accepted\"} 1",
            "patchwright_jobs_ended_total{status=\"succeeded\",verdict=\"fixed_proven\"} 1",
            "patchwright_stage_duration_seconds_bucket{le=\"10.0\",stage=\"verify\",status=\"succeeded\"} 1",
            "patchwright_model_tokens_total{model=\"tiny\",kind=\"prompt\"} 100",
            "patchwright_model_cost_total{model=\"tiny\"} 1.5",
            "patchwright_http_request_duration_seconds_count{method=\"GET\",route=\"/issues/{id}\",status=\"200\"} 1",
            "patchwright_queue_jobs{state=\"queued\"} 3",
            "patchwright_queue_oldest_seconds{repository=\"acme/demo\"} 61",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
        assert!(text.ends_with("# EOF\n") && text.matches("# EOF").count() == 1, "{text}");
        assert!(text.contains("process_resident_memory_bytes "), "{text}");
    }

    #[test]
    fn what_alerts_watch_is_there_before_it_happens() {
        let text = Metrics::new().render(&Snapshot::default());
        for line in [
            "patchwright_effects_total{kind=\"open_pull_request\",outcome=\"given_up\"} 0",
            "patchwright_job_failures_total{class=\"remote\"} 0",
        ] {
            assert!(text.contains(line), "{line} is missing in\n{text}");
        }
    }

    #[test]
    fn the_number_of_series_is_bounded_whatever_models_are_named() {
        let metrics = Metrics::new();
        for number in 0..100 {
            metrics.count(&called(&format!("model-{number}")));
        }
        let text = metrics.render(&Snapshot::default());
        assert_eq!(text.matches("patchwright_model_cost_total{").count(), MAX_MODELS + 1);
        assert!(text.contains("patchwright_model_calls_total{model=\"other\",outcome=\"answered\"} 80"), "{text}");
    }
}
