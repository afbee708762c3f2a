//! The flow of `serve`, top to bottom.
//!
//! Tasks: the keeper on its own thread (owns every fault and the kernel), one server for each listener, one that answers the
//! probes of other agents, one for the watchdog where systemd asks for it. All of them wait; none of them polls.

use std::fs::DirBuilder;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::{Group, chown};
use tokio::signal::unix::{SignalKind, signal};

use crate::access::Locals;
use crate::api::{self, Agent};
use crate::config::{Config, ConfigError};
use crate::crash::{self, Point};
use crate::descriptors::{self, DescriptorError};
use crate::fleet::{Client, Fleet};
use crate::keeper::{self, Handle, Settings, StartError};
use crate::kernel::linux::Linux;
use crate::privileges::{self, PrivilegeError};
use crate::probe::Responder;
use crate::sandbox;
use crate::trust::{self, Distrust};

/// Why the agent does not run.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Privileges(#[from] PrivilegeError),
    #[error("refusing to run: {0}")]
    Descriptors(#[from] DescriptorError),
    #[error("refusing to run: {0}")]
    Distrust(#[from] Distrust),
    #[error(transparent)]
    Keeper(#[from] StartError),
    #[error("cannot listen on {at}: {source}")]
    Listen { at: String, source: io::Error },
    #[error(
        "cannot answer the probes of other agents on {at}, UDP and TCP: {source}; `probe_port` in the configuration chooses \
         another port, or none with 0"
    )]
    Probes { at: SocketAddr, source: io::Error },
    #[error("cannot use the state directory {}: {source}", path.display())]
    StateDir { path: PathBuf, source: io::Error },
    #[error("cannot start the runtime: {0}")]
    Runtime(io::Error),
}

/// Runs until SIGTERM or SIGINT, then restores everything. Where the configuration has a fleet, its agents are asked by this client.
///
/// # Errors
/// When it cannot start. What it serves has errors of its own.
pub fn run(config: &Config, client: Client) -> Result<(), DaemonError> {
    config.check()?;
    let remotes = config.remotes()?;
    let fleet = config.fleet(client)?;
    let locals = Locals::of(&config.group);
    privileges::require(config.namespaces)?;
    descriptors::claim(
        config.listen.map_or(0, |_| config.most_connections),
        fleet.as_ref().map_or(0, Fleet::hosts),
    )?;
    let state_dir = |source| DaemonError::StateDir { path: config.state_dir.clone(), source };
    trust::way_to(&config.state_dir)?;
    std::fs::create_dir_all(&config.state_dir).map_err(state_dir)?;
    trust::directory(&config.state_dir)?;
    crash::at(Point::StateDirMade);
    let (unix, socket_file) = listen_unix(&config.socket, &config.group)?;
    crash::at(Point::SocketBound);
    let tcp = config.listen.map(|at| {
        let failed = |source| DaemonError::Listen { at: at.to_string(), source };
        TcpListener::bind(at).and_then(|tcp| tcp.set_nonblocking(true).map(|()| tcp)).map_err(failed)
    });
    let tcp = tcp.transpose()?;
    let api = tcp.as_ref().and_then(|tcp| tcp.local_addr().ok());
    let tcp_port = api.map(|address| address.port());
    let responder = api.map(|api| answer_probes(config, api)).transpose()?.flatten();
    privileges::drop_the_rest(config.namespaces)?;
    let sandbox = sandbox::enter(&config.paths(), config.namespaces);
    tracing::info!(%sandbox, "has taken from itself what it does not need");
    crash::at(Point::PrivilegesDropped);

    // One thread is enough for a socket; the keeper has its own.
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(DaemonError::Runtime)?;
    let served = runtime.block_on(async {
        let settings = Settings {
            guard: config.policy.guard(tcp_port).and_far(tcp_port.filter(|_| config.is_remote())),
            policy: config.policy.clone(),
            state_dir: config.state_dir.clone(),
        };
        let keeper = keeper::spawn(settings, Linux::open)?;
        let agent = Agent::new(keeper.clone(), config.finder(), tcp_port).showing(fleet);
        let listen = |at: &str, source| DaemonError::Listen { at: at.to_owned(), source };
        let unix = tokio::net::UnixListener::from_std(unix)
            .map_err(|e| listen(&config.socket.display().to_string(), e))?;
        tokio::spawn(api::serve_unix(unix, agent.clone(), locals));
        if let Some(responder) = responder {
            responder.start(agent.rounds()).map_err(|e| listen("the port of the probes", e))?;
        }
        if let (Some(tcp), Some(remotes)) = (tcp, remotes) {
            let tcp = tokio::net::TcpListener::from_std(tcp).map_err(|e| listen("the TCP address", e))?;
            tokio::spawn(api::serve_tcp(tcp, agent, remotes));
        }
        tokio::spawn(watchdog(keeper.clone()));
        tracing::info!(socket = %config.socket.display(), port = tcp_port, "ready");
        crash::at(Point::Ready);
        // Without systemd there is nobody to tell.
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
        wait_for_the_end().await;
        crash::at(Point::Stopping);
        tracing::info!("stopping: restoring every fault");
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
        keeper.shutdown().await;
        crash::at(Point::AllRestored);
        Ok(())
    });
    drop(socket_file);
    crash::at(Point::SocketRemoved);
    served
}

