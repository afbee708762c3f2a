//! Reports of game days, for people.

use std::path::PathBuf;

use super::{json, line};
use crate::exit::Failure;

/// Where it was written.
pub fn written(paths: &[PathBuf], as_json: bool) -> Result<(), Failure> {
    if as_json {
        return json(&serde_json::json!({ "written": paths }));
    }
    paths.iter().try_for_each(|path| line(&path.display().to_string()))
}
