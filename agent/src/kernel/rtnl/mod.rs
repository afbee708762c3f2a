//! Links, qdiscs, addresses and routes over rtnetlink.

#[cfg(feature = "fuzz")]
pub mod fuzzing;
pub mod netem;
mod others;
mod redirect;
mod routes;

use std::collections::BTreeMap;
use std::io;

use futures_util::{FutureExt, Stream, StreamExt, TryStreamExt};
use netlink_packet_core::{
    DefaultNla, NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST, NetlinkMessage, NetlinkPayload, Nla,
};
use netlink_packet_route::link::{
    AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InfoKind, LinkAttribute, LinkFlags, LinkInfo, LinkLayerType,
    LinkMessage,
};
use netlink_packet_route::tc::{TcAttribute, TcHandle, TcMessage, TcOption, TcStats2};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use nix::errno::Errno;
use rtnetlink::sys::AsyncSocket;
use rtnetlink::{Error, Handle, LinkIfb, LinkUnspec, MulticastGroup};
use tokio::task::JoinSet;

use super::error::errno_of;
use super::nft::ext_ack_text;
use super::{QueueSeen, Refusal, Within};
use crate::crash::{self, Point};
use crate::plan::{Impairment, Incarnation};

pub use routes::Interfaces;

/// What makes a fault look for other interfaces, or hook one again.
const NEWS: [MulticastGroup; 5] = [
    MulticastGroup::Link,
    MulticastGroup::Ipv4Ifaddr,
    MulticastGroup::Ipv6Ifaddr,
    MulticastGroup::Ipv4Route,
    MulticastGroup::Ipv6Route,
];

/// The first bytes of the hardware address of our links ("pa", locally administered). A link has it from the moment
/// that it exists, so a link is ours if its kind, its name and its address all say so.
const OUR_ADDRESS: [u8; 3] = [0x02, 0x70, 0x61];

/// The handle of our netem: not one that the kernel would choose.
const OUR_QDISC: TcHandle = TcHandle { major: 0x7061, minor: 0 };

/// `TCA_OPTIONS`.
const TCA_OPTIONS: u16 = 2;

/// A connection for questions and changes, and one that hears of interfaces, addresses and routes.
pub struct Rtnl {
    handle: Handle,
    news: News,
    /// How many interfaces of an index were deleted, as far as the news have been taken.
    gone: BTreeMap<u32, u32>,
    /// Ended with this. The listening one would not end by itself before it hears something more, and keeps its network
    /// namespace alive until then: that of a container that is gone, for ever.
    _connections: JoinSet<()>,
}

/// Changes; where an interface was deleted, with its index.
type News = futures_util::stream::BoxStream<'static, Option<u32>>;

/// Indexes are seldom used again, and hosts that start many containers have many that were used once. What is forgotten costs
/// an exchange of TAPs that would not have been needed.
const MOST_GONE: usize = 65_536;

/// A link, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub index: u32,
    pub name: String,
    pub up: bool,
    pub loopback: bool,
    /// With Ethernet headers: what the emulator can read.
    pub ethernet: bool,
    pub address: Vec<u8>,
    /// Made by an agent.
    pub ours: bool,
    /// The interface that carries this VLAN.
    pub vlan_on: Option<u32>,
}

impl Rtnl {
    /// The connections run on the current runtime.
    pub fn connect(within: &Within) -> io::Result<Self> {
        let runtime = tokio::runtime::Handle::current();
        within.run(|| {
            let _entered = runtime.enter();
            let mut connections = JoinSet::new();
            let (mut connection, handle, _) = rtnetlink::new_connection()?;
            let socket = connection.socket_mut().socket_mut();
            socket.set_ext_ack(true)?;
            socket.set_cap_ack(true)?;
            connections.spawn(connection);
            let (connection, _, news) = rtnetlink::new_multicast_connection(&NEWS)?;
            connections.spawn(connection);
            Ok(Self {
                handle,
                news: news.map(|(message, _)| deleted(&message)).boxed(),
                gone: BTreeMap::new(),
                _connections: connections,
            })
        })?
    }

