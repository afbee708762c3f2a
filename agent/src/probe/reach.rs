//! One request to find out who is reached: all of its targets at once, each held against what this host's own faults say.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use partition_agent_proto::{
    Effect, FaultId, How, Meets, Protocol, Reach, ReachRequest, ReachTarget, RoundTrips, Span,
};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::get::{Got, get};
use super::sender::{Pace, Sender, micros};
use super::tcp::connect;
use crate::keeper::{Error, Handle, Question};

/// Targets that are tried at the same time: each has a socket.
const AT_ONCE: usize = 256;

/// What all targets of a request share.
pub struct Prober {
    keeper: Handle,
    timeout: Span,
    /// Of this very host.
    own: BTreeSet<IpAddr>,
    chosen: (u16, u16),
    sender: Sender,
}

impl Prober {
    /// Everything that is asked for, in that order. Dropped, it stops.
    ///
    /// # Errors
    /// Only when the keeper is gone.
    pub async fn all(request: ReachRequest, keeper: Handle) -> Result<Vec<Reach>, Error> {
        let agents = request.targets.iter().filter(|target| target.how == How::Host);
        let agents = agents.map(ReachTarget::socket).collect::<Vec<_>>();
        let pace = Pace {
            round: request.round,
            from: request.from,
            count: request.count,
            every: request.every.duration(),
            timeout: request.timeout.duration(),
        };
        let sender = Sender::open(pace, &agents);
        let (own, chosen) = (own_addresses(), chosen_ports());
        let prober = Arc::new(Self { keeper, timeout: request.timeout, own, chosen, sender });
        let places = Arc::new(Semaphore::new(AT_ONCE));
        let mut tasks = JoinSet::new();
        for (nth, target) in request.targets.into_iter().enumerate() {
            let (prober, places) = (Arc::clone(&prober), Arc::clone(&places));
            tasks.spawn(async move {
                // Nobody closes it.
                let _place = places.acquire().await;
                (nth, prober.one(&target).await)
            });
        }
        let mut done = tasks.join_all().await;
        done.sort_unstable_by_key(|(nth, _)| *nth);
        done.into_iter().map(|(_, reach)| reach).collect()
    }

    fn is_here(&self, to: SocketAddr) -> bool {
        to.ip().is_loopback() || self.own.contains(&to.ip())
    }

    async fn one(&self, target: &ReachTarget) -> Result<Reach, Error> {
        let to = target.socket();
        let protocols: &[Protocol] = match target.how {
            How::Host => &[Protocol::Udp, Protocol::Tcp],
            How::Tcp | How::Http { .. } => &[Protocol::Tcp],
        };
        let question = Question { to, here: self.is_here(to), protocols, chosen: self.chosen };
        self.sender.turn(target.to).await;
        let before = self.keeper.meets(question).await?;
        let tried = match &target.how {
            How::Host => self.agent(target.to, to).await,
            How::Tcp => self.service(to).await,
            How::Http { path } => self.get(to, path).await,
        };
        let after = self.keeper.meets(question).await?;
        Ok(Reach { to: target.to, faults: throughout(&before, &after), ..tried })
    }

    async fn agent(&self, number: u32, to: SocketAddr) -> Reach {
        let (trips, (_, refused)) = tokio::join!(self.sender.ask(to, number), connect(to, self.timeout));
        Reach {
            sent: trips.sent,
            answered: u16::try_from(trips.times.len()).unwrap_or(u16::MAX),
            rtt_micros: trips.round_trips(),
            connected: Some(refused.is_none()),
            error: trips.error.or(refused),
            ..nothing()
        }
    }

    async fn service(&self, to: SocketAddr) -> Reach {
        let (took, refused) = connect(to, self.timeout).await;
        let took = micros(took);
        let opened = refused.is_none().then_some(RoundTrips { min: took, median: took });
        Reach { rtt_micros: opened, connected: Some(refused.is_none()), error: refused, ..nothing() }
    }

    async fn get(&self, to: SocketAddr, path: &str) -> Reach {
        match get(to, path, self.timeout).await {
            Got::Status(status) => Reach { connected: Some(true), status: Some(status), ..nothing() },
            Got::Unanswered(why) => Reach { connected: Some(true), error: Some(why), ..nothing() },
            Got::Unconnected(why) => Reach { connected: Some(false), error: Some(why), ..nothing() },
        }
    }
}

/// What the kernel chooses the port of a new connection from. Its default, where it does not say.
fn chosen_ports() -> (u16, u16) {
    let range = std::fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut ports = range.split_whitespace().map_while(|port| port.parse().ok());
    ports.next().zip(ports.next()).unwrap_or((32_768, 60_999))
}

/// The addresses of this host; of loopback's not all that are its.
fn own_addresses() -> BTreeSet<IpAddr> {
    let all = nix::ifaddrs::getifaddrs().into_iter().flatten();
    let address = |address: nix::sys::socket::SockaddrStorage| {
        let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
        v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
    };
    all.filter_map(|interface| address(interface.address?)).collect()
}

fn nothing() -> Reach {
    Reach {
        to: 0,
        sent: 0,
        answered: 0,
        rtt_micros: None,
        connected: None,
        status: None,
        error: None,
        faults: Vec::new(),
    }
}

/// What faults did all the while. What came, went or changed meanwhile did something in between.
fn throughout(before: &[Meets], after: &[Meets]) -> Vec<Meets> {
    let by_id = |all: &[Meets]| {
        let each = all.iter().map(|meets| (meets.id.clone(), (meets.egress, meets.ingress)));
        each.collect::<BTreeMap<FaultId, (Effect, Effect)>>()
    };
    let (before, after) = (by_id(before), by_id(after));
    let same = |one: Effect, other: Effect| if one == other { one } else { Effect::Impaired };
    let ids = before.keys().chain(after.keys()).collect::<BTreeSet<_>>();
    let merge = |id: &FaultId| {
        let [was, is] = [&before, &after].map(|all| all.get(id).copied().unwrap_or_default());
        Meets { id: id.clone(), egress: same(was.0, is.0), ingress: same(was.1, is.1) }
    };
    ids.into_iter().map(merge).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meets(id: &str, egress: Effect, ingress: Effect) -> Meets {
        Meets { id: id.parse().unwrap(), egress, ingress }
    }

    #[test]
    fn what_changes_meanwhile_is_neither_one_nor_the_other() {
        use Effect::{Cut, Impaired, None};
        let before = [meets("stays", Cut, None), meets("ends", Cut, None), meets("turns", Cut, None)];
        let after = [meets("comes", None, Cut), meets("stays", Cut, None), meets("turns", None, Cut)];
        let expected = [
            meets("comes", None, Impaired),
            meets("ends", Impaired, None),
            meets("stays", Cut, None),
            meets("turns", Impaired, Impaired),
        ];
        assert_eq!(throughout(&before, &after), expected);
    }

    #[test]
    fn this_host_knows_its_own_addresses() {
        let own = own_addresses();
        let is_own = |text: &str| own.contains(&text.parse().unwrap());
        assert!(is_own("127.0.0.1") && !is_own("192.0.2.1"), "{own:?}");
    }
}
