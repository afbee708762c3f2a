//! What is well-formed in a fleet and makes no sense.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::members::nearest;
use super::{Fleet, FleetHost, Link, LinkEnd, SelectError, Service, is_group_name, is_name};

/// Something that is wrong in a [`Fleet`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{at}: {why}")]
pub struct Mistake {
    /// Where: the keys of the fleet file, as `links.gateway-redis.to`.
    pub at: String,
    /// What, and what to do.
    pub why: String,
}

impl Fleet {
    /// Everything that is wrong, not only the first.
    #[must_use]
    pub fn check(&self) -> Vec<Mistake> {
        let mut mistakes = Mistakes(Vec::new());
        if self.hosts.is_empty() {
            mistakes.note("hosts", "a fleet without hosts: name some, or bring them from another source");
        }
        self.check_hosts(&mut mistakes);
        for (name, selector) in &self.groups {
            let at = format!("groups.{name}");
            if !is_group_name(name) {
                mistakes
                    .note(&at, format!("`{name}` cannot be a group: it is empty, or has `,` or `=` in it"));
            }
            mistakes.note_error(&at, self.select(selector));
        }
        for (name, service) in &self.services {
            self.check_service(name, service, &mut mistakes);
        }
        for (name, link) in &self.links {
            self.check_link(name, link, &mut mistakes);
        }
        mistakes.0
    }

    fn check_hosts(&self, mistakes: &mut Mistakes) {
        let (mut addresses, mut agents) = (BTreeMap::new(), BTreeMap::new());
        for (name, FleetHost { agent, addresses: own, labels }) in &self.hosts {
            let at = format!("hosts.{name}");
            mistakes.name(&at, name);
            if own.is_empty() {
                mistakes.note(&at, "a host without an address: add address = \"10.0.0.11\"");
            }
            for address in own {
                let at = format!("{at}.address");
                if address.is_unspecified() || address.is_multicast() {
                    mistakes.note(&at, format!("{address} cannot be the address of a host"));
                }
                match addresses.entry(address) {
                    Entry::Vacant(free) => drop(free.insert(name)),
                    Entry::Occupied(taken) if *taken.get() == name => {
                        mistakes.note(&at, format!("{address} is there twice"));
                    }
                    Entry::Occupied(taken) => mistakes.note(
                        &at,
                        format!("{address} is the address of {} already: one host has one name", taken.get()),
                    ),
                }
            }
            if let Some(agent) = agent
                && let Some(other) = agents.insert(agent, name)
                // With an address in common, that has been told.
                && !self.hosts.get(other).is_some_and(|other| other.addresses.iter().any(|it| own.contains(it)))
            {
                let why = format!("{agent} is the agent of {other} already: every host has its own");
                mistakes.note(&format!("{at}.agent"), why);
            }
            for key in labels.keys().filter(|key| key.is_empty() || key.contains(['=', ','])) {
                let why = format!("`{key}` cannot be a label: it is empty, or has `=` or `,` in it");
                mistakes.note(&format!("{at}.labels.{key}"), why);
            }
        }
    }

    fn check_service(&self, name: &str, service: &Service, mistakes: &mut Mistakes) {
        let at = format!("services.{name}");
        let Service { addresses, hosts, ports, http } = service;
        mistakes.name(&at, name);
        if self.hosts.contains_key(name) {
            mistakes.note(&at, format!("a host is called {name} too: give the service another name"));
        }
        if addresses.is_empty() && hosts.is_none() {
            let why = "a service that is nowhere: add address = \"10.0.0.5\", or hosts = \"@redis\"";
            mistakes.note(&at, why);
        }
        if let Some(hosts) = hosts {
            mistakes.note_error(&format!("{at}.hosts"), self.select(hosts));
        }
        let at = format!("{at}.http");
        match http {
            Some(path) if !path.starts_with('/') || path.contains(char::is_whitespace) => {
                mistakes.note(&at, format!("`{path}` is no path: it begins with / and has no spaces"));
            }
            Some(_) if ports.is_empty() => {
                mistakes.note(&at, "on which port? Add ports; the first one is asked");
            }
            Some(_) | None => {}
        }
    }

