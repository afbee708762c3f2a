//! Where hosts come from, besides the fleet file: what other programs know about them. Each source is asked anew for every
//! command; nothing is remembered, and nobody is added or left out.

mod ansible;
mod bounded;
mod consul;
mod docker;
mod gathered;
mod http;
mod kubernetes;
mod prometheus;
mod resolve;
mod srv;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer};
use url::Url;

pub use bounded::file as read_file;
pub use gathered::{AgentOf, Found, Usual, agent_url};

/// How long a source may take for an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a service of agents is called, where sources know services by name. Its port is then that of the agents.
const AGENTS: &str = "partition-agent";

/// Where hosts come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// `fleet.toml`
    File(PathBuf),
    FileSd(PathBuf),
    HttpSd(Url),
    /// Standard input without a path.
    Ansible(Option<PathBuf>),
    /// The last part of the path is the service.
    Consul(Url),
    Srv {
        name: String,
        server: Option<SocketAddr>,
    },
    /// `key` or `key=value`
    Docker(String),
    /// The API server of the cluster that this runs in, or a `kubectl proxy`.
    Kubernetes {
        namespace: String,
        service: String,
        proxy: Option<Url>,
    },
}

const FORMS: &str = "PATH.toml, file_sd:PATH, http_sd:URL, ansible:PATH (- for standard input), consul:URL/SERVICE, \
                     srv:NAME[@SERVER[:PORT]], docker:LABEL[=VALUE] or kubernetes:NAMESPACE/SERVICE[@URL]";

impl Source {
    /// All that it knows. Agents of which it says no more are where they usually are.
    ///
    /// # Errors
    /// What went wrong; the caller says where.
    pub async fn ask(&self, usual: Usual) -> Result<Found, String> {
        let gathered = match self {
            Self::File(_) => {
                Err("a fleet file brings hosts from other sources, not from another fleet file".to_owned())
            }
            Self::FileSd(path) => prometheus::file_sd(path).await,
            Self::HttpSd(url) => prometheus::http_sd(url).await,
            Self::Ansible(Some(path)) => ansible::read(&bounded::file(path)?).await,
            Self::Ansible(None) => ansible::read(&bounded::stdin()?).await,
            Self::Consul(url) => consul::service(url).await,
            Self::Srv { name, server } => srv::look_up(name, *server).await,
            Self::Docker(label) => docker::labelled(label).await,
            Self::Kubernetes { namespace, service, proxy } => {
                kubernetes::service(namespace, service, proxy.as_ref()).await
            }
        };
        Ok(gathered?.found(usual))
    }

    /// With a relative path taken from there.
    pub fn beside(self, directory: &Path) -> Self {
        match self {
            Self::File(path) => Self::File(directory.join(path)),
            Self::FileSd(path) => Self::FileSd(directory.join(path)),
            Self::Ansible(Some(path)) => Self::Ansible(Some(directory.join(path))),
            Self::Ansible(None)
            | Self::HttpSd(_)
            | Self::Consul(_)
            | Self::Srv { .. }
            | Self::Docker(_)
            | Self::Kubernetes { .. } => self,
        }
    }
}

#[cfg(feature = "fuzz")]
/// What one says, without asking it.
pub async fn fuzz(kind: &str, text: &str) -> Result<gathered::Gathered, String> {
    match kind {
        "yaml" => prometheus::fuzz(text, true).await,
        "ansible" => ansible::fuzz(text).await,
        "consul" => consul::fuzz(text).await,
        "kubernetes" => kubernetes::read(text, AGENTS),
        "docker" => docker::fuzz(text),
        _ => prometheus::fuzz(text, false).await,
    }
}

/// Go writes an empty list or map as `null`, too.
fn or_null<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Option::deserialize(deserializer).map(Option::unwrap_or_default)
}

/// Of a server that is asked. With a password in it, it would be in every message that names the source.
fn url(text: &str) -> Option<Url> {
    let is_plain = |url: &Url| {
        matches!(url.scheme(), "http" | "https")
            && url.has_host()
            && url.username().is_empty()
            && url.password().is_none()
    };
    text.parse::<Url>().ok().filter(is_plain)
}

/// Of a name server: an address, with a port or without.
fn server(text: &str) -> Option<SocketAddr> {
    let plain = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address = plain.parse::<IpAddr>().map(|address| SocketAddr::new(address, 53));
    address.or_else(|_| text.parse()).ok()
}

