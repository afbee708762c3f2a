//! Container engines: Docker and Podman, which speak the same API on a unix socket each.

use std::env;
use std::error::Error;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::models::{ContainerSummary, ContainerSummaryStateEnum};
use bollard::query_parameters::ListContainersOptionsBuilder;
use bollard::{API_DEFAULT_VERSION, Docker};
use tokio::net::UnixStream;

use super::error::ScopeError;
use super::select::Container;

/// Where the engines listen that root runs.
const USUAL: [&str; 2] = ["/var/run/docker.sock", "/run/podman/podman.sock"];

/// How long an engine may take for an answer. A busy one takes seconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// Which container engines to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Engines {
    /// Their sockets. Those that are not there when asked are passed over, so an engine may be started later.
    pub sockets: Vec<PathBuf>,
}

impl Default for Engines {
    /// The usual sockets of Docker and Podman, after that of `DOCKER_HOST` if that is a unix socket.
    fn default() -> Self {
        let named = env::var("DOCKER_HOST").ok();
        let named =
            named.as_deref().and_then(|host| host.strip_prefix("unix://")).filter(|path| !path.is_empty());
        let usual = USUAL.into_iter().filter(|path| Some(*path) != named);
        Self { sockets: named.into_iter().chain(usual).map(PathBuf::from).collect() }
    }
}

/// An engine that did not answer.
#[derive(Debug)]
pub(super) struct Failure {
    socket: PathBuf,
    /// It is not installed or not running, which is no reason to worry.
    missing: bool,
    reason: String,
}

/// All containers, running or not, of all engines that answered.
#[derive(Debug)]
pub(super) struct Listing {
    pub(super) containers: Vec<Container>,
    /// A container says by position in here whose it is.
    pub(super) engines: Vec<Docker>,
    pub(super) failures: Vec<Failure>,
}

impl Listing {
    /// Whether an engine that is there did not answer.
    pub(super) fn is_partial(&self) -> bool {
        self.failures.iter().any(|failure| !failure.missing)
    }

    /// For an error: which engines were asked in vain.
    pub(super) fn silent(&self) -> String {
        if self.is_partial() { format!(" (not asked: {})", told(&self.failures)) } else { String::new() }
    }
}

impl Engines {
    pub(super) async fn list(&self, asked: &str) -> Result<Listing, ScopeError> {
        let mut listing = Listing { containers: Vec::new(), engines: Vec::new(), failures: Vec::new() };
        for socket in &self.sockets {
            match list(socket).await {
                Ok((docker, containers)) => {
                    let engine = listing.engines.len();
                    listing.engines.push(docker);
                    for container in containers.into_iter().filter_map(|summary| summarized(summary, engine))
                    {
                        // Two paths may lead to one engine.
                        if listing.containers.iter().all(|known| known.id != container.id) {
                            listing.containers.push(container);
                        }
                    }
                }
                Err(failure) => listing.failures.push(failure),
            }
        }
        if listing.engines.is_empty() {
            return Err(ScopeError::NoEngine {
                asked: asked.to_owned(),
                tried: told(&listing.failures),
                advice: "start Docker or Podman (systemctl start docker, podman.socket), set DOCKER_HOST=unix://..., \
                         and let the agent's user into the group of the socket"
                    .to_owned(),
            });
        }
        Ok(listing)
    }
}

/// Connects, and finds a version of the API that both sides know.
pub(super) async fn connect(socket: &Path) -> Result<Docker, Failure> {
    let failure = |missing, reason| Failure { socket: socket.to_owned(), missing, reason };
    // Asked first, since the client tells neither that it may not nor who listens.
    let stream = UnixStream::connect(socket)
        .await
        .map_err(|error| failure(error.kind() == ErrorKind::NotFound, error.to_string()))?;
    let peer = stream.peer_cred().map_err(|error| failure(false, error.to_string()))?;
    if peer.pid().is_none_or(|pid| pid == 0) {
        let reason = "it runs in a PID namespace that the agent does not see, so its process numbers mean others here; \
                      run the agent on the host, or with the PID namespace of the host (--pid=host)";
        return Err(failure(false, reason.to_owned()));
    }
    let docker =
        Docker::connect_with_unix(&socket.to_string_lossy(), PATIENCE.as_secs(), API_DEFAULT_VERSION)
            .map_err(|error| failure(false, chain(&error)))?;
    // The limit of the client ends with the headers of an answer.
    match tokio::time::timeout(PATIENCE, docker.negotiate_version()).await {
        Ok(Ok(docker)) => Ok(docker),
        Ok(Err(error)) => Err(failure(false, chain(&error))),
        Err(_) => Err(failure(false, format!("no answer within {} s", PATIENCE.as_secs()))),
    }
}

async fn list(socket: &Path) -> Result<(Docker, Vec<ContainerSummary>), Failure> {
    let docker = connect(socket).await?;
    let reason = match tokio::time::timeout(PATIENCE, summaries(&docker)).await {
        Ok(Ok(containers)) => return Ok((docker, containers)),
        Ok(Err(error)) => chain(&error),
        Err(_) => format!("no answer within {} s", PATIENCE.as_secs()),
    };
    Err(Failure { socket: socket.to_owned(), missing: false, reason })
}

/// All containers; only those that run where one of the others is in a state for which the client has no word. Podman has some
/// of its own: `stopped` until it has cleaned up after a container, `unknown`.
async fn summaries(docker: &Docker) -> Result<Vec<ContainerSummary>, bollard::errors::Error> {
    let all = ListContainersOptionsBuilder::new().all(true);
    match docker.list_containers(Some(all.clone().build())).await {
        Err(bollard::errors::Error::JsonDataError { .. }) => {
            let running = [("status", vec!["running", "paused"])].into_iter().collect();
            docker.list_containers(Some(all.filters(&running).build())).await
        }
        answer => answer,
    }
}

fn summarized(summary: ContainerSummary, engine: usize) -> Option<Container> {
    let state = summary.state.unwrap_or(ContainerSummaryStateEnum::EMPTY);
    let names = summary.names.unwrap_or_default();
    Some(Container {
        id: summary.id?,
        // Names begin with a slash; those with another one are links of other containers.
        names: names.iter().map(|name| name.trim_start_matches('/').to_owned()).collect(),
        labels: summary.labels.unwrap_or_default(),
        running: matches!(state, ContainerSummaryStateEnum::RUNNING | ContainerSummaryStateEnum::PAUSED),
        state: state.to_string(),
        engine,
    })
}

fn told(failures: &[Failure]) -> String {
    if failures.is_empty() {
        return "no socket is configured".to_owned();
    }
    let each = failures.iter().map(|failure| format!("{}: {}", failure.socket.display(), failure.reason));
    each.collect::<Vec<_>>().join("; ")
}

/// An error and what it came from: the client says only "error trying to connect" itself.
pub(super) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}
