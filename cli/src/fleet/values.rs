//! Values of a fleet file that are written in a way of their own. A value is parsed where it is read, so that its error has
//! its line.

use std::fmt::{self, Display};
use std::marker::PhantomData;
use std::net::IpAddr;
use std::str::FromStr;

use serde::de::value::{I64Deserializer, SeqAccessDeserializer, StrDeserializer};
use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use utoipa::openapi::schema::{ArrayBuilder, ObjectBuilder, OneOfBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema, openapi::RefOr};

use super::sources::{AgentOf, agent_url};

/// What is written as text.
#[derive(Debug, Clone, PartialEq)]
pub struct Text<T>(pub T);

impl<'de, T: FromStr<Err: Display>> Deserialize<'de> for Text<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader<T>(PhantomData<T>);
        impl<T: FromStr<Err: Display>> Visitor<'_> for Reader<T> {
            type Value = Text<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Text<T>, E> {
                text.parse().map(Text).map_err(E::custom)
            }
        }
        deserializer.deserialize_str(Reader(PhantomData))
    }
}

impl<T> PartialSchema for Text<T> {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new().schema_type(Type::String).into()
    }
}

impl<T> ToSchema for Text<T> {}

/// One, or a list of them.
pub struct Several<T>(pub Vec<T>);

impl<T> Default for Several<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Several<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Reader<T> {
            type Value = Several<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("one value or a list of them")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Several<T>, E> {
                T::deserialize(StrDeserializer::new(text)).map(|one| Several(vec![one]))
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Several<T>, E> {
                T::deserialize(I64Deserializer::new(number)).map(|one| Several(vec![one]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Several<T>, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(list)).map(Several)
            }
        }
        deserializer.deserialize_any(Reader(PhantomData))
    }
}

impl<T: PartialSchema> PartialSchema for Several<T> {
    fn schema() -> RefOr<Schema> {
        OneOfBuilder::new().item(T::schema()).item(ArrayBuilder::new().items(T::schema())).into()
    }
}

impl<T: PartialSchema> ToSchema for Several<T> {}

/// An address of a host; IPv4 in IPv6's clothes is plain IPv4.
pub struct Address(pub IpAddr);

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let address = text.parse::<IpAddr>();
        let address = address
            .map_err(|_| format!("`{text}` is no address: write one such as 10.0.0.11 or fd00::11"))?;
        Ok(Self(address.to_canonical()))
    }
}

/// A URL, or `false`: a host without agent.
pub struct Agent(pub AgentOf);

impl PartialSchema for Agent {
    fn schema() -> RefOr<Schema> {
        let of = |kind| ObjectBuilder::new().schema_type(kind);
        OneOfBuilder::new().item(of(Type::String)).item(of(Type::Boolean)).into()
    }
}

impl ToSchema for Agent {}

impl<'de> Deserialize<'de> for Agent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl Visitor<'_> for Reader {
            type Value = Agent;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a URL, or false for a host without agent")
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Agent, E> {
                agent_url(text).map(|url| Agent(AgentOf::At(url))).map_err(E::custom)
            }

            fn visit_bool<E: Error>(self, has: bool) -> Result<Agent, E> {
                Ok(Agent(if has { AgentOf::Usual } else { AgentOf::Nowhere }))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}
