//! Statistics of job runs.

use jiff::Timestamp;

use crate::{Job, JobStatus, Usage};

/// The number of buckets per doubling of a duration, which makes results accurate to within 10 %.
const PER_DOUBLING: f64 = 4.0;
/// The last bucket, which starts at about half a year.
const LAST_BUCKET: u16 = 96;

/// The result of a run of a job, for statistics. A job that is restarted has several runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRecord {
    /// The day of the end, UTC, `2026-11-22`.
    pub day: String,
    /// The repository, `owner/name`.
    pub repository: String,
    /// The node that ran it last; empty if none did.
    pub node: String,
    /// The model; empty if none was used.
    pub model: String,
    /// The final status: succeeded, failed or cancelled.
    pub outcome: JobStatus,
    /// The time from the acceptance to the first lease, as a bucket.
    pub wait: u16,
    /// The time from the first lease to the end, as a bucket; `None` for a job that never ran.
    pub run: Option<u16>,
    /// The model usage.
    pub usage: Usage,
}

impl RunRecord {
    /// Returns the record of a job that has just ended; `None` for one that has not.
    pub fn of(job: &Job, node: &str, model: &str) -> Option<Self> {
        let ended = job.ended_at.filter(|_| job.status().is_terminal())?;
        let usage = job.usage();
        Some(Self {
            day: ended.to_zoned(jiff::tz::TimeZone::UTC).date().to_string(),
            repository: job.source.repo.to_string(),
            node: node.to_owned(),
            model: if usage.calls > 0 { model.to_owned() } else { String::new() },
            outcome: job.status(),
            wait: bucket(job.created_at, job.started_at.unwrap_or(ended)),
            run: job.started_at.map(|started| bucket(started, ended)),
            usage,
        })
    }
}

/// Returns the bucket of a duration.
fn bucket(from: Timestamp, to: Timestamp) -> u16 {
    let seconds = to.duration_since(from).as_secs_f64().max(0.0);
    let number = ((seconds + 1.0).log2() * PER_DOUBLING).floor();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is bounded first")]
    let number = number.clamp(0.0, f64::from(LAST_BUCKET)) as u16;
    number
}

/// Returns the duration in the middle of a bucket, in seconds.
pub fn bucket_seconds(bucket: u16) -> f64 {
    ((f64::from(bucket) + 0.5) / PER_DOUBLING).exp2() - 1.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_tells_its_duration_to_within_a_tenth() {
        let start = Timestamp::from_second(1_800_000_000).unwrap();
        for seconds in [5_i64, 59, 600, 3_600, 86_400, 864_000] {
            let end = Timestamp::from_second(1_800_000_000 + seconds).unwrap();
            let estimate = bucket_seconds(bucket(start, end));
            #[expect(clippy::cast_precision_loss, reason = "they are small")]
            let off = (estimate - seconds as f64).abs() / (seconds as f64 + 1.0);
            assert!(off < 0.1, "{seconds} s are told as {estimate} s");
        }
        assert_eq!(bucket(start, start), 0);
        assert_eq!(bucket(start, Timestamp::from_second(1_700_000_000).unwrap()), 0, "a clock that was set back");
    }
}
