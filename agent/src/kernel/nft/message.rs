//! A [`Ruleset`] as the netlink messages that add it, rearm it or remove it.

use std::net::IpAddr;
use std::time::Duration;

use netlink_packet_core::{DefaultNla, NLA_F_NESTED, NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL};
use netlink_packet_netfilter::nftables::{
    ChainAttribute, ChainMessage, DevHookNumber, Hook as HookAttribute, HookNumber, InetHookNumber,
    ListAttribute, NfTablesMessage, RuleAttribute, RuleMessage, SetAttribute, SetDescription,
    SetElementFlags, SetElementList, SetElementMessage, SetFlags, SetMessage, TableAttribute, TableFlags,
    TableMessage,
};

use super::dispatch::Dispatch;
use super::{Bindings, expr};
use crate::plan::{
    Base, Chain, Element, Family, Hook, Rule, Ruleset, Set, Shape, TableFamily, protocol_number,
};

/// `NF_ACCEPT`, the policy of hooked chains.
const ACCEPT: u32 = 1;

/// An attribute's length is 16 bits and the encoder does not check it: this many elements stay far below.
const ELEMENTS_PER_MESSAGE: usize = 500;

/// One message of a transaction, with its line for the error that names it.
#[derive(Debug)]
pub struct Act {
    pub family: TableFamily,
    pub message: NfTablesMessage,
    pub flags: u16,
    pub line: String,
}

/// A table by its family and name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct In<'a> {
    pub family: TableFamily,
    pub table: &'a str,
}

impl In<'_> {
    fn act(self, message: NfTablesMessage, flags: u16, line: impl std::fmt::Display) -> Act {
        Act { family: self.family, message, flags, line: line.to_string() }
    }

    fn name(self) -> String {
        format!("{} {}", self.family.nft(), self.table)
    }
}

/// `add table netdev partition_agent { flags owner; }`
pub fn add_table(at: In) -> Act {
    let attributes =
        vec![TableAttribute::Name(at.table.to_owned()), TableAttribute::Flags(TableFlags::Owner)];
    let message = NfTablesMessage::NewTable(TableMessage { attributes });
    at.act(message, NLM_F_CREATE | NLM_F_EXCL, format_args!("add table {} {{ flags owner; }}", at.name()))
}

/// `delete table netdev partition_agent`
pub fn delete_table(at: In) -> Act {
    let attributes = vec![TableAttribute::Name(at.table.to_owned())];
    let message = NfTablesMessage::DeleteTable(TableMessage { attributes });
    at.act(message, 0, format_args!("delete table {}", at.name()))
}

/// Where in its chain a rule is added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    Head,
    /// Before the rule with this handle.
    Before(u64),
    End,
}

/// Chains first, since rules jump to them; then sets with their elements; rules last. Without a timeout the timed
/// elements are left for later.
pub fn add(at: In, ruleset: &Ruleset, timeout: Option<Duration>, bindings: &Bindings) -> Vec<Act> {
    add_among(at, ruleset, timeout, bindings, &Dispatch::default())
}

/// The same, with rules that find their place among those of others.
pub fn add_among(
    at: In,
    ruleset: &Ruleset,
    timeout: Option<Duration>,
    bindings: &Bindings,
    dispatch: &Dispatch,
) -> Vec<Act> {
    let mut acts = ruleset.chains.iter().map(|chain| add_chain(at, chain)).collect::<Vec<_>>();
    for (id, set) in (1..).zip(&ruleset.sets) {
        acts.push(add_set(at, set, id));
        if timeout.is_some() || !set.timed {
            acts.extend(elements(at, set, timeout, true));
        }
    }
    acts.extend(ruleset.rules.iter().map(|rule| add_rule(at, rule, dispatch.position(rule), bindings)));
    acts
}

/// The timed elements, which are not there.
pub fn arm(at: In, ruleset: &Ruleset, timeout: Duration) -> Vec<Act> {
    let timed = ruleset.sets.iter().filter(|set| set.timed);
    timed.flat_map(|set| elements(at, set, Some(timeout), true)).collect()
}

