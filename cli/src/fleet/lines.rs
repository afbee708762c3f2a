//! Where in a fleet file something is.

use std::collections::BTreeMap;
use std::path::Path;

use toml::de::DeTable;

use crate::mistakes::Mistakes;

/// The lines of all keys of a file, and what is wrong in it.
pub struct Lines {
    /// Where each line but the first begins.
    begins: Vec<usize>,
    /// By the keys that lead there, as `hosts.web-1.address`, in lower case.
    keys: BTreeMap<String, u64>,
    mistakes: Mistakes,
}

impl Lines {
    pub fn new(path: &Path, text: &str) -> Self {
        let begins = text.match_indices('\n').map(|(end, _)| end + 1).collect();
        Self { begins, keys: BTreeMap::new(), mistakes: Mistakes::new(path) }
    }

    /// Remembers where the keys of a table are, and of the tables in it.
    pub fn remember(&mut self, prefix: &str, table: &DeTable<'_>) {
        for (key, value) in table {
            let at = format!("{prefix}{}", key.get_ref().to_ascii_lowercase());
            if let Some(table) = value.get_ref().as_table() {
                self.remember(&format!("{at}."), table);
            }
            self.keys.insert(at, self.line(key.span().start));
        }
    }

    /// Something is wrong at this byte of the file.
    pub fn wrong_at(&mut self, byte: usize, what: impl Into<String>) {
        let line = self.line(byte);
        self.mistakes.add(line, what);
    }

    /// Something is wrong with this key, or with the nearest one above it that is there.
    pub fn wrong_key(&mut self, key: &str, what: impl Into<String>) {
        let folded = key.to_ascii_lowercase();
        let mut known = folded.as_str();
        let line = loop {
            match (self.keys.get(known), known.rsplit_once('.')) {
                (Some(line), _) => break *line,
                (None, Some((above, _))) => known = above,
                (None, None) => break 1,
            }
        };
        self.mistakes.add(line, what);
    }

    /// Of TOML itself, or of what a value should be; `within` is the key that the value is read for.
    pub fn wrong_toml(&mut self, within: &str, error: &toml::de::Error) {
        let prefix = if within.is_empty() { String::new() } else { format!("{within}: ") };
        let what = format!("{prefix}{}", error.message());
        match error.span() {
            Some(span) => self.wrong_at(span.start, what),
            None => self.wrong_key(within, what),
        }
    }

    pub fn is_right(&self) -> bool {
        self.mistakes.is_empty()
    }

    /// In the order of the file, each as `fleet.toml:12: what`.
    pub fn mistakes(self) -> Vec<String> {
        self.mistakes.told()
    }

    fn line(&self, byte: usize) -> u64 {
        let line = 1 + self.begins.partition_point(|begin| *begin <= byte);
        u64::try_from(line).unwrap_or(u64::MAX)
    }
}
