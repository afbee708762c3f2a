//! Commands of the pages that are not run here, each with why, and with what runs it.

/// How a command begins, why it cannot be run here, and where it, or what it stands for, is run.
pub struct Elsewhere {
    pub begins: &'static str,
    pub why: &'static str,
    pub run_by: &'static str,
}

pub const ELSEWHERE: [Elsewhere; 10] = [
    Elsewhere {
        begins: "cargo run --release -- demo",
        why: "builds; the demo itself is run, below it",
        run_by: "kernel demo",
    },
    Elsewhere { begins: "tests/run", why: "it is what runs this", run_by: ".ci/run" },
    Elsewhere {
        begins: "partition-agent run docs/gamedays/",
        why: "takes two minutes, and five kinds of servers",
        run_by: "gameday shipped",
    },
    Elsewhere { begins: "systemd/package", why: "a release build takes minutes", run_by: "packages" },
    Elsewhere { begins: "dpkg -i", why: "a machine that boots", run_by: "packages life" },
    Elsewhere { begins: "cargo build --release", why: "takes minutes", run_by: "packages" },
    Elsewhere { begins: "ssh ", why: "to a host of the reader's", run_by: "console, without the tunnel" },
    Elsewhere { begins: "journalctl ", why: "no systemd", run_by: "packages life" },
    Elsewhere {
        begins: "docker run ",
        why: "no image can be pulled; the container is made of an image of nothing",
        run_by: "scopes",
    },
    Elsewhere { begins: "docker rm ", why: "the container is removed with the test", run_by: "scopes" },
];

/// What says that a command is not run here.
pub fn of(command: &str) -> Option<&'static Elsewhere> {
    ELSEWHERE.iter().find(|elsewhere| command.starts_with(elsewhere.begins))
}
