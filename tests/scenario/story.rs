//! The main job, from a signed comment to a pull request whose tests pass.

use patchwright_domain::JobStatus;
use patchwright_domain::job::report::Verdict;
use patchwright_http::Request;
use patchwright_testkit::server::Script;
use serde_json::Value;

use crate::harness::{FILES, REPO, TestServer, accepted, analysis, follow_up_answers, good_answers, plan};

#[tokio::test(flavor = "multi_thread")]
async fn a_comment_becomes_a_pull_request_whose_tests_pass() {
    // Live, so that the panel is edited while the job runs.
    let mut test_server = TestServer::start_live(good_answers(), &[]).await;
    let job = test_server.fix().await;
    assert_eq!((job.status(), job.verdict), (JobStatus::Succeeded, Some(Verdict::FixedProven)), "{:?}", job.failure);

    // One pull request, first a draft, and ready after the tests have shown the fix.
    let branch = job.branch.to_string();
    assert_eq!(
        test_server.github.pulls(),
        [("Fix for #42: add() subtracts".to_owned(), branch.clone(), "main".to_owned(), false)]
    );
    assert_eq!(test_server.github.reviewers(700), ["alice"], "whoever asked is asked for a review");
    // The branch has the fix, in one commit on top of main, with the job's author.
    assert!(test_server.git.git(REPO, &["show", &format!("{branch}:calc.py")]).contains("return a + b"));
    assert_eq!(test_server.git.git(REPO, &["rev-list", "--count", &format!("main..{branch}")]), "1");
    assert_eq!(test_server.git.git(REPO, &["log", "-1", "--format=%an", &branch]), "patchwright");
    let asked = test_server.git.git(REPO, &["log", "-1", "--format=%(trailers:key=Co-authored-by,valueonly)", &branch]);
    assert_eq!(asked.trim(), "alice <583231+alice@users.noreply.127.0.0.1>", "whoever asked is named too");
    test_server.git.git(REPO, &["fsck", "--strict"]);

    // One acknowledgement, edited as the stages ended, and one result.
    let comments = test_server.github.comments_on(42);
    assert_eq!(comments.len(), 2, "{comments:#?}");
    assert!(test_server.github.edits_on(42)[0] >= 4, "{:?}", test_server.github.edits_on(42));
    for comment in &comments {
        assert!(comment.contains("Fixed, and tests show it"), "{comment}");
        assert!(comment.contains(&job.id.to_string()), "{comment}");
    }
    assert!(comments[1].contains("Pull request #700 is ready for review"), "{}", comments[1]);

    // The panel was updated: it started without the result of verify and ends with the tests.
    let panels = test_server.github.panels(700);
    assert!(panels[0].contains("still working"), "{}", panels[0]);
    let last = panels.last().unwrap();
    assert!(last.contains("| before | 1 | 1 | 0 | 2 |") && last.contains("| after | 2 | 0 | 0 | 2 |"), "{last}");
    assert!(!last.contains("@everyone"), "the model cannot call anybody: {last}");

    // The job in the API.
    let shown: Value = test_server.get(&format!("/api/v1/jobs/{}", job.id)).await.json().unwrap();
    assert_eq!((&shown["status"], &shown["verdict"]), (&"succeeded".into(), &"fixed_proven".into()));
    assert_eq!(shown["pull_request"]["draft"], false, "fault C3: it was marked ready");
    assert_eq!((&shown["owner"], &shown["repo"], &shown["issue_number"]), (&"acme".into(), &"demo".into(), &42.into()));
    assert_eq!(shown["webhook_payload"]["action"], "created");
    assert_eq!(shown["stages"][3]["test_results"]["passed"], 2);
    let page: Value = test_server.get("/api/v1/jobs?status=succeeded").await.json().unwrap();
    assert_eq!(page["items"][0]["job_id"], job.id.to_string());
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_further_comment_goes_on_with_the_same_pull_request() {
    let more = "def add(a, b):\n    return a + b\n\n\ndef double(a):\n    return a * 2\n\n\ndef triple(a):\n    return a * 3\n";
    let mut script = good_answers();
    script.extend(follow_up_answers(more));
    let mut test_server = TestServer::start(script).await;
    let first = test_server.fix().await;
    let asked = test_server.post_comment("@patchwright fix: add triple() too").await;
    let second = test_server.expect_end(accepted(&asked)).await;
    assert_eq!(second.status(), JobStatus::Succeeded, "{:?}", second.failure);
    let branch = first.branch.to_string();
    assert_eq!(second.branch.to_string(), branch);
    assert_eq!(test_server.github.pulls().len(), 1, "there is one pull request");
    assert_eq!(test_server.git.git(REPO, &["rev-list", "--count", &format!("main..{branch}")]), "2");
    assert!(test_server.git.git(REPO, &["show", &format!("{branch}:calc.py")]).contains("triple"));
    let panel = test_server.github.panels(700).pop().unwrap();
    assert!(panel.contains("requested by alice. add triple() too"), "{panel}");
    assert_eq!(test_server.github.comments_on(42).len(), 4, "each wish is acknowledged and answered");
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_waits_says_where_it_stands_and_about_how_long() {
    let mut script = good_answers();
    script.push(Script::Silence(std::time::Duration::from_secs(60)));
    let mut test_server = TestServer::start(script).await;
    test_server.fix().await;
    let asked = test_server.llm.asked().len();
    let runs = accepted(&test_server.post_comment("@patchwright fix: again").await);
    let work = test_server.run_aside();
    test_server.llm.wait_for_requests(asked + 1).await;
    let waits = accepted(&test_server.post_comment("@patchwright fix: and once more").await);
    test_server.admit().await;
    let shown: Value = test_server.get(&format!("/api/v1/jobs/{waits}")).await.json().unwrap();
    assert_eq!((&shown["status"], &shown["queue_position"]), (&"queued".into(), &1.into()), "{shown}");
    assert!(shown["estimated_wait_seconds"].as_u64().is_some_and(|seconds| (1..60).contains(&seconds)), "{shown}");
    let shown: Value = test_server.get(&format!("/api/v1/jobs/{runs}")).await.json().unwrap();
    assert!(shown["queue_position"].is_null() && shown["estimated_wait_seconds"].is_null(), "{shown}");
    for job in [waits, runs] {
        test_server.send(patchwright_http::Request::post(test_server.url(&format!("/api/v1/jobs/{job}/cancel")))).await;
    }
    work.await.unwrap();
    for job in [waits, runs] {
        test_server.expect_end(job).await;
    }
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn restart_stops_what_runs_and_begins_anew() {
    let mut script = vec![Script::Silence(std::time::Duration::from_secs(60))];
    script.extend(good_answers());
    let mut test_server = TestServer::start(script).await;
    let first = accepted(&test_server.post_comment("@patchwright fix").await);
    let work = test_server.run_aside();
    test_server.llm.wait_for_requests(1).await;
    let second = accepted(&test_server.post_comment("@patchwright restart, but with +").await);
    assert_ne!(first, second);
    test_server.admit().await;
    work.await.unwrap();
    assert_eq!(test_server.expect_end(first).await.status(), JobStatus::Cancelled);
    let done = test_server.expect_end(second).await;
    assert_eq!(done.verdict, Some(Verdict::FixedProven), "{:?}", done.failure);
    assert_eq!(test_server.github.pulls().len(), 1);
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_is_requested_and_approved_by_comments() {
    let mut test_server = TestServer::start(good_answers()).await;
    let id = accepted(&test_server.post_comment("@patchwright plan").await);
    test_server.run_until_idle().await;
    let waiting = test_server.app().engine.job(id).await.unwrap().unwrap();
    assert!(waiting.awaits_approval(), "{waiting:#?}");
    let comments = test_server.github.comments_on(42);
    assert!(comments[0].contains("comment `@patchwright approve`"), "{comments:#?}");
    let approved = test_server.post_comment("@patchwright 同意").await;
    assert_eq!((approved.status, &approved.json::<Value>().unwrap()["command"]), (202, &"approve".into()));
    let done = test_server.expect_end(id).await;
    assert_eq!((done.status(), done.verdict), (JobStatus::Succeeded, Some(Verdict::FixedProven)), "{:?}", done.failure);
    assert_eq!(test_server.post_comment("@patchwright 批准").await.status, 202);
    test_server.run_until_idle().await;
    let last = test_server.github.comments_on(42).pop().unwrap();
    assert!(last.starts_with("没有可批准的内容"), "{last}");
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_with_words_replaces_the_plan_that_waits() {
    let mut script = good_answers();
    script.truncate(2);
    script.extend([analysis(), plan(&["calc.py"])].map(Script::Answer));
    let mut test_server = TestServer::start(script).await;
    let first = accepted(&test_server.post_comment("@patchwright plan").await);
    test_server.run_until_idle().await;
    let second = accepted(&test_server.post_comment("@patchwright plan without a new file").await);
    assert_ne!(first, second);
    assert_eq!(test_server.expect_end(first).await.status(), JobStatus::Cancelled);
    let waiting = test_server.app().engine.job(second).await.unwrap().unwrap();
    assert!(waiting.awaits_approval(), "{waiting:#?}");
    assert_eq!(waiting.trigger.instructions.as_deref(), Some("without a new file"));
    test_server.abandon().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn words_on_a_plan_that_waits_make_another_one_in_the_same_conversation() {
    let mut script = good_answers();
    script.insert(2, Script::Answer(plan(&["calc.py"])));
    let mut test_server = TestServer::start(script).await;
    let job = accepted(&test_server.post_comment("@patchwright plan").await);
    test_server.run_until_idle().await;
    let path = format!("/api/v1/jobs/{job}/plan");
    let request = |body: Value| Request::post(test_server.url(&path)).json(&body);
    let nothing = test_server.send(request(serde_json::json!({"words": " "}))).await;
    assert_eq!(nothing.status, 400, "{}", nothing.text());
    let answer = test_server.send(request(serde_json::json!({"words": "keep `double` as it is"}))).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    test_server.run_until_idle().await;
    let waiting = test_server.app().engine.job(job).await.unwrap().unwrap();
    assert!(waiting.awaits_approval(), "{waiting:#?}");
    assert_eq!(waiting.trigger.instructions.as_deref(), Some("keep `double` as it is"));
    let asked = test_server.llm.asked();
    let (before, last) = (&asked[asked.len() - 2], &asked[asked.len() - 1]);
    let messages = |asked: &Value| asked["messages"].as_array().unwrap().clone();
    assert!(messages(last).last().unwrap()["content"].as_str().unwrap().contains("keep `double` as it is"));
    assert_eq!(messages(last)[..messages(before).len()], messages(before), "the conversation only grows");
    let approve = test_server.url(&format!("/api/v1/jobs/{job}/approve"));
    assert_eq!(test_server.send(Request::post(approve)).await.status, 200);
    let done = test_server.expect_end(job).await;
    assert_eq!(done.status(), JobStatus::Succeeded, "{:?}", done.failure);
    let late = test_server.send(request(serde_json::json!({"words": "more"}))).await;
    assert_eq!(late.status, 409, "{}", late.text());
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_anywhere_that_people_or_thieves_could_look() {
    let mut test_server = TestServer::start(good_answers()).await;
    let job = test_server.fix().await;
    let seen = format!(
        "{} {} {} {}",
        test_server.github.everything_visible(),
        serde_json::to_string(&test_server.llm.asked()).unwrap(),
        test_server.get(&format!("/api/v1/jobs/{}", job.id)).await.text(),
        test_server.data_on_disk(),
    );
    for secret in TestServer::secrets() {
        assert!(!seen.contains(secret), "{secret} was found");
    }
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fix_that_fails_the_tests_is_made_again() {
    let wrong = "```python\ndef add(a, b):\n    return a * b\n\n\ndef double(a):\n    return a\n```";
    let mut script = vec![Script::Answer(analysis()), Script::Answer(plan(&["calc.py"])), Script::Answer(wrong.into())];
    script.extend(good_answers().into_iter().skip(2));
    // Where code cannot run before the push, the tests come after the fix, which begins anew.
    let mut test_server = TestServer::start_with(script, &WITHOUT_ISOLATION).await;
    let job = test_server.fix().await;
    assert_eq!((job.verdict, job.rounds), (Some(Verdict::FixedProven), 1), "{:?}", job.failure);
    let asked = test_server.llm.asked();
    let second = &asked.last().unwrap()["messages"];
    assert_eq!(second.as_array().unwrap().len(), 2, "another conversation");
    let second = second[1]["content"].as_str().unwrap();
    assert!(second.contains("test_double"), "the model is told what broke: {second}");
    assert!(second.contains("<attempt>") && second.contains("+    return a * b"), "and what it changed: {second}");
    assert_eq!(test_server.github.pulls().len(), 1);
    let branch = job.branch.to_string();
    assert_eq!(test_server.git.git(REPO, &["rev-list", "--count", &format!("main..{branch}")]), "1");
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_code_is_isolated_the_tests_near_a_change_answer_in_the_same_conversation() {
    if !patchwright_testkit::has_isolation() {
        return;
    }
    let wrong = "```python\ndef add(a, b):\n    return a * b\n\n\ndef double(a):\n    return a\n```";
    let mut script = vec![Script::Answer(analysis()), Script::Answer(plan(&["calc.py"])), Script::Answer(wrong.into())];
    script.extend(good_answers().into_iter().skip(2));
    let mut test_server = TestServer::start(script).await;
    let job = test_server.fix().await;
    assert_eq!((job.verdict, job.rounds), (Some(Verdict::FixedProven), 0), "{:?}", job.failure);
    let asked = test_server.llm.asked();
    let messages = asked.last().unwrap()["messages"].as_array().unwrap().clone();
    let before = asked[asked.len() - 2]["messages"].as_array().unwrap();
    assert_eq!(messages[..before.len()], before[..], "the conversation only grows");
    let results = messages.last().unwrap()["content"].as_str().unwrap();
    assert!(results.contains("of=\"edit calc.py\">applied") && results.contains("test_double"), "{results}");
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_sample_in_an_issue_executes_is_a_reason_where_code_is_isolated() {
    if !patchwright_testkit::has_isolation() {
        return;
    }
    let sample = "It is wrong.\n```python\nfrom shop import total\nassert total([2, 3]) == 5\n```\n";
    let shop = [
        ("shop.py", Some("import rounding\n\n\ndef total(prices):\n    return rounding.close(sum(prices))\n")),
        ("rounding.py", Some("def close(value):\n    raise RuntimeError(value)\n")),
        ("wrong.py", Some("def is_wrong(it):\n    return it\n")),
    ];
    for settings in [&[][..], &WITHOUT_ISOLATION[..]] {
        let test_server = TestServer::start_with(good_answers(), settings).await;
        test_server.git.commit(REPO, "shop", &shop);
        let mut payload = TestServer::comment("@patchwright fix", "alice", 901);
        payload["issue"]["title"] = "The total is wrong".into();
        payload["issue"]["body"] = sample.into();
        let answer = test_server.deliver("issue_comment", &payload.to_string(), "delivery-1").await;
        let job = test_server.expect_end(accepted(&answer)).await;
        let candidates = &job.located().unwrap().candidates;
        let reasons = candidates.iter().find(|file| file.path.as_str() == "rounding.py").map(|file| &file.reasons);
        let expected = "the sample of the text fails in `close`, defined here".to_owned();
        let is_traced = reasons.is_some_and(|reasons| reasons.contains(&expected));
        assert_eq!(is_traced, settings.is_empty(), "{candidates:#?}");
        test_server.finish().await;
    }
}

/// Settings under which tests run, and not before the change is pushed.
const WITHOUT_ISOLATION: [(&str, &str); 2] = [("SANDBOX_BACKEND", "none"), ("SANDBOX", "best-effort")];

#[tokio::test(flavor = "multi_thread")]
async fn a_fix_that_never_holds_stays_a_draft_and_says_so() {
    let wrong = "```python\ndef add(a, b):\n    return a * b\n\n\ndef double(a):\n    return a\n```";
    let also = "```python\ndef add(a, b):\n    return a * b * 1\n\n\ndef double(a):\n    return a\n```";
    let answers = [analysis(), plan(&["calc.py"]), wrong.to_owned(), also.to_owned()];
    let script = answers.into_iter().map(Script::Answer).collect();
    let mut test_server =
        TestServer::start_with(script, &[&WITHOUT_ISOLATION[..], &[("FIX_ATTEMPTS", "2")]].concat()).await;
    let job = test_server.fix().await;
    assert_eq!((job.status(), job.verdict), (JobStatus::Failed, Some(Verdict::Regressions)));
    assert!(test_server.github.pulls()[0].3, "the pull request stays a draft");
    let result = test_server.github.comments_on(42).pop().unwrap();
    assert!(result.contains("The tests fail with the change") && result.contains("@patchwright retry"), "{result}");
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forges_code_is_not_run_where_nothing_isolates_it_and_the_draft_says_why() {
    let settings = [("SANDBOX", "require"), ("SANDBOX_BACKEND", "none")];
    let mut test_server = TestServer::start_with(good_answers(), &settings).await;
    let job = test_server.fix().await;
    assert_eq!((job.status(), job.verdict), (JobStatus::Succeeded, Some(Verdict::NotRun)));
    assert!(test_server.github.pulls()[0].3, "the pull request stays a draft");
    let panel = test_server.github.panels(700).pop().unwrap();
    assert!(panel.contains("cannot isolate") && panel.contains("SANDBOX=best-effort"), "{panel}");
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_default_a_forges_code_runs_isolated_and_proves_the_fix() {
    if !patchwright_testkit::has_isolation() {
        return;
    }
    let mut test_server = TestServer::start_with(good_answers(), &[("SANDBOX", "require")]).await;
    let job = test_server.fix().await;
    assert_eq!((job.status(), job.verdict), (JobStatus::Succeeded, Some(Verdict::FixedProven)), "{:?}", job.failure);
    let report = job.verified().unwrap();
    assert_eq!(report.isolation, "strong");
    assert!(report.proof.is_some() && report.compared.unwrap().complete, "{report:?}");
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_model_the_files_are_ranked_and_nothing_is_pretended() {
    let mut test_server = TestServer::start_with(vec![], &[("LLM_BASE_URL", ""), ("LLM_API_KEY", "")]).await;
    let job = test_server.fix().await;
    assert_eq!(job.verdict, Some(Verdict::AnalysisOnly), "{:?}", job.failure);
    let (title, branch, _, draft) = test_server.github.pulls().remove(0);
    assert_eq!((title.as_str(), draft), ("Analysis of #42: add() subtracts", true));
    let files = test_server.git.git(REPO, &["diff", "--name-only", "main", &branch]);
    assert_eq!(files, "agent/analysis.md\nagent/patch_plan.json\nagent/report.txt");
    let panel = test_server.github.panels(700).pop().unwrap();
    assert!(panel.contains("Analysis only") && panel.contains("`calc.py`") && !panel.contains("Closes #"), "{panel}");
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_test_of_the_fix_must_fail_before_and_pass_after() {
    let test = "import unittest\n\nfrom calc import double\n\n\nclass NewTest(unittest.TestCase):\n    def test_text(self):\n        self.assertEqual(double(\"a\"), \"a-a\")\n";
    let code = "```python\ndef add(a, b):\n    return a - b\n\n\ndef double(a):\n    return f\"{a}-{a}\" if isinstance(a, str) else a * 2\n```";
    let change = format!("### edit calc.py\n{code}\n### create tests/test_new.py\n```python\n{test}```");
    let answers = [analysis(), plan(&["calc.py", "tests/test_new.py"]), change];
    let mut test_server = TestServer::start(answers.into_iter().map(Script::Answer).collect()).await;
    let job = test_server.fix().await;
    assert_eq!(job.verdict, Some(Verdict::FixedProven), "{:?}", job.failure);
    let report = job.verified().unwrap();
    assert_eq!(report.fixed_tests.len(), 1, "{report:#?}");
    assert!(report.fixed_tests[0].contains("test_text"));
    assert_eq!(report.before.as_ref().unwrap().failed, 2, "the old failure and the new test");
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_server_goes_on_where_it_was() {
    // The model is silent at the plan, so the server is stopped in the middle of the job.
    let mut script = vec![Script::Answer(analysis()), Script::Silence(std::time::Duration::from_secs(60))];
    script.extend(good_answers().into_iter().skip(1));
    let mut test_server = TestServer::start_with(script, &[("SHUTDOWN_TIMEOUT", "1")]).await;
    let answer = test_server.post_comment("@patchwright fix").await;
    let id = crate::harness::accepted(&answer);
    let work = test_server.run_aside();
    test_server.llm.wait_for_requests(2).await;
    test_server.restart().await;
    work.await.unwrap();
    let job = test_server.expect_end(id).await;
    assert_eq!(job.verdict, Some(Verdict::FixedProven), "{:?}", job.failure);
    let purposes = test_server.llm.asked().len();
    assert_eq!(purposes, 4, "the finished stage was not paid for twice");
    assert_eq!(test_server.github.comments_on(42).len(), 2);
    assert_eq!(test_server.github.pulls().len(), 1);
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merged_pull_request_moves_the_issue() {
    let mut test_server = TestServer::start(good_answers()).await;
    let job = test_server.fix().await;
    let merged = serde_json::json!({
        "action": "closed", "number": 700,
        "pull_request": {"merged": true, "head": {"ref": job.branch.to_string()}},
        "repository": {"name": "demo", "owner": {"login": "acme"}},
    });
    let answer = test_server.deliver("pull_request", &merged.to_string(), "merge-1").await;
    assert!(answer.text().contains("merged"), "{}", answer.text());
    let again = test_server.post_comment("@patchwright fix").await;
    test_server.run_until_idle().await;
    let shown: Value = test_server.get(&format!("/api/v1/jobs/{}", accepted(&again))).await.json().unwrap();
    assert_eq!(shown["status"], "refused");
    let reason = shown["failure"]["reason"].as_str().unwrap();
    assert!(reason.contains("an issue that is merged cannot start"), "{shown}");
    test_server.finish().await;
}

#[test]
fn the_story_begins_with_a_failing_test() {
    assert!(FILES.iter().any(|(path, text)| *path == "calc.py" && text.contains("a - b")));
}

#[tokio::test(flavor = "multi_thread")]
async fn where_branches_go_to_a_fork_the_repository_gets_a_pull_request_and_nothing_else() {
    let more = "def add(a, b):\n    return a + b\n\n\ndef double(a):\n    return a * 2\n\n\ndef triple(a):\n    return a * 3\n";
    let mut script = good_answers();
    script.extend(follow_up_answers(more));
    let mut test_server = TestServer::start_with(script, &[("PUSH_TO", "fork")]).await;
    let first = test_server.fix().await;
    assert_eq!(
        (first.status(), first.verdict),
        (JobStatus::Succeeded, Some(Verdict::FixedProven)),
        "{:?}",
        first.failure
    );
    let (fork, branch) = ("patchwright-bot/demo", first.branch.to_string());
    assert_eq!(first.published.fork.as_ref().map(ToString::to_string).as_deref(), Some(fork));
    assert_eq!(test_server.git.git(REPO, &["branch", "--format=%(refname:short)"]).trim(), "main");
    assert_eq!(test_server.github.pulls()[0].1, format!("patchwright-bot:{branch}"));
    // A follow-up goes on with the branch where it is, whatever the setting says by then.
    test_server.restart_with(&[("PUSH_TO", "branch")]).await;
    let asked = test_server.post_comment("@patchwright fix: add triple() too").await;
    let second = test_server.expect_end(accepted(&asked)).await;
    assert_eq!(second.status(), JobStatus::Succeeded, "{:?}", second.failure);
    assert_eq!(test_server.git.git(fork, &["rev-list", "--count", &format!("main..{branch}")]), "2");
    // The base is brought up to date in the fork before the branch is rebased there.
    let base = test_server.git.commit(REPO, "More", &[("more.py", Some("x = 1\n"))]);
    let asked = test_server.post_comment("@patchwright rebase").await;
    let third = test_server.expect_end(accepted(&asked)).await;
    assert_eq!(third.status(), JobStatus::Succeeded, "{:?}", third.failure);
    assert_eq!(test_server.git.git(fork, &["merge-base", &branch, "main"]), base);
    assert_eq!(test_server.git.git(REPO, &["branch", "--format=%(refname:short)"]).trim(), "main");
    assert_eq!(test_server.github.pulls().len(), 1);
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_request_has_the_form_that_the_repository_wants_and_others_are_shown_first() {
    let mut test_server = TestServer::start_with(good_answers(), &[("SIGN_OFF", "true")]).await;
    let template =
        "<!-- thanks -->\n## Description\n\n## Related issue\nFixes #\n\n- [ ] I have read the guide, cc @acme/core\n";
    let files =
        [(".github/PULL_REQUEST_TEMPLATE.md", Some(template)), ("commitlint.config.js", Some("export default {}\n"))];
    test_server.git.commit(REPO, "How we work", &files);
    test_server.github.open_pull(REPO, "bob", "Rework add()", "Closes #42");
    test_server.github.open_pull(REPO, "eve", "Something else", "See #421");
    let job = test_server.fix().await;
    assert_eq!((job.status(), job.verdict), (JobStatus::Succeeded, Some(Verdict::FixedProven)), "{:?}", job.failure);
    let branch = job.branch.to_string();
    assert_eq!(test_server.git.git(REPO, &["log", "-1", "--format=%s", &branch]).trim(), "fix: add() subtracts (#42)");
    let signed = test_server.git.git(REPO, &["log", "-1", "--format=%(trailers:key=Signed-off-by,valueonly)", &branch]);
    assert_eq!(signed.trim(), "patchwright <patchwright@users.noreply.localhost>");
    let ours = test_server.github.pulls().into_iter().last().unwrap();
    assert_eq!(ours.0, "fix: add() subtracts (#42)");
    let panel = test_server.github.panels(702).pop().unwrap();
    let at = |text: &str| panel.find(text).unwrap_or_else(|| panic!("{text} in {panel}"));
    assert!(at("## Description") < at("`add` subtracts") && at("`add` subtracts") < at("## Related issue"), "{panel}");
    assert!(panel.contains("- [ ] I have read the guide") && !panel.contains("thanks"), "{panel}");
    assert!(!panel.contains("@acme/core") && !panel.contains("Fixes #\n"), "{panel}");
    assert!(panel.contains("| after | 2 | 0 | 0 | 2 |"), "{panel}");
    let comment = &test_server.github.comments_on(42)[0];
    assert!(
        comment.contains("Rework add()") && comment.contains("bob") && !comment.contains("Something else"),
        "{comment}"
    );
    test_server.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recorded_job_is_played_again_without_a_model_server() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("job.jsonl").display().to_string();
    let mut recorded = TestServer::start_with(good_answers(), &[("LLM_RECORD", &file)]).await;
    let first = recorded.fix().await;
    recorded.finish().await;
    let mut played = TestServer::start_with(Vec::new(), &[("LLM_REPLAY", &file)]).await;
    let second = played.fix().await;
    assert_eq!((second.status(), second.verdict), (JobStatus::Succeeded, Some(Verdict::FixedProven)));
    let diff = |job: &patchwright_domain::Job| job.fixed().map(|fix| fix.diff.clone());
    assert_eq!(diff(&second), diff(&first));
    assert!(played.llm.asked().is_empty(), "nobody is asked");
    played.finish().await;
}
