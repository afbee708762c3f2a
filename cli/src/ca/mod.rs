//! An authority of one's own for agents and those who ask them: two kinds of certificates, each good for one end of a connection.

mod authority;
mod files;
mod name;

pub use authority::{Authority, Subject};
pub use files::{Directory, Written};
pub use name::{Host, Name, common_name};

/// Where an authority is without `--dir`.
pub const USUAL: &str = "/etc/partition-agent/ca";
