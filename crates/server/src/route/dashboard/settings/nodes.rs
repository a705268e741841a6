//! Machines that execute tasks.

use actix_web::web::Path;
use patchwright_core::nodes::Nodes as _;
use patchwright_dashboard::page::{Button, Cell, Field, Form as FormView, Listing, Row};
use patchwright_domain::node::Candidate;
use serde_json::{Value, json};

use super::super::form::Form;
use super::{Done, Look, Parts, body_of, no_such_action, read};
use crate::route::body::By;
use crate::route::error::ApiError;
use crate::route::nodes;

pub(super) async fn page(look: &Look<'_>) -> Result<Parts, ApiError> {
    let (w, all) = (look.words, look.server.app.store.nodes().await?);
    let admin = look.caller.is_admin();
    let row = |found: &Candidate| {
        let node = &found.node;
        let labels: Vec<&str> = node.labels.iter().map(patchwright_domain::node::Label::as_str).collect();
        let at = |verb| format!("/settings/nodes/{}/{verb}", node.id);
        let (class, state) = w.node_state(node.is_online(look.now), node.draining);
        Row {
            cells: vec![
                Cell::Name(node.name.to_string(), labels.join(" ")),
                Cell::Chip(class, state.to_owned()),
                Cell::Text(format!("{} / {}", found.running, node.capacity)),
                Cell::Time(node.seen_at),
            ],
            buttons: if admin {
                vec![Button::new(w.invite, at("invite")).removing(), Button::new(w.remove, at("remove")).removing()]
            } else {
                vec![]
            },
            links: vec![],
        }
    };
    let listing = Listing {
        columns: vec![w.name, w.status, w.tasks_running, w.heartbeat],
        rows: all.iter().map(row).collect(),
        empty: w.no_nodes,
        ..Listing::default()
    };
    let form = FormView {
        title: w.add_node,
        action: "/settings/nodes/add".to_owned(),
        fields: vec![
            Field::text("name", w.name, "builder-1"),
            Field::text("labels", w.labels, "gpu linux").optional(),
            Field::text("push_url", w.push_url, "https://builder-1:8007").optional(),
        ],
        submit: w.add,
    };
    Ok(Parts { listings: vec![listing], forms: admin.then_some(form).into_iter().collect(), next: None })
}

pub(super) async fn add(look: &Look<'_>, form: &Form) -> Result<Done, ApiError> {
    let labels: Vec<&str> = form.get("labels").split_whitespace().collect();
    let body =
        body_of([("name", form.value("name")), ("labels", Value::from(labels)), ("push_url", form.value("push_url"))])?;
    let made = read(nodes::add(By(look.caller.clone(), body), look.server.clone()).await?).await?;
    Ok(Done::secret(&made, "join_token", look.words.join_token.to_owned(), look.words))
}

pub(super) async fn act(look: &Look<'_>, (id, verb): (&str, &str)) -> Result<Done, ApiError> {
    let (caller, id, server) = (look.caller.clone(), Path::from(id.to_owned()), look.server.clone());
    match verb {
        "invite" => {
            let body = body_of([("invite", json!(true))])?;
            let made = read(nodes::change(id, By(caller, body), server).await?).await?;
            Ok(Done::secret(&made, "join_token", look.words.join_token.to_owned(), look.words))
        }
        "remove" => {
            nodes::remove(caller, id, server).await?;
            Ok(Done::plain(look.words))
        }
        _ => Err(no_such_action()),
    }
}
