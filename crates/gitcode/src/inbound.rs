//! Conversion of webhook payloads into platform-neutral events.

use patchwright_core::webhook::{DecodeError, Text};
use patchwright_domain::{BranchName, IssueNumber, RepoName};

use crate::event;

pub(crate) fn repository(project: &event::Project<'_>) -> Result<RepoName, DecodeError> {
    let parsed = match (&project.path_with_namespace, &project.namespace, &project.name) {
        (Some(path), _, _) => path.as_str().parse(),
        (None, Some(event::Namespace::Name(owner)), Some(name)) => RepoName::new(owner.as_str(), name.as_str()),
        (None, Some(event::Namespace::Object { path, name: full }), Some(name)) => {
            let owner =
                path.as_ref().or(full.as_ref()).ok_or_else(|| DecodeError::missing("project.namespace.name"))?;
            RepoName::new(owner.as_str(), name.as_str())
        }
        _ => return Err(DecodeError::missing("project.path_with_namespace")),
    };
    parsed.map_err(|source| DecodeError::Field { field: "project", source: Box::new(source) })
}

pub(crate) fn default_branch(project: &event::Project<'_>) -> Result<Option<BranchName>, DecodeError> {
    let name = project.default_branch.as_ref().map(Text::as_str).filter(|name| !name.is_empty());
    name.map(BranchName::parse)
        .transpose()
        .map_err(|source| DecodeError::Field { field: "project.default_branch", source: Box::new(source) })
}

pub(crate) fn number(number: Option<&event::Number<'_>>, field: &'static str) -> Result<IssueNumber, DecodeError> {
    let number = number.ok_or_else(|| DecodeError::missing(field))?;
    let number = number.value().ok_or_else(|| DecodeError::Field { field, source: "it is not a number".into() })?;
    IssueNumber::parse(number).map_err(|source| DecodeError::Field { field, source: Box::new(source) })
}
