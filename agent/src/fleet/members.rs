//! `[fleet]` of the configuration: which agents this one asks, and how it is let in there. Without that table it asks nobody.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tokio_rustls::rustls::ClientConfig;
use utoipa::ToSchema;

use crate::access::is_host_name;
use crate::client_tls::{ClientTlsError, client_config};
use crate::secret::Reader;
use crate::token::{Token, TokenError};

/// Where agents listen that nobody gave another port.
pub const DEFAULT_PORT: u16 = 7433;

/// Each is a connection of this agent, and a row or more of every answer.
pub const MOST: usize = 1_000;

/// `[fleet]`: files are read at the start and never again.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FleetConfig {
    /// The agents that are asked, each a name or an address with or without a port (7433): `web-1`, `10.0.0.13:7011`, `[fd00::14]:7433`.
    /// None twice.
    #[schema(value_type = Vec<String>, min_items = 1, max_items = 1000)]
    pub hosts: Vec<Member>,
    /// A file with a token that lets this agent look on there.
    #[schema(value_type = String)]
    pub token_file: Option<PathBuf>,
    /// The authority of their certificates, in PEM. With it all of them are asked over TLS.
    #[schema(value_type = String)]
    pub ca: Option<PathBuf>,
    /// A certificate to show to them, in PEM, with `key` and `ca`. Without it and without a token every host has to be on loopback.
    #[schema(value_type = String)]
    pub cert: Option<PathBuf>,
    /// Its key, which not every user of the host may read.
    #[schema(value_type = String)]
    pub key: Option<PathBuf>,
}

/// An agent that is asked: `web-1`, `10.0.0.3:7011`, `[fd00::3]:7433`. Without a port it is [`DEFAULT_PORT`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// As it is written.
    name: String,
    host: String,
    port: u16,
}

/// Not a [`Member`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is no agent's address: write HOST or HOST:PORT, where HOST is a name or an address, such as `web-1`, `10.0.0.3:7011` or \
         `[fd00::3]:7433`", .0.escape_debug())]
pub struct MemberError(String);

/// Why there is no fleet to ask.
#[derive(Debug, thiserror::Error)]
pub enum FleetError {
    #[error(
        "`hosts` under [fleet] has {0} agents: at least 1, at most {MOST}; without a fleet, leave [fleet] out"
    )]
    Count(usize),
    #[error("`hosts` under [fleet] has {0} twice: name each agent once")]
    Twice(String),
    #[error("`cert` and `key` under [fleet] go together: name both, or neither")]
    Half,
    #[error(
        "`cert` under [fleet] is shown over TLS: name the authority of the agents' certificates as `ca`, too"
    )]
    InTheClear,
    #[error(
        "no agent lets anybody in for nothing but over loopback, and `hosts` under [fleet] has {0}: name a file with a token of the \
         role `observe` as `token_file`, or a certificate of that role as `cert` and `key`, with `ca`"
    )]
    NoProof(String),
    #[error(transparent)]
    Token(#[from] TokenError),
    #[error(transparent)]
    Tls(#[from] ClientTlsError),
}

/// How this agent is let in by the others. It is never printed.
#[derive(Clone)]
pub struct Proof {
    pub token: Option<Token>,
    /// Over which all of them are asked, where there is some.
    pub tls: Option<Arc<ClientConfig>>,
    pub has_certificate: bool,
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Proof")
    }
}

