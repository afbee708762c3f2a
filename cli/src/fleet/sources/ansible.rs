//! What `ansible-inventory --list` prints. Its groups become named groups.
//!
//! Of the variables of a host only those are looked at that are meant: the others may be passwords.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;

use super::gathered::{AgentOf, Gathered, Said};
use super::resolve;

#[derive(Debug, Deserialize)]
struct Inventory {
    #[serde(rename = "_meta", default)]
    meta: Meta,
    #[serde(flatten)]
    groups: BTreeMap<String, Group>,
}

#[derive(Debug, Default, Deserialize)]
struct Meta {
    #[serde(default)]
    hostvars: BTreeMap<String, Variables>,
}

#[derive(Debug, Default, Deserialize)]
struct Group {
    #[serde(default)]
    hosts: Vec<String>,
    #[serde(default)]
    children: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Variables {
    ansible_host: Option<String>,
    partition_agent: Option<Value>,
    #[serde(default)]
    partition_agent_labels: BTreeMap<String, String>,
}

pub async fn read(text: &str) -> Result<Gathered, String> {
    let mut inventory = serde_json::from_str::<Inventory>(text)
        .map_err(|error| format!("this is not what `ansible-inventory --list` prints: {error}"))?;
    let mut named = BTreeMap::new();
    for name in inventory.hosts() {
        let variables = inventory.meta.hostvars.remove(&name).unwrap_or_default();
        // Without the variable, Ansible connects to the name.
        let at = variables.ansible_host.clone().unwrap_or_else(|| name.clone());
        named.insert(name, (at, variables));
    }
    let addresses = resolve::all(named.values().map(|(at, _)| at.clone())).await?;
    let mut gathered = Gathered::default();
    for (name, (at, variables)) in named {
        let addresses = addresses.get(&at).cloned().unwrap_or_default();
        let mut labels = variables.partition_agent_labels;
        if let Some(agent) = variables.partition_agent {
            let agent = agent.as_str().map_or_else(|| agent.to_string(), str::to_owned);
            labels.insert("partition_agent".to_owned(), agent);
        }
        let agent = AgentOf::taken_from(&mut labels).map_err(|error| format!("{name}: {error}"))?;
        gathered.add(Said { name, addresses, labels, agent })?;
    }
    // Everybody, and those who are in no group.
    for group in inventory.groups.keys().filter(|name| !["all", "ungrouped"].contains(&name.as_str())) {
        for host in inventory.members(group) {
            gathered.join(group, host);
        }
    }
    Ok(gathered)
}

impl Inventory {
    fn hosts(&self) -> BTreeSet<String> {
        let of_groups = self.groups.values().flat_map(|group| &group.hosts);
        of_groups.chain(self.meta.hostvars.keys()).cloned().collect()
    }

    /// Of a group and of all below it.
    fn members(&self, name: &str) -> BTreeSet<&str> {
        let (mut members, mut seen, mut to_do) = (BTreeSet::new(), BTreeSet::new(), vec![name]);
        while let Some(name) = to_do.pop() {
            if let Some(group) = self.groups.get(name).filter(|_| seen.insert(name)) {
                members.extend(group.hosts.iter().map(String::as_str));
                to_do.extend(group.children.iter().map(String::as_str));
            }
        }
        members
    }
}

#[cfg(feature = "fuzz")]
pub async fn fuzz(text: &str) -> Result<Gathered, String> {
    let inventory = serde_json::from_str::<Inventory>(text).map_err(|error| error.to_string())?;
    let hosts = inventory.hosts();
    let at = |name: &String| inventory.meta.hostvars.get(name).and_then(|host| host.ansible_host.clone());
    let at = hosts.iter().map(|name| at(name).unwrap_or_else(|| name.clone())).collect::<Vec<_>>();
    resolve::none_is_looked_up(at.iter().map(String::as_str))?;
    read(text).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::sources::Usual;

    const LIST: &str = r#"{
        "_meta": {"hostvars": {
            "web-1": {"ansible_host": "10.0.0.1", "ansible_password": "secret", "partition_agent_labels": {"region": "eu"}},
            "Web-2": {"ansible_host": "10.0.0.2", "partition_agent": "http://10.9.0.2:7433"},
            "db-1": {"ansible_host": "10.0.0.3", "ansible_port": 22, "partition_agent": false}}},
        "all": {"children": ["ungrouped", "app", "db"]},
        "app": {"children": ["web"]},
        "web": {"hosts": ["web-1", "Web-2"]},
        "db": {"hosts": ["db-1", "127.0.0.1"]},
        "empty": {}
    }"#;

    #[tokio::test]
    async fn hosts_groups_and_what_is_meant_for_the_agent() {
        let found = read(LIST).await.unwrap().found(Usual::PLAIN);
        let told = |name: &str| serde_json::to_string(&found.hosts[name]).unwrap();
        assert_eq!(
            told("web-1"),
            r#"{"agent":"http://10.0.0.1:7433","addresses":["10.0.0.1"],"labels":{"region":"eu"}}"#
        );
        assert_eq!(told("web-2"), r#"{"agent":"http://10.9.0.2:7433","addresses":["10.0.0.2"],"labels":{}}"#);
        assert_eq!(told("db-1"), r#"{"agent":null,"addresses":["10.0.0.3"],"labels":{}}"#);
        // No variables: it is in its group only, and its name is where it is.
        assert_eq!(
            told("127.0.0.1"),
            r#"{"agent":"http://127.0.0.1:7433","addresses":["127.0.0.1"],"labels":{}}"#
        );
        let groups = found.groups.iter().map(|(name, hosts)| format!("{name}: {hosts}")).collect::<Vec<_>>();
        assert_eq!(groups, ["app: web-1,web-2", "db: 127.0.0.1,db-1", "web: web-1,web-2"]);
    }

    #[tokio::test]
    async fn what_is_no_inventory_is_refused() {
        for (text, error) in [
            ("[web]\nweb-1", "not what `ansible-inventory --list` prints"),
            (
                r#"{"web": {"hosts": ["no-such-host.invalid"]}}"#,
                "`no-such-host.invalid` stands for no address",
            ),
            (
                r#"{"_meta": {"hostvars": {"127.0.0.1": {"partition_agent": "here"}}}}"#,
                "127.0.0.1: `here` is no agent's address",
            ),
        ] {
            let found = read(text).await.unwrap_err();
            assert!(found.contains(error), "{found}");
        }
        // Two that are children of each other end, too.
        let circle = r#"{"a": {"children": ["b"]}, "b": {"children": ["a"], "hosts": ["127.0.0.1"]}}"#;
        assert_eq!(read(circle).await.unwrap().found(Usual::PLAIN).groups.len(), 2);
    }
}
