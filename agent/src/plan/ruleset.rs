//! A piece of an nftables table as a value: what the kernel edge encodes and what people read are the same thing.

use std::fmt;
use std::time::Duration;

use super::element::{Element, Shape};
use super::expr::Expr;

/// Where in a packet's way a chain sits, seen from this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Hook {
    Egress,
    Ingress,
}

impl Hook {
    pub const BOTH: [Self; 2] = [Self::Egress, Self::Ingress];

    /// The other one.
    pub fn other(self) -> Self {
        match self {
            Self::Egress => Self::Ingress,
            Self::Ingress => Self::Egress,
        }
    }

    /// As nft spells it; also the name of the chain that every hooked chain goes to.
    pub fn name(self) -> &'static str {
        match self {
            Self::Egress => "egress",
            Self::Ingress => "ingress",
        }
    }

    /// The address and port of the far end, then the port of this end.
    pub fn fields(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::Egress => ("daddr", "dport", "sport"),
            Self::Ingress => ("saddr", "sport", "dport"),
        }
    }
}

/// Where a base chain begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Base {
    /// On an interface, in a table of family `netdev`.
    Device(Hook, String),
    /// In the IP stack, in a table of family `inet`, at a priority.
    Output(i32),
    Input(i32),
    Forward(i32),
    Prerouting(i32),
    /// Output of type `route`: a packet whose address was changed is routed anew.
    Route(i32),
}

/// A named set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Set {
    pub name: String,
    pub shape: Shape,
    /// Whether its elements time out with the fault. Only targets do: an exception that went first would let the
    /// fault hit for a moment what it must never hit.
    pub timed: bool,
    pub elements: Vec<Element>,
}

/// A chain, hooked somewhere or reached from another chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chain {
    pub name: String,
    pub base: Option<Base>,
}

/// Where in its chain a rule goes, among those that are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spot {
    First,
    /// Before the rules of older faults and behind those of newer ones.
    ByAge,
    Last,
}

/// A rule of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    pub chain: String,
    pub spot: Spot,
    pub exprs: Vec<Expr>,
    /// Which fault it belongs to: how the rules of one fault are found again among those of others.
    pub comment: Option<String>,
}

/// Sets, chains and rules that are added to a table, or removed from it, together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ruleset {
    pub sets: Vec<Set>,
    pub chains: Vec<Chain>,
    pub rules: Vec<Rule>,
}

impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Device(hook, interface) => {
                write!(f, "type filter hook {} device \"{interface}\" priority 0", hook.name())
            }
            Self::Output(priority) => write!(f, "type filter hook output priority {priority}"),
            Self::Input(priority) => write!(f, "type filter hook input priority {priority}"),
            Self::Forward(priority) => write!(f, "type filter hook forward priority {priority}"),
            Self::Prerouting(priority) => write!(f, "type filter hook prerouting priority {priority}"),
            Self::Route(priority) => write!(f, "type route hook output priority {priority}"),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, expr) in self.exprs.iter().enumerate() {
            let space = if nth == 0 { "" } else { " " };
            write!(f, "{space}{expr}")?;
        }
        match &self.comment {
            Some(comment) => write!(f, " comment \"{comment}\""),
            None => Ok(()),
        }
    }
}

/// How many elements of a set are printed before the rest is counted.
const PRINTED_ELEMENTS: usize = 16;

impl Ruleset {
    /// In the syntax of `nft -f`, with the timeout that timed elements get; without one they come later.
    pub fn write(&self, f: &mut fmt::Formatter<'_>, table: &str, timeout: Option<Duration>) -> fmt::Result {
        for set in &self.sets {
            write_set(f, set, timeout)?;
        }
        for chain in &self.chains {
            writeln!(f, "  chain {} {{", chain.name)?;
            if let Some(base) = &chain.base {
                writeln!(f, "    {base}; policy accept;")?;
            }
            for rule in self.rules.iter().filter(|rule| rule.chain == chain.name) {
                writeln!(f, "    {rule}")?;
            }
            writeln!(f, "  }}")?;
        }
        let elsewhere = |rule: &&Rule| !self.chains.iter().any(|chain| chain.name == rule.chain);
        for rule in self.rules.iter().filter(elsewhere) {
            let place = match rule.spot {
                Spot::First | Spot::ByAge => "insert",
                Spot::Last => "add",
            };
            writeln!(f, "  # {place} rule {table} {} {rule}", rule.chain)?;
        }
        Ok(())
    }
}

fn write_set(f: &mut fmt::Formatter<'_>, set: &Set, timeout: Option<Duration>) -> fmt::Result {
    let flags = [
        (set.shape.interval(), "interval"),
        (set.timed || set.shape.learned(), "timeout"),
        (set.shape.learned(), "dynamic"),
    ];
    let flags = flags.into_iter().filter(|(set, _)| *set).map(|(_, name)| name).collect::<Vec<_>>().join(",");
    writeln!(f, "  set {} {{", set.name)?;
    let flags = if flags.is_empty() { String::new() } else { format!("; flags {flags}") };
    writeln!(f, "    type {}{flags}", set.shape)?;
    let timeout = match timeout {
        Some(timeout) if set.timed => format!(" timeout {}ms", timeout.as_millis()),
        Some(_) | None => String::new(),
    };
    let (shown, rest) = set.elements.split_at(set.elements.len().min(PRINTED_ELEMENTS));
    let shown = shown.iter().map(|element| format!("{element}{timeout}")).collect::<Vec<_>>().join(", ");
    let rest = if rest.is_empty() { String::new() } else { format!(", ... # and {} more", rest.len()) };
    let later = if set.timed && timeout.is_empty() { "# at the start: " } else { "" };
    if set.elements.is_empty() { Ok(()) } else { writeln!(f, "    {later}elements = {{ {shown}{rest} }}") }?;
    writeln!(f, "  }}")
}
