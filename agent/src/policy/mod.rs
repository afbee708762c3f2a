//! What this host lets be done to it: `[policy]` of the configuration. Pure; the keeper asks before anything is touched, and the
//! clock is handed in.

mod denied;
mod hours;
mod names;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use ipnetwork::IpNetwork;
use jiff::Timestamp;
use partition_agent_proto::{FaultSpec, Span};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use denied::{Denied, TooLong};
pub use hours::{Window, Zone};
pub use names::{KindName, ScopeName};

use crate::plan::{Address, Guard, ProtectedPort, is_within};

/// Limits for everybody who may use the agent.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// The longest fault, the longest wait for its start, and the longest wait of a prepared one; 30 days at most.
    pub longest: Span,
    /// The most faults at once.
    #[schema(minimum = 1, maximum = 1000)]
    pub most_faults: usize,
    /// Ports of this host that no fault touches. Those that are written replace the default.
    #[schema(value_type = Vec<String>, examples("tcp/22"))]
    pub protected_ports: Vec<ProtectedPort>,
    /// Far ends that no fault touches: addresses and networks.
    #[schema(value_type = Vec<String>, examples("10.0.9.0/24"))]
    pub protected_networks: Vec<IpNetwork>,
    /// Interfaces of this host, by name, that no fault acts on. Those of other network namespaces are others.
    pub protected_interfaces: Vec<String>,
    /// Where faults may act.
    #[schema(value_type = Vec<ScopeName>)]
    pub scopes: BTreeSet<ScopeName>,
    /// What may be done to packets.
    #[schema(value_type = Vec<KindName>)]
    pub kinds: BTreeSet<KindName>,
    /// When faults may be in force: from its start to its end a fault lies within these. Always, without any.
    #[schema(value_type = Vec<String>, examples("Mon-Fri 09:00-17:00"))]
    pub hours: Vec<Window>,
    /// The time zone of the hours: a name of the time zone database.
    #[schema(value_type = String, examples("Europe/Berlin"))]
    pub time_zone: Zone,
}

impl Default for Policy {
    fn default() -> Self {
        let port = |text: &str| text.parse::<ProtectedPort>().ok();
        Self {
            longest: Span::from_secs(24 * 3600),
            most_faults: 100,
            // ssh, and the DHCP and DHCPv6 clients that keep this host's addresses.
            protected_ports: ["tcp/22", "udp/68", "udp/546"].into_iter().filter_map(port).collect(),
            protected_networks: Vec::new(),
            protected_interfaces: Vec::new(),
            scopes: ScopeName::ALL.into_iter().collect(),
            kinds: KindName::ALL.into_iter().collect(),
            hours: Vec::new(),
            time_zone: Zone::default(),
        }
    }
}

impl Policy {
    /// What the kernel lets pass whatever the fault; the agent's own port with it, where it listens on TCP.
    #[must_use]
    pub fn guard(&self, agent: Option<u16>) -> Guard {
        Guard::new(&self.protected_ports, agent).and_networks(&self.protected_networks)
    }

    /// Whether a fault may be asked for, by what it says of itself. A prepared one that nobody has committed yet is taken to start
    /// now.
    ///
    /// # Errors
    /// The first rule that it breaks.
    pub fn admit(&self, spec: &FaultSpec, prepare: Option<Span>, now: Timestamp) -> Result<(), Denied> {
        self.lasts(spec.duration)?;
        let wait = spec.start_in.map(|wait| (TooLong::Start(wait), wait));
        let patience = prepare.map(|patience| (TooLong::Patience(patience), patience));
        for (what, asked) in wait.into_iter().chain(patience) {
            self.within_longest(what, asked.duration())?;
        }
        let kind = spec.all_kinds().map(KindName::of).find(|kind| !self.kinds.contains(kind));
        kind.map_or(Ok(()), |kind| Err(Denied::Kind { allowed: self.kinds.clone(), kind }))?;
        let scope = ScopeName::of(spec);
        if !self.scopes.contains(&scope) {
            let which = ScopeName::argument(spec).to_owned();
            return Err(Denied::Scope { allowed: self.scopes.clone(), scope, which });
        }
        self.hours(now, spec.start_in.map(Span::duration).unwrap_or_default(), spec.duration.duration())
    }

