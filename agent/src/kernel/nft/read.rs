//! Reading the table back.

use std::collections::BTreeMap;
use std::time::Duration;

use netlink_packet_core::{NlaBuffer, NlasIterator};
use netlink_packet_netfilter::nftables::{
    ChainMessage, NfTablesMessage, RuleAttribute, RuleMessage, SetElementList, SetElementMessage,
    TableMessage,
};
use nix::errno::Errno;

use super::message::{In, comment};
use super::socket::list;
use crate::kernel::before::hash;
use crate::kernel::{Refusal, SetSeen, Within};
use crate::plan::{Hook, TABLE, TableFamily};

/// Attribute numbers of `linux/netfilter/nf_tables.h`.
mod attr {
    pub const TABLE_NAME: u16 = 1;
    pub const CHAIN_TABLE: u16 = 1;
    pub const CHAIN_NAME: u16 = 3;
    pub const CHAIN_HOOK: u16 = 4;
    pub const HOOK_NUM: u16 = 1;
    pub const HOOK_DEV: u16 = 3;
    pub const HOOK_DEVS: u16 = 4;
    pub const DEVICE_NAME: u16 = 1;
    pub const RULE_TABLE: u16 = 1;
    pub const RULE_CHAIN: u16 = 2;
    pub const RULE_HANDLE: u16 = 3;
    pub const RULE_EXPRESSIONS: u16 = 4;
    pub const RULE_USERDATA: u16 = 7;
    pub const EXPR_NAME: u16 = 1;
    pub const EXPR_DATA: u16 = 2;
    pub const COUNTER_BYTES: u16 = 1;
    pub const COUNTER_PACKETS: u16 = 2;
    pub const LIST_ELEMENTS: u16 = 3;
    pub const ELEM_EXPIRATION: u16 = 5;
}

/// A rule of ours as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleSeen {
    pub chain: String,
    pub handle: u64,
    pub comment: Option<String>,
    pub packets: u64,
    pub bytes: u64,
}

/// A chain of ours that sits on an interface, or did until the interface went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookedChain {
    pub name: String,
    pub on: Option<(Hook, String)>,
}

/// Whether the table exists, whoever owns it.
pub fn table_exists(within: &Within) -> Result<bool, Refusal> {
    let question = NfTablesMessage::GetTable(TableMessage { attributes: vec![] });
    let entries = list(within, TableFamily::Netdev, question, "tables")?;
    Ok(entries.iter().any(|entry| text(entry, attr::TABLE_NAME).as_deref() == Some(TABLE)))
}

/// Expressions that run by themselves.
const COUNTING: [&str; 3] = ["counter", "quota", "last"];

/// The tables that are not ours, as nft names them, with their rules.
pub fn tables_of_others(within: &Within) -> Result<BTreeMap<String, String>, Refusal> {
    let mut tables = BTreeMap::new();
    for family in [TableFamily::Netdev, TableFamily::Inet, TableFamily::Ip, TableFamily::Ip6] {
        let question = NfTablesMessage::GetTable(TableMessage { attributes: vec![] });
        let entries = list(within, family, question, "tables")?;
        let names = entries.iter().filter_map(|entry| text(entry, attr::TABLE_NAME));
        let others = names.filter(|name| !name.starts_with(TABLE));
        let mut rules = others.map(|name| (name, Vec::new())).collect::<BTreeMap<_, _>>();
        if rules.is_empty() {
            continue;
        }
        let question = NfTablesMessage::GetRule(RuleMessage { attributes: vec![] });
        for entry in list(within, family, question, "rules")? {
            if let Some(rules) = text(&entry, attr::RULE_TABLE).and_then(|table| rules.get_mut(&table)) {
                rules.push(steady(&entry));
            }
        }
        tables.extend(rules.into_iter().map(|(name, rules)| {
            let what = format!("{} rules with hash {}", rules.len(), hash(&rules));
            (format!("table {} {name}", family.nft()), what)
        }));
    }
    Ok(tables)
}

/// Which rule it is and what it does, without what it has counted.
fn steady(entry: &[u8]) -> Vec<Vec<u8>> {
    let exprs = find(entry, attr::RULE_EXPRESSIONS).unwrap_or_default();
    let steady = attributes(&exprs).filter(|expr| {
        text(expr.value(), attr::EXPR_NAME).is_none_or(|name| !COUNTING.contains(&name.as_str()))
    });
    let steady = steady.map(|expr| expr.value().to_vec());
    [attr::RULE_CHAIN, attr::RULE_HANDLE]
        .into_iter()
        .filter_map(|kind| find(entry, kind))
        .chain(steady)
        .collect()
}

