//! What an agent answers.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{FaultId, FaultSpec, Role, Span};

/// A fault as it stands. Times are RFC 3339; the deadline itself is kept by the kernel and on the boot clock, so a
/// step of the wall clock moves what is printed here and not when the fault ends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct FaultStatus {
    /// Its name.
    pub id: FaultId,
    /// Where it is in its life.
    pub state: State,
    /// As asked.
    pub spec: FaultSpec,
    /// The same in words, as `status` prints it.
    #[serde(default)]
    #[schema(required)]
    pub fault: String,
    /// What the names and networks came to: how many address ranges, and the first of them.
    pub addresses: usize,
    /// At most 16 of them, as `10.0.0.5` or `10.0.0.5:6379`.
    pub first_addresses: Vec<String>,
    /// The network namespaces that it acts in.
    pub places: Vec<PlaceStatus>,
    /// What shapes its packets, where something does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub engine: Option<crate::Engine>,
    /// Newer faults that shape the same packets first: those never reach this one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shadowed_by: Vec<FaultId>,
    /// What it leaves alone, come what may: the agent's own port, ssh, the caller.
    pub protects: Vec<String>,
    /// Who asked, as the agent saw it.
    pub by: String,
    /// When it came into force.
    #[schema(format = DateTime)]
    pub injected_at: String,
    /// The same for programs: nanoseconds of the agent's `CLOCK_BOOTTIME` at which its targets were in the kernel; absent
    /// until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub started_boot_ns: Option<u64>,
    /// When the kernel ends it.
    #[schema(format = DateTime)]
    pub ends_at: String,
    /// Milliseconds until then.
    pub remaining_ms: u64,
    /// The milliseconds until the kernel ends it if nobody renews its lease, never more than `remaining_ms`; absent without
    /// a lease, and where none runs: while the fault is prepared, and when it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub lease_remaining_ms: Option<u64>,
    /// What reading the kernel back said.
    pub verdict: Verdict,
    /// Of a fault that is restored: whether the host is as it was before, and if not, what has changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub as_before: Option<Verdict>,
    /// Packets that it has hit.
    pub hits: Hits,
    /// The plan in nft and tc syntax: in the answer to a dry run, and to a question about one fault.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub plan: Option<String>,
}

/// One network namespace that a fault acts in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct PlaceStatus {
    /// `host`, or the container or namespace.
    pub name: String,
    /// The interfaces there.
    pub interfaces: Vec<String>,
}

/// A fault's life: `prepared` until it is committed, `waiting` for its start, `active`, `restoring`, then it is history. `stuck` when the kernel refuses to
/// undo it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Planned, not in the kernel.
    Pending,
    /// In the kernel, and not felt yet: it waits to be committed, and expires if it is not.
    Prepared,
    /// In the kernel, and not felt yet: it has a start.
    Waiting,
    /// In force. One that flaps is active in its pauses, too.
    Active,
    /// No longer hits packets; those already delayed are on their way.
    Restoring,
    /// Gone without a trace.
    Restored,
    /// Ended, but something of it could not be removed; the agent keeps trying.
    Stuck,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Pending => "pending",
            Self::Prepared => "prepared",
            Self::Waiting => "waiting",
            Self::Active => "active",
            Self::Restoring => "restoring",
            Self::Restored => "restored",
            Self::Stuck => "stuck",
        })
    }
}

/// What the kernel said when it was read back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Verdict {
    /// Everything planned is there.
    Confirmed,
    /// Something planned is missing or different.
    Mismatch {
        /// What.
        found: String,
    },
    /// The kernel could not be read.
    Inconclusive {
        /// Why.
        why: String,
    },
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Confirmed => f.write_str("confirmed"),
            Self::Mismatch { found } => write!(f, "mismatch: {found}"),
            Self::Inconclusive { why } => write!(f, "inconclusive: {why}"),
        }
    }
}

