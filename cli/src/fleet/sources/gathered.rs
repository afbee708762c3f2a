//! What a source says about hosts, put together: it may speak of one host several times.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use partition_agent_proto::fleet::{FleetHost, Selector, is_group_name};
use url::Url;

/// More than that is no fleet but a mistake.
const MOST: usize = 10_000;

/// One host, as far as one entry of a source tells.
#[derive(Debug, Default)]
pub struct Said {
    pub name: String,
    pub addresses: Vec<IpAddr>,
    pub labels: BTreeMap<String, String>,
    pub agent: AgentOf,
}

/// Where a host has its agent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum AgentOf {
    /// At its first address, on the port of the fleet.
    #[default]
    Usual,
    /// At its first address.
    Port(u16),
    At(String),
    Nowhere,
}

/// How agents are asked that nobody said more about.
#[derive(Debug, Clone, Copy)]
pub struct Usual {
    pub port: u16,
    pub tls: bool,
}

#[cfg(test)]
impl Usual {
    pub const PLAIN: Self = Self { port: 7433, tls: false };
}

/// Hosts by name, and groups that are no labels.
#[derive(Debug, Default)]
pub struct Gathered {
    hosts: BTreeMap<String, Host>,
    groups: BTreeMap<String, BTreeSet<String>>,
}

#[derive(Debug, Default)]
struct Host {
    addresses: Vec<IpAddr>,
    /// All values that were told for a key.
    labels: BTreeMap<String, BTreeSet<String>>,
    agent: AgentOf,
}

/// All that a source knows.
#[derive(Debug)]
pub struct Found {
    pub hosts: BTreeMap<String, FleetHost>,
    pub groups: BTreeMap<String, Selector>,
}

impl AgentOf {
    /// From `partition_agent`, under which every source with labels may say where the agent is: a URL, or `false` for none.
    /// Prometheus keeps labels to itself that have underscores around them.
    pub fn taken_from(labels: &mut BTreeMap<String, String>) -> Result<Self, String> {
        let is_it = |key: &&String| key.trim_matches('_') == "partition_agent";
        let Some(key) = labels.keys().find(is_it).cloned() else { return Ok(Self::Usual) };
        match labels.remove(&key).as_deref() {
            None => Ok(Self::Usual),
            Some("false") => Ok(Self::Nowhere),
            Some(url) => agent_url(url).map(Self::At),
        }
    }

    /// A port that the source has for it, unless something more exact was said.
    pub fn or_port(self, port: Option<u16>) -> Self {
        match (self, port) {
            (Self::Usual, Some(port)) => Self::Port(port),
            (agent, _) => agent,
        }
    }

    pub fn url(&self, addresses: &[IpAddr], usual: Usual) -> Option<String> {
        let scheme = if usual.tls { "https" } else { "http" };
        let on =
            |port| addresses.first().map(|address| format!("{scheme}://{}", SocketAddr::new(*address, port)));
        match self {
            Self::Usual => on(usual.port),
            Self::Port(port) => on(*port),
            Self::At(url) => Some(url.clone()),
            Self::Nowhere => None,
        }
    }
}

/// The URL of an agent, without a slash at its end.
pub fn agent_url(text: &str) -> Result<String, String> {
    let url = text.parse::<Url>().ok().filter(|url| {
        let plain = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        matches!(url.scheme(), "http" | "https") && url.has_host() && url.username().is_empty() && plain
    });
    match url {
        Some(_) => Ok(text.trim_end_matches('/').to_owned()),
        None => Err(format!("`{text}` is no agent's address: write https://HOST:PORT or http://HOST:PORT")),
    }
}

impl Gathered {
    /// # Errors
    /// Too many hosts, and two agents for one of them.
    pub fn add(&mut self, said: Said) -> Result<(), String> {
        let name = said.name.to_ascii_lowercase();
        if self.hosts.len() >= MOST && !self.hosts.contains_key(&name) {
            return Err(format!("more than {MOST} hosts: ask for fewer"));
        }
        let host = self.hosts.entry(name.clone()).or_default();
        for address in said.addresses.into_iter().map(|address| address.to_canonical()) {
            if !host.addresses.contains(&address) {
                host.addresses.push(address);
            }
        }
        for (key, value) in said.labels {
            host.labels.entry(key).or_default().insert(value);
        }
        match (&host.agent, said.agent) {
            (_, AgentOf::Usual) => {}
            (AgentOf::Usual, agent) => host.agent = agent,
            (known, agent) if *known == agent => {}
            (known, agent) => return Err(format!("two agents for {name}: {known:?} and {agent:?}")),
        }
        Ok(())
    }

    /// Another host of a group.
    pub fn join(&mut self, group: &str, host: &str) {
        self.groups.entry(group.to_owned()).or_default().insert(host.to_ascii_lowercase());
    }

