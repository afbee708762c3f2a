//! Real traffic, now and then: what a fault must cut is cut, and what none may touch passes.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use harness::lab::{DB, REDIS, address};
use harness::traffic::{answers, serve_tcp};
use partition_agent_proto::Kind;

use crate::clock::{Window, now};
use crate::model::{Fault, Is, Room};
use crate::region;
use crate::soak::Soak;

const PORTS: [u16; 3] = [80, 81, 443];

/// How long an answer may take before it counts as none.
const SILENCE: Duration = Duration::from_millis(300);

/// How long to wait for an answer that must come, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);

impl Soak {
    pub fn serve(&self) {
        for port in PORTS {
            serve_tcp(&self.lab.redis, SocketAddr::new(address(REDIS), port));
            serve_tcp(&self.lab.db, SocketAddr::new(address(DB), port));
        }
    }

    /// Answers how many connections there were that must pass, and that must not.
    pub fn sample_traffic(&mut self) -> (usize, usize) {
        let (mut passed, mut cut) = (0, 0);
        for (host, interface) in [(REDIS, "to-redis"), (DB, "to-db")] {
            if host == REDIS && !self.way_is_open() {
                continue;
            }
            for port in PORTS {
                let to = SocketAddr::new(address(host), port);
                match self.passes(to, interface, PATIENCE) {
                    Is::So => {
                        let begun = Instant::now();
                        while !answers(&self.lab.app, to, SILENCE) {
                            assert!(
                                begun.elapsed() < PATIENCE,
                                "{to} must answer\n{:#?}\n{:#?}",
                                self.faults,
                                self.log
                            );
                        }
                        passed += 1;
                    }
                    Is::Not => {
                        let answered = answers(&self.lab.app, to, SILENCE);
                        // It may have ended meanwhile.
                        if self.passes(to, interface, Duration::ZERO) == Is::Not {
                            assert!(!answered, "{to} answers\n{:#?}\n{:#?}", self.faults, self.log);
                            cut += 1;
                        }
                    }
                    Is::Either => {}
                }
            }
        }
        (passed, cut)
    }

    /// Whether a connection gets through from now on, for this long.
    fn passes(&self, to: SocketAddr, interface: &str, patience: Duration) -> Is {
        let at = now();
        let mut passes = Is::So;
        for fault in self.faults.values() {
            match self.cuts(fault, to, interface, Window { earliest: at, latest: at + patience }) {
                // Whatever the others do.
                Is::So => return Is::Not,
                Is::Either => passes = Is::Either,
                Is::Not => {}
            }
        }
        passes
    }

    fn cuts(&self, fault: &Fault, to: SocketAddr, interface: &str, at: Window) -> Is {
        let (blocks, near) = match fault.room {
            Room::App => (fault.targets(), !fault.spec.target.local_ports.is_empty()),
            // The other end of the same connection: its peer is this host, from a port that nobody has asked for.
            Room::Redis if interface == "to-redis" => {
                (fault.targets(), !fault.spec.target.local_ports.is_empty())
            }
            Room::Redis | Room::Extra | Room::Container => return Is::Not,
        };
        if fault.is_of_user()
            || fault.is_dns()
            || fault.spec.interface.as_deref().is_some_and(|only| only != interface)
        {
            return Is::Not;
        }
        let on = fault.is_on(at, Self::late());
        if on == Is::Not {
            return Is::Not;
        }
        let hits = match fault.room {
            Room::App if near => false,
            Room::App => {
                region::has(&blocks, to.ip(), "tcp", to.port())
                    && !region::has(&fault.except(), to.ip(), "tcp", to.port())
            }
            // A range of ports at either end may or may not hold the one of the connection.
            Room::Redis | Room::Extra | Room::Container => true,
        };
        if !hits {
            return Is::Not;
        }
        let certain = match fault.kind() {
            Kind::Loss { percent, .. } => percent.millionths() == 1_000_000 && fault.spec.ramp.is_none(),
            Kind::Reject { .. } => true,
            _ => false,
        };
        let slows = matches!(fault.kind(), Kind::Delay { .. });
        match (fault.room, certain, on, slows) {
            (Room::App, true, Is::So, _) => Is::So,
            (Room::App, _, _, true) => Is::Not,
            _ => Is::Either,
        }
    }
}
