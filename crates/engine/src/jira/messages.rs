//! Comments in Jira before a job exists.

use patchwright_core::jira::JiraPerson;

use patchwright_core::outgoing_text::neutralise_line;

/// The comment for a deactivated site.
pub(super) fn inactive(app_name: &str) -> String {
    format!("**{app_name}** is deactivated for this site; an administrator of the server can activate it again.\n")
}

/// The comment for an author who has not linked their account.
pub(super) fn not_linked(app_name: &str, person: &JiraPerson, site: &str, public_url: Option<&str>) -> String {
    let who = neutralise_line(&person.display_name, 80);
    let how = match public_url {
        Some(url) => format!("{}/api/v1/jira/link?workspace={site}", url.trim_end_matches('/')),
        None => "the settings of this server".to_owned(),
    };
    format!(
        "{who}, **{app_name}** does not know your account yet. Link your Atlassian account, then repeat your request: {how}\n"
    )
}

/// The comment for an author without access.
pub(super) fn deactivated(app_name: &str, person: &JiraPerson) -> String {
    let who = neutralise_line(&person.display_name, 80);
    format!("{who}, you do not have permission to start **{app_name}**; ask an administrator of the server.\n")
}

/// The comment for an issue that cannot be read.
pub(super) fn unreadable(key: &str, why: &str) -> String {
    format!(
        "The details of {key} cannot be read ({}); check that the service account may see it.\n",
        neutralise_line(why, 200)
    )
}

/// The question for the repository.
pub(super) fn which_repository(app_name: &str, known: &[String]) -> String {
    let mut out = format!(
        "Which repository contains the code of this issue? Reply with its name (`owner/name`) and **{app_name}** will start.\n"
    );
    if !known.is_empty() {
        out.push_str("\nAvailable repositories:\n\n");
        known.iter().take(10).for_each(|name| out.push_str(&format!("- `{name}`\n")));
    }
    if known.len() > 10 {
        out.push_str(&format!("\nand {} more.\n", known.len() - 10));
    }
    out
}

/// The comment for an unknown repository.
pub(super) fn unknown_repository(name: &str) -> String {
    format!(
        "The repository `{}` is not available on this server, or the server may not read it. An administrator can add \
         repositories; then name it again.\n",
        name.replace('`', "'")
    )
}

/// The comment for any other error.
pub(super) fn start_failed(app_name: &str, why: &str) -> String {
    format!("**{app_name}** could not start: {}. Try again later.\n", neutralise_line(why, 300))
}
