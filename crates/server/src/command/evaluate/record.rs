//! The results of an evaluation: one record a fix, a summary, a table and a page.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use patchwright_domain::Job;
use patchwright_domain::job::report::Verdict;
use serde::{Deserialize, Serialize};

use super::attempt::TextSource;
use super::instance::Instance;

/// The files of the results.
const RECORDS: &str = "records.jsonl";
const REPORT: &str = "report.json";
pub(super) const PAGE: &str = "index.html";

/// What became of one fix.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) commit: String,
    pub(super) subject: String,
    /// Why it was not repeated.
    #[serde(default)]
    pub(super) skipped: Option<String>,
    /// Where the text of the issue came from.
    pub(super) text: Option<TextSource>,
    /// The place of the first file of the fix in the ranking, from 1.
    pub(super) located: Option<usize>,
    /// Whether the tests of the fix pass with the change.
    pub(super) resolved: bool,
    /// What the pipeline says about its change.
    pub(super) verdict: Option<Verdict>,
    /// Why the job failed.
    pub(super) failure: Option<String>,
    pub(super) calls: u32,
    pub(super) tokens: u64,
    pub(super) cost_micros: u64,
    pub(super) seconds: f64,
}

impl Record {
    /// A fix that cannot be repeated.
    pub(super) fn skipped(instance: &Instance, reason: String) -> Self {
        Self {
            commit: instance.commit.clone(),
            subject: instance.subject().to_owned(),
            skipped: Some(reason),
            text: None,
            located: None,
            resolved: false,
            verdict: None,
            failure: None,
            calls: 0,
            tokens: 0,
            cost_micros: 0,
            seconds: 0.0,
        }
    }

    /// A fix that was repeated.
    pub(super) fn of(instance: &Instance, job: &Job, text: TextSource, resolved: bool) -> Self {
        let ranked = job.located().map(|report| report.candidate_files.as_slice()).unwrap_or_default();
        let usage = job.usage();
        Self {
            skipped: None,
            text: Some(text),
            located: ranked.iter().position(|path| instance.files.contains(path)).map(|place| place + 1),
            resolved,
            verdict: job.verdict,
            failure: job.failure.as_ref().map(|failure| failure.reason.clone()),
            calls: usage.calls,
            tokens: usage.tokens(),
            cost_micros: usage.cost_micros,
            seconds: job.stages.iter().filter_map(patchwright_domain::job::stage::StageRecord::seconds).sum(),
            ..Self::skipped(instance, String::new())
        }
    }

    /// Whether the pipeline says that tests show its fix.
    const fn is_proven(&self) -> bool {
        matches!(self.verdict, Some(Verdict::FixedProven))
    }

    /// Returns the first characters of the commit's id.
    fn short(&self) -> String {
        self.commit.chars().take(10).collect()
    }

    /// Returns the place of the first file of the fix in the ranking, as a word.
    fn place(&self) -> String {
        self.located.map_or_else(|| "–".to_owned(), |place| place.to_string())
    }

    /// Returns what the pipeline says about its change, as a word.
    fn claim(&self) -> &'static str {
        self.verdict.map_or("failed", Verdict::as_str)
    }

    /// Returns the result on one line.
    pub(super) fn line(&self) -> String {
        if let Some(reason) = &self.skipped {
            return format!("skipped: {reason}");
        }
        let resolved = if self.resolved { "resolved" } else { "not resolved" };
        format!("{resolved}, {}, {} calls, {} tokens, {:.0} s", self.claim(), self.calls, self.tokens, self.seconds)
    }
}

/// The sums of all records.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(super) struct Summary {
    /// How many fixes were repeated, and how many could not be.
    pub(super) repeated: usize,
    pub(super) skipped: usize,
    /// How often a file of the fix was ranked first, and among the first five.
    pub(super) located_first: usize,
    pub(super) located_in_five: usize,
    pub(super) resolved: usize,
    /// How many of the resolved ones the pipeline proved by itself.
    pub(super) proven: usize,
    /// How often it said so of a change that the tests of the fix refute.
    pub(super) claimed_wrongly: usize,
    pub(super) calls: u32,
    pub(super) tokens: u64,
    pub(super) cost_micros: u64,
    pub(super) seconds: f64,
}

