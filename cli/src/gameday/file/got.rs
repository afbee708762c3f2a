//! Values with their place in the file, as the raw types have them.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use crate::mistakes::Mistakes;

/// By these names the reader knows what is asked of it.
pub const GOT: &str = "Got";
pub const SEVERAL: &str = "Several";

/// What became of a key.
#[derive(Debug, Clone, PartialEq)]
pub enum Got<T> {
    /// It is not there.
    Missing,
    /// Its value cannot be read, which is among the mistakes already.
    Broken(u64),
    /// In this line.
    There(u64, T),
}

impl<T> Got<T> {
    /// Where it is, whether it could be read or not.
    pub fn line(&self) -> Option<u64> {
        match self {
            Self::Missing => None,
            Self::Broken(line) | Self::There(line, _) => Some(*line),
        }
    }

    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Missing | Self::Broken(_) => None,
            Self::There(_, value) => Some(value),
        }
    }

    pub fn map<U>(self, into: impl FnOnce(T) -> U) -> Got<U> {
        match self {
            Self::Missing => Got::Missing,
            Self::Broken(line) => Got::Broken(line),
            Self::There(line, value) => Got::There(line, into(value)),
        }
    }

    /// With its line.
    pub fn there(self) -> Option<(u64, T)> {
        match self {
            Self::Missing | Self::Broken(_) => None,
            Self::There(line, value) => Some((line, value)),
        }
    }

    pub fn into_value(self) -> Option<T> {
        self.there().map(|(_, value)| value)
    }

    /// The value, or else this is missing at `line`.
    pub fn needed(self, line: u64, what: &str, mistakes: &mut Mistakes) -> Option<(u64, T)> {
        if self.line().is_none() {
            mistakes.add(line, what);
        }
        self.there()
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Got<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Visit<T> {
            type Value = Got<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a line and a value")
            }

            // Only an option may be missing.
            fn visit_none<E: Error>(self) -> Result<Got<T>, E> {
                Ok(Got::Missing)
            }

            fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Got<T>, D::Error> {
                deserializer.deserialize_newtype_struct(GOT, self)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut both: A) -> Result<Got<T>, A::Error> {
                let line =
                    both.next_element()?.ok_or_else(|| A::Error::custom("a value without its line"))?;
                Ok(both.next_element()?.map_or(Got::Broken(line), |value| Got::There(line, value)))
            }
        }
        deserializer.deserialize_option(Visit(PhantomData))
    }
}

/// One, or a list of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Several<T>(pub Vec<Got<T>>);

impl<T> Several<T> {
    /// Those that could be read.
    pub fn into_values(self) -> Vec<T> {
        self.0.into_iter().filter_map(Got::into_value).collect()
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Several<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Visit<T> {
            type Value = Several<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("one value or a list of them")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Several<T>, A::Error> {
                let mut values = Vec::new();
                while let Some(value) = list.next_element()? {
                    values.push(value);
                }
                Ok(Several(values))
            }
        }
        deserializer.deserialize_newtype_struct(SEVERAL, Visit(PhantomData))
    }
}

/// Things with names, in the order of the file.
#[derive(Debug, Clone, PartialEq)]
pub struct Named<T>(pub Vec<(String, Got<T>)>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Named<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visit<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Visit<T> {
            type Value = Named<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("names and what they stand for")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut table: A) -> Result<Named<T>, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = table.next_entry()? {
                    entries.push(entry);
                }
                Ok(Named(entries))
            }
        }
        deserializer.deserialize_map(Visit(PhantomData))
    }
}
