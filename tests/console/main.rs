//! The console in a real browser on another host, against a real agent on the real kernel. As root.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod desk;
mod fleet;
mod inject;
mod link;
mod look;
