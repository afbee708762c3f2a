//! Who reaches whom: what one host of a fleet finds out about the others and about services, and what its own faults say about it.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Schema, SchemaFormat, Type};

use crate::{FaultId, Span};

/// `POST /v1/reach`: try all of these at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReachRequest {
    /// The same for all hosts that are asked together: it tells their datagrams from those of others. At most 2^53 - 1, which
    /// every reader of JSON keeps exactly.
    #[schema(maximum = 9007199254740991_u64)]
    pub round: u64,
    /// The number of this host in the round.
    #[schema(maximum = 4294967295_u32)]
    pub from: u32,
    /// Datagrams to each other agent, 1 to 100.
    #[serde(default = "ReachRequest::default_count")]
    #[schema(minimum = 1, maximum = 100)]
    pub count: u16,
    /// From one datagram to the next to the same agent; 1s at most.
    #[serde(default = "ReachRequest::default_every")]
    pub every: Span,
    /// How long to wait for a connection, for the answer to a datagram, and once more for that to a `GET`; 10s at most.
    #[serde(default = "ReachRequest::default_timeout")]
    pub timeout: Span,
    /// At most 4096.
    #[schema(max_items = 4096)]
    pub targets: Vec<ReachTarget>,
}

/// One other end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReachTarget {
    /// Its number in the round.
    #[schema(maximum = 4294967295_u32)]
    pub to: u32,
    /// Its address.
    #[schema(schema_with = address)]
    pub address: IpAddr,
    /// The port that other agents answer probes on, or that of the service.
    #[schema(minimum = 1, maximum = 65535)]
    pub port: u16,
    /// What to try.
    pub how: How,
}

/// How a [`ReachTarget`] is tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum How {
    /// Another agent: datagrams and a TCP connection.
    Host,
    /// A service: a TCP connection.
    Tcp,
    /// A service: `GET` of a path.
    Http {
        /// With its query.
        #[schema(max_length = 2048, pattern = "^/[!-~]*$")]
        path: String,
    },
}

/// Why a well-formed [`ReachRequest`] is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReachError {
    /// More than other readers of JSON can keep.
    #[error("the round {0} is too large: at most {most}", most = ReachRequest::LAST_ROUND)]
    Round(u64),
    /// More than one request may ask for.
    #[error("{0} targets are too many: at most {most}; ask in several requests", most = ReachRequest::MOST_TARGETS)]
    Targets(usize),
    /// None, or too many.
    #[error("{0} datagrams to each agent: write 1 to {most}", most = ReachRequest::MOST_DATAGRAMS)]
    Count(u16),
    /// Too slow.
    #[error("{0} from one datagram to the next is too long: at most 1s")]
    Every(Span),
    /// Too patient.
    #[error("a timeout of {0} is too long: at most 10s")]
    Timeout(Span),
    /// Nothing listens there.
    #[error("the target {0} has port 0, which nobody listens on")]
    Port(u32),
    /// Answers could not be told apart.
    #[error("{0} at {1} is among the targets twice")]
    Twice(u32, SocketAddr),
    /// Not of an HTTP request.
    #[error("`{0}` is no path: it begins with a slash, and has at most 2048 visible ASCII characters")]
    Path(String),
}

impl ReachRequest {
    /// The highest round.
    pub const LAST_ROUND: u64 = (1 << 53) - 1;
    /// The most targets.
    pub const MOST_TARGETS: usize = 4_096;
    /// The most datagrams to each.
    pub const MOST_DATAGRAMS: u16 = 100;

    /// Datagrams to each other agent, when nobody says.
    #[must_use]
    pub const fn default_count() -> u16 {
        5
    }

    /// From one datagram to the next, when nobody says.
    #[must_use]
    pub const fn default_every() -> Span {
        Span::from_millis(20)
    }

    /// How long to wait, when nobody says.
    #[must_use]
    pub const fn default_timeout() -> Span {
        Span::from_secs(1)
    }

    /// # Errors
    /// The first thing that makes no sense, or is too much.
    pub fn validate(&self) -> Result<(), ReachError> {
        if self.round > Self::LAST_ROUND {
            return Err(ReachError::Round(self.round));
        }
        if self.targets.len() > Self::MOST_TARGETS {
            return Err(ReachError::Targets(self.targets.len()));
        }
        if !(1..=Self::MOST_DATAGRAMS).contains(&self.count) {
            return Err(ReachError::Count(self.count));
        }
        if self.every > Span::from_secs(1) {
            return Err(ReachError::Every(self.every));
        }
        if self.timeout > Span::from_secs(10) {
            return Err(ReachError::Timeout(self.timeout));
        }
        let mut seen = BTreeSet::new();
        for target in &self.targets {
            target.validate()?;
            if !seen.insert((target.to, target.socket())) {
                return Err(ReachError::Twice(target.to, target.socket()));
            }
        }
        Ok(())
    }
}

impl ReachTarget {
    /// Address and port. An IPv4 address in IPv6's clothes travels as IPv4.
    #[must_use]
    pub fn socket(&self) -> SocketAddr {
        SocketAddr::new(self.address.to_canonical(), self.port)
    }

    fn validate(&self) -> Result<(), ReachError> {
        if self.port == 0 {
            return Err(ReachError::Port(self.to));
        }
        match &self.how {
            How::Http { path } if !is_path(path) => Err(ReachError::Path(path.clone())),
            How::Host | How::Tcp | How::Http { .. } => Ok(()),
        }
    }
}

