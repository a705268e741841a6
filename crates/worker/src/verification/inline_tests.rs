//! Rust's tests in the file that they test: the base gets those of the change, so that they can fail on it.

/// Returns the base's text with the test modules of the change; `None` if they are the same or there are none.
pub(super) fn splice(base: &str, head: &str) -> Option<String> {
    let new = modules(head);
    if new.is_empty() {
        return None;
    }
    let mut lines: Vec<&str> = base.lines().collect();
    for module in &new {
        let known =
            modules(&lines.join("\n")).into_iter().find(|known| known.name == module.name).map(|known| known.range);
        let text: Vec<&str> = head.lines().collect();
        let block = text[module.range.clone()].to_vec();
        match known {
            Some(range) => drop(lines.splice(range, block)),
            None => lines.extend(block),
        }
    }
    let spliced = format!("{}\n", lines.join("\n"));
    (spliced.trim_end() != base.trim_end()).then_some(spliced)
}

struct Module {
    name: String,
    /// From its first attribute to its closing line.
    range: std::ops::Range<usize>,
}

/// Finds the modules behind `#[cfg(test)]` that are not in another one.
fn modules(text: &str) -> Vec<Module> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        if !lines[at].starts_with("#[cfg(") || !lines[at].contains("test") {
            at += 1;
            continue;
        }
        let Some(first) = (at + 1..lines.len()).find(|line| !lines[*line].starts_with("#[")) else { break };
        let name =
            lines[first].trim_start_matches("pub ").strip_prefix("mod ").and_then(|rest| rest.strip_suffix(" {"));
        let end = name.and_then(|_| (first..lines.len()).find(|line| lines[*line] == "}"));
        match (name, end) {
            (Some(name), Some(end)) => {
                found.push(Module { name: name.to_owned(), range: at..end + 1 });
                at = end + 1;
            }
            _ => at = first,
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fault_h_the_base_gets_the_tests_in_the_changed_file_and_not_the_fix() {
        let base =
            "fn f() -> u32 { 1 }\n\n#[cfg(test)]\nmod tests {\n    use super::*;\n    #[test]\n    fn old() {}\n}\n";
        let head = "fn f() -> u32 { 2 }\n\n#[cfg(test)]\n#[allow(unused)]\nmod tests {\n    use super::*;\n    #[test]\n    fn new() { assert_eq!(f(), 2); }\n}\nfn g() {}\n";
        let spliced = splice(base, head).unwrap();
        assert!(spliced.contains("{ 1 }") && spliced.contains("fn new()") && !spliced.contains("fn old()"));
        assert!(!spliced.contains("fn g"));
        assert_eq!(splice("fn f() {}\n", "fn f() { 1; }\n"), None);
        let added = splice("fn f() {}\n", head).unwrap();
        assert!(added.starts_with("fn f() {}\n#[cfg(test)]"), "{added}");
        assert_eq!(splice(head, head), None);
    }
}
