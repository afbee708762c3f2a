//! A plan of any fault that makes sense.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::Duration;

use ipnetwork::IpNetwork;
use partition_agent_proto::{FaultId, FaultSpec, Host, Peer};

use super::{Address, Draft, Guard, MARK_BITS, Place, Plan, sound};

/// What names stand for.
const NAMED: [u8; 4] = [10, 9, 9, 9];
const SERVERS: [&str; 2] = ["10.0.0.53:53", "[fd00::53]:53"];

/// Its text, its ids and its plans, by each engine, hold together.
pub fn planned(spec: &FaultSpec) {
    assert!(!spec.to_string().is_empty());
    let suggested = FaultId::suggest(spec, 1);
    assert_eq!(suggested.to_string().parse(), Ok(suggested));
    let targets = addresses(&spec.target.peers, spec);
    let except = addresses(&spec.target.except, spec).into_iter().collect::<Vec<_>>();
    let everybody = targets.is_empty() && !spec.target.is_empty();
    let everybody = ["0.0.0.0/0", "::/0"].iter().filter(|_| everybody).filter_map(|net| net.parse().ok());
    let everybody = everybody.map(|net| Address { net, ports: None });
    let targets =
        targets.into_iter().chain(everybody).collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>();
    let servers = SERVERS.map(|server| server.parse::<SocketAddr>().expect("an address"));
    let interfaces = ["eth0".to_owned(), "eth1".to_owned()];
    for natted in [false, true] {
        let plan = Plan::new(&Draft {
            spec,
            egress: spec.egress_kinds(),
            ingress: spec.ingress_kinds(),
            targets: &targets,
            except: &except,
            keep: &[],
            place: &Place::host(),
            sender: None,
            interfaces: &interfaces,
            left_out: &[],
            which: &BTreeMap::new(),
            taps: &[],
            not_ethernet: &[],
            emulated: natted,
            natted,
            bit: MARK_BITS.first().copied(),
            servers: &servers,
            guard: &Guard::new(&[], None),
            slot: 7,
            order: 7,
            timeout: Some(Duration::from_secs(60)),
        });
        // A fault that cannot be had is refused with a reason.
        let plan = match plan {
            Ok(plan) => plan,
            Err(why) => {
                assert!(!why.to_string().is_empty());
                continue;
            }
        };
        assert!(!plan.to_string().is_empty());
        assert_eq!(sound::check(&plan), Ok(()), "{spec}\n{plan}");
        crate::kernel::fuzzing::encoded(&plan);
    }
}

fn addresses(peers: &[Peer], spec: &FaultSpec) -> BTreeSet<Address> {
    let ports =
        if spec.target.local_ports.is_empty() { &spec.target.ports } else { &spec.target.local_ports };
    let mut addresses = BTreeSet::new();
    for peer in peers {
        let net = match &peer.host {
            Host::Net(net) => *net,
            Host::Name(_) | Host::Compose(_) => IpNetwork::from(std::net::IpAddr::from(NAMED)),
        };
        let own = peer.port.into_iter().map(Some);
        let of_all = ports.iter().copied().map(Some).filter(|_| peer.port.is_none());
        let mut all = own.chain(of_all).collect::<Vec<_>>();
        if all.is_empty() {
            all.push(None);
        }
        addresses.extend(all.into_iter().map(|ports| Address { net, ports }));
    }
    addresses
}
