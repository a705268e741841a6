//! Undoing what is escaped on the way to a model and back.

use patchwright_domain::RepoPath;

/// Entities that models write for signs of code, and the signs.
const ENTITIES: [(&str, &str); 5] = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];

/// Languages in which entities are right.
const MARKUP: [&str; 17] = [
    "html", "htm", "xhtml", "xml", "svg", "md", "markdown", "rst", "adoc", "vue", "svelte", "jsx", "tsx", "erb",
    "jinja", "j2", "hbs",
];

/// Returns the answer as the model meant it: prompts show the end of a file's fence in another form, and some models write
/// entities for signs, where the file has none.
pub(super) fn undo(path: &RepoPath, answer: &str, old: &str) -> String {
    let shown = "<\\/file>";
    let answer = if old.contains(shown) { answer.to_owned() } else { answer.replace(shown, "</file>") };
    let extension = path.extension().map(str::to_lowercase).unwrap_or_default();
    let has_entities = ENTITIES.iter().any(|(entity, _)| old.contains(entity));
    if MARKUP.contains(&extension.as_str()) || has_entities {
        return answer;
    }
    answer.split_inclusive('\n').map(unescape_code).collect()
}

/// Replaces the entities of a line that are outside of quotes: in a text they may be meant.
fn unescape_code(line: &str) -> String {
    if !line.contains('&') {
        return line.to_owned();
    }
    let mut out = String::with_capacity(line.len());
    let mut quote: Option<char> = None;
    let mut rest = line;
    while let Some(c) = rest.chars().next() {
        let entity = ENTITIES.iter().find(|(entity, _)| rest.starts_with(entity));
        if let Some((entity, sign)) = entity.filter(|_| quote.is_none()) {
            out.push_str(sign);
            rest = &rest[entity.len()..];
            continue;
        }
        match quote {
            Some(open) if c == open => quote = None,
            None if matches!(c, '"' | '\'' | '`') => quote = Some(c),
            _ => {}
        }
        out.push(c);
        rest = &rest[c.len_utf8()..];
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn undone(path: &str, answer: &str, old: &str) -> String {
        undo(&RepoPath::parse(path).unwrap(), answer, old)
    }

    #[test]
    fn fault_g_signs_are_what_the_file_would_have() {
        assert_eq!(undone("a.py", "return a &lt; b &amp;&amp; c\n", "return a > b\n"), "return a < b && c\n");
        assert_eq!(
            undone("a.py", "s.replace('<', '&lt;')\n", "s\n"),
            "s.replace('<', '&lt;')\n",
            "in a text they are meant"
        );
        assert_eq!(undone("a.html", "a &lt; b\n", "a\n"), "a &lt; b\n");
        assert_eq!(undone("a.py", "a &lt; b\n", "# &lt; is <\n"), "a &lt; b\n", "the file has them itself");
        assert_eq!(undone("a.py", "X = '<\\/file>'\n", "X = '</file>'\n"), "X = '</file>'\n");
        assert_eq!(undone("a.js", "x = '<\\/file>'\n", "x = '<\\/file>'\n"), "x = '<\\/file>'\n");
    }
}