/// New timeouts for the timed elements, which are there. Deleting and adding in one transaction works everywhere; adding
/// alone is ignored by 6.1.
pub fn rearm(at: In, ruleset: &Ruleset, timeout: Duration) -> Vec<Act> {
    let timed = ruleset.sets.iter().filter(|set| set.timed);
    timed
        .flat_map(|set| {
            elements(at, set, None, false).into_iter().chain(elements(at, set, Some(timeout), true))
        })
        .collect()
}

/// The other way round: the rules that jump to the chains, then chains with the rest of the rules, then sets.
pub fn remove(at: In, ruleset: &Ruleset, rules: &[(String, u64)]) -> Vec<Act> {
    let rules = rules.iter().map(|(chain, handle)| delete_rule(at, chain, *handle));
    let chains = ruleset.chains.iter().map(|chain| delete_chain(at, &chain.name));
    let sets = ruleset.sets.iter().map(|set| delete_set(at, &set.name));
    rules.chain(chains).chain(sets).collect()
}

/// Number, priority and type of a base chain, and the interface that it sits on.
fn hook(base: &Base) -> (HookNumber, i32, &'static str, Option<&String>) {
    match base {
        Base::Device(Hook::Egress, device) => (DevHookNumber::Egress.into(), 0, "filter", Some(device)),
        Base::Device(Hook::Ingress, device) => (DevHookNumber::Ingress.into(), 0, "filter", Some(device)),
        Base::Output(priority) => (InetHookNumber::LocalOut.into(), *priority, "filter", None),
        Base::Input(priority) => (InetHookNumber::LocalIn.into(), *priority, "filter", None),
        Base::Forward(priority) => (InetHookNumber::Forward.into(), *priority, "filter", None),
        Base::Prerouting(priority) => (InetHookNumber::PreRouting.into(), *priority, "filter", None),
        Base::Route(priority) => (InetHookNumber::LocalOut.into(), *priority, "route", None),
    }
}

fn add_chain(at: In, chain: &Chain) -> Act {
    let mut attributes =
        vec![ChainAttribute::Table(at.table.to_owned()), ChainAttribute::Name(chain.name.clone())];
    if let Some(base) = &chain.base {
        let (number, priority, kind, device) = hook(base);
        // A signed number in an attribute that the crate has without a sign.
        let priority = HookAttribute::Priority(u32::from_ne_bytes(priority.to_ne_bytes()));
        let mut hook = vec![HookAttribute::Number(number), priority];
        hook.extend(device.cloned().map(HookAttribute::NetDeviceName));
        attributes.push(ChainAttribute::Policy(ACCEPT));
        attributes.push(ChainAttribute::Type(kind.to_owned()));
        attributes.push(ChainAttribute::Hook(hook));
    }
    let message = NfTablesMessage::NewChain(ChainMessage { attributes });
    let on = match &chain.base {
        Some(Base::Device(hook, interface)) => format!(" on {} of {interface}", hook.name()),
        Some(base) => format!(" {{ {base}; }}"),
        None => String::new(),
    };
    at.act(message, NLM_F_CREATE, format_args!("add chain {} {}{on}", at.name(), chain.name))
}

pub fn delete_chain(at: In, name: &str) -> Act {
    let attributes = vec![ChainAttribute::Table(at.table.to_owned()), ChainAttribute::Name(name.to_owned())];
    let message = NfTablesMessage::DeleteChain(ChainMessage { attributes });
    at.act(message, 0, format_args!("delete chain {} {name}", at.name()))
}