    /// Whether a fault may act on all of this host, where its scope turns out to be that: by whatever name, the place counts.
    ///
    /// # Errors
    /// [`Denied::AllOfHost`].
    pub fn all_of_host(&self, spec: &FaultSpec) -> Result<(), Denied> {
        // One interface of it is less.
        let narrowed = spec.interface.is_some() && self.scopes.contains(&ScopeName::Interface);
        if narrowed || self.scopes.contains(&ScopeName::Host) {
            return Ok(());
        }
        let (scope, which) = (ScopeName::of(spec), ScopeName::argument(spec).to_owned());
        Err(Denied::AllOfHost { allowed: self.scopes.clone(), scope, which })
    }

    /// Whether a fault may last this long.
    ///
    /// # Errors
    /// [`Denied::TooLong`].
    pub fn lasts(&self, duration: Span) -> Result<(), Denied> {
        self.within_longest(TooLong::Fault(duration), duration.duration())
    }

    /// Whether a fault may last this long from its start, however often it was prolonged.
    ///
    /// # Errors
    /// [`Denied::TooLong`].
    pub fn lasts_altogether(&self, duration: Duration) -> Result<(), Denied> {
        let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        self.within_longest(TooLong::Altogether(Span::from_millis(millis)), duration)
    }

    /// Whether a start may be this far away.
    ///
    /// # Errors
    /// [`Denied::TooLong`].
    pub fn waits(&self, wait: Duration) -> Result<(), Denied> {
        self.within_longest(TooLong::Instant(wait), wait)
    }

    fn within_longest(&self, what: TooLong, asked: Duration) -> Result<(), Denied> {
        let longest = self.longest;
        if asked <= longest.duration() { Ok(()) } else { Err(Denied::TooLong { longest, what }) }
    }

    /// Whether a fault that starts this much later and lasts this long lies within the hours.
    ///
    /// # Errors
    /// [`Denied::Hours`].
    pub fn hours(&self, now: Timestamp, wait: Duration, duration: Duration) -> Result<(), Denied> {
        let later = |instant: Timestamp, by: Duration| instant.saturating_add(by).unwrap_or(Timestamp::MAX);
        let start = later(now, wait);
        let end = later(start, duration);
        if hours::allow(&self.hours, &self.time_zone, start, end) {
            return Ok(());
        }
        let at = |instant: Timestamp| self.time_zone.tell(instant);
        let (start, end) = (at(start), at(end));
        Err(Denied::Hours { allowed: self.hours.clone(), zone: self.time_zone.to_string(), start, end })
    }

    /// Whether there is anything to hit besides protected networks. Nobody at all is no concern of this.
    ///
    /// # Errors
    /// [`Denied::Targets`].
    pub fn targets(&self, targets: &[Address]) -> Result<(), Denied> {
        if targets.is_empty()
            || !is_within(targets.iter().map(|target| &target.net), &self.protected_networks)
        {
            return Ok(());
        }
        let touched = |net: &&IpNetwork| targets.iter().any(|target| net.contains(target.net.ip()));
        let protected = self.protected_networks.iter().filter(touched).copied().collect();
        Err(Denied::Targets { protected, targets: targets.to_vec() })
    }

    /// Name servers whose questions may fail.
    ///
    /// # Errors
    /// [`Denied::Servers`], if there were some and none is left.
    pub fn servers(&self, servers: &[SocketAddr]) -> Result<Vec<SocketAddr>, Denied> {
        let is_protected =
            |server: &SocketAddr| self.protected_networks.iter().any(|net| net.contains(server.ip()));
        let left = servers.iter().copied().filter(|server| !is_protected(server)).collect::<Vec<_>>();
        if left.is_empty() && !servers.is_empty() {
            return Err(Denied::Servers {
                protected: self.protected_networks.clone(),
                servers: servers.to_vec(),
            });
        }
        Ok(left)
    }

    /// Of the interfaces that a fault was found to act on, those of this host that it may act on.
    ///
    /// # Errors
    /// It names one that is protected, or none is left.
    pub fn interfaces(&self, only: Option<&str>, found: &[String]) -> Result<Vec<String>, Denied> {
        if let Some(name) = only.filter(|name| self.is_protected(name)) {
            return Err(Denied::Interface(name.to_owned()));
        }
        let left = found.iter().filter(|name| !self.is_protected(name)).cloned().collect::<Vec<_>>();
        if left.is_empty() && !found.is_empty() {
            return Err(Denied::NoInterface(found.to_vec()));
        }
        Ok(left)
    }

    fn is_protected(&self, interface: &str) -> bool {
        self.protected_interfaces.iter().any(|protected| protected == interface)
    }
}
