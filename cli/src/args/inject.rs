//! `inject`: every flag.

use clap::ValueEnum;
use partition_agent_proto::{
    Distribution, DnsAnswer, DnsName, FaultId, FaultSpec, Flap, Peer, Percent, Ports, Rate, Span,
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
