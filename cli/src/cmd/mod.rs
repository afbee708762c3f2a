//! The verbs, a file each.

pub mod ca;
pub mod change;
pub mod completions;
pub mod doctor;
pub mod fleet;
pub mod history;
pub mod inject;
pub mod lab;
pub mod man;
pub mod profiles;
pub mod renew;
pub mod report;
pub mod restore;
pub mod serve;
pub mod status;
