//! Where tools are put side by side: two hosts, one interface between them, and as many targets behind it as are wanted. A tool acts on
//! the one host, and the traffic that it is measured by crosses that interface.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use harness::lab::{Lab, address};

use crate::peers::Way;
use crate::watch::{Pace, Watch};

/// The interface that tools act on.
pub const DEVICE: &str = "to-redis";
/// The target that answers, the last of all targets.
pub const TARGET: Ipv4Addr = Ipv4Addr::new(10, 77, 1, 2);
/// On the same host behind the same interface, and never a target.
pub const BYSTANDER: Ipv4Addr = Ipv4Addr::new(10, 77, 1, 3);
/// The host that tools act on.
pub const HOST: Ipv4Addr = Ipv4Addr::new(10, 77, 1, 1);
/// Of what is watched.
const PORT: u16 = 9;

/// The kernel clears deleted rules away behind the scenes, for about 10 ms (a grace period of RCU), and lets the next change wait for
/// that. So nothing is asked for right behind something else.
pub const APART: Duration = Duration::from_millis(25);

pub struct Bed {
    pub lab: Lab,
    pub pace: Pace,
}

impl Bed {
    #[must_use]
    pub fn new(pace: Pace) -> Self {
        let lab = Lab::new();
        lab.redis.sh(&format!("ip addr add {BYSTANDER}/24 dev eth0"));
        lab.app.sh(&format!("ip route add 10.64.0.0/13 via {TARGET}"));
        Self { lab, pace }
    }

    /// Watches the packets that a cut of this way is to drop.
    #[must_use]
    pub fn watch(&self, way: Way) -> Watch {
        let Lab { app, redis, .. } = &self.lab;
        let [host, target] = [HOST, TARGET].map(|address| SocketAddr::from((address, PORT)));
        match way {
            Way::Out => Watch::start(app, redis, target, any(HOST), self.pace),
            Way::In => Watch::start(redis, app, host, any(TARGET), self.pace),
        }
    }

    /// As if no tool had ever been there. Not measured.
    pub fn clean(&self) {
        self.lab.app.sh(&format!(
            "nft flush ruleset
             if ipset list -n | grep -q .; then ipset destroy; fi
             if ip rule | grep -q blackhole; then
                 ip rule flush
                 ip rule add table main pref 32766
                 ip rule add table default pref 32767
             fi
             if tc qdisc show dev {DEVICE} | grep -q .; then tc qdisc del dev {DEVICE} root 2>/dev/null || true; fi"
        ));
    }
}

/// So many addresses, no two of them next to each other in numbers, so that no set can join them; the last is [`TARGET`].
#[must_use]
pub fn targets(count: usize) -> Vec<Ipv4Addr> {
    let first = u32::from(Ipv4Addr::new(10, 64, 0, 0));
    let others = (1..u32::try_from(count).expect("a count")).map(|nth| Ipv4Addr::from(first + 2 * nth));
    others.chain([TARGET]).collect()
}

fn any(source: Ipv4Addr) -> SocketAddr {
    SocketAddr::new(address(&source.to_string()), 0)
}
