//! `serve`: the daemon.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use partition_agent_core::config::{Config, DEFAULT_CONFIG};
use partition_agent_core::{check, daemon};
use tracing_subscriber::EnvFilter;

use crate::args::ServeArgs;
use crate::exit::Failure;
use crate::render;

pub fn run(args: &ServeArgs, token_file: Option<PathBuf>) -> Result<ExitCode, Failure> {
    if args.check_config {
        return check(args, token_file);
    }
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
    win(args, token_file, &mut config);
    daemon::run(&config).map_err(|error| failed(&error))?;
    Ok(ExitCode::SUCCESS)
}

/// Flags win over the file.
fn win(args: &ServeArgs, token_file: Option<PathBuf>, config: &mut Config) {
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
    config.namespaces |= args.namespaces;
}

fn check(args: &ServeArgs, token_file: Option<PathBuf>) -> Result<ExitCode, Failure> {
    let mistakes = check::mistakes(args.config.as_deref(), |config| win(args, token_file, config));
    for mistake in &mistakes {
        render::complain(mistake);
    }
    if !mistakes.is_empty() {
        return Ok(ExitCode::from(1));
    }
    let file = args.config.as_deref().unwrap_or(Path::new(DEFAULT_CONFIG));
    render::line(&format!("{}: an agent would start with this", file.display()))?;
    Ok(ExitCode::SUCCESS)
}
