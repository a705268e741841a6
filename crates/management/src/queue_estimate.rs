//! Estimates how long a queued job waits.

use jiff::{SignedDuration, Timestamp};
use patchwright_core::stats::{GroupBy, GroupStats, StatsQuery};
use patchwright_core::store::StoreError;

use crate::Inner;

/// The period whose jobs the estimate is based on.
const SAMPLE_PERIOD: SignedDuration = SignedDuration::from_hours(7 * 24);

/// A position in the queue, and the capacity that serves it.
struct QueuePosition {
    /// Among the queued jobs of its repository, from 1.
    place: u64,
    /// Repositories that are served in turn.
    repositories: u64,
    /// Queued jobs, this one included.
    waiting: u64,
    /// Running jobs.
    running: u64,
    /// How many jobs can run at the same time.
    slots: u64,
}

impl QueuePosition {
    /// Returns the seconds until it starts, if a job takes `typical` seconds. Repositories are served in turn, so as
    /// many jobs of every other repository may go first.
    fn wait(&self, typical: f64) -> u64 {
        let ahead = self.place.saturating_mul(self.repositories.max(1)).min(self.waiting.max(1));
        let without_slot = (ahead + self.running).saturating_sub(self.slots);
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an estimate"
        )]
        let seconds = (without_slot as f64 / self.slots.max(1) as f64 * typical).ceil() as u64;
        seconds
    }
}

/// Returns the typical duration of a job in seconds: the weighted median of the repositories; `None` if none has ended.
fn typical_seconds(lately: &[GroupStats]) -> Option<f64> {
    let ended = |group: &GroupStats| group.succeeded + group.failed;
    let count: u64 = lately.iter().map(ended).sum();
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let typical = lately.iter().map(|group| group.run.p50 * ended(group) as f64).sum::<f64>() / count as f64;
    (count > 0).then_some(typical)
}

/// Returns the estimated wait in seconds of a job at this position in its repository; `None` while no job has ended lately.
pub(crate) async fn wait_seconds(position: u64, inner: &Inner) -> Result<Option<u64>, StoreError> {
    let now = inner.engine.now();
    let day = |at: Timestamp| at.to_zoned(jiff::tz::TimeZone::UTC).date().to_string();
    let since = now.saturating_sub(SAMPLE_PERIOD).unwrap_or(now);
    let query = StatsQuery { from: day(since), to: day(now), group_by: GroupBy::Repository, repositories: None };
    let lately = inner.ports.stats.stats(query).await?;
    let Some(typical) = typical_seconds(&lately) else { return Ok(None) };
    let nodes = inner.ports.nodes.nodes().await?;
    let ready = nodes.iter().filter(|found| found.node.is_ready(now));
    let remote: u64 = ready.map(|found| u64::from(found.node.capacity)).sum();
    let depth = inner.ports.queries.queue_depth().await?;
    let position = QueuePosition {
        place: position,
        repositories: lately.len() as u64,
        waiting: depth.queued,
        running: depth.running,
        slots: remote + inner.options.embedded_slots as u64,
    };
    Ok(Some(position.wait(typical)))
}

#[cfg(test)]
mod tests {
    use patchwright_core::stats::Percentiles;

    use super::*;

    #[test]
    fn a_queued_job_waits_for_a_slot_and_for_the_jobs_before_it() {
        let free = QueuePosition { place: 1, repositories: 1, waiting: 1, running: 1, slots: 2 };
        assert_eq!(free.wait(60.0), 0, "there is a slot for it");
        let full = QueuePosition { running: 2, ..free };
        assert_eq!(full.wait(60.0), 30, "two end in a minute");
        let third = QueuePosition { place: 3, waiting: 3, ..full };
        assert_eq!(third.wait(60.0), 90);
        let turns = QueuePosition { repositories: 4, waiting: 100, ..third };
        assert_eq!(turns.wait(60.0), 360, "three repositories go before it each time");
        let without_workers = QueuePosition { slots: 0, running: 0, ..free };
        assert_eq!(without_workers.wait(60.0), 60, "as if one worker were to come");
    }

    #[test]
    fn the_typical_duration_is_the_weighted_median() {
        let group = |succeeded, failed, p50| GroupStats {
            succeeded,
            failed,
            run: Percentiles { p50, p95: 1_000.0 },
            ..GroupStats::default()
        };
        assert_eq!(typical_seconds(&[]), None);
        assert_eq!(
            typical_seconds(&[GroupStats { cancelled: 3, ..group(0, 0, 5.0) }]),
            None,
            "what was stopped tells nothing"
        );
        assert_eq!(typical_seconds(&[group(2, 1, 10.0), group(1, 0, 50.0)]), Some(20.0));
    }
}
