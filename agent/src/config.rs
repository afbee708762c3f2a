//! `agent.toml`. Every key has a default, unknown keys are errors, and flags of `serve` win over the file.

use std::collections::BTreeMap;
use std::io::Read;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use partition_agent_proto::{DEFAULT_SOCKET, Peer};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::access::{AccessError, Remotes, TlsFiles, TokenEntry};
use crate::check;
use crate::finder::Finder;
use crate::fleet::{Client, Fleet, FleetConfig, FleetError};
use crate::policy::Policy;
use crate::resolve::circle;
use crate::sandbox::Paths;
use crate::scope::Engines;
use crate::trust::{self, Distrust};

/// Where `serve` looks without `--config`.
pub const DEFAULT_CONFIG: &str = "/etc/partition-agent/agent.toml";

/// Each is a chain in the kernel and a row of every list.
const MOST_FAULTS: usize = 1_000;
/// Each is a file descriptor, of which the unit allows 8,192; see `descriptors`.
const MOST_CONNECTIONS: usize = 4_096;

/// How an agent runs.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The unix socket of the API.
    #[schema(value_type = String)]
    pub socket: PathBuf,
    /// The group that may use the socket, besides the agent's own user and root. If there is no such group, nobody else may.
    pub group: String,
    /// Also listen on this address and port, for callers with a token or a certificate. Port 7433 by custom.
    #[schema(value_type = String, examples("10.0.0.11:7433"))]
    pub listen: Option<SocketAddr>,
    /// A file with a token that lets callers over TCP do everything.
    #[schema(value_type = String)]
    pub token_file: Option<PathBuf>,
    /// More tokens, each with a role.
    pub tokens: Vec<TokenEntry>,
    /// Speak TLS on TCP.
    #[schema(value_type = TlsFiles)]
    pub tls: Option<TlsFiles>,
    /// On loopback let everybody in, where there is neither a token nor an authority of clients.
    pub insecure_loopback: bool,
    /// Names that callers over TCP may call this host by, besides its own name, addresses, `localhost` and the names in its
    /// certificate.
    pub hosts: Vec<String>,
    /// The most connections over TCP at once.
    #[schema(minimum = 1, maximum = 4096)]
    pub most_connections: usize,
    /// Where other agents find out whether they reach this one, over UDP and TCP: the port after that of `listen` without it, none with 0.
    #[schema(value_type = u16)]
    pub probe_port: Option<u16>,
    /// Directory of the journal and its lock.
    #[schema(value_type = String)]
    pub state_dir: PathBuf,
    /// Faults in other network namespaces: containers, pods, units with a namespace of their own. Takes CAP_SYS_ADMIN and
    /// CAP_SYS_PTRACE, which the agent gives up otherwise.
    pub namespaces: bool,
    /// Sockets of container engines; without any, that of `DOCKER_HOST` if it is a unix socket, `/var/run/docker.sock` and
    /// `/run/podman/podman.sock`.
    #[schema(value_type = Vec<String>)]
    pub engines: Vec<PathBuf>,
    /// Agents whose faults this one shows in its console. Without it the agent asks nobody.
    #[schema(value_type = FleetConfig)]
    pub fleet: Option<FleetConfig>,
    /// What may be done to this host.
    pub policy: Policy,
    /// Names for `--peer`, before the resolver is asked. Each stands for addresses, networks, host names, other names of this
    /// table and `compose:PROJECT/SERVICE`, with ports or without. In lower case.
    #[schema(value_type = BTreeMap<String, Vec<String>>)]
    pub peers: BTreeMap<String, Vec<Peer>>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            socket: PathBuf::from(DEFAULT_SOCKET),
            group: "partition-agent".to_owned(),
            listen: None,
            token_file: None,
            tokens: Vec::new(),
            tls: None,
            insecure_loopback: false,
            hosts: Vec::new(),
            most_connections: 512,
            probe_port: None,
            state_dir: PathBuf::from("/var/lib/partition-agent"),
            namespaces: false,
            engines: Vec::new(),
            fleet: None,
            policy: Policy::default(),
            peers: BTreeMap::new(),
        }
    }
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("refusing the configuration: {0}")]
    Distrust(#[from] Distrust),
    #[error("{} is not a configuration:\n{source}{hint}", path.display())]
    Parse { path: PathBuf, source: Box<toml::de::Error>, hint: String },
    #[error(transparent)]
    Access(#[from] AccessError),
    #[error(transparent)]
    Fleet(#[from] FleetError),
    #[error("`{key}` is {is}: at least 1, at most {most}")]
    Bound { key: &'static str, is: usize, most: usize },
    #[error(
        "there is no port after {0} to answer probes on: choose one with `probe_port`, or switch it off with 0"
    )]
    NoProbePort(SocketAddr),
    #[error("the names under [peers] of {} lead in a circle: {way}; name addresses or other hosts", path.display())]
    Circle { path: PathBuf, way: String },
}

impl Config {
    /// The given file; or the default one, where it exists; or the defaults.
    ///
    /// # Errors
    /// A file that was named and cannot be read, or any that cannot be understood or names nothing.
    pub fn load(named: Option<&Path>) -> Result<Self, ConfigError> {
        let path = named.unwrap_or(Path::new(DEFAULT_CONFIG));
        let Some(text) = Self::text(named)? else { return Ok(Self::default()) };
        Self::parse(&text, path)
    }

    fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let wrong = |source: toml::de::Error| {
            let hint = check::meant(source.message()).map(|hint| format!("{hint}\n")).unwrap_or_default();
            ConfigError::Parse { path: path.to_owned(), source: Box::new(source), hint }
        };
        let config = toml::from_str::<Self>(text).map(Self::fold_names).map_err(wrong)?;
        match circle(&config.peers).map(|names| names.join(" -> ")) {
            Some(way) => Err(ConfigError::Circle { path: path.to_owned(), way }),
            None => Ok(config),
        }
    }

    /// What the file says, if there is one or one was named; and nobody else may have a say in it.
    ///
    /// # Errors
    /// It cannot be read, or not be trusted.
    pub(crate) fn text(named: Option<&Path>) -> Result<Option<String>, ConfigError> {
        let path = named.unwrap_or(Path::new(DEFAULT_CONFIG));
        let failed = |source| ConfigError::Read { path: path.to_owned(), source };
        let mut text = String::new();
        match trust::file(path) {
            Ok(mut file) => file.read_to_string(&mut text).map_err(failed)?,
            Err(Distrust::Look { source, .. })
                if named.is_none() && source.kind() == std::io::ErrorKind::NotFound =>
            {
                return Ok(None);
            }
            Err(Distrust::Look { source, .. }) => return Err(failed(source)),
            Err(distrust) => return Err(distrust.into()),
        };
        Ok(Some(text))
    }

    /// Host names have no case, and neither have names of the configuration.
    pub(crate) fn fold_names(mut self) -> Self {
        self.peers = self.peers.into_iter().map(|(name, peers)| (name.to_ascii_lowercase(), peers)).collect();
        self
    }

    /// What finds the things that faults name.
    #[must_use]
    pub fn finder(&self) -> Finder {
        let engines = if self.engines.is_empty() {
            Engines::default()
        } else {
            Engines { sockets: self.engines.clone() }
        };
        Finder::new(self.peers.clone(), engines)
    }

    /// # Errors
    /// What is well-formed and must not be.
    pub fn check(&self) -> Result<(), ConfigError> {
        for (key, is, most) in [
            ("policy.most_faults", self.policy.most_faults, MOST_FAULTS),
            ("most_connections", self.most_connections, MOST_CONNECTIONS),
        ] {
            if !(1..=most).contains(&is) {
                return Err(ConfigError::Bound { key, is, most });
            }
        }
        Ok(Remotes::check(self)?)
    }

    /// What it uses of the file system once it runs.
    pub(crate) fn paths(&self) -> Paths {
        Paths { state_dir: self.state_dir.clone(), socket: self.socket.clone() }
    }

    /// Whether other hosts reach the API.
    #[must_use]
    pub fn is_remote(&self) -> bool {
        self.listen.is_some_and(|address| !address.ip().is_loopback())
    }

    /// Who is let in over TCP, where the agent listens there.
    ///
    /// # Errors
    /// A file that holds no token, key or certificate.
    pub fn remotes(&self) -> Result<Option<Remotes>, ConfigError> {
        Ok(self.listen.map(|_| Remotes::of(self)).transpose()?)
    }

    /// The fleet that is shown, where there is one; asked by this client.
    ///
    /// # Errors
    /// A file that cannot be used.
    pub fn fleet(&self, client: Client) -> Result<Option<Fleet>, ConfigError> {
        Ok(self.fleet.as_ref().map(|fleet| Fleet::of(fleet, client)).transpose()?)
    }

    /// Where probes are answered, for an API that listens here.
    ///
    /// # Errors
    /// There is no next port.
    pub fn probes(&self, api: SocketAddr) -> Result<Option<SocketAddr>, ConfigError> {
        let next = || api.port().checked_add(1).ok_or(ConfigError::NoProbePort(api));
        let port = self.probe_port.map_or_else(next, Ok)?;
        Ok((port != 0).then(|| SocketAddr::new(api.ip(), port)))
    }
}

