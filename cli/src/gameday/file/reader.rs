//! From the tree to types. A mistake in one value is noted, and the reading goes on: whoever repairs a file wants to know all of them.

use std::cell::RefCell;
use std::fmt;

use partition_agent_proto::fleet::hint;
use serde::de::value::{StrDeserializer, U64Deserializer};
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, Error, IntoDeserializer, MapAccess, SeqAccess, Visitor,
};
use serde::forward_to_deserialize_any;

use super::got::{GOT, SEVERAL};
use super::node::{Node, Value};
use super::raw::Lasting;
use crate::mistakes::Mistakes;

/// Reads one node as whatever is asked for.
#[derive(Clone, Copy)]
pub struct Reader<'a> {
    node: &'a Node,
    /// The key that it is the value of.
    key: &'a str,
    /// Where that key is.
    line: u64,
    mistakes: &'a RefCell<Mistakes>,
}

/// A value is not what it should be.
#[derive(Debug)]
pub struct Wrong(String);

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Wrong {}

impl Error for Wrong {
    fn custom<T: fmt::Display>(what: T) -> Self {
        Self(what.to_string())
    }
}

/// All that can be read of a file; what cannot is among the mistakes.
pub fn read<T: DeserializeOwned>(node: &Node, mistakes: &RefCell<Mistakes>) -> Option<T> {
    let reader = Reader { node, key: "", line: node.line, mistakes };
    let read = T::deserialize(reader);
    read.map_err(|wrong| reader.note(&wrong)).ok()
}

impl<'a> Reader<'a> {
    fn note(&self, Wrong(what): &Wrong) {
        let at = if self.key.is_empty() { String::new() } else { format!("{}: ", self.key) };
        self.mistakes.borrow_mut().add(self.line, format!("{at}{what}"));
    }

    fn text(self) -> Result<&'a str, Wrong> {
        match &self.node.value {
            Value::Text(text) => Ok(text),
            Value::Nothing => Err(nothing()),
            Value::List(_) => Err(Wrong("there is a list where one value belongs".to_owned())),
            Value::Table(_) => Err(Wrong("there are keys where one value belongs".to_owned())),
        }
    }

    fn list(self) -> Result<&'a [Node], Wrong> {
        match &self.node.value {
            Value::List(list) => Ok(list),
            Value::Nothing => Err(nothing()),
            Value::Text(_) | Value::Table(_) => {
                Err(Wrong("a list belongs here: one `- ...` a line, or [..., ...]".to_owned()))
            }
        }
    }

    /// Without keys that are there twice.
    fn table(self) -> Result<Vec<(&'a str, u64, &'a Node)>, Wrong> {
        let table = match &self.node.value {
            Value::Table(table) => table,
            Value::Nothing => return Err(nothing()),
            Value::Text(text) => {
                return Err(Wrong(format!("`{text}` is a value where keys belong: write `KEY: VALUE`")));
            }
            Value::List(_) => return Err(Wrong("there is a list where keys belong".to_owned())),
        };
        let mut entries = Vec::<(&str, u64, &Node)>::new();
        for (key, value) in table {
            let Value::Text(name) = &key.value else {
                self.mistakes.borrow_mut().add(key.line, "a key is a name");
                continue;
            };
            match entries.iter().find(|(known, ..)| known == name) {
                Some((_, line, _)) => {
                    let what = format!("{name}: it is there twice, the first time in line {line}");
                    self.mistakes.borrow_mut().add(key.line, what);
                }
                None => entries.push((name, key.line, value)),
            }
        }
        Ok(entries)
    }

    fn number<T: std::str::FromStr>(self, what: &str) -> Result<T, Wrong> {
        let text = self.text()?;
        text.parse().map_err(|_| Wrong(format!("`{text}` is no {what}")))
    }
}

/// What a value probably was meant as, of which only the key is missing.
fn with_key(of: &str, key: &str, text: &str) -> Option<String> {
    match of {
        "RawGuard" => Some(format!("- {{when: {text}}}")),
        "RawRecovery" if text.parse::<Lasting>().is_ok() => Some(format!("{key}: {{within: {text}}}")),
        "RawRecovery" => Some(format!("{key}: {{holds: {text}}}")),
        "RawComparison" => Some(format!("{key}: {{equals: {text}}}")),
        _ => None,
    }
}

fn nothing() -> Wrong {
    Wrong("it has no value: write one, or leave the key out".to_owned())
}