pub fn add_rule(at: In, rule: &Rule, position: Position, bindings: &Bindings) -> Act {
    let exprs =
        rule.exprs.iter().flat_map(|expr| expr::encode(expr, bindings)).map(ListAttribute::from).collect();
    let mut attributes = vec![
        RuleAttribute::Table(at.table.to_owned()),
        RuleAttribute::Chain(rule.chain.clone()),
        RuleAttribute::Expressions(exprs),
    ];
    attributes.extend(rule.comment.as_deref().map(|comment| RuleAttribute::UserData(comment_udata(comment))));
    // Without NLM_F_APPEND the rule goes to the head of its chain, or before the one at its position.
    let flags = match position {
        Position::Head => NLM_F_CREATE,
        Position::Before(handle) => {
            attributes.push(RuleAttribute::Position(handle));
            NLM_F_CREATE
        }
        Position::End => NLM_F_CREATE | NLM_F_APPEND,
    };
    let message = NfTablesMessage::NewRule(RuleMessage { attributes });
    at.act(message, flags, format_args!("add rule {} {} {rule}", at.name(), rule.chain))
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

pub fn delete_rule(at: In, chain: &str, handle: u64) -> Act {
    let attributes = vec![
        RuleAttribute::Table(at.table.to_owned()),
        RuleAttribute::Chain(chain.to_owned()),
        RuleAttribute::Handle(handle),
    ];
    let message = NfTablesMessage::DeleteRule(RuleMessage { attributes });
    at.act(message, 0, format_args!("delete rule {} {chain} handle {handle}", at.name()))
}

/// The lengths of the fields of a key, in bytes, and nft's number for its type (`enum datatypes` of nftables), so that
/// `nft list` prints addresses and ports. A concatenation has six bits for each part.
fn key(shape: Shape) -> (&'static [u8], u32) {
    const IPADDR: u32 = 7;
    const IP6ADDR: u32 = 8;
    const ETHERTYPE: u32 = 10;
    const PROTO: u32 = 12;
    const SERVICE: u32 = 13;
    const fn concat(parts: [u32; 4]) -> u32 {
        parts[0] << 18 | parts[1] << 12 | parts[2] << 6 | parts[3]
    }
    match shape {
        Shape::Host(Family::V4) | Shape::Net(Family::V4) => (&[4], IPADDR),
        Shape::Host(Family::V6) | Shape::Net(Family::V6) => (&[16], IP6ADDR),
        Shape::Service(Family::V4, _) => (&[4, 1, 2], concat([0, IPADDR, PROTO, SERVICE])),
        Shape::Service(Family::V6, _) => (&[16, 1, 2], concat([0, IP6ADDR, PROTO, SERVICE])),
        Shape::Connection(Family::V4) => (&[4, 2, 2], concat([0, IPADDR, SERVICE, SERVICE])),
        Shape::Connection(Family::V6) => (&[16, 2, 2], concat([0, IP6ADDR, SERVICE, SERVICE])),
        Shape::Flow(Family::V4) => (&[4, 1, 2, 2], concat([IPADDR, PROTO, SERVICE, SERVICE])),
        Shape::Flow(Family::V6) => (&[16, 1, 2, 2], concat([IP6ADDR, PROTO, SERVICE, SERVICE])),
        Shape::LocalPort => (&[1, 2], concat([0, 0, PROTO, SERVICE])),
        Shape::Ethertype => (&[2], ETHERTYPE),
    }
}

fn add_set(at: In, set: &Set, id: u32) -> Act {
    let (fields, key_type) = key(set.shape);
    let mut flags = SetFlags::empty();
    flags.set(SetFlags::Interval, set.shape.interval());
    flags.set(SetFlags::Timeout, set.timed || set.shape.learned());
    flags.set(SetFlags::Eval, set.shape.learned());
    flags.set(SetFlags::Concat, fields.len() > 1);
    // Each field of a concatenation is padded to 32 bits.
    let length = match fields {
        [one] => u32::from(*one),
        many => many.iter().map(|field| u32::from(*field).next_multiple_of(4)).sum(),
    };
    let mut attributes = vec![
        SetAttribute::Table(at.table.to_owned()),
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
    let message = NfTablesMessage::NewSet(SetMessage { attributes });
    at.act(
        message,
        NLM_F_CREATE,
        format_args!("add set {} {} {{ type {}; }}", at.name(), set.name, set.shape),
    )
}

/// `NFTA_LIST_ELEM` around `NFTA_SET_FIELD_LEN`, both nested the way libnftnl does.
fn field_description(length: u8) -> DefaultNla {
    const NFTA_SET_FIELD_LEN: u16 = 1;
    DefaultNla::new(attr::LIST_ELEM | NLA_F_NESTED, nla(NFTA_SET_FIELD_LEN, &u32::from(length).to_be_bytes()))
}

/// Every rule of the chain.
pub fn flush_chain(at: In, chain: &str) -> Act {
    let attributes = vec![RuleAttribute::Table(at.table.to_owned()), RuleAttribute::Chain(chain.to_owned())];
    let message = NfTablesMessage::DeleteRule(RuleMessage { attributes });
    at.act(message, 0, format_args!("flush chain {} {chain}", at.name()))
}

/// Every element of the set.
pub fn flush_set(at: In, name: &str) -> Act {
    let attributes = vec![SetElementList::Table(at.table.to_owned()), SetElementList::Set(name.to_owned())];
    let message = NfTablesMessage::DeleteSetElement(SetElementMessage { attributes });
    at.act(message, 0, format_args!("flush set {} {name}", at.name()))
}

pub fn delete_set(at: In, name: &str) -> Act {
    let attributes = vec![SetAttribute::Table(at.table.to_owned()), SetAttribute::Name(name.to_owned())];
    let message = NfTablesMessage::DeleteSet(SetMessage { attributes });
    at.act(message, 0, format_args!("delete set {} {name}", at.name()))
}

pub fn elements(at: In, set: &Set, timeout: Option<Duration>, add: bool) -> Vec<Act> {
    let timeout = timeout.filter(|_| set.timed);
    let chunk = |chunk: &[Element]| {
        const NFTA_SET_ELEM_LIST_ELEMENTS: u16 = 3;
        let list = DefaultNla::new(NFTA_SET_ELEM_LIST_ELEMENTS | NLA_F_NESTED, element_list(chunk, timeout));
        let message = SetElementMessage {
            attributes: vec![
                SetElementList::Table(at.table.to_owned()),
                SetElementList::Set(set.name.clone()),
                SetElementList::Other(list),
            ],
        };
        let (verb, flags) = if add { ("add", NLM_F_CREATE) } else { ("delete", 0) };
        let message = if add {
            NfTablesMessage::NewSetElement(message)
        } else {
            NfTablesMessage::DeleteSetElement(message)
        };
        let first = chunk.first().map(ToString::to_string).unwrap_or_default();
        let more = if chunk.len() > 1 { format!(" and {} more", chunk.len() - 1) } else { String::new() };
        let line = format_args!("{verb} element {} {} {{ {first}{more} }}", at.name(), set.name).to_string();
        at.act(message, flags, line)
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
            Element::Service { range, protocol, ports } => {
                let number = protocol_number(protocol, Family::of(range.first));
                let bytes =
                    |address, port| [octets(address), vec![number, 0, 0, 0], port_field(port)].concat();
                let [first, last] = [bytes(range.first, ports.first()), bytes(range.last, ports.last())];
                list.extend(entry(&[&key(attr::KEY, &first), &key(attr::KEY_END, &last), &timeout]));
            }
            Element::Connection { peer, peer_port, local_port } => {
                let bytes = [octets(peer), port_field(peer_port), port_field(local_port)].concat();
                list.extend(entry(&[&key(attr::KEY, &bytes), &timeout]));
            }
            Element::LocalPort { protocol, port } => {
                let number = protocol_number(protocol, Family::V4);
                let bytes = [vec![number, 0, 0, 0], port_field(port)].concat();
                list.extend(entry(&[&key(attr::KEY, &bytes), &timeout]));
            }
            Element::Ethertype(family) => {
                list.extend(entry(&[&key(attr::KEY, &family.ethertype().to_be_bytes()), &timeout]));
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
