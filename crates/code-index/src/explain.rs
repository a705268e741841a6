//! The reasons for a file's rank, as sentences for users.

use crate::features::{Feature, FeatureTable};
use crate::history::Changes;
use crate::index::Index;
use crate::model::weight;
use crate::query::Query;
use crate::scan::Kind;

/// The largest number of names that one reason lists.
const MAX_NAMES: usize = 3;
/// The strength below which a feature is not a reason.
const MIN_STRENGTH: f64 = 0.15;

/// Returns at most `max` reasons of a file, strongest first.
pub(crate) fn explain(
    index: &Index,
    query: &Query,
    features: &FeatureTable,
    changes: Option<&Changes<'_>>,
    position: usize,
    max: usize,
) -> Vec<String> {
    let file = features.pool[position];
    let sentence = |feature: Feature| match feature {
        Feature::Quoted => explain_quote(index, query, file),
        Feature::Frame => explain_frame(index, query, file),
        Feature::Definition | Feature::Symbol | Feature::Qualified => explain_definitions(index, query, file),
        Feature::Module => Some("the text names its module".to_owned()),
        Feature::ExactName | Feature::FileName => Some("the text names it".to_owned()),
        Feature::Path => Some("the text contains words of its path".to_owned()),
        Feature::Words | Feature::Chunk => Some("it contains words of the text".to_owned()),
        Feature::Title | Feature::TitleShare => Some("it contains words of the title".to_owned()),
        Feature::Neighbours => Some("it imports, or is imported by, files that match the text".to_owned()),
        Feature::History | Feature::HistoryTitle => explain_change(features, changes, position),
        Feature::DefinedWords => Some("the names that it defines contain words of the text".to_owned()),
        Feature::Message => Some("it contains a message or key of the text".to_owned()),
        Feature::Called => features
            .definitions
            .explain_call(position)
            .map(|(caller, called)| format!("`{caller}` calls `{called}`, defined here")),
        Feature::Tests => Some("tests that match the text exercise it".to_owned()),
        Feature::CoChange => Some("it was often changed together with the most likely files".to_owned()),
        Feature::Folder => Some("it is in the same folder as the most likely files".to_owned()),
        Feature::Executed => explain_execution(index, query, file),
        Feature::FrameDefinition | Feature::Churn | Feature::Length | Feature::Auxiliary => None,
    };
    // Users find a name of the file more convincing than similar words, whatever the weights are.
    let importance = |feature: Feature| match feature {
        Feature::Quoted | Feature::Frame => 3.0,
        Feature::Executed => 2.5,
        Feature::Symbol | Feature::Qualified | Feature::Definition => 2.0,
        Feature::Module | Feature::ExactName => 1.5,
        _ => weight(feature).max(0.1),
    };
    let strength = |feature: Feature| features.get(feature, position) * importance(feature);
    let mut all: Vec<(f64, Feature)> = Feature::ALL.into_iter().map(|feature| (strength(feature), feature)).collect();
    all.retain(|(strength, _)| *strength > MIN_STRENGTH);
    all.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut reasons: Vec<String> = Vec::new();
    for reason in all.into_iter().filter_map(|(_, feature)| sentence(feature)) {
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    reasons.truncate(max);
    if index.files[file].is_auxiliary {
        reasons.push("ranked lower: it is documentation, an example, a tool, generated or vendored".to_owned());
    }
    reasons
}

fn explain_quote(index: &Index, query: &Query, file: usize) -> Option<String> {
    let mut paths: Vec<&String> =
        query.paths.keys().filter(|path| index.modules.resolve(path).0.contains(&number(file))).collect();
    paths.sort();
    paths.first().map(|path| format!("the text names `{path}`"))
}

fn explain_execution(index: &Index, query: &Query, file: usize) -> Option<String> {
    let own = query.executed.iter().filter(|function| function.path == index.paths[file]);
    let best = own.max_by(|a, b| a.value().total_cmp(&b.value()))?;
    // The name is the tracer's word, which the sample can forge.
    let is_known = index.defines(file, &best.name);
    Some(match best.depth {
        Some(0) if is_known => format!("the sample of the text fails in `{}`, defined here", best.name),
        _ if is_known => format!("the sample of the text calls `{}`, defined here", best.name),
        _ => "the sample of the text executes it".to_owned(),
    })
}

fn explain_frame(index: &Index, query: &Query, file: usize) -> Option<String> {
    let frame = query.frames.iter().find(|(path, _)| index.modules.resolve(path).0.first() == Some(&number(file)))?;
    let function = frame.1.as_ref().map_or_else(String::new, |name| format!(", in `{name}`"));
    Some(format!("it is in the stack trace{function}"))
}

fn explain_definitions(index: &Index, query: &Query, file: usize) -> Option<String> {
    let tails = query.dotted.keys().flat_map(|name| {
        let last_two = name.rsplitn(3, '.').take(2).collect::<Vec<_>>();
        [
            last_two.first().map(|&last| last.to_owned()),
            (last_two.len() == 2).then(|| format!("{}.{}", last_two[1], last_two[0])),
        ]
    });
    let names = query.names.keys().cloned().chain(tails.flatten());
    let mut found: Vec<(usize, std::cmp::Reverse<usize>, String)> = names
        .filter(|name| index.defines(file, name))
        .map(|name| {
            let common = index.defining(&name).iter().filter(|(_, kind)| *kind != Kind::Constant).count();
            (common, std::cmp::Reverse(name.len()), name)
        })
        .collect();
    found.sort();
    found.dedup();
    let names: Vec<String> = found.into_iter().take(MAX_NAMES).map(|(_, _, name)| format!("`{name}`")).collect();
    (!names.is_empty()).then(|| format!("it defines {}, which the text mentions", names.join(", ")))
}

fn explain_change(features: &FeatureTable, changes: Option<&Changes<'_>>, position: usize) -> Option<String> {
    let commit = features.history.as_ref()?.commit.get(&position)?;
    let change = changes?.list.get(*commit)?;
    Some(format!("it was changed for “{}” ({})", change.subject, change.short_id()))
}

fn number(file: usize) -> u32 {
    u32::try_from(file).unwrap_or(u32::MAX)
}
