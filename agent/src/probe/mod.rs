//! Who reaches whom. An agent that listens on TCP answers the probes of others on a port that no fault spares, and remembers
//! which of them came; and it probes others when it is asked to. What it sends goes the way of every other packet of the host, so
//! faults meet it.

mod datagram;
#[cfg(feature = "fuzz")]
pub mod fuzzing;
mod get;
mod heard;
mod reach;
mod responder;
mod sender;
mod socket;
mod tcp;

pub use heard::Rounds;
pub use reach::Prober;
pub use responder::Responder;
pub use tcp::connect;
