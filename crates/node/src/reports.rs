//! Reports of completed tasks, stored on disk until the server has them.

use std::path::PathBuf;

use patchwright_domain::{IssueId, TaskId};
use serde::{Deserialize, Serialize};

use crate::identity::write_private;
use patchwright_protocol::node::Report;

/// A report that the server may not have yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct PendingReport {
    pub(crate) issue_id: IssueId,
    pub(crate) report: Report,
}

/// The folder of reports.
#[derive(Debug, Clone)]
pub(crate) struct Reports(PathBuf);

impl Reports {
    pub(crate) fn open(folder: PathBuf) -> std::io::Result<Self> {
        std::fs::create_dir_all(&folder)?;
        Ok(Self(folder))
    }

    fn path(&self, task: TaskId) -> PathBuf {
        self.0.join(format!("{task}.json"))
    }

    /// Stores a report durably.
    pub(crate) fn keep(&self, kept: &PendingReport) -> std::io::Result<()> {
        let text = serde_json::to_string(kept).expect("a report is only text and numbers");
        write_private(&self.path(kept.report.task_id), &text)
    }

    /// Deletes a report that the server has, or has rejected.
    pub(crate) fn forget(&self, task: TaskId) {
        let path = self.path(task);
        if let Err(error) = std::fs::remove_file(&path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(%error, path = %path.display(), "failed to delete a completed report");
        }
    }

    /// Returns all waiting reports.
    pub(crate) fn waiting(&self) -> Vec<PendingReport> {
        let Ok(entries) = std::fs::read_dir(&self.0) else { return Vec::new() };
        let read = |path: PathBuf| {
            let text =
                std::fs::read_to_string(&path).ok().filter(|_| path.extension().is_some_and(|end| end == "json"))?;
            serde_json::from_str(&text)
                .inspect_err(|error| tracing::error!(%error, path = %path.display(), "failed to read a report"))
                .ok()
        };
        entries.flatten().filter_map(|entry| read(entry.path())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use patchwright_protocol::node::ReportStatus;

    #[test]
    fn a_report_outlives_the_process_until_it_is_done_with() {
        let folder = tempfile::tempdir().unwrap();
        let task_id: TaskId = "00000000-0000-0000-0000-000000000001".parse().unwrap();
        let issue_id: IssueId = "00000000-0000-0000-0000-000000000002".parse().unwrap();
        let report =
            Report { task_id, branch_name: None, status: ReportStatus::Failed, error_message: None, outcome: None };
        let kept = PendingReport { issue_id, report };
        Reports::open(folder.path().join("reports")).unwrap().keep(&kept).unwrap();
        let later = Reports::open(folder.path().join("reports")).unwrap();
        std::fs::write(folder.path().join("reports/half.json"), "{").unwrap();
        assert_eq!(later.waiting(), [kept]);
        later.forget(task_id);
        later.forget(task_id);
        assert_eq!(later.waiting(), []);
    }
}
