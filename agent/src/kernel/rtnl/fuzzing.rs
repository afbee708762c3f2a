//! Messages of rtnetlink: as its crates read them, and what is made of that here.

use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;

use super::{dropped_by_link, dropped_by_qdisc, link, netem, options, others, refusal, routes};

/// One message of the kernel's; without a header that says so, the options of a netem.
pub fn replies(bytes: &[u8]) {
    if let Some(seen) = netem::decode(bytes) {
        assert!(!format!("{seen:?}").is_empty());
    }
    let Ok(message) = NetlinkMessage::<RouteNetlinkMessage>::deserialize(bytes) else { return };
    match message.payload {
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(message)) => {
            let link = link(&message);
            assert!(!link.ours || link.name.starts_with("pa-"), "{link:?}");
            let _ = dropped_by_link(&message);
        }
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewQueueDiscipline(qdisc)) => {
            let _ = (options(&qdisc).and_then(|options| netem::decode(&options)), dropped_by_qdisc(&qdisc));
            others::fuzz(&qdisc);
        }
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewAddress(address)) => {
            routes::fuzz_address(&address)
        }
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewRoute(route)) => routes::fuzz_route(&route),
        NetlinkPayload::Error(error) => {
            let refusal = refusal("ask", rtnetlink::Error::NetlinkError(error));
            assert!(!refusal.to_string().is_empty());
        }
        _ => {}
    }
}
