//! Undoing what is escaped on the way to a model and back.

use patchwright_domain::RepoPath;

/// Entities that models write for signs of code, and the signs.
const ENTITIES: [(&str, &str); 5] = [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&#39;", "'"), ("&amp;", "&")];

/// Languages in which entities outside of texts are never right. In all others they may be, and stay.
const CODE: [&str; 30] = [
    "py", "pyi", "js", "mjs", "cjs", "ts", "mts", "cts", "go", "rs", "java", "kt", "scala", "c", "h", "cc", "cpp",
    "cxx", "hpp", "cs", "swift", "rb", "lua", "sh", "bash", "pl", "zig", "dart", "m", "mm",
];

/// Quotes, the long ones first.
const QUOTES: [&str; 5] = ["\"\"\"", "'''", "\"", "'", "`"];
/// Those whose texts may have several lines.
const LONG_QUOTES: [&str; 3] = ["\"\"\"", "'''", "`"];

/// Returns the answer as the model meant it: prompts show the end of a file's fence in another form, and some models write
/// entities for signs, where the file has none.
pub(super) fn undo(path: &RepoPath, answer: &str, old: &str) -> String {
    let shown = "<\\/file>";
    let answer = if old.contains(shown) { answer.to_owned() } else { answer.replace(shown, "</file>") };
    let extension = path.extension().map(str::to_lowercase).unwrap_or_default();
    let has_entities = ENTITIES.iter().any(|(entity, _)| old.contains(entity));
    if !CODE.contains(&extension.as_str()) || has_entities {
        return answer;
    }
    let mut open = None;
    answer.split_inclusive('\n').map(|line| unescape_code(line, &mut open)).collect()
}

/// Replaces the entities of a line that are outside of quotes: in a text they may be meant.
///
/// `open` is the quote of a text of several lines that the line before left open.
fn unescape_code(line: &str, open: &mut Option<&'static str>) -> String {
    if line.trim_start().starts_with("```") {
        // The fence around a file is no text in it.
        *open = None;
        return line.to_owned();
    }
    let is_reference = ends_in_reference(line);
    let mut out = String::with_capacity(line.len());
    // A quote of one line alone, such as the mark of a lifetime, says nothing about the next line.
    let mut quote = *open;
    let mut rest = line;
    while let Some(c) = rest.chars().next() {
        let entity = ENTITIES.iter().find(|(entity, _)| rest.starts_with(entity));
        if let Some((entity, sign)) = entity.filter(|_| quote.is_none() && !is_reference) {
            out.push_str(sign);
            rest = &rest[entity.len()..];
            continue;
        }
        let width = match quote {
            Some(end) if rest.starts_with(end) => {
                quote = None;
                end.len()
            }
            None => {
                quote = QUOTES.into_iter().find(|quote| rest.starts_with(quote));
                quote.map_or(c.len_utf8(), str::len)
            }
            Some(_) => c.len_utf8(),
        };
        out.push_str(&rest[..width]);
        rest = &rest[width..];
    }
    *open = quote.filter(|quote| LONG_QUOTES.contains(quote));
    out
}

/// Returns whether the only entity of a line is what the line ends with: a reference to something that is called so.
fn ends_in_reference(line: &str) -> bool {
    let count: usize = ENTITIES.iter().map(|(entity, _)| line.matches(entity).count()).sum();
    count == 1 && ENTITIES.iter().any(|(entity, _)| line.trim_end().ends_with(entity))
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
        let fenced = "Here:\n```python\nif a &lt; b:\n```\n";
        assert_eq!(undone("a.py", fenced, "s\n"), fenced.replace("&lt;", "<"));
        for markup in ["a.html", "a.csproj", "a.plist", "a.php", "a.tsx", "README"] {
            assert_eq!(undone(markup, "a &lt; b\n", "a\n"), "a &lt; b\n", "{markup}");
        }
        let long = "WANTED = \"\"\"\n&lt;b&gt;\n\"\"\"\nif a &lt; b:\n";
        assert_eq!(undone("a.py", long, "s\n"), long.replace("a &lt; b", "a < b"));
        assert_eq!(undone("a.rs", "let a = &lt;\n", "s\n"), "let a = &lt;\n", "a reference to `lt`");
        assert_eq!(undone("a.py", "a &lt; b\n", "# &lt; is <\n"), "a &lt; b\n", "the file has them itself");
        assert_eq!(undone("a.py", "X = '<\\/file>'\n", "X = '</file>'\n"), "X = '</file>'\n");
        assert_eq!(undone("a.js", "x = '<\\/file>'\n", "x = '<\\/file>'\n"), "x = '<\\/file>'\n");
    }
}
