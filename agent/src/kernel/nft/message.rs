//! A [`Ruleset`] as the netlink messages that add it, rearm it or remove it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use netlink_packet_core::{DefaultNla, NLA_F_NESTED, NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_netfilter::nftables::{
    ChainAttribute, ChainMessage, DevHookNumber, Hook as HookAttribute, HookNumber, ListAttribute,
    NfTablesMessage, RuleAttribute, RuleMessage, SetAttribute, SetDescription, SetElementFlags,
    SetElementList, SetElementMessage, SetFlags, SetMessage, TableAttribute, TableFlags, TableMessage,
};

use super::expr;
use crate::plan::{Chain, Element, Family, Hook, Rule, Ruleset, Set, Shape};

/// `NF_ACCEPT`, the policy of hooked chains.
const ACCEPT: u32 = 1;

/// An attribute's length is 16 bits and the encoder does not check it: this many elements stay far below.
const ELEMENTS_PER_MESSAGE: usize = 500;

/// One message of a transaction, with its line for the error that names it.
#[derive(Debug)]
pub struct Act {
    pub message: NfTablesMessage,
    pub flags: u16,
    pub line: String,
}

/// `add table netdev partition_agent { flags owner; }`
pub fn add_table(table: &str) -> Act {
    let attributes = vec![TableAttribute::Name(table.to_owned()), TableAttribute::Flags(TableFlags::Owner)];
    Act {
        message: NfTablesMessage::NewTable(TableMessage { attributes }),
        flags: NLM_F_CREATE | NLM_F_EXCL,
        line: format!("add table netdev {table} {{ flags owner; }}"),
    }
}

/// `delete table netdev partition_agent`
pub fn delete_table(table: &str) -> Act {
    let attributes = vec![TableAttribute::Name(table.to_owned())];
    Act {
        message: NfTablesMessage::DeleteTable(TableMessage { attributes }),
        flags: 0,
        line: format!("delete table netdev {table}"),
    }
}

/// Chains first, since rules jump to them; then sets with their elements; rules last.
pub fn add(table: &str, ruleset: &Ruleset, timeout: Duration, ifindex: &BTreeMap<String, u32>) -> Vec<Act> {
    let mut acts = ruleset.chains.iter().map(|chain| add_chain(table, chain)).collect::<Vec<_>>();
    for (id, set) in (1..).zip(&ruleset.sets) {
        acts.push(add_set(table, set, id));
        acts.extend(elements(table, set, Some(timeout), true));
    }
    acts.extend(ruleset.rules.iter().map(|rule| add_rule(table, rule, ifindex)));
    acts
}

/// New timeouts for the timed elements. Deleting and adding in one transaction works everywhere; adding alone is
/// ignored by 6.1.
pub fn rearm(table: &str, ruleset: &Ruleset, timeout: Duration) -> Vec<Act> {
    let timed = ruleset.sets.iter().filter(|set| set.timed);
    timed
        .flat_map(|set| {
            elements(table, set, None, false).into_iter().chain(elements(table, set, Some(timeout), true))
        })
        .collect()
}

/// The other way round: the rules that jump to the chains, then chains with the rest of the rules, then sets.
pub fn remove(table: &str, ruleset: &Ruleset, rules: &[(String, u64)]) -> Vec<Act> {
    let rules = rules.iter().map(|(chain, handle)| delete_rule(table, chain, *handle));
    let chains = ruleset.chains.iter().map(|chain| delete_chain(table, &chain.name));
    let sets = ruleset.sets.iter().map(|set| delete_set(table, &set.name));
    rules.chain(chains).chain(sets).collect()
}

