//! The hosts of a fleet on this machine: each a network namespace with the host's own addresses, names and agent, all on
//! one bridge, with the servers of the fleet file. Nothing of it is outside of namespaces, and all of it goes with the
//! process that made it.

mod blueprint;
pub mod held;
pub mod host;
mod isolate;
pub mod links;
mod namespaces;
pub mod offspring;
pub mod process;
mod server;
pub mod sweeper;
mod written;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use futures_util::future::{try_join, try_join_all};
use nix::mount::{MsFlags, mount};
use serde::{Deserialize, Serialize};

use crate::client::{Access, Client};
use crate::exit::Failure;
use crate::fleet::Loaded;
use crate::tls::TlsFiles;
use blueprint::{Blueprint, CONTROLLER_ADDRESSES, Node};
use host::Host;
use links::Bridge;
use offspring::Family;
use server::{Agent, Server};
use sweeper::Sweeper;

pub use blueprint::CONTROLLER;
pub use isolate::{is_isolated, isolate};
pub use server::environment;

/// All files of a lab.
const RUN: &str = "/run/lab";
/// The bearer token of its agents.
const TOKEN: &str = "/run/lab/token";
/// The fleet, with the agents as they are in the lab.
const FLEET: &str = "/run/lab/fleet.toml";
/// What there is, for other processes; there when all is ready.
const CONTENTS: &str = "/run/lab/lab.json";
/// The link of the controller, which is the bridge itself.
const BRIDGE: &str = "lab0";

/// The hosts of a fleet, and what runs on them. Everything goes when this does, or this process.
pub struct Lab {
    _sweeper: Sweeper,
    _servers: Vec<Family>,
    _agents: Vec<Agent>,
    hosts: Vec<Host>,
    /// The hosts behind each name.
    places: BTreeMap<String, Vec<usize>>,
    controller: PathBuf,
    _bridge: Bridge,
}

/// What there is in a lab.
#[derive(Debug, Serialize, Deserialize)]
pub struct Contents {
    /// Where the fleet is from, for people.
    pub fleet: String,
    pub hosts: Vec<HostTold>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct HostTold {
    pub name: String,
    pub addresses: Vec<String>,
    /// Its URL.
    pub agent: Option<String>,
    pub servers: Vec<String>,
    /// Other names of it: services.
    pub also: Vec<String>,
    /// The process that holds it.
    pub pid: u32,
}

impl Lab {
    /// Hosts, links, names, agents, servers; returns when all of them are ready. The fleet comes back with the agents as
    /// they are in the lab. This process is the controller of it then. Once in a process, after [`isolate`].
    ///
    /// # Errors
    /// A fleet that cannot be in a lab; an agent or a server that does not get ready, with the end of its log.
    pub async fn raise(loaded: Loaded, tell: &dyn Fn(&str)) -> Result<(Self, Loaded), Failure> {
        if !is_isolated() {
            return Err(Failure::Failed("a lab has to be in namespaces of its own".to_owned()));
        }
        let system = fs::read_to_string("/etc/hosts").unwrap_or_default();
        let blueprint = Blueprint::draw(&loaded, &system).map_err(Failure::Failed)?;
        write_files(&blueprint)?;
        let bridge = Bridge::create(BRIDGE).await?;
        let addresses = CONTROLLER_ADDRESSES.into_iter().filter(|it| it.is_ipv4() || links::has_ipv6());
        links::set_up(BRIDGE, &addresses.collect::<Vec<_>>()).await?;
        let hosts = hosts(&blueprint, &bridge).await?;
        let sweeper = Sweeper::start(&hosts)?;
        tell(&counted(&blueprint));

        // A path without a directory has an empty one.
        let here = std::env::current_dir()?;
        let files = if loaded.directory == Path::new("") { here } else { here.join(&loaded.directory) };
        let (agents, servers) =
            try_join(agents(&blueprint, &hosts), servers(&blueprint, &hosts, &files, tell)).await?;
        let loaded = Loaded {
            fleet: blueprint.fleet.clone(),
            token_file: Some(TOKEN.into()),
            tls: TlsFiles::default(),
            described: format!("{}, in a lab", loaded.described),
            ..loaded
        };
        fs::write(FLEET, written::fleet(&loaded.fleet, Path::new(TOKEN))?)?;
        let contents = contents(&blueprint, &hosts, &loaded.described);
        let contents = serde_json::to_vec(&contents).map_err(std::io::Error::from)?;
        fs::write(CONTENTS, contents)?;
        let controller = format!("/proc/{}/ns/net", std::process::id()).into();
        let lab = Self {
            _sweeper: sweeper,
            _servers: servers,
            _agents: agents,
            hosts,
            places: blueprint.places,
            controller,
            _bridge: bridge,
        };
        Ok((lab, loaded))
    }

