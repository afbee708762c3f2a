//! Random sets of overlapping faults, put into the kernel: real traffic meets what a model says, which knows no more than
//! what was asked for. Then one of the faults is restored, and the others go on as if it had never been there.

use std::fmt;
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use harness::agent::Agent;
use harness::lab::{Lab, address};
use harness::rounds;
use harness::traffic::{echo_udp, serve_tcp};
use partition_agent_proto::{
    ConnectionState, FaultSpec, Host, Kind, Peer, Ports, Protocol, RejectWith, Target,
};

use crate::PATIENCE;

/// Where the servers are, and from where and by which interface they are reached.
const HOSTS: [(&str, &str, &str); 4] = [
    ("10.77.1.2", "10.77.1.1", "to-redis"),
    ("10.77.2.2", "10.77.2.1", "to-db"),
    ("fd77:1::2", "fd77:1::1", "to-redis"),
    ("fd77:2::2", "fd77:2::1", "to-db"),
];
const PORTS: [u16; 3] = [80, 81, 82];
/// Of datagrams, where the port of this end is a matter.
const LOCAL_PORTS: [u16; 3] = [7001, 7002, 7003];

/// A question to one server.
#[derive(Debug, Clone, Copy)]
struct Probe {
    protocol: Protocol,
    to: SocketAddr,
    from: IpAddr,
    interface: &'static str,
    /// None: any.
    local_port: Option<u16>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Answered,
    Silent,
    /// The program was told at once.
    Refused,
}

fn probes() -> Vec<Probe> {
    let mut probes = Vec::new();
    for (host, from, interface) in HOSTS {
        let (host, from) = (address(host), address(from));
        let probe = |protocol, port, local_port| {
            let to = SocketAddr::new(host, port);
            Probe { protocol, to, from, interface, local_port }
        };
        probes.extend(PORTS.map(|port| probe(Protocol::Tcp, port, None)));
        probes.extend(PORTS.map(|port| probe(Protocol::Udp, port, None)));
        probes.extend(LOCAL_PORTS.map(|local_port| probe(Protocol::Udp, PORTS[0], Some(local_port))));
    }
    probes
}

impl Probe {
    fn ask(self) -> Outcome {
        let asked = match self.protocol {
            Protocol::Tcp => self.ask_tcp(),
            Protocol::Udp | Protocol::Sctp | Protocol::Icmp => self.ask_udp(),
        };
        match asked {
            Ok(()) => Outcome::Answered,
            Err(error) => match error.kind() {
                std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut => Outcome::Silent,
                _ => Outcome::Refused,
            },
        }
    }

