//! The health and the capabilities of this machine.

use std::path::Path;

use patchwright_domain::node::Health;

/// Returns the current health; unavailable values are left out.
pub(crate) fn now(folder: &Path, running: usize, is_ending: bool) -> Health {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let load = std::fs::read_to_string("/proc/loadavg").ok();
    let load = load.and_then(|text| text.split(' ').next()?.parse::<f64>().ok()).unwrap_or(0.0);
    Health {
        load: load / f64::from(u32::try_from(cores).unwrap_or(1)),
        disk_free: disk_free(folder),
        running: u32::try_from(running).unwrap_or(u32::MAX),
        is_ending,
    }
}

/// Returns the free disk space for working copies, in bytes.
pub(crate) fn disk_free(folder: &Path) -> Option<u64> {
    let found = rustix::fs::statvfs(folder).ok()?;
    Some(found.f_bavail.saturating_mul(found.f_frsize))
}