    /// A key that has several values on one host (the jobs of Prometheus that scrape it) describes no host. Its values
    /// become named groups instead, on all hosts, so that nobody gets a part of them by `@key=value`.
    pub fn found(mut self, usual: Usual) -> Found {
        let ambiguous = |host: &Host| {
            host.labels
                .iter()
                .filter(|(_, values)| values.len() > 1)
                .map(|(key, _)| key.clone())
                .collect::<Vec<_>>()
        };
        let keys = self.hosts.values().flat_map(ambiguous).collect::<BTreeSet<_>>();
        for (name, host) in &mut self.hosts {
            for value in keys.iter().filter_map(|key| host.labels.remove(key)).flatten() {
                self.groups.entry(value).or_default().insert(name.clone());
            }
        }
        let host = |(name, host): (String, Host)| {
            let label = |(key, values): (String, BTreeSet<String>)| Some((key, values.into_iter().next()?));
            let agent = host.agent.url(&host.addresses, usual);
            let labels = host.labels.into_iter().filter_map(label).collect();
            (name, FleetHost { agent, addresses: host.addresses, labels })
        };
        let group = |(name, hosts): (String, BTreeSet<String>)| {
            // A name that cannot be one is the mistake of its host, and told there.
            let hosts = hosts.into_iter().collect::<Vec<_>>().join(",").parse().ok()?;
            is_group_name(&name).then_some((name, hosts))
        };
        Found {
            hosts: self.hosts.into_iter().map(host).collect(),
            groups: self.groups.into_iter().filter_map(group).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(name: &str, address: &str, labels: &[(&str, &str)]) -> Said {
        let labels = labels.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        let mut labels = labels.collect();
        let agent = AgentOf::taken_from(&mut labels).unwrap();
        Said { name: name.to_owned(), addresses: vec![address.parse().unwrap()], labels, agent }
    }

    #[test]
    fn entries_of_one_host_come_together() {
        let mut gathered = Gathered::default();
        for (address, job) in [("10.0.0.1", "node"), ("::ffff:10.0.0.1", "redis"), ("fd00::1", "node")] {
            gathered.add(said("Web-1", address, &[("job", job), ("region", "eu")])).unwrap();
        }
        gathered.add(said("web-2", "10.0.0.2", &[("job", "node")])).unwrap();
        let Found { hosts, groups } = gathered.found(Usual::PLAIN);
        let web = &hosts["web-1"];
        assert_eq!(
            web.addresses.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["10.0.0.1", "fd00::1"]
        );
        assert_eq!(web.agent.as_deref(), Some("http://10.0.0.1:7433"));
        assert_eq!(web.labels, [("region".to_owned(), "eu".to_owned())].into());
        // Two jobs on web-1, so the job is no label of web-2 either.
        assert!(hosts["web-2"].labels.is_empty());
        assert_eq!(groups["node"].to_string(), "web-1,web-2");
        assert_eq!(groups["redis"].to_string(), "web-1");
    }

    #[test]
    fn agents_are_where_the_source_says() {
        let agent = |labels: &[(&str, &str)], port| {
            let said = said("a", "fd00::1", labels);
            let mut gathered = Gathered::default();
            gathered.add(Said { agent: said.agent.clone().or_port(port), ..said }).unwrap();
            let mut found = gathered.found(Usual::PLAIN);
            let host = found.hosts.remove("a").unwrap();
            assert!(host.labels.is_empty());
            host.agent
        };
        assert_eq!(agent(&[], None).as_deref(), Some("http://[fd00::1]:7433"));
        assert_eq!(agent(&[], Some(80)).as_deref(), Some("http://[fd00::1]:80"));
        assert_eq!(agent(&[("partition_agent", "false")], Some(80)), None);
        assert_eq!(agent(&[("__partition_agent__", "http://a:1/")], None).as_deref(), Some("http://a:1"));
        let mut twice = Gathered::default();
        twice.add(said("a", "10.0.0.1", &[("partition_agent", "http://a:1")])).unwrap();
        assert!(twice.add(said("a", "10.0.0.1", &[("partition_agent", "http://a:2")])).is_err());
    }

    #[test]
    fn a_fleet_with_tls_is_asked_over_it() {
        let https = Usual { port: 7433, tls: true };
        let address = ["fd00::1".parse().unwrap()];
        for (agent, url) in [
            (AgentOf::Usual, Some("https://[fd00::1]:7433")),
            (AgentOf::Port(80), Some("https://[fd00::1]:80")),
            (AgentOf::At("http://a:1".to_owned()), Some("http://a:1")),
            (AgentOf::Nowhere, None),
        ] {
            assert_eq!(agent.url(&address, https).as_deref(), url);
        }
    }

    #[test]
    fn urls_of_agents_are_plain() {
        assert_eq!(agent_url("http://[::1]:7433/").as_deref(), Ok("http://[::1]:7433"));
        assert_eq!(agent_url("https://web-1:7433").as_deref(), Ok("https://web-1:7433"));
        for text in
            ["", "10.0.0.1:7433", "ftp://a", "http://", "http://a/b", "http://a?b", "http://u@a", "unix:/x"]
        {
            assert!(agent_url(text).unwrap_err().contains("write https://HOST:PORT"), "{text}");
        }
    }

    #[test]
    fn there_is_an_end_to_hosts() {
        let mut gathered = Gathered::default();
        for number in 0..MOST {
            gathered.add(Said { name: number.to_string(), ..Said::default() }).unwrap();
        }
        gathered.add(Said { name: "0".to_owned(), ..Said::default() }).unwrap();
        let error = gathered.add(Said { name: "one-more".to_owned(), ..Said::default() }).unwrap_err();
        assert!(error.contains("more than 10000 hosts"), "{error}");
    }

    #[test]
    fn a_group_that_cannot_be_written_is_left_out() {
        let mut gathered = Gathered::default();
        gathered.add(said("a", "10.0.0.1", &[])).unwrap();
        gathered.join("rule=Host(`a`)", "a");
        gathered.join("app", "A");
        let groups = gathered.found(Usual::PLAIN).groups;
        assert_eq!(groups.into_keys().collect::<Vec<_>>(), ["app"]);
    }
}
