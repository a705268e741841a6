//! The test script of a package: which runner it starts, and with which options.

use std::collections::BTreeMap;

/// How many scripts may call each other.
const MAX_DEPTH: usize = 5;

/// A runner whose machine format is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NodeRunner {
    Jest,
    Vitest,
    Mocha,
    /// `node --test`.
    Node,
    /// node-tap.
    Tap,
    Ava,
    /// Prints TAP by itself.
    Tape,
}

/// A call of a runner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RunnerCall {
    pub(super) runner: NodeRunner,
    /// The program and its options before those of the runner, such as `node --loader x`.
    pub(super) before: Vec<String>,
    /// The options behind the runner. Files and patterns are apart.
    pub(super) options: Vec<String>,
    pub(super) patterns: Vec<String>,
    pub(super) env: BTreeMap<String, String>,
}

/// Finds the call of a runner in a script. Other steps of it, such as a linter, are left out. Returns nothing for a script that
/// is more than a list of commands.
pub(super) fn find_call(scripts: &BTreeMap<String, String>, script: &str) -> Option<RunnerCall> {
    find_in(scripts, scripts.get(script)?, MAX_DEPTH)
}

fn find_in(scripts: &BTreeMap<String, String>, text: &str, depth: usize) -> Option<RunnerCall> {
    // A pipe, a substitution or a condition is for a shell.
    let is_plain = |text: &&str| !text.contains(['|', '`', '$', '(', '>', '<', ';']);
    let calls: Vec<RunnerCall> = text
        .split("&&")
        .map(str::trim)
        .filter(is_plain)
        .filter_map(|command| call_of(scripts, command, depth))
        .collect();
    // With two calls, one would be left out.
    <[RunnerCall; 1]>::try_from(calls).ok().map(|[call]| call)
}

fn call_of(scripts: &BTreeMap<String, String>, command: &str, depth: usize) -> Option<RunnerCall> {
    let words = shlex::split(command)?;
    let mut words = words.into_iter().peekable();
    let mut env = BTreeMap::new();
    while let Some(word) = words.peek() {
        let is_name = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        match word.split_once('=') {
            Some((name, value)) if is_name(name) => env.insert(name.to_owned(), value.to_owned()),
            _ if matches!(word.as_str(), "cross-env" | "npx" | "env") => None,
            _ => break,
        };
        words.next();
    }
    let words: Vec<String> = words.collect();
    let called = called_script(&words).filter(|script| scripts.contains_key(*script) || !may_be_program(&words));
    if let Some(script) = called {
        let text = scripts.get(script).filter(|_| depth > 0)?;
        let mut call = find_in(scripts, text, depth - 1)?;
        call.env.extend(env);
        return Some(call);
    }
    let at = words.iter().position(|word| runner_of(word).is_some());
    let (runner, before, rest) = match at {
        Some(at) => {
            // What stands before it is a program that measures coverage, or node with options.
            let is_node = words[0] == "node";
            let before = if is_node { words[..at].to_vec() } else { Vec::new() };
            (runner_of(&words[at])?, before, &words[at + 1..])
        }
        None if words.first().is_some_and(|word| word == "node") && words.iter().any(|word| word == "--test") => {
            (NodeRunner::Node, vec!["node".to_owned()], &words[1..])
        }
        None => return None,
    };
    let (options, patterns) = split_options(runner, rest);
    Some(RunnerCall { runner, before, options, patterns, env })
}

/// Returns the script of `npm test`, `npm run x`, `yarn x`, `pnpm run x`.
fn called_script(words: &[String]) -> Option<&str> {
    let [manager, rest @ ..] = words else { return None };
    if !matches!(manager.as_str(), "npm" | "yarn" | "pnpm" | "bun") {
        return None;
    }
    let rest: Vec<&str> = rest.iter().map(String::as_str).filter(|word| !word.starts_with('-')).collect();
    match rest.as_slice() {
        ["run" | "run-script", script, ..] | [script, ..] => Some(script),
        [] => None,
    }
}

/// Returns whether a package manager starts a program where no script has its name: `pnpm vitest`, `npm exec vitest`.
fn may_be_program(words: &[String]) -> bool {
    let second = words.iter().skip(1).find(|word| !word.starts_with('-')).map(String::as_str);
    match second {
        Some("exec" | "x" | "dlx") => true,
        Some("run" | "run-script") | None => false,
        // npm starts scripts only.
        Some(_) => words[0] != "npm",
    }
}

fn runner_of(word: &str) -> Option<NodeRunner> {
    let name = word.rsplit('/').next().unwrap_or(word);
    match name.trim_end_matches(".js").trim_end_matches(".mjs") {
        "jest" => Some(NodeRunner::Jest),
        "vitest" => Some(NodeRunner::Vitest),
        "mocha" | "_mocha" => Some(NodeRunner::Mocha),
        "tap" => Some(NodeRunner::Tap),
        "ava" => Some(NodeRunner::Ava),
        "tape" => Some(NodeRunner::Tape),
        _ => None,
    }
}

