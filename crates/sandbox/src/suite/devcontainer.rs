//! `devcontainer.json`: the container image in which a repository is developed.

use std::path::Path;

use crate::tree::read_text;

/// Where it may lie, first match first (<https://containers.dev/implementors/spec/#devcontainerjson>).
const PLACES: [&str; 2] = [".devcontainer/devcontainer.json", ".devcontainer.json"];

/// Returns the image that a repository names. One that is built from a Dockerfile has none.
pub(super) fn image(tree: &Path) -> Option<String> {
    let text = PLACES.iter().map(|place| read_text(tree, place)).find(|text| !text.is_empty())?;
    // Comments and commas at the end are allowed in it.
    let mut bytes = text.into_bytes();
    json_strip_comments::strip_slice(&mut bytes).ok()?;
    let value: serde_json::Value = serde_json::from_slice(&bytes).ok()?;
    Some(value.get("image")?.as_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::tree_of;
    use super::*;

    #[test]
    fn the_image_is_read_with_comments_around_it() {
        let text = "// for editors\n{\n  /* the image */ \"image\": \"mcr.example/python:3.12\", // pinned\n  \"features\": {},\n}";
        let tree = tree_of(&[(".devcontainer/devcontainer.json", text)]);
        assert_eq!(image(tree.path()).as_deref(), Some("mcr.example/python:3.12"));
        let built = tree_of(&[(".devcontainer.json", r#"{"build": {"dockerfile": "Dockerfile"}}"#)]);
        assert_eq!((image(built.path()), image(tree_of(&[]).path())), (None, None));
    }
}
