//! Deliveries of Jira's webhooks with a secret (`X-Hub-Signature`). Those of OAuth applications and Connect are not taken:
//! they carry another kind of signature.

use std::cell::RefCell;
use std::collections::BTreeSet;

use patchwright_core::jira::{JiraDecoder, JiraDelivery, JiraPerson, SiteEvent, SiteEventKind};
use patchwright_core::webhook::{DecodeError, Headers, Text, check_depth, delivery_id, shortened};
use patchwright_domain::TrackerRef;
use patchwright_domain::jira::site_name;

use crate::JIRA;
use crate::comment::read_text;
use crate::wire::{self, Hook, Origin};

const SIGNATURE: &str = "x-hub-signature";
const IDENTIFIER: &str = "x-atlassian-webhook-identifier";
/// The longest name of a person that is kept.
const MAX_NAME: usize = 200;

/// Reads deliveries.
#[derive(Debug, Clone)]
pub struct JiraWebhook {
    app_name: String,
}

impl JiraWebhook {
    /// A decoder that knows the name by which people mention us, without `@`.
    pub fn new(app_name: impl Into<String>) -> Self {
        Self { app_name: app_name.into() }
    }

    fn site_event(&self, hook: Hook, site: &str, own: Option<&str>) -> Result<Result<SiteEvent, String>, DecodeError> {
        let ignored = |reason: &str| Ok(Err(reason.to_owned()));
        let Hook { timestamp, webhook_event, user, issue, comment, changelog } = hook;
        let (kind, person) = match webhook_event.as_str() {
            "comment_created" => {
                let comment = comment.ok_or_else(|| DecodeError::missing("comment"))?;
                let mentions = RefCell::new(Vec::new());
                let body = read_text(&comment.body, &|id, name| {
                    mentions.borrow_mut().push(id.to_owned());
                    self.mention(id, name, own)
                });
                let mentions = mentions.into_inner();
                (SiteEventKind::Commented { comment_id: comment.id, body, mentions }, comment.author)
            }
            "jira:issue_updated" => match added_labels(changelog.as_ref()) {
                labels if labels.is_empty() => return ignored("no label was added"),
                labels => (SiteEventKind::Labeled { labels }, user),
            },
            "jira:issue_created" => {
                let labels = issue.as_ref().and_then(|issue| issue.fields.labels.clone()).unwrap_or_default();
                if labels.is_empty() {
                    return ignored("the issue came without labels");
                }
                (SiteEventKind::Labeled { labels }, user)
            }
            other => return ignored(&format!("the event {:?} starts nothing", shortened(other))),
        };
        let person = person.unwrap_or_default();
        if own.is_some_and(|own| own == person.account_id) {
            return ignored("it is our own doing");
        }
        if person.account_type == "app" {
            return ignored("an app did it, and no person");
        }
        let issue = issue.ok_or_else(|| DecodeError::missing("issue"))?;
        let issue = TrackerRef::new(JIRA, site, &issue.id, &issue.key)
            .map_err(|source| DecodeError::Field { field: "issue.key", source: Box::new(source) })?;
        let person = Some(person).filter(|person| !person.account_id.is_empty()).map(|person| JiraPerson {
            account: person.account_id.chars().take(MAX_NAME).collect(),
            display_name: person.display_name.chars().filter(|c| !c.is_control()).take(MAX_NAME).collect(),
        });
        Ok(Ok(SiteEvent { event_type: webhook_event, issue, timestamp, person, kind }))
    }

    /// A mention that was picked from Jira's list is as good as one that was written.
    fn mention(&self, id: &str, name: &str, own: Option<&str>) -> String {
        if own == Some(id) { format!("@{}", self.app_name) } else { crate::convert::quiet_mention(id, name) }
    }
}

/// The labels that are there now and were not before: Jira tells all of them each time.
fn added_labels(changelog: Option<&wire::Changelog>) -> Vec<String> {
    let words = |text: &Option<String>| -> BTreeSet<String> {
        text.as_deref().unwrap_or_default().split_whitespace().map(str::to_owned).collect()
    };
    let changes = changelog.into_iter().flat_map(|log| &log.items).filter(|item| item.field == "labels");
    changes
        .flat_map(|item| words(&item.to_string).difference(&words(&item.from_string)).cloned().collect::<Vec<_>>())
        .collect()
}

fn read<'a, T: serde::Deserialize<'a>>(body: &'a [u8]) -> Result<T, DecodeError> {
    serde_json::from_slice(body).map_err(|error| DecodeError::Body { detail: error.to_string() })
}

impl JiraDecoder for JiraWebhook {
    fn signature_header(&self) -> &'static str {
        SIGNATURE
    }

    fn site(&self, body: &[u8]) -> Result<String, DecodeError> {
        check_depth(body)?;
        let origin: Origin<'_> = read(body)?;
        let comment = origin.comment.as_ref();
        let author = comment.and_then(|comment| comment.author.as_ref());
        let places = [origin.issue.as_ref(), origin.user.as_ref(), author].into_iter().flatten();
        let addresses = places.map(|place| &place.address).chain(comment.map(|comment| &comment.address));
        let host = |address: &Option<Text<'_>>| {
            let url = url::Url::parse(address.as_ref()?.as_str()).ok()?;
            site_name(url.host_str()?).ok()
        };
        let hosts: BTreeSet<String> = addresses.filter_map(host).collect();
        let mut hosts = hosts.into_iter();
        match (hosts.next(), hosts.next()) {
            (Some(host), None) => Ok(host),
            (None, _) => Err(DecodeError::Body { detail: "no `self` names the site".to_owned() }),
            _ => Err(DecodeError::Body { detail: "its `self` addresses name several sites".to_owned() }),
        }
    }

    fn decode(
        &self,
        headers: &dyn Headers,
        body: &[u8],
        site: &str,
        own_account: Option<&str>,
    ) -> Result<JiraDelivery, DecodeError> {
        let hook: Hook = read(body)?;
        let id = delivery_id(headers, IDENTIFIER, &hook.webhook_event, body)?;
        Ok(JiraDelivery { id, event: self.site_event(hook, site, own_account)? })
    }
}
