//! `inject`: every flag, and the fault that they make.

use clap::ValueEnum;
use partition_agent_proto::{
    ConnectionState, Direction, Distribution, DnsAnswer, DnsName, Engine, FaultId, FaultSpec, Flap, Kind,
    Peer, Percent, Ports, Profile, Protocol, Ramp, Rate, RejectWith, Scope, Span, Target,
};

use super::values::{self, Ramped};

#[derive(Debug, clap::Args)]
pub struct InjectArgs {
    /// Lose this share of the packets; 100% cuts the target off
    #[arg(long, value_name = "PERCENT", allow_hyphen_values = true, help_heading = "What happens")]
    pub loss: Option<Ramped<Percent>>,
    /// Let losses follow each other: how much one depends on the one before
    #[arg(long, value_name = "PERCENT", requires = "loss", help_heading = "What happens")]
    pub loss_correlation: Option<Percent>,
    /// Losses in bursts after Gilbert and Elliott: P[,R[,1-H[,1-K]]]
    #[arg(long, value_name = "PERCENTS", value_delimiter = ',', num_args = 1..=4, help_heading = "What happens")]
    pub loss_gemodel: Vec<Percent>,
    /// Losses by a chain of four states: P13[,P31[,P32[,P23[,P14]]]]
    #[arg(long, value_name = "PERCENTS", value_delimiter = ',', num_args = 1..=5, help_heading = "What happens")]
    pub loss_state: Vec<Percent>,
    /// Delay packets by this much, one way, in each direction
    #[arg(long, value_name = "TIME", allow_hyphen_values = true, help_heading = "What happens")]
    pub latency: Option<Ramped<Span>>,
    /// Delay packets by this much there and back together, half of it in each direction
    #[arg(long, value_name = "TIME", conflicts_with = "latency", help_heading = "What happens")]
    pub rtt: Option<Span>,
    /// Vary the latency by about this much, up and down; packets keep their order
    #[arg(long, value_name = "TIME", help_heading = "What happens")]
    pub jitter: Option<Ramped<Span>>,
    /// Let the jitter of a packet depend on that of the one before
    #[arg(long, value_name = "PERCENT", requires = "jitter", help_heading = "What happens")]
    pub jitter_correlation: Option<Percent>,
    /// How the jitter is spread: normal, pareto, paretonormal, or a table file; evenly without it
    #[arg(long, value_name = "NAME|FILE", requires = "jitter", value_parser = values::distribution, help_heading = "What happens")]
    pub distribution: Option<Distribution>,
    /// Let jitter change the order of packets
    #[arg(long, requires = "jitter", help_heading = "What happens")]
    pub allow_reorder: bool,
    /// Send this share of the packets twice
    #[arg(long, value_name = "PERCENT", help_heading = "What happens")]
    pub duplicate: Option<Ramped<Percent>>,
    /// How much one duplicate depends on the one before
    #[arg(long, value_name = "PERCENT", requires = "duplicate", help_heading = "What happens")]
    pub duplicate_correlation: Option<Percent>,
    /// Flip a bit in this share of the packets
    #[arg(long, value_name = "PERCENT", help_heading = "What happens")]
    pub corrupt: Option<Ramped<Percent>>,
    /// How much one corruption depends on the one before
    #[arg(long, value_name = "PERCENT", requires = "corrupt", help_heading = "What happens")]
    pub corrupt_correlation: Option<Percent>,
    /// Let this share of the packets overtake delayed ones
    #[arg(long, value_name = "PERCENT", help_heading = "What happens")]
    pub reorder: Option<Percent>,
    /// How much one overtaking depends on the one before
    #[arg(long, value_name = "PERCENT", requires = "reorder", help_heading = "What happens")]
    pub reorder_correlation: Option<Percent>,
    /// Let only every Nth packet overtake
    #[arg(long, value_name = "N", requires = "reorder", help_heading = "What happens")]
    pub reorder_gap: Option<u32>,
    /// Let no more than this through, in bits per second: 768kbit, 10mbit, 1gbit
    #[arg(long, value_name = "RATE", help_heading = "What happens")]
    pub rate: Option<Ramped<Rate>>,
    /// Send packets in bunches, with this much time between two of them: MIN[-MAX]
    #[arg(long, value_name = "TIME", value_parser = values::slot, help_heading = "What happens")]
    pub slot: Option<(Span, Option<Span>)>,
    /// At most this many packets in a bunch
    #[arg(long, value_name = "N", requires = "slot", help_heading = "What happens")]
    pub slot_packets: Option<u32>,
    /// At most this many bytes in a bunch
    #[arg(long, value_name = "N", requires = "slot", help_heading = "What happens")]
    pub slot_bytes: Option<u32>,
    /// Refuse packets, and tell their sender; TCP connections are reset
    #[arg(long, value_enum, value_name = "HOW", num_args = 0..=1, default_missing_value = "tcp-reset", require_equals = true, help_heading = "What happens")]
    pub reject: Option<Reject>,
    /// Reset the TCP connections to the target that exist when the fault starts, once
    #[arg(long, help_heading = "What happens")]
    pub reset: bool,
    /// Make the lookup of these names fail: api.example.com, or *.example.com for all below
    #[arg(long, value_name = "NAME", value_delimiter = ',', help_heading = "What happens")]
    pub dns_fail: Vec<DnsName>,
    /// How it fails: nxdomain, servfail, timeout or delay:TIME
    #[arg(long, value_name = "ANSWER", requires = "dns_fail", value_parser = values::dns_answer, help_heading = "What happens")]
    pub dns_answer: Option<DnsAnswer>,
    /// Behave like a link that people know; `partition-agent profiles` lists them
    #[arg(long, value_name = "NAME", conflicts_with_all = ["loss", "latency", "rtt", "jitter", "rate"], help_heading = "What happens")]
    pub profile: Option<String>,