fn add_chain(table: &str, chain: &Chain) -> Act {
    let mut attributes =
        vec![ChainAttribute::Table(table.to_owned()), ChainAttribute::Name(chain.name.clone())];
    if let Some((hook, interface)) = &chain.hook {
        let number = match hook {
            Hook::Egress => DevHookNumber::Egress,
            Hook::Ingress => DevHookNumber::Ingress,
        };
        attributes.push(ChainAttribute::Policy(ACCEPT));
        attributes.push(ChainAttribute::Type("filter".to_owned()));
        attributes.push(ChainAttribute::Hook(vec![
            HookAttribute::Number(HookNumber::Dev(number)),
            HookAttribute::Priority(0),
            HookAttribute::NetDeviceName(interface.clone()),
        ]));
    }
    let on = chain.hook.as_ref().map(|(hook, interface)| format!(" on {} of {interface}", hook.name()));
    Act {
        message: NfTablesMessage::NewChain(ChainMessage { attributes }),
        flags: NLM_F_CREATE,
        line: format!("add chain netdev {table} {}{}", chain.name, on.unwrap_or_default()),
    }
}

pub fn delete_chain(table: &str, name: &str) -> Act {
    let attributes = vec![ChainAttribute::Table(table.to_owned()), ChainAttribute::Name(name.to_owned())];
    Act {
        message: NfTablesMessage::DeleteChain(ChainMessage { attributes }),
        flags: 0,
        line: format!("delete chain netdev {table} {name}"),
    }
}

fn add_rule(table: &str, rule: &Rule, ifindex: &BTreeMap<String, u32>) -> Act {
    let exprs =
        rule.exprs.iter().flat_map(|expr| expr::encode(expr, ifindex)).map(ListAttribute::from).collect();
    let mut attributes = vec![
        RuleAttribute::Table(table.to_owned()),
        RuleAttribute::Chain(rule.chain.clone()),
        RuleAttribute::Expressions(exprs),
    ];
    attributes.extend(rule.comment.as_deref().map(|comment| RuleAttribute::UserData(comment_udata(comment))));
    Act {
        message: NfTablesMessage::NewRule(RuleMessage { attributes }),
        // Without NLM_F_APPEND the rule goes to the head of its chain.
        flags: if rule.head { NLM_F_CREATE } else { NLM_F_CREATE | NLM_F_APPEND },
        line: format!("add rule netdev {table} {} {rule}", rule.chain),
    }
}

/// libnftnl's user data: type 0 (a comment), length, text with its terminator.
fn comment_udata(comment: &str) -> Vec<u8> {
    let length = u8::try_from(comment.len() + 1).unwrap_or(u8::MAX);
    let mut bytes = vec![0, length];
    bytes.extend(comment.as_bytes().iter().take(usize::from(u8::MAX) - 1));
    bytes.push(0);
    bytes
}

/// The comment of a rule, out of its user data.
pub fn comment(udata: &[u8]) -> Option<&str> {
    let (kind, rest) = udata.split_first()?;
    let (length, rest) = rest.split_first()?;
    let text = rest.get(..usize::from(*length))?;
    let text = text.strip_suffix(&[0]).unwrap_or(text);
    (*kind == 0).then(|| std::str::from_utf8(text).ok()).flatten()
}

fn delete_rule(table: &str, chain: &str, handle: u64) -> Act {
    let attributes = vec![
        RuleAttribute::Table(table.to_owned()),
        RuleAttribute::Chain(chain.to_owned()),
        RuleAttribute::Handle(handle),
    ];
    Act {
        message: NfTablesMessage::DeleteRule(RuleMessage { attributes }),
        flags: 0,
        line: format!("delete rule netdev {table} {chain} handle {handle}"),
    }
}

/// The lengths of the fields of a key, in bytes, and nft's number for its type (`enum datatypes` of nftables), so that
/// `nft list` prints addresses and ports. A concatenation has six bits for each part.
fn key(shape: Shape) -> (&'static [u8], u32) {
    const IPADDR: u32 = 7;
    const IP6ADDR: u32 = 8;
    const PROTO: u32 = 12;
    const SERVICE: u32 = 13;
    const fn concat(parts: [u32; 3]) -> u32 {
        parts[0] << 12 | parts[1] << 6 | parts[2]
    }
    match shape {
        Shape::Host(Family::V4) | Shape::Net(Family::V4) => (&[4], IPADDR),
        Shape::Host(Family::V6) | Shape::Net(Family::V6) => (&[16], IP6ADDR),
        Shape::Service(Family::V4) => (&[4, 1, 2], concat([IPADDR, PROTO, SERVICE])),
        Shape::Service(Family::V6) => (&[16, 1, 2], concat([IP6ADDR, PROTO, SERVICE])),
        Shape::Connection(Family::V4) => (&[4, 2, 2], concat([IPADDR, SERVICE, SERVICE])),
        Shape::Connection(Family::V6) => (&[16, 2, 2], concat([IP6ADDR, SERVICE, SERVICE])),
        Shape::LocalPort => (&[1, 2], concat([0, PROTO, SERVICE])),
    }
}

