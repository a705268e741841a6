//! Finds the names of repositories in texts.

use std::collections::BTreeSet;

use patchwright_core::repositories::RegisteredRepository;
use patchwright_domain::RepoName;

/// The repositories that a text names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Named<'a> {
    /// Repositories of this server that are named in full.
    pub(super) known: Vec<&'a RegisteredRepository>,
    /// URLs of other repositories.
    pub(super) others: Vec<String>,
}

/// Returns the repositories that a text names as `owner/name` or by their URL. `hosts` are those of the forges of this
/// server, in lower case: the URL of a build log or of another issue names no repository.
pub(super) fn named<'a>(text: &str, known: &'a [RegisteredRepository], hosts: &BTreeSet<String>) -> Named<'a> {
    let mut found = Named::default();
    for word in words(text) {
        let (name, is_address) = match address(word) {
            Some((host, _)) if !hosts.contains(&host.to_lowercase()) => continue,
            Some((_, name)) => (name, true),
            None => (word.trim_end_matches(".git").to_owned(), false),
        };
        let Ok(name) = name.parse::<RepoName>() else { continue };
        let same = |repository: &&RegisteredRepository| is_same(&repository.name, &name);
        // `src/lib` and `and/or` look like names but are no repositories.
        let Some(repository) = known.iter().find(same) else {
            found.others.extend(is_address.then(|| name.to_string()));
            continue;
        };
        if !found.known.iter().any(|other| other.id == repository.id) {
            found.known.push(repository);
        }
    }
    found
}

/// Returns the repositories whose short name is a word of the text.
pub(super) fn hinted<'a>(text: &str, known: &'a [RegisteredRepository]) -> Vec<&'a RegisteredRepository> {
    let words: BTreeSet<String> = words(text).map(str::to_lowercase).collect();
    let own_name = |repository: &&RegisteredRepository| words.contains(&repository.name.name().to_lowercase());
    known.iter().filter(own_name).collect()
}

fn is_same(one: &RepoName, other: &RepoName) -> bool {
    one.to_string().eq_ignore_ascii_case(&other.to_string())
}

/// Splits a text into words that may be names or URLs.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | ':' | '@' | '#' | '?' | '=');
    text.split(move |c| !part(c))
        .map(|word| word.trim_matches(['.', ':', '/', '?', '#', '@']))
        .filter(|word| !word.is_empty())
}

/// Returns the host (with its port) and `owner/name` of `https://host/owner/name/…` and `git@host:owner/name.git`.
fn address(word: &str) -> Option<(&str, String)> {
    let (host, path) = match word.split_once("://") {
        Some(("http" | "https" | "ssh" | "git", rest)) => rest.split_once('/')?,
        Some(_) => return None,
        None => word.split_once(':').filter(|(host, _)| host.contains('.'))?,
    };
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    let path = path.split(['?', '#']).next()?;
    let mut parts = path.split('/').filter(|part| !part.is_empty());
    let (owner, name) = (parts.next()?, parts.next()?);
    Some((host, format!("{owner}/{}", name.trim_end_matches(".git"))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::Timestamp;
    use patchwright_domain::{PlatformId, RepositoryId, RepositorySettings};

    fn known(names: &[&str]) -> Vec<RegisteredRepository> {
        let one = |(at, name): (usize, &&str)| RegisteredRepository {
            id: RepositoryId::from_uuid(uuid_of(at)),
            platform: PlatformId::from_static("github"),
            name: name.parse().unwrap(),
            created_at: Timestamp::UNIX_EPOCH,
            synced_at: None,
            settings: RepositorySettings::default(),
        };
        names.iter().enumerate().map(one).collect()
    }

    fn uuid_of(at: usize) -> uuid::Uuid {
        uuid::Uuid::from_u128(at as u128)
    }

    fn found(text: &str) -> (Vec<String>, Vec<String>) {
        let known = known(&["acme/demo", "acme/web-app", "Other/Demo2"]);
        let named = named(text, &known, &BTreeSet::from(["github.com".to_owned()]));
        (named.known.iter().map(|one| one.name.to_string()).collect(), named.others)
    }

    #[test]
    fn names_and_addresses_are_found_in_any_form() {
        for text in [
            "acme/demo",
            "see `acme/demo`, please.",
            "https://github.com/acme/demo/issues/3?x=1#y",
            "[repo](https://github.com/Acme/Demo.git)",
            "git@github.com:acme/demo.git",
            "ssh://git@github.com/acme/demo",
            "在acme/demo里",
        ] {
            assert_eq!(found(text).0, ["acme/demo"], "{text}");
        }
        assert_eq!(found("acme/demo and other/demo2 and acme/demo").0, ["acme/demo", "Other/Demo2"]);
    }

    #[test]
    fn what_looks_like_a_name_is_none_and_an_address_of_others_is_told() {
        assert_eq!(found("src/lib.rs and/or 1/2, 2026/11, a/b/c acme/demos"), (vec![], vec![]));
        assert_eq!(found("https://github.com/evil/thing"), (vec![], vec!["evil/thing".to_owned()]));
        assert_eq!(found("https://example.com"), (vec![], vec![]));
    }

    #[test]
    fn fault_b9_only_addresses_of_our_forges_name_a_repository() {
        for text in [
            "https://ci.example.org/job/42/console",
            "https://acme.atlassian.net/browse/PROJ-2",
            "see https://docs.example.org/acme/demo for more",
            "git@elsewhere.example:evil/thing.git",
        ] {
            assert_eq!(found(text), (vec![], vec![]), "{text}");
        }
    }

    #[test]
    fn a_repository_is_hinted_at_by_its_own_name() {
        let known = known(&["acme/demo", "acme/web-app"]);
        let names = |text: &str| hinted(text, &known).iter().map(|one| one.name.to_string()).collect::<Vec<_>>();
        assert_eq!(names("The web-app crashes"), ["acme/web-app"]);
        assert_eq!(names("The web app crashes"), Vec::<String>::new());
        assert_eq!(names("demonstration"), Vec::<String>::new());
    }
}
