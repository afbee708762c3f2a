//! Text: values that JSON has as people write them, and what must not get to a terminal or a log as it is.

/// Whether this moves the cursor, changes colours, or turns around what is read: a control character, or one of Unicode's
/// `Bidi_Control`.
pub fn steers(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The same text, with what [`steers`] escaped as Rust writes it: `\u{1b}`, `\n`.
pub fn legible(text: &str) -> impl Iterator<Item = char> {
    // Of any other character only itself comes.
    text.chars().flat_map(|c| {
        let (escaped, plain) = if steers(c) { (Some(c.escape_debug()), None) } else { (None, Some(c)) };
        escaped.into_iter().flatten().chain(plain)
    })
}

/// `Serialize` by `Display`, `Deserialize` by `FromStr`.
macro_rules! serde_as_text {
    ($type:ty) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

pub(crate) use serde_as_text;

#[cfg(test)]
mod tests {
    use super::legible;

    #[test]
    fn what_steers_is_escaped_and_nothing_else() {
        let legible = |text| legible(text).collect::<String>();
        assert_eq!(legible("a\n\u{1b}[2J\u{9b}m\u{7f}"), r"a\n\u{1b}[2J\u{9b}m\u{7f}");
        assert_eq!(legible("x\u{202e}y\u{2066}z\u{200f}"), r"x\u{202e}y\u{2066}z\u{200f}");
        for same in ["", "dev-a\\x2db", "'quoted' \"text\"", "Zoe\u{308} ä 漢字 🦀"] {
            assert_eq!(legible(same), same);
        }
    }
}
