//! Where one is told of what happens.

use actix_web::web::Path;
use patchwright_core::notifications::Channels as _;
use patchwright_dashboard::page::{Button, Cell, Field, Form as FormView, Input, Listing, Row};
use patchwright_domain::notification::{Channel, ChannelKind, NotificationEvent};
use serde_json::{Value, json};

use super::super::form::Form;
use super::{Done, Look, Parts, body_of, choices, no_such_action, read};
use crate::route::body::By;
use crate::route::error::ApiError;
use crate::route::notifications;

pub(super) async fn page(look: &Look<'_>) -> Result<Parts, ApiError> {
    let (w, admin) = (look.words, look.caller.is_admin());
    let of = if admin { None } else { look.caller.id };
    let all = if admin || of.is_some() { look.server.app.vault.channels(of).await? } else { Vec::new() };
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
        listings.extend(given_up(look, &all).await?);
    }
    Ok(Parts { listings, forms: vec![form(look)], next: None })
}

/// What could not be told, where there is something.
async fn given_up(look: &Look<'_>, channels: &[Channel]) -> Result<Option<Listing>, ApiError> {
    let (w, dead) = (look.words, look.server.app.vault.dead_notices(20).await?);
    let row = |(_, channel, error): (patchwright_domain::NoticeId, patchwright_domain::ChannelId, String)| {
        let name = channels.iter().find(|one| one.id == channel).map_or("–", |one| one.name.as_str());
        Row { cells: vec![Cell::Text(name.to_owned()), Cell::Text(error)], buttons: vec![], links: vec![] }
    };
    let rows: Vec<Row> = dead.into_iter().map(row).collect();
    let listing = Listing { title: w.given_up, columns: vec![w.name, w.outcome], rows, empty: "" };
    Ok(Some(listing).filter(|listing| !listing.rows.is_empty()))
}

fn form(look: &Look<'_>) -> FormView {
    let w = look.words;
    let events = NotificationEvent::ALL.map(|event| (event.as_str().to_owned(), w.event(event).to_owned()));
    let mut fields = vec![
        Field::text("name", w.name, "team"),
        Field::text("kind", w.kind, "").of(Input::Choice(choices(ChannelKind::ALL.map(ChannelKind::as_str)))),
        Field::text("target", w.target, "https://hooks.example/…"),
        Field::text("events", w.events, "").of(Input::Boxes(events.into())),
        Field::text("repository", w.repository, "owner/name").optional(),
        Field::text("secret", w.channel_secret, "").of(Input::Secret).optional(),
    ];
    if look.caller.is_admin() {
        let everyone = vec![("true".to_owned(), w.of_everyone.to_owned())];
        fields.push(Field::text("everyone", "", "").of(Input::Boxes(everyone)));
    }
    FormView { title: w.add_channel, action: "/settings/notifications/add".to_owned(), fields, submit: w.add }
}

pub(super) async fn add(look: &Look<'_>, form: &Form) -> Result<Done, ApiError> {
    let events: Vec<&str> = form.all("events").collect();
    let body = body_of([
        ("name", form.value("name")),
        ("kind", form.value("kind")),
        ("target", form.value("target")),
        ("events", Value::from(events)),
        ("repository", form.value("repository")),
        ("secret", form.value("secret")),
        ("everyone", json!(form.get("everyone") == "true")),
    ])?;
    let made = read(notifications::add(By(look.caller.clone(), body), look.server.clone()).await?).await?;
    Ok(Done::secret(&made, "secret", look.words.channel_secret.to_owned(), look.words))
}

pub(super) async fn act(look: &Look<'_>, (id, verb): (&str, &str)) -> Result<Done, ApiError> {
    let (caller, id, server) = (look.caller.clone(), Path::from(id.to_owned()), look.server.clone());
    match verb {
        "test" => {
            notifications::trial(caller, id, server).await?;
            Ok(Done::Transcript(look.words.sent))
        }
        "remove" => {
            notifications::remove(caller, id, server).await?;
            Ok(Done::plain(look.words))
        }
        _ => Err(no_such_action()),
    }
}