    /// Whom: an address, a network, a host name, a name of the agent's configuration or compose:PROJECT/SERVICE, each with
    /// optional :PORTS
    #[arg(long, value_name = "PEER", value_delimiter = ',', help_heading = "Whose packets")]
    pub peer: Vec<Peer>,
    /// Ports at the other end, one or a range; without --peer, of everybody
    #[arg(long, value_name = "PORTS", value_delimiter = ',', help_heading = "Whose packets")]
    pub port: Vec<Ports>,
    /// Ports at this end: a service that this host offers
    #[arg(
        long,
        value_name = "PORTS",
        value_delimiter = ',',
        conflicts_with = "port",
        help_heading = "Whose packets"
    )]
    pub local_port: Vec<Ports>,
    /// Only this protocol; ports alone mean TCP and UDP
    #[arg(long, value_enum, value_name = "PROTOCOL", help_heading = "Whose packets")]
    pub protocol: Option<ProtocolArg>,
    /// Only TCP connections that are being opened, or only those that are open
    #[arg(long, value_enum, value_name = "STATE", help_heading = "Whose packets")]
    pub state: Option<State>,
    /// Only this share of the connections, all packets of each
    #[arg(long, value_name = "PERCENT", help_heading = "Whose packets")]
    pub flows: Option<Percent>,
    /// Whom to leave alone, in the syntax of --peer
    #[arg(long, value_name = "PEER", value_delimiter = ',', help_heading = "Whose packets")]
    pub except: Vec<Peer>,
    /// Everybody and everything, but what the agent protects
    #[arg(long, conflicts_with_all = ["peer", "port", "local_port", "protocol"], help_heading = "Whose packets")]
    pub all_traffic: bool,
    /// Which way, seen from this host
    #[arg(long, value_enum, default_value_t = Way::Both, help_heading = "Whose packets")]
    pub direction: Way,

    #[command(flatten)]
    pub scope: ScopeArgs,
    /// Only on this interface [default: those of the routes to the target]
    #[arg(long, value_name = "NAME", help_heading = "Where")]
    pub interface: Option<String>,
    /// What shapes packets [default: netem, or the emulator where the kernel has none]
    #[arg(long, value_enum, value_name = "ENGINE", help_heading = "Where")]
    pub engine: Option<EngineArg>,

    /// How long
    #[arg(long = "for", value_name = "TIME", allow_hyphen_values = true, default_value_t = FaultSpec::default_duration(), help_heading = "When")]
    pub duration: Span,
    /// Build it now, start it this much later
    #[arg(long, value_name = "TIME", help_heading = "When")]
    pub start_in: Option<Span>,
    /// Off and on again: ON/OFF, as 30s/10s
    #[arg(long, value_name = "TIMES", value_parser = values::flap, help_heading = "When")]
    pub flap: Option<Flap>,
    /// Let it grow over this time, from nothing or from the first of two values: --loss 5%..50% --ramp 1m
    #[arg(long, value_name = "TIME", help_heading = "When")]
    pub ramp: Option<Span>,

    /// Name of the fault; repeating a command with its name is harmless
    #[arg(long, value_name = "ID")]
    pub id: Option<FaultId>,
    /// Only show the plan
    #[arg(long)]
    pub dry_run: bool,
    /// Stay until the fault is over; Ctrl-C ends it
    #[arg(long, conflicts_with = "dry_run")]
    pub wait: bool,
}

