//! Every reader of outside bytes, each as one function for `tests/fuzz`. It panics where a reader is wrong: where that panics
//! itself, or where what is read does not hold together.

pub use crate::api::fuzzing::request;
pub use crate::config::fuzzing::config;
pub use crate::dns::fuzzing::{dns, dns_tcp};
pub use crate::emulator::fuzzing::frame;
pub use crate::fleet::fuzzing::told;
pub use crate::keeper::fuzzing::journal;
pub use crate::kernel::fuzzing::{nft_replies, rtnl_replies, sock_diag};
pub use crate::lines::fuzzing::audit;
pub use crate::probe::fuzzing::datagram;
pub use crate::scope::fuzzing::texts;
