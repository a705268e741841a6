//! Notification channels.

use patchwright_core::Secret;
use patchwright_domain::id::InvalidId;
use patchwright_domain::notification::{Channel, ChannelKind, NotificationEvent};
use patchwright_domain::{ChannelId, NoticeId};
use patchwright_management::{ManagementError, NewChannel};

use super::super::form::Form;
use super::{FormOutcome, SettingsContext, SettingsView, choices, no_such_action, parse_id};
use crate::page::{Button, Cell, Field, Form as FormView, Input, Listing, Row};

/// How many failed notifications are shown.
const MAX_FAILED: u16 = 20;

pub(super) async fn view(context: &SettingsContext<'_>) -> Result<SettingsView, ManagementError> {
    let (w, admin) = (context.translations, context.principal.is_admin());
    let all = context.management.channels().list(context.principal).await?;
    let row = |channel: &Channel| {
        let at = |verb| format!("/settings/notifications/{}/{verb}", channel.id);
        let events: Vec<&str> = channel.events.iter().map(|event| w.event(*event)).collect();
        let whose = if channel.owner.is_none() { format!(" · {}", w.of_everyone) } else { String::new() };
        Row {
            cells: vec![
                Cell::Name(channel.name.clone(), format!("{}{whose}", channel.target)),
                Cell::Text(channel.kind.as_str().to_owned()),
                Cell::Text(events.join(", ")),
            ],
            buttons: vec![Button::new(w.try_it, at("test")), Button::new(w.remove, at("remove")).removing()],
            links: vec![],
        }
    };
    let listing = Listing {
        columns: vec![w.name, w.kind, w.events],
        rows: all.iter().map(row).collect(),
        empty: w.no_channels,
        ..Listing::default()
    };
    let mut listings = vec![listing];
    if admin {
        listings.extend(failed(context, &all).await?);
    }
    Ok(SettingsView { listings, forms: vec![form(context)], next: None })
}

/// The notifications that could not be sent, if there are any.
async fn failed(context: &SettingsContext<'_>, channels: &[Channel]) -> Result<Option<Listing>, ManagementError> {
    let (w, dead) = (context.translations, context.management.channels().failed(context.principal, MAX_FAILED).await?);
    let row = |(_, channel, error): (NoticeId, ChannelId, String)| {
        let name = channels.iter().find(|one| one.id == channel).map_or("–", |one| one.name.as_str());
        Row { cells: vec![Cell::Text(name.to_owned()), Cell::Text(error)], buttons: vec![], links: vec![] }
    };
    let rows: Vec<Row> = dead.into_iter().map(row).collect();
    let listing = Listing { title: w.given_up, columns: vec![w.name, w.outcome], rows, empty: "" };
    Ok(Some(listing).filter(|listing| !listing.rows.is_empty()))
}

fn form(context: &SettingsContext<'_>) -> FormView {
    let w = context.translations;
    let events = NotificationEvent::ALL.map(|event| (event.as_str().to_owned(), w.event(event).to_owned()));
    let mut fields = vec![
        Field::text("name", w.name, "team"),
        Field::text("kind", w.kind, "").of(Input::Choice(choices(ChannelKind::ALL.map(ChannelKind::as_str)))),
        Field::text("target", w.target, "https://hooks.example/…"),
        Field::text("events", w.events, "").of(Input::Boxes(events.into())),
        Field::text("repository", w.repository, "owner/name").optional(),
        Field::text("secret", w.channel_secret, "").of(Input::Secret).optional(),
    ];
    if context.principal.is_admin() {
        let everyone = vec![("true".to_owned(), w.of_everyone.to_owned())];
        fields.push(Field::text("everyone", "", "").of(Input::Boxes(everyone)));
    }
    FormView {
        title: w.add_channel,
        action: "/settings/notifications/add".to_owned(),
        fields,
        submit: w.add,
        problem: None,
    }
}

pub(super) async fn add(context: &SettingsContext<'_>, form: &Form) -> Result<FormOutcome, ManagementError> {
    let kind = ChannelKind::parse(form.get("kind"));
    let events = form.all("events").map(NotificationEvent::parse).collect::<Option<_>>();
    let repository = form.text("repository").map(|name| name.parse()).transpose();
    let new = NewChannel {
        name: form.text("name").unwrap_or_default(),
        kind: kind.ok_or_else(|| ManagementError::invalid("bad_kind", "there is no such kind"))?,
        target: form.text("target").unwrap_or_default(),
        events: events.ok_or_else(|| ManagementError::invalid("bad_event", "there is no such event"))?,
        repository: repository
            .map_err(|error: InvalidId| ManagementError::invalid("bad_repository", error.to_string()))?,
        everyone: form.get("everyone") == "true",
        secret: form.text("secret").map(Secret::new),
    };
    let created = context.management.channels().create(context.principal, new).await?;
    Ok(FormOutcome::revealed(created.secret, context.translations.channel_secret.to_owned(), context))
}

pub(super) async fn act(
    context: &SettingsContext<'_>,
    (id, action): (&str, &str),
) -> Result<FormOutcome, ManagementError> {
    let (channels, id) = (context.management.channels(), parse_id(id, "channel")?);
    match action {
        "test" => {
            channels.send_test(context.principal, id).await?;
            Ok(FormOutcome::Message(context.translations.sent))
        }
        "remove" => {
            channels.delete(context.principal, id).await?;
            Ok(FormOutcome::done(context))
        }
        _ => Err(no_such_action()),
    }
}
