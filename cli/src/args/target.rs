//! Whose packets: the flags, and the target that they make.

use clap::ValueEnum;
use partition_agent_proto::{ConnectionState, Peer, Percent, Ports, Protocol, Target};

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Whose packets")]
pub struct TargetArgs {
    /// Whom: an address, a network, a host name, a name of the agent's configuration or compose:PROJECT/SERVICE, each with
    /// optional :PORTS
    #[arg(long, value_name = "PEER", value_delimiter = ',')]
    pub peer: Vec<Peer>,
    /// Ports at the other end, one or a range; without --peer, of everybody
    #[arg(long, value_name = "PORTS", value_delimiter = ',')]
    pub port: Vec<Ports>,
    /// Ports at this end: a service that this host offers
    #[arg(long, value_name = "PORTS", value_delimiter = ',', conflicts_with = "port")]
    pub local_port: Vec<Ports>,
    /// Only this protocol; ports alone mean TCP and UDP
    #[arg(long, value_enum, value_name = "PROTOCOL")]
    pub protocol: Option<ProtocolArg>,
    /// Only TCP connections that are being opened, or only those that are open
    #[arg(long, value_enum, value_name = "STATE")]
    pub state: Option<State>,
    /// Only this share of the connections, all packets of each
    #[arg(long, value_name = "PERCENT")]
    pub flows: Option<Percent>,
    /// Whom to leave alone, in the syntax of --peer
    #[arg(long, value_name = "PEER", value_delimiter = ',')]
    pub except: Vec<Peer>,
    /// Everybody and everything, but what the agent protects
    #[arg(long, conflicts_with_all = ["peer", "port", "local_port", "protocol"])]
    pub all_traffic: bool,
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

impl TargetArgs {
    pub fn target(&self) -> Target {
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
}
