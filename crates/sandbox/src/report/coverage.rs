//! The coverage that a suite measured, as its output shows it.

use std::sync::LazyLock;

use regex::Regex;

/// The lines with the total: of `coverage.py`, of istanbul and its relatives, and of go for one package.
static TOTALS: LazyLock<[Regex; 3]> = LazyLock::new(|| {
    [
        r"(?m)^TOTAL\s+\d+\s+\d+(?:\s+\d+\s+\d+)?\s+(\d+(?:\.\d+)?)%",
        r"(?m)^\s*All files\s*\|\s*(\d+(?:\.\d+)?)\s*\|",
        r"coverage: (\d+(?:\.\d+)?)% of statements",
    ]
    .map(|pattern| Regex::new(pattern).expect("the pattern is valid"))
});

/// Returns the coverage; nothing if it was not measured, or for several parts that cannot be added up.
pub(super) fn find(output: &str) -> Option<String> {
    TOTALS.iter().find_map(|total| {
        let mut found = total.captures_iter(output);
        let first = found.next()?[1].to_owned();
        found.next().is_none().then(|| format!("{first}%"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_c3_the_coverage_is_read_where_a_suite_prints_it() {
        let python = "Name    Stmts   Miss  Cover\n-----\na.py       10      1    90%\nTOTAL      10      1    90%\n";
        assert_eq!(find(python).as_deref(), Some("90%"));
        assert_eq!(find("TOTAL  10  1  4  2  87.5%\n").as_deref(), Some("87.5%"));
        assert_eq!(find("File | % Stmts |\nAll files | 98.21 | 90 |\n a.js | 1 |\n").as_deref(), Some("98.21%"));
        assert_eq!(find("ok  a 0.1s coverage: 71.4% of statements\n").as_deref(), Some("71.4%"));
        assert_eq!(find("coverage: 1% of statements\ncoverage: 2% of statements\n"), None);
        assert_eq!(find("ok"), None);
    }
}
