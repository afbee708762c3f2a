//! Whether addresses are translated here.

use std::io;

use netlink_packet_core::DefaultNla;
use netlink_packet_netfilter::nftables::{ChainMessage, NfTablesMessage};
use netlink_packet_netfilter::{NetfilterMessageInner, NetfilterSubsystem};

use super::read::text;
use super::socket::list;
use crate::kernel::{Refusal, Within};
use crate::plan::TableFamily;

/// `NFTA_CHAIN_TYPE`.
const CHAIN_TYPE: u16 = 7;

/// Of `linux/netfilter/nfnetlink_hook.h`.
const SUBSYS_HOOK: u8 = 12;
const HOOK_GET: u8 = 0;
const HOOK_NUMBER: u16 = 1;
const HOOK_FUNCTION: u16 = 4;

/// `NF_INET_LOCAL_OUT`: one of the four that NAT hooks together.
const LOCAL_OUT: u32 = 3;

/// What the older iptables has in a namespace. Absent where it has never been used.
const LEGACY: [&str; 2] = ["/proc/thread-self/net/ip_tables_names", "/proc/thread-self/net/ip6_tables_names"];

/// By any chain of type nat, of nftables or of the iptables that stand on it, or by the older iptables. Where that cannot
/// be known, they may be.
pub fn translates(within: &Within) -> Result<bool, Refusal> {
    for family in [TableFamily::Inet, TableFamily::Ip, TableFamily::Ip6] {
        let question = NfTablesMessage::GetChain(ChainMessage { attributes: vec![] });
        let entries = list(within, family, question, "chains")?;
        if entries.iter().any(|entry| text(entry, CHAIN_TYPE).as_deref() == Some("nat")) {
            return Ok(true);
        }
    }
    Ok(legacy(within).or_else(|| hooked(within)).unwrap_or(true))
}

/// By the names of the older iptables' tables, which only root may read. (To ask for the table itself, by `getsockopt`, would
/// make it.)
fn legacy(within: &Within) -> Option<bool> {
    let names = within.run(|| LEGACY.map(std::fs::read_to_string)).ok()?;
    let mut any = false;
    for names in names {
        match names {
            Ok(names) => any |= names.lines().any(|name| name == "nat"),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(_) => return None,
        }
    }
    Some(any)
}

/// By the functions on the kernel's hooks, whoever put them there. Some kernels do not tell (`CONFIG_NETFILTER_NETLINK_HOOK`),
/// or only numbers.
fn hooked(within: &Within) -> Option<bool> {
    let mut any = false;
    for family in [TableFamily::Ip, TableFamily::Ip6] {
        let question = NetfilterMessageInner::Other {
            subsys: NetfilterSubsystem::Other(SUBSYS_HOOK),
            message_type: HOOK_GET,
            attributes: vec![DefaultNla::new(HOOK_NUMBER, LOCAL_OUT.to_be_bytes().to_vec())],
        };
        for hook in list(within, family, question, "hooks").ok()? {
            any |= text(&hook, HOOK_FUNCTION)?.starts_with("nf_nat");
        }
    }
    Some(any)
}
