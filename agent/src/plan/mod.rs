//! From a resolved fault to the steps that put it into the kernel. Pure: the same input is the same plan, and a plan
//! prints itself in the syntax of `tc`, `ip` and `nft`, so a dry run, the log and the manual show the same text.

mod build;
mod distribution;
mod draft;
mod element;
mod expr;
#[cfg(feature = "fuzz")]
pub mod fuzzing;
mod guard;
mod impairment;
mod need;
mod ranges;
mod resets;
mod ruleset;
mod sets;
mod shadow;
#[cfg(any(test, feature = "fuzz"))]
mod sound;

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use ipnetwork::IpNetwork;
use partition_agent_proto::{DnsAnswer, DnsName, Ports};

use crate::netns::NetnsId;

pub use draft::{Draft, Impossible};
pub use element::{Element, End, Shape, protocol_number};
pub use expr::{Expr, FLOW_SEED, FLOW_TIMEOUT_MS, MODULUS, stand_in};
pub use guard::{Guard, LOOPBACK, ProtectedPort, hooked_chain};
pub use impairment::{Chance, Impairment, LossModel, Reorder, Slot, Table};
pub use need::Need;
pub use ranges::{Family, Range, is_within};
pub use resets::Resets;
pub use ruleset::{Base, Chain, Hook, Rule, Ruleset, Set, Spot};
pub use shadow::shadows;

/// The name of the shared table, in family `netdev`; the faults' own tables begin with it.
pub const TABLE: &str = "partition_agent";

/// The mark of frames that the emulator gives back on their way out, and the address that those say they come from on
/// their way in: "pa", and locally administered.
pub const RETURNED_MARK: u32 = 0x7061;
pub const RETURNED_FROM: [u8; 6] = [0x02, 0x70, 0x61, 0, 0, 1];

/// The mark of the questions that the agent itself asks name servers.
pub const STAND_IN_MARK: u32 = 0x7062;

/// The bits of the packet mark that say which fault on processes a packet is for: bits that neither Kubernetes
/// (0xc000), Tailscale (0xff0000) nor the common examples of policy routing use.
pub const MARK_BITS: [u32; 8] = [1 << 24, 1 << 25, 1 << 26, 1 << 27, 1 << 28, 1 << 29, 1 << 30, 1 << 31];

/// Addresses that a name, a network or "everybody" stands for, on all ports or some.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    pub net: IpNetwork,
    pub ports: Option<Ports>,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        partition_agent_proto::Peer { host: partition_agent_proto::Host::Net(self.net), port: self.ports }
            .fmt(f)
    }
}

/// A network namespace that a fault acts in.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub name: String,
    /// None: the agent's own.
    pub id: Option<NetnsId>,
}

impl Place {
    /// The agent's own.
    #[must_use]
    pub fn host() -> Self {
        Self { name: "host".to_owned(), id: None }
    }
}

/// Processes in the agent's own network namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sender {
    /// Of a control group of version 2: its path below the mount, how deep that is, and the number of its directory.
    Cgroup { path: String, level: u32, id: u64 },
    /// Of a user.
    User(u32),
}

impl Sender {
    fn expr(&self) -> Expr {
        match self {
            Self::Cgroup { path, level, id } => {
                let path = path.trim_start_matches('/').to_owned();
                Expr::Cgroup { id: *id, level: *level, path }
            }
            Self::User(id) => Expr::User(*id),
        }
    }
}

/// The shortest timeout. The kernel counts in jiffies, up to 10 ms long, rounds down, and takes 0 for "never" (before 6.12):
/// less than a jiffy would be a fault without an end.
const SHORTEST: Duration = Duration::from_millis(10);

/// Everything that a fault is in one network namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub place: Place,
    pub slot: u32,
    pub steps: Vec<Step>,
    /// Connections to reset when it starts.
    pub resets: Option<Resets>,
    /// The bit of the packet mark that is its.
    pub bit: Option<u32>,
}

/// One change, with an undo of its own. Steps are applied in order and undone in reverse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Undo: delete it, and the qdisc with it.
    AddIfb {
        name: String,
    },
    AddNetem {
        ifb: String,
        impairment: Impairment,
    },
    SetUp {
        ifb: String,
    },
    /// The device, and the emulator that reads it. Undo: close it.
    AddTap(Tap),
    /// A table that does not steer. Undo: delete it.
    AddTable(OwnTable),
    /// Local ports in the place of name servers. Undo: close them.
    StandIn(StandIn),
    /// One nftables transaction, and the only step that touches traffic. Undo: another transaction.
    Steer(Steering),
}

