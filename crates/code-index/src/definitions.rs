//! Which names a file defines, found by line patterns that hold for most languages.

use std::collections::HashMap;
use std::sync::LazyLock;

use rayon::prelude::*;
use regex::Regex;

use crate::corpus::Document;

static DEFINITION: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?m)^[ \t]*(?:(?:export|default|pub(?:\([^)]*\))?|public|private|protected|internal|static|final|abstract|async|unsafe|const|override|virtual|inline|extern|sealed|data|open)[ \t]+)*(?:def|class|fn|func|function|struct|enum|trait|interface|type|module|mod|impl|record|object|macro_rules!|fun|sub)[ \t*]+(?:\([^)\n]*\)[ \t]*)?([A-Za-z_][A-Za-z0-9_]{1,80})|^(?:export[ \t]+)?(?:const|let|var|static)[ \t]+(?:mut[ \t]+)?([A-Za-z_][A-Za-z0-9_]{2,80})[ \t]*[:=]|^([A-Za-z_][A-Za-z0-9_]{2,80})[ \t]*=[ \t]",
    )
    .expect("the pattern is right")
});

/// Where each name is defined: indices of documents, ascending.
pub(crate) fn definitions(documents: &[Document]) -> HashMap<String, Vec<u32>> {
    let per_file: Vec<Vec<String>> = documents.par_iter().map(|document| names(&document.text)).collect();
    let mut map: HashMap<String, Vec<u32>> = HashMap::new();
    for (number, names) in (0_u32..).zip(per_file) {
        for name in names {
            map.entry(name).or_default().push(number);
        }
    }
    map
}

fn names(text: &str) -> Vec<String> {
    let mut names: Vec<String> = DEFINITION
        .captures_iter(text)
        .filter_map(|found| found.get(1).or_else(|| found.get(2)).or_else(|| found.get(3)))
        .map(|name| name.as_str().to_owned())
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn definitions_of_many_languages_are_seen() {
        let found = names(
            "def parse_url(x):\nclass Session(Base):\n    async def send(self):\npub(crate) fn open_file() {}\n\
             impl Store for Disk {\nfunc (s *Server) Serve() {\nexport default function render() {}\n\
             export const MAX_SIZE = 3\n    public static void main() {}\npublic class Main {\nTIMEOUT = 3\n",
        );
        for name in ["parse_url", "Session", "send", "open_file", "Serve", "render", "MAX_SIZE", "Main", "TIMEOUT"] {
            assert!(found.iter().any(|other| other == name), "{name} in {found:?}");
        }
    }
}
