//! The TAP that the emulator sits behind: how it is set up, and how what comes back on the way in gets to its interface.

use netlink_packet_route::tc::{
    TcAction, TcActionAttribute, TcActionGeneric, TcActionMirror, TcActionMirrorOption, TcActionOption,
    TcActionType, TcFilterU32Option, TcMirror, TcMirrorActionType, TcU32Key, TcU32Selector,
    TcU32SelectorFlags,
};
use nix::errno::Errno;
use rtnetlink::LinkUnspec;

use super::{Rtnl, index, refusal};
use crate::crash::{self, Point};
use crate::kernel::Refusal;
use crate::plan::{Hook, RETURNED_FROM, Tap};

impl Rtnl {
    /// Gives the TAP its address and sets it up; answers with that address. On the way in that of the interface, because
    /// the kernel compares it with the frame's and takes one for somebody else as not meant for this host.
    pub async fn connect_tap(&self, tap: &Tap) -> Result<[u8; 6], Refusal> {
        let name = &tap.name;
        let links = self.links().await?;
        let interface = links.iter().find(|link| link.name == tap.interface);
        let absent = || Refusal::new(format!("ip link show {}", tap.interface), Errno::ENODEV, None);
        let interface = interface.ok_or_else(absent)?;
        let address = match tap.hook {
            Hook::Egress => RETURNED_FROM,
            Hook::Ingress => interface.address.clone().try_into().map_err(|_| absent())?,
        };
        let own = self.index(name).await?;
        let set = LinkUnspec::new_with_index(own).address(address.to_vec()).build();
        let set = self.handle.link().set(set).execute().await;
        set.map_err(|error| refusal(&format!("ip link set {name} address"), error))?;
        crash::at(Point::AddressSet);
        self.quiet(name).await?;
        match tap.hook {
            Hook::Egress => {}
            Hook::Ingress => self.redirect(name, own, &tap.interface, interface.index).await?,
        }
        self.set_up(name).await?;
        Ok(address)
    }

    /// Only the filter, on a TAP that is never set up.
    pub async fn try_redirect(&self, tap: &Tap) -> Result<(), Refusal> {
        let [own, to] = [self.index(&tap.name).await?, self.index(&tap.interface).await?];
        self.redirect(&tap.name, own, &tap.interface, to).await
    }

    /// `tc qdisc add dev TAP ingress; tc filter add dev TAP parent ffff: protocol all u32 match u32 0 0 action mirred ingress
    /// redirect dev INTERFACE`
    async fn redirect(&self, tap: &str, own: u32, to: &str, to_index: u32) -> Result<(), Refusal> {
        let qdisc = self.handle.qdisc().add(index(own)).ingress().execute().await;
        qdisc.map_err(|error| refusal(&format!("tc qdisc add dev {tap} ingress"), error))?;
        crash::at(Point::IngressMade);
        let mut everything = TcU32Selector::default();
        everything.flags = TcU32SelectorFlags::Terminal;
        everything.nkeys = 1;
        everything.keys = vec![TcU32Key::default()];
        let mut mirror = TcMirror::default();
        mirror.generic = TcActionGeneric::default();
        mirror.generic.action = TcActionType::Stolen;
        mirror.eaction = TcMirrorActionType::IngressRedir;
        mirror.ifindex = to_index;
        let mut action = TcAction::default();
        action.attributes = vec![
            TcActionAttribute::Kind(TcActionMirror::KIND.to_owned()),
            TcActionAttribute::Options(vec![TcActionOption::Mirror(TcActionMirrorOption::Parms(mirror))]),
        ];
        let options = [TcFilterU32Option::Selector(everything), TcFilterU32Option::Action(vec![action])];
        // ETH_P_ALL in network order.
        let protocol = 0x0003_u16.to_be();
        let act = format!("tc filter add dev {tap} parent ffff: u32 action mirred ingress redirect dev {to}");
        let filter =
            self.handle.traffic_filter(index(own)).add().parent(0xffff_0000).priority(1).protocol(protocol);
        let filter = filter.u32(&options).map_err(|error| refusal(&act, error))?;
        filter.execute().await.map_err(|error| refusal(&act, error))?;
        crash::at(Point::RedirectMade);
        Ok(())
    }
}
