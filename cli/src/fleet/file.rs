//! `fleet.toml`. What nobody knows is refused, and every mistake is told with its line, not only the first.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use partition_agent_proto::fleet::{Fleet, FleetHost, Link, LinkEnd, Selector, Service};
use partition_agent_proto::{Percent, Ports};
use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue, ValueDeserializer};
use utoipa::ToSchema;

use super::lab::{LabServer, RawServer};
use super::lines::Lines;
use super::sources::{AgentOf, Found, Source, Usual};
use super::values::{Address, Agent, Several, Text};
use super::{DEFAULT_PORT, Loaded, in_the_clear};
use crate::tls::TlsFiles;

mod keys;

pub use keys::file_schema;

type Addresses = Several<Text<Address>>;
type SeveralPorts = Several<Ports>;
type Sources = Several<Text<Source>>;

/// What a file says; hosts of other sources may still come.
pub struct FleetFile {
    pub fleet: Fleet,
    pub token_file: Option<PathBuf>,
    pub tls: TlsFiles,
    pub usual: Usual,
    pub from: Vec<Source>,
    /// What runs on the hosts of a lab.
    servers: BTreeMap<String, LabServer>,
    directory: PathBuf,
    /// The file and its sources, for people.
    described: String,
    lines: Lines,
    /// A part that could not be read: what builds on it would be called wrong, too.
    broken: Option<Part>,
}

/// Each can name what is in those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Hosts,
    Groups,
    Services,
    Links,
    Servers,
}

/// A host. Its name is its key.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RawHost {
    /// What others see of it: one address or a list of them.
    #[serde(default)]
    #[schema(inline, examples("10.0.0.11"))]
    address: Addresses,
    /// The URL of its agent; `false` for a host without one, which can only be a peer of others. Without it, its first
    /// address at `port`.
    #[schema(inline, value_type = Agent, required = false)]
    agent: Option<Agent>,
    /// region, zone, role and the like. Each makes a group of its value.
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

/// Something that answers on ports. Its name is its key.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RawService {
    /// Where it is, for what is outside of the fleet: one address or a list of them.
    #[serde(default)]
    #[schema(inline)]
    address: Addresses,
    /// The hosts of the fleet that offer it.
    #[schema(value_type = String, required = false, examples("@db"))]
    hosts: Option<Text<Selector>>,
    /// Its ports, one or a list of ports and ranges; without any, all traffic of its addresses.
    #[serde(default)]
    #[schema(inline, examples(5432))]
    ports: SeveralPorts,
    /// A path that answers a GET with a success while the service works, on its first port.
    #[schema(value_type = String, required = false, examples("/healthz"))]
    http: Option<String>,
}

/// A way that has a name, which is its key.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct RawLink {
    /// The hosts at this end; they have agents.
    #[schema(value_type = String, examples("@web"))]
    from: Text<Selector>,
    /// The other end: a service, or hosts.
    #[schema(value_type = String, examples("postgres"))]
    to: Text<Selector>,
}