    fn ask_tcp(self) -> std::io::Result<()> {
        let mut stream = TcpStream::connect_timeout(&self.to, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        std::io::Read::read_exact(&mut stream, &mut [0; 4])
    }

    fn ask_udp(self) -> std::io::Result<()> {
        let socket = UdpSocket::bind((self.from, self.local_port.unwrap_or(0)))?;
        socket.set_read_timeout(Some(PATIENCE))?;
        socket.connect(self.to)?;
        socket.send(b"PING")?;
        socket.recv(&mut [0; 4]).map(drop)
    }

    /// What may come of it: the packets of the question and its answer, in their order, until one is hit.
    fn expected(self, faults: &[FaultSpec]) -> Vec<Outcome> {
        let packets = match self.protocol {
            Protocol::Tcp => vec![(true, true), (false, true), (true, false), (false, false)],
            Protocol::Udp | Protocol::Sctp | Protocol::Icmp => vec![(true, false), (false, false)],
        };
        for (egress, opens) in packets {
            let hitting = faults.iter().filter(|fault| self.is_hit(fault, egress, opens)).collect::<Vec<_>>();
            let rejecting = hitting.iter().filter_map(|fault| match fault.kinds[0] {
                Kind::Reject { with } => Some(with),
                _ => None,
            });
            let answers = rejecting.collect::<Vec<_>>();
            // What goes out is rejected before it can be lost. The other end is told of what comes in, not this one.
            if egress && !answers.is_empty() {
                let reset = answers.iter().all(|with| *with == RejectWith::TcpReset);
                return match self.protocol {
                    Protocol::Tcp if opens && reset => vec![Outcome::Refused],
                    // A socket that is busy misses ICMP, and one that is connected only notes it.
                    Protocol::Tcp => vec![Outcome::Refused, Outcome::Silent],
                    Protocol::Udp | Protocol::Sctp | Protocol::Icmp => vec![Outcome::Refused],
                };
            }
            if !hitting.is_empty() {
                return vec![Outcome::Silent];
            }
        }
        vec![Outcome::Answered]
    }

    fn is_hit(self, fault: &FaultSpec, egress: bool, opens: bool) -> bool {
        let Target { peers, ports, local_ports, protocol, state, except, .. } = &fault.target;
        let direction = if egress { fault.direction.has_egress() } else { fault.direction.has_ingress() };
        let among = |ports: &[Ports], port: u16| {
            ports.iter().any(|ports| (ports.first()..=ports.last()).contains(&port))
        };
        let is = |peer: &Peer| match &peer.host {
            Host::Net(net) => net.contains(self.to.ip()),
            Host::Name(_) | Host::Compose(_) => panic!("addresses only"),
        };
        let on_port = |peer: &Peer| match peer.port {
            Some(own) => among(&[own], self.to.port()),
            None => ports.is_empty() || among(ports, self.to.port()),
        };
        let everybody = peers.is_empty() && (ports.is_empty() || among(ports, self.to.port()));
        direction
            && fault.interface.as_ref().is_none_or(|interface| interface == self.interface)
            && protocol.is_none_or(|protocol| protocol == self.protocol)
            && (everybody || peers.iter().any(|peer| is(peer) && on_port(peer)))
            && (local_ports.is_empty() || self.local_port.is_some_and(|port| among(local_ports, port)))
            && state.is_none_or(|state| {
                self.protocol == Protocol::Tcp && (state == ConnectionState::New) == opens
            })
            && !except
                .iter()
                .any(|peer| is(peer) && peer.port.is_none_or(|own| among(&[own], self.to.port())))
    }
}

/// SplitMix64: the same faults again for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % end as u64).expect("less than a usize")
    }

    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        of[self.below(of.len())]
    }

    /// One in so many.
    fn one_in(&mut self, many: usize) -> bool {
        self.below(many) == 0
    }

    fn peer(&mut self, ports: bool) -> String {
        let net = self.pick(&[
            "10.77.1.2",
            "10.77.2.2",
            "10.77.1.0/30",
            "10.77.2.0/24",
            "10.77.0.0/16",
            "10.77.1.3",
            "fd77:1::2",
            "fd77:2::2",
            "fd77:1::/64",
            "fd77::/16",
        ]);
        if !ports || self.one_in(2) {
            return format!("\"{net}\"");
        }
        let port = self.pick(&["80", "81", "82", "80-81", "81-82", "1-80", "82-65535", "80-82"]);
        if net.contains(':') { format!("\"[{net}]:{port}\"") } else { format!("\"{net}:{port}\"") }
    }

    fn list(&mut self, most: usize, mut one: impl FnMut(&mut Self) -> String) -> String {
        let count = self.below(most) + 1;
        (0..count).map(|_| one(self)).collect::<Vec<_>>().join(",")
    }

    fn fault(&mut self) -> String {
        let kind = self.pick(&[
            r#"{"loss":{"percent":100}}"#,
            r#"{"loss":{"percent":100}}"#,
            r#"{"reject":{"with":"tcp_reset"}}"#,
            r#"{"reject":{"with":"port_unreachable"}}"#,
            r#"{"reject":{"with":"admin_prohibited"}}"#,
        ]);
        let local = self.one_in(4);
        let mut target = Vec::new();
        if !self.one_in(4) {
            target.push(format!("\"peers\":[{}]", self.list(3, |dice| dice.peer(!local))));
        }
        let on = match (local, target.is_empty()) {
            (true, _) => Some("local_ports"),
            (false, true) => Some("ports"),
            (false, false) => None,
        };
        if let Some(on) = on {
            let ports: &[&str] =
                if local { &["7001", "\"7001-7002\"", "7003"] } else { &["80", "\"81-82\"", "82"] };
            target.push(format!("\"{on}\":[{}]", self.list(2, |dice| dice.pick(ports).to_owned())));
        }
        let protocol = self.pick(&["", "", "tcp", "udp"]);
        if !protocol.is_empty() {
            target.push(format!("\"protocol\":\"{protocol}\""));
        }
        if protocol != "udp" && self.one_in(5) {
            target.push(format!("\"state\":\"{}\"", self.pick(&["new", "established"])));
        }
        if self.one_in(3) {
            target.push(format!("\"except\":[{}]", self.list(2, |dice| dice.peer(true))));
        }
        let interface = self.pick(&["", "", "", r#""interface":"to-redis","#, r#""interface":"to-db","#]);
        let direction = self.pick(&["egress", "ingress", "both"]);
        format!(
            r#"{{"kinds":[{kind}],"target":{{{}}},{interface}"direction":"{direction}","for":"10m"}}"#,
            target.join(",")
        )
    }
}

/// For the message of a failure.
struct Asked<'a>(&'a [FaultSpec]);

