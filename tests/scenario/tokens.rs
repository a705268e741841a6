//! What a job costs: recorded answers for three repositories, and the tokens of each question. A prompt that grows shows up
//! here, and is either worth it or a mistake.

use patchwright_core::llm::count_tokens;
use patchwright_domain::job::report::Verdict;
use patchwright_testkit::server::Script;
use serde_json::Value;

use crate::harness::{REPO, TestServer, accepted, analysis, good_answers, plan};

/// Returns a line for each question: its tokens, and how many of them the question before had already.
fn measure(questions: &[Value]) -> String {
    let mut lines = String::new();
    let (mut all, mut new) = (0, 0);
    let mut before: Vec<Value> = Vec::new();
    for question in questions {
        let messages = question["messages"].as_array().unwrap().clone();
        let count = |message: &Value| count_tokens(message["content"].as_str().unwrap());
        // They stand before the messages, about 600 tokens as JSON; servers write them shorter for the model.
        let tools =
            question["tools"].as_array().map_or(0, |tools| count_tokens(&Value::from(tools.clone()).to_string()));
        let tokens: usize = tools + messages.iter().map(count).sum::<usize>();
        let known = messages.iter().zip(&before).take_while(|(message, known)| message == known);
        let known: usize = known.map(|(message, _)| count(message)).sum();
        let known = if known > 0 { known + tools } else { 0 };
        lines.push_str(&format!("{tokens} tokens, {known} known\n"));
        (all, new) = (all + tokens, new + tokens - known);
        before = messages;
    }
    lines + &format!("{all} in all, {new} new\n")
}

/// Runs a job on a repository with these files, and returns the server.
async fn run(files: &[(&str, &str)], issue: (&str, &str), answers: Vec<String>) -> TestServer {
    let test_server = TestServer::start(answers.into_iter().map(Script::Answer).collect()).await;
    std::fs::remove_dir_all(test_server.git.path(REPO)).unwrap();
    test_server.git.make(REPO, files);
    test_server.github.open_issue(REPO, 42, issue.0, issue.1);
    let mut payload = TestServer::comment("@patchwright fix", "alice", 900);
    (payload["issue"]["title"], payload["issue"]["body"]) = (issue.0.into(), issue.1.into());
    let answer = test_server.deliver("issue_comment", &payload.to_string(), "delivery-1").await;
    let job = test_server.expect_end(accepted(&answer)).await;
    assert_eq!(job.verdict, Some(Verdict::FixedProven), "{:?}", job.failure);
    test_server
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_on_a_small_library_costs_this_much() {
    // The index is certain here, so that the model is not asked for files.
    let mut test_server = TestServer::start(good_answers().split_off(1)).await;
    test_server.fix().await;
    insta::assert_snapshot!(measure(&test_server.llm.asked()), @r"
    1050 tokens, 0 known
    1465 tokens, 1050 known
    2515 in all, 1465 new
    ");
    test_server.finish().await;
}

/// A module of 900 lines with one fault in its middle, and its tests.
fn inventory() -> (String, String) {
    let mut module = String::from(
        "\"\"\"Stocks of a shop.\"\"\"\n\nimport math\n\n\nclass Inventory:\n    \"\"\"Counts goods.\"\"\"\n\n    def __init__(self):\n        self.stock = {}\n",
    );
    let mut test = String::from(
        "import unittest\n\nfrom shop.inventory import Inventory\n\n\nclass InventoryTest(unittest.TestCase):\n",
    );
    for number in 0..100 {
        let cents = if number == 57 { "int(amount * 100)" } else { "round(amount * 100)" };
        module.push_str(&format!(
            "\n    def price_of_kind_{number}(self, amount):\n        \"\"\"Returns the price of kind {number} in cents.\"\"\"\n        if math.isnan(amount):\n            raise ValueError(\"kind {number} has no price\")\n        self.stock[{number}] = amount\n        return {cents}\n\n"
        ));
        let value = if number == 57 { "1.0" } else { "0.29" };
        let cents = if number == 57 { 100 } else { 29 };
        test.push_str(&format!(
            "    def test_price_of_kind_{number}(self):\n        inventory = Inventory()\n        self.assertEqual(inventory.price_of_kind_{number}({value}), {cents})\n\n"
        ));
    }
    (module, test)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_on_a_long_module_looks_at_its_lines_and_not_at_the_file() {
    let (module, test) = inventory();
    let notes = "Notes of the shop.\n".repeat(200);
    let files = [
        ("shop/__init__.py", ""),
        ("shop/inventory.py", module.as_str()),
        ("shop/mail.py", "def send(to, text):\n    return (to, text)\n"),
        ("tests/__init__.py", ""),
        ("tests/test_inventory.py", test.as_str()),
        ("NOTES.md", notes.as_str()),
    ];
    let plan = plan(&["shop/inventory.py"]).replace("tests/test_calc.py", "tests/test_inventory.py");
    let change = "### edit shop/inventory.py\n<<<<<<< SEARCH\n        return int(amount * 100)\n=======\n        return round(amount * 100)\n>>>>>>> REPLACE\n\
        ### create tests/test_cents.py\n```python\nimport unittest\n\nfrom shop.inventory import Inventory\n\n\nclass CentsTest(unittest.TestCase):\n    def test_no_cent_is_lost(self):\n        self.assertEqual(Inventory().price_of_kind_57(0.29), 29)\n```\n";
    let issue = ("price_of_kind_57 loses a cent", "`Inventory().price_of_kind_57(0.29)` is 28.");
    let test_server = run(&files, issue, vec![plan, change.to_owned()]).await;
    let asked = test_server.llm.asked();
    insta::assert_snapshot!(measure(&asked), @r"
    1925 tokens, 0 known
    2346 tokens, 1925 known
    4271 in all, 2346 new
    ");
    let last = asked.last().unwrap()["messages"].to_string();
    assert!(last.contains("price_of_kind_57(self, amount)") && !last.contains("kind 40 has no price"), "{last}");
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_looks_further_costs_this_much() {
    let files = [
        ("add.js", "exports.add = (a, b) => a - b;\n"),
        ("add-all.js", "const { add } = require('./add');\n\nexports.addAll = (...all) => all.reduce(add, 0);\n"),
        ("subtract.js", "exports.subtract = (a, b) => a - b;\n"),
        ("package.json", "{\"name\": \"demo\", \"version\": \"1.0.0\", \"scripts\": {\"test\": \"node --test\"}}\n"),
        (
            "test/add.test.js",
            "const test = require('node:test');\nconst assert = require('node:assert');\nconst { add } = require('../add');\n\ntest('adds', () => assert.equal(add(1, 2), 3));\n",
        ),
    ];
    let located = analysis().replace("calc.py", "add.js");
    let look = "### read test/add.test.js\n### search add( test\n";
    let change = "### edit add.js\n<<<<<<< SEARCH\nexports.add = (a, b) => a - b;\n=======\nexports.add = (a, b) => a + b;\n>>>>>>> REPLACE\n";
    let answers = vec![located, plan(&["add.js"]), look.to_owned(), change.to_owned()];
    let test_server =
        run(&files, ("add and addAll subtract", "`add(1, 2)` is -1, and `addAll(1, 2)` is -3."), answers).await;
    insta::assert_snapshot!(measure(&test_server.llm.asked()), @r"
    944 tokens, 0 known
    1225 tokens, 944 known
    1640 tokens, 1225 known
    1774 tokens, 1640 known
    5583 in all, 1774 new
    ");
    test_server.finish().await;
}
