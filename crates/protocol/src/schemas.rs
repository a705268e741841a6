//! Schemas of fields, taken from the types and patterns that read them, so that the description cannot differ from them.

use patchwright_domain::issue::IssueOrder;
use patchwright_domain::jira::LinkStatus;
use patchwright_domain::job::Priority;
use patchwright_domain::job::report::Verdict;
use patchwright_domain::notification::{ChannelKind, NotificationEvent};
use patchwright_domain::pattern::{CLOUD_ID, LABEL, MAX_LABELS, PROJECT, SECRET, SERVICE_ACCOUNT, SITE};
use patchwright_domain::sandbox_grants::{HOST, IMAGE, MAX_ENTRIES, MAX_ENTRY, VARIABLE};
use patchwright_domain::user::{Role, Scope};
use patchwright_domain::{IssueStatus, JobStatus, TaskStatus};
use utoipa::openapi::schema::{Array, ArrayBuilder, Object, ObjectBuilder, SchemaFormat, SchemaType, Type};

/// The formats that mark a field as the id of a platform: the server replaces them by the platforms that it knows.
pub const PLATFORM_FORMAT: &str = "platform";
/// The same for a platform that takes credentials.
pub const CREDENTIAL_PLATFORM_FORMAT: &str = "credential-platform";

fn one_of<'a>(words: impl IntoIterator<Item = &'a str>) -> Object {
    ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words)).build()
}

fn one_of_or_null<'a>(words: impl IntoIterator<Item = &'a str>) -> Object {
    let words = words.into_iter().map(serde_json::Value::from).chain([serde_json::Value::Null]);
    let types = SchemaType::from_iter([Type::String, Type::Null]);
    ObjectBuilder::new().schema_type(types).enum_values(Some(words)).build()
}

fn matching(pattern: &'static str) -> Object {
    ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern)).build()
}

fn matching_or_null(pattern: &'static str) -> Object {
    ObjectBuilder::new().schema_type(SchemaType::from_iter([Type::String, Type::Null])).pattern(Some(pattern)).build()
}

fn with_format(format: &str) -> Object {
    ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::Custom(format.to_owned()))).build()
}

fn list_of(pattern: &'static str) -> Array {
    let entry = ObjectBuilder::new().schema_type(Type::String).pattern(Some(pattern)).max_length(Some(MAX_ENTRY));
    ArrayBuilder::new().items(entry).max_items(Some(MAX_ENTRIES)).build()
}

pub fn granted_hosts() -> Array {
    list_of(HOST)
}

pub fn granted_images() -> Array {
    list_of(IMAGE)
}

pub fn granted_variables() -> Array {
    list_of(VARIABLE)
}

pub fn platform() -> Object {
    with_format(PLATFORM_FORMAT)
}

pub fn keyed_platform() -> Object {
    with_format(CREDENTIAL_PLATFORM_FORMAT)
}

pub fn role() -> Object {
    one_of(Role::ALL.map(Role::as_str))
}

pub fn role_or_null() -> Object {
    one_of_or_null(Role::ALL.map(Role::as_str))
}

pub fn scope() -> Object {
    one_of(Scope::ALL.map(Scope::as_str))
}

pub fn issue_status() -> Object {
    one_of(IssueStatus::ALL.map(IssueStatus::as_str))
}

pub fn issue_order() -> Object {
    one_of(IssueOrder::ALL.map(IssueOrder::as_str))
}

pub fn task_status() -> Object {
    one_of(TaskStatus::ALL.map(TaskStatus::as_str))
}

pub fn job_status() -> Object {
    one_of(JobStatus::ALL.map(JobStatus::as_str))
}

pub fn verdict() -> Object {
    one_of(Verdict::ALL.map(Verdict::as_str))
}

pub fn group() -> Object {
    one_of(crate::stats::GROUPS)
}

pub fn priority_or_null() -> Object {
    one_of_or_null(Priority::ALL.map(Priority::as_str))
}

pub fn report_status() -> Object {
    one_of(["success", "failed"])
}

pub fn link_status_or_null() -> Object {
    one_of_or_null(LinkStatus::ALL.map(LinkStatus::as_str))
}

pub(crate) fn channel_kinds(which: impl Fn(&ChannelKind) -> bool) -> Object {
    one_of(ChannelKind::ALL.iter().filter(|kind| which(kind)).map(|kind| kind.as_str()))
}

fn events(types: SchemaType) -> Array {
    let event = one_of(NotificationEvent::ALL.map(NotificationEvent::as_str));
    ArrayBuilder::new().schema_type(types).items(event).max_items(Some(NotificationEvent::ALL.len())).build()
}

pub fn notification_events() -> Array {
    events(Type::Array.into())
}

pub fn notification_events_or_null() -> Array {
    events(SchemaType::from_iter([Type::Array, Type::Null]))
}

fn labels_of(types: SchemaType) -> Array {
    ArrayBuilder::new().schema_type(types).items(matching(LABEL)).max_items(Some(MAX_LABELS)).build()
}

pub fn labels() -> Array {
    labels_of(Type::Array.into())
}

pub fn labels_or_null() -> Array {
    labels_of(SchemaType::from_iter([Type::Array, Type::Null]))
}

pub fn site() -> Object {
    matching(SITE)
}

pub fn project() -> Object {
    matching(PROJECT)
}

pub fn account_or_null() -> Object {
    matching_or_null(SERVICE_ACCOUNT)
}

pub fn secret_or_null() -> Object {
    matching_or_null(SECRET)
}

pub fn cloud_id_or_null() -> Object {
    matching_or_null(CLOUD_ID)
}
