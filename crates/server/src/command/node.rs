//! `patchwright node`

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use patchwright_core::Secret;
use patchwright_domain::node::Label;
use patchwright_node::{Ephemeral, Node, NodeOptions, TaskEnd};

use super::CommandResult;
use crate::cli::NodeArgs;
use crate::compose::{compose_tools, http_client, machine_labels};
use crate::config::Config;
use crate::serve::cancel_on_signal;
use crate::telemetry;
use patchwright_engine::clock::SystemClock;

pub(crate) async fn run(config: Config, args: NodeArgs) -> CommandResult {
    telemetry::start(&config, false);
    let mut secrets = config.secrets();
    let join_token = args.token.map(Secret::new);
    secrets.extend(join_token.clone());
    let redactor = patchwright_core::Redactor::new(&secrets);
    let http = http_client(&config, &redactor)?;
    let tools = compose_tools(&config, &http, &redactor)?;
    let mut labels = machine_labels(&config);
    labels
        .extend([std::env::consts::OS, std::env::consts::ARCH].into_iter().filter_map(|word| Label::parse(word).ok()));
    let options = NodeOptions {
        server: args.server.trim_end_matches('/').to_owned(),
        data_dir: std::path::absolute(config.data_dir.join("node"))?,
        join_token,
        capacity: if args.ephemeral { 1 } else { args.capacity.unwrap_or(config.node_capacity).max(1) },
        labels,
        listen: args.listen,
        shutdown_timeout: config.shutdown_timeout,
        ephemeral: args.ephemeral.then(|| Ephemeral { wait: args.wait.map(Duration::from_secs) }),
    };
    let node = Node::start(http, Arc::new(SystemClock), tools, options).await?;
    let stop = cancel_on_signal();
    let end = node.run(&stop).await?;
    Ok(if args.ephemeral { exit_code(end) } else { ExitCode::SUCCESS })
}

/// Returns the exit code of a node that runs one task, as its help says.
fn exit_code(end: TaskEnd) -> ExitCode {
    match end {
        TaskEnd::Succeeded => ExitCode::SUCCESS,
        TaskEnd::Failed => ExitCode::from(3),
        TaskEnd::NoTask => ExitCode::from(4),
        TaskEnd::Released => ExitCode::from(5),
    }
}
