//! Ranks the files of a folder for an issue: `rank FOLDER TITLE [BODY]`.

#![expect(clippy::print_stdout, reason = "an example prints its result")]

use std::sync::Arc;

use patchwright_code_index::{FolderTree, Locator};
use patchwright_core::code_index::IndexQuery;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(folder), Some(title)) = (arguments.next(), arguments.next()) else {
        println!("usage: rank FOLDER TITLE [BODY]");
        return Ok(());
    };
    let body = arguments.next().unwrap_or_default();
    let tree = Arc::new(FolderTree::new(folder));
    let query = IndexQuery::new(tree, title, body).with_limit(10).with_outlines(3);
    let ranking = Locator::new(None).locate(&query)?;
    println!("{} files analyzed", ranking.files_analyzed);
    for (position, file) in ranking.files.iter().enumerate() {
        println!("{:>3}. {} (score {:.2})", position + 1, file.path, file.score);
        for symbol in file.symbols.iter().take(3) {
            println!("       line {}: {} {}", symbol.lines.0, symbol.kind, symbol.name);
        }
        for reason in &file.reasons {
            println!("       {reason}");
        }
    }
    Ok(())
}
