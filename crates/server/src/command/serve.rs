//! `patchwright serve`

use std::process::ExitCode;

use super::CommandResult;
use crate::compose::Overrides;
use crate::config::Config;
use crate::serve::{Server, wait_for_signal};
use crate::telemetry;

pub(crate) async fn run(config: Config) -> CommandResult {
    telemetry::start(&config, false);
    let server = Server::start(config, Overrides::default()).await?;
    wait_for_signal().await?;
    server.stop().await?;
    Ok(ExitCode::SUCCESS)
}