fn add_set(table: &str, set: &Set, id: u32) -> Act {
    let (fields, key_type) = key(set.shape);
    let mut flags = SetFlags::empty();
    flags.set(SetFlags::Interval, set.shape.interval());
    flags.set(SetFlags::Timeout, set.timed);
    flags.set(SetFlags::Concat, fields.len() > 1);
    // Each field of a concatenation is padded to 32 bits.
    let length = fields.iter().map(|field| u32::from(*field).next_multiple_of(4)).sum();
    let mut attributes = vec![
        SetAttribute::Table(table.to_owned()),
        SetAttribute::Name(set.name.clone()),
        SetAttribute::Flags(flags),
        SetAttribute::KeyType(key_type),
        SetAttribute::KeyLen(length),
        SetAttribute::Id(id),
    ];
    if fields.len() > 1 {
        attributes.push(SetAttribute::Description(vec![SetDescription::Concat(
            fields.iter().map(|field| field_description(*field)).collect(),
        )]));
    }
    Act {
        message: NfTablesMessage::NewSet(SetMessage { attributes }),
        flags: NLM_F_CREATE,
        line: format!("add set netdev {table} {} {{ type {}; }}", set.name, set.shape),
    }
}

/// `NFTA_LIST_ELEM` around `NFTA_SET_FIELD_LEN`, both nested the way libnftnl does.
fn field_description(length: u8) -> DefaultNla {
    const NFTA_SET_FIELD_LEN: u16 = 1;
    DefaultNla::new(attr::LIST_ELEM | NLA_F_NESTED, nla(NFTA_SET_FIELD_LEN, &u32::from(length).to_be_bytes()))
}

fn delete_set(table: &str, name: &str) -> Act {
    let attributes = vec![SetAttribute::Table(table.to_owned()), SetAttribute::Name(name.to_owned())];
    Act {
        message: NfTablesMessage::DeleteSet(SetMessage { attributes }),
        flags: 0,
        line: format!("delete set netdev {table} {name}"),
    }
}

fn elements(table: &str, set: &Set, timeout: Option<Duration>, add: bool) -> Vec<Act> {
    let timeout = timeout.filter(|_| set.timed);
    let chunk = |chunk: &[Element]| {
        const NFTA_SET_ELEM_LIST_ELEMENTS: u16 = 3;
        let list = DefaultNla::new(NFTA_SET_ELEM_LIST_ELEMENTS | NLA_F_NESTED, element_list(chunk, timeout));
        let message = SetElementMessage {
            attributes: vec![
                SetElementList::Table(table.to_owned()),
                SetElementList::Set(set.name.clone()),
                SetElementList::Other(list),
            ],
        };
        let (verb, flags) = if add { ("add", NLM_F_CREATE) } else { ("delete", 0) };
        let first = chunk.first().map(ToString::to_string).unwrap_or_default();
        let more = if chunk.len() > 1 { format!(" and {} more", chunk.len() - 1) } else { String::new() };
        Act {
            message: if add {
                NfTablesMessage::NewSetElement(message)
            } else {
                NfTablesMessage::DeleteSetElement(message)
            },
            flags,
            line: format!("{verb} element netdev {table} {} {{ {first}{more} }}", set.name),
        }
    };
    set.elements.chunks(ELEMENTS_PER_MESSAGE).map(chunk).collect()
}

/// `NFTA_SET_ELEM_*` and `NFTA_DATA_VALUE` (`linux/netfilter/nf_tables.h`).
mod attr {
    pub const LIST_ELEM: u16 = 1;
    pub const KEY: u16 = 1;
    pub const FLAGS: u16 = 3;
    pub const TIMEOUT: u16 = 4;
    pub const KEY_END: u16 = 10;
    pub const DATA_VALUE: u16 = 1;
}

