//! Install, use, upgrade, remove.

use std::path::Path;

use crate::debian::Machine;
use crate::{deb, make};

const PEER: &str = "10.9.0.2";

/// What a program of ours could change and another one can see.
struct Host {
    network: String,
    files: String,
}

impl Host {
    fn look(machine: &Machine) -> Self {
        // Without counters and clocks; files that belong to no package's doing are those of logs and caches.
        let network =
            "nft list ruleset; ip -o link; ip -o address; ip rule; ip route show table all; tc qdisc show";
        let files = "find / -xdev \\( -path /proc -o -path /sys -o -path /run -o -path /tmp -o -path /var/log \
                     -o -path /var/cache -o -path /var/lib/dpkg -o -path /var/tmp \\) -prune -o -print | sort";
        Self { network: machine.run(network), files: machine.run(files) }
    }
}

fn reaches(machine: &Machine) -> bool {
    machine.output(&format!("ping -n -c 2 -i 0.2 -W 1 {PEER}")).status.success()
}

/// Another host, one cable away. Without addresses that the kernel makes up, which are tentative for a while.
fn with_peer(machine: &Machine) {
    machine.run(&format!(
        "ip netns add peer && ip link add to-peer type veth peer name eth0 netns peer && ip address add 10.9.0.1/24 dev to-peer \
         && ip link set to-peer addrgenmode none up && ip -n peer address add {PEER}/24 dev eth0 && ip -n peer link set eth0 up"
    ));
    assert!(reaches(machine));
}

#[test]
fn a_clean_debian_installs_uses_upgrades_and_removes_it_without_a_trace() {
    assert!(nix::unistd::geteuid().is_root(), "root is needed to boot a machine");
    if !["debootstrap", "systemd-nspawn", "strip"].iter().all(|tool| harness::has_tool(tool)) {
        return;
    }
    let packages = tempfile::tempdir().unwrap();
    for version in ["0.1.0", "0.1.1"] {
        make(version, packages.path());
    }
    let machine = Machine::boot(packages.path());
    with_peer(&machine);
    let before = Host::look(&machine);

    // Installed, it runs: as its own user, with one capability, for root and for those of its group.
    machine.run(&format!("dpkg -i {}", deb(packages.path(), "0.1.0")));
    assert_eq!(machine.run("systemctl is-active partition-agent").trim(), "active");
    assert_eq!(machine.run("systemctl is-enabled partition-agent").trim(), "enabled");
    let pid = machine.run("systemctl show -P MainPID partition-agent");
    let status = machine.run(&format!("cat /proc/{}/status", pid.trim()));
    let of = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).unwrap().trim().to_owned();
    // CAP_NET_ADMIN is number 12.
    assert_eq!(of("CapEff:"), format!("{:016x}", 1_u64 << 12));
    assert_ne!(of("Uid:").split_whitespace().next(), Some("0"));

    machine.run("useradd alice && useradd mallory && usermod -aG partition-agent alice");
    let inject = format!("partition-agent inject --loss 100% --peer {PEER} --for 10m --id");
    let refused = machine.output(&format!("runuser -u mallory -- {inject} cut"));
    assert_eq!(refused.status.code(), Some(3), "{refused:?}");
    assert!(harness::text(&refused.stderr).contains("ermission denied"), "{refused:?}");
    assert!(reaches(&machine));
    let told = machine.run(&format!("runuser -u alice -- {inject} cut"));
    assert!(told.contains("confirmed"), "{told}");
    assert!(!reaches(&machine), "the fault is not felt");

    // The journal can be asked for a fault.
    let lines = machine.run("journalctl --sync && journalctl -o json PARTITION_AGENT_ID=cut");
    let lines = lines.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let kinds =
        lines.map(|line| line["PARTITION_AGENT_KIND"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(kinds, ["injected"]);

    // An upgrade while it is in force heals first, and keeps what somebody has configured.
    machine.run("echo '# ours' >> /etc/partition-agent/agent.toml");
    machine.run(&format!("dpkg -i {}", deb(packages.path(), "0.1.1")));
    assert!(reaches(&machine), "the upgrade has not healed");
    assert_eq!(machine.run("dpkg-query -W -f '${Version}' partition-agent"), "0.1.1");
    assert_eq!(machine.run("systemctl is-active partition-agent").trim(), "active");
    assert_ne!(machine.run("systemctl show -P MainPID partition-agent"), pid, "the old program still runs");
    let history = machine.run("partition-agent history --json");
    let history: serde_json::Value = serde_json::from_str(&history).unwrap();
    assert_eq!(history[0]["end"]["by"], "shutdown", "{history}");
    assert!(machine.run("cat /etc/partition-agent/agent.toml").ends_with("# ours\n"));

    // So does a removal; then nothing of it is left but what was configured and written, and after a purge not even that.
    machine.run(&format!("runuser -u alice -- {inject} again"));
    assert!(!reaches(&machine), "the fault is not felt");
    machine.run("dpkg --remove partition-agent");
    assert!(reaches(&machine), "the removal has not healed");
    assert!(!machine.output("systemctl is-active partition-agent").status.success());
    machine.run("test -e /etc/partition-agent/agent.toml && test -d /var/lib/partition-agent");
    // Its group goes, whoever is in it; a token of somebody's stays, and is root's then.
    machine.run("install -o partition-agent -m 600 /dev/null /etc/partition-agent/token");
    machine.run("dpkg --purge partition-agent");
    assert_eq!(machine.run("stat -c '%U %G' /etc/partition-agent/token").trim(), "root root");
    machine.run("rm -r /etc/partition-agent && userdel alice && userdel mallory");
    let after = Host::look(&machine);
    assert_eq!(after.network, before.network);
    assert_eq!(differences(&before.files, &after.files), Vec::<String>::new());
    assert!(
        !machine.output("getent passwd partition-agent || getent group partition-agent").status.success()
    );
    let units = machine.run("systemctl list-units --all --plain --no-legend");
    assert!(!units.contains("partition-agent"), "{units}");
}

/// Lines that only one of them has.
fn differences(before: &str, after: &str) -> Vec<String> {
    let of = |text: &str| text.lines().map(str::to_owned).collect::<std::collections::BTreeSet<_>>();
    let (before, after) = (of(before), of(after));
    before.symmetric_difference(&after).filter(|line| !is_of_useradd(Path::new(line))).cloned().collect()
}

/// Of every program that makes a user or a unit, whatever it is called.
fn is_of_useradd(file: &Path) -> bool {
    let backups = ["passwd-", "group-", "shadow-", "gshadow-", "subuid-", "subgid-"];
    file.parent() == Some(Path::new("/etc"))
        && file.file_name().is_some_and(|name| backups.iter().any(|backup| name == *backup))
}
