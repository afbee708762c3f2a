//! The file of a game day: YAML, read strictly.

mod model;

pub use model::*;