impl Summary {
    pub(super) fn of(records: &[Record]) -> Self {
        let mut sum = Self::default();
        for record in records {
            if record.skipped.is_some() {
                sum.skipped += 1;
                continue;
            }
            sum.repeated += 1;
            sum.located_first += usize::from(record.located == Some(1));
            sum.located_in_five += usize::from(record.located.is_some_and(|place| place <= 5));
            sum.resolved += usize::from(record.resolved);
            sum.proven += usize::from(record.resolved && record.is_proven());
            sum.claimed_wrongly += usize::from(!record.resolved && record.is_proven());
            sum.calls += record.calls;
            sum.tokens += record.tokens;
            sum.cost_micros += record.cost_micros;
            sum.seconds += record.seconds;
        }
        sum
    }

    /// Returns what was found, in a sentence.
    fn describe_results(&self) -> String {
        format!(
            "Of {} fixes: {} located first, {} among five; {} resolved, {} of them proven; {} claimed wrongly. {} skipped.",
            self.repeated,
            self.located_first,
            self.located_in_five,
            self.resolved,
            self.proven,
            self.claimed_wrongly,
            self.skipped
        )
    }

    /// Returns what it took, in a sentence.
    fn describe_usage(&self) -> String {
        let cost = cost(self.cost_micros);
        format!("{} model calls, {} tokens, cost {cost}, {:.0} s.", self.calls, self.tokens, self.seconds)
    }
}

/// The folder of the results.
pub(super) struct Results {
    folder: PathBuf,
    records: Vec<Record>,
}

impl Results {
    /// Opens the folder, and reads what an earlier run left in it.
    pub(super) fn open(folder: &Path) -> Result<Self, String> {
        let failed = |error: std::io::Error| format!("the folder {} cannot be used: {error}", folder.display());
        std::fs::create_dir_all(folder).map_err(failed)?;
        let text = match std::fs::read_to_string(folder.join(RECORDS)) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(failed(error)),
        };
        // A last line that was cut off is repeated.
        let records = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        Ok(Self { folder: folder.to_owned(), records })
    }

    pub(super) fn records(&self) -> &[Record] {
        &self.records
    }

    pub(super) fn has(&self, commit: &str) -> bool {
        self.records.iter().any(|record| record.commit == commit)
    }

    /// Returns how many of these fixes were repeated.
    pub(super) fn repeated(&self, instances: &[Instance]) -> usize {
        let is_repeated = |instance: &&Instance| {
            self.records.iter().any(|record| record.commit == instance.commit && record.skipped.is_none())
        };
        instances.iter().filter(is_repeated).count()
    }

    pub(super) fn cost_micros(&self) -> u64 {
        self.records.iter().map(|record| record.cost_micros).sum()
    }

    /// Adds a record, at once also to the disk.
    pub(super) fn add(&mut self, record: Record) -> std::io::Result<()> {
        let path = self.folder.join(RECORDS);
        let is_torn = std::fs::read(&path).is_ok_and(|bytes| bytes.last().is_some_and(|last| *last != b'\n'));
        let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path)?;
        if is_torn {
            writeln!(file)?;
        }
        let line = serde_json::to_string(&record).map_err(std::io::Error::other)?;
        writeln!(file, "{line}")?;
        self.records.push(record);
        Ok(())
    }

    /// Writes the report and the page.
    pub(super) fn write(&self, summary: &Summary) -> std::io::Result<()> {
        let report = serde_json::json!({"summary": summary, "records": self.records});
        std::fs::write(self.folder.join(REPORT), format!("{report:#}\n"))?;
        std::fs::write(self.folder.join(PAGE), page(&self.records, summary))
    }
}

#[expect(clippy::cast_precision_loss, reason = "an amount of money that people read")]
fn cost(micros: u64) -> String {
    format!("{:.2}", micros as f64 / 1_000_000.0)
}