    /// Returns when the kernel has announced a change, and takes what it announced with it.
    pub async fn changed(&mut self) {
        let Some(first) = self.news.next().await else {
            // The listening socket is gone; without it there is no news, and that is no reason to spin.
            return std::future::pending().await;
        };
        self.note(first);
        while let Some(Some(more)) = self.news.next().now_or_never() {
            self.note(more);
        }
    }

    fn note(&mut self, deleted: Option<u32>) {
        let Some(index) = deleted else { return };
        if self.gone.len() >= MOST_GONE {
            self.gone.clear();
        }
        *self.gone.entry(index).or_default() += 1;
    }

    /// The interface that has this index now.
    pub fn which(&self, index: u32) -> Incarnation {
        Incarnation { index, nth: self.gone.get(&index).copied().unwrap_or_default() }
    }

    pub async fn links(&self) -> Result<Vec<Link>, Refusal> {
        collect("ip link show", self.handle.link().get().execute())
            .await
            .map(|links| links.iter().map(link).collect())
    }

    /// `ip link add NAME address 02:70:61:.. type ifb`, without an IPv6 address of its own.
    pub async fn add_ifb(&self, name: &str) -> Result<(), Refusal> {
        let act = format!("ip link add {name} type ifb");
        let [a, b, c] = OUR_ADDRESS;
        let message = LinkIfb::new(name).address(vec![a, b, c, 0, 0, 1]).build();
        self.handle.link().add(message).execute().await.map_err(|error| refusal(&act, error))?;
        crash::at(Point::IfbMade);
        self.quiet(name).await
    }

    /// `ip link set NAME addrgenmode none`: up with an address of its own, it would talk to nobody and show in the routes.
    pub async fn quiet(&self, name: &str) -> Result<(), Refusal> {
        let index = self.index(name).await?;
        let quiet = AfSpecUnspec::Inet6(vec![AfSpecInet6::AddrGenMode(In6AddrGenMode::None)]);
        let mut message = LinkMessage::default();
        message.header.index = index;
        message.attributes.push(LinkAttribute::AfSpecUnspec(vec![quiet]));
        let set = self.handle.link().set(message).execute().await;
        crash::at(Point::LinkQuieted);
        match set {
            Ok(()) => Ok(()),
            // A kernel without IPv6 needs no telling.
            Err(Error::NetlinkError(e)) if e.raw_code() == -(Errno::EAFNOSUPPORT as i32) => Ok(()),
            Err(error) => Err(refusal(&format!("ip link set {name} addrgenmode none"), error)),
        }
    }

    /// `tc qdisc add dev IFB root handle 7061: netem ...`
    pub async fn add_netem(&self, ifb: &str, impairment: &Impairment) -> Result<(), Refusal> {
        self.netem("add", NLM_F_CREATE | NLM_F_EXCL, ifb, impairment).await
    }

    /// The same with `change`: packets that wait in the queue keep their time.
    pub async fn change_netem(&self, ifb: &str, impairment: &Impairment) -> Result<(), Refusal> {
        self.netem("change", 0, ifb, impairment).await
    }

    async fn netem(&self, verb: &str, flags: u16, ifb: &str, impairment: &Impairment) -> Result<(), Refusal> {
        let act = format!("tc qdisc {verb} dev {ifb} root {impairment}");
        let mut message = TcMessage::with_index(index(self.index(ifb).await?));
        message.header.parent = TcHandle::ROOT;
        message.header.handle = OUR_QDISC;
        message.attributes.push(TcAttribute::Kind("netem".to_owned()));
        // Not `TcAttribute::Options`: that would put TCA_OPTIONS inside TCA_OPTIONS.
        message.attributes.push(TcAttribute::Other(DefaultNla::new(TCA_OPTIONS, netem::encode(impairment))));
        let mut request = NetlinkMessage::from(RouteNetlinkMessage::NewQueueDiscipline(message));
        request.header.flags = NLM_F_REQUEST | NLM_F_ACK | flags;
        let mut replies = self.handle.clone().request(request).map_err(|error| refusal(&act, error))?;
        while let Some(reply) = replies.next().await {
            if let NetlinkPayload::Error(error) = reply.payload {
                return Err(refusal(&act, Error::NetlinkError(error)));
            }
        }
        crash::at(Point::NetemSet);
        Ok(())
    }

