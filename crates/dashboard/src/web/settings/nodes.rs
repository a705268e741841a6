//! Nodes.

use patchwright_domain::node::{Candidate, Label};
use patchwright_management::{InvitedNode, ManagementError, NewNode, NodeUpdate};

use super::super::form::Form;
use super::{FormOutcome, SettingsContext, SettingsView, no_such_action, parse_id};
use crate::page::{Button, Cell, Field, Form as FormView, Listing, Row};

pub(super) async fn view(context: &SettingsContext<'_>) -> Result<SettingsView, ManagementError> {
    let (w, all) = (context.translations, context.management.nodes().list().await?);
    let admin = context.principal.is_admin();
    let row = |found: &Candidate| {
        let node = &found.node;
        let labels: Vec<&str> = node.labels.iter().map(Label::as_str).collect();
        let at = |verb| format!("/settings/nodes/{}/{verb}", node.id);
        let (class, state) = w.node_state(node.is_online(context.now), node.draining);
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
        problem: None,
    };
    Ok(SettingsView { listings: vec![listing], forms: admin.then_some(form).into_iter().collect(), next: None })
}

/// The outcome of an invitation: its join token, when there is one.
fn invited(invited: InvitedNode, context: &SettingsContext<'_>) -> FormOutcome {
    let token = invited.join_token.map(|(token, _)| token);
    FormOutcome::revealed(token, context.translations.join_token.to_owned(), context)
}

pub(super) async fn add(context: &SettingsContext<'_>, form: &Form) -> Result<FormOutcome, ManagementError> {
    let new = NewNode {
        name: form.text("name").unwrap_or_default(),
        labels: form.get("labels").split_whitespace().map(str::to_owned).collect(),
        push_url: form.text("push_url"),
    };
    let created = context.management.nodes().create(context.principal, new).await?;
    Ok(invited(created, context))
}

pub(super) async fn act(
    context: &SettingsContext<'_>,
    (id, action): (&str, &str),
) -> Result<FormOutcome, ManagementError> {
    let (nodes, id) = (context.management.nodes(), parse_id(id, "node")?);
    match action {
        "invite" => {
            let update = NodeUpdate { invite: true, ..NodeUpdate::default() };
            Ok(invited(nodes.update(context.principal, id, update).await?, context))
        }
        "remove" => {
            nodes.delete(context.principal, id).await?;
            Ok(FormOutcome::done(context))
        }
        _ => Err(no_such_action()),
    }
}