impl FleetConfig {
    /// Looks at no file.
    ///
    /// # Errors
    /// What is well-formed and must not be.
    pub fn check(&self) -> Result<(), FleetError> {
        if !(1..=MOST).contains(&self.hosts.len()) {
            return Err(FleetError::Count(self.hosts.len()));
        }
        let mut seen = BTreeSet::new();
        if let Some(twice) = self.hosts.iter().find(|member| !seen.insert(member.authority())) {
            return Err(FleetError::Twice(twice.name.clone()));
        }
        if self.cert.is_some() != self.key.is_some() {
            return Err(FleetError::Half);
        }
        if self.cert.is_some() && self.ca.is_none() {
            return Err(FleetError::InTheClear);
        }
        let far = self.hosts.iter().find(|member| !member.is_loopback());
        match far {
            Some(far) if self.token_file.is_none() && self.cert.is_none() => {
                Err(FleetError::NoProof(far.name.clone()))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Reads the files.
    ///
    /// # Errors
    /// One that cannot be used, or what [`Self::check`] refuses.
    pub fn proof(&self) -> Result<Proof, FleetError> {
        self.check()?;
        let token = self.token_file.as_deref().map(|path| Token::read(path, Reader::Agent)).transpose()?;
        let shows = self.cert.as_deref().zip(self.key.as_deref());
        let tls = self.ca.as_deref().map(|ca| client_config(ca, shows, Reader::Agent)).transpose()?;
        Ok(Proof { token, tls, has_certificate: shows.is_some() })
    }

    /// Where they are asked, in the order of the configuration.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        let scheme = if self.ca.is_some() { "https" } else { "http" };
        self.hosts.iter().map(|member| format!("{scheme}://{}", member.authority())).collect()
    }
}

impl Member {
    /// `web-1:7433`, in lower case.
    fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    fn is_loopback(&self) -> bool {
        let address = self.host.trim_matches(['[', ']']).parse::<IpAddr>();
        address.map_or(self.host == "localhost", |address| address.to_canonical().is_loopback())
    }
}

impl FromStr for Member {
    type Err = MemberError;

    fn from_str(text: &str) -> Result<Self, MemberError> {
        let refused = || MemberError(text.to_owned());
        let of = |address: SocketAddr| {
            let host = match address {
                SocketAddr::V4(v4) => v4.ip().to_string(),
                SocketAddr::V6(v6) => format!("[{}]", v6.ip()),
            };
            (host, address.port())
        };
        let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
        let (host, port) = if let Ok(address) = text.parse::<SocketAddr>() {
            of(address)
        } else if let Ok(address) = bare.parse::<IpAddr>() {
            of(SocketAddr::new(address, DEFAULT_PORT))
        } else {
            let (name, port) = match text.split_once(':') {
                Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
                    (name, port.parse().map_err(|_| refused())?)
                }
                Some(_) => return Err(refused()),
                None => (text, DEFAULT_PORT),
            };
            (name.to_ascii_lowercase(), port)
        };
        // What looks like an address and is none is a slip, and no name.
        let is_name = is_host_name(&host) && host.bytes().any(|byte| byte.is_ascii_alphabetic());
        let is_address = host.starts_with('[') || host.parse::<Ipv4Addr>().is_ok();
        if port == 0 || !(is_name || is_address) {
            return Err(refused());
        }
        Ok(Self { name: text.to_owned(), host, port })
    }
}

impl Serialize for Member {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.name)
    }
}