/// Our chains that sit on an interface.
pub fn hooked_chains(within: &Within) -> Result<Vec<HookedChain>, Refusal> {
    let question = NfTablesMessage::GetChain(ChainMessage { attributes: vec![] });
    let entries = list(within, TableFamily::Netdev, question, "chains")?;
    let ours = entries.iter().filter(|entry| text(entry, attr::CHAIN_TABLE).as_deref() == Some(TABLE));
    let hooked = ours.filter_map(|entry| {
        let hook = find(entry, attr::CHAIN_HOOK)?;
        Some(HookedChain { name: text(entry, attr::CHAIN_NAME)?, on: hooked_on(&hook) })
    });
    Ok(hooked.collect())
}

fn hooked_on(hook: &[u8]) -> Option<(Hook, String)> {
    let number = find(hook, attr::HOOK_NUM)?;
    let hook_number = match number.as_slice() {
        [0, 0, 0, 0] => Hook::Ingress,
        [0, 0, 0, 1] => Hook::Egress,
        _ => return None,
    };
    let device = text(hook, attr::HOOK_DEV)
        .or_else(|| find(hook, attr::HOOK_DEVS).and_then(|devices| text(&devices, attr::DEVICE_NAME)))?;
    Some((hook_number, device))
}

/// Every rule of a table.
pub fn rules(within: &Within, at: In) -> Result<Vec<RuleSeen>, Refusal> {
    let question = RuleMessage { attributes: vec![RuleAttribute::Table(at.table.to_owned())] };
    match list(within, at.family, NfTablesMessage::GetRule(question), "rules") {
        Ok(entries) => Ok(entries.iter().filter_map(|entry| rule(entry)).collect()),
        Err(refusal) if refusal.errno == Errno::ENOENT => Ok(Vec::new()),
        Err(refusal) => Err(refusal),
    }
}

fn rule(entry: &[u8]) -> Option<RuleSeen> {
    let counter = find(entry, attr::RULE_EXPRESSIONS).and_then(|exprs| {
        attributes(&exprs)
            .find(|expr| text(expr.value(), attr::EXPR_NAME).as_deref() == Some("counter"))
            .and_then(|expr| find(expr.value(), attr::EXPR_DATA))
    });
    let count = |kind| counter.as_deref().and_then(|counter| number(counter, kind)).unwrap_or_default();
    Some(RuleSeen {
        chain: text(entry, attr::RULE_CHAIN)?,
        handle: number(entry, attr::RULE_HANDLE)?,
        comment: find(entry, attr::RULE_USERDATA).and_then(|udata| comment(&udata).map(str::to_owned)),
        packets: count(attr::COUNTER_PACKETS),
        bytes: count(attr::COUNTER_BYTES),
    })
}

/// The elements of a set that have not timed out.
pub fn set(within: &Within, at: In, name: &str) -> Result<Option<SetSeen>, Refusal> {
    let question = SetElementMessage {
        attributes: vec![SetElementList::Table(at.table.to_owned()), SetElementList::Set(name.to_owned())],
    };
    let entries = match list(within, at.family, NfTablesMessage::GetSetElement(question), name) {
        Ok(entries) => entries,
        Err(refusal) if refusal.errno == Errno::ENOENT => return Ok(None),
        Err(refusal) => return Err(refusal),
    };
    Ok(Some(seen(&entries)))
}

fn seen(entries: &[Vec<u8>]) -> SetSeen {
    let mut seen = SetSeen::default();
    for entry in entries {
        let Some(elements) = find(entry, attr::LIST_ELEMENTS) else { continue };
        for element in attributes(&elements) {
            seen.entries += 1;
            let left = number(element.value(), attr::ELEM_EXPIRATION).map(Duration::from_millis);
            seen.last = seen.last.max(left);
        }
    }
    seen
}

fn attributes(bytes: &[u8]) -> impl Iterator<Item = NlaBuffer<&[u8]>> {
    NlasIterator::new(bytes).map_while(Result::ok)
}

fn find(bytes: &[u8], kind: u16) -> Option<Vec<u8>> {
    attributes(bytes).find(|nla| nla.kind() == kind).map(|nla| nla.value().to_vec())
}

pub fn text(bytes: &[u8], kind: u16) -> Option<String> {
    find(bytes, kind).map(|value| String::from_utf8_lossy(&value).trim_end_matches('\0').to_owned())
}

fn number(bytes: &[u8], kind: u16) -> Option<u64> {
    find(bytes, kind)?.try_into().ok().map(u64::from_be_bytes)
}

#[cfg(feature = "fuzz")]
pub fn fuzz(entry: &[u8]) {
    let _ = (rule(entry), hooked_on(entry), steady(entry), seen(&[entry.to_vec()]));
}
