//! DNS: a name that stands for an address. Nothing is remembered from one question to the next.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_resolver::net::{DnsError, NetError};

use crate::gameday::excerpt::excerpt;
use crate::resolver::resolver;

/// Addresses that are told.
const SHOWN: usize = 3;

const PORT: u16 = 53;

#[derive(Debug)]
pub struct Dns {
    name: String,
    server: Option<SocketAddr>,
}

impl Dns {
    /// By the name servers of `/etc/resolv.conf`, or by this one.
    ///
    /// # Errors
    /// The server is no address.
    pub fn new(name: &str, server: Option<&str>) -> Result<Self, String> {
        let address = |text: &str| {
            let bare = text.parse::<IpAddr>().map(|address| SocketAddr::new(address, PORT));
            bare.or_else(|_| text.parse::<SocketAddr>()).map_err(|_| {
                format!("the name server `{text}` is no address: write 10.0.0.53, 10.0.0.53:5353 or [fd00::53]:5353")
            })
        };
        Ok(Self { name: name.to_owned(), server: server.map(address).transpose()? })
    }

    /// In this time: half of it is for the first attempt, since a datagram may get lost.
    pub async fn ask(&self, timeout: Duration) -> Result<String, String> {
        let resolver = resolver(self.server, |options| {
            options.cache_size = 0;
            options.timeout = timeout / 2;
        });
        let resolver = resolver.map_err(|error| excerpt(&error.to_string()))?;
        let found = resolver.lookup_ip(&self.name).await.map_err(|error| why(&error))?;
        let mut addresses = found.iter().collect::<Vec<_>>();
        addresses.sort_unstable();
        let shown = addresses.iter().take(SHOWN).map(IpAddr::to_string).collect::<Vec<_>>().join(", ");
        match addresses.len() {
            0 => Err("it stands for no address".to_owned()),
            count if count > SHOWN => Ok(format!("{shown} and {} more", count - SHOWN)),
            _ => Ok(shown),
        }
    }
}

/// The answer's own words, or why there is none.
fn why(error: &NetError) -> String {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => format!("no such records: {}", none.response_code),
        NetError::Dns(DnsError::ResponseCode(code)) => format!("the name server answers {code}"),
        other => excerpt(&other.to_string()),
    }
}

#[cfg(test)]
mod tests;
