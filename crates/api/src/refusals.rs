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

/// When each kind of refusal was last logged, and how many were not logged since.
#[derive(Debug, Default)]
pub(crate) struct RefusalLog(Mutex<HashMap<(PlatformId, u16), (Instant, u64)>>);

impl RefusalLog {
    /// Logs the refusal of a delivery, if the response is one, and tells the observer.
    pub(crate) fn record(
        &self,
        platform: &PlatformId,
        response: &HttpResponse,
        peer: Option<IpAddr>,
        observer: Option<&RefusalObserver>,
    ) {
        let status = response.status();
        if !status.is_client_error() {
            return;
        }
        let extensions = response.extensions();
        let reason = extensions.get::<RefusalReason>().map_or("", |reason| reason.0.as_str());
        if let Some(observer) = observer {
            observer(platform, status.as_u16(), reason);
        }
        if let Some(suppressed) = self.is_due(platform, status.as_u16(), Instant::now()) {
            let peer = peer.map(|peer| peer.to_string()).unwrap_or_default();
            tracing::warn!(%platform, status = status.as_u16(), reason, peer, suppressed, "refused a delivery");
        }
    }

    /// Returns the number of refusals that were not logged since the last one that was; `None` when it is too early to log
    /// another one.
    fn is_due(&self, platform: &PlatformId, status: u16, now: Instant) -> Option<u64> {
        let mut logged = self.0.lock().expect("no holder of this lock panics");
        let entry = logged.entry((platform.clone(), status));
        let mut is_first = false;
        let (last, suppressed) = entry.or_insert_with(|| {
            is_first = true;
            (now, 0)
        });
        if is_first || now.duration_since(*last) >= LOG_INTERVAL {
            *last = now;
            return Some(std::mem::take(suppressed));
        }
        *suppressed += 1;
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
