//! YAML as a tree, with the line of everything in it. Values stay as they are written: what a number or a yes is, is the business of
//! whoever knows what should be there.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{DuplicateKeyPolicy, NonFiniteFloatPolicy, Spanned};

/// No file of people is deeper, and each level takes some stack.
const DEEPEST: usize = 32;

/// Something in the file.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// 1 is the first.
    pub line: u64,
    pub value: Value,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `null`, or nothing after the colon.
    Nothing,
    Text(String),
    List(Vec<Node>),
    /// Keys can be there twice.
    Table(Vec<(Node, Node)>),
}

/// What is not even YAML, or too much of it.
#[derive(Debug)]
pub struct Unreadable {
    pub line: u64,
    pub why: String,
}

impl Unreadable {
    fn of(error: &serde_saphyr::Error, text: &str) -> Self {
        let Some(location) = error.location() else {
            return Self { line: 1, why: error.to_string() };
        };
        let (line, column) = (location.line(), location.column());
        let why = match error {
            serde_saphyr::Error::MultipleDocuments { .. } => {
                "a second document begins here, and a game day is one: drop the `---`".to_owned()
            }
            serde_saphyr::Error::UnsupportedTag { tag, .. } => {
                let name = tag.trim_start_matches('!');
                format!("`{tag}` is a tag of YAML: write `not {name}`, or in quotes what begins with a `!`")
            }
            error => error.to_string().replace(&format!(" at line {line}, column {column}"), ""),
        };
        let line = line.max(1);
        let tab = tab(text, line);
        let of_tabs = why.split(' ').any(|word| matches!(word, "tab" | "tabs"));
        match tab {
            Some(tab) if of_tabs || (tab == line && why.starts_with("while parsing a block")) => {
                Self { line: tab, why: "a tab: indent with blanks".to_owned() }
            }
            Some(_) | None => Self { line, why: quoted(why) },
        }
    }
}

/// The first line from this one on that is indented with a tab: the parser names where it began to read.
fn tab(text: &str, from: u64) -> Option<u64> {
    let indented = |line: &str| line.trim_start_matches(' ').starts_with('\t');
    (1..).zip(text.lines()).find(|(line, text)| *line >= from && indented(text)).map(|(line, _)| line)
}

/// With what to do about a value that would be fine in quotes.
fn quoted(why: String) -> String {
    match why.as_str() {
        "unexpected character: `@'" => "a value cannot begin with `@`: write it in quotes".to_owned(),
        "unexpected character: `%'" => "a value cannot begin with `%`: write it in quotes".to_owned(),
        "alias references unknown anchor" => format!("{why}: what begins with a `*` is written in quotes"),
        _ => why,
    }
}

impl Node {
    /// # Errors
    /// No YAML, or too deep, or aliases that blow up.
    pub fn read(text: &str) -> Result<Self, Unreadable> {
        let options = serde_saphyr::options! {
            budget: serde_saphyr::budget! { max_depth: DEEPEST },
            duplicate_keys: DuplicateKeyPolicy::PassThrough,
            non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
            with_snippet: false,
            // It would not be looked at, and it may have been meant as a `not`.
            reject_unsupported_tags: true,
        };
        let content = serde_saphyr::from_str_with_options::<Spanned<Content>>(text, options);
        Ok(Self::of(content.map_err(|error| Unreadable::of(&error, text))?, text))
    }

    fn of(content: Spanned<Content>, text: &str) -> Self {
        let value = match content.value {
            Content::Nothing => Value::Nothing,
            Content::Text(written) => Value::Text(written),
            Content::Plain(meant) => {
                let span = content.defined.span();
                let at = |number: Option<u64>| usize::try_from(number?).ok();
                let (from, length) = (at(span.byte_offset()), at(span.byte_len()));
                let written = from.zip(length).and_then(|(from, length)| text.get(from..from + length));
                Value::Text(written.map_or(meant, |written| written.trim().to_owned()))
            }
            Content::List(list) => Value::List(list.into_iter().map(|node| Self::of(node, text)).collect()),
            Content::Table(table) => {
                let entry = |(key, value)| (Self::of(key, text), Self::of(value, text));
                Value::Table(table.into_iter().map(entry).collect())
            }
        };
        Self { line: content.referenced.line().max(1), value }
    }
}