    /// The network namespace of a host or service of the lab, or of the controller, to enter. Of what is on several
    /// hosts it is the first.
    pub fn namespace(&self, host: &str) -> Option<&Path> {
        let host = host.to_ascii_lowercase();
        if host == CONTROLLER {
            return Some(&self.controller);
        }
        let first = self.places.get(&host)?.first()?;
        self.hosts.get(*first).map(Host::namespace)
    }
}

fn counted(blueprint: &Blueprint) -> String {
    let agents = blueprint.nodes.iter().filter(|node| node.agent.is_some()).count();
    format!(
        "hosts: {}, all linked; starting agents: {agents}, servers: {}",
        blueprint.nodes.len(),
        blueprint.runs.len()
    )
}

/// The token, the names, and no name servers: there are none in a lab, and whoever asked those of the machine would wait.
fn write_files(blueprint: &Blueprint) -> Result<(), Failure> {
    fs::create_dir_all(RUN)?;
    let mut secret = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut secret)?;
    let token = secret.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(TOKEN)?;
    std::io::Write::write_all(&mut file, format!("{token}\n").as_bytes())?;
    cover("hosts", &blueprint.names)?;
    cover(
        "resolv.conf",
        "# In a lab. A server on this address answers, if there is one.\nnameserver 127.0.0.1\n",
    )
}

/// Has another file in the place of one in `/etc`, for this process and those that it starts.
fn cover(name: &str, text: &str) -> Result<(), Failure> {
    let (ours, theirs) = (PathBuf::from(format!("{RUN}/{name}")), Path::new("/etc").join(name));
    fs::write(&ours, text)?;
    if !theirs.exists() {
        return match name {
            "hosts" => {
                Err(Failure::Failed("there is no /etc/hosts, whose place the lab's would take".to_owned()))
            }
            // Without one, name servers are looked for on this address as well.
            _ => Ok(()),
        };
    }
    let none = None::<&str>;
    mount(Some(&ours), &theirs, none, MsFlags::MS_BIND, none).map_err(|errno| {
        Failure::Failed(format!("cannot have another {} in the lab: {errno}", theirs.display()))
    })
}

/// All are started before the first is waited for.
async fn hosts(blueprint: &Blueprint, bridge: &Bridge) -> Result<Vec<Host>, Failure> {
    let log = File::create(format!("{RUN}/hosts.log"))?;
    let begin = |node: &Node| Host::begin(&node.name, &node.addresses, log.try_clone()?.into());
    let mut hosts = blueprint.nodes.iter().map(begin).collect::<Result<Vec<_>, _>>()?;
    for (number, host) in hosts.iter_mut().enumerate() {
        host.plug_into(bridge, &format!("port{number}")).await?;
    }
    hosts.iter_mut().try_for_each(Host::wait_until_up)?;
    Ok(hosts)
}

async fn agents(blueprint: &Blueprint, hosts: &[Host]) -> Result<Vec<Agent>, Failure> {
    let access = Access { agent: None, token_file: Some(TOKEN.into()), tls: TlsFiles::default() };
    let ways = access.ways(false)?;
    let mut agents = Vec::new();
    for (node, host) in blueprint.nodes.iter().zip(hosts) {
        if let Some(at) = node.agent {
            agents.push((Agent::start(host, at)?, Client::of(&ways, format!("http://{at}"))));
        }
    }
    let ready = async |(mut agent, client): (Agent, Client)| agent.ready(&client).await.map(|()| agent);
    try_join_all(agents.into_iter().map(ready)).await
}

async fn servers(
    blueprint: &Blueprint,
    hosts: &[Host],
    files: &Path,
    tell: &dyn Fn(&str),
) -> Result<Vec<Family>, Failure> {
    let mut servers = Vec::new();
    for run in &blueprint.runs {
        if let Some(host) = hosts.get(run.node) {
            servers.push(Server::start(run, host, files)?);
        }
    }
    let ready = async |mut server: Server<'_>| {
        server.ready().await?;
        tell(&format!("{} is ready", server.what()));
        Ok(server.into_family())
    };
    try_join_all(servers.into_iter().map(ready)).await
}

fn contents(blueprint: &Blueprint, hosts: &[Host], fleet: &str) -> Contents {
    let told = |(index, host): (usize, &Host)| {
        let node = blueprint.nodes.get(index);
        let also =
            blueprint.places.iter().filter(|(name, behind)| **name != host.name && behind.contains(&index));
        let servers = blueprint.runs.iter().filter(|run| run.node == index).map(|run| run.name.clone());
        HostTold {
            name: host.name.clone(),
            addresses: host.addresses.iter().map(ToString::to_string).collect(),
            agent: node.and_then(|node| node.agent).map(|at| format!("http://{at}")),
            servers: servers.collect(),
            also: also.map(|(name, _)| name.clone()).collect(),
            pid: host.pid(),
        }
    };
    Contents { fleet: fleet.to_owned(), hosts: hosts.iter().enumerate().map(told).collect() }
}