    /// `ip link set NAME up`
    pub async fn set_up(&self, name: &str) -> Result<(), Refusal> {
        let index = self.index(name).await?;
        let message = LinkUnspec::new_with_index(index).up().build();
        let set = self.handle.link().set(message).execute().await;
        crash::at(Point::LinkUp);
        set.map_err(|error| refusal(&format!("ip link set {name} up"), error))
    }

    /// `ip link del NAME`, where it is ours; what is already gone counts as deleted.
    pub async fn delete(&self, name: &str) -> Result<(), Refusal> {
        // Asked by name: a list may miss a link when others come and go while it is written.
        let asked = self.handle.link().get().match_name(name).execute();
        let link = match collect(&format!("ip link show {name}"), asked).await {
            Ok(links) => links.first().map(link).filter(|link| link.ours),
            Err(refusal) if refusal.is_absent() => None,
            Err(refusal) => return Err(refusal),
        };
        let Some(link) = link else { return Ok(()) };
        let deleted = self.handle.link().del(link.index).execute().await;
        crash::at(Point::LinkDeleted);
        match deleted.map_err(|error| refusal(&format!("ip link del {name}"), error)) {
            Err(refusal) if !refusal.is_absent() => Err(refusal),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// The netem queues on our links.
    pub async fn queues(&self) -> Result<BTreeMap<String, QueueSeen>, Refusal> {
        let links = self.links().await?;
        let qdiscs = collect("tc qdisc show", self.handle.qdisc().get().execute()).await?;
        let ours = |qdisc: &TcMessage| {
            links.iter().find(|link| index(link.index) == qdisc.header.index && link.ours).cloned()
        };
        let queue = |qdisc: &TcMessage| {
            let link = ours(qdisc)?;
            let netem = netem::decode(&options(qdisc)?)?;
            Some((link.name, QueueSeen { up: link.up, netem }))
        };
        Ok(qdiscs.iter().filter_map(queue).collect())
    }

    /// How many packets each of our links has dropped, of itself, as a TAP whose ring is full, or by a qdisc on it, as netem.
    pub async fn drops(&self) -> Result<BTreeMap<String, u64>, Refusal> {
        let links = collect("ip -s link show", self.handle.link().get().execute()).await?;
        let qdiscs = collect("tc -s qdisc show", self.handle.qdisc().get().execute()).await?;
        let ours = links.iter().map(|message| (message, link(message))).filter(|(_, link)| link.ours);
        let drops = ours.map(|(message, link)| {
            let on_it = qdiscs.iter().filter(|qdisc| qdisc.header.index == index(link.index));
            let drops = dropped_by_link(message) + on_it.map(dropped_by_qdisc).sum::<u64>();
            (link.name, drops)
        });
        Ok(drops.collect())
    }

    async fn index(&self, name: &str) -> Result<u32, Refusal> {
        let links = self.handle.link().get().match_name(name).execute();
        let links = collect(&format!("ip link show {name}"), links).await?;
        let found = links.first().map(|link| link.header.index);
        found.ok_or_else(|| Refusal::new(format!("ip link show {name}"), Errno::ENODEV, None))
    }
}

fn link(message: &LinkMessage) -> Link {
    let mut name = String::new();
    let mut kind = None;
    let mut below = None;
    let mut hardware = Vec::new();
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(text) => name.clone_from(text),
            LinkAttribute::Address(bytes) => hardware.clone_from(bytes),
            LinkAttribute::Link(index) => below = Some(*index),
            LinkAttribute::LinkInfo(infos) => {
                kind = infos.iter().find_map(|info| match info {
                    LinkInfo::Kind(kind) => Some(kind),
                    _ => None,
                });
            }
            _ => {}
        }
    }
    let flags = message.header.flags;
    Link {
        index: message.header.index,
        up: flags.contains(LinkFlags::Up),
        loopback: flags.contains(LinkFlags::Loopback),
        vlan_on: below.filter(|_| kind == Some(&InfoKind::Vlan)),
        ethernet: message.header.link_layer_type == LinkLayerType::Ether,
        ours: name.starts_with("pa-")
            && match kind {
                Some(InfoKind::Ifb) => hardware.starts_with(&OUR_ADDRESS),
                // It goes with its process, so it needs no sweeping; and an ingress one has another link's address.
                Some(InfoKind::Tun) => true,
                _ => false,
            },
        address: hardware,
        name,
    }
}

