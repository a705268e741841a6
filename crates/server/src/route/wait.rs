//! About how long a job waits.

use jiff::{SignedDuration, Timestamp};
use patchwright_core::nodes::Nodes as _;
use patchwright_core::query::Queries as _;
use patchwright_core::stats::{GroupBy, GroupStats, Stats as _, StatsQuery};
use patchwright_core::store::StoreError;

use super::State;

/// How far back it is looked how long jobs take.
const LOOK_BACK: SignedDuration = SignedDuration::from_hours(7 * 24);

/// A place among the jobs that wait.
struct Place {
    /// In its repository, from 1.
    position: u64,
    /// Repositories that take turns.
    repositories: u64,
    /// Jobs that wait, this one too.
    waiting: u64,
    /// Jobs that run.
    running: u64,
    /// Jobs that can run at once.
    slots: u64,
}

impl Place {
    /// The seconds until its turn, where jobs usually take so many. Repositories take turns, so as many jobs of every
    /// other one may go first.
    fn wait(&self, usual: f64) -> u64 {
        let up_to_it = self.position.saturating_mul(self.repositories.max(1)).min(self.waiting.max(1));
        let without_slot = (up_to_it + self.running).saturating_sub(self.slots);
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an estimate"
        )]
        let seconds = (without_slot as f64 / self.slots.max(1) as f64 * usual).ceil() as u64;
        seconds
    }
}

/// How long jobs usually take: half of those of each repository took no longer; `None` where none has ended.
fn usual(lately: &[GroupStats]) -> Option<f64> {
    let ended = |group: &GroupStats| group.succeeded + group.failed;
    let count: u64 = lately.iter().map(ended).sum();
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    let usual = lately.iter().map(|group| group.run.p50 * ended(group) as f64).sum::<f64>() / count as f64;
    (count > 0).then_some(usual)
}

/// The estimate in seconds for a job at this position in its repository; `None` while nothing has ended lately.
pub(crate) async fn estimated(position: u64, state: &State) -> Result<Option<u64>, StoreError> {
    let now = state.app.engine.now();
    let day = |at: Timestamp| at.to_zoned(jiff::tz::TimeZone::UTC).date().to_string();
    let since = now.saturating_sub(LOOK_BACK).unwrap_or(now);
    let query = StatsQuery { from: day(since), to: day(now), group_by: GroupBy::Repository };
    let lately = state.app.store.stats(query).await?;
    let Some(usual) = usual(&lately) else { return Ok(None) };
    let nodes = state.app.store.nodes().await?;
    let ready = nodes.iter().filter(|found| found.node.is_ready(now));
    let remote: u64 = ready.map(|found| u64::from(found.node.capacity)).sum();
    let embedded = if state.config.embedded_node { state.config.workers as u64 } else { 0 };
    let depth = state.app.store.queue_depth().await?;
    let place = Place {
        position,
        repositories: lately.len() as u64,
        waiting: depth.queued,
        running: depth.running,
        slots: remote + embedded,
    };
    Ok(Some(place.wait(usual)))
}

#[cfg(test)]
mod tests {
    use patchwright_core::stats::Percentiles;

    use super::*;

    #[test]
    fn the_next_job_waits_for_a_slot_and_the_others_for_those_before_them() {
        let free = Place { position: 1, repositories: 1, waiting: 1, running: 1, slots: 2 };
        assert_eq!(free.wait(60.0), 0, "there is a slot for it");
        let full = Place { running: 2, ..free };
        assert_eq!(full.wait(60.0), 30, "two end in a minute");
        let third = Place { position: 3, waiting: 3, ..full };
        assert_eq!(third.wait(60.0), 90);
        let turns = Place { repositories: 4, waiting: 100, ..third };
        assert_eq!(turns.wait(60.0), 360, "three repositories go before it each time");
        let nobody = Place { slots: 0, running: 0, ..free };
        assert_eq!(nobody.wait(60.0), 60, "as if one worker were to come");
    }

    #[test]
    fn how_long_jobs_take_is_what_most_of_them_took() {
        let group = |succeeded, failed, p50| GroupStats {
            succeeded,
            failed,
            run: Percentiles { p50, p95: 1_000.0 },
            ..GroupStats::default()
        };
        assert_eq!(usual(&[]), None);
        assert_eq!(usual(&[GroupStats { cancelled: 3, ..group(0, 0, 5.0) }]), None, "what was stopped tells nothing");
        assert_eq!(usual(&[group(2, 1, 10.0), group(1, 0, 50.0)]), Some(20.0));
    }
}
