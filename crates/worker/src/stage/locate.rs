//! The stage `locate`: finds the files of the issue, first by the index, then by the model among the best.

use patchwright_core::code_index::{Definition, IndexQuery, RankedFile, RankedSymbol, Ranking};
use patchwright_core::git::HistoryDepth;
use patchwright_domain::RepoPath;
use patchwright_domain::job::report::{
    AnalysisMethod, Candidate, CandidateSymbol, Level, LocateData, LocateReport, StageReport,
};
use patchwright_domain::trigger::Language;

use super::Outcome;
use crate::budgeted_llm::BudgetedLlm;
use crate::context::{StageContext, StageError};
use crate::prompt::analyze_bug::{self, BugAnalysis, More};
use crate::report_files::places;
use crate::sample;
use patchwright_core::outgoing_text::{code_span, neutralise};

/// How many files the report names, and how many symbols of each.
const CANDIDATES: usize = 10;
const SYMBOLS: usize = 8;
/// How many files the model can choose from, and how many it may choose.
const SHOWN_TO_MODEL: usize = 20;
const MAX_CHOSEN: usize = 5;
/// The reason of a file that the model chose.
pub(super) const CHOSEN: &str = "chosen by the model";
/// How far the first file must be ahead for the model not to be asked, as a difference of log odds: twenty times as likely.
const CERTAIN_LEAD: f64 = 3.0;
/// How many files are outlined for users if no model reads the outlines.
const OUTLINED: usize = CANDIDATES;

pub(super) async fn run(context: &StageContext<'_>) -> Result<Outcome, StageError> {
    context.progress.set_activity("ranking the repository's files");
    let (query, ranking) = rank(context).await?;
    let mut method = AnalysisMethod::Heuristic;
    let mut ranked = ranking.files;
    let mut analysis = String::new();
    if let Some(llm) = context
        .llm
        .filter(|_| context.job.command.is_none())
        .filter(|_| !ranked.is_empty() && !is_certain(ranked.iter().map(|file| file.score)))
    {
        context.progress.set_activity("asking the model which of them matter");
        if let Some(answer) = consult(context, llm, &query, &mut ranked).await? {
            method = AnalysisMethod::Hybrid;
            analysis = answer;
        }
    }
    let confidence_level = confidence(&ranked);
    ranked.truncate(CANDIDATES);
    let candidates: Vec<Candidate> = ranked.into_iter().filter_map(candidate).collect();
    let modules = context.repository.read(".gitmodules").unwrap_or_default();
    let comment = comment(&candidates, &analysis, &submodules_of(&modules));
    let report = LocateReport {
        candidate_files: candidates.iter().map(|candidate| candidate.path.clone()).collect(),
        stage_data: LocateData {
            analysis_method: method,
            confidence_level,
            files_analyzed: ranking.files_analyzed,
            history_depth: match context.workspace.history_depth() {
                HistoryDepth::Complete => None,
                HistoryDepth::Commits(depth) => Some(depth),
            },
        },
        candidates,
    };
    Ok(Outcome::done(StageReport::Locate(report), comment))
}

/// Ranks the files, and once more with what the issue's sample code executes, if that can be run and is of any use.
async fn rank(context: &StageContext<'_>) -> Result<(IndexQuery, Ranking), StageError> {
    let mut query = query(context);
    let ranking = context.tools.code_index.rank(query.clone()).await?;
    if is_certain(ranking.files.iter().map(|file| file.score)) {
        return Ok((query, ranking));
    }
    let executed = sample::trace(context, &ranking.files).await?;
    if executed.is_empty() {
        return Ok((query, ranking));
    }
    query = query.with_executed(executed);
    let ranking = context.tools.code_index.rank(query.clone()).await?;
    Ok((query, ranking))
}

fn query(context: &StageContext<'_>) -> IndexQuery {
    let mut body = context.issue.body.clone();
    let follows = context.job.follows.as_ref();
    // A follow-up is most likely about the files that were changed before.
    let more = [&context.job.trigger.instructions, &follows.and_then(|follows| follows.earlier.clone())];
    for text in more.into_iter().flatten() {
        body = format!("{body}\n\n{text}");
    }
    let source = &context.issue.source;
    IndexQuery::new(context.workspace.tree(), context.issue.title.clone(), body)
        .with_repository(format!("{}/{}", source.platform, source.repo))
        .with_labels(context.issue.labels.clone())
        .with_outlines(if context.llm.is_some() { SHOWN_TO_MODEL } else { OUTLINED })
        .with_limit(SHOWN_TO_MODEL)
}