/// A TAP that packets of one interface and direction go through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tap {
    pub name: String,
    pub hook: Hook,
    pub interface: String,
    /// Which interface: the way back leads to this one, and not to another of the name.
    pub which: Incarnation,
    pub impairment: Impairment,
}

/// One interface among all that have had its name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Incarnation {
    pub index: u32,
    /// How many with this index are gone. Who makes an interface may choose its index, also that of one just deleted.
    pub nth: u32,
}

/// What answers in the place of name servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StandIn {
    pub servers: Vec<SocketAddr>,
    pub names: Vec<DnsName>,
    pub answer: DnsAnswer,
}

/// As nftables has families.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TableFamily {
    Netdev,
    Inet,
    Ip,
    Ip6,
}

/// A table of one fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnTable {
    pub name: String,
    pub family: TableFamily,
    pub ruleset: Ruleset,
}

/// The fault's own part of the shared table, the interfaces that lead into it, and its own table in the IP stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Steering {
    pub ruleset: Ruleset,
    pub hooks: Vec<Hook>,
    pub interfaces: Vec<String>,
    pub own: Option<OwnTable>,
    /// Of two faults the newer has the higher one.
    pub order: u32,
    /// None: built, and hitting nothing.
    pub timeout: Option<Duration>,
}

impl Plan {
    /// The plan of the same fault with another deadline; without one it hits nothing.
    pub fn set_timeout(&mut self, timeout: Option<Duration>) {
        let timeout = timeout.map(|timeout| timeout.max(SHORTEST));
        for step in &mut self.steps {
            match step {
                Step::Steer(steering) => steering.timeout = timeout,
                Step::AddIfb { .. }
                | Step::AddNetem { .. }
                | Step::SetUp { .. }
                | Step::AddTap(_)
                | Step::AddTable(_)
                | Step::StandIn(_) => {}
            }
        }
    }

    /// The transaction that steers packets.
    pub fn steering(&self) -> Option<&Steering> {
        self.steps.iter().find_map(|step| match step {
            Step::Steer(steering) => Some(steering),
            Step::AddIfb { .. }
            | Step::AddNetem { .. }
            | Step::SetUp { .. }
            | Step::AddTap(_)
            | Step::AddTable(_)
            | Step::StandIn(_) => None,
        })
    }

    /// The queues of netem.
    pub fn queues(&self) -> impl Iterator<Item = (&str, &Impairment)> {
        self.steps.iter().filter_map(|step| match step {
            Step::AddNetem { ifb, impairment } => Some((ifb.as_str(), impairment)),
            Step::AddIfb { .. }
            | Step::SetUp { .. }
            | Step::AddTap(_)
            | Step::AddTable(_)
            | Step::StandIn(_)
            | Step::Steer(_) => None,
        })
    }

    /// The queues of the emulator.
    pub fn taps(&self) -> impl Iterator<Item = &Tap> {
        self.steps.iter().filter_map(|step| match step {
            Step::AddTap(tap) => Some(tap),
            Step::AddIfb { .. }
            | Step::AddNetem { .. }
            | Step::SetUp { .. }
            | Step::AddTable(_)
            | Step::StandIn(_)
            | Step::Steer(_) => None,
        })
    }

    /// What answers in the place of name servers.
    pub fn stand_in(&self) -> Option<&StandIn> {
        self.steps.iter().find_map(|step| match step {
            Step::StandIn(stand_in) => Some(stand_in),
            Step::AddIfb { .. }
            | Step::AddNetem { .. }
            | Step::SetUp { .. }
            | Step::AddTap(_)
            | Step::AddTable(_)
            | Step::Steer(_) => None,
        })
    }

    /// How long to leave the queues alone after the last packet was steered into them.
    pub fn drain(&self) -> Duration {
        let drains = self.steps.iter().map(|step| match step {
            Step::AddNetem { impairment, .. } | Step::AddTap(Tap { impairment, .. }) => impairment.drain(),
            // The answers to the questions that are on their way.
            Step::StandIn(StandIn { answer, .. }) => match answer {
                DnsAnswer::Delay { latency } => latency.duration() + ANSWERS,
                DnsAnswer::Nxdomain | DnsAnswer::Servfail | DnsAnswer::Timeout => ANSWERS,
            },
            Step::AddIfb { .. } | Step::SetUp { .. } | Step::AddTable(_) | Step::Steer(_) => Duration::ZERO,
        });
        drains.max().unwrap_or_default()
    }
}

/// How long a name server may take to answer.
const ANSWERS: Duration = Duration::from_secs(2);

/// The comment on every rule of the fault in a slot.
pub fn mark(slot: u32) -> String {
    format!("f{slot}")
}

