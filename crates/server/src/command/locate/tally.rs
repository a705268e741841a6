//! How often the right files were found.

use std::fmt;

/// Sums over instances.
#[derive(Debug, Default)]
pub(super) struct Tally {
    all: Sums,
    /// Of those with one file to find, with two, with more.
    by_files: [Sums; 3],
    seconds: Vec<f64>,
}

#[derive(Debug, Default)]
struct Sums {
    instances: u32,
    /// All files within the first places; and any of them.
    all: [u32; 4],
    any: [u32; 4],
    reciprocal: f64,
}

/// Within how many places.
const PLACES: [usize; 4] = [1, 3, 5, 10];

impl Sums {
    fn add(&mut self, places: &[Option<usize>]) {
        self.instances += 1;
        for (slot, most) in PLACES.into_iter().enumerate() {
            let within = |place: &Option<usize>| place.is_some_and(|place| place < most);
            self.all[slot] += u32::from(places.iter().all(within));
            self.any[slot] += u32::from(places.iter().any(within));
        }
        #[expect(clippy::cast_precision_loss, reason = "a place in a short list")]
        let first = places.iter().flatten().min().map_or(0.0, |place| 1.0 / (place + 1) as f64);
        self.reciprocal += first;
    }

    fn shares(&self, numbers: [u32; 4]) -> String {
        let count = f64::from(self.instances.max(1));
        numbers.map(|number| format!("{:5.1}", f64::from(number) / count * 100.0)).join(" ")
    }
}

impl Tally {
    /// Counts an instance: the files to find, and those found, best first.
    pub(super) fn add(&mut self, gold: &[String], ranked: &[String], seconds: f64) {
        let places: Vec<Option<usize>> = gold.iter().map(|file| ranked.iter().position(|path| path == file)).collect();
        self.all.add(&places);
        self.by_files[gold.len().clamp(1, 3) - 1].add(&places);
        self.seconds.push(seconds);
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut seconds = self.seconds.clone();
        seconds.sort_by(f64::total_cmp);
        let at =
            |hundredth: usize| seconds.get((seconds.len().max(1) - 1) * hundredth / 100).copied().unwrap_or_default();
        writeln!(f, "{:<22}   @1    @3    @5   @10", format!("{} instances", self.all.instances))?;
        writeln!(f, "Acc (all files)        {}", self.all.shares(self.all.all))?;
        for (sums, name) in self.by_files.iter().zip(["of one", "of two", "of three or more"]) {
            if sums.instances > 0 {
                writeln!(f, "  {:<20} {}", format!("{name} ({})", sums.instances), sums.shares(sums.all))?;
            }
        }
        writeln!(f, "Hit (any file)         {}", self.all.shares(self.all.any))?;
        writeln!(f, "MRR                    {:5.3}", self.all.reciprocal / f64::from(self.all.instances.max(1)))?;
        write!(f, "seconds an instance    median {:.2}, 95 of 100 within {:.2}", at(50), at(95))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_counts_when_all_its_files_are_within_the_first() {
        let mut tally = Tally::default();
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        tally.add(&names(&["a", "b"]), &names(&["x", "a", "y", "b"]), 0.5);
        tally.add(&names(&["c"]), &names(&["c"]), 0.1);
        let expected = "\
2 instances              @1    @3    @5   @10
Acc (all files)         50.0  50.0 100.0 100.0
  of one (1)           100.0 100.0 100.0 100.0
  of two (1)             0.0   0.0 100.0 100.0
Hit (any file)          50.0 100.0 100.0 100.0
MRR                    0.750
seconds an instance    median 0.10, 95 of 100 within 0.10";
        assert_eq!(tally.to_string(), expected);
    }
}