/// Lets the model choose, after a further search if it requests one. Returns its explanation, or `None` if the ranking
/// is unchanged.
async fn consult(
    context: &StageContext<'_>,
    llm: &BudgetedLlm<'_>,
    query: &IndexQuery,
    ranked: &mut Vec<RankedFile>,
) -> Result<Option<String>, StageError> {
    let find = |path: &str, name: &str| find_symbol(context, path, name);
    let Some(mut answer) = ask(context, llm, ranked, true).await? else { return Ok(None) };
    if let Some(more) = answer.more.take() {
        context.progress.set_activity("searching for the model's terms");
        let mut wider = look_again(context, query, &more, ranked).await?;
        if let Some(second) = ask(context, llm, &wider, false).await?
            && reorder(&mut wider, &second, find)
        {
            *ranked = wider;
            return Ok(Some(second.analysis));
        }
    }
    // Files from the further search only are not part of the issue's ranking: without a final answer they are removed.
    Ok(reorder(ranked, &answer, find).then_some(answer.analysis))
}

/// Finds a definition in a file by its name or the end of it.
fn find_symbol(context: &StageContext<'_>, path: &str, name: &str) -> Option<RankedSymbol> {
    let text = context.repository.read(path)?;
    let name = name.replace("::", ".");
    let found = context.tools.code_index.outline(path, &text);
    let is_it = |known: &&Definition| known.name == name || known.name.ends_with(&format!(".{name}"));
    let known = found.iter().find(is_it)?;
    Some(RankedSymbol { name: known.name.clone(), kind: known.kind.clone(), lines: known.lines })
}

