//! The statistics: charts that the server renders, and their data.

use askama::Template;
use jiff::ToSpan as _;
use jiff::civil::Date;
use patchwright_core::stats::{GroupBy, GroupStats};
use url::form_urlencoded::Serializer;

use crate::chart::{Bars, Part, number};
use crate::{Layout, Translations};

/// The periods that are offered, in days.
const PERIODS: [i64; 3] = [7, 30, 90];
/// The most groups that a chart shows.
const SHOWN: usize = 60;

/// The results, waits, durations and costs of runs.
#[derive(Debug, Template)]
#[template(path = "statistics.html")]
pub struct Statistics<'a> {
    /// The layout.
    pub layout: &'a Layout,
    /// The first day.
    pub from: &'a str,
    /// The last day.
    pub to: &'a str,
    /// The grouping.
    pub group_by: GroupBy,
    /// Whether the viewer sees the statistics of all repositories, which those of nodes and models are.
    pub sees_all: bool,
    /// Today, from which the usual periods are counted back.
    pub today: Date,
    /// The groups, by key, including days without a run.
    pub groups: &'a [GroupStats],
    /// The groups of the period before, which was as long.
    pub before: &'a [GroupStats],
}

/// A sum of the period, with that of the period before.
struct Figure {
    name: &'static str,
    value: String,
    before: String,
    link: Option<&'static str>,
}

impl Statistics<'_> {
    const fn choices(&self) -> &'static [GroupBy] {
        if self.sees_all { &GroupBy::ALL } else { &[GroupBy::Day, GroupBy::Repository] }
    }

    /// Returns the usual periods: name, URL, and whether it is the one that is shown.
    fn presets(&self) -> Vec<(String, String, bool)> {
        let w = self.layout.translations();
        let preset = |days: i64| {
            let from = self.today.saturating_sub((days - 1).days()).to_string();
            let to = self.today.to_string();
            let link = format!("/statistics?from={from}&to={to}&group_by={}", self.group_by.as_str());
            (format!("{days} {}", w.days_back), link, from == self.from && to == self.to)
        };
        PERIODS.into_iter().map(preset).collect()
    }

    /// Returns the URL of the jobs of a group, if the list can be filtered by it.
    fn jobs_of(&self, group: &GroupStats) -> Option<String> {
        let is_named = self.group_by == GroupBy::Repository && !group.key.is_empty();
        is_named
            .then(|| format!("/jobs?{}", Serializer::new(String::new()).append_pair("repository", &group.key).finish()))
    }

    fn ended(group: &GroupStats) -> u64 {
        group.succeeded + group.failed
    }

    /// Returns the sums of the period.
    #[expect(clippy::cast_precision_loss, reason = "it is shown with two digits")]
    fn figures(&self) -> Vec<Figure> {
        let w = self.layout.translations();
        let figure = |name, link, of: fn(&[GroupStats]) -> String| Figure {
            name,
            value: of(self.groups),
            before: of(self.before),
            link,
        };
        vec![
            figure(w.runs, Some("/jobs"), |groups| {
                sum(groups, |group| group.succeeded + group.failed + group.cancelled).to_string()
            }),
            figure(w.success_rate, None, |groups| {
                percent(sum(groups, |group| group.succeeded), sum(groups, Self::ended))
            }),
            figure(w.tokens, None, |groups| number(sum(groups, |group| group.usage.tokens()) as f64)),
            figure(w.cost, None, |groups| cost(sum(groups, |group| group.usage.cost_micros))),
        ]
    }

    fn rate_of(group: &GroupStats) -> String {
        percent(group.succeeded, Self::ended(group))
    }

    fn cost_of(group: &GroupStats) -> String {
        cost(group.usage.cost_micros)
    }

    fn key(group: &GroupStats) -> &str {
        if group.key.is_empty() { "–" } else { &group.key }
    }

    /// Returns the groups that fit into a chart, with labels for the axis.
    fn bars(&self, title: &'static str, unit: &'static str, parts: impl Fn(&GroupStats) -> Vec<Part>) -> Bars {
        let from = self.groups.len().saturating_sub(SHOWN);
        let groups = self.groups[from..].iter();
        Bars::new(title, unit, &groups.map(|group| (Self::key(group).to_owned(), parts(group))).collect::<Vec<_>>())
    }

    #[expect(clippy::cast_precision_loss, reason = "a picture has fewer pixels than digits")]
    fn charts(&self) -> Vec<Bars> {
        let w = self.layout.translations();
        let runs = |group: &GroupStats| {
            vec![
                Part::new("good", w.job_succeeded, group.succeeded as f64),
                Part::new("bad", w.job_failed, group.failed as f64),
                Part::new("soft", w.job_cancelled, group.cancelled as f64),
            ]
        };
        let range = |p50: f64, p95: f64| {
            vec![Part::new("blue", w.half, p50), Part::new("pale", w.most, (p95 - p50).max(0.0)).up_to(p95)]
        };
        vec![
            self.bars(w.runs, "", runs),
            self.bars(w.run_time_seconds, "s", |group| range(group.run.p50, group.run.p95)),
            self.bars(w.wait_seconds, "s", |group| range(group.wait.p50, group.wait.p95)),
            self.bars(w.cost, "", |group| vec![Part::new("gold", w.cost, group.usage.cost_micros as f64 / 1e6)]),
            self.bars(w.tokens, "", |group| {
                vec![
                    Part::new("blue", w.tokens_in, group.usage.prompt_tokens as f64),
                    Part::new("pale", w.tokens_out, group.usage.completion_tokens as f64),
                ]
            }),
        ]
    }
}

fn sum(groups: &[GroupStats], of: impl Fn(&GroupStats) -> u64) -> u64 {
    groups.iter().map(of).sum()
}

#[expect(clippy::cast_precision_loss, reason = "a share is shown in whole hundredths")]
fn percent(part: u64, all: u64) -> String {
    if all == 0 { "–".to_owned() } else { format!("{:.0} %", part as f64 / all as f64 * 100.0) }
}

#[expect(clippy::cast_precision_loss, reason = "a price is shown with two digits")]
fn cost(micros: u64) -> String {
    format!("{:.2}", micros as f64 / 1e6)
}

impl Translations {
    /// The groupings of the statistics.
    pub const fn group(&self, group: GroupBy) -> &'static str {
        match group {
            GroupBy::Day => self.by_day,
            GroupBy::Repository => self.repository,
            GroupBy::Node => self.node,
            GroupBy::Model => self.model,
        }
    }
}
