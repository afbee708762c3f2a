//! The wires between the hosts of the demo: a bridge in the demo's own namespace, and a veth pair to each host.

use std::net::IpAddr;

use futures_util::TryStreamExt;
use rtnetlink::{Handle, LinkBridge, LinkUnspec, LinkVeth};

use crate::exit::Failure;

/// The switch that every host is plugged into.
pub struct Bridge {
    handle: Handle,
    index: u32,
}

impl Bridge {
    pub async fn create(name: &str) -> Result<Self, Failure> {
        let handle = connect()?;
        handle.link().add(LinkBridge::new(name).up().build()).execute().await.map_err(failed)?;
        let index = index(&handle, name).await?;
        Ok(Self { handle, index })
    }

    /// A pair of links: `outer` here, plugged in; `inner` in the namespace of the process.
    pub async fn link(&self, outer: &str, inner: &str, pid: u32) -> Result<(), Failure> {
        let link = self.handle.link();
        link.add(LinkVeth::new(outer, inner).build()).execute().await.map_err(failed)?;
        let inner = LinkUnspec::new_with_index(index(&self.handle, inner).await?).setns_by_pid(pid).build();
        link.set(inner).execute().await.map_err(failed)?;
        let outer =
            LinkUnspec::new_with_index(index(&self.handle, outer).await?).controller(self.index).up().build();
        link.set(outer).execute().await.map_err(failed)
    }
}

/// Loopback and the link of a host, up and with an address, in the namespace of the calling thread.
pub async fn set_up(name: &str, address: IpAddr, prefix: u8) -> Result<(), Failure> {
    let handle = connect()?;
    for link in ["lo", name] {
        let index = index(&handle, link).await?;
        handle.link().set(LinkUnspec::new_with_index(index).up().build()).execute().await.map_err(failed)?;
    }
    let index = index(&handle, name).await?;
    handle.address().add(index, address, prefix).execute().await.map_err(failed)
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