/// A dump keeps the options of kinds that it does not know as one raw attribute.
fn options(qdisc: &TcMessage) -> Option<Vec<u8>> {
    let netem = qdisc.attributes.iter().any(|a| matches!(a, TcAttribute::Kind(kind) if kind == "netem"));
    let raw = qdisc.attributes.iter().find_map(|attribute| match attribute {
        TcAttribute::Options(options) => options.iter().find_map(|option| match option {
            TcOption::Other(nla) => Some(nla),
            _ => None,
        }),
        TcAttribute::Other(nla) => Some(nla),
        _ => None,
    })?;
    netem.then(|| raw_value(raw))
}

/// The bytes of a raw attribute.
fn raw_value(nla: &DefaultNla) -> Vec<u8> {
    let mut bytes = vec![0; nla.value_len()];
    nla.emit_value(&mut bytes);
    bytes
}

fn dropped_by_link(message: &LinkMessage) -> u64 {
    let stats = message.attributes.iter().find_map(|attribute| match attribute {
        LinkAttribute::Stats64(stats) => Some(stats.tx_dropped),
        _ => None,
    });
    stats.unwrap_or_default()
}

fn dropped_by_qdisc(qdisc: &TcMessage) -> u64 {
    let stats = qdisc.attributes.iter().find_map(|attribute| match attribute {
        TcAttribute::Stats2(stats) => stats.iter().find_map(|stat| match stat {
            TcStats2::Queue(queue) => Some(queue.drops),
            _ => None,
        }),
        _ => None,
    });
    u64::from(stats.unwrap_or_default())
}

/// The index of an interface that is gone. A bridge tells of a port that leaves it in the same words, but of its own family.
fn deleted(message: &NetlinkMessage<RouteNetlinkMessage>) -> Option<u32> {
    match &message.payload {
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::DelLink(link)) => {
            (link.header.interface_family == AddressFamily::Unspec).then_some(link.header.index)
        }
        _ => None,
    }
}

/// The kernel's interface indexes are positive `int`s; rtnetlink has them as `u32` here and `i32` there.
fn index(index: u32) -> i32 {
    i32::try_from(index).unwrap_or(i32::MAX)
}

async fn collect<T>(act: &str, stream: impl Stream<Item = Result<T, Error>>) -> Result<Vec<T>, Refusal> {
    stream.try_collect().await.map_err(|error| refusal(act, error))
}

fn refusal(act: &str, error: Error) -> Refusal {
    match error {
        Error::NetlinkError(message) => {
            let errno = Errno::from_raw(message.raw_code().saturating_neg());
            // CAP_ACK cuts the echoed request to its 16-byte header; the words follow.
            let says = message.header.get(16..).and_then(ext_ack_text);
            Refusal::new(act, errno, says)
        }
        Error::UnexpectedMessage(_)
        | Error::RequestFailed
        | Error::NamespaceError(_)
        | Error::InvalidHardwareAddress(_)
        | Error::InvalidIp(_)
        | Error::InvalidAddress(..)
        | Error::InvalidNla(_) => Refusal::new(act, errno_of(&io::Error::other("")), Some(error.to_string())),
    }
}
