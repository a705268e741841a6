//! What this process uses, as the kernel counts it (`proc(5)`).

use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

/// Ticks of the kernel's clock a second; it is 100 on every platform that Linux runs on.
const TICKS: f64 = 100.0;
/// The size of a page of memory on the platforms that this is built for.
const PAGE_BYTES: u64 = 4096;

/// What this process uses.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ProcessUsage {
    /// Resident memory, in bytes.
    pub resident_bytes: u64,
    /// Time of processors, in seconds.
    pub cpu_seconds: f64,
    /// Open file descriptors.
    pub descriptors: u64,
    /// Threads, of the runtimes and of blocking work.
    pub threads: u64,
}

impl ProcessUsage {
    /// Reads it from `/proc`; zeros where there is none.
    pub fn read() -> Self {
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
        // The name of the program, in parentheses, may have spaces.
        let fields: Vec<&str> = stat.rsplit_once(')').map_or("", |(_, rest)| rest).split_whitespace().collect();
        let number = |at: usize| fields.get(at).and_then(|text| text.parse::<u64>().ok()).unwrap_or_default();
        #[expect(clippy::cast_precision_loss, reason = "2^53 ticks are millions of years")]
        let cpu_seconds = (number(11) + number(12)) as f64 / TICKS;
        let descriptors = std::fs::read_dir("/proc/self/fd").map_or(0, |entries| entries.count() as u64);
        Self { resident_bytes: number(21) * PAGE_BYTES, cpu_seconds, descriptors, threads: number(17) }
    }

    /// The usual names of Prometheus' own clients, without a prefix.
    pub(crate) fn register(self, all: &mut Registry) {
        let gauge = |count: u64| ConstGauge::new(i64::try_from(count).unwrap_or(i64::MAX));
        all.register("process_cpu_seconds", "Time of processors", ConstCounter::new(self.cpu_seconds));
        all.register("process_resident_memory_bytes", "Resident memory", gauge(self.resident_bytes));
        all.register("process_open_fds", "Open file descriptors", gauge(self.descriptors));
        all.register("process_threads", "Threads", gauge(self.threads));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_something() {
        let usage = ProcessUsage::read();
        assert!(usage.resident_bytes > 1 << 20 && usage.descriptors > 2 && usage.threads > 0, "{usage:?}");
    }
}
