//! The wires between hosts: a bridge in the maker's own namespace, and a veth pair to each host.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use futures_util::TryStreamExt;
use rtnetlink::packet_route::address::AddressHeaderFlags;
use rtnetlink::packet_route::link::{AfSpecInet6, AfSpecUnspec, In6AddrGenMode, LinkAttribute};
use rtnetlink::packet_route::route::RouteScope;
use rtnetlink::{Handle, LinkBridge, LinkUnspec, LinkVeth, RouteMessageBuilder};

use crate::exit::Failure;

/// The switch that every host is plugged into.
pub struct Bridge {
    handle: Handle,
    index: u32,
}

impl Bridge {
    /// In the namespace of the calling thread.
    pub async fn create(name: &str) -> Result<Self, Failure> {
        let handle = connect()?;
        handle.link().add(LinkBridge::new(name).build()).execute().await.map_err(failed)?;
        let index = index(&handle, name).await?;
        quiet(&handle, index).await?;
        up(&handle, index).await?;
        Ok(Self { handle, index })
    }

    /// A pair of links: `outer` here, plugged in; `inner` in the namespace of the process.
    pub async fn link(&self, outer: &str, inner: &str, pid: u32) -> Result<(), Failure> {
        let link = self.handle.link();
        link.add(LinkVeth::new(outer, inner).build()).execute().await.map_err(failed)?;
        let inner = LinkUnspec::new_with_index(index(&self.handle, inner).await?).setns_by_pid(pid).build();
        link.set(inner).execute().await.map_err(failed)?;
        let outer = index(&self.handle, outer).await?;
        quiet(&self.handle, outer).await?;
        let outer = LinkUnspec::new_with_index(outer).controller(self.index).up().build();
        link.set(outer).execute().await.map_err(failed)
    }
}

/// Loopback and a link, up and with these addresses, in the namespace of the calling thread. Everybody else is on that
/// link, whatever their addresses are.
pub async fn set_up(name: &str, addresses: &[IpAddr]) -> Result<(), Failure> {
    let handle = connect()?;
    up(&handle, index(&handle, "lo").await?).await?;
    let index = index(&handle, name).await?;
    quiet(&handle, index).await?;
    up(&handle, index).await?;
    for address in addresses {
        let prefix = if address.is_ipv4() { 32 } else { 128 };
        let mut add = handle.address().add(index, *address, prefix);
        // There at once: nobody else has it, and looking whether somebody does takes a second.
        add.message_mut().header.flags |= AddressHeaderFlags::Nodad;
        add.execute().await.map_err(failed)?;
    }
    let first4 = addresses.iter().find_map(|address| match address {
        IpAddr::V4(address) => Some(*address),
        IpAddr::V6(_) => None,
    });
    let first6 = addresses.iter().find_map(|address| match address {
        IpAddr::V4(_) => None,
        IpAddr::V6(address) => Some(*address),
    });
    if let Some(source) = first4 {
        let route = RouteMessageBuilder::<Ipv4Addr>::new().output_interface(index).scope(RouteScope::Link);
        let route = route.pref_source(source).build();
        handle.route().add(route).execute().await.map_err(failed)?;
    }
    if let Some(source) = first6 {
        let route = RouteMessageBuilder::<Ipv6Addr>::new().output_interface(index).pref_source(source);
        handle.route().add(route.build()).execute().await.map_err(failed)?;
    }
    Ok(())
}

/// Whether this kernel has IPv6 at all.
pub fn has_ipv6() -> bool {
    Path::new("/proc/sys/net/ipv6").exists()
}

/// No addresses that come by themselves.
async fn quiet(handle: &Handle, index: u32) -> Result<(), Failure> {
    if !has_ipv6() {
        return Ok(());
    }
    let none = AfSpecUnspec::Inet6(vec![AfSpecInet6::AddrGenMode(In6AddrGenMode::None)]);
    let link =
        LinkUnspec::new_with_index(index).append_extra_attribute(LinkAttribute::AfSpecUnspec(vec![none]));
    handle.link().set(link.build()).execute().await.map_err(failed)
}

async fn up(handle: &Handle, index: u32) -> Result<(), Failure> {
    handle.link().set(LinkUnspec::new_with_index(index).up().build()).execute().await.map_err(failed)
}

fn connect() -> Result<Handle, Failure> {
    let (connection, handle, _) = rtnetlink::new_connection()?;
    tokio::spawn(connection);
    Ok(handle)
}

async fn index(handle: &Handle, name: &str) -> Result<u32, Failure> {
    let mut links = handle.link().get().match_name(name).execute();
    let link = links.try_next().await.map_err(failed)?;
    link.map(|link| link.header.index).ok_or_else(|| Failure::Failed(format!("there is no link {name}")))
}

fn failed(error: rtnetlink::Error) -> Failure {
    Failure::Failed(error.to_string())
}
