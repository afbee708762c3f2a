//! What can be typed.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};
use partition_agent_proto::{Direction, FaultId, FaultSpec, Kind, Peer, Percent, Span, Target};

use crate::client::AgentAddress;

/// Make this host lose, delay and cut network traffic for a while. The kernel ends every fault by itself: at its
/// deadline, and when the agent dies.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, after_help = EXAMPLES)]
pub struct Args {
    /// Where the agent is: unix:PATH or http://HOST:PORT
    #[arg(long, global = true, env = "PARTITION_AGENT", value_name = "ADDRESS")]
    pub agent: Option<AgentAddress>,
    /// Answer in JSON
    #[arg(long, global = true)]
    pub json: bool,
    #[command(subcommand)]
    pub verb: Verb,
}

const EXAMPLES: &str = "\
Examples:
  partition-agent inject --loss 100% --peer redis             cut this host off from redis, for 60s
  partition-agent inject --loss 100% --peer redis --dry-run   only show what that would do
  partition-agent restore --all                               end everything now";

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Run the agent
    Serve(ServeArgs),
    /// Put a fault into force; without an agent, in the foreground until Ctrl-C
    Inject(Box<InjectArgs>),
    /// End faults before their time
    Restore(RestoreArgs),
    /// Move a fault's deadline
    Change(ChangeArgs),
    /// Show the faults
    Status(StatusArgs),
    /// Show the faults that are over
    History(HistoryArgs),
    /// Tell what this kernel can do, what is missing, and which package brings it
    Doctor,
    /// Show it all on three hosts in network namespaces of their own; needs no root
    Demo(DemoArgs),
    #[command(hide = true)]
    LabHost(LabHostArgs),
    #[command(hide = true)]
    LabExec(LabExecArgs),
    #[command(hide = true)]
    LabRespond(LabRespondArgs),
}

#[derive(Debug, clap::Args)]
pub struct ServeArgs {
    /// Configuration [default: /etc/partition-agent/agent.toml, where it exists]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Unix socket of the API
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// Also listen on TCP; loopback only
    #[arg(long, value_name = "ADDR:PORT")]
    pub listen: Option<SocketAddr>,
    /// Directory of the journal
    #[arg(long, value_name = "DIR")]
    pub state_dir: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub struct InjectArgs {
    /// Lose this share of the packets; 100% cuts the target off
    #[arg(long, value_name = "PERCENT", allow_hyphen_values = true)]
    pub loss: Option<Percent>,
    /// Delay packets by this much, one way, in each direction
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub latency: Option<Span>,
    /// Vary the latency by up to this much, up and down; packets keep their order
    #[arg(long, value_name = "TIME", requires = "latency")]
    pub jitter: Option<Span>,
    /// Whom: an address, a network, a host name or a name of the agent's configuration, each with an optional :PORT
    #[arg(long, value_name = "PEER", value_delimiter = ',')]
    pub peer: Vec<Peer>,
    /// Ports at the other end, TCP and UDP; without --peer, of everybody
    #[arg(long, value_name = "PORT", value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Vec<u16>,
    /// Whom to leave alone, in the syntax of --peer
    #[arg(long, value_name = "PEER", value_delimiter = ',')]
    pub except: Vec<Peer>,
    /// Everybody and everything, but what the agent protects
    #[arg(long, conflicts_with_all = ["peer", "port"])]
    pub all_traffic: bool,
    /// Which way, seen from this host
    #[arg(long, value_enum, default_value_t = Way::Both)]
    pub direction: Way,
    /// Only on this interface [default: those of the routes to the target]
    #[arg(long, value_name = "NAME")]
    pub interface: Option<String>,
    /// How long
    #[arg(long = "for", value_name = "TIME", allow_hyphen_values = true, default_value_t = FaultSpec::default_duration())]
    pub duration: Span,
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

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Way {
    Egress,
    Ingress,
    Both,
}

impl InjectArgs {
    pub fn spec(&self) -> FaultSpec {
        let loss = self.loss.map(|percent| Kind::Loss { percent });
        let delay = self.latency.map(|latency| Kind::Delay { latency, jitter: self.jitter });
        FaultSpec {
            kinds: loss.into_iter().chain(delay).collect(),
            target: Target {
                peers: self.peer.clone(),
                ports: self.port.clone(),
                except: self.except.clone(),
                all_traffic: self.all_traffic,
            },
            direction: match self.direction {
                Way::Egress => Direction::Egress,
                Way::Ingress => Direction::Ingress,
                Way::Both => Direction::Both,
            },
            interface: self.interface.clone(),
            duration: self.duration,
        }
    }
}

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("what").required(true))]
pub struct RestoreArgs {
    /// The faults
    #[arg(group = "what", value_name = "ID")]
    pub ids: Vec<FaultId>,
    /// Every fault
    #[arg(long, group = "what")]
    pub all: bool,
}

#[derive(Debug, clap::Args)]
pub struct ChangeArgs {
    /// The fault
    #[arg(value_name = "ID")]
    pub id: FaultId,
    /// How long from now
    #[arg(long = "for", value_name = "TIME", allow_hyphen_values = true)]
    pub duration: Span,
}

#[derive(Debug, clap::Args)]
pub struct StatusArgs {
    /// Only this fault, with its plan
    #[arg(value_name = "ID")]
    pub id: Option<FaultId>,
    /// Stay until the fault is over; without an id, until there is none left
    #[arg(long)]
    pub wait: bool,
}

#[derive(Debug, clap::Args)]
pub struct HistoryArgs {
    /// At most this many, the newest
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub limit: usize,
}

#[derive(Debug, clap::Args)]
pub struct DemoArgs {
    /// Use the built-in responder even where redis-server is installed
    #[arg(long)]
    pub no_redis: bool,
}

#[derive(Debug, clap::Args)]
pub struct LabHostArgs {
    pub address: IpAddr,
    pub prefix: u8,
}

#[derive(Debug, clap::Args)]
pub struct LabExecArgs {
    pub pid: i32,
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    pub command: Vec<String>,
}

#[derive(Debug, clap::Args)]
pub struct LabRespondArgs {
    pub at: SocketAddr,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_holds_together() {
        Args::command().debug_assert();
    }

    #[test]
    fn inject_says_the_same_as_the_api() {
        let line = "partition-agent inject --loss 30% --latency 100ms --jitter 10ms --peer redis:6379,10.0.0.0/8 \
                    --except 10.0.0.1 --direction egress --interface eth0 --for 5m";
        let Verb::Inject(inject) = Args::parse_from(line.split_whitespace()).verb else {
            panic!("not inject")
        };
        let json = r#"{"kinds":[{"loss":{"percent":30}},{"delay":{"latency":"100ms","jitter":"10ms"}}],
            "target":{"peers":["redis:6379","10.0.0.0/8"],"except":["10.0.0.1"]},
            "direction":"egress","interface":"eth0","for":"5m"}"#;
        assert_eq!(inject.spec(), serde_json::from_str(json).unwrap());
    }

    #[test]
    fn contradictions_are_usage_errors() {
        for line in [
            "inject --loss 100% --all-traffic --peer a",
            "inject --jitter 1ms --peer a",
            "inject --loss 101% --peer a",
            "inject --loss NaN --peer a",
            "inject --loss 1% --port 0",
            "inject --loss 1% --peer a --for -5s",
            "restore",
            "restore a --all",
        ] {
            let words = std::iter::once("partition-agent").chain(line.split_whitespace());
            assert!(Args::try_parse_from(words).is_err(), "{line}");
        }
    }
}
