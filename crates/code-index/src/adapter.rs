//! The code index port.

use async_trait::async_trait;
use patchwright_core::code_index::{CodeIndex, CodeIndexError, IndexQuery, RankedFile, Ranking};

use crate::corpus;
use crate::index::Index;
use crate::query::IssueText;

/// Ranks by words, names and traces alone; the index is made anew for every query.
#[derive(Debug, Clone, Copy, Default)]
pub struct LexicalIndex;

#[async_trait]
impl CodeIndex for LexicalIndex {
    async fn rank(&self, query: IndexQuery) -> Result<Ranking, CodeIndexError> {
        let work = move || {
            let index = Index::build(corpus::read(&query.root, query.files));
            let ranked = index.rank(&IssueText::new(query.title, query.body), query.limit);
            let files = ranked
                .into_iter()
                .map(|file| RankedFile { path: file.path, score: file.score, reasons: file.reasons })
                .collect();
            Ranking { files, files_analyzed: index.len() }
        };
        tokio::task::spawn_blocking(work).await.map_err(|error| CodeIndexError { source: Box::new(error) })
    }
}
