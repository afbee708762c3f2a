//! Texts of containers and of /proc.

use super::{cgroup, process, resolv_conf};

/// `resolv.conf` of a container; `/proc/PID/stat`, in which a program chooses its name; `mountinfo`.
pub fn texts(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let servers = resolv_conf::parse(&text);
    assert!(servers.len() <= text.lines().count());
    for server in servers {
        let zone = server.zone.as_ref().map(|zone| format!("%{zone}")).unwrap_or_default();
        let line = format!("nameserver {}{zone}\n", server.address);
        assert_eq!(resolv_conf::parse(&line), [server]);
    }
    process::fuzz(&text);
    cgroup::fuzz(&text);
}
