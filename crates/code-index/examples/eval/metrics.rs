//! The metrics over all instances.

use std::fmt;

/// The metrics over all instances: `Acc@k` (all gold files among the first k), `Hit@k` (at least one), MRR, and times. The oracle
/// is a model that chooses the gold files among the first twenty: no model can reach more with this ranking.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    all: Sums,
    /// The instances with one gold file, with two, and with more.
    by_files: [Sums; 3],
    /// As a model without error would order the files that it is shown.
    oracle: Sums,
    /// The instances whose functions are known.
    functions: Sums,
    seconds: Vec<f64>,
    /// The processor time of all instances.
    pub(crate) cpu_seconds: f64,
}

#[derive(Debug, Default)]
struct Sums {
    instances: u32,
    accurate: [u32; CUTOFFS.len()],
    hit: [u32; CUTOFFS.len()],
    reciprocal_ranks: f64,
}

const CUTOFFS: [usize; 4] = [1, 3, 5, 10];
/// The number of files that a model is shown.
const SHOWN_TO_MODEL: usize = 20;

impl Sums {
    fn add(&mut self, positions: &[Option<usize>]) {
        self.instances += 1;
        for (slot, cutoff) in CUTOFFS.into_iter().enumerate() {
            let is_within = |position: &Option<usize>| position.is_some_and(|position| position < cutoff);
            self.accurate[slot] += u32::from(positions.iter().all(is_within));
            self.hit[slot] += u32::from(positions.iter().any(is_within));
        }
        #[expect(clippy::cast_precision_loss, reason = "a position in a short list")]
        let reciprocal_rank = positions.iter().flatten().min().map_or(0.0, |position| 1.0 / (position + 1) as f64);
        self.reciprocal_ranks += reciprocal_rank;
    }

    /// Formats counts as percentages of the instances.
    fn percentages(&self, counts: [u32; CUTOFFS.len()]) -> String {
        let total = f64::from(self.instances.max(1));
        counts.map(|count| format!("{:5.1}", f64::from(count) / total * 100.0)).join(" ")
    }
}

impl Metrics {
    /// Adds an instance: the gold files, and the ranked files, best first.
    pub(crate) fn add(&mut self, gold: &[String], ranked: &[String], seconds: f64) {
        let positions: Vec<Option<usize>> =
            gold.iter().map(|file| ranked.iter().position(|path| path == file)).collect();
        self.all.add(&positions);
        self.by_files[gold.len().clamp(1, 3) - 1].add(&positions);
        let is_shown = |position: &Option<usize>| position.is_some_and(|position| position < SHOWN_TO_MODEL);
        let mut chosen = 0..;
        let choose = |position: &Option<usize>| if is_shown(position) { chosen.next() } else { *position };
        self.oracle.add(&positions.iter().map(choose).collect::<Vec<_>>());
        self.seconds.push(seconds);
    }

    /// Adds the functions of an instance, as path and name, if the gold ones are known.
    pub(crate) fn add_functions(&mut self, gold: &[(String, String)], ranked: &[(String, String)]) {
        if !gold.is_empty() {
            let position = |one: &(String, String)| ranked.iter().position(|found| found == one);
            self.functions.add(&gold.iter().map(position).collect::<Vec<_>>());
        }
    }
}

impl fmt::Display for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut seconds = self.seconds.clone();
        seconds.sort_by(f64::total_cmp);
        let percentile =
            |percent: usize| seconds.get((seconds.len().max(1) - 1) * percent / 100).copied().unwrap_or_default();
        writeln!(f, "{:<22}   @1    @3    @5   @10", format!("{} instances", self.all.instances))?;
        writeln!(f, "Acc (all files)        {}", self.all.percentages(self.all.accurate))?;
        for (sums, name) in self.by_files.iter().zip(["one file", "two files", "more files"]) {
            if sums.instances > 0 {
                let label = format!("{name} ({})", sums.instances);
                writeln!(f, "  {label:<20} {}", sums.percentages(sums.accurate))?;
            }
        }
        if self.functions.instances > 0 {
            let label = format!("functions ({})", self.functions.instances);
            writeln!(f, "Acc {label:<18} {}", self.functions.percentages(self.functions.accurate))?;
        }
        writeln!(f, "Acc of an oracle       {}", self.oracle.percentages(self.oracle.accurate))?;
        writeln!(f, "Hit (any file)         {}", self.all.percentages(self.all.hit))?;
        writeln!(f, "MRR                    {:5.3}", self.all.reciprocal_ranks / f64::from(self.all.instances.max(1)))?;
        write!(f, "seconds per instance   p50 {:.2}, p95 {:.2}", percentile(50), percentile(95))?;
        if self.cpu_seconds > 0.0 {
            write!(f, ", of a processor {:.2}", self.cpu_seconds / f64::from(self.all.instances.max(1)))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_is_accurate_at_a_cutoff_when_all_its_gold_files_are_within_it() {
        let mut metrics = Metrics::default();
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        metrics.add(&names(&["a", "b"]), &names(&["x", "a", "y", "b"]), 0.5);
        metrics.add(&names(&["c"]), &names(&["c"]), 0.1);
        let expected = "\
2 instances              @1    @3    @5   @10
Acc (all files)         50.0  50.0 100.0 100.0
  one file (1)         100.0 100.0 100.0 100.0
  two files (1)          0.0   0.0 100.0 100.0
Acc of an oracle        50.0 100.0 100.0 100.0
Hit (any file)          50.0 100.0 100.0 100.0
MRR                    0.750
seconds per instance   p50 0.10, p95 0.10";
        assert_eq!(metrics.to_string(), expected);
    }
}
