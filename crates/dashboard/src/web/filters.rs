//! The filters of lists that users keep.

use actix_web::{HttpResponse, web};
use patchwright_management::ManagementError;
use url::form_urlencoded::byte_serialize;

use super::State;
use super::form::Submission;
use super::page_request::{PageError, PageRequest};
use crate::page::SavedFilter;

/// The lists whose filters are kept.
const LISTS: [&str; 2] = ["/issues", "/jobs"];

/// Returns the name under which a filter of a list is kept.
fn name_of(list: &str, label: &str) -> String {
    format!("filter {list} {label}")
}

/// Returns the filters that the viewer keeps for a list, by label.
pub(super) async fn list_saved(
    page: &PageRequest,
    state: &State,
    list: &str,
) -> Result<Vec<SavedFilter>, ManagementError> {
    let prefix = name_of(list, "");
    let kept = state.management.preferences().list(&page.principal).await?;
    let filter = |(name, query): (String, String)| {
        let label = name.strip_prefix(&prefix)?.to_owned();
        Some(SavedFilter { url: format!("{list}?{query}"), label })
    };
    Ok(kept.into_iter().filter_map(filter).collect())
}

/// Serializes a filter of a list, without what is empty.
pub(super) fn query_of(fields: &[(&str, &str)]) -> String {
    let encode = |text: &str| byte_serialize(text.as_bytes()).collect::<String>();
    let given = fields.iter().filter(|(_, value)| !value.is_empty());
    given.map(|(name, value)| format!("{name}={}", encode(value))).collect::<Vec<_>>().join("&")
}

fn list_of(list: &str, page: PageRequest) -> Result<(&str, PageRequest), PageError> {
    if LISTS.contains(&list) { Ok((list, page)) } else { Err(page.error(ManagementError::not_found("list"))) }
}

pub(super) async fn save(
    Submission { page, form }: Submission,
    state: web::Data<State>,
) -> Result<HttpResponse, PageError> {
    let (list, page) = list_of(form.get("list"), page)?;
    let (label, query) = (form.text("label").unwrap_or_default(), form.get("query"));
    let saved = match label.as_str() {
        "" => Err(ManagementError::invalid("no_label", "a filter needs a name")),
        label => state.management.preferences().set(&page.principal, &name_of(list, label), Some(query)).await,
    };
    let message = saved.map(|()| page.translations().done);
    page.respond(message, &format!("{list}?{query}"))
}

pub(super) async fn remove(
    Submission { page, form }: Submission,
    state: web::Data<State>,
) -> Result<HttpResponse, PageError> {
    let (list, page) = list_of(form.get("list"), page)?;
    let name = name_of(list, form.get("label"));
    let removed = state.management.preferences().set(&page.principal, &name, None).await;
    let message = removed.map(|()| page.translations().done);
    page.respond(message, form.return_to(list))
}
