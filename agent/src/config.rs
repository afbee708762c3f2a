//! `agent.toml`. Every key has a default, unknown keys are errors, and flags of `serve` win over the file.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use partition_agent_proto::{DEFAULT_SOCKET, Peer, Span};
use serde::Deserialize;

use crate::finder::Finder;
use crate::plan::ProtectedPort;
use crate::resolve::circle;
use crate::scope::Engines;
use crate::token::{Token, TokenError};

/// Where `serve` looks without `--config`.
pub const DEFAULT_CONFIG: &str = "/etc/partition-agent/agent.toml";

/// How an agent runs.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The unix socket of the API.
    pub socket: PathBuf,
    /// The group that may use the socket, where it exists. Root always may.
    pub group: String,
    /// Also listen here; beyond loopback with a token only.
    pub listen: Option<SocketAddr>,
    /// A file with the token that callers over TCP must have.
    pub token_file: Option<PathBuf>,
    /// Where other agents find out whether they reach this one: the port after that of `listen` without it, none with 0.
    pub probe_port: Option<u16>,
    /// Journal and lock.
    pub state_dir: PathBuf,
    /// The longest fault.
    pub longest: Span,
    /// The most faults at once.
    pub most_faults: usize,
    /// Ports of this host that no fault touches.
    pub protect: Vec<ProtectedPort>,
    /// Faults in other network namespaces: containers, pods, units with a namespace of their own. Takes CAP_SYS_ADMIN and
    /// CAP_SYS_PTRACE, which the agent gives up otherwise.
    pub namespaces: bool,
    /// Sockets of container engines; without any, the usual ones of Docker and Podman.
    pub engines: Vec<PathBuf>,
    /// Names for `--peer`, before the resolver is asked.
    pub peers: BTreeMap<String, Vec<Peer>>,
}

impl Default for Config {
    fn default() -> Self {
        let port = |text: &str| text.parse::<ProtectedPort>().ok();
        Self {
            socket: PathBuf::from(DEFAULT_SOCKET),
            group: "partition-agent".to_owned(),
            listen: None,
            token_file: None,
            probe_port: None,
            state_dir: PathBuf::from("/var/lib/partition-agent"),
            longest: Span::from_secs(24 * 3600),
            most_faults: 100,
            // ssh, and the DHCP and DHCPv6 clients that keep this host's addresses.
            protect: ["tcp/22", "udp/68", "udp/546"].into_iter().filter_map(port).collect(),
            namespaces: false,
            engines: Vec::new(),
            peers: BTreeMap::new(),
        }
    }
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("cannot read {}: {source}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("{} is not a configuration:\n{source}", path.display())]
    Parse { path: PathBuf, source: Box<toml::de::Error> },
    #[error(
        "refusing to listen on {0}: beyond loopback whoever reaches that port could cut this host off, so callers must have a \
         token. Name a file with one (`openssl rand -hex 32` makes it) as `token_file`, or with --token-file; or listen on \
         127.0.0.1, or use the unix socket"
    )]
    NoToken(SocketAddr),
    #[error(
        "there is no port after {0} to answer probes on: choose one with `probe_port`, or switch it off with 0"
    )]
    NoProbePort(SocketAddr),
    #[error(transparent)]
    Token(#[from] TokenError),
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
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Self::default());
            }
            Err(source) => return Err(ConfigError::Read { path: path.to_owned(), source }),
        };
        Self::parse(&text, path)
    }

    fn parse(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let wrong = |source| ConfigError::Parse { path: path.to_owned(), source: Box::new(source) };
        let config = toml::from_str::<Self>(text).map(Self::fold_names).map_err(wrong)?;
        match circle(&config.peers).map(|names| names.join(" -> ")) {
            Some(way) => Err(ConfigError::Circle { path: path.to_owned(), way }),
            None => Ok(config),
        }
    }

    /// Host names have no case, and neither have names of the configuration.
    fn fold_names(mut self) -> Self {
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
        match self.listen {
            Some(address) if self.is_remote() && self.token_file.is_none() => {
                Err(ConfigError::NoToken(address))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Whether other hosts reach the API.
    #[must_use]
    pub fn is_remote(&self) -> bool {
        self.listen.is_some_and(|address| !address.ip().is_loopback())
    }

    /// What callers over TCP must have, where they must.
    ///
    /// # Errors
    /// A file that holds none.
    pub fn token(&self) -> Result<Option<Token>, ConfigError> {
        Ok(self.token_file.as_deref().map(Token::read).transpose()?)
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
            ("longest = '31d'", "out of range"),
            ("protect = ['22']", "protected port"),
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
    fn beyond_loopback_takes_a_token() {
        for listen in ["0.0.0.0:7433", "10.0.0.1:7433", "[::]:7433"] {
            let config = parse(&format!("listen = '{listen}'")).unwrap();
            let error = config.check().unwrap_err().to_string();
            assert!(error.contains(listen) && error.contains("token_file"), "{error}");
            let config = Config { token_file: Some("/etc/token".into()), ..config };
            assert!(config.check().is_ok() && config.is_remote());
        }
        for listen in ["127.0.0.1:7433", "[::1]:7433"] {
            let config = parse(&format!("listen = '{listen}'")).unwrap();
            assert!(config.check().is_ok() && !config.is_remote());
        }
        let missing = parse("token_file = '/nonexistent'").unwrap();
        assert!(missing.token().unwrap_err().to_string().contains("/nonexistent"));
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
