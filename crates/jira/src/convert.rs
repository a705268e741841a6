//! Conversion of API responses into the types of the ports.

use patchwright_core::forge::{ForgeError, RemoteIssue};
use patchwright_domain::TrackerRef;

use crate::JIRA;
use crate::inbound::{decode_text, inert_mention};
use crate::wire::Issue;

/// Returns the issue and its present reference: an issue that was moved to another project has another key.
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
        body: if fields.description.is_null() {
            String::new()
        } else {
            decode_text(&fields.description, &inert_mention)
        },
        author: fields.reporter.map(|reporter| reporter.display_name).unwrap_or_default(),
        open: !done,
        labels: fields.labels.unwrap_or_default(),
        url: at.url(),
        // Jira writes the zone without a colon, which is no RFC 3339.
        opened_at: fields
            .created
            .and_then(|at| jiff::fmt::strtime::parse("%Y-%m-%dT%H:%M:%S%.f%z", at).ok()?.to_timestamp().ok()),
    };
    Ok((at, remote))
}
