//! Whose packets: the flags, and the target that they make.

use std::str::FromStr;

use clap::ValueEnum;
use partition_agent_proto::fleet::Selector;
use partition_agent_proto::{ConnectionState, Peer, PeerError, Percent, Ports, Protocol, Target};

use crate::completion;

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Whose packets")]
pub struct TargetArgs {
    /// Whom: an address, a network, a host name, a name of the agent's configuration or compose:PROJECT/SERVICE, each with
    /// optional :PORTS; on a fleet also its hosts, its services and its groups, as @GROUP
    #[arg(long, value_name = "PEER", value_delimiter = ',', add = completion::peers())]
    pub peer: Vec<PeerArg>,
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
    #[arg(long, value_name = "PEER", value_delimiter = ',', add = completion::peers())]
    pub except: Vec<PeerArg>,
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

/// A peer, or a group of them.
#[derive(Debug, Clone, PartialEq)]
pub enum PeerArg {
    Peer(Peer),
    /// Of a fleet, with the ports that all of it is to be known by.
    Group(Selector, Option<Ports>),
}

impl FromStr for PeerArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if !text.starts_with('@') {
            return text.parse().map(Self::Peer).map_err(|error: PeerError| error.to_string());
        }
        let (group, ports) = match text.rsplit_once(':') {
            Some((group, ports)) => (group, Some(ports.parse::<Ports>().map_err(|error| error.to_string())?)),
            None => (text, None),
        };
        let group = group.parse::<Selector>().map_err(|error| error.to_string())?;
        Ok(Self::Group(group, ports))
    }
}

impl TargetArgs {
    /// Of one host, which knows no groups.
    ///
    /// # Errors
    /// A group.
    pub fn target(&self) -> Result<Target, String> {
        let alone = |peer: &PeerArg| match peer {
            PeerArg::Peer(peer) => Ok(peer.clone()),
            PeerArg::Group(group, _) => Err(format!(
                "`{group}` is a group of a fleet: name the fleet with --fleet, or the hosts with --on"
            )),
        };
        let all = |peers: &[PeerArg]| peers.iter().map(alone).collect::<Result<Vec<_>, _>>();
        Ok(self.target_of(all(&self.peer)?, all(&self.except)?))
    }

    /// Of these peers, and everything else as it was typed.
    pub fn target_of(&self, peers: Vec<Peer>, except: Vec<Peer>) -> Target {
        Target {
            peers,
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
            except,
            all_traffic: self.all_traffic,
        }
    }
}
