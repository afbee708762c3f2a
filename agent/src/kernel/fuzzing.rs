//! What the kernel answers, and what it is asked.

pub use super::nft::fuzzing::{encoded, replies as nft_replies};
pub use super::rtnl::fuzzing::replies as rtnl_replies;
pub use super::sock_diag::fuzzing::sock_diag;
