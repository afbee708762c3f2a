//! Which faults can be had where, and by what: the table that `doctor` prints. Pure: from what was found out about this kernel.

use partition_agent_proto::{Check, Coverage, Feature};

use super::features::name;

/// Scopes that are one to the data plane.
const WHOLE: &str = "host, interface, netns, container, pod";
const GROUP: &str = "unit, cgroup";
const USER: &str = "user";

const SHAPING: &str = "latency, jitter, rate, slot, duplicate, corrupt, reorder, correlated loss";

/// Every kind in every scope by every engine that does it.
pub fn coverage(features: &[Feature]) -> Vec<Coverage> {
    let base = [name::TABLES, name::SETS, name::INGRESS, name::EGRESS];
    let rows: [(&str, &str, &[&str], &[&str]); 8] = [
        ("loss 100%", "nftables", &base, &[WHOLE, GROUP, USER]),
        ("loss below 100%", "nftables", &[name::NUMGEN], &[WHOLE, GROUP, USER]),
        (SHAPING, "netem", &[name::IFB, name::NETEM], &[WHOLE, GROUP, USER]),
        (SHAPING, "emulator", &[name::EMULATOR], &[WHOLE, GROUP, USER]),
        ("reject", "nftables", &[name::REJECT], &[WHOLE, GROUP, USER]),
        ("reset", "sock_diag", &[name::DESTROY], &[WHOLE, USER]),
        ("dns", "forwarder", &[name::REWRITE], &[WHOLE, GROUP, USER]),
        ("a share of the connections (--flows)", "nftables", &[name::HASH], &[WHOLE, GROUP, USER]),
    ];
    let mut table = Vec::new();
    for (kind, engine, needs, scopes) in rows {
        for scope in [WHOLE, GROUP, USER] {
            let more: &[&str] = match scope {
                GROUP => &[name::CGROUP, name::FLOWS],
                USER => &[name::FLOWS],
                _ => &[],
            };
            let missing = base.iter().chain(needs).chain(more).find_map(|need| missing(features, need));
            let why_not = if scopes.contains(&scope) {
                missing
            } else {
                Some("connections of a control group cannot be told from others".to_owned())
            };
            table.push(Coverage {
                kind: kind.to_owned(),
                scope: scope.to_owned(),
                engine: engine.to_owned(),
                why_not,
            });
        }
    }
    table
}

fn missing(features: &[Feature], need: &str) -> Option<String> {
    let feature = features.iter().find(|feature| feature.name == need)?;
    match &feature.check {
        Check::Works => None,
        Check::Missing { .. } => Some(format!("{need} is missing")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_and_the_rest_works() {
        let feature =
            |feature: &str, check| Feature { name: feature.to_owned(), needed_for: String::new(), check };
        let absent = Check::Missing { why: String::new(), fix: String::new() };
        let table = coverage(&[feature(name::NETEM, absent), feature(name::EMULATOR, Check::Works)]);
        let row = |engine: &str, scope: &str| {
            table.iter().find(|row| row.engine == engine && row.scope == scope).unwrap().why_not.clone()
        };
        assert_eq!(row("netem", WHOLE), Some("netem is missing".to_owned()));
        assert_eq!(row("emulator", WHOLE), None);
        assert!(row("sock_diag", GROUP).is_some());
    }
}
