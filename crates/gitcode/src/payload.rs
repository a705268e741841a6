//! GitCode's webhook payloads. They resemble GitLab's and vary: the fields are the union of recorded payloads, the samples of
//! `docs/requirements.md#r221` and GitCode's documentation. Unknown fields are accepted.

use patchwright_core::webhook::Text;
use serde::Deserialize;

#[derive(Debug, Deserialize)]
pub(crate) struct Hook<'a> {
    /// The delivery's id; a header carries it as well.
    #[serde(borrow)]
    pub(crate) uuid: Option<Text<'a>>,
    /// The account that caused the event.
    #[serde(borrow)]
    pub(crate) user: Option<User<'a>>,
    #[serde(borrow)]
    pub(crate) project: Option<Project<'a>>,
    #[serde(borrow)]
    pub(crate) object_attributes: Option<Attributes<'a>>,
    /// The issue of a note.
    #[serde(borrow)]
    pub(crate) issue: Option<Issue<'a>>,
    /// The merge request of a note.
    #[serde(borrow)]
    pub(crate) merge_request: Option<MergeRequest<'a>>,
    #[serde(borrow, default)]
    pub(crate) changes: Changes<'a>,
    #[serde(borrow, default)]
    pub(crate) labels: Vec<Label<'a>>,
    #[serde(borrow, default)]
    pub(crate) assignees: Vec<User<'a>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct User<'a> {
    pub(crate) id: Option<i64>,
    #[serde(borrow, alias = "login")]
    pub(crate) username: Option<Text<'a>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Project<'a> {
    #[serde(borrow)]
    pub(crate) path_with_namespace: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) namespace: Option<Namespace<'a>>,
    #[serde(borrow)]
    pub(crate) name: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) default_branch: Option<Text<'a>>,
}

/// A string in recorded payloads, an object in `docs/requirements.md#r221`.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Namespace<'a> {
    Name(#[serde(borrow)] Text<'a>),
    Object {
        #[serde(borrow)]
        path: Option<Text<'a>>,
        #[serde(borrow)]
        name: Option<Text<'a>>,
    },
}

#[derive(Debug, Deserialize)]
pub(crate) struct Attributes<'a> {
    /// The id of the note, or the global id of an issue, which the API does not accept.
    pub(crate) id: Option<u64>,
    /// The number within the repository, which users see and the API accepts.
    pub(crate) iid: Option<Number<'a>>,
    #[serde(borrow)]
    pub(crate) title: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) description: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) action: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) state: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) note: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) noteable_type: Option<Text<'a>>,
    pub(crate) system: Option<bool>,
    #[serde(borrow)]
    pub(crate) author: Option<User<'a>>,
    #[serde(default)]
    pub(crate) assignee_ids: Vec<i64>,
    pub(crate) assignee_id: Option<i64>,
    #[serde(borrow)]
    pub(crate) updated_at: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) created_at: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) source_branch: Option<Text<'a>>,
    /// The place of a note on a diff; empty for other notes.
    #[serde(borrow)]
    pub(crate) position: Option<Position<'a>>,
    #[serde(borrow)]
    pub(crate) st_diff: Option<Diff<'a>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct MergeRequest<'a> {
    #[serde(borrow, alias = "number")]
    pub(crate) iid: Number<'a>,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct Position<'a> {
    #[serde(borrow)]
    pub(crate) new_path: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) old_path: Option<Text<'a>>,
    pub(crate) new_line: Option<u64>,
    pub(crate) old_line: Option<u64>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Diff<'a> {
    #[serde(borrow)]
    pub(crate) diff: Option<Text<'a>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Issue<'a> {
    #[serde(alias = "number")]
    pub(crate) iid: Number<'a>,
    #[serde(borrow)]
    pub(crate) title: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) description: Option<Text<'a>>,
    #[serde(borrow)]
    pub(crate) author: Option<User<'a>>,
    #[serde(borrow)]
    pub(crate) created_at: Option<Text<'a>>,
}

/// A number in webhooks, a string with a number in the API.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(crate) enum Number<'a> {
    Number(u64),
    Text(#[serde(borrow)] Text<'a>),
}

impl Number<'_> {
    pub(crate) fn value(&self) -> Option<u64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(text) => text.as_str().parse().ok(),
        }
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct Label<'a> {
    #[serde(borrow, alias = "name")]
    pub(crate) title: Text<'a>,
}

/// The fields that an update changed. The assignees and labels themselves are repeated in every later update.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Changes<'a> {
    #[serde(borrow)]
    pub(crate) labels: Option<Change<Vec<Label<'a>>>>,
    pub(crate) assignee_ids: Option<Change<serde::de::IgnoredAny>>,
    pub(crate) assignee_id: Option<Change<serde::de::IgnoredAny>>,
    pub(crate) assignees: Option<Change<serde::de::IgnoredAny>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Change<T> {
    #[serde(default = "Option::default")]
    pub(crate) previous: Option<T>,
    #[serde(default = "Option::default")]
    pub(crate) current: Option<T>,
}
