//! `patchwright config`

use std::process::ExitCode;

use crate::config::Config;
use crate::terminal::say;

pub(crate) fn run(config: &Config) -> ExitCode {
    for (setting, value, source) in config.values.display_rows() {
        say(&format!("{:<26} {value:<44} {source}", setting.name));
    }
    ExitCode::SUCCESS
}