/// Renders the records for a terminal.
pub(super) fn table(records: &[Record], sum: &Summary) -> String {
    let mut out = format!(
        "{:<10}  {:>7}  {:<8}  {:<15}  {:>5}  {:>7}  {:>6}\n",
        "commit", "located", "resolved", "verdict", "calls", "tokens", "cost"
    );
    for record in records {
        let short = record.short();
        if let Some(reason) = &record.skipped {
            out.push_str(&format!("{short:<10}  skipped: {reason}\n"));
            continue;
        }
        let located = record.place();
        let resolved = if record.resolved { "yes" } else { "no" };
        let verdict = record.claim();
        out.push_str(&format!(
            "{short:<10}  {located:>7}  {resolved:<8}  {verdict:<15}  {:>5}  {:>7}  {:>6}\n",
            record.calls,
            record.tokens,
            cost(record.cost_micros)
        ));
    }
    out.push_str(&format!("\n{}\n{}", sum.describe_results(), sum.describe_usage()));
    out
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// Renders the records as a page that needs nothing else.
fn page(records: &[Record], sum: &Summary) -> String {
    let row = |record: &Record| {
        let short = record.short();
        let subject = escape(&record.subject);
        if let Some(reason) = &record.skipped {
            return format!(
                "<tr class=\"skipped\"><td><code>{short}</code><td>{subject}<td colspan=\"6\">skipped: {}</tr>\n",
                escape(reason)
            );
        }
        let located = record.place();
        let (class, resolved) = match (record.resolved, record.is_proven()) {
            (true, true) => ("good", "yes"),
            (true, false) => ("", "yes"),
            (false, true) => ("wrong", "no"),
            (false, false) => ("", "no"),
        };
        let verdict = record.claim();
        let title = escape(record.failure.as_deref().unwrap_or_default());
        format!(
            "<tr class=\"{class}\"><td><code>{short}</code><td>{subject}<td>{located}<td>{resolved}<td title=\"{title}\">{verdict}<td>{}<td>{}<td>{}</tr>\n",
            record.tokens,
            cost(record.cost_micros),
            record.seconds.round()
        )
    };
    let rows: String = records.iter().map(row).collect();
    let from_messages = records.iter().filter(|record| record.text == Some(TextSource::CommitMessage)).count();
    format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>Evaluation</title>\n<style>body{{font:15px/1.5 system-ui,sans-serif;\
         margin:2rem auto;max-width:70rem;padding:0 1rem}}table{{border-collapse:collapse;width:100%}}td,th{{text-align:left;padding:.3rem .6rem;\
         border-bottom:1px solid #8884}}.good td{{background:#2a41}}.wrong td{{background:#c331}}.skipped{{color:#777}}</style>\n\
         <h1>Fixes of this repository, repeated</h1>\n<p>{}</p>\n<p>A fix is resolved if the tests that came with it, \
         which the pipeline never sees, pass with its change. {from_messages} of the texts are commit messages, which may say more than an \
         issue would.</p>\n<table><tr><th>commit<th>subject<th>located<th>resolved<th>verdict<th>tokens<th>cost<th>seconds</tr>\n{rows}</table>\n\
         <p>{}</p></html>\n",
        sum.describe_results(),
        sum.describe_usage()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(commit: &str, resolved: bool, verdict: Option<Verdict>) -> Record {
        let instance = Instance { commit: commit.into(), message: "Fix <x>".into(), files: vec![], tests: vec![] };
        Record {
            skipped: None,
            resolved,
            verdict,
            located: Some(2),
            calls: 3,
            tokens: 100,
            cost_micros: 20_000,
            ..Record::skipped(&instance, String::new())
        }
    }

    #[test]
    fn a_claim_that_the_tests_of_the_fix_refute_is_counted_as_one() {
        let instance = Instance { commit: "dd".into(), message: "Fix".into(), files: vec![], tests: vec![] };
        let records = [
            record("aa", true, Some(Verdict::FixedProven)),
            record("bb", false, Some(Verdict::FixedProven)),
            record("cc", true, Some(Verdict::NoRegressions)),
            Record::skipped(&instance, "no test".into()),
        ];
        let sum = Summary::of(&records);
        assert_eq!((sum.repeated, sum.skipped, sum.resolved, sum.proven, sum.claimed_wrongly), (3, 1, 2, 1, 1));
        assert_eq!((sum.located_first, sum.located_in_five, sum.cost_micros), (0, 3, 60_000));
        assert!(table(&records, &sum).contains("2 resolved, 1 of them proven; 1 claimed wrongly. 1 skipped."));
        let page = page(&records, &sum);
        assert!(page.contains("Fix &lt;x&gt;") && !page.contains("<x>"), "{page}");
    }

    #[test]
    fn an_evaluation_goes_on_where_it_was_stopped() {
        let folder = tempfile::tempdir().unwrap();
        let mut results = Results::open(folder.path()).unwrap();
        results.add(record("aa", true, None)).unwrap();
        std::fs::OpenOptions::new()
            .append(true)
            .open(folder.path().join(RECORDS))
            .unwrap()
            .write_all(b"{\"commit\": \"b")
            .unwrap();
        let mut again = Results::open(folder.path()).unwrap();
        again.add(record("cc", true, None)).unwrap();
        assert!(Results::open(folder.path()).unwrap().has("cc"), "a line that was cut off costs no other one");
        assert!(again.has("aa") && !again.has("bb") && again.cost_micros() == 40_000);
        again.write(&Summary::of(again.records())).unwrap();
        assert!(folder.path().join(PAGE).is_file() && folder.path().join(REPORT).is_file());
    }
}
