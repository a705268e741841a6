//! Reading what the tracer printed.

use std::collections::BTreeMap;

use patchwright_core::code_index::ExecutedFunction;
use patchwright_domain::RepoPath;
use serde::Deserialize;

/// What stands before the report in the last line of the output.
const MARK: &str = "patchwright-trace ";
const MAX_FUNCTIONS: usize = 1_000;

#[derive(Deserialize)]
struct Report {
    /// For each file the functions: line, name, recency in percent, depth in the traceback or -1.
    files: BTreeMap<String, Vec<(u32, String, u8, i32)>>,
}

/// Returns the functions in an output, with paths relative to the root of the repository; none if it has no report. The output may
/// have been written by the code that was traced.
pub(super) fn read(output: &str, folder: &str) -> Vec<ExecutedFunction> {
    let report = output.lines().rev().find_map(|line| line.strip_prefix(MARK));
    let Some(Report { files }) = report.and_then(|json| serde_json::from_str(json).ok()) else { return Vec::new() };
    let function = |(path, (line, name, recency, depth)): (&RepoPath, (u32, String, u8, i32))| ExecutedFunction {
        path: path.as_str().to_owned(),
        line,
        name,
        recency: f64::from(recency.min(100)) / 100.0,
        depth: u32::try_from(depth).ok(),
    };
    let mut functions = Vec::new();
    for (path, own) in files {
        let path = if folder.is_empty() { path } else { format!("{folder}/{path}") };
        let Ok(path) = RepoPath::parse(&path) else { continue };
        functions.extend(own.into_iter().map(|row| function((&path, row))));
    }
    functions.truncate(MAX_FUNCTIONS);
    functions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_report_of_an_output_is_read_and_what_is_no_report_is_nothing() {
        let output = "noise\npatchwright-trace {\"files\":{}}\npatchwright-trace {\"files\":{\"a.py\":[[3,\"f\",100,-1],[9,\"g\",50,0]],\"../x\":[[1,\"h\",0,0]]}}\nmore\n";
        let names: Vec<(String, u32, Option<u32>)> =
            read(output, "app").into_iter().map(|function| (function.path, function.line, function.depth)).collect();
        assert_eq!(names, [("app/a.py".to_owned(), 3, None), ("app/a.py".to_owned(), 9, Some(0))]);
        for broken in ["", "patchwright-trace", "patchwright-trace {\"files\":{\"a.py\":[[3]]}}", "patchwright-trace 1"]
        {
            assert!(read(broken, "").is_empty(), "{broken}");
        }
    }
}
