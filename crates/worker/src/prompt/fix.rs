//! The questions of the stage `fix` (`generate_code_fix` of `docs/requirements.md#r282`). Code is never requested inside JSON,
//! where models write worse code.

use patchwright_core::conversation::Attempt;
use patchwright_core::outgoing_text::shorten;
use patchwright_domain::Job;
use patchwright_domain::job::report::Plan;

use super::feedback_text;

/// How edits are written.
const EDITS: &str = "\
### edit PATH\n\
<<<<<<< SEARCH\n\
lines that stand in the file, letter by letter, enough of them to be found only once\n\
=======\n\
the lines that replace them\n\
>>>>>>> REPLACE\n\
(more blocks for the same file may follow)\n\
### create PATH\n\
(the whole new file in one ``` block)\n\
### delete PATH\n\
### rename PATH NEW_PATH\n";

/// How something is looked at.
const LOOKS: &str = "\
### read PATH 10-60 (or a definition in place of the lines)\n\
### search REGEX in FOLDER\n\
### outline PATH\n\
### references NAME\n";

/// How something is run.
const RUNS: &str = "\
### run_tests PATHS\n\
### run\n\
(a script in one ```python, ```js or ```sh block; it has no network)\n### reproduce\n(the same for a script that fails as long as the fault is there, and passes without it)\n";

/// The longest diff of an earlier attempt that is shown, in characters.
const MAX_EARLIER_DIFF: usize = 6_000;

/// Returns the plan and the request to make the change, in actions. `can_run` says whether tests and scripts can be run.
pub(crate) fn question(plan: &Plan, can_run: bool) -> String {
    let runs = if can_run { RUNS } else { "" };
    let ending = if can_run {
        "After a change, its tests and those near it are run before and after it. The work ends by itself once they show the \
         fix; else you are told what fails."
    } else {
        "Tests cannot be run here. The work ends with the first answer that holds edits and nothing else."
    };
    format!(
        "{}\nMake the whole change now, with all edits of all files and the test in one answer if what you have seen \
         suffices: a simple fix needs no further look, and a test may be put into a new file. Lines that you have not seen must \
         be read before they are replaced; edits and looks may stand in one answer; they are answered unless the tests show the fix already. \
         Answer with actions, each below a heading of its own (or as calls of the tools with these names):\n{EDITS}{LOOKS}{runs}### finish WHAT WAS DONE\n{ending}",
        plan_text(plan)
    )
}

/// Returns the question for the whole change without any other action, after answers that could not be used.
pub(crate) fn last_question(plan: &Plan) -> String {
    format!("{}\nAnswer with the whole change and nothing else, in this form:\n{EDITS}", plan_text(plan))
}

fn plan_text(plan: &Plan) -> String {
    let mut out = format!("The cause: {}\nThe plan: {}\n", plan.root_cause, plan.fix_strategy);
    for change in &plan.changes {
        out.push_str(&format!("In {}: {}\n", change.file, change.description));
    }
    out
}

/// Returns what an earlier attempt changed, and what the tests said about it.
pub(crate) fn earlier_text(job: &Job, earlier: Option<&Attempt>) -> String {
    let mut out = String::new();
    if let Some(earlier) = earlier {
        let diff = shorten(&earlier.fix.diff, MAX_EARLIER_DIFF).replace("</attempt>", "<\\/attempt>");
        out.push_str(&format!(
            "\nAn earlier attempt, which is not in the files, changed this:\n<attempt>\n{diff}\n</attempt>\n"
        ));
    }
    if let Some(feedback) = feedback_text(job, "It was tested and did not hold") {
        out.push_str(&format!("{feedback}Make it better.\n"));
    }
    out
}

/// Returns the message about an answer that holds no action.
pub(crate) fn complaint(problem: &str) -> String {
    format!(
        "That cannot be used: {problem}. Answer with actions below headings such as `### edit PATH`, in the form that was asked for."
    )
}

/// The last line of results that end with nothing to do.
pub(crate) const GO_ON: &str = "Go on; `### finish` if it is done.";

/// The request for a test, after the tests near a change have shown nothing.
pub(crate) const ASK_FOR_TEST: &str = "Nothing broke, but no test shows the fault. Add one that fails without your change and passes \
    with it, beside the tests that are there; `### finish` if none can be written.";
