//! Any edit of any file is applied or refused without a panic, and a file that is edited keeps the ends of its lines.

#![no_main]

use libfuzzer_sys::fuzz_target;
use patchwright_domain::RepoPath;
use patchwright_worker::edit::{Edit, apply, decode, encode};

fuzz_target!(|input: (&str, &str, &[u8])| {
    let (answer, old, bytes) = input;
    let path = RepoPath::parse("src/calc.py").expect("the path is plain");
    for old in [None, Some(old)] {
        match apply(&path, answer, old) {
            Ok(Edit::Text(text)) => assert_ne!(Some(text.as_str()), old, "no change is told as such"),
            Ok(Edit::Delete | Edit::Nothing) => {}
            Err(problem) => assert!(!problem.is_empty(), "a refusal says why"),
        }
    }
    if let Ok(decoded) = decode(bytes) {
        let again = encode(&decoded.text, decoded.encoding.as_deref()).expect("what was read can be written");
        assert_eq!(again, bytes, "a file that is not edited is the same");
    }
});