/// The options of the runners that a following word belongs to, as far as scripts use them.
const WITH_VALUE: &[&str] = &[
    "-r",
    "--require",
    "-c",
    "--config",
    "--loader",
    "--import",
    "--timeout",
    "-t",
    "--reporter",
    "-R",
    "--ui",
    "-u",
    "--ignore",
    "--extension",
    "--project",
    "--projects",
    "--root",
    "--dir",
    "--environment",
    "--env",
    "--maxWorkers",
    "-w",
    "--testPathPattern",
    "--test-timeout",
    "--test-reporter",
    "--test-reporter-destination",
    "--node-option",
    "--spec",
    "--file",
    "--reporter-option",
    "--reporter-options",
    "-O",
    "--exit-code",
    "--grep",
    "-g",
    "-f",
    "--require-path",
];

/// Options that would have it wait, stop early, measure or report elsewhere.
const DROPPED: &[&str] = &[
    "--watch",
    "-w",
    "--watchAll",
    "--bail",
    "-b",
    "--coverage",
    "--verbose",
    "--silent",
    "--ci",
    "run",
    "--run",
    "--experimental-test-coverage",
    "--check-leaks-off",
];
const DROPPED_WITH_VALUE: &[&str] = &[
    "--reporter",
    "-R",
    "--test-reporter",
    "--test-reporter-destination",
    "--reporter-option",
    "--reporter-options",
    "-O",
];

fn split_options(runner: NodeRunner, words: &[String]) -> (Vec<String>, Vec<String>) {
    let (mut options, mut patterns) = (Vec::new(), Vec::new());
    let mut words = words.iter().peekable();
    while let Some(word) = words.next() {
        let name = word.split('=').next().unwrap_or(word);
        let takes_next = WITH_VALUE.contains(&word.as_str()) && words.peek().is_some_and(|next| !next.starts_with('-'));
        let value = if takes_next { words.next().cloned() } else { None };
        if name == "--spec" && runner == NodeRunner::Mocha {
            patterns.extend(value.or_else(|| word.split_once('=').map(|(_, value)| value.to_owned())));
        } else if DROPPED_WITH_VALUE.contains(&name) || DROPPED.contains(&word.as_str()) {
        } else if word.starts_with('-') {
            options.push(word.clone());
            options.extend(value);
        } else {
            patterns.push(word.clone());
        }
    }
    (options, patterns)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(script: &str) -> Option<RunnerCall> {
        let scripts = [("test", script), ("unit", "cross-env TZ=UTC jest --ci --config jest.json --coverage")];
        find_call(&scripts.map(|(name, text)| (name.to_owned(), text.to_owned())).into(), "test")
    }

    #[test]
    fn the_runner_is_found_behind_other_steps_and_other_scripts() {
        let found = call("eslint . && npm run unit -- --silent").unwrap();
        assert_eq!((found.runner, found.options.join(" ")), (NodeRunner::Jest, "--config jest.json".to_owned()));
        assert_eq!(found.env["TZ"], "UTC");
        let found = call("nyc mocha --require ./setup --reporter dot --exit 'test/**/*.js'").unwrap();
        assert_eq!((found.runner, found.options.join(" ")), (NodeRunner::Mocha, "--require ./setup --exit".to_owned()));
        assert_eq!(found.patterns, ["test/**/*.js"]);
        let found = call("node --import tsx --test test/a.js").unwrap();
        assert_eq!((found.runner, found.options.join(" ")), (NodeRunner::Node, "--import tsx --test".to_owned()));
        let found = call("NODE_ENV=test node --experimental-vm-modules node_modules/jest/bin/jest.js").unwrap();
        assert_eq!(
            (found.runner, found.before.join(" ")),
            (NodeRunner::Jest, "node --experimental-vm-modules".to_owned())
        );
        assert_eq!(call("vitest run --coverage").unwrap().options, Vec::<String>::new());
        for script in
            ["pnpm lint && pnpm vitest run", "yarn vitest", "bun x vitest", "npm exec -- vitest", "pnpm exec vitest"]
        {
            assert_eq!(call(script).map(|found| found.runner), Some(NodeRunner::Vitest), "{script}");
        }
    }

    #[test]
    fn what_is_more_than_a_call_of_one_runner_is_left_to_the_script() {
        for script in [
            "uvu",
            "mocha a && mocha b",
            "jest | tee log",
            "npm run missing",
            "npm jest",
            "pnpm run jest",
            "node test.js",
            "jest $FILES",
        ] {
            assert_eq!(call(script), None, "{script}");
        }
    }
}
