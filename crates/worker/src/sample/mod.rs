//! Running what an issue shows: its samples of code and the tests that it names, under a tracer, before anybody has read it.
//!
//! What was executed is a hint for the ranking, like a stack trace, and nothing more: the code that ran can print what it likes.

mod extract;
mod report;

use std::time::Duration;

use patchwright_core::code_index::{ExecutedFunction, RankedFile};
use patchwright_core::sandbox::{CheckRequest, SandboxError, Selection, Suite};
use patchwright_domain::RepoPath;
use serde::Serialize;

use crate::context::{StageContext, StageError};
use crate::fix::draft::Draft;
use crate::fix::evidence::{TREE, can_run, prepare};
use crate::verification::reproduction::{Interpreter, SCRIPT_SCRATCH};
use extract::Samples;

/// How long the samples may run, without the preparation of their environment.
const MAX_SAMPLE_TIME: Duration = Duration::from_secs(45);
/// How long the environment and the samples may take together.
const MAX_TIME: Duration = Duration::from_secs(300);
/// How many of the first files say which suite the samples belong to.
const FIRST_FILES: usize = 10;
/// The program that runs the samples.
const TRACER: &str = include_str!("trace.py");
/// The ecosystem whose code can be traced.
const PYTHON: &str = "python";

/// What the tracer is told.
#[derive(Serialize)]
struct Job<'a> {
    samples: &'a [String],
    tests: &'a [String],
    seconds: u64,
}

/// Runs the samples of the job's issue if the sandbox keeps code apart from this machine. Returns the functions of the repository
/// that were executed; none if there is nothing to run, or it cannot be run.
///
/// # Errors
/// [`StageError`] if the job was cancelled or this machine has a fault.
pub(crate) async fn trace(
    context: &StageContext<'_>,
    ranked: &[RankedFile],
) -> Result<Vec<ExecutedFunction>, StageError> {
    let samples = Samples::find(&context.issue.body, |path| context.repository.read(path).is_some());
    let python = ranked.iter().take(FIRST_FILES).filter_map(|file| RepoPath::parse(&file.path).ok());
    let python: Vec<RepoPath> = python.filter(|path| path.extension() == Some("py")).collect();
    if samples.is_empty() || python.is_empty() || !can_run(context).await {
        return Ok(Vec::new());
    }
    context.progress.set_activity("running the issue's sample code");
    match run(context, &samples, &python).await {
        Ok(functions) => Ok(functions),
        Err(error @ (SandboxError::Cancelled | SandboxError::Internal { .. })) => Err(error.into()),
        Err(error) => {
            tracing::info!(reason = %error, "failed to run the issue's sample code; ranking without it");
            Ok(Vec::new())
        }
    }
}

async fn run(
    context: &StageContext<'_>,
    samples: &Samples,
    files: &[RepoPath],
) -> Result<Vec<ExecutedFunction>, SandboxError> {
    let suites = prepare(context, &Draft::default(), files).await?;
    let is_python = |suite: &Suite| suite.ecosystem == PYTHON || suite.ecosystem == "pytest";
    let Some(mut suite) = suites.into_iter().find(is_python) else { return Ok(Vec::new()) };
    // What is granted to the tests of the repository is not for the text of whoever wrote the issue.
    suite.granted.network.clear();
    suite.granted.env.clear();
    let tree = context.scratch.join(TREE);
    for path in context.repository.hidden() {
        let _ = std::fs::remove_file(tree.join(path));
    }
    let interpreter = Interpreter::of(PYTHON).expect("Python scripts can be run");
    let folder = suite.folder.clone();
    // The suite runs in its folder.
    let below = if folder.is_empty() { String::new() } else { format!("{folder}/") };
    let tests: Vec<String> =
        samples.tests.iter().filter_map(|test| test.strip_prefix(&below)).map(str::to_owned).collect();
    let job = Job { samples: &samples.code, tests: &tests, seconds: MAX_SAMPLE_TIME.as_secs() };
    let suite = interpreter.prepare(&tree, suite, &script(&job)?)?;
    let request = CheckRequest {
        root: tree,
        scratch: context.scratch.join(SCRIPT_SCRATCH),
        suite,
        selection: Selection::All,
        local_folder: context.tools.local_folder.clone(),
        has_base_manifests: true,
        timeout: context.tools.verify_timeout.min(MAX_TIME),
    };
    let found = context.tools.sandbox.check(request, context.progress, context.cancel).await?;
    Ok(report::read(&found.log_tail, &folder))
}

fn script(job: &Job<'_>) -> Result<String, SandboxError> {
    // A JSON string of ASCII is a string of Python too.
    let json = serde_json::to_string(job).map_err(SandboxError::internal)?;
    let json = serde_json::to_string(&escape(&json)).map_err(SandboxError::internal)?;
    Ok(format!("{TRACER}\n\nmain(json.loads({json}))\n"))
}

/// Writes all characters beyond ASCII as `\u` escapes of JSON.
fn escape(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for character in json.chars() {
        if character.is_ascii() && character != '\u{7f}' {
            out.push(character);
        } else {
            let mut units = [0; 2];
            character.encode_utf16(&mut units).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// Runs samples in a folder as the sandbox would, and returns the executed functions, most important first.
    fn run(files: &[(&str, &str)], samples: &[&str]) -> Vec<(String, String, Option<u32>)> {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let samples: Vec<String> = samples.iter().map(|&sample| sample.to_owned()).collect();
        let text = script(&Job { samples: &samples, tests: &[], seconds: 20 }).unwrap();
        std::fs::write(folder.path().join("run.py"), text).unwrap();
        let output = Command::new("python3").arg("run.py").current_dir(folder.path()).output().unwrap();
        let output = String::from_utf8(output.stdout).unwrap();
        let mut found = report::read(&output, "");
        found.sort_by(|a, b| b.value().total_cmp(&a.value()));
        found.into_iter().map(|function| (function.path, function.name, function.depth)).collect()
    }

    const CART: (&str, &str) = (
        "shop/cart.py",
        "import functools\n\n\ndef net(price):\n    return price\n\n\nREADY = net(1)\n\n\n@functools.lru_cache()\ndef gross(price):\n    return net(price) * rate()\n\n\ndef rate():\n    raise ValueError('no rate')\n",
    );
    const PACKAGE: (&str, &str) = ("shop/__init__.py", "from .cart import net, gross\n");

    #[test]
    fn the_functions_that_a_sample_calls_are_found_and_where_it_fails() {
        let sample = ">>> from shop import gross\n>>> x = gross(2)\nTraceback (most recent call last):\nValueError\n";
        let found = run(&[CART, PACKAGE], &[sample]);
        let name = |name: &str, depth| ("shop/cart.py".to_owned(), name.to_owned(), depth);
        assert_eq!(found, [name("rate", Some(0)), name("gross", Some(1)), name("net", None)]);
    }

    #[test]
    fn output_prose_and_missing_imports_of_a_sample_do_not_matter() {
        let sample = "return net(7)\nIt is printed as\n  one, two: three\nnet(5)\nprint('“价格”', net(6)); exit(3)\n";
        let found = run(&[CART, PACKAGE], &[sample]);
        assert_eq!(found, [("shop/cart.py".to_owned(), "net".to_owned(), None)]);
        assert!(run(&[CART, PACKAGE], &["import shop\n"]).is_empty(), "what an import runs is not the sample");
        assert!(run(&[CART, PACKAGE], &["this is no code at all", "import nothing_like_it"]).is_empty());
    }
}