impl TableFamily {
    /// As nft spells it.
    pub fn nft(self) -> &'static str {
        match self {
            Self::Netdev => "netdev",
            Self::Inet => "inet",
            Self::Ip => "ip",
            Self::Ip6 => "ip6",
        }
    }
}

impl OwnTable {
    fn write(&self, f: &mut fmt::Formatter<'_>, timeout: Option<Duration>) -> fmt::Result {
        let table = format!("{} {}", self.family.nft(), self.name);
        writeln!(f, "table {table} {{ # flags owner")?;
        self.ruleset.write(f, &table, timeout)?;
        write!(f, "}}")
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddIfb { name } => write!(f, "ip link add {name} type ifb"),
            Self::AddNetem { ifb, impairment } => write!(f, "tc qdisc add dev {ifb} root {impairment}"),
            Self::SetUp { ifb } => write!(f, "ip link set {ifb} up"),
            Self::AddTap(Tap { name, hook, interface, impairment, .. }) => {
                write!(
                    f,
                    "ip tuntap add {name} mode tap; ip link set {name} up # {} of {interface}, emulated: {impairment}",
                    hook.name()
                )?;
                match hook {
                    Hook::Egress => Ok(()),
                    Hook::Ingress => write!(
                        f,
                        "\ntc qdisc add dev {name} ingress; tc filter add dev {name} parent ffff: protocol all u32 match u32 0 0 \
                         action mirred ingress redirect dev {interface}"
                    ),
                }
            }
            Self::AddTable(table) => table.write(f, None),
            Self::StandIn(StandIn { servers, names, answer }) => {
                let servers = servers.iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(", ");
                let names = names.iter().map(DnsName::as_str).collect::<Vec<_>>().join(", ");
                write!(
                    f,
                    "# a local port in the place of each of {servers}: {answer} for {names}, the rest is passed on"
                )
            }
            Self::Steer(steering) => {
                if !steering.ruleset.chains.is_empty() {
                    writeln!(
                        f,
                        "table netdev {TABLE} {{ # flags owner: the kernel deletes it with the agent"
                    )?;
                    steering.ruleset.write(f, &format!("netdev {TABLE}"), steering.timeout)?;
                    for hook in &steering.hooks {
                        for interface in &steering.interfaces {
                            hooked_chain(*hook, interface).write(f, TABLE, steering.timeout)?;
                        }
                    }
                    write!(f, "}}")?;
                }
                match &steering.own {
                    Some(own) => {
                        if !steering.ruleset.chains.is_empty() {
                            writeln!(f)?;
                        }
                        own.write(f, steering.timeout)
                    }
                    None => Ok(()),
                }
            }
        }
    }
}

impl Step {
    /// Whether both make the same object, however they do it: there can be one of them at a time.
    pub fn makes_the_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::AddIfb { name: one }, Self::AddIfb { name: other })
            | (Self::AddNetem { ifb: one, .. }, Self::AddNetem { ifb: other, .. })
            | (Self::SetUp { ifb: one }, Self::SetUp { ifb: other })
            | (Self::AddTap(Tap { name: one, .. }), Self::AddTap(Tap { name: other, .. }))
            | (Self::AddTable(OwnTable { name: one, .. }), Self::AddTable(OwnTable { name: other, .. })) => {
                one == other
            }
            (Self::StandIn(_), Self::StandIn(_)) | (Self::Steer(_), Self::Steer(_)) => true,
            (
                Self::AddIfb { .. }
                | Self::AddNetem { .. }
                | Self::SetUp { .. }
                | Self::AddTap(_)
                | Self::AddTable(_)
                | Self::StandIn(_)
                | Self::Steer(_),
                _,
            ) => false,
        }
    }

    /// A line for errors and logs; the steering transaction is too long for one.
    pub fn summary(&self) -> String {
        match self {
            Self::AddIfb { .. } | Self::AddNetem { .. } | Self::SetUp { .. } | Self::StandIn(_) => {
                self.to_string()
            }
            Self::AddTap(tap) => format!("ip tuntap add {} mode tap", tap.name),
            Self::AddTable(table) => format!("nft: add table {} {}", table.family.nft(), table.name),
            Self::Steer(steering) => {
                let own = steering.own.iter().flat_map(|own| &own.ruleset.sets);
                let elements =
                    steering.ruleset.sets.iter().chain(own).map(|set| set.elements.len()).sum::<usize>();
                let on = steering.interfaces.join(", ");
                format!("nft: steer {elements} elements of table netdev {TABLE} on {on}")
            }
        }
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for step in &self.steps {
            let text = step.to_string();
            if !text.is_empty() {
                writeln!(f, "{text}")?;
            }
        }
        self.resets.iter().try_for_each(|resets| writeln!(f, "{resets}"))
    }
}

#[cfg(test)]
mod tests;
