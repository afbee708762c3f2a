//! nftables over netlink: our one table, owned by our socket.

mod expr;
mod message;
mod read;
mod socket;
mod table;

pub use socket::{NftSocket, ext_ack_text};
pub use table::Table;

use std::collections::BTreeMap;
use std::time::Duration;

use super::Refusal;
use crate::plan::Ruleset;
use message::{add_table, delete_table};

/// Not the name of the table of the faults: a probe must work while there are some.
const PROBE_TABLE: &str = "partition_agent_probe";

/// Whether the kernel takes this ruleset: the table is made and deleted in one transaction, so nothing of it is ever
/// in force, and nothing is left.
pub fn try_out(ruleset: &Ruleset) -> Result<(), Refusal> {
    let socket = NftSocket::open()
        .map_err(|error| Refusal::new("open NETLINK_NETFILTER", super::error::errno_of(&error), None))?;
    let mut acts = vec![add_table(PROBE_TABLE)];
    acts.extend(message::add(PROBE_TABLE, ruleset, Duration::from_secs(1), &BTreeMap::new()));
    acts.push(delete_table(PROBE_TABLE));
    socket.commit(acts)
}