impl<'a> Deserializer<'a> for Reader<'a> {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match &self.node.value {
            Value::Nothing => Err(nothing()),
            Value::Text(text) => visitor.visit_borrowed_str(text),
            Value::List(_) => self.deserialize_seq(visitor),
            Value::Table(_) => self.deserialize_map(visitor),
        }
    }

    fn deserialize_str<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_borrowed_str(self.text()?)
    }

    fn deserialize_string<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Wrong> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bool<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_bool(self.number("`true` or `false`")?)
    }

    fn deserialize_u64<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_u64(self.number("whole number from 0 on")?)
    }

    fn deserialize_f64<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_f64(self.number("number")?)
    }

    /// What has to do with the place of a value in the file is asked for by these names.
    fn deserialize_newtype_struct<V: Visitor<'a>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        match name {
            GOT => visitor.visit_seq(LineAndValue { reader: self, line_told: false }),
            SEVERAL => match &self.node.value {
                Value::List(list) => visitor.visit_seq(Items { list: list.iter(), of: self }),
                Value::Nothing | Value::Text(_) | Value::Table(_) => {
                    visitor.visit_seq(Items { list: std::slice::from_ref(self.node).iter(), of: self })
                }
            },
            _ => visitor.visit_newtype_struct(self),
        }
    }

    fn deserialize_seq<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_seq(Items { list: self.list()?.iter(), of: self })
    }

    fn deserialize_map<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_map(Entries { entries: self.table()?.into_iter(), next: None, mistakes: self.mistakes })
    }

    fn deserialize_struct<V: Visitor<'a>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        if let Value::Text(text) = &self.node.value
            && let Some(whole) = with_key(name, self.key, text)
        {
            return Err(Wrong(format!("`{text}` is a value where keys belong: write `{whole}`")));
        }
        let mut entries = self.table()?;
        entries.retain(|(key, line, _)| {
            let known = fields.contains(key);
            if !known {
                let names = || fields.iter().map(|field| (*field).to_owned());
                let what = format!("unknown key `{key}`: {}", hint(key, names(), names()));
                self.mistakes.borrow_mut().add(*line, what);
            }
            known
        });
        visitor.visit_map(Entries { entries: entries.into_iter(), next: None, mistakes: self.mistakes })
    }

    fn deserialize_enum<V: Visitor<'a>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Wrong> {
        let text = self.text()?;
        if !variants.contains(&text) {
            return Err(Wrong(format!("`{text}` is none of {}", variants.join(", "))));
        }
        visitor.visit_enum(IntoDeserializer::<Wrong>::into_deserializer(text))
    }

    fn deserialize_option<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_some(self)
    }

    forward_to_deserialize_any! {
        <V: Visitor<'a>>
        i8 i16 i32 i64 i128 u8 u16 u32 u128 f32 char bytes byte_buf unit unit_struct tuple tuple_struct identifier ignored_any
    }
}

/// The line first, then the value; nothing, where the value is wrong, which is noted.
struct LineAndValue<'a> {
    reader: Reader<'a>,
    line_told: bool,
}

impl<'a> SeqAccess<'a> for LineAndValue<'a> {
    type Error = Wrong;

    fn next_element_seed<S: DeserializeSeed<'a>>(&mut self, seed: S) -> Result<Option<S::Value>, Wrong> {
        if !std::mem::replace(&mut self.line_told, true) {
            return seed.deserialize(U64Deserializer::new(self.reader.line)).map(Some);
        }
        Ok(seed.deserialize(self.reader).map_err(|wrong| self.reader.note(&wrong)).ok())
    }
}

struct Items<'a> {
    list: std::slice::Iter<'a, Node>,
    of: Reader<'a>,
}

impl<'a> SeqAccess<'a> for Items<'a> {
    type Error = Wrong;

    fn next_element_seed<S: DeserializeSeed<'a>>(&mut self, seed: S) -> Result<Option<S::Value>, Wrong> {
        let Some(node) = self.list.next() else { return Ok(None) };
        seed.deserialize(Reader { node, line: node.line, ..self.of }).map(Some)
    }
}

struct Entries<'a> {
    entries: std::vec::IntoIter<(&'a str, u64, &'a Node)>,
    next: Option<Reader<'a>>,
    mistakes: &'a RefCell<Mistakes>,
}

impl<'a> MapAccess<'a> for Entries<'a> {
    type Error = Wrong;

    fn next_key_seed<S: DeserializeSeed<'a>>(&mut self, seed: S) -> Result<Option<S::Value>, Wrong> {
        let Some((key, line, node)) = self.entries.next() else { return Ok(None) };
        self.next = Some(Reader { node, key, line, mistakes: self.mistakes });
        seed.deserialize(StrDeserializer::new(key)).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'a>>(&mut self, seed: S) -> Result<S::Value, Wrong> {
        match self.next.take() {
            Some(reader) => seed.deserialize(reader),
            None => Err(Wrong("a value without its key".to_owned())),
        }
    }
}
