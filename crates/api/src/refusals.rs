//! Reports of refused deliveries. A sender whose secret is wrong would otherwise see nothing but a red mark on its own page.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use actix_web::HttpResponse;
use patchwright_domain::PlatformId;

use crate::RefusalObserver;

/// The shortest time between two log entries of one platform and status.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// The reason of a refusal, as an extension of its response.
pub(crate) struct RefusalReason(pub(crate) String);

/// Logs refusals, at most one of a kind in an interval.
#[derive(Debug, Default)]
pub(crate) struct RefusalLog(Mutex<HashMap<(PlatformId, u16), LoggedRefusals>>);

/// The refusals of one kind: when one was last logged, and how many came since.
#[derive(Debug, Default)]
struct LoggedRefusals {
    last: Option<Instant>,
    suppressed: u64,
}

impl RefusalLog {
    /// Logs the refusal of a delivery and tells the observer.
    pub(crate) fn record(
        &self,
        platform: &PlatformId,
        response: &HttpResponse,
        peer: Option<IpAddr>,
        observer: Option<&RefusalObserver>,
    ) {
        let status = response.status().as_u16();
        let extensions = response.extensions();
        let reason = extensions.get::<RefusalReason>().map_or("", |reason| reason.0.as_str());
        if let Some(observer) = observer {
            observer(platform, status, reason);
        }
        if let Some(suppressed) = self.is_due(platform, status, Instant::now()) {
            let peer = peer.map(|peer| peer.to_string()).unwrap_or_default();
            tracing::warn!(%platform, status, reason, peer, suppressed, "refused a delivery");
        }
    }

    /// Returns the number of refusals that were not logged since the last one that was; `None` when it is too early to log
    /// another one.
    fn is_due(&self, platform: &PlatformId, status: u16, now: Instant) -> Option<u64> {
        let mut logged = self.0.lock().expect("no holder of this lock panics");
        let kind = logged.entry((platform.clone(), status)).or_default();
        if kind.last.is_none_or(|last| now.duration_since(last) >= LOG_INTERVAL) {
            kind.last = Some(now);
            return Some(std::mem::take(&mut kind.suppressed));
        }
        kind.suppressed += 1;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_e3_a_flood_of_refusals_is_one_entry_with_its_number() {
        let (log, start) = (RefusalLog::default(), Instant::now());
        let github = PlatformId::from_static("github");
        assert_eq!(log.is_due(&github, 401, start), Some(0));
        for second in 1..=9 {
            assert_eq!(log.is_due(&github, 401, start + Duration::from_secs(second)), None);
        }
        assert_eq!(log.is_due(&github, 400, start), Some(0), "another kind has its own");
        assert_eq!(log.is_due(&github, 401, start + LOG_INTERVAL), Some(9));
    }
}