/// What a fault has hit.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Hits {
    /// Packets lost on purpose.
    #[schema(required)]
    pub lost_packets: u64,
    /// Their bytes: with the Ethernet header where they go out, without it where they come in.
    #[schema(required)]
    pub lost_bytes: u64,
    /// Packets that went through netem or the emulator.
    #[schema(required)]
    pub shaped_packets: u64,
    /// Their bytes.
    #[schema(required)]
    pub shaped_bytes: u64,
    /// Packets refused.
    #[schema(required)]
    pub rejected_packets: u64,
    /// Their bytes.
    #[schema(required)]
    pub rejected_bytes: u64,
    /// Connections reset at the start.
    #[schema(required)]
    pub reset_connections: u64,
    /// Questions for failing names.
    #[schema(required)]
    pub failed_questions: u64,
    /// Packets lost in the queue: those that a shaping loss took, and those of `overflow_drops`.
    #[schema(required)]
    pub queue_drops: u64,
    /// Of `queue_drops`, those that nobody asked for: there was no room for them, or their device was down. netem does not
    /// tell them from those that a shaping loss took, so with one of those there is none of these.
    #[schema(required)]
    pub overflow_drops: u64,
}

impl Hits {
    fn zip(self, other: Self, both: impl Fn(u64, u64) -> u64) -> Self {
        Self {
            lost_packets: both(self.lost_packets, other.lost_packets),
            lost_bytes: both(self.lost_bytes, other.lost_bytes),
            shaped_packets: both(self.shaped_packets, other.shaped_packets),
            shaped_bytes: both(self.shaped_bytes, other.shaped_bytes),
            rejected_packets: both(self.rejected_packets, other.rejected_packets),
            rejected_bytes: both(self.rejected_bytes, other.rejected_bytes),
            reset_connections: both(self.reset_connections, other.reset_connections),
            failed_questions: both(self.failed_questions, other.failed_questions),
            queue_drops: both(self.queue_drops, other.queue_drops),
            overflow_drops: both(self.overflow_drops, other.overflow_drops),
        }
    }

    /// What is counted here and not there.
    #[must_use]
    pub fn less(self, other: Self) -> Self {
        self.zip(other, u64::saturating_sub)
    }

    /// The higher of each: of two readings of counters that only grow.
    #[must_use]
    pub fn max_of(self, other: Self) -> Self {
        self.zip(other, u64::max)
    }
}

impl std::ops::AddAssign for Hits {
    fn add_assign(&mut self, more: Self) {
        *self = self.zip(more, u64::saturating_add);
    }
}

/// The alternate form, `{:#}`, has the bytes, too.
impl fmt::Display for Hits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = [
            (self.lost_packets, "lost", Some(self.lost_bytes)),
            (self.shaped_packets, "shaped", Some(self.shaped_bytes)),
            (self.rejected_packets, "rejected", Some(self.rejected_bytes)),
            (self.reset_connections, "connections reset", None),
            (self.failed_questions, "questions failed", None),
            (self.queue_drops.saturating_sub(self.overflow_drops), "lost in the queue", None),
            (self.overflow_drops, "dropped for want of room", None),
        ];
        let some = counts.into_iter().filter(|(count, ..)| *count > 0);
        let text = |(count, what, bytes): (u64, &str, Option<u64>)| match bytes {
            Some(bytes) if f.alternate() => format!("{count} {what} ({bytes} bytes)"),
            Some(_) | None => format!("{count} {what}"),
        };
        let some = some.map(text).collect::<Vec<_>>();
        if some.is_empty() { f.pad("none") } else { f.pad(&some.join(", ")) }
    }
}

/// `PATCH /v1/faults/{id}`: the fault now ends this long from now, sooner or later than before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// Counted from now.
    #[serde(rename = "for")]
    pub duration: Span,
}

/// `POST /v1/faults/{id}/commit`: a prepared fault starts at this instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Commit {
    /// Nanoseconds of the agent's own `CLOCK_BOOTTIME`, as `/v1/clock` tells it; still to come.
    #[schema(format = "uint64", maximum = 18446744073709551615_u64)]
    pub at_boot_ns: u64,
    /// Whose the fault is from now on, where that is somebody else than who prepared it: a number that nobody else has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = "uint64", maximum = 18446744073709551615_u64)]
    pub attempt: Option<u64>,
}

