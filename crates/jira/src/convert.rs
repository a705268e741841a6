//! Jira's issues as ours.

use patchwright_core::forge::{ForgeError, RemoteIssue};
use patchwright_domain::TrackerRef;

use crate::JIRA;
use crate::comment::read_text;
use crate::wire::Issue;

/// A mention that calls nobody.
pub(crate) fn quiet_mention(_: &str, name: &str) -> String {
    format!("@\u{200b}{}", if name.is_empty() { "somebody" } else { name })
}

/// The issue, and where it is now: one that was moved to another project has another key.
pub(crate) fn issue(site: &str, issue: Issue) -> Result<(TrackerRef, RemoteIssue), ForgeError> {
    let at = TrackerRef::new(JIRA, site, &issue.id, &issue.key).map_err(|source| ForgeError::InvalidResponse {
        platform: JIRA,
        action: "read the issue".to_owned(),
        source: Box::new(source),
    })?;
    let fields = issue.fields;
    let done = fields.status.as_ref().and_then(|status| status.category.as_ref()).is_some_and(|c| c.key == "done");
    let remote = RemoteIssue {
        title: fields.summary.unwrap_or_default(),
        body: if fields.description.is_null() { String::new() } else { read_text(&fields.description, &quiet_mention) },
        author: fields.reporter.map(|reporter| reporter.display_name).unwrap_or_default(),
        open: !done,
        labels: fields.labels.unwrap_or_default(),
        url: at.url(),
    };
    Ok((at, remote))
}
