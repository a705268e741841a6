//! `patchwright config`

use crate::config::Values;
use crate::terminal::say;

/// Prints every setting with its value and its source.
pub(crate) fn print(values: &Values) {
    for (setting, value, source) in values.display_rows() {
        say(&format!("{:<26} {value:<44} {source}", setting.name));
    }
}
