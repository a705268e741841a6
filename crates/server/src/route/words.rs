//! The words that a field may hold, for the description of the API: taken from the types that read them, so that the two
//! cannot differ.

use std::collections::HashMap;
use std::sync::LazyLock;

use patchwright_core::stats::GroupBy;
use patchwright_domain::jira::LinkStatus;
use patchwright_domain::job::Priority;
use patchwright_domain::notification::{ChannelKind, NotificationEvent};
use patchwright_domain::user::{Role, Scope};
use patchwright_domain::{IssueStatus, JobStatus, PlatformId, TaskStatus};
use patchwright_gitcode::GITCODE;
use patchwright_github::GITHUB;
use patchwright_local::LOCAL;
use regex::Regex;
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

/// A site's host: up to six names with dots between.
const SITE: &str = "^[A-Za-z0-9](-?[A-Za-z0-9]){0,30}(\\.[A-Za-z0-9](-?[A-Za-z0-9]){0,30}){0,5}$";
/// The address of a service account.
const ACCOUNT: &str = "^[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9.-]{1,180}$";
/// Something that is secret: one word.
const SECRET: &str = "^[!-~]{8,1000}$";
/// Atlassian's id of a site.
const CLOUD_ID: &str = "^[A-Za-z0-9-]{1,64}$";
/// The key of a project.
const PROJECT: &str = "^[A-Z][A-Z0-9_]{0,79}$";

/// Whether a text is what the description says of it: the same patterns are in both.
fn fits(pattern: &'static str, text: &str) -> bool {
    static KNOWN: LazyLock<HashMap<&str, Regex>> = LazyLock::new(|| {
        let compile = |pattern| (pattern, Regex::new(pattern).expect("the pattern is tested"));
        [SITE, ACCOUNT, SECRET, CLOUD_ID, PROJECT].map(compile).into()
    });
    KNOWN.get(pattern).is_some_and(|regex| regex.is_match(text))
}

pub(crate) fn is_site(text: &str) -> bool {
    fits(SITE, text)
}

pub(crate) fn is_account(text: &str) -> bool {
    fits(ACCOUNT, text)
}

pub(crate) fn is_secret(text: &str) -> bool {
    fits(SECRET, text)
}

pub(crate) fn is_cloud_id(text: &str) -> bool {
    fits(CLOUD_ID, text)
}

pub(crate) fn is_project(text: &str) -> bool {
    fits(PROJECT, text)
}

fn of_form(pattern: &'static str, kinds: impl Into<SchemaType>) -> Object {
    ObjectBuilder::new().schema_type(kinds).pattern(Some(pattern)).build()
}

fn of_form_or_null(pattern: &'static str) -> Object {
    of_form(pattern, SchemaType::from_iter([Type::String, Type::Null]))
}

pub(crate) fn site() -> Object {
    of_form(SITE, Type::String)
}

pub(crate) fn account_or_null() -> Object {
    of_form_or_null(ACCOUNT)
}

pub(crate) fn secret_or_null() -> Object {
    of_form_or_null(SECRET)
}

pub(crate) fn cloud_id_or_null() -> Object {
    of_form_or_null(CLOUD_ID)
}

pub(crate) fn link_status_or_null() -> Object {
    words_or_null(LinkStatus::ALL.map(LinkStatus::as_str))
}