/// The elements as bytes. The crate has types for them, but it measures each one anew on every level that it is nested
/// in: for 10,000 elements that took 26 ms, and this takes less than one.
fn element_list(elements: &[Element], timeout: Option<Duration>) -> Vec<u8> {
    // The kernel counts in milliseconds, and 0 would mean for ever.
    let millis = timeout.map(|timeout| u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX).max(1));
    let timeout = millis.map(|millis| nla(attr::TIMEOUT, &millis.to_be_bytes())).unwrap_or_default();
    let key = |kind, bytes: &[u8]| nla(kind | NLA_F_NESTED, &nla(attr::DATA_VALUE, bytes));
    let entry = |attributes: &[&[u8]]| nla(attr::LIST_ELEM | NLA_F_NESTED, &attributes.concat());
    let mut list = Vec::new();
    for element in elements {
        match *element {
            Element::Host(address) => {
                list.extend(entry(&[&key(attr::KEY, &octets(address)), &timeout]));
            }
            // Two entries: the first key, and the key after the last; after the highest address there is none.
            Element::Net(range) => {
                list.extend(entry(&[&key(attr::KEY, &octets(range.first)), &timeout]));
                if let Some(after) = next(range.last) {
                    let end = nla(attr::FLAGS, &SetElementFlags::IntervalEnd.bits().to_be_bytes());
                    list.extend(entry(&[&key(attr::KEY, &octets(after)), &end]));
                }
            }
            // One entry with two keys.
            Element::Service { range, protocol, port } => {
                let bytes =
                    |address| [octets(address), vec![protocol.number(), 0, 0, 0], port_field(port)].concat();
                let [first, last] = [bytes(range.first), bytes(range.last)];
                list.extend(entry(&[&key(attr::KEY, &first), &key(attr::KEY_END, &last), &timeout]));
            }
            Element::Connection { peer, peer_port, local_port } => {
                let bytes = [octets(peer), port_field(peer_port), port_field(local_port)].concat();
                list.extend(entry(&[&key(attr::KEY, &bytes), &timeout]));
            }
            Element::LocalPort { protocol, port } => {
                let bytes = [vec![protocol.number(), 0, 0, 0], port_field(port)].concat();
                list.extend(entry(&[&key(attr::KEY, &bytes), &timeout]));
            }
        }
    }
    list
}

/// A netlink attribute: length, kind, value, padding to 32 bits.
fn nla(kind: u16, value: &[u8]) -> Vec<u8> {
    // The callers keep far below 64 KiB; see ELEMENTS_PER_MESSAGE.
    let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
    let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

fn port_field(port: u16) -> Vec<u8> {
    [port.to_be_bytes(), [0, 0]].concat()
}

fn next(address: IpAddr) -> Option<IpAddr> {
    match address {
        IpAddr::V4(address) => u32::from(address).checked_add(1).map(|next| IpAddr::V4(next.into())),
        IpAddr::V6(address) => u128::from(address).checked_add(1).map(|next| IpAddr::V6(next.into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_comment_survives_its_user_data() {
        assert_eq!(comment(&comment_udata("f17")), Some("f17"));
        for broken in [&[][..], &[0], &[0, 9, b'f'], &[1, 2, b'f', 0], &[0, 2, 0xff, 0]] {
            assert_eq!(comment(broken), None, "{broken:?}");
        }
    }

    #[test]
    fn everything_needs_no_end() {
        let range = |first: &str, last: &str| {
            let range = crate::plan::Range { first: first.parse().unwrap(), last: last.parse().unwrap() };
            element_list(&[Element::Net(range)], None).len()
        };
        // Element, key and value are nested (4 bytes each, and 4 of address); an end has its flag (8) besides.
        assert_eq!(range("0.0.0.0", "255.255.255.255"), 16);
        assert_eq!(range("10.0.0.0", "10.0.0.255"), 16 + 24);
    }
}