/// IPv4 or IPv6.
fn address() -> RefOr<Schema> {
    let of = |family: &str| {
        ObjectBuilder::new().schema_type(Type::String).format(Some(SchemaFormat::Custom(family.to_owned())))
    };
    let either = OneOfBuilder::new().item(of("ipv4")).item(of("ipv6"));
    either.description(Some("Its address.")).examples(["10.0.0.12"]).into()
}

fn is_path(path: &str) -> bool {
    path.starts_with('/') && path.len() <= 2048 && path.bytes().all(|byte| byte.is_ascii_graphic())
}

/// What came of one [`ReachTarget`]. They are in the order of the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Reach {
    /// Its number in the round.
    pub to: u32,
    /// Datagrams that were sent. Those that were lost on this very host by a fault count: their sender cannot tell.
    pub sent: u16,
    /// How many of them were answered in time.
    pub answered: u16,
    /// How long that took; of a service that is only connected to, how long that took to open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub rtt_micros: Option<RoundTrips>,
    /// Whether a TCP connection was opened; absent where that could not be tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub connected: Option<bool>,
    /// The status that a `GET` was answered with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub status: Option<u16>,
    /// The first thing that went wrong, datagrams without an answer aside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub error: Option<String>,
    /// This host's own faults that have a say in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<Meets>,
}

/// There and back, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RoundTrips {
    /// The shortest.
    pub min: u64,
    /// The one in the middle.
    pub median: u64,
}

/// What one fault does to packets between its host and one other end: those of the probe, datagrams and TCP alike.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Meets {
    /// The fault.
    pub id: FaultId,
    /// To what this host sends.
    pub egress: Effect,
    /// To what comes back.
    pub ingress: Effect,
}

/// How much of it gets through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// All, unharmed.
    #[default]
    None,
    /// Some, late, or it cannot be said of a single packet.
    Impaired,
    /// Nothing.
    Cut,
}

/// One entry of `GET /v1/heard`: what this host has received from another one in a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Heard {
    /// The number of the sender.
    pub from: u32,
    /// How many different datagrams.
    pub datagrams: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(more: &str) -> Result<ReachRequest, String> {
        let json = format!(r#"{{"round":1,"from":2{more}}}"#);
        let request = serde_json::from_str::<ReachRequest>(&json).map_err(|error| error.to_string())?;
        request.validate().map_err(|error| error.to_string())?;
        Ok(request)
    }

    fn target(more: &str) -> String {
        format!(r#","targets":[{{"to":3,"address":"10.0.0.3",{more}}}]"#)
    }

    #[test]
    fn the_smallest_request_has_every_default() {
        let request = request(&target(r#""port":7434,"how":"host""#)).unwrap();
        assert_eq!((request.count, request.every.to_string()), (5, "20ms".to_owned()));
        assert_eq!(request.timeout.to_string(), "1s");
        let again = serde_json::to_string(&request).unwrap();
        assert_eq!(serde_json::from_str::<ReachRequest>(&again).unwrap(), request);
    }

    #[test]
    fn one_number_may_have_several_addresses_but_each_once() {
        let two = |second: &str| {
            let one = |address: &str| format!(r#"{{"to":3,"address":"{address}","port":1,"how":"host"}}"#);
            request(&format!(r#","targets":[{},{}]"#, one("10.0.0.3"), one(second)))
        };
        assert!(two("fd00::3").is_ok());
        for same in ["10.0.0.3", "::ffff:10.0.0.3"] {
            assert_eq!(two(same).unwrap_err(), "3 at 10.0.0.3:1 is among the targets twice");
        }
    }

    #[test]
    fn what_makes_no_sense_or_is_too_much_is_refused_with_its_reason() {
        let many = (0..=4096).map(|n| format!(r#"{{"to":{n},"address":"10.0.0.3","port":1,"how":"tcp"}}"#));
        let many = format!(r#","targets":[{}]"#, many.collect::<Vec<_>>().join(","));
        let long = target(&format!(r#""port":1,"how":{{"http":{{"path":"/{}"}}}}"#, "a".repeat(2048)));
        for (more, reason) in [
            (r#","round":1,"targets":[]"#.to_owned(), "duplicate field"),
            (r#","targets":[],"every":"2s""#.to_owned(), "at most 1s"),
            (r#","targets":[],"timeout":"11s""#.to_owned(), "at most 10s"),
            (r#","targets":[],"count":0"#.to_owned(), "1 to 100"),
            (r#","targets":[],"count":101"#.to_owned(), "1 to 100"),
            (r#","targets":[],"patience":"1s""#.to_owned(), "unknown field"),
            (target(r#""port":0,"how":"tcp""#), "port 0"),
            (target(r#""port":1,"how":"icmp""#), "unknown variant"),
            (target(r#""port":1,"how":{"http":{"path":"healthz"}}"#), "is no path"),
            (target(r#""port":1,"how":{"http":{"path":"/a b"}}"#), "is no path"),
            (target(r#""port":1,"how":{"http":{"path":"/\r\nhost: x"}}"#), "is no path"),
            (long, "is no path"),
            (many, "4097 targets are too many: at most 4096"),
        ] {
            let error = request(&more).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
        let late = ReachRequest { round: 1 << 53, ..request(r#","targets":[]"#).unwrap() };
        assert_eq!(late.validate(), Err(ReachError::Round(1 << 53)));
    }

    #[test]
    fn effects_are_in_order() {
        assert!(Effect::None < Effect::Impaired && Effect::Impaired < Effect::Cut);
        assert_eq!(serde_json::to_string(&Effect::Cut).unwrap(), "\"cut\"");
    }
}
