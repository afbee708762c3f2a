//! An agent on the kernel in memory, served from a thread of the test: needs no root and no other process.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use partition_agent_cli::fleet_client;
use partition_agent_core::access::Locals;
use partition_agent_core::api::{self, Agent};
use partition_agent_core::config::Config;
use partition_agent_core::finder::Finder;
use partition_agent_core::keeper::{self, Handle, Settings};
use partition_agent_core::kernel::fake::{Fake, World};
use partition_agent_core::policy::Policy;
use partition_agent_core::probe::Responder;
use partition_agent_core::resolve::Peers;
use partition_agent_core::scope::Engines;
use partition_agent_proto::Span;
use tempfile::TempDir;
use tokio::sync::oneshot;

/// What the configuration of an agent would say.
pub struct Options {
    pub policy: Policy,
    pub peers: Peers,
    pub engines: Engines,
    /// What callers over TCP must have. Without it, and without more below, everybody is let in.
    pub token: Option<&'static str>,
    /// More of the configuration: on who is let in over TCP, and on the fleet that is shown.
    pub access: String,
}

/// An hour, 64 faults, no container engine, no token, and one name: `redis` is 10.0.0.5:6379.
impl Default for Options {
    fn default() -> Self {
        let redis = "10.0.0.5:6379".parse().expect("a peer");
        let peers = Peers::from([("redis".to_owned(), vec![redis])]);
        let engines = Engines { sockets: Vec::new() };
        Self { policy: policy(), peers, engines, token: None, access: String::new() }
    }
}

/// An hour, 64 faults, and port 22 protected.
#[must_use]
pub fn policy() -> Policy {
    let ssh = "tcp/22".parse().expect("a port");
    Policy {
        longest: Span::from_secs(3600),
        most_faults: 64,
        protected_ports: vec![ssh],
        ..Policy::default()
    }
}

/// On a unix socket and on a TCP port, until it is dropped.
pub struct FakeAgent {
    pub socket: PathBuf,
    pub tcp: SocketAddr,
    /// Where it answers the probes of others.
    pub probes: SocketAddr,
    /// With its token, where it has one.
    pub token_file: PathBuf,
    /// The way to the faults that does not go through the API.
    pub keeper: Handle,
    world: Arc<Mutex<World>>,
    server: Option<(oneshot::Sender<()>, JoinHandle<()>)>,
    _dir: TempDir,
}

impl FakeAgent {
    #[must_use]
    pub fn start() -> Self {
        Self::with(Options::default())
    }

    /// It protects port 22 and its own.
    #[must_use]
    pub fn with(options: Options) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let socket = dir.path().join("agent.sock");
        let unix = UnixListener::bind(&socket).expect("a unix socket");
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a TCP port");
        let address = tcp.local_addr().expect("a bound address");
        let responder = responder();
        let probes = responder.local_addr().expect("a bound address");
        let token_file = dir.path().join("token");
        let config = config(dir.path(), &token_file, &options);
        let remotes = config.remotes().expect("files that can be used").expect("it listens");
        let fleet = config.fleet(fleet_client).expect("files that can be used");
        let (agent, keeper, world) = api_agent(options, dir.path().join("state"), address.port());
        let agent = agent.showing(fleet);
        let (stop, stopped) = oneshot::channel();
        let serve = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                unix.set_nonblocking(true).and_then(|()| tcp.set_nonblocking(true)).expect("listeners");
                let unix = tokio::net::UnixListener::from_std(unix).expect("a unix listener");
                let tcp = tokio::net::TcpListener::from_std(tcp).expect("a TCP listener");
                responder.start(agent.rounds()).expect("a responder");
                tokio::select! {
                    () = api::serve_unix(unix, agent.clone(), Locals::of("no-such-group")) => {}
                    () = api::serve_tcp(tcp, agent, remotes) => {}
                    _ = stopped => {}
                }
            });
        };
        let server = Some((stop, std::thread::spawn(serve)));
        Self { socket, tcp: address, probes, token_file, keeper, world, server, _dir: dir }
    }

    /// The kernel: look into it, or tell it what to refuse.
    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the kernel was never asked to change anything.
    #[must_use]
    pub fn is_untouched(&self) -> bool {
        let world = self.world();
        world.is_clean() && world.timeouts.is_empty()
    }
}

/// What is behind the listeners of an agent; with the kernel that it works on.
pub(crate) fn api_agent(
    options: Options,
    state_dir: PathBuf,
    port: u16,
) -> (Agent, Handle, Arc<Mutex<World>>) {
    let fake = Fake::default();
    let world = Arc::clone(&fake.world);
    let settings = Settings { guard: options.policy.guard(Some(port)), policy: options.policy, state_dir };
    let keeper = keeper::spawn(settings, || Ok(fake)).expect("a keeper");
    let agent = Agent::new(keeper.clone(), Finder::new(options.peers, options.engines), Some(port));
    (agent, keeper, world)
}

/// As a configuration says it.
fn config(dir: &Path, token_file: &Path, options: &Options) -> Config {
    let proof = match options.token {
        Some(token) => {
            write_token(token_file, token);
            format!("token_file = '{}'", token_file.display())
        }
        None if options.access.is_empty() => "insecure_loopback = true".to_owned(),
        None => String::new(),
    };
    let file = dir.join("agent.toml");
    std::fs::write(&file, format!("listen = '127.0.0.1:0'\n{proof}\n{}", options.access)).expect("a file");
    let config = Config::load(Some(&file)).expect("a configuration");
    config.check().expect("one that makes sense");
    config
}

/// In a new file that nobody else may read.
pub fn write_token(file: &Path, token: &str) {
    let options = std::fs::File::options().write(true).create_new(true).mode(0o600).open(file);
    options.and_then(|mut file| file.write_all(token.as_bytes())).expect("a file can be written");
}

/// On a port that is free for TCP, and by then for UDP as well.
fn responder() -> Responder {
    let at = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    (0..100).find_map(|_| Responder::bind(at).ok()).expect("a free port")
}

impl Drop for FakeAgent {
    fn drop(&mut self) {
        if let Some((stop, server)) = self.server.take() {
            // Both only fail when the server has ended already, and then its own panic has been printed.
            let _ = stop.send(());
            let _ = server.join();
        }
    }
}