impl fmt::Display for Asked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|fault| writeln!(f, "  {fault}"))
    }
}

/// All at once: those that are silent take their time.
fn outcomes(lab: &Lab, probes: &[Probe]) -> Vec<Outcome> {
    lab.app.run(|| {
        std::thread::scope(|scope| {
            let asked = probes.iter().map(|probe| scope.spawn(|| probe.ask())).collect::<Vec<_>>();
            asked.into_iter().map(|thread| thread.join().expect("a probe does not panic")).collect()
        })
    })
}

/// A busy machine may keep an answer waiting for longer than the probes do: those that should have come are waited for.
fn check(lab: &Lab, faults: &[FaultSpec], when: &str) -> [usize; 3] {
    let probes = probes();
    let mut counts = [0; 3];
    let found = outcomes(lab, &probes);
    for (probe, mut found) in probes.into_iter().zip(found) {
        let expected = probe.expected(faults);
        let begun = Instant::now();
        while expected == [Outcome::Answered]
            && found != Outcome::Answered
            && begun.elapsed() < Duration::from_secs(10)
        {
            found = outcomes(lab, &[probe])[0];
        }
        assert!(
            expected.contains(&found),
            "{when}: {probe:?} is {found:?}, not {expected:?}, with\n{}",
            Asked(faults)
        );
        counts[found as usize] += 1;
    }
    counts
}

#[test]
fn overlapping_faults_do_to_real_traffic_what_a_model_says() {
    let seed = std::env::var("PA_SEED").ok().and_then(|text| text.parse().ok());
    let seed = seed.unwrap_or_else(|| std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0));
    println!("PA_SEED={seed} repeats this");
    let mut dice = Dice(seed);
    let lab = Lab::new();
    for (host, ..) in HOSTS {
        let server = if host.contains("77.2.") || host.contains("77:2:") { &lab.db } else { &lab.redis };
        for port in PORTS {
            serve_tcp(server, SocketAddr::new(address(host), port));
            echo_udp(server, SocketAddr::new(address(host), port));
        }
    }
    let agent = Agent::start(&lab.app, "");
    check(&lab, &[], "without a fault");
    let mut total = [0; 3];
    for round in 0..rounds(24) {
        let mut faults = Vec::new();
        for nth in 0..=dice.below(4) {
            let json = dice.fault();
            let fault = serde_json::from_str::<FaultSpec>(&json).expect("a fault");
            fault.validate().unwrap_or_else(|error| panic!("{json}: {error}"));
            agent.inject(&format!("f{nth}"), &json);
            faults.push((nth, fault));
        }
        let specs =
            |faults: &[(usize, FaultSpec)]| faults.iter().map(|(_, fault)| fault.clone()).collect::<Vec<_>>();
        let seen = check(&lab, &specs(&faults), &format!("PA_SEED={seed}, round {round}"));
        let (nth, gone) = faults.remove(dice.below(faults.len()));
        agent.restore(&format!("f{nth}"));
        let again =
            check(&lab, &specs(&faults), &format!("PA_SEED={seed}, round {round}, without\n  {gone}\n"));
        agent.cli_ok(&lab.app, &["restore", "--all"]);
        total = std::array::from_fn(|nth| total[nth] + seen[nth] + again[nth]);
    }
    agent.until_idle(Duration::from_secs(10));
    check(&lab, &[], "afterwards");
    println!("answered, silent, refused: {total:?}");
}