impl FleetFile {
    /// A file that is no TOML has no fleet, only mistakes. Its agents are asked over TLS if it says so, or if that is so anyway.
    pub fn read(path: &Path, text: &str, tls: bool) -> Result<Self, Vec<String>> {
        let mut lines = Lines::new(path, text);
        let (table, errors) = DeTable::parse_recoverable(text);
        if !errors.is_empty() {
            errors.iter().for_each(|error| lines.wrong_toml("", error));
            return Err(lines.mistakes());
        }
        let table = table.into_inner();
        lines.remember("", &table);
        let beside = path.parent().unwrap_or(Path::new("")).to_owned();
        let mut file = Self {
            fleet: Fleet::default(),
            token_file: None,
            tls: TlsFiles::default(),
            usual: Usual { port: DEFAULT_PORT, tls },
            from: Vec::new(),
            servers: BTreeMap::new(),
            directory: beside.clone(),
            described: path.display().to_string(),
            lines,
            broken: None,
        };
        let mut parts = BTreeMap::new();
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "token_file" => {
                    file.token_file =
                        file.value::<PathBuf>("token_file", value).map(|path| beside.join(path));
                }
                "max_share" => {
                    if let Some(Text(share)) = file.value::<Text<Percent>>("max_share", value) {
                        file.fleet.max_share = share;
                    }
                }
                "port" => file.usual.port = file.value("port", value).unwrap_or(DEFAULT_PORT),
                "tls" => {
                    if let Some(tls) = file.value::<TlsFiles>("tls", value) {
                        file.tls = tls.beside(&beside);
                    }
                    // An empty table, too: with the authorities of the system.
                    file.usual.tls = true;
                }
                "from" => {
                    let from = file.value::<Sources>("from", value).unwrap_or_default();
                    file.from = from.0.into_iter().map(|Text(source)| source.beside(&beside)).collect();
                }
                "hosts" => drop(parts.insert(Part::Hosts, value)),
                "groups" => drop(parts.insert(Part::Groups, value)),
                "services" => drop(parts.insert(Part::Services, value)),
                "links" => drop(parts.insert(Part::Links, value)),
                "lab" => drop(parts.insert(Part::Servers, value)),
                unknown => {
                    let what = format!(
                        "unknown key `{unknown}`: a fleet file has token_file, max_share, tls, port, from, hosts, groups, \
                         services, links and lab"
                    );
                    file.lines.wrong_at(key.span().start, what);
                }
            }
        }
        for (part, value) in parts {
            match part {
                Part::Hosts => file.entries(part, value, Self::host),
                Part::Groups => file.entries(part, value, Self::group),
                Part::Services => file.entries(part, value, Self::service),
                Part::Links => file.entries(part, value, Self::link),
                Part::Servers => file.entries(part, value, Self::server),
            }
        }
        Ok(file)
    }

    /// Those of a source, or why there are none.
    pub fn add(&mut self, source: &Source, found: Result<Found, String>) {
        self.described = format!("{}, {source}", self.described);
        let Found { hosts, groups } = match found {
            Ok(found) => found,
            Err(why) => {
                self.broken = Some(Part::Hosts);
                return self.lines.wrong_key("from", format!("{source}: {why}"));
            }
        };
        for (name, host) in hosts {
            if self.fleet.hosts.contains_key(&name) {
                self.lines.wrong_key(&format!("hosts.{name}"), format!("{source} has a host {name}, too"));
            }
            self.fleet.hosts.entry(name).or_insert(host);
        }
        for (name, group) in groups {
            if self.fleet.groups.contains_key(&name) {
                self.lines.wrong_key(&format!("groups.{name}"), format!("{source} has a group {name}, too"));
            }
            self.fleet.groups.entry(name).or_insert(group);
        }
    }

    /// The fleet, if nothing is wrong with it.
    pub fn checked(mut self) -> Result<Loaded, Vec<String>> {
        for mistake in self.fleet.check() {
            let part = match mistake.at.split('.').next() {
                Some("links") => Part::Links,
                Some("services") => Part::Services,
                Some("groups") => Part::Groups,
                Some(_) | None => Part::Hosts,
            };
            // Groups name each other, and without one host all may be missing.
            let follows = match self.broken {
                Some(Part::Groups) => part >= Part::Groups,
                Some(broken) => part > broken || (part == Part::Hosts && self.fleet.hosts.is_empty()),
                None => false,
            };
            if !follows {
                self.lines.wrong_key(&mistake.at, mistake.to_string());
            }
        }
        // What is wrong with links is nothing to a server.
        let follows = self.broken.is_some_and(|broken| broken < Part::Links);
        for (name, server) in &self.servers {
            match server.check(name, &self.fleet) {
                Err((key, what)) if !follows => {
                    self.lines.wrong_key(&format!("lab.{name}{key}"), format!("lab.{name}{key}: {what}"));
                }
                Ok(()) | Err(_) => {}
            }
        }
        if self.usual.tls {
            for (host, mistake) in in_the_clear(&self.fleet) {
                self.lines.wrong_key(&format!("hosts.{host}.agent"), mistake);
            }
        }
        if !self.lines.is_right() {
            return Err(self.lines.mistakes());
        }
        let Self { fleet, token_file, tls, described, servers, directory, .. } = self;
        Ok(Loaded { fleet, token_file, tls, described, servers, directory })
    }

    fn value<'de, T: Deserialize<'de>>(&mut self, at: &str, value: Spanned<DeValue<'de>>) -> Option<T> {
        let read = T::deserialize(ValueDeserializer::from(value));
        read.map_err(|error| self.lines.wrong_toml(at, &error)).ok()
    }

    fn entries<'de, T: Deserialize<'de>>(
        &mut self,
        part: Part,
        table: Spanned<DeValue<'de>>,
        take: fn(&mut Self, String, T),
    ) {
        let section = match part {
            Part::Hosts => "hosts",
            Part::Groups => "groups",
            Part::Services => "services",
            Part::Links => "links",
            Part::Servers => "lab",
        };
        let span = table.span();
        let DeValue::Table(table) = table.into_inner() else {
            self.broken = self.broken.or(Some(part));
            return self
                .lines
                .wrong_at(span.start, format!("{section}: this is no table: write [{section}]"));
        };
        for (name, value) in table {
            let at = format!("{section}.{}", name.get_ref());
            match self.value(&at, value) {
                Some(entry) => take(self, name.into_inner().into_owned(), entry),
                None => self.broken = self.broken.or(Some(part)),
            }
        }
    }

    fn host(&mut self, written: String, raw: RawHost) {
        let name = written.to_ascii_lowercase();
        let addresses = raw.address.0.into_iter().map(|Text(Address(address))| address).collect::<Vec<_>>();
        let agent = raw.agent.map_or(AgentOf::Usual, |Agent(agent)| agent).url(&addresses, self.usual);
        let host = FleetHost { agent, addresses, labels: raw.labels };
        if self.fleet.hosts.insert(name, host).is_some() {
            self.twice("hosts", &written);
        }
    }

    fn group(&mut self, name: String, Text(selector): Text<Selector>) {
        self.fleet.groups.insert(name, selector);
    }

    fn service(&mut self, written: String, raw: RawService) {
        let service = Service {
            addresses: raw.address.0.into_iter().map(|Text(Address(address))| address).collect(),
            hosts: raw.hosts.map(|Text(selector)| selector),
            ports: raw.ports.0,
            http: raw.http,
        };
        if self.fleet.services.insert(written.to_ascii_lowercase(), service).is_some() {
            self.twice("services", &written);
        }
    }

    fn link(&mut self, name: String, RawLink { from: Text(from), to: Text(to) }: RawLink) {
        let to = self.end(to);
        self.fleet.links.insert(name, Link { from, to });
    }

    fn server(&mut self, name: String, raw: RawServer) {
        let on = match raw.on.map_or_else(|| name.parse(), |Text(on)| Ok(on)) {
            Ok(on) => self.end(on),
            Err(error) => {
                return self.lines.wrong_key(&format!("lab.{name}"), format!("lab.{name}: {error}"));
            }
        };
        let server = LabServer { on, command: raw.command, ready: raw.ready, patience: raw.patience };
        self.servers.insert(name, server);
    }

    /// A name may be that of a service.
    fn end(&self, written: Selector) -> LinkEnd {
        let service =
            written.host().filter(|name| self.fleet.services.contains_key(*name)).map(str::to_owned);
        service.map_or(LinkEnd::Hosts(written), LinkEnd::Service)
    }

    fn twice(&mut self, section: &str, name: &str) {
        let what = format!("{section}.{name}: it is there twice, as upper and lower case are alike");
        self.lines.wrong_key(&format!("{section}.{name}"), what);
    }
}

#[cfg(test)]
mod tests;
