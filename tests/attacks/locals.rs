//! The unix socket: whoever can open the file is not let in by that alone. As root, since it takes another user to ask.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use harness::fake_agent::FakeAgent;
use harness::{skip, text};
use partition_agent_proto::ProblemCode::Forbidden;

use crate::wire::{assert_untouched, problem};

/// What curl gets as this user in these groups.
fn ask_as(agent: &FakeAgent, uid: &str, groups: &str) -> String {
    let socket = agent.socket.display().to_string();
    let done = Command::new("setpriv")
        .args(["--reuid", uid, "--regid", "12345", groups, "--"])
        .args([
            "curl",
            "-s",
            "-i",
            "--max-time",
            "60",
            "--unix-socket",
            &socket,
            "http://localhost/v1/faults",
        ])
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", text(&done.stderr));
    text(&done.stdout)
}

#[test]
fn a_stranger_who_can_open_the_socket() {
    if !nix::unistd::geteuid().is_root() {
        return skip("it takes root to become somebody else");
    }
    let agent = FakeAgent::start();
    let open = |path: &std::path::Path, mode| {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    open(agent.socket.parent().unwrap(), 0o755);
    open(&agent.socket, 0o666);
    for groups in ["--clear-groups", "--groups=0,4"] {
        let answer = ask_as(&agent, "12345", groups);
        let refused = problem(&answer);
        assert_eq!(refused.code, Forbidden);
        assert!(refused.detail.contains("uid 12345 is neither root"), "{refused}");
        assert!(refused.hint.unwrap().contains("no-such-group"), "{answer}");
    }
    assert_untouched(&agent, "a stranger");
    assert!(ask_as(&agent, "0", "--clear-groups").starts_with("HTTP/1.1 200 "));
}
