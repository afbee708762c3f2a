//! What is wrong in a file that people write: all of it, in its order.

use std::path::{Path, PathBuf};

/// What is wrong in one file.
#[derive(Debug)]
pub struct Mistakes {
    path: PathBuf,
    found: Vec<(u64, String)>,
}

impl Mistakes {
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), found: Vec::new() }
    }

    /// At this line; 1 is the first.
    pub fn add(&mut self, line: u64, what: impl Into<String>) {
        self.found.push((line, what.into()));
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.found.len()
    }

    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// In the order of the file, each as `fleet.toml:12: what`.
    pub fn told(mut self) -> Vec<String> {
        self.found.sort_by_key(|(line, _)| *line);
        let path = self.path.display();
        self.found.iter().map(|(line, what)| format!("{path}:{line}: {what}")).collect()
    }
}