/// As the parser hands it over.
enum Content {
    Nothing,
    Text(String),
    /// A number or the like, which was written in a way of its own: `1.10`, `0x1f`, `yes`.
    Plain(String),
    List(Vec<Spanned<Content>>),
    Table(Vec<(Spanned<Content>, Spanned<Content>)>),
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Content;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("YAML")
            }

            fn visit_unit<E: Error>(self) -> Result<Content, E> {
                Ok(Content::Nothing)
            }

            fn visit_bool<E: Error>(self, is: bool) -> Result<Content, E> {
                Ok(Content::Plain(is.to_string()))
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Content, E> {
                Ok(Content::Plain(number.to_string()))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Content, E> {
                Ok(Content::Plain(number.to_string()))
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<Content, E> {
                Ok(Content::Plain(number.to_string()))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Content, E> {
                Ok(Content::Text(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Content, A::Error> {
                let mut nodes = Vec::new();
                while let Some(node) = list.next_element()? {
                    nodes.push(node);
                }
                Ok(Content::List(nodes))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut table: A) -> Result<Content, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = table.next_entry()? {
                    entries.push(entry);
                }
                Ok(Content::Table(entries))
            }
        }
        deserializer.deserialize_any(Reader)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With the lines in front.
    fn shown(node: &Node) -> String {
        let Node { line, value } = node;
        match value {
            Value::Nothing => format!("{line}:nothing"),
            Value::Text(text) => {
                format!("{line}:'{}'", text.escape_default().to_string().replace("\\u{e9}", "é"))
            }
            Value::List(list) => {
                format!("{line}:[{}]", list.iter().map(shown).collect::<Vec<_>>().join(", "))
            }
            Value::Table(table) => {
                let entry = |(key, value): &(Node, Node)| format!("{}={}", shown(key), shown(value));
                format!("{line}:{{{}}}", table.iter().map(entry).collect::<Vec<_>>().join(", "))
            }
        }
    }

    #[test]
    fn values_stay_as_they_are_written() {
        let text = "a: 1.10\nb: 0x1f\nc: yes\nd: ~\ne: \"5\"\nf: |\n  two\n  lines\non: {x: T+0, y: 5m}\n? g\n: - 00:30\n  - -1\n\
                    a: é 2 # x\nh:\nn: .inf\n1e3: +5\n";
        let node = Node::read(text).unwrap();
        assert_eq!(
            shown(&node),
            "1:{1:'a'=1:'1.10', 2:'b'=2:'0x1f', 3:'c'=3:'yes', 4:'d'=4:nothing, 5:'e'=5:'5', 6:'f'=7:'two\\nlines\\n', \
             9:'on'=9:{9:'x'=9:'T+0', 9:'y'=9:'5m'}, 10:'g'=11:[11:'00:30', 12:'-1'], 13:'a'=13:'é 2', 14:'h'=14:nothing, \
             15:'n'=15:'.inf', 16:'1e3'=16:'+5'}"
        );
    }

    #[test]
    fn anchors_are_where_they_are_used() {
        let node = Node::read("a: &x {b: 1}\nc: *x\nd:\n  <<: *x\n  e: 1").unwrap();
        assert_eq!(
            shown(&node),
            "1:{1:'a'=1:{1:'b'=1:'1'}, 2:'c'=2:{2:'b'=2:'1'}, 3:'d'=4:{5:'e'=5:'1', 4:'b'=4:'1'}}"
        );
    }

    #[test]
    fn what_is_no_yaml_says_where() {
        let deep = format!("\n{}1{}", "[".repeat(40), "]".repeat(40));
        for (text, line, why) in [
            ("a: 1\nb: [", 2, "unclosed bracket '['"),
            ("a: b: c", 1, "mapping values are not allowed in this context"),
            (
                "---\na: 1\n---\nb: 2",
                4,
                "a second document begins here, and a game day is one: drop the `---`",
            ),
            ("a: 'x", 1, "unclosed quote"),
            ("a: *b", 1, "alias references unknown anchor: what begins with a `*` is written in quotes"),
            ("a: 1\nb: @eu @us", 2, "a value cannot begin with `@`: write it in quotes"),
            ("a:\n  - [b, @eu]", 2, "a value cannot begin with `@`: write it in quotes"),
            ("a: %x", 1, "a value cannot begin with `%`: write it in quotes"),
            // The parser means the line before.
            ("a:\n  - b: 1\n\tc: 2", 3, "a tab: indent with blanks"),
            ("a:\n\tb: 2", 2, "a tab: indent with blanks"),
            ("a: |\n  b\n \tc", 3, "a tab: indent with blanks"),
            (
                "a: 1\nb: [!redis, api]",
                2,
                "`!redis` is a tag of YAML: write `not redis`, or in quotes what begins with a `!`",
            ),
            (&deep, 2, "budget breached: Depth { depth: 33 }"),
        ] {
            let Unreadable { line: at, why: told } = Node::read(text).unwrap_err();
            assert_eq!((at, told.as_str()), (line, why), "{text}");
        }
        assert_eq!(shown(&Node::read("").unwrap()), "1:nothing");
    }
}
