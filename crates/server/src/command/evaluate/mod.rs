//! `patchwright evaluate`: repeats the newest fixes of a repository with its team's model, before the team trusts it.
//!
//! Of each fix that brought a test, the pipeline gets the text and the commit before it. The tests of the fix are the truth: the
//! pipeline never sees them.

mod attempt;
mod instance;
mod record;
mod truth;

use std::process::ExitCode;
use std::sync::Arc;

use patchwright_core::CancellationToken;

use self::instance::Instance;
use self::record::{Record, Results, Summary};
use super::{CommandResult, print_error};
use crate::cli::EvaluateArgs;
use crate::config::Config;
use crate::serve::cancel_on_signal;
use crate::telemetry;
use crate::terminal::{note, print_json_value, say};

/// How many times as many fixes are looked at as are repeated.
const SPARE: usize = 4;

pub(crate) async fn run(mut config: Config, args: EvaluateArgs) -> CommandResult {
    config.sandbox.cache = config.sandbox.cache.or_else(|| config.user_cache.clone());
    telemetry::start(&config, true);
    let result = evaluate(&config, &args).await;
    print_error(result, args.json)
}

async fn evaluate(config: &Config, args: &EvaluateArgs) -> CommandResult {
    let repo = args
        .repo
        .canonicalize()
        .map_err(|error| format!("the folder {} cannot be opened: {error}", args.repo.display()))?;
    // Some cannot be repeated here, and others take their place.
    let instances = instance::find(&repo, &args.rev, args.last * if args.list { 1 } else { SPARE })?;
    if instances.is_empty() {
        return Err(format!("no fix with a test was found in the past of `{}`; is the clone shallow?", args.rev).into());
    }
    if args.list {
        for instance in &instances {
            say(&format!("{} {}", instance.short(), instance.subject()));
        }
        return Ok(ExitCode::SUCCESS);
    }
    if !config.llm.is_configured() {
        return Err(
            "no model is configured; set LLM_BASE_URL, LLM_API_KEY and LLM_MODEL to the one that your team would use"
                .into(),
        );
    }
    let cancel = cancel_on_signal();
    let mut results = Results::open(&args.out)?;
    let setting = attempt::Setting { config: Arc::new(config.clone()), repo, issues: args.issues.clone() };
    for (number, instance) in instances.iter().enumerate() {
        if results.repeated(&instances[..number]) >= args.last {
            break;
        }
        if results.has(&instance.commit) {
            continue;
        }
        if args.budget.is_some_and(|budget| results.cost_micros() >= budget) {
            note("The budget is used up; what is left is not repeated. Raise --budget to go on.");
            break;
        }
        let done = results.repeated(&instances[..number]);
        note(&format!("\n{} of {}: {} {}", done + 1, args.last, instance.short(), instance.subject()));
        let record = repeat(&setting, instance, &cancel).await?;
        if cancel.is_cancelled() {
            note("Stopped; the same command goes on from here.");
            break;
        }
        note(&record.line());
        results.add(record)?;
    }
    if results.records().is_empty() {
        return Err("nothing could be repeated".into());
    }
    let summary = Summary::of(results.records());
    results.write(&summary)?;
    if args.json {
        print_json_value(&serde_json::json!({"summary": summary, "records": results.records()}));
    } else {
        say(&record::table(results.records(), &summary));
        note(&format!("The page is {}.", args.out.join(record::PAGE).display()));
    }
    Ok(ExitCode::SUCCESS)
}

/// Repeats one fix, unless its own tests cannot show it here.
async fn repeat(
    setting: &attempt::Setting,
    instance: &Instance,
    cancel: &CancellationToken,
) -> Result<Record, Box<dyn std::error::Error + Send + Sync>> {
    let expected = match truth::expected_tests(setting, instance, cancel).await? {
        Ok(tests) => tests,
        Err(reason) => return Ok(Record::skipped(instance, reason)),
    };
    let (job, text) = attempt::run(setting, instance, cancel).await?;
    let resolved = match job.fixed() {
        Some(fix) => truth::is_resolved(setting, instance, fix, &expected, cancel).await?,
        None => false,
    };
    Ok(Record::of(instance, &job, text, resolved))
}