/// Where other agents find out whether they reach this one.
fn answer_probes(config: &Config, api: SocketAddr) -> Result<Option<Responder>, DaemonError> {
    let bind = |at| Responder::bind(at).map_err(|source| DaemonError::Probes { at, source });
    config.probes(api)?.map(bind).transpose()
}

/// Goes with its agent, also with one that does not get to serve: a socket that nobody listens on misleads those who look for one.
struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Root and the group may connect; a socket that a dead agent left is replaced, one that answers is not.
fn listen_unix(path: &Path, group: &str) -> Result<(UnixListener, SocketFile), DaemonError> {
    let failed = |source| DaemonError::Listen { at: path.display().to_string(), source };
    trust::way_to(path)?;
    // A slip in the configuration must not cost another file; nor is a symbolic link followed.
    if std::fs::symlink_metadata(path).is_ok_and(|there| !there.file_type().is_socket()) {
        return Err(failed(io::Error::other("there is something else than a socket; use another --socket")));
    }
    if std::os::unix::net::UnixStream::connect(path).is_ok() {
        return Err(failed(io::Error::other(
            "another agent answers there; stop it first, or use another --socket",
        )));
    }
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        Ok(()) | Err(_) => {}
    }
    if let Some(parent) = path.parent() {
        // For the group to get through, and for nobody to write in, whatever the umask of whoever started the agent.
        DirBuilder::new().recursive(true).mode(0o755).create(parent).map_err(failed)?;
        trust::way_to(path)?;
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    let file = SocketFile(path.to_owned());
    listener.set_nonblocking(true).map_err(failed)?;
    let mut mode = 0o600;
    if let Ok(Some(group)) = Group::from_name(group)
        && chown(path, None, Some(group.gid)).is_ok()
    {
        mode = 0o660;
    }
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).map_err(failed)?;
    Ok((listener, file))
}

async fn wait_for_the_end() {
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => {}
        _ = int.recv() => {}
    }
}

/// Tells systemd that the keeper answers, twice in each period. If it stops to, systemd kills the agent, and with that
/// the kernel ends every fault.
async fn watchdog(keeper: Handle) {
    let Some(period) = sd_notify::watchdog_enabled().filter(|period| *period > Duration::ZERO) else {
        return;
    };
    loop {
        if keeper.list().await.is_err() {
            return;
        }
        let _ = sd_notify::notify(&[sd_notify::NotifyState::Watchdog]);
        tokio::time::sleep(period / 2).await;
    }
}
