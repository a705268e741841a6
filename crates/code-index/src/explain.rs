//! Why a file has its rank, in words for people.

use crate::features::{Features, Sign};
use crate::history::Changes;
use crate::index::Index;
use crate::model::weight;
use crate::query::Query;
use crate::scan::Kind;

/// The most names that one reason lists.
const NAMES: usize = 3;

/// The reasons of a file, strongest first.
pub(crate) fn reasons(
    index: &Index,
    query: &Query,
    features: &Features,
    changes: Option<&Changes<'_>>,
    place: usize,
    most: usize,
) -> Vec<String> {
    let file = features.pool[place];
    let said = |sign: Sign| match sign {
        Sign::Quoted => quoted(index, query, file),
        Sign::Frame => framed(index, query, file),
        Sign::Definition | Sign::Symbol | Sign::Qualified => defined(index, query, file),
        Sign::Module => Some("the text names its module".to_owned()),
        Sign::ExactName | Sign::FileName => Some("the text names it".to_owned()),
        Sign::Path => Some("the text speaks of its path".to_owned()),
        Sign::Words | Sign::Piece => Some("the text speaks of what it does".to_owned()),
        Sign::Title | Sign::TitleShare => Some("the title speaks of what it does".to_owned()),
        Sign::Neighbours => Some("files that the text speaks of import it, or it imports them".to_owned()),
        Sign::Past | Sign::PastTitle => changed(features, changes, place),
        Sign::DefinedWords => Some("what it defines is called like what the text speaks of".to_owned()),
        Sign::Message => Some("a message or key of the text stands in it".to_owned()),
        Sign::Tests => Some("tests that speak of the same exercise it".to_owned()),
        Sign::Together => Some("it was often changed together with the likeliest files".to_owned()),
        Sign::Folder => Some("the likeliest files lie beside it".to_owned()),
        Sign::FrameDefinition | Sign::Churn | Sign::Length | Sign::Aside => None,
    };
    // What names the file itself says more to people than sums of words, whatever their weights.
    let telling = |sign: Sign| match sign {
        Sign::Quoted | Sign::Frame => 3.0,
        Sign::Symbol | Sign::Qualified | Sign::Definition => 2.0,
        Sign::Module | Sign::ExactName => 1.5,
        _ => weight(sign).max(0.1),
    };
    let mut all: Vec<(f64, Sign)> =
        Sign::ALL.into_iter().map(|sign| (features.get(sign, place) * telling(sign), sign)).collect();
    all.retain(|(strength, _)| *strength > 0.15);
    all.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut reasons: Vec<String> = Vec::new();
    for reason in all.into_iter().filter_map(|(_, sign)| said(sign)) {
        if !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    reasons.truncate(most);
    if index.files[file].is_aside {
        reasons.push("held back: it is documentation, an example, a tool or somebody else's".to_owned());
    }
    reasons
}

fn quoted(index: &Index, query: &Query, file: usize) -> Option<String> {
    let mut paths: Vec<&String> =
        query.paths.keys().filter(|path| index.modules.resolve(path).0.contains(&number(file))).collect();
    paths.sort();
    paths.first().map(|path| format!("the text names `{path}`"))
}

fn framed(index: &Index, query: &Query, file: usize) -> Option<String> {
    let frame = query.frames.iter().find(|(path, _)| index.modules.resolve(path).0.first() == Some(&number(file)))?;
    let place = frame.1.as_ref().map_or_else(String::new, |name| format!(", in `{name}`"));
    Some(format!("stands in the stack trace{place}"))
}

fn defined(index: &Index, query: &Query, file: usize) -> Option<String> {
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
    let names: Vec<String> = found.into_iter().take(NAMES).map(|(_, _, name)| format!("`{name}`")).collect();
    (!names.is_empty()).then(|| format!("defines {}, which the text mentions", names.join(", ")))
}

fn changed(features: &Features, changes: Option<&Changes<'_>>, place: usize) -> Option<String> {
    let commit = features.past.as_ref()?.commit.get(&place)?;
    let change = changes?.list.get(*commit)?;
    Some(format!("was changed for “{}” ({})", change.subject, change.short_id()))
}

fn number(file: usize) -> u32 {
    u32::try_from(file).unwrap_or(u32::MAX)
}
