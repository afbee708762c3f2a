//! Ports, one or a range of them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// One port or a range, first and last included: `80`, `6000-6010`. In JSON a number, or a text with a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ports {
    first: u16,
    last: u16,
}

/// Why a text is not [`Ports`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither a port nor a range of ports: a port is 1 to 65535, a range is 6000-6010")]
pub struct PortsError(pub String);

impl Ports {
    /// Every port, and every packet of a protocol that has none.
    pub const ALL: Self = Self { first: 0, last: u16::MAX };

    /// # Errors
    /// For port 0 and for a range that ends before it begins.
    pub fn new(first: u16, last: u16) -> Result<Self, PortsError> {
        if first == 0 || last < first {
            return Err(PortsError(format!("{first}-{last}")));
        }
        Ok(Self { first, last })
    }

    /// # Errors
    /// For port 0.
    pub fn one(port: u16) -> Result<Self, PortsError> {
        Self::new(port, port).map_err(|_| PortsError(port.to_string()))
    }

    /// The lowest.
    #[must_use]
    pub fn first(self) -> u16 {
        self.first
    }

    /// The highest.
    #[must_use]
    pub fn last(self) -> u16 {
        self.last
    }

    /// The port, where it is only one.
    #[must_use]
    pub fn single(self) -> Option<u16> {
        (self.first == self.last).then_some(self.first)
    }
}

impl fmt::Display for Ports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.single() {
            Some(port) => port.fmt(f),
            None => write!(f, "{}-{}", self.first, self.last),
        }
    }
}

impl FromStr for Ports {
    type Err = PortsError;

    fn from_str(text: &str) -> Result<Self, PortsError> {
        let wrong = || PortsError(text.to_owned());
        let port = |digits: &str| match digits.parse::<u16>() {
            Ok(port) if digits.bytes().all(|b| b.is_ascii_digit()) => Ok(port),
            Ok(_) | Err(_) => Err(wrong()),
        };
        let (first, last) = text.split_once('-').unwrap_or((text, text));
        Self::new(port(first)?, port(last)?).map_err(|_| wrong())
    }
}

impl utoipa::PartialSchema for Ports {
    fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::Schema> {
        use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Type};
        let port = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).maximum(Some(65535));
        let range = ObjectBuilder::new().schema_type(Type::String).pattern(Some("^[0-9]+(-[0-9]+)?$"));
        OneOfBuilder::new().item(port).item(range).into()
    }
}

impl utoipa::ToSchema for Ports {}

impl Serialize for Ports {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.single() {
            Some(port) => serializer.serialize_u16(port),
            None => serializer.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for Ports {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Ports;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a port (1 to 65535) or a range such as \"6000-6010\"")
            }

            fn visit_u64<E: de::Error>(self, port: u64) -> Result<Ports, E> {
                let wrong = || E::custom(PortsError(port.to_string()));
                Ports::one(u16::try_from(port).map_err(|_| wrong())?).map_err(|_| wrong())
            }

            // Integers of TOML have a sign.
            fn visit_i64<E: de::Error>(self, port: i64) -> Result<Ports, E> {
                self.visit_u64(u64::try_from(port).map_err(|_| E::custom(PortsError(port.to_string())))?)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Ports, E> {
                text.parse().map_err(E::custom)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_read_and_printed() {
        for text in ["1", "80", "6000-6010", "1-65535"] {
            assert_eq!(text.parse::<Ports>().unwrap().to_string(), text);
        }
        assert_eq!("80-80".parse::<Ports>().unwrap().to_string(), "80");
        assert_eq!(serde_json::to_string(&"80".parse::<Ports>().unwrap()).unwrap(), "80");
        assert_eq!(serde_json::from_str::<Ports>("\"5-6\"").unwrap().last(), 6);
        for text in ["", "0", "65536", "+80", "http", "80-", "-80", "81-80", "0-5", "1-2-3"] {
            assert!(text.parse::<Ports>().is_err(), "{text}");
        }
        for json in ["0", "65536", "-1", "1.5", "null", "[1]"] {
            assert!(serde_json::from_str::<Ports>(json).is_err(), "{json}");
        }
    }
}