    fn check_link(&self, name: &str, link: &Link, mistakes: &mut Mistakes) {
        let at = format!("links.{name}");
        let Link { from, to } = link;
        mistakes.name(&at, name);
        let from_at = format!("{at}.from");
        match self.select(from) {
            Ok(hosts) => {
                let without = |name: &&String| self.hosts.get(*name).is_some_and(|host| host.agent.is_none());
                if let Some(host) = hosts.iter().find(without) {
                    let why = format!("{host} has no agent, so nothing can be done to what it sends");
                    mistakes.note(&from_at, why);
                }
            }
            Err(error) => mistakes.note(&from_at, error.to_string()),
        }
        if let Some(why) = self.why_no_end(to) {
            mistakes.note(&format!("{at}.to"), why);
        }
    }

    /// Why there is nothing at an end; nothing if there is. What the mistake is said to be, for people.
    #[must_use]
    pub fn why_no_end(&self, end: &LinkEnd) -> Option<String> {
        match end {
            LinkEnd::Service(service) if self.services.contains_key(service) => None,
            LinkEnd::Service(service) => Some(self.no_such_end(service)),
            LinkEnd::Hosts(selector) => match (self.select(selector), selector.host()) {
                (Ok(_), _) => None,
                (Err(_), Some(host)) => Some(self.no_such_end(host)),
                (Err(error), None) => Some(error.to_string()),
            },
        }
    }

    /// A name alone may have been meant for a service as well as for a host.
    fn no_such_end(&self, name: &str) -> String {
        let known = self.services.keys().chain(self.hosts.keys()).cloned();
        let groups = self.group_names().into_iter().map(|group| format!("@{group}"));
        let hint = match nearest(name, known.chain(groups)) {
            Some(name) => format!("did you mean `{name}`?"),
            None if self.services.is_empty() => "there are no services".to_owned(),
            None => {
                let services = self.services.keys().map(String::as_str).collect::<Vec<_>>();
                format!("the services are {}", services.join(", "))
            }
        };
        format!("`{name}` is neither a service nor a host; {hint}")
    }
}

struct Mistakes(Vec<Mistake>);

impl Mistakes {
    fn note(&mut self, at: &str, why: impl Into<String>) {
        self.0.push(Mistake { at: at.to_owned(), why: why.into() });
    }

    fn note_error<T>(&mut self, at: &str, done: Result<T, SelectError>) {
        if let Err(error) = done {
            self.note(at, error.to_string());
        }
    }