impl<'de> Deserialize<'de> for Member {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn parse(text: &str) -> Result<FleetConfig, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn members_are_names_and_addresses_with_a_port_or_without() {
        for (text, url) in [
            ("web-1", "http://web-1:7433"),
            ("Web-1.Example.com:7011", "http://web-1.example.com:7011"),
            ("10.0.0.3", "http://10.0.0.3:7433"),
            ("10.0.0.3:7011", "http://10.0.0.3:7011"),
            ("fd00::3", "http://[fd00::3]:7433"),
            ("[fd00::3]", "http://[fd00::3]:7433"),
            ("[FD00::3]:1", "http://[fd00::3]:1"),
        ] {
            let fleet = parse(&format!("hosts = ['{text}']")).unwrap();
            assert_eq!(fleet.urls(), [url]);
            assert_eq!(fleet.hosts[0].to_string(), text);
            let over_tls = FleetConfig { ca: Some("/ca".into()), ..fleet };
            assert_eq!(over_tls.urls(), [url.replace("http:", "https:")]);
        }
        for text in [
            "",
            ":7433",
            "web-1:",
            "web-1:0",
            "web-1:65536",
            "web-1:+1",
            "web-1:80:80",
            "http://web-1",
            "web-1/v1/faults",
            "web-1?x",
            "user@web-1",
            "web 1",
            "web-1\\r\\nx",
            "10.0.0.300",
            "10.0.0.0/24",
            "*",
            "[fd00::3",
            "fd00::3%eth0",
        ] {
            let error = parse(&format!("hosts = [\"{text}\"]")).unwrap_err();
            assert!(error.contains("is no agent's address: write HOST or HOST:PORT"), "{text}: {error}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        let many = (0..=MOST).map(|nth| format!("'h{nth}'")).collect::<Vec<_>>().join(",");
        let token = "token_file = '/t'";
        let tls = "ca = '/ca'\ncert = '/c'\nkey = '/k'";
        for (text, reason) in [
            (format!("hosts = []\n{token}"), Some("has 0 agents")),
            (format!("hosts = [{many}]\n{token}"), Some("has 1001 agents: at least 1, at most 1000")),
            (format!("hosts = ['a', 'b:7433', 'A:7433']\n{token}"), Some("has A:7433 twice")),
            ("hosts = ['a']".to_owned(), Some("has a: name a file with a token of the role `observe`")),
            ("hosts = ['localhost', '127.0.0.2:1', '::1', '10.0.0.1']".to_owned(), Some("has 10.0.0.1:")),
            ("hosts = ['localhost', '127.0.0.2:1', '::1']".to_owned(), None),
            (format!("hosts = ['a']\n{token}"), None),
            (format!("hosts = ['a']\n{tls}"), None),
            (format!("hosts = ['a']\n{token}\nca = '/ca'"), None),
            ("hosts = ['a']\nca = '/ca'".to_owned(), Some("lets anybody in for nothing")),
            (format!("hosts = ['a']\n{token}\ncert = '/c'\nkey = '/k'"), Some("name the authority")),
            (format!("hosts = ['a']\n{token}\nca = '/ca'\nkey = '/k'"), Some("go together")),
        ] {
            let checked = parse(&text).unwrap().check().map_err(|error| error.to_string());
            match reason {
                None => assert_eq!(checked, Ok(()), "{text}"),
                Some(words) => assert!(checked.as_ref().is_err_and(|why| why.contains(words)), "{checked:?}"),
            }
        }
        assert!(parse("hosts = ['a']\nevery = '1s'").unwrap_err().contains("unknown field `every`"));
        assert!(parse("token_file = '/t'").unwrap_err().contains("missing field `hosts`"));
    }

    #[test]
    fn its_files_are_secrets_like_any_other() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("token");
        let fleet = parse(&format!("hosts = ['a']\ntoken_file = '{}'", file.display())).unwrap();
        assert!(fleet.proof().unwrap_err().to_string().contains("No such file"));
        std::fs::write(&file, "a-word-of-some-length").unwrap();
        for (mode, reason) in [(0o644, Some("every user of this host may read or write")), (0o640, None)] {
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
            match (fleet.proof().map_err(|error| error.to_string()), reason) {
                (Ok(proof), None) => {
                    assert!(proof.token.is_some() && proof.tls.is_none() && !proof.has_certificate);
                }
                (Err(why), Some(words)) => assert!(why.contains(words), "{why}"),
                (other, _) => panic!("{mode:o}: {other:?}"),
            }
        }
        let tls = format!("hosts = ['a']\nca = '{0}'\ncert = '{0}'\nkey = '{0}'", file.display());
        let error = parse(&tls).unwrap().proof().unwrap_err().to_string();
        assert!(
            error.contains("there is none; a file of them begins with -----BEGIN CERTIFICATE"),
            "{error}"
        );
    }
}
