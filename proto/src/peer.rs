//! The other end of a cut: `redis`, `redis:6379`, `10.0.0.5`, `10.0.0.0/24:5432`, `[fd00::1]:80-90`, `compose:shop/redis`.

use std::fmt;
use std::str::FromStr;

use ipnetwork::IpNetwork;

use crate::Ports;
use crate::text::{serde_as_text, steers};

/// A host or network, with optional ports.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Peer {
    /// Who.
    pub host: Host,
    /// The peer's own ports; without any, all of the peer's traffic.
    pub port: Option<Ports>,
}

/// Addresses, or a name that stands for some.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Host {
    /// One address (a /32 or /128) or a network, host bits cleared.
    Net(IpNetwork),
    /// A name of the agent's configuration, or a host name.
    Name(String),
    /// The containers of a compose service, as `project/service`.
    Compose(String),
}

/// Why a text is not a [`Peer`].
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum PeerError {
    /// Nothing was written.
    #[error("an empty peer: name an address, a network (10.0.0.0/24) or a host")]
    Empty,
    /// What follows the colon is no port.
    #[error(
        "`{0}` ends in no port: a port is 1 to 65535, a range 6000-6010 (an IPv6 address with a port is written [fd00::1]:80)"
    )]
    Port(String),
    /// Neither an address, a network nor a host name.
    #[error("`{0}` is neither an address, a network (10.0.0.0/24), a host name nor compose:project/service")]
    Host(String),
}

impl Peer {
    fn host(text: &str, whole: &str) -> Result<Host, PeerError> {
        // An IPv4 address in IPv6's clothes travels as IPv4.
        if let Ok(address) = text.parse::<std::net::IpAddr>() {
            return Ok(Host::Net(IpNetwork::from(address.to_canonical())));
        }
        if let Ok(net) = text.parse::<IpNetwork>() {
            // `new` cannot refuse a network address with the prefix it came with.
            let cleared = IpNetwork::new(net.network(), net.prefix()).unwrap_or(net);
            return Ok(Host::Net(cleared));
        }
        // RFC 1123 names, plus the underscore that compose and service names use.
        let label = |label: &str| {
            !label.is_empty()
                && label.len() <= 63
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
        };
        let name = text.strip_suffix('.').unwrap_or(text);
        // All digits and dots is a mistyped address, not a name to ask the resolver for.
        let numeric = name.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        if name.len() > 253 || numeric || !name.split('.').all(label) {
            return Err(PeerError::Host(whole.to_owned()));
        }
        Ok(Host::Name(name.to_ascii_lowercase()))
    }
}

impl FromStr for Peer {
    type Err = PeerError;

    fn from_str(text: &str) -> Result<Self, PeerError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(PeerError::Empty);
        }
        let port = |digits: &str| digits.parse().map(Some).map_err(|_| PeerError::Port(text.to_owned()));
        if let Some(service) = text.strip_prefix("compose:") {
            let (service, port) = match service.split_once(':') {
                Some((service, digits)) => (service, port(digits)?),
                None => (service, None),
            };
            return match service.split_once('/') {
                Some((project, name))
                    if !project.is_empty()
                        && !name.is_empty()
                        && !name.contains('/')
                        && !service.chars().any(steers) =>
                {
                    Ok(Self { host: Host::Compose(service.to_owned()), port })
                }
                Some(_) | None => Err(PeerError::Host(text.to_owned())),
            };
        }
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => match rest.split_once(']') {
                Some((host, "")) => (host, None),
                Some((host, rest)) => (host, port(rest.strip_prefix(':').unwrap_or("none"))?),
                None => return Err(PeerError::Host(text.to_owned())),
            },
            // Two colons or more: an IPv6 address without a port.
            None => match text.split_once(':') {
                Some((host, digits)) if !digits.contains(':') => (host, port(digits)?),
                Some(_) | None => (text, None),
            },
        };
        Ok(Self { host: Self::host(host, text)?, port })
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Compose(service) => write!(f, "compose:{service}"),
            Self::Net(IpNetwork::V4(net)) if net.prefix() == 32 => net.ip().fmt(f),
            Self::Net(IpNetwork::V6(net)) if net.prefix() == 128 => net.ip().fmt(f),
            Self::Net(net) => net.fmt(f),
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.host, self.port) {
            (host, None) => host.fmt(f),
            (Host::Net(IpNetwork::V6(_)), Some(port)) => write!(f, "[{}]:{port}", self.host),
            (host, Some(port)) => write!(f, "{host}:{port}"),
        }
    }
}

serde_as_text!(Peer);

impl utoipa::PartialSchema for Peer {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        use utoipa::openapi::schema::{ObjectBuilder, Type};
        let host =
            "compose:[^/:]+/[^/:]+|\\[[0-9A-Za-z._:/-]+\\]|[0-9A-Za-z._/-]+|[0-9A-Fa-f:.]+(/[0-9A-Fa-f:]+)?";
        let text = ObjectBuilder::new().schema_type(Type::String).description(Some(
            "A host or network, with optional ports; without any, all of its traffic. Names are those of the agent's \
             configuration, and those of DNS.",
        ));
        text.pattern(Some(format!("^\\s*({host})(:[0-9]+(-[0-9]+)?)?\\s*$")))
            .examples(["redis", "10.0.0.5:6379", "10.0.0.0/24", "[fd00::1]:80", "compose:shop/redis"])
            .into()
    }
}

impl utoipa::ToSchema for Peer {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_form_round_trips() {
        for text in [
            "redis",
            "redis:6379",
            "my_service.internal:80",
            "10.0.0.5",
            "10.0.0.5:6379",
            "10.0.0.0/24",
            "10.0.0.0/24:5432",
            "fd00::1",
            "fd00::/64",
            "[fd00::1]:80",
            "[fd00::/64]:80",
            "[fd00::/64]:80-90",
            "redis:6379-6390",
            "compose:shop/redis",
            "compose:shop/redis:6379",
            "0.0.0.0/0",
        ] {
            assert_eq!(text.parse::<Peer>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn host_bits_are_cleared_and_names_folded() {
        assert_eq!("10.0.0.77/24".parse::<Peer>().unwrap().to_string(), "10.0.0.0/24");
        assert_eq!("[::ffff:10.0.0.5]:80".parse::<Peer>().unwrap().to_string(), "10.0.0.5:80");
        assert_eq!("[fd00::1]".parse::<Peer>().unwrap().to_string(), "fd00::1");
        assert_eq!("Redis.Example.COM.".parse::<Peer>().unwrap().to_string(), "redis.example.com");
    }

    #[test]
    fn nonsense_is_refused() {
        for text in
            ["", " ", "10.0.0.0/33", "10.0.0.300", "10.0.0", "a b", "a..b", "[fd00::1", "*", "redis/24"]
        {
            assert!(text.parse::<Peer>().is_err(), "{text}");
        }
        for text in ["compose:", "compose:shop", "compose:/redis", "compose:a/b/c"] {
            assert_eq!(text.parse::<Peer>(), Err(PeerError::Host(text.to_owned())));
        }
        for text in
            ["redis:", "redis:0", "redis:65536", "redis:+80", "redis:http", "[fd00::1]80", "[fd00::1]:"]
        {
            assert_eq!(text.parse::<Peer>(), Err(PeerError::Port(text.to_owned())));
        }
    }

    proptest! {
        #[test]
        fn no_text_panics_and_what_is_read_reads_back(text in "\\PC*") {
            if let Ok(peer) = text.parse::<Peer>() {
                prop_assert_eq!(peer.to_string().parse::<Peer>().unwrap(), peer);
            }
        }
    }
}
