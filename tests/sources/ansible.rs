//! Ansible's own programs, reading an inventory: what `ansible-inventory --list` prints, against what `ansible` itself makes of
//! every group.

use std::path::Path;
use std::process::Command;

use harness::{has_tool, text};

use crate::fleet::{Fleet, shown, shown_from};

const INVENTORY: &str = "
[web]
web-[1:3] partition_agent_labels='{\"tier\": \"front\"}'

[web:vars]
ansible_user=deploy

[db]
db-1 ansible_host=10.0.0.21 partition_agent=http://10.9.0.21:7433
db-2 ansible_host=10.0.0.22 partition_agent=false
127.0.0.9

[app:children]
web
db

[empty]

[all:vars]
ansible_password=secret
";

/// Where the web hosts are, in a file of variables for each as Ansible has it.
fn inventory(dir: &Path) -> String {
    let vars = dir.join("host_vars");
    std::fs::create_dir(&vars).unwrap();
    for number in 1..=3 {
        std::fs::write(vars.join(format!("web-{number}.yml")), format!("ansible_host: 10.0.0.1{number}\n"))
            .unwrap();
    }
    let path = dir.join("hosts.ini");
    std::fs::write(&path, INVENTORY).unwrap();
    path.display().to_string()
}

fn run(program: &str, arguments: &[&str]) -> String {
    let done = Command::new(program).args(arguments).output().unwrap();
    assert!(done.status.success(), "{program} {arguments:?}: {}", text(&done.stderr));
    text(&done.stdout)
}

#[test]
fn what_the_real_ansible_lists_is_the_fleet() {
    if !has_tool("ansible-inventory") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let inventory = inventory(dir.path());
    let list = run("ansible-inventory", &["-i", &inventory, "--list"]);
    // It is among the variables, so it could have been taken.
    assert!(list.contains("secret"), "{list}");
    let file = dir.path().join("list.json");
    std::fs::write(&file, &list).unwrap();

    let fleet = shown(&format!("ansible:{}", file.display()));
    assert_eq!(
        fleet.lines(),
        [
            "127.0.0.9 http://127.0.0.9:7433 127.0.0.9",
            "db-1 http://10.9.0.21:7433 10.0.0.21",
            "db-2 none 10.0.0.22",
            "web-1 http://10.0.0.11:7433 10.0.0.11 tier=front",
            "web-2 http://10.0.0.12:7433 10.0.0.12 tier=front",
            "web-3 http://10.0.0.13:7433 10.0.0.13 tier=front",
        ]
    );
    let named = fleet.groups.keys().filter(|name| !name.contains('=')).collect::<Vec<_>>();
    assert_eq!(named, ["app", "db", "web"]);
    for group in ["app", "db", "web"] {
        assert_eq!(fleet.groups[group], members(&inventory, group), "{group}");
    }
    let Fleet { hosts, .. } = shown_from("ansible:-", &list);
    assert_eq!(hosts, fleet.hosts);
}

/// As Ansible itself sees the group, without our reading of its list.
fn members(inventory: &str, group: &str) -> Vec<String> {
    let listed = run("ansible", &["-i", inventory, group, "--list-hosts"]);
    // A heading, and then a host a line.
    let mut hosts = listed.lines().skip(1).map(|line| line.trim().to_owned()).collect::<Vec<_>>();
    hosts.sort();
    hosts
}