#[cfg(feature = "fuzz")]
pub mod fuzzing {
    use super::*;

    /// `agent.toml`: what is wrong with it has a reason.
    pub fn config(bytes: &[u8]) {
        match Config::parse(&String::from_utf8_lossy(bytes), Path::new("agent.toml")) {
            Ok(config) => {
                let api = config.listen.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 7433)));
                let _ = (config.check(), config.probes(api), config.finder());
                let _ = config.fleet.map(|fleet| (fleet.check().is_ok(), fleet.urls()));
            }
            Err(why) => assert!(!why.to_string().is_empty()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Config, String> {
        toml::from_str(text).map(Config::fold_names).map_err(|error| error.to_string())
    }

    #[test]
    fn names_have_no_case() {
        assert!(parse("[peers]\nRedis = ['10.0.0.5']").unwrap().peers.contains_key("redis"));
    }

    #[test]
    fn the_shipped_example_is_valid_and_says_the_defaults() {
        let shipped = parse(include_str!("../../systemd/agent.toml")).unwrap();
        assert_eq!(Config { peers: BTreeMap::new(), ..shipped }, Config::default());
    }

    #[test]
    fn mistakes_are_named() {
        for (text, reason) in [
            ("sockets = '/x'", "unknown field"),
            ("longest = '1h'", "unknown field"),
            ("[policy]\nlongest = '31d'", "out of range"),
            ("[policy]\nprotected_ports = ['22']", "protected port"),
            ("[peers]\nredis = ['10.0.0.300']", "neither an address"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "[peers]\nData = ['db', 'redis']\ndb = ['DATA:5432']").unwrap();
        let error = Config::load(Some(file.path())).unwrap_err().to_string();
        assert!(error.contains("data -> db -> data"), "{error}");
        assert!(matches!(Config::load(Some(Path::new("/nonexistent"))), Err(ConfigError::Read { .. })));
    }

    #[test]
    fn tcp_takes_a_token_or_an_authority() {
        let proofs = [
            "token_file = '/t'",
            "tokens = [{ name = 'a', file = '/t', role = 'observe' }]",
            "tls = { cert = '/c', key = '/k', client_ca = '/ca' }",
        ];
        for (listen, is_remote) in [
            ("0.0.0.0:7433", true),
            ("10.0.0.1:7433", true),
            ("[::]:7433", true),
            ("127.0.0.1:7433", false),
            ("[::1]:7433", false),
        ] {
            for nothing in ["", "tls = { cert = '/c', key = '/k' }", "tokens = []"] {
                let config = parse(&format!("listen = '{listen}'\n{nothing}")).unwrap();
                let error = config.check().unwrap_err().to_string();
                assert!(error.contains(listen) && error.contains("--token-file"), "{error}");
                let config = Config { insecure_loopback: true, ..config };
                assert_eq!(config.check().is_err(), is_remote, "{listen}");
            }
            for proof in proofs {
                let config = parse(&format!("listen = '{listen}'\n{proof}")).unwrap();
                assert!(config.check().is_ok(), "{listen} {proof}");
                assert_eq!(config.is_remote(), is_remote);
            }
        }
        assert!(parse("insecure_loopback = true").unwrap().check().is_ok());
        let missing = parse("listen = '[::1]:1'\ntoken_file = '/nonexistent'").unwrap();
        assert!(missing.remotes().unwrap_err().to_string().contains("/nonexistent"));
        assert!(parse("token_file = '/nonexistent'").unwrap().remotes().unwrap().is_none());
    }

    #[test]
    fn bounds_have_bounds() {
        for (text, is_fine) in [
            ("[policy]\nmost_faults = 1000", true),
            ("[policy]\nmost_faults = 1001", false),
            ("[policy]\nmost_faults = 0", false),
            ("most_connections = 1", true),
            ("most_connections = 4097", false),
        ] {
            assert_eq!(parse(text).unwrap().check().is_ok(), is_fine, "{text}");
        }
        let error = parse("hosts = ['http://web-1']").unwrap().check().unwrap_err().to_string();
        assert!(error.contains("`http://web-1` under `hosts`"), "{error}");
    }

    #[test]
    fn probes_are_answered_on_the_next_port_or_another_one_or_none() {
        let probes = |text: &str, api: &str| {
            let probes = parse(text).unwrap().probes(api.parse().unwrap());
            probes.map(|at| at.map(|at| at.to_string())).map_err(|error| error.to_string())
        };
        assert_eq!(probes("", "10.0.0.1:7433"), Ok(Some("10.0.0.1:7434".to_owned())));
        assert_eq!(probes("probe_port = 9", "[::]:7433"), Ok(Some("[::]:9".to_owned())));
        assert_eq!(probes("probe_port = 0", "10.0.0.1:65535"), Ok(None));
        assert!(probes("", "10.0.0.1:65535").unwrap_err().contains("probe_port"));
    }
}
