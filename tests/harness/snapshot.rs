//! Everything on a host that a fault must leave as it was, told by `tc`, `nft`, `ip` and `/proc/sys`.

use std::collections::BTreeMap;
use std::path::Path;

use crate::lab::Host;

/// Two equal snapshots: no trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    tools: String,
    sysctls: BTreeMap<String, String>,
}

impl Snapshot {
    /// # Panics
    /// When a tool is missing.
    #[must_use]
    pub fn take(host: &Host) -> Self {
        let tools = host.sh(
            "tc qdisc show; ip -o link show | while IFS=': @' read -r _ dev _; do \
             for at in root ingress egress; do tc filter show dev $dev $at 2>/dev/null; done; done; \
             ip -o link show | while IFS=': @' read -r _ dev _; do ethtool -k $dev; done; \
             nft -a list ruleset; ip -d link show; ip rule; ip addr show; ip route show table all; ip -6 route show table all",
        );
        let mut sysctls = BTreeMap::new();
        host.run(|| read_sysctls(Path::new("/proc/sys/net"), &mut sysctls));
        Self { tools: steady(&tools), sysctls }
    }

    /// # Panics
    /// With the first difference.
    pub fn assert_same(&self, after: &Self, when: &str) {
        let before_lines = self.tools.lines().collect::<Vec<_>>();
        let after_lines = after.tools.lines().collect::<Vec<_>>();
        for line in &before_lines {
            assert!(after_lines.contains(line), "{when}: gone or changed: {line}\n{}", after.tools);
        }
        for line in &after_lines {
            assert!(before_lines.contains(line), "{when}: new: {line}\n{}", after.tools);
        }
        assert_eq!(self.tools, after.tools, "{when}");
        assert_eq!(self.sysctls, after.sysctls, "{when}");
    }
}

/// Lifetimes of addresses and ages of routes count by themselves.
fn steady(tools: &str) -> String {
    tools.lines().filter(|line| !line.contains("valid_lft")).map(|line| format!("{line}\n")).collect()
}

fn read_sysctls(dir: &Path, into: &mut BTreeMap<String, String>) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        // Counts of what goes by, not settings.
        let counts = ["nf_conntrack_count", "inet_peer_maxttl", "cookie", "uuid"];
        if counts.iter().any(|name| path.ends_with(name)) {
            continue;
        }
        if path.is_dir() {
            read_sysctls(&path, into);
        } else if let Ok(text) = std::fs::read_to_string(&path) {
            into.insert(path.display().to_string(), text);
        }
    }
}
