//! Find the files that the issue is about: the index first, then the model among its best.

use patchwright_core::code_index::{IndexQuery, RankedFile};
use patchwright_domain::RepoPath;
use patchwright_domain::job::report::{AnalysisMethod, Candidate, Level, LocateData, LocateReport, StageReport};

use super::Outcome;
use crate::prompt::analyze_bug;
use crate::run::{StageContext, StageError};
use crate::text::neutralise;

/// How many files the report names.
const CANDIDATES: usize = 10;
/// Among how many the model may choose.
const SHOWN_TO_MODEL: usize = 30;

pub(super) async fn run(context: &StageContext<'_>) -> Result<Outcome, StageError> {
    context.progress.doing("ranking the repository's files");
    let files = context.workspace.list_files("*").await?;
    let mut body = context.issue.body.clone();
    let follows = context.job.follows.as_ref();
    // What a follow-up asks for is most likely about the files that were changed before.
    let more = [&context.job.trigger.instructions, &follows.and_then(|follows| follows.earlier.clone())];
    for text in more.into_iter().flatten() {
        body = format!("{body}\n\n{text}");
    }
    let query = IndexQuery {
        root: context.workspace.root().to_owned(),
        files: Some(files.iter().map(ToString::to_string).collect()),
        title: context.issue.title.clone(),
        body,
        limit: SHOWN_TO_MODEL,
    };
    let ranking = context.tools.code_index.rank(query).await?;
    let mut method = AnalysisMethod::Heuristic;
    let mut ranked = ranking.files;
    let mut analysis = String::new();
    if let Some(asker) = context.asker.filter(|_| !ranked.is_empty()) {
        context.progress.doing("asking the model which of them matter");
        match analyze_bug::ask(asker, context.issue, context.job, &ranked).await {
            Ok(Ok(answer)) => {
                if reorder(&mut ranked, &answer.candidate_files) {
                    method = AnalysisMethod::Hybrid;
                    analysis = answer.analysis;
                }
            }
            Ok(Err(problem)) => tracing::info!(problem, "the ranking stands without the model"),
            // The index's answer stands on its own, but a server that is away or refuses us will not plan either.
            Err(error) if error.out_of_budget || matches!(error.fault, patchwright_core::Fault::Broken) => {
                tracing::info!(reason = %error.reason, "the ranking stands without the model");
            }
            Err(error) => return Err(error),
        }
    }
    let confidence_level = confidence(&ranked);
    ranked.truncate(CANDIDATES);
    let candidates: Vec<Candidate> = ranked
        .into_iter()
        .filter_map(|file| {
            Some(Candidate { path: RepoPath::parse(&file.path).ok()?, score: file.score, reasons: file.reasons })
        })
        .collect();
    let comment = comment(&candidates, &analysis);
    let report = LocateReport {
        candidate_files: candidates.iter().map(|candidate| candidate.path.clone()).collect(),
        stage_data: LocateData { analysis_method: method, confidence_level, files_analyzed: ranking.files_analyzed },
        candidates,
    };
    Ok(Outcome::done(StageReport::Locate(report), comment))
}

/// Moves the model's choice to the front. It can only reorder what is there; `false` when it named nothing that is.
fn reorder(ranked: &mut Vec<RankedFile>, chosen: &[String]) -> bool {
    let mut front = Vec::new();
    for path in chosen.iter().take(5) {
        let path = path.trim().trim_start_matches("./");
        if let Some(at) = ranked.iter().position(|file| file.path == path) {
            let mut file = ranked.remove(at);
            file.reasons.insert(0, "chosen by the model".to_owned());
            front.push(file);
        }
    }
    let found = !front.is_empty();
    front.append(ranked);
    *ranked = front;
    found
}

/// How far the first file stands out: scores are logarithms of odds, so two apart is seven times likelier.
fn confidence(ranked: &[RankedFile]) -> Level {
    match ranked {
        [first, second, ..] if first.score - second.score >= 2.0 => Level::High,
        [first, second, ..] if first.score - second.score >= 0.7 => Level::Medium,
        [_] => Level::Medium,
        _ => Level::Low,
    }
}

fn comment(candidates: &[Candidate], analysis: &str) -> String {
    if candidates.is_empty() {
        return "No file of the repository stands out for this issue.".to_owned();
    }
    let mut out = String::new();
    if !analysis.is_empty() {
        out.push_str(&format!("{}\n\n", neutralise(analysis)));
    }
    for candidate in candidates.iter().take(5) {
        let reasons: Vec<_> = candidate.reasons.iter().take(2).map(|reason| neutralise(reason)).collect();
        out.push_str(&format!("- `{}`: {}\n", candidate.path, reasons.join("; ")));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranked(paths: &[&str]) -> Vec<RankedFile> {
        paths.iter().map(|path| RankedFile { path: (*path).to_owned(), score: 1.0, reasons: vec![] }).collect()
    }

    #[test]
    fn how_far_the_first_file_stands_out_is_said_also_where_scores_are_below_zero() {
        let level = |scores: &[f64]| {
            let file = |score: &f64| RankedFile { path: "a.py".to_owned(), score: *score, reasons: vec![] };
            confidence(&scores.iter().map(file).collect::<Vec<_>>())
        };
        assert_eq!(
            [level(&[5.0, 2.5]), level(&[-1.0, -2.0]), level(&[-1.0, -1.1])],
            [Level::High, Level::Medium, Level::Low]
        );
        assert_eq!([level(&[]), level(&[-3.0])], [Level::Low, Level::Medium]);
    }

    #[test]
    fn the_model_can_reorder_but_not_invent() {
        let mut files = ranked(&["a.py", "b.py", "c.py"]);
        assert!(reorder(&mut files, &["./c.py".into(), "ghost.py".into(), "../../etc/passwd".into()]));
        assert_eq!(files.iter().map(|file| file.path.as_str()).collect::<Vec<_>>(), ["c.py", "a.py", "b.py"]);
        assert!(!reorder(&mut files, &["ghost.py".into()]));
        assert_eq!(files.len(), 3);
    }
}
