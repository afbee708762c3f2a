//! nftables over netlink: our tables, owned by our socket.

mod dispatch;
mod expr;
#[cfg(feature = "fuzz")]
pub mod fuzzing;
mod message;
mod nat;
mod read;
mod replace;
mod rewrite;
mod socket;
mod table;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::Refusal;
use crate::plan::{Ruleset, TableFamily};
use message::{In, add_table, delete_table};

pub use nat::translates;
pub use read::tables_of_others;
pub use socket::{NftSocket, ext_ack_text};
pub use table::Table;

/// What a rule can only say once the steps before it are applied.
#[derive(Debug, Clone, Default)]
pub struct Bindings {
    /// Interfaces to forward to.
    pub ifindex: BTreeMap<String, u32>,
    /// Local ports in the place of name servers.
    pub ports: BTreeMap<SocketAddr, u16>,
}

impl Bindings {
    /// Port 0 leads nowhere.
    fn port(&self, server: SocketAddr) -> u16 {
        self.ports.get(&server).copied().unwrap_or_default()
    }
}

/// Not the name of a table of the faults: a probe must work while there are some.
const PROBE_TABLE: &str = "partition_agent_probe";

/// Whether the kernel takes this ruleset: the table is made and deleted in one transaction, so nothing of it is ever
/// in force, and nothing is left.
pub fn try_out(family: TableFamily, ruleset: &Ruleset) -> Result<(), Refusal> {
    let socket = NftSocket::open()
        .map_err(|error| Refusal::new("open NETLINK_NETFILTER", super::error::errno_of(&error), None))?;
    let at = In { family, table: PROBE_TABLE };
    let mut acts = vec![add_table(at)];
    acts.extend(message::add(at, ruleset, Some(Duration::from_secs(1)), &Bindings::default()));
    acts.push(delete_table(at));
    socket.commit(acts)
}