#[derive(Debug, Default, clap::Args)]
#[group(multiple = false)]
pub struct ScopeArgs {
    /// In a network namespace: a name, a path, or pid:PID
    #[arg(long, value_name = "NETNS", help_heading = "Where")]
    pub netns: Option<String>,
    /// In a container of Docker or Podman: its name or id
    #[arg(long, value_name = "NAME", help_heading = "Where")]
    pub container: Option<String>,
    /// In every container with a label: KEY or KEY=VALUE
    #[arg(long, value_name = "LABEL", help_heading = "Where")]
    pub label: Option<String>,
    /// In every replica of a compose service
    #[arg(long, value_name = "PROJECT/SERVICE", help_heading = "Where")]
    pub compose: Option<String>,
    /// In a Kubernetes pod on this node, by its uid
    #[arg(long, value_name = "UID", help_heading = "Where")]
    pub pod: Option<String>,
    /// For the processes of a control group, by its path
    #[arg(long, value_name = "PATH", help_heading = "Where")]
    pub cgroup: Option<String>,
    /// For the processes of a systemd unit
    #[arg(long, value_name = "UNIT", help_heading = "Where")]
    pub unit: Option<String>,
    /// For the processes of a user
    #[arg(long, value_name = "USER", help_heading = "Where")]
    pub user: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Way {
    Egress,
    Ingress,
    Both,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Reject {
    TcpReset,
    PortUnreachable,
    HostUnreachable,
    AdminProhibited,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum ProtocolArg {
    Tcp,
    Udp,
    Sctp,
    Icmp,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum State {
    New,
    Established,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum EngineArg {
    Auto,
    Netem,
    Emulator,
}

impl ScopeArgs {
    fn scope(&self) -> Scope {
        let given = [
            self.netns.clone().map(Scope::Netns),
            self.container.clone().map(Scope::Container),
            self.label.clone().map(Scope::Label),
            self.compose.clone().map(Scope::Compose),
            self.pod.clone().map(Scope::Pod),
            self.cgroup.clone().map(Scope::Cgroup),
            self.unit.clone().map(Scope::Unit),
            self.user.clone().map(Scope::User),
        ];
        // The parser lets only one through.
        given.into_iter().flatten().next().unwrap_or_default()
    }
}

impl InjectArgs {
    /// # Errors
    /// Flags that make no fault together.
    pub fn spec(&self) -> Result<FaultSpec, String> {
        let (kinds, ingress_kinds) = self.kinds()?;
        let spec = FaultSpec {
            kinds,
            ingress_kinds,
            target: self.target(),
            scope: self.scope.scope(),
            direction: match self.direction {
                Way::Egress => Direction::Egress,
                Way::Ingress => Direction::Ingress,
                Way::Both => Direction::Both,
            },
            interface: self.interface.clone(),
            engine: match self.engine {
                None | Some(EngineArg::Auto) => Engine::Auto,
                Some(EngineArg::Netem) => Engine::Netem,
                Some(EngineArg::Emulator) => Engine::Emulator,
            },
            start_in: self.start_in,
            flap: self.flap,
            ramp: self.ramp()?,
            duration: self.duration,
        };
        spec.validate().map_err(|error| error.to_string())?;
        Ok(spec)
    }

    fn target(&self) -> Target {
        Target {
            peers: self.peer.clone(),
            ports: self.port.clone(),
            local_ports: self.local_port.clone(),
            protocol: self.protocol.map(|protocol| match protocol {
                ProtocolArg::Tcp => Protocol::Tcp,
                ProtocolArg::Udp => Protocol::Udp,
                ProtocolArg::Sctp => Protocol::Sctp,
                ProtocolArg::Icmp => Protocol::Icmp,
            }),
            state: self.state.map(|state| match state {
                State::New => ConnectionState::New,
                State::Established => ConnectionState::Established,
            }),
            flows: self.flows,
            except: self.except.clone(),
            all_traffic: self.all_traffic,
        }
    }

    /// What happens to what goes out, or to everything; and to what comes in, where that is something else.
    fn kinds(&self) -> Result<(Vec<Kind>, Vec<Kind>), String> {
        let mut kinds = Vec::new();
        let mut ingress = Vec::new();
        if let Some(name) = &self.profile {
            let names = || partition_agent_proto::PROFILES.map(|profile| profile.name).join(", ");
            let unknown = || format!("`{name}` is no profile: there are {}", names());
            let profile = Profile::find(name).ok_or_else(unknown)?;
            match self.direction {
                Way::Egress => kinds = profile.up(),
                Way::Ingress => kinds = profile.down(),
                Way::Both => (kinds, ingress) = (profile.up(), profile.down()),
            }
        }
        let own = self.own_kinds()?;
        if !ingress.is_empty() {
            ingress.extend(own.iter().cloned());
        }
        kinds.extend(own);
        Ok((kinds, ingress))
    }

    fn own_kinds(&self) -> Result<Vec<Kind>, String> {
        let mut kinds = Vec::new();
        let loss =
            |loss: &Ramped<Percent>| Kind::Loss { percent: loss.to, correlation: self.loss_correlation };
        kinds.extend(self.loss.as_ref().map(loss));
        if let [p, rest @ ..] = self.loss_gemodel.as_slice() {
            let [r, bad, good] = [0, 1, 2].map(|nth| rest.get(nth).copied());
            kinds.push(Kind::LossGemodel { p: *p, r, bad, good });
        }
        if let [p13, rest @ ..] = self.loss_state.as_slice() {
            let [p31, p32, p23, p14] = [0, 1, 2, 3].map(|nth| rest.get(nth).copied());
            kinds.push(Kind::LossState { p13: *p13, p31, p32, p23, p14 });
        }
        kinds.extend(self.delay()?);
        let duplicate = |share: &Ramped<Percent>| Kind::Duplicate {
            percent: share.to,
            correlation: self.duplicate_correlation,
        };
        kinds.extend(self.duplicate.as_ref().map(duplicate));
        let corrupt = |share: &Ramped<Percent>| Kind::Corrupt {
            percent: share.to,
            correlation: self.corrupt_correlation,
        };
        kinds.extend(self.corrupt.as_ref().map(corrupt));
        kinds.extend(self.reorder.map(|percent| Kind::Reorder {
            percent,
            correlation: self.reorder_correlation,
            gap: self.reorder_gap,
        }));
        kinds.extend(self.rate.as_ref().map(|rate| Kind::Rate { rate: rate.to }));
        let (packets, bytes) = (self.slot_packets, self.slot_bytes);
        kinds.extend(self.slot.map(|(min, max)| Kind::Slot { min, max, packets, bytes }));
        kinds.extend(self.reject.map(|with| Kind::Reject {
            with: match with {
                Reject::TcpReset => RejectWith::TcpReset,
                Reject::PortUnreachable => RejectWith::PortUnreachable,
                Reject::HostUnreachable => RejectWith::HostUnreachable,
                Reject::AdminProhibited => RejectWith::AdminProhibited,
            },
        }));
        if self.reset {
            kinds.push(Kind::Reset {});
        }
        if !self.dns_fail.is_empty() {
            let answer = self.dns_answer.unwrap_or_default();
            kinds.push(Kind::Dns { names: self.dns_fail.clone(), answer });
        }
        Ok(kinds)
    }

    fn delay(&self) -> Result<Option<Kind>, String> {
        let latency = match (&self.latency, self.rtt) {
            (Some(latency), _) => latency.to,
            (None, Some(rtt)) => match self.direction {
                Way::Both => Span::new(rtt.duration() / 2).map_err(|error| error.to_string())?,
                Way::Egress | Way::Ingress => {
                    return Err("--rtt is there and back: with one --direction, write --latency".to_owned());
                }
            },
            (None, None) if self.jitter.is_some() => {
                return Err("a jitter varies a latency: add --latency or --rtt".to_owned());
            }
            (None, None) => return Ok(None),
        };
        Ok(Some(Kind::Delay {
            latency,
            jitter: self.jitter.as_ref().map(|jitter| jitter.to),
            correlation: self.jitter_correlation,
            distribution: self.distribution.clone(),
            allow_reorder: self.allow_reorder,
        }))
    }

    fn ramp(&self) -> Result<Option<Ramp>, String> {
        let percents =
            [&self.loss, &self.duplicate, &self.corrupt].into_iter().flatten().any(|value| value.grows);
        let spans = [&self.latency, &self.jitter].into_iter().flatten().any(|value| value.grows);
        let grows = percents || spans || self.rate.as_ref().is_some_and(|value| value.grows);
        let Some(over) = self.ramp else {
            return if grows { Err("two values are a ramp: add --ramp TIME".to_owned()) } else { Ok(None) };
        };
        let first = |value: &Option<Ramped<Percent>>| value.as_ref().and_then(|value| value.from);
        let correlation = None;
        let mut from = Vec::new();
        from.extend(first(&self.loss).map(|percent| Kind::Loss { percent, correlation }));
        let latency = self.latency.as_ref().and_then(|value| value.from);
        from.extend(latency.map(|latency| Kind::Delay {
            latency,
            jitter: self.jitter.as_ref().and_then(|value| value.from),
            correlation,
            distribution: None,
            allow_reorder: false,
        }));
        from.extend(first(&self.duplicate).map(|percent| Kind::Duplicate { percent, correlation }));
        from.extend(first(&self.corrupt).map(|percent| Kind::Corrupt { percent, correlation }));
        from.extend(self.rate.as_ref().and_then(|value| value.from).map(|rate| Kind::Rate { rate }));
        Ok(Some(Ramp { over, from }))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::{Args, Verb};
    use super::*;

    fn spec(flags: &str) -> FaultSpec {
        let line = format!("partition-agent inject {flags}");
        let Verb::Inject(inject) = Args::parse_from(line.split_whitespace()).verb else {
            panic!("not inject")
        };
        inject.spec().unwrap()
    }

    #[test]
    fn inject_says_the_same_as_the_api() {
        let cases = [
            (
                "--loss 30% --latency 100ms --jitter 10ms --peer redis:6379,10.0.0.0/8 --except 10.0.0.1 --direction egress \
                 --interface eth0 --for 5m",
                r#"{"kinds":[{"loss":{"percent":30}},{"delay":{"latency":"100ms","jitter":"10ms"}}],
                    "target":{"peers":["redis:6379","10.0.0.0/8"],"except":["10.0.0.1"]},
                    "direction":"egress","interface":"eth0","for":"5m"}"#,
            ),
            (
                "--rtt 100ms --jitter 5ms --distribution normal --duplicate 1% --corrupt 2% --reorder 25% --reorder-gap 5 \
                 --rate 10mbit --slot 1ms-2ms --slot-packets 9 --local-port 80,8000-8010 --protocol tcp --unit redis.service",
                r#"{"kinds":[{"delay":{"latency":"50ms","jitter":"5ms","distribution":"normal"}},{"duplicate":{"percent":1}},
                    {"corrupt":{"percent":2}},{"reorder":{"percent":25,"gap":5}},{"rate":{"rate":"10mbit"}},
                    {"slot":{"min":"1ms","max":"2ms","packets":9}}],
                    "target":{"local_ports":[80,"8000-8010"],"protocol":"tcp"},"scope":{"unit":"redis.service"}}"#,
            ),
            (
                "--reject --reset --peer 10.0.0.5 --state new --flows 30% --start-in 5s --flap 30s/10s --for 5m",
                r#"{"kinds":[{"reject":{"with":"tcp_reset"}},{"reset":{}}],
                    "target":{"peers":["10.0.0.5"],"state":"new","flows":30},"start_in":"5s",
                    "flap":{"on":"30s","off":"10s"},"for":"5m"}"#,
            ),
            (
                "--dns-fail api.example.com,*.b.c --dns-answer delay:2s --container web",
                r#"{"kinds":[{"dns":{"names":["api.example.com","*.b.c"],"answer":{"delay":{"latency":"2s"}}}}],
                    "target":{},"scope":{"container":"web"}}"#,
            ),
            (
                "--loss 5%..50% --latency 0ms..200ms --ramp 30s --peer a",
                r#"{"kinds":[{"loss":{"percent":50}},{"delay":{"latency":"200ms"}}],"target":{"peers":["a"]},
                    "ramp":{"over":"30s","from":[{"loss":{"percent":5}}]}}"#,
            ),
            (
                "--loss-state 5%,20% --engine emulator --all-traffic --netns blue",
                r#"{"kinds":[{"loss_state":{"p13":5,"p31":20}}],"target":{"all_traffic":true},"engine":"emulator",
                    "scope":{"netns":"blue"}}"#,
            ),
        ];
        for (flags, json) in cases {
            assert_eq!(spec(flags), serde_json::from_str(json).unwrap(), "{flags}");
        }
    }

    #[test]
    fn a_profile_has_two_sides() {
        let fault = spec("--profile dsl --peer a");
        assert_eq!(fault.kinds, Profile::find("dsl").unwrap().up());
        assert_eq!(fault.ingress_kinds, Profile::find("dsl").unwrap().down());
        let one_way = spec("--profile dsl --peer a --direction ingress");
        assert_eq!((one_way.kinds, one_way.ingress_kinds), (Profile::find("dsl").unwrap().down(), vec![]));
    }
}
