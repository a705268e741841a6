//! The words that a field may hold, for the description of the API: taken from the types that read them, so that the two
//! cannot differ.

use patchwright_core::stats::GroupBy;
use patchwright_domain::job::Priority;
use patchwright_domain::notification::{ChannelKind, NotificationEvent};
use patchwright_domain::user::{Role, Scope};
use patchwright_domain::{IssueStatus, JobStatus, PlatformId, TaskStatus};
use patchwright_gitcode::GITCODE;
use patchwright_github::GITHUB;
use patchwright_local::LOCAL;
use utoipa::openapi::schema::{Array, ArrayBuilder, Object, ObjectBuilder, SchemaType, Type};

use super::nodes::MAX_LABELS;

fn words<'a>(words: impl IntoIterator<Item = &'a str>) -> Object {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words)).build()
}

/// The same where `null` says that nothing is said.
fn words_or_null<'a>(words: impl IntoIterator<Item = &'a str>) -> Object {
    let words = words.into_iter().map(serde_json::Value::from).chain([serde_json::Value::Null]);
    let kinds = SchemaType::from_iter([Type::String, Type::Null]);
    ObjectBuilder::new().schema_type(kinds).enum_values(Some(words)).build()
}

pub(crate) fn role() -> Object {
    words(Role::ALL.map(Role::as_str))
}

pub(crate) fn role_or_null() -> Object {
    words_or_null(Role::ALL.map(Role::as_str))
}

pub(crate) fn scope() -> Object {
    words(Scope::ALL.map(Scope::as_str))
}

pub(crate) fn platform() -> Object {
    words([&GITHUB, &GITCODE, &LOCAL].map(PlatformId::as_str))
}

pub(crate) fn keyed_platform() -> Object {
    words([&GITHUB, &GITCODE].map(PlatformId::as_str))
}

pub(crate) fn issue_status() -> Object {
    words(IssueStatus::ALL.map(IssueStatus::as_str))
}

pub(crate) fn task_status() -> Object {
    words(TaskStatus::ALL.map(TaskStatus::as_str))
}

pub(crate) fn job_status() -> Object {
    words(JobStatus::ALL.map(JobStatus::as_str))
}

pub(crate) fn group() -> Object {
    words(GroupBy::ALL.map(GroupBy::as_str))
}

pub(crate) fn channel_kinds(which: impl Fn(&ChannelKind) -> bool) -> Object {
    words(ChannelKind::ALL.iter().filter(|kind| which(kind)).map(|kind| kind.as_str()))
}

fn some_events(kinds: SchemaType) -> Array {
    let event = words(NotificationEvent::ALL.map(NotificationEvent::as_str));
    ArrayBuilder::new().schema_type(kinds).items(event).max_items(Some(NotificationEvent::ALL.len())).build()
}

pub(crate) fn notification_events() -> Array {
    some_events(Type::Array.into())
}

/// The same where `null` says that nothing is said.
pub(crate) fn notification_events_or_null() -> Array {
    some_events(SchemaType::from_iter([Type::Array, Type::Null]))
}

pub(crate) fn priority_or_null() -> Object {
    words_or_null(Priority::ALL.map(Priority::as_str))
}

pub(crate) fn report_status() -> Object {
    words(["success", "failed"])
}

fn label() -> Object {
    ObjectBuilder::new().schema_type(Type::String).pattern(Some("^[A-Za-z0-9._:-]{1,60}$")).build()
}

fn some_labels(kinds: SchemaType) -> Array {
    ArrayBuilder::new().schema_type(kinds).items(label()).max_items(Some(MAX_LABELS)).build()
}

pub(crate) fn labels() -> Array {
    some_labels(Type::Array.into())
}

/// The same where `null` says that nothing is said.
pub(crate) fn labels_or_null() -> Array {
    some_labels(SchemaType::from_iter([Type::Array, Type::Null]))
}