impl FromStr for Source {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no source of hosts: write {FORMS}");
        let (kind, rest) = match text.split_once(':') {
            Some((kind, rest)) if !rest.is_empty() => (kind, rest),
            Some(_) | None => ("", text),
        };
        let source = match kind {
            "file_sd" => Some(Self::FileSd(rest.into())),
            "http_sd" => url(rest).map(Self::HttpSd),
            "ansible" => Some(Self::Ansible((rest != "-").then(|| rest.into()))),
            "consul" => url(rest).filter(|url| !url.path().ends_with('/')).map(Self::Consul),
            "srv" => match rest.split_once('@') {
                None => Some(Self::Srv { name: rest.to_owned(), server: None }),
                Some((name, at)) => {
                    server(at).map(|server| Self::Srv { name: name.to_owned(), server: Some(server) })
                }
            },
            "docker" => Some(Self::Docker(rest.to_owned())),
            "kubernetes" => {
                let (path, proxy) = match rest.split_once('@') {
                    Some((path, proxy)) => (path, Some(url(proxy).ok_or_else(wrong)?)),
                    None => (rest, None),
                };
                path.split_once('/')
                    .filter(|(namespace, service)| {
                        !namespace.is_empty() && !service.is_empty() && !service.contains('/')
                    })
                    .map(|(namespace, service)| Self::Kubernetes {
                        namespace: namespace.to_owned(),
                        service: service.to_owned(),
                        proxy,
                    })
            }
            _ => Path::new(text).extension().is_some_and(|it| it == "toml").then(|| Self::File(text.into())),
        };
        source.ok_or_else(wrong)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::FileSd(path) => write!(f, "file_sd:{}", path.display()),
            Self::HttpSd(url) => write!(f, "http_sd:{url}"),
            Self::Ansible(Some(path)) => write!(f, "ansible:{}", path.display()),
            Self::Ansible(None) => f.write_str("ansible:-"),
            Self::Consul(url) => write!(f, "consul:{url}"),
            Self::Srv { name, server: None } => write!(f, "srv:{name}"),
            Self::Srv { name, server: Some(server) } => write!(f, "srv:{name}@{server}"),
            Self::Docker(label) => write!(f, "docker:{label}"),
            Self::Kubernetes { namespace, service, proxy: None } => {
                write!(f, "kubernetes:{namespace}/{service}")
            }
            Self::Kubernetes { namespace, service, proxy: Some(url) } => {
                write!(f, "kubernetes:{namespace}/{service}@{url}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_round_trips() {
        for text in [
            "fleet.toml",
            "/etc/partition-agent/fleet.toml",
            "file_sd:targets.json",
            "http_sd:http://127.0.0.1:8080/targets",
            "http_sd:https://sd.example.com/targets?team=a",
            "ansible:list.json",
            "ansible:-",
            "consul:http://127.0.0.1:8500/web",
            "srv:_partition-agent._tcp.example.com",
            "srv:_http._tcp.example.com@127.0.0.1:5353",
            "srv:_http._tcp.example.com@[::1]:5353",
            "docker:tier",
            "docker:tier=web",
            "kubernetes:shop/web",
            "kubernetes:shop/web@http://127.0.0.1:8001/",
        ] {
            assert_eq!(text.parse::<Source>().unwrap().to_string(), text);
        }
        let server = |text: &str| match text.parse::<Source>() {
            Ok(Source::Srv { server, .. }) => server.unwrap().to_string(),
            other => panic!("{other:?}"),
        };
        assert_eq!(server("srv:a@10.0.0.53"), "10.0.0.53:53");
        assert_eq!(server("srv:a@fd00::53"), "[fd00::53]:53");
        assert_eq!(server("srv:a@[fd00::53]"), "[fd00::53]:53");
    }

    #[test]
    fn nonsense_is_refused_with_the_forms_that_there_are() {
        for text in [
            "",
            "fleet",
            "fleet.json",
            "file_sd:",
            "http_sd:ftp://a/b",
            "http_sd:127.0.0.1",
            "http_sd:http://user:secret@127.0.0.1/",
            "consul:http://127.0.0.1:8500",
            "consul:127.0.0.1/web",
            "srv:a@name",
            "srv:a@",
            "docker:",
            "kubernetes:web",
            "kubernetes:/web",
            "kubernetes:a/b/c",
            "kubernetes:a/b@127.0.0.1",
            "etcd:http://a",
        ] {
            let error = text.parse::<Source>().unwrap_err();
            assert!(
                error.contains("is no source of hosts: write PATH.toml, file_sd:PATH"),
                "{text}: {error}"
            );
        }
    }

    #[test]
    fn paths_in_a_fleet_file_are_beside_it() {
        let beside = |text: &str| text.parse::<Source>().unwrap().beside(Path::new("/etc/pa")).to_string();
        assert_eq!(beside("file_sd:targets.json"), "file_sd:/etc/pa/targets.json");
        assert_eq!(beside("ansible:/tmp/list.json"), "ansible:/tmp/list.json");
        assert_eq!(beside("docker:web"), "docker:web");
    }
}
