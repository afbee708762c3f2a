//! What an agent has and keeps, as `/proc` shows it, and what it refuses to start with.

use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt, chown};
use std::process::Output;

use harness::agent::Agent;
use harness::lab::Lab;
use harness::{binary, text};

use crate::cut;

/// As `linux/capability.h` numbers them.
const NET_ADMIN: u64 = 1 << 12;
const NAMESPACES: u64 = 1 << 1 | 1 << 2 | 1 << 19 | 1 << 21;

/// `/proc/PID/status` of each of its threads.
fn statuses(agent: &Agent) -> Vec<BTreeMap<String, String>> {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", agent.pid())).expect("it runs");
    let read = |task: std::io::Result<std::fs::DirEntry>| {
        let status = std::fs::read_to_string(task.ok()?.path().join("status")).ok()?;
        let lines = status.lines().filter_map(|line| line.split_once(":\t"));
        Some(lines.map(|(key, value)| (key.to_owned(), value.trim().to_owned())).collect())
    };
    tasks.filter_map(read).collect()
}

fn assert_confined(agent: &Agent, capabilities: u64) {
    let statuses = statuses(agent);
    assert!(statuses.len() >= 3, "main, keeper, journal: {}", statuses.len());
    for status in &statuses {
        let set = |name: &str| u64::from_str_radix(&status[name], 16).expect("a set");
        for name in ["CapPrm", "CapEff", "CapBnd"] {
            assert_eq!(set(name), capabilities, "{name} of {}", status["Name"]);
        }
        for name in ["CapInh", "CapAmb"] {
            assert_eq!(set(name), 0, "{name} of {}", status["Name"]);
        }
        assert_eq!(
            (status["NoNewPrivs"].as_str(), status["Seccomp"].as_str()),
            ("1", "2"),
            "{}",
            status["Name"]
        );
    }
}

#[test]
fn an_agent_keeps_one_capability_whether_root_starts_it_or_its_unit() {
    let lab = Lab::new();
    let root = Agent::start(&lab.app, "");
    root.inject("f", &cut("10m"));
    assert_confined(&root, NET_ADMIN);
    if !root.log().contains("system calls; files by Landlock") {
        assert!(
            root.log().contains("this kernel has no Landlock")
                || root.log().contains("Landlock is not enabled")
        );
        harness::skip("this kernel has no Landlock");
    }
    drop(root);
    let nobody = Agent::start_as_nobody(&lab.app, "");
    nobody.inject("f", &cut("10m"));
    assert_confined(&nobody, NET_ADMIN);
}

#[test]
fn other_namespaces_take_four_more_and_leave_the_files_open() {
    let lab = Lab::new();
    let agent = Agent::start(&lab.app, "namespaces = true\n");
    assert_confined(&agent, NET_ADMIN | NAMESPACES);
    assert!(agent.log().contains("Landlock keeps a process from looking into others"), "{}", agent.log());
}

/// A serve that must not start.
fn refused(lab: &Lab, by: &[&str], flags: &[&str]) -> Output {
    let dir = tempfile::tempdir().expect("a directory");
    chown(dir.path(), Some(65534), Some(65534)).expect("root may");
    let program = dir.path().join("partition-agent");
    let copied = std::process::Command::new("cp").arg(binary()).arg(&program).status().expect("cp is there");
    assert!(copied.success());
    let [program, socket, state] =
        [program, dir.path().join("sock"), dir.path().join("state")].map(|path| path.display().to_string());
    let conf = dir.path().join("agent.toml");
    std::fs::write(&conf, "").expect("a file");
    let conf = conf.display().to_string();
    let serve = [&program, "serve", "--config", &conf, "--socket", &socket, "--state-dir", &state];
    let words = [by, &serve, flags].concat();
    let done = lab.app.output(words[0], &words[1..]);
    assert_eq!(done.status.code(), Some(1), "{done:?}");
    assert!(!std::path::Path::new(&state).exists(), "nothing was made");
    done
}

#[test]
fn an_agent_does_not_start_with_less_than_it_needs_or_more_than_it_can_give_up() {
    let lab = Lab::new();
    let nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
    let with = |rest: &[&'static str]| [&nobody[..], rest, &["--"]].concat();
    let net = ["--inh-caps=+net_admin", "--ambient-caps=+net_admin"];
    for (by, flags, said) in [
        (with(&["--bounding-set=-all"]), &[][..], "CAP_NET_ADMIN is missing"),
        (with(&net), &[], "in the bounding set, since CAP_SETPCAP to give that up is missing"),
        (
            with(&[&net[..], &["--bounding-set=-all,+net_admin,+net_raw"]].concat()),
            &[],
            "with CAP_NET_RAW in the bounding set",
        ),
        (
            with(&[&net[..], &["--bounding-set=-all,+net_admin"]].concat()),
            &["--namespaces"],
            "takes CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_SYS_PTRACE, CAP_SYS_ADMIN, which",
        ),
    ] {
        let told = text(&refused(&lab, &by, flags).stderr);
        assert!(told.contains(said), "{told}");
    }
}

#[test]
fn it_takes_the_descriptors_that_it_may_have_and_does_not_start_with_too_few() {
    let lab = Lab::new();
    let dir = tempfile::tempdir().expect("a directory");
    let agent = Agent::start_by(&lab.app, &["prlimit", "--nofile=256:1024"], "", dir);
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", agent.pid())).expect("it runs");
    let files = limits.lines().find(|line| line.starts_with("Max open files")).expect("a limit");
    assert_eq!(files.split_whitespace().collect::<Vec<_>>()[3..5], ["1024", "1024"]);
    let tcp = ["--listen", "127.0.0.1:7433", "--insecure-loopback"];
    for (limit, flags, said) in [
        (
            "--nofile=256:256",
            &[][..],
            "may open 256 files, and the agent needs 448: raise the hard limit (LimitNOFILE=448",
        ),
        ("--nofile=512:512", &tcp, "512 connections over TCP take 960"),
        ("--nofile=512:512", &tcp, "lower `most_connections` to 64"),
    ] {
        // As its unit: what `refused` makes is nobody's.
        let nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
        let net =
            ["--inh-caps=+net_admin", "--ambient-caps=+net_admin", "--bounding-set=-all,+net_admin", "--"];
        let told = text(&refused(&lab, &[&["prlimit", limit], &nobody[..], &net].concat(), flags).stderr);
        assert!(told.contains(said), "{told}");
    }
}

#[test]
fn a_setuid_agent_is_refused() {
    let lab = Lab::new();
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).expect("ours");
    let program = dir.path().join("partition-agent");
    let copied = std::process::Command::new("cp").arg(binary()).arg(&program).status().expect("cp is there");
    assert!(copied.success());
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o4755)).expect("ours");
    let conf = dir.path().join("agent.toml");
    std::fs::write(&conf, "").expect("a file");
    let [program, conf] = [program, conf].map(|path| path.display().to_string());
    let nobody = [
        "--reuid",
        "65534",
        "--regid",
        "65534",
        "--clear-groups",
        "--",
        &program,
        "serve",
        "--config",
        &conf,
    ];
    let done = lab.app.output("setpriv", &nobody);
    assert_eq!(done.status.code(), Some(1), "{done:?}");
    assert!(text(&done.stderr).contains("must not be setuid"), "{done:?}");
}