/// A fault that is over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct History {
    /// Its name.
    pub id: FaultId,
    /// As asked.
    pub spec: FaultSpec,
    /// The same in words, as `history` prints it.
    #[serde(default)]
    #[schema(required)]
    pub fault: String,
    /// Who asked.
    pub by: String,
    /// RFC 3339.
    #[schema(format = DateTime)]
    pub injected_at: String,
    /// RFC 3339.
    #[schema(format = DateTime)]
    pub ended_at: String,
    /// Nanoseconds of the agent's `CLOCK_BOOTTIME` at which it was out of force; absent where nobody saw that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub ended_boot_ns: Option<u64>,
    /// What ended it.
    pub end: End,
    /// What it hit; all zero where nobody knows, which is when its agent died.
    pub hits: Hits,
    /// Whether the host was afterwards as it was before, and if not, what had changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub as_before: Option<Verdict>,
}

/// What ended a fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", tag = "by")]
pub enum End {
    /// Its time was up; the kernel ended it.
    Deadline,
    /// Nobody renewed its lease in time; the kernel ended it.
    LeaseLost,
    /// Somebody restored it.
    Restored {
        /// Who.
        who: String,
    },
    /// The agent was stopped and restored everything.
    Shutdown,
    /// The agent died; the kernel ended the fault at that moment, a later agent noticed.
    AgentDied,
    /// What it acted on is gone: the container, the namespace, the control group.
    Vanished {
        /// What.
        what: String,
    },
    /// It was prepared, and nobody committed it in time: it never came into force.
    Expired,
    /// It was committed to an instant at which the agent did not run: it never came into force, since a host that starts
    /// late does not start with the others.
    Missed,
    /// It never came into force.
    Failed {
        /// Which step, and the kernel's words.
        why: String,
    },
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deadline => f.write_str("deadline"),
            Self::LeaseLost => f.write_str("lease lost"),
            Self::Restored { who } => write!(f, "restored by {who}"),
            Self::Shutdown => f.write_str("agent stopped"),
            Self::AgentDied => f.write_str("agent died"),
            Self::Vanished { what } => write!(f, "{what} is gone"),
            Self::Expired => f.write_str("never committed"),
            Self::Missed => f.write_str("missed its start"),
            Self::Failed { why } => write!(f, "failed: {why}"),
        }
    }
}

/// `GET /v1/info`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Info {
    /// Of the agent.
    pub version: String,
    /// What the host calls itself.
    #[serde(default)]
    #[schema(required)]
    pub host: String,
    /// Of the kernel.
    pub kernel: String,
    /// Process id of the agent.
    pub pid: u32,
    /// Faults that are not history.
    pub faults: usize,
    /// Hosts of the fleet that it shows at `/v1/fleet`; 0 where it shows none.
    #[serde(default)]
    pub fleet: usize,
    /// Its clocks, at one instant.
    pub clock: Clock,
    /// What this kernel and these privileges allow.
    pub features: Vec<Feature>,
    /// Which faults that makes, where, and by what.
    pub coverage: Vec<Coverage>,
}

/// `GET /v1/whoami`: whoever asks, as the agent knows them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Whoami {
    /// As it is written down of what they inject.
    pub by: String,
    /// What they may do.
    pub role: Role,
}

/// One kind of fault, in one kind of scope, by one engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Coverage {
    /// Of fault.
    pub kind: String,
    /// Where.
    pub scope: String,
    /// By what.
    pub engine: String,
    /// Why it cannot be had; absent where it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub why_not: Option<String>,
}

/// The agent's clocks, read together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Clock {
    /// `CLOCK_BOOTTIME` in nanoseconds: deadlines are kept on this one.
    pub boot_ns: u64,
    /// The wall clock, RFC 3339.
    #[schema(format = DateTime)]
    pub wall: String,
}

