//! The contract of stored settings.

use std::sync::Arc;

use patchwright_core::Secret;
use patchwright_core::audit::Audit;
use patchwright_core::stored_settings::{SettingChange, StoredSettings};

use super::audit::actions;
use crate::build::{after, audit_entry};

/// Runs the whole suite. `fresh` creates an empty store and its audit log.
pub async fn suite<F, Fut>(fresh: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = (Arc<dyn StoredSettings>, Arc<dyn Audit>)>,
{
    let (settings, audit) = fresh().await;
    the_last_value_of_a_setting_is_kept(settings.as_ref(), audit.as_ref()).await;
}

fn change(name: &str, value: Option<&str>, action: &str) -> SettingChange {
    SettingChange { name: name.to_owned(), value: value.map(Secret::new), audit: audit_entry(action) }
}

async fn the_last_value_of_a_setting_is_kept(settings: &dyn StoredSettings, audit: &dyn Audit) {
    assert!(settings.stored_settings().await.unwrap().is_empty());
    let both = vec![change("LLM_MODEL", Some("small"), "model"), change("LLM_API_KEY", Some("sk-1"), "key")];
    settings.change_settings(both, "olga", after(1)).await.unwrap();
    settings.change_settings(vec![change("LLM_MODEL", Some("large"), "model again")], "mia", after(2)).await.unwrap();
    let stored = settings.stored_settings().await.unwrap();
    let shown: Vec<_> =
        stored.iter().map(|one| (one.name.as_str(), one.value.expose(), one.changed_by.as_str())).collect();
    assert_eq!(shown, [("LLM_API_KEY", "sk-1", "olga"), ("LLM_MODEL", "large", "mia")]);
    assert_eq!(stored[1].changed_at, after(2));
    let removals = vec![change("LLM_API_KEY", None, "removed"), change("LLM_TOOLS", None, "nothing is removed")];
    settings.change_settings(removals, "olga", after(3)).await.unwrap();
    assert_eq!(settings.stored_settings().await.unwrap().len(), 1);
    let mut recorded = actions(audit).await;
    recorded.sort_unstable();
    assert_eq!(recorded, ["key", "model", "model again", "removed"]);
}
