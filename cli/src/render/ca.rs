//! Certificates that were made, and what to do with them.

use std::path::Path;

use jiff::Timestamp;
use serde_json::json;

use super::{json, line};
use crate::ca::{Host, Name, Subject, Written};
use crate::exit::Failure;

/// With its directory, where that is not the usual one.
pub fn authority(
    name: &str,
    written: &Written,
    until: Timestamp,
    directory: Option<&Path>,
    as_json: bool,
) -> Result<(), Failure> {
    let (certificate, key) = (written.certificate.display(), written.key.display());
    if as_json {
        return json(&json!({
            "name": name, "certificate": written.certificate, "key": written.key, "not_after": until.to_string(),
        }));
    }
    let dir = directory.map(|path| format!(" --dir {}", path.display())).unwrap_or_default();
    line(&format!(
        "{name}: an authority, until {until}
  {certificate}  goes to every agent and to everybody who asks them
  {key}  stays here: whoever has it is anybody, on every agent

  partition-agent ca issue web-1 --host web-1.example.com,10.0.0.11{dir}    for an agent
  partition-agent ca issue alice --role admin{dir}                          for somebody who asks them"
    ))
}

/// With the certificate of the authority.
pub fn issued(
    name: &Name,
    whose: &Subject,
    written: &Written,
    ca: &Path,
    until: Timestamp,
    as_json: bool,
) -> Result<(), Failure> {
    if as_json {
        let (hosts, role) = match whose {
            Subject::Agent(hosts) => (Some(hosts.iter().map(Host::to_string).collect::<Vec<_>>()), None),
            Subject::Caller(role) => (None, Some(role.name())),
        };
        return json(&json!({
            "name": name.as_str(), "hosts": hosts, "role": role, "certificate": written.certificate, "key": written.key,
            "ca": ca, "not_after": until.to_string(),
        }));
    }
    line(&match whose {
        Subject::Agent(hosts) => agent(name, hosts, written, ca, until),
        Subject::Caller(role) => caller(name, role.name(), written, ca, until),
    })
}

fn agent(name: &Name, hosts: &[Host], written: &Written, ca: &Path, until: Timestamp) -> String {
    let hosts = hosts.iter().map(Host::to_string).collect::<Vec<_>>().join(", ");
    let (certificate, key, ca) = (written.certificate.display(), written.key.display(), ca.display());
    format!(
        "{name}: the certificate of an agent that is asked as {hosts}; until {until}
  copy to /etc/partition-agent on its host:
    {certificate}
    {key}
    {ca}
  there:
    chown root:partition-agent /etc/partition-agent/{name}.key
    chmod 640 /etc/partition-agent/{name}.key
  in its /etc/partition-agent/agent.toml, and restart it:
    [tls]
    cert = \"/etc/partition-agent/{name}.crt\"
    key = \"/etc/partition-agent/{name}.key\"
    client_ca = \"/etc/partition-agent/ca.crt\""
    )
}

fn caller(name: &Name, role: &str, written: &Written, ca: &Path, until: Timestamp) -> String {
    let (certificate, key, ca) = (written.certificate.display(), written.key.display(), ca.display());
    format!(
        "{name}: the certificate of somebody with the role {role}; until {until}
  copy to where {name} works, with the key readable by {name} only (chmod 600):
    {certificate}
    {key}
    {ca}
  there, either in every command:
    --tls-ca ca.crt --tls-cert {name}.crt --tls-key {name}.key
  or in the fleet file, with paths beside it:
    [tls]
    ca = \"ca.crt\"
    cert = \"{name}.crt\"
    key = \"{name}.key\""
    )
}