/// One thing that the kernel can or cannot do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Feature {
    /// Which.
    pub name: String,
    /// What it is for.
    pub needed_for: String,
    /// What was found.
    pub check: Check,
}

/// The outcome of trying a [`Feature`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum Check {
    /// It works.
    Works,
    /// It does not.
    Missing {
        /// The kernel's words.
        why: String,
        /// What to do about it.
        fix: String,
    },
}

/// `POST /v1/probe`: can this host open a TCP connection there?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProbeRequest {
    /// Host and port.
    pub to: crate::Peer,
    /// How long to try; 1s without it, 30s at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
}

/// The answer to a probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ProbeReply {
    /// The address that was tried.
    pub address: String,
    /// Whether the connection was opened.
    pub connected: bool,
    /// How long that took, or how long it was tried, in microseconds.
    pub micros: u64,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub error: Option<String>,
}

/// One line of `GET /v1/events`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// RFC 3339.
    #[schema(format = DateTime)]
    pub at: String,
    /// Of which fault.
    pub id: FaultId,
    /// What happened.
    pub kind: EventKind,
    /// In words.
    pub text: String,
}

/// What can happen to a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// It is built, and waits to be committed.
    Prepared,
    /// A prepared one has a start now.
    Committed,
    /// It is in force.
    Injected,
    /// Its start has come, or a flap switched it on again.
    Started,
    /// Its deadline moved.
    Changed,
    /// Something that it acts on changed, and it went along: addresses of a name, routes, interfaces, containers.
    Followed,
    /// An interface of it came back, and it was put in force there again.
    Reattached,
    /// It no longer hits packets.
    Ended,
    /// Nothing of it is left.
    Restored,
    /// A step was refused.
    Failed,
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Prepared => "prepared",
            Self::Committed => "committed",
            Self::Injected => "injected",
            Self::Started => "started",
            Self::Changed => "changed",
            Self::Followed => "followed",
            Self::Reattached => "reattached",
            Self::Ended => "ended",
            Self::Restored => "restored",
            Self::Failed => "failed",
        })
    }
}

/// A live TCP connection that a fault leaves alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Connection {
    /// The far end.
    pub peer: std::net::SocketAddr,
    /// The port at this end.
    pub local_port: u16,
}

impl Connection {
    /// Reads the four words of `SSH_CONNECTION`: client address, client port, server address, server port.
    #[must_use]
    pub fn from_ssh(words: &str) -> Option<Self> {
        let words = words.split_ascii_whitespace().collect::<Vec<_>>();
        let [client, client_port, _server, server_port] = words.as_slice() else { return None };
        // A link-local client comes with the zone that it is seen in, as `fe80::7%eth0`.
        let (address, _zone) = client.split_once('%').unwrap_or((client, ""));
        let address = address.parse::<std::net::IpAddr>().ok()?.to_canonical();
        Some(Self {
            peer: std::net::SocketAddr::new(address, client_port.parse().ok()?),
            local_port: server_port.parse().ok()?,
        })
    }
}

impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to local port {}", self.peer, self.local_port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ssh_connection_is_read_in_sshds_order() {
        let connection = Connection::from_ssh("192.0.2.7 51234 192.0.2.1 2222").unwrap();
        assert_eq!(connection.to_string(), "192.0.2.7:51234 to local port 2222");
        assert_eq!(
            Connection::from_ssh("::ffff:192.0.2.7 1 ::1 22").unwrap().peer.ip().to_string(),
            "192.0.2.7"
        );
        assert_eq!(
            Connection::from_ssh("fe80::7%eth0 1 fe80::1%eth0 22").unwrap().peer.ip().to_string(),
            "fe80::7"
        );
        for words in [
            "",
            "a b c d",
            "UNKNOWN 65535 UNKNOWN 65535",
            "192.0.2.7 1 192.0.2.1",
            "192.0.2.7 99999 192.0.2.1 22",
        ] {
            assert_eq!(Connection::from_ssh(words), None, "{words}");
        }
    }
}
