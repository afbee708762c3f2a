//! Many agents on kernels in memory, each on a loopback address of its own, and the file that names them: no root, and no process
//! for each of them.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use partition_agent_core::access::Remotes;
use partition_agent_core::api::{self, Agent};
use partition_agent_core::config::Config;
use partition_agent_core::kernel::fake::World;
use tempfile::TempDir;
use tokio::sync::oneshot;

use crate::fake_agent::{Options, api_agent, write_token};

/// Of every agent.
const TOKEN: &str = "the-token-of-many-agents";

/// `h0`, `h1` and so on, until it is dropped.
pub struct FakeFleet {
    hosts: Vec<FakeHost>,
    servers: Vec<(oneshot::Sender<()>, JoinHandle<()>)>,
    dir: TempDir,
}

struct FakeHost {
    at: SocketAddr,
    world: Arc<Mutex<World>>,
}

/// One that is not served yet.
struct Listening {
    listener: TcpListener,
    agent: Agent,
}

impl FakeFleet {
    /// Its directory is in memory where there is such a place: on one disk, the journals of many hosts would wait for each other.
    #[must_use]
    pub fn start(count: usize) -> Self {
        let memory = Path::new("/dev/shm");
        let dir = if memory.is_dir() { TempDir::new_in(memory) } else { TempDir::new() };
        let dir = dir.expect("a temporary directory");
        let token_file = dir.path().join("token");
        write_token(&token_file, TOKEN);
        let listen = Some(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        let config = Config { listen, token_file: Some(token_file), ..Config::default() };
        let remotes = config.remotes().expect("a token").expect("it listens");
        let (hosts, listening) = (0..count).map(|nth| host(dir.path(), nth)).collect::<(Vec<_>, Vec<_>)>();
        let servers = serve(listening, &remotes);
        let fleet = Self { hosts, servers, dir };
        fleet.write(&fleet.hosts.iter().map(|host| host.at).collect::<Vec<_>>());
        fleet
    }

    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.dir.path().join("fleet.toml")
    }

    /// Where the agents are.
    pub fn addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.hosts.iter().map(|host| host.at)
    }

    /// Writes the file anew: the agents are reached at these addresses.
    pub fn write(&self, agents: &[SocketAddr]) {
        let mut file = "token_file = 'token'\n".to_owned();
        for (nth, (host, agent)) in self.hosts.iter().zip(agents).enumerate() {
            let address = host.at.ip();
            file.push_str(&format!("[hosts.h{nth}]\naddress = '{address}'\nagent = 'http://{agent}'\n"));
        }
        std::fs::write(self.file(), file).expect("a file");
    }

    /// The kernel of a host.
    pub fn world(&self, nth: usize) -> MutexGuard<'_, World> {
        self.hosts[nth].world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for FakeFleet {
    fn drop(&mut self) {
        for (stop, server) in self.servers.drain(..) {
            // Both only fail when the server has ended already, and then its own panic has been printed.
            let _ = stop.send(());
            let _ = server.join();
        }
    }
}

fn host(dir: &Path, nth: usize) -> (FakeHost, Listening) {
    let [high, low] = u16::try_from(nth).expect("a host of 65,536").to_be_bytes();
    let listener = TcpListener::bind((Ipv4Addr::new(127, 78, high, low), 0)).expect("a TCP port");
    let at = listener.local_addr().expect("a bound address");
    let (agent, _, world) = api_agent(Options::default(), dir.join(format!("state-{nth}")), at.port());
    (FakeHost { at, world }, Listening { listener, agent })
}

/// On as many threads as there are processors: with one for each agent, it would be threads that are measured.
fn serve(mut all: Vec<Listening>, remotes: &Remotes) -> Vec<(oneshot::Sender<()>, JoinHandle<()>)> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let share = all.len().div_ceil(threads).max(1);
    let mut servers = Vec::new();
    while !all.is_empty() {
        let some = all.split_off(all.len().saturating_sub(share));
        let (stop, stopped) = oneshot::channel();
        let remotes = remotes.clone();
        servers.push((stop, std::thread::spawn(move || serve_some(some, &remotes, stopped))));
    }
    servers
}

fn serve_some(some: Vec<Listening>, remotes: &Remotes, stopped: oneshot::Receiver<()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        for Listening { listener, agent } in some {
            listener.set_nonblocking(true).expect("a listener");
            let listener = tokio::net::TcpListener::from_std(listener).expect("a TCP listener");
            tokio::spawn(api::serve_tcp(listener, agent, remotes.clone()));
        }
        // Whoever drops the sender wants the end, too.
        let _ = stopped.await;
    });
}
