//! The command line.

use std::path::PathBuf;

pub(crate) const USAGE: &str = "\
usage: eval --index FILE --repos DIR [OPTIONS]
       eval --from-history REPOSITORY [--max N] [OPTIONS]

  --index FILE         a JSON object on each line: instance_id, repo, base_commit, gold_files, problem_statement
  --repos DIR          the folder with the repositories, named owner__name
  --from-history REPOSITORY
                       evaluates on commits that close an issue: their messages are the texts, the source files that
                       they changed are to be found in the commit before
  --max N              the number of such commits, newest first [100]
  --jobs N             the number of instances that are ranked at a time [1]
  --cache DIR          keeps the index cache in a folder; a second run then measures cached rankings
  --predictions FILE   writes the ranked files, a JSON object on each line
  --functions FILE     the functions of each fix, a JSON object on each line: instance_id, gold (file, functions)
  --executed FILE      what the samples of the texts execute, a JSON object on each line: instance_id, executed (path, line,
                       name, recency, depth)
  --rows FILE          writes the features, for the example `fit`
  --function-rows FILE writes the features of functions, for `fit --functions`";

#[derive(Debug)]
pub(crate) struct Arguments {
    pub(crate) source: Source,
    pub(crate) jobs: usize,
    pub(crate) cache: Option<PathBuf>,
    pub(crate) predictions: Option<PathBuf>,
    pub(crate) rows: Option<PathBuf>,
    pub(crate) functions: Option<PathBuf>,
    pub(crate) executed: Option<PathBuf>,
    pub(crate) function_rows: Option<PathBuf>,
}

/// The source of the instances.
#[derive(Debug, PartialEq)]
pub(crate) enum Source {
    Benchmark { index: PathBuf, repos: PathBuf },
    History { repository: PathBuf, max: usize },
}

impl Arguments {
    /// Parses the arguments after the program's name. The error is a sentence for the user.
    pub(crate) fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self, String> {
        let mut arguments = arguments.into_iter();
        let (mut index, mut repos, mut history) = (None, None, None);
        let (mut cache, mut predictions, mut rows) = (None, None, None);
        let (mut functions, mut executed, mut function_rows) = (None, None, None);
        let (mut max, mut jobs) = (100, 1);
        while let Some(name) = arguments.next() {
            let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
            let number = || value.parse::<usize>().map_err(|_| format!("{name} needs a number, not `{value}`"));
            match name.as_str() {
                "--index" => index = Some(PathBuf::from(value)),
                "--repos" => repos = Some(PathBuf::from(value)),
                "--from-history" => history = Some(PathBuf::from(value)),
                "--max" => max = number()?,
                "--jobs" => jobs = number()?,
                "--cache" => cache = Some(PathBuf::from(value)),
                "--predictions" => predictions = Some(PathBuf::from(value)),
                "--rows" => rows = Some(PathBuf::from(value)),
                "--functions" => functions = Some(PathBuf::from(value)),
                "--executed" => executed = Some(PathBuf::from(value)),
                "--function-rows" => function_rows = Some(PathBuf::from(value)),
                _ => return Err(format!("unknown option {name}")),
            }
        }
        let source = match (index, repos, history) {
            (Some(index), Some(repos), None) => Source::Benchmark { index, repos },
            (None, None, Some(repository)) => Source::History { repository, max },
            _ => return Err("either --index with --repos or --from-history is required".to_owned()),
        };
        Ok(Self { source, jobs, cache, predictions, rows, functions, executed, function_rows })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Arguments, String> {
        Arguments::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn a_command_line_names_one_source_of_instances() {
        let arguments = parse("--from-history . --max 7 --jobs 2").unwrap();
        assert_eq!((arguments.source, arguments.jobs), (Source::History { repository: ".".into(), max: 7 }, 2));
        let benchmark = parse("--index a.jsonl --repos all --rows out").unwrap();
        assert_eq!(benchmark.source, Source::Benchmark { index: "a.jsonl".into(), repos: "all".into() });
        assert_eq!(benchmark.rows, Some("out".into()));
        for line in ["", "--index a", "--index a --repos b --from-history c", "--other x", "--jobs"] {
            assert!(parse(line).is_err(), "{line}");
        }
        assert_eq!(parse("--jobs two").unwrap_err(), "--jobs needs a number, not `two`");
    }
}
