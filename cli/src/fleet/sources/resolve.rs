//! Host names in what a source says, by the resolver of this system, as whoever wrote them has it do.

use std::collections::BTreeMap;
use std::net::IpAddr;

use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::PATIENCE;

/// The C library asks for one name a thread.
const AT_ONCE: usize = 64;

/// All of them, or the first that stands for no address. An address stands for itself.
pub async fn all(names: impl IntoIterator<Item = String>) -> Result<BTreeMap<String, Vec<IpAddr>>, String> {
    let asked = names.into_iter().map(|name| async move {
        let addresses = one(&name).await?;
        Ok((name, addresses))
    });
    stream::iter(asked).buffer_unordered(AT_ONCE).try_collect().await
}

async fn one(name: &str) -> Result<Vec<IpAddr>, String> {
    if let Ok(address) = name.parse::<IpAddr>() {
        return Ok(vec![address]);
    }
    let found = tokio::time::timeout(PATIENCE, tokio::net::lookup_host((name, 0))).await;
    let found = found.map_err(|_| format!("`{name}` stands for no address: nothing for {PATIENCE:?}"))?;
    let mut addresses = found
        .map_err(|error| format!("`{name}` stands for no address: {error}"))?
        .map(|socket| socket.ip())
        .collect::<Vec<_>>();
    // The resolver repeats an address for every kind of socket, and a list in an order of its own.
    addresses.sort_unstable();
    addresses.dedup();
    Ok(addresses)
}

/// For the fuzzer, which must not ask anybody.
#[cfg(feature = "fuzz")]
pub fn none_is_looked_up<'a>(mut names: impl Iterator<Item = &'a str>) -> Result<(), String> {
    match names.find(|name| name.parse::<IpAddr>().is_err()) {
        Some(name) => Err(format!("`{name}` is not looked up")),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn addresses_stand_for_themselves_and_names_for_what_the_system_knows() {
        let names = ["10.0.0.1", "fd00::1", "localhost"].map(str::to_owned);
        let found = all(names).await.unwrap();
        assert_eq!(found["10.0.0.1"], ["10.0.0.1".parse::<IpAddr>().unwrap()]);
        assert_eq!(found["fd00::1"], ["fd00::1".parse::<IpAddr>().unwrap()]);
        assert!(found["localhost"].iter().all(IpAddr::is_loopback));
        let error = all(["no-such-host.invalid".to_owned()]).await.unwrap_err();
        assert!(error.contains("`no-such-host.invalid` stands for no address"), "{error}");
    }
}
