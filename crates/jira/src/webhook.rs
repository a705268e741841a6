//! Decoding of deliveries from Jira's webhooks with a secret (`X-Hub-Signature`). Webhooks of OAuth and Connect applications
//! have another kind of signature and are not supported.

use std::cell::RefCell;
use std::collections::BTreeSet;

use patchwright_core::jira::{JiraDecoder, JiraDelivery, JiraPerson, SiteEvent, SiteEventKind};
use patchwright_core::webhook::{DecodeError, Headers, Text, check_depth, resolve_delivery_id, shorten_name};
use patchwright_domain::TrackerRef;
use patchwright_domain::jira::site_name;

use crate::JIRA;
use crate::inbound::{decode_text, inert_mention};
use crate::payload::{Changelog, Hook, Origin};

const SIGNATURE_HEADER: &str = "x-hub-signature";
const DELIVERY_HEADER: &str = "x-atlassian-webhook-identifier";
/// The longest account id and display name that are kept.
const MAX_NAME_CHARS: usize = 200;

/// Decodes Jira's deliveries. The caller verifies the signature with the secret of the site.
#[derive(Debug, Clone)]
pub struct JiraWebhook {
    app_name: String,
}

impl JiraWebhook {
    /// Creates a decoder. A mention of the own account is converted into `@` and `app_name`.
    pub fn new(app_name: impl Into<String>) -> Self {
        Self { app_name: app_name.into() }
    }

    /// Returns the event of a payload, or the reason why it starts no job.
    fn event(&self, hook: Hook, site: &str, own: Option<&str>) -> Result<Result<SiteEvent, String>, DecodeError> {
        let ignored = |reason: &str| Ok(Err(reason.to_owned()));
        let Hook { timestamp, webhook_event, user, issue, comment, changelog } = hook;
        let (kind, person) = match webhook_event.as_str() {
            "comment_created" => {
                let comment = comment.ok_or_else(|| DecodeError::missing("comment"))?;
                let mentions = RefCell::new(Vec::new());
                let body = decode_text(&comment.body, &|id, name| {
                    mentions.borrow_mut().push(id.to_owned());
                    self.format_mention(id, name, own)
                });
                let mentions = mentions.into_inner();
                (SiteEventKind::Commented { comment_id: comment.id, body, mentions }, comment.author)
            }
            "jira:issue_updated" => match parse_added_labels(changelog.as_ref()) {
                labels if labels.is_empty() => return ignored("no label was added"),
                labels => (SiteEventKind::Labeled { labels }, user),
            },
            "jira:issue_created" => {
                let labels = issue.as_ref().and_then(|issue| issue.fields.labels.clone()).unwrap_or_default();
                if labels.is_empty() {
                    return ignored("the new issue has no labels");
                }
                (SiteEventKind::Labeled { labels }, user)
            }
            other => return ignored(&format!("the event {:?} starts no job", shorten_name(other))),
        };
        let person = person.unwrap_or_default();
        if own.is_some_and(|own| own == person.account_id) {
            return ignored("it was caused by the own account");
        }
        if person.account_type == "app" {
            return ignored("it was caused by an app");
        }
        let issue = issue.ok_or_else(|| DecodeError::missing("issue"))?;
        let issue = TrackerRef::new(JIRA, site, &issue.id, &issue.key)
            .map_err(|source| DecodeError::Field { field: "issue.key", source: Box::new(source) })?;
        let person = Some(person).filter(|person| !person.account_id.is_empty()).map(|person| JiraPerson {
            account: person.account_id.chars().take(MAX_NAME_CHARS).collect(),
            display_name: person.display_name.chars().filter(|c| !c.is_control()).take(MAX_NAME_CHARS).collect(),
        });
        Ok(Ok(SiteEvent { event_type: webhook_event, issue, timestamp, person, kind }))
    }

    /// Formats a mention of the own account, which users pick from Jira's list, like one that they type.
    fn format_mention(&self, id: &str, name: &str, own: Option<&str>) -> String {
        if own == Some(id) { format!("@{}", self.app_name) } else { inert_mention(id, name) }
    }
}

/// Returns the labels that are new: a changelog lists all labels before and after a change, separated by spaces.
fn parse_added_labels(changelog: Option<&Changelog>) -> Vec<String> {
    let labels = |text: &Option<String>| -> BTreeSet<String> {
        text.as_deref().unwrap_or_default().split_whitespace().map(str::to_owned).collect()
    };
    let changes = changelog.into_iter().flat_map(|log| &log.items).filter(|item| item.field == "labels");
    changes
        .flat_map(|item| labels(&item.to_string).difference(&labels(&item.from_string)).cloned().collect::<Vec<_>>())
        .collect()
}

fn decode_json<'a, T: serde::Deserialize<'a>>(body: &'a [u8]) -> Result<T, DecodeError> {
    serde_json::from_slice(body).map_err(|error| DecodeError::Body { detail: error.to_string() })
}

impl JiraDecoder for JiraWebhook {
    fn signature_header(&self) -> &'static str {
        SIGNATURE_HEADER
    }

    fn site(&self, body: &[u8]) -> Result<String, DecodeError> {
        check_depth(body)?;
        let origin: Origin<'_> = decode_json(body)?;
        let comment = origin.comment.as_ref();
        let author = comment.and_then(|comment| comment.author.as_ref());
        let resources = [origin.issue.as_ref(), origin.user.as_ref(), author].into_iter().flatten();
        let addresses = resources.map(|resource| &resource.address).chain(comment.map(|comment| &comment.address));
        let host = |address: &Option<Text<'_>>| {
            let url = url::Url::parse(address.as_ref()?.as_str()).ok()?;
            site_name(url.host_str()?).ok()
        };
        let hosts: BTreeSet<String> = addresses.filter_map(host).collect();
        let mut hosts = hosts.into_iter();
        match (hosts.next(), hosts.next()) {
            (Some(host), None) => Ok(host),
            (None, _) => Err(DecodeError::Body { detail: "no `self` address names a site".to_owned() }),
            _ => Err(DecodeError::Body { detail: "the `self` addresses name several sites".to_owned() }),
        }
    }

    fn decode(
        &self,
        headers: &dyn Headers,
        body: &[u8],
        site: &str,
        own_account: Option<&str>,
    ) -> Result<JiraDelivery, DecodeError> {
        let hook: Hook = decode_json(body)?;
        let id = resolve_delivery_id(headers, DELIVERY_HEADER, &hook.webhook_event, body)?;
        Ok(JiraDelivery { id, event: self.event(hook, site, own_account)? })
    }
}
