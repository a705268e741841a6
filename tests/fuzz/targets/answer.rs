//! Any answer of a model is read without a panic: it holds actions, or a message says why not.

#![no_main]

use libfuzzer_sys::fuzz_target;
use patchwright_domain::RepoPath;
use patchwright_worker::actions::parse;

fuzz_target!(|answer: &str| {
    let target = RepoPath::parse("src/calc.py").expect("the path is plain");
    for targets in [&[][..], &[target]] {
        match parse(answer, targets) {
            Ok(actions) => assert!(!actions.is_empty(), "an answer without actions is refused"),
            Err(problem) => assert!(!problem.is_empty(), "a refusal says why"),
        }
    }
});
