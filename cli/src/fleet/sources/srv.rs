//! DNS SRV (RFC 2782): every target is a host. Priorities and weights say whom to ask first, not who is there.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use hickory_resolver::proto::rr::RData;

use super::gathered::{AgentOf, Gathered, Said};
use super::{AGENTS, PATIENCE};
use crate::resolver::resolver;

/// Questions at once.
const AT_ONCE: usize = 64;

/// By the name servers of `/etc/resolv.conf`, or by this one.
pub async fn look_up(name: &str, server: Option<SocketAddr>) -> Result<Gathered, String> {
    let asked = tokio::time::timeout(PATIENCE, ask(name, server)).await;
    asked.unwrap_or_else(|_| Err(format!("no answer within {PATIENCE:?}")))
}

async fn ask(name: &str, server: Option<SocketAddr>) -> Result<Gathered, String> {
    // Or there is no time for a second question where the first one got lost.
    let resolver = resolver(server, |options| options.timeout = options.timeout.min(PATIENCE / 4));
    let resolver = resolver.map_err(|error| error.to_string())?;
    let found = resolver.srv_lookup(name).await.map_err(|error| format!("no SRV records: {error}"))?;
    // A target may be there on several ports.
    let mut targets = BTreeMap::new();
    for record in found.answers() {
        match &record.data {
            // The root says that there is no such service here.
            RData::SRV(srv) if srv.target.is_root() => {}
            RData::SRV(srv) => drop(targets.entry(srv.target.to_lowercase().to_string()).or_insert(srv.port)),
            // Aliases on the way.
            _ => {}
        }
    }
    let is_agents = name.split('.').next().and_then(|label| label.strip_prefix('_')) == Some(AGENTS);
    let resolver = &resolver;
    let asked = targets.into_iter().map(|(target, port)| async move {
        let found = resolver.lookup_ip(&target).await;
        let addresses =
            found.map_err(|error| format!("`{target}` stands for no address: {error}"))?.iter().collect();
        let agent = AgentOf::Usual.or_port(is_agents.then_some(port));
        Ok::<_, String>(Said {
            name: target.trim_end_matches('.').to_owned(),
            addresses,
            labels: BTreeMap::new(),
            agent,
        })
    });
    let said = stream::iter(asked).buffer_unordered(AT_ONCE).try_collect::<Vec<_>>().await?;
    let mut gathered = Gathered::default();
    said.into_iter().try_for_each(|said| gathered.add(said))?;
    Ok(gathered)
}
