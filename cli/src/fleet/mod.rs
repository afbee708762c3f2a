//! Many hosts: who they are, how they are asked, and what they do together.

pub mod fan_out;
pub mod heal;
pub mod inject;
pub mod look;
pub mod members;
pub mod offset;
pub mod orders;
pub mod progress;
pub mod start;
pub mod team;
