//! `serve`: the daemon.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::process::ExitCode;

use partition_agent_core::config::Config;
use partition_agent_core::daemon;
use tracing_subscriber::EnvFilter;

use crate::args::ServeArgs;
use crate::exit::Failure;

pub fn run(args: &ServeArgs, token_file: Option<PathBuf>) -> Result<ExitCode, Failure> {
    // Standard error, as systemd and containers expect; RUST_LOG asks for more.
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
    let failed = |error: &dyn std::fmt::Display| Failure::Failed(error.to_string());
    let mut config = Config::load(args.config.as_deref()).map_err(|error| failed(&error))?;
    if let Some(socket) = &args.socket {
        config.socket.clone_from(socket);
    }
    if let Some(listen) = args.listen {
        config.listen = Some(listen);
    }
    if token_file.is_some() {
        config.token_file = token_file;
    }
    if let Some(state_dir) = &args.state_dir {
        config.state_dir.clone_from(state_dir);
    }
    config.insecure_loopback |= args.insecure_loopback;
    config.namespaces |= args.namespaces;
    daemon::run(&config).map_err(|error| failed(&error))?;
    Ok(ExitCode::SUCCESS)
}