    fn name(&mut self, at: &str, name: &str) {
        if !is_name(name) {
            self.note(at, format!("`{name}` cannot be a name: use letters, digits, `-`, `_`, `.` and `:`"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::members::tests::fleet;
    use super::*;

    /// Addresses and agents for everybody, 10.0.0.1 and so on.
    fn sound(groups: &[(&str, &str)]) -> Fleet {
        let mut fleet = fleet(groups);
        for (host, number) in fleet.hosts.values_mut().zip(1_u8..) {
            host.addresses = vec![[10, 0, 0, number].into()];
            host.agent = Some(format!("http://10.0.0.{number}:7433"));
        }
        fleet
    }

    fn service(fleet: &mut Fleet, name: &str) {
        let redis = Service { addresses: vec![[10, 0, 0, 99].into()], ..Service::default() };
        fleet.services.insert(name.to_owned(), redis);
    }

    fn link(fleet: &mut Fleet, from: &str, to: &str) {
        let to = match to.parse() {
            Ok(selector) => LinkEnd::Hosts(selector),
            Err(_) => LinkEnd::Service(to.to_owned()),
        };
        fleet.links.insert("way".to_owned(), Link { from: from.parse().unwrap(), to });
    }

    #[track_caller]
    fn only_mistake(fleet: &Fleet, expected: &str) {
        let mistakes = fleet.check();
        let [mistake] = mistakes.as_slice() else { panic!("{mistakes:?}") };
        assert!(mistake.to_string().contains(expected), "{mistake}");
    }

    #[test]
    fn a_fleet_that_makes_sense_has_no_mistakes() {
        let mut fleet = sound(&[("app", "web-*")]);
        service(&mut fleet, "redis");
        let way = Link { from: "@app".parse().unwrap(), to: LinkEnd::Service("redis".to_owned()) };
        fleet.links.insert("app-redis".to_owned(), way);
        assert_eq!(fleet.check(), []);
    }

    #[test]
    fn hosts_have_names_addresses_and_agents_of_their_own() {
        only_mistake(&Fleet::default(), "hosts: a fleet without hosts");
        type Spoil = fn(&mut Fleet);
        let cases: [(Spoil, &str); 7] = [
            (
                |fleet| fleet.hosts.get_mut("web-1").unwrap().addresses.clear(),
                "hosts.web-1: a host without an address",
            ),
            (
                |fleet| fleet.hosts.get_mut("web-1").unwrap().addresses.push([10, 0, 0, 1].into()),
                "hosts.web-1.address: 10.0.0.1 is the address of db-1 already",
            ),
            (
                |fleet| fleet.hosts.get_mut("web-1").unwrap().addresses.push([10, 0, 0, 2].into()),
                "hosts.web-1.address: 10.0.0.2 is there twice",
            ),
            (
                |fleet| fleet.hosts.get_mut("web-1").unwrap().addresses.push([0, 0, 0, 0].into()),
                "0.0.0.0 cannot be the address of a host",
            ),
            (
                |fleet| fleet.hosts.get_mut("web-1").unwrap().agent = Some("http://10.0.0.1:7433".to_owned()),
                "hosts.web-1.agent: http://10.0.0.1:7433 is the agent of db-1 already",
            ),
            (
                |fleet| {
                    drop(
                        fleet.hosts.get_mut("web-1").unwrap().labels.insert("a=b".to_owned(), "c".to_owned()),
                    )
                },
                "hosts.web-1.labels.a=b: `a=b` cannot be a label",
            ),
            (
                |fleet| {
                    let mut host = fleet.hosts["web-1"].clone();
                    (host.addresses, host.agent) = (vec![[10, 0, 0, 9].into()], None);
                    fleet.hosts.insert("web 9".to_owned(), host);
                },
                "hosts.web 9: `web 9` cannot be a name",
            ),
        ];
        for (spoil, expected) in cases {
            let mut fleet = sound(&[]);
            spoil(&mut fleet);
            only_mistake(&fleet, expected);
        }
    }

    #[test]
    fn groups_select_somebody() {
        only_mistake(&sound(&[("app", "wbe-1")]), "groups.app: `wbe-1` selects no host");
        only_mistake(&sound(&[("app", "@app")]), "groups.app: the group `app` is made of itself");
        only_mistake(&sound(&[("a,b", "web-1")]), "groups.a,b: `a,b` cannot be a group");
    }

    #[test]
    fn services_are_somewhere() {
        let mut named_as_a_host = sound(&[]);
        service(&mut named_as_a_host, "web-1");
        only_mistake(&named_as_a_host, "services.web-1: a host is called web-1 too");
        type Spoil = fn(&mut Service);
        let cases: [(Spoil, &str); 4] = [
            (|redis| redis.addresses.clear(), "services.redis: a service that is nowhere"),
            (|redis| redis.hosts = "@redis".parse().ok(), "services.redis.hosts: `@redis` selects no host"),
            (|redis| redis.http = Some("healthz".to_owned()), "services.redis.http: `healthz` is no path"),
            (|redis| redis.http = Some("/healthz".to_owned()), "services.redis.http: on which port?"),
        ];
        for (spoil, expected) in cases {
            let mut fleet = sound(&[]);
            service(&mut fleet, "redis");
            spoil(fleet.services.get_mut("redis").unwrap());
            only_mistake(&fleet, expected);
        }
    }

    #[test]
    fn links_lead_from_agents_to_what_there_is() {
        for (from, to, expected) in [
            (
                "web-1",
                "redsi",
                "links.way.to: `redsi` is neither a service nor a host; did you mean `redis`?",
            ),
            ("web-1", "postgres", "the services are redis"),
            ("web-1", "eu", "did you mean `@eu`?"),
            ("web-1", "@app", "links.way.to: `@app` selects no host"),
            ("@app", "web-1", "links.way.from: `@app` selects no host"),
            ("*", "web-1", "links.way.from: db-1 has no agent"),
        ] {
            let mut fleet = sound(&[]);
            service(&mut fleet, "redis");
            fleet.hosts.get_mut("db-1").unwrap().agent = None;
            link(&mut fleet, from, to);
            only_mistake(&fleet, expected);
        }
    }

    #[test]
    fn all_mistakes_are_told() {
        let mut fleet = sound(&[("a", "@a"), ("b", "@x")]);
        fleet.hosts.get_mut("web-1").unwrap().addresses.clear();
        link(&mut fleet, "@y", "@z");
        assert_eq!(fleet.check().len(), 5, "{:?}", fleet.check());
    }
}
