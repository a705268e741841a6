//! Lines of files that a text names: links to a forge, positions of compilers and linters, stack frames.

use crate::pattern::pattern;
use crate::words::is_cjk;

/// Lines of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Position {
    /// The path as written, with `/`.
    pub(crate) path: String,
    /// Whether the path is the whole path within a repository, as in a link.
    pub(crate) is_whole: bool,
    /// The first and last line, from 1.
    pub(crate) lines: (u32, u32),
    /// The commit, if the text names it.
    pub(crate) commit: Option<String>,
}

/// The largest number of positions of a text.
const MAX_POSITIONS: usize = 100;

// GitHub, GitLab (`/-/blob/`), GitCode, Gitea (`/src/commit/…`), Bitbucket (`/src/…#lines-12:14`).
pattern!(
    LINK,
    r"https?://[^\s()<>\[\]]+?/(?:blob|blame|raw|src)/(?:(?:commit|branch|tag)/)?([\w.-]+)/([^\s()<>\[\]#?]+)(?:\?[^\s#()]*)?#(?:L|lines-)(\d+)(?:C\d+)?(?:[-:]L?(\d+))?"
);
pattern!(PERMALINK, r"([\w./~-]*\w\.\w{1,5})#L(\d+)(?:C\d+)?(?:-L?(\d+))?");
// `a.py:3`, `a.py:3:5`, `a.cs(3,5)`, `"a.py", line 3`, `a.php on line 3`, `a.py at line 3`.
pattern!(
    POSITION,
    r#"([\w./\\~@-]*\w\.[A-Za-z]{1,5})(?::|\(|"?,? (?:on |at )?lines? )(\d+)(?:\)|,\d+\)|:\d+)?(?:-(\d+))?"#
);

/// Finds the positions of a text.
pub(super) fn find_positions(text: &str) -> Vec<Position> {
    let line = |digits: &str| digits.parse::<u32>().ok().filter(|line| *line > 0);
    let mut found: Vec<Position> = Vec::new();
    for link in LINK.captures_iter(text) {
        let Some(first) = line(&link[3]) else { continue };
        let last = link.get(4).and_then(|last| line(last.as_str())).unwrap_or(first);
        let is_commit = link[1].len() >= 40 && link[1].bytes().all(|byte| byte.is_ascii_hexdigit());
        found.push(Position {
            path: link[2].to_owned(),
            is_whole: true,
            lines: (first.min(last), first.max(last)),
            commit: is_commit.then(|| link[1].to_ascii_lowercase()),
        });
    }
    let rest = LINK.replace_all(text, " ");
    for one in PERMALINK.captures_iter(&rest).chain(POSITION.captures_iter(&rest)) {
        let Some(first) = line(&one[2]) else { continue };
        let last = one.get(3).and_then(|last| line(last.as_str())).filter(|last| *last >= first).unwrap_or(first);
        let path = one[1].replace('\\', "/").trim_start_matches("./").to_owned();
        // Chinese text precedes a path without a space, and a folder may have a Chinese name.
        let latin = path.trim_start_matches(is_cjk).to_owned();
        for path in [Some(latin.clone()), Some(path).filter(|path| *path != latin)].into_iter().flatten() {
            found.push(Position { path, is_whole: false, lines: (first, last), commit: None });
        }
    }
    found.truncate(MAX_POSITIONS);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(text: &str) -> Vec<(String, (u32, u32))> {
        find_positions(text).into_iter().map(|position| (position.path, position.lines)).collect()
    }

    fn place(path: &str, first: u32, last: u32) -> Vec<(String, (u32, u32))> {
        vec![(path.to_owned(), (first, last))]
    }

    #[test]
    fn links_to_every_forge_name_lines_of_a_commit() {
        let commit = "3be7110d2650bbe78eda673001a7adeba62575b0";
        for (link, last) in [
            (format!("https://github.com/acme/shop/blob/{commit}/shop/cart.py#L12-L14"), 14),
            (format!("https://github.com/acme/shop/blame/{commit}/shop/cart.py#L12"), 12),
            (format!("https://gitlab.com/acme/group/shop/-/blob/{commit}/shop/cart.py#L12-14"), 14),
            (format!("https://gitcode.com/acme/shop/blob/{commit}/shop/cart.py?init=init#L12"), 12),
            (format!("https://codeberg.org/acme/shop/src/commit/{commit}/shop/cart.py#L12-L14"), 14),
            (format!("https://bitbucket.org/acme/shop/src/{commit}/shop/cart.py#lines-12:14"), 14),
        ] {
            let found = find_positions(&format!("见 {link}。"));
            let expected = Position {
                path: "shop/cart.py".to_owned(),
                is_whole: true,
                lines: (12, last),
                commit: Some(commit.to_owned()),
            };
            assert_eq!(found, [expected], "{link}");
        }
        let branch = find_positions("see [here](https://github.com/acme/shop/blob/main/shop/cart.py#L12)");
        assert_eq!((branch.len(), branch[0].commit.as_deref(), branch[0].lines), (1, None, (12, 12)));
    }

    #[test]
    fn positions_of_compilers_linters_and_stack_frames_are_found() {
        assert_eq!(places("see compiler.py#L428-L433"), place("compiler.py", 428, 433));
        assert_eq!(places("shop/cart.py:12: error: no such name"), place("shop/cart.py", 12, 12));
        assert_eq!(places("  --> src/cart.rs:12:5"), place("src/cart.rs", 12, 12));
        assert_eq!(places("src\\Cart.cs(12,5): error CS0103"), place("src/Cart.cs", 12, 12));
        assert_eq!(places("src/cart.ts(12,5): error TS2304"), place("src/cart.ts", 12, 12));
        assert_eq!(
            places("  File \"/usr/lib/shop/cart.py\", line 12, in total"),
            place("/usr/lib/shop/cart.py", 12, 12)
        );
        assert_eq!(places("PHP Fatal error in /var/www/cart.php on line 12"), place("/var/www/cart.php", 12, 12));
        assert_eq!(places("wrong in models.py line 144"), place("models.py", 144, 144));
        assert_eq!(places("在cart.py:12处出错")[..1], place("cart.py", 12, 12));
        assert!(places("购物/cart.py:12 出错").contains(&("购物/cart.py".to_owned(), (12, 12))));
        assert!(places("at 12:30, version 3.1, a.py and b.py:0").is_empty());
    }
}
