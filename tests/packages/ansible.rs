//! The role of `docs/deploy/ansible`, on a machine.

use std::path::Path;
use std::process::{Command, Output};

use crate::debian::Machine;
use crate::{deb, make, top};

/// Ansible reaches the machine through its namespaces, by way of a directory that both see.
fn play(machine: &Machine, shared: &Path, variables: &serde_json::Value) -> Output {
    let inventory = shared.join("inventory");
    let python = shared.join("python");
    let enter =
        format!("#!/bin/sh\nexec nsenter --target {} --all -- /usr/bin/python3 \"$@\"\n", machine.leader());
    std::fs::write(&python, enter).unwrap();
    let executable = Command::new("chmod").arg("755").arg(&python).status().unwrap();
    assert!(executable.success());
    let host = format!(
        "[testbed]\nmachine ansible_connection=local ansible_python_interpreter={} ansible_remote_tmp={}\n",
        python.display(),
        shared.join("tmp").display()
    );
    std::fs::write(&inventory, host).unwrap();
    Command::new("ansible-playbook")
        .arg("--inventory")
        .arg(&inventory)
        .arg("--extra-vars")
        .arg(variables.to_string())
        .arg(top().join("docs/deploy/ansible/site.yml"))
        .env("ANSIBLE_LOCALHOST_WARNING", "false")
        .env("ANSIBLE_NOCOLOR", "1")
        .env("LC_ALL", "C.UTF-8")
        // Already root on the machine; the way there is not sudo's.
        .env("ANSIBLE_BECOME_METHOD", "su")
        .output()
        .unwrap()
}

#[test]
fn a_role_installs_configures_and_changes_nothing_the_second_time() {
    let tools = ["debootstrap", "systemd-nspawn", "strip", "ansible-playbook"];
    if !tools.iter().all(|tool| harness::has_tool(tool)) {
        return;
    }
    let shared = tempfile::tempdir().unwrap();
    make("0.1.0", shared.path());
    let machine = Machine::boot(shared.path());
    machine.run("useradd alice");
    let config = "listen = \"127.0.0.1:7433\"\ntoken_file = \"/etc/partition-agent/token\"\n";
    let variables = |config: &str| {
        serde_json::json!({
            "partition_agent_package": deb(shared.path(), "0.1.0"),
            "partition_agent_members": ["alice"],
            "partition_agent_config": config,
            "partition_agent_secrets": {"/etc/partition-agent/token": "a-token-of-more-than-sixteen\n"},
            "ansible_become": false,
        })
    };
    let first = play(&machine, shared.path(), &variables(config));
    let told = harness::text(&first.stdout) + &harness::text(&first.stderr);
    assert!(first.status.success(), "{told}");
    assert_eq!(machine.run("systemctl is-active partition-agent").trim(), "active");
    machine.run("runuser -u alice -- partition-agent status");
    // It listens as it was configured to, and lets nobody in without the token.
    machine
        .run("partition-agent --agent http://127.0.0.1:7433 --token-file /etc/partition-agent/token status");
    let refused = machine.output("partition-agent --agent http://127.0.0.1:7433 status");
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");

    let second = play(&machine, shared.path(), &variables(config));
    let told = harness::text(&second.stdout) + &harness::text(&second.stderr);
    assert!(second.status.success() && told.contains("changed=0"), "{told}");

    // A configuration with which no agent would start does not stay.
    let broken = play(&machine, shared.path(), &variables("lisen = 1\n"));
    let told = harness::text(&broken.stdout);
    assert!(!broken.status.success() && told.contains("agent.toml:1") && told.contains("listen"), "{told}");
    assert_eq!(machine.run("cat /etc/partition-agent/agent.toml"), config);
    machine.run("partition-agent status");
}