/// Sends one request; returns `None` if the ranking must be used without the model.
async fn ask(
    context: &StageContext<'_>,
    llm: &BudgetedLlm<'_>,
    ranked: &[RankedFile],
    is_first: bool,
) -> Result<Option<BugAnalysis>, StageError> {
    match analyze_bug::ask(llm, context.dialogue, (context.issue, context.job), ranked, is_first).await {
        Ok(Ok(answer)) => Ok(Some(answer)),
        Ok(Err(problem)) => {
            tracing::info!(problem, "failed to rank with the model; using the ranking without it");
            Ok(None)
        }
        // The index's ranking is usable alone, but a model that is unavailable or refuses requests cannot plan the
        // change either.
        Err(error) if error.out_of_budget || matches!(error.fault, patchwright_core::Fault::Internal) => {
            tracing::info!(reason = %error.reason, "failed to rank with the model; using the ranking without it");
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Merges the results of the further search with the best of the first ranking, keeping the number of files.
async fn look_again(
    context: &StageContext<'_>,
    query: &IndexQuery,
    more: &More,
    known: &[RankedFile],
) -> Result<Vec<RankedFile>, StageError> {
    let mut query = query.clone();
    if !more.words.trim().is_empty() {
        query.title = more.words.clone();
        query.body = String::new();
    }
    let folder = more.folder.trim().trim_start_matches("./").trim_matches('/');
    query.folder = (!folder.is_empty()).then(|| folder.to_owned());
    let mut found = context.tools.code_index.rank(query).await?.files;
    // Scores of two rankings are not comparable: files that only the further search found get at most the lowest score
    // of the first ranking.
    let last = known.last().map_or(0.0, |file| file.score);
    for file in &mut found {
        file.score = known.iter().find(|other| other.path == file.path).map_or(last, |other| other.score);
    }
    // The two lists are interleaved, because their scores are not comparable.
    let (mut found, mut known) = (found.into_iter(), known.iter().cloned());
    let mut wider: Vec<RankedFile> = Vec::with_capacity(SHOWN_TO_MODEL);
    while wider.len() < SHOWN_TO_MODEL {
        let next = [found.next(), known.next()];
        if next.iter().all(Option::is_none) {
            break;
        }
        for file in next.into_iter().flatten() {
            if wider.iter().all(|other| other.path != file.path) {
                wider.push(file);
            }
        }
    }
    wider.truncate(SHOWN_TO_MODEL);
    Ok(wider)
}

fn candidate(file: RankedFile) -> Option<Candidate> {
    let symbol = |symbol: RankedSymbol| CandidateSymbol { name: symbol.name, kind: symbol.kind, lines: symbol.lines };
    Some(Candidate {
        path: RepoPath::parse(&file.path).ok()?,
        score: file.score,
        reasons: file.reasons,
        symbols: file.symbols.into_iter().take(SYMBOLS).map(symbol).collect(),
    })
}

/// Moves the model's choice to the front. The model can only name ranked files, and definitions that `find` finds in them;
/// returns `false` if it named no ranked file.
fn reorder(
    ranked: &mut Vec<RankedFile>,
    answer: &BugAnalysis,
    find: impl Fn(&str, &str) -> Option<RankedSymbol>,
) -> bool {
    let clean = |path: &str| path.trim().trim_start_matches("./").to_owned();
    let mut front = Vec::new();
    for path in answer.candidate_files.iter().take(MAX_CHOSEN).map(|path| clean(path)) {
        if let Some(at) = ranked.iter().position(|file| file.path == path) {
            let mut file = ranked.remove(at);
            file.reasons.insert(0, CHOSEN.to_owned());
            front.push(file);
        }
    }
    let found = !front.is_empty();
    front.append(ranked);
    *ranked = front;
    for file in ranked.iter_mut() {
        let names = answer.symbols.iter().filter_map(|symbol| symbol.rsplit_once(": "));
        let names =
            names.filter(|(path, _)| clean(path) == file.path).map(|(_, name)| name.trim().trim_end_matches("()"));
        let known: Vec<RankedSymbol> = names
            .filter_map(|name| {
                let is_it = |symbol: &&RankedSymbol| symbol.name == name || symbol.name.ends_with(&format!(".{name}"));
                file.symbols.iter().find(is_it).cloned().or_else(|| find(&file.path, name))
            })
            .collect();
        if !known.is_empty() {
            // What it did not name, it does not need.
            file.symbols = known;
        }
    }
    found
}

/// Returns whether the first file is so far ahead that a question would cost more than it could change.
pub(super) fn is_certain(scores: impl IntoIterator<Item = f64>) -> bool {
    let mut scores = scores.into_iter();
    match (scores.next(), scores.next()) {
        (Some(first), Some(second)) => first - second >= CERTAIN_LEAD,
        (first, _) => first.is_some(),
    }
}

/// Returns how much the first file stands out: scores are log odds, so a difference of two means seven times as likely.
fn confidence(ranked: &[RankedFile]) -> Level {
    match ranked {
        [first, second, ..] if first.score - second.score >= 2.0 => Level::High,
        [first, second, ..] if first.score - second.score >= 0.7 => Level::Medium,
        [_] => Level::Medium,
        _ => Level::Low,
    }
}

/// Returns the paths of the submodules in `.gitmodules`.
fn submodules_of(text: &str) -> Vec<&str> {
    text.lines()
        .filter_map(|line| line.split_once('='))
        .filter(|(key, _)| key.trim() == "path")
        .map(|(_, path)| path.trim())
        .collect()
}

fn comment(candidates: &[Candidate], analysis: &str, submodules: &[&str]) -> String {
    let mut out = String::new();
    if !submodules.is_empty() {
        let names: Vec<String> = submodules.iter().take(5).map(|path| code_span(path).to_string()).collect();
        out.push_str(&format!("Submodules are not part of this work: {}.\n\n", names.join(", ")));
    }
    if candidates.is_empty() {
        out.push_str("No file of the repository matches this issue.");
        return out;
    }
    if !analysis.is_empty() {
        out.push_str(&format!("{}\n\n", neutralise(analysis)));
    }
    for candidate in candidates.iter().take(5) {
        let reasons: Vec<_> = candidate.reasons.iter().take(2).map(|reason| neutralise(reason).to_string()).collect();
        out.push_str(&format!(
            "- {}: {}{}\n",
            code_span(candidate.path.as_str()),
            reasons.join("; "),
            places(candidate, Language::English)
        ));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, score: f64) -> RankedFile {
        let symbol = |name: &str| RankedSymbol { name: name.into(), kind: "method".into(), lines: (3, 9) };
        let symbols = vec![symbol("A.first"), symbol("A.second")];
        RankedFile { path: path.to_owned(), score, reasons: vec![], symbols, skeleton: String::new() }
    }

    fn ranked(paths: &[&str]) -> Vec<RankedFile> {
        paths.iter().map(|path| file(path, 1.0)).collect()
    }

    #[test]
    fn how_far_the_first_file_stands_out_is_said_also_where_scores_are_below_zero() {
        let level = |scores: &[f64]| confidence(&scores.iter().map(|score| file("a.py", *score)).collect::<Vec<_>>());
        assert_eq!(
            [level(&[5.0, 2.5]), level(&[-1.0, -2.0]), level(&[-1.0, -1.1])],
            [Level::High, Level::Medium, Level::Low]
        );
        assert_eq!([level(&[]), level(&[-3.0])], [Level::Low, Level::Medium]);
    }

    #[test]
    fn the_model_can_reorder_but_not_invent() {
        let answer = |files: &[&str], symbols: &[&str]| BugAnalysis {
            candidate_files: files.iter().map(|&path| path.into()).collect(),
            symbols: symbols.iter().map(|&symbol| symbol.into()).collect(),
            ..BugAnalysis::default()
        };
        let find = |_: &str, name: &str| {
            (name == "hidden").then(|| RankedSymbol { name: "A.hidden".into(), kind: "method".into(), lines: (1, 2) })
        };
        let mut files = ranked(&["a.py", "b.py", "c.py"]);
        let symbols = ["c.py: A.second()", "c.py: hidden", "c.py: A.ghost", "ghost.py: A.first", "nonsense"];
        assert!(reorder(&mut files, &answer(&["./c.py", "ghost.py", "../../etc/passwd"], &symbols), find));
        assert_eq!(files.iter().map(|file| file.path.as_str()).collect::<Vec<_>>(), ["c.py", "a.py", "b.py"]);
        let names = |file: &RankedFile| file.symbols.iter().map(|symbol| symbol.name.clone()).collect::<Vec<_>>();
        assert_eq!([names(&files[0]), names(&files[1])], [["A.second", "A.hidden"], ["A.first", "A.second"]]);
        assert!(!reorder(&mut files, &answer(&["ghost.py"], &[]), find));
        assert_eq!(files.len(), 3);
    }
}
