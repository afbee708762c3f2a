//! A container of the real Docker, made from nothing but busybox, that comes and goes.

use std::fs::File;
use std::process::Command;

use harness::{has_tool, text};

use crate::observe::Netns;

/// It goes when this does, panic or not.
pub struct Container {
    pub name: String,
    image: String,
    /// Two test programs at once would wait for the engine and not for the agent.
    _alone: File,
}

impl Container {
    /// None, and said so, where there is no Docker.
    pub fn run() -> Option<Self> {
        if !["docker", "busybox"].iter().all(|tool| has_tool(tool)) {
            return None;
        }
        if !Command::new("docker").arg("info").output().is_ok_and(|done| done.status.success()) {
            harness::skip("docker info fails");
            return None;
        }
        let alone = File::create(std::env::temp_dir().join("partition-agent-tests-docker.lock"));
        let alone = alone.expect("a temporary file");
        alone.lock().expect("nobody panicked with it");
        let name = format!("pa-soak-{}", std::process::id());
        let image = format!("partition-agent-soak:{}", std::process::id());
        let container = Self { name, image, _alone: alone };
        let context = tempfile::tempdir().expect("a temporary file");
        let build = "set -eu; cd \"$0\"; cp -L \"$(command -v busybox)\" busybox
            printf 'FROM scratch\\nCOPY busybox /busybox\\nCMD [\"/busybox\", \"sleep\", \"1000000\"]\\n' >Dockerfile
            docker build -q -t \"$1\" .";
        let mut command = Command::new("bash");
        command.args(["-c", build]).arg(context.path()).arg(&container.image).env("DOCKER_BUILDKIT", "0");
        let built = command.output().expect("it can be started");
        assert!(built.status.success(), "{}", text(&built.stderr));
        container.docker(&["run", "-d", "--name", &container.name, &container.image]);
        Some(container)
    }

    fn docker(&self, arguments: &[&str]) -> String {
        let done = Command::new("docker").args(arguments).output().expect("docker is installed");
        assert!(done.status.success(), "docker {arguments:?}: {}", text(&done.stderr));
        text(&done.stdout)
    }

    pub fn restart(&self) {
        self.docker(&["restart", "-t", "0", &self.name]);
    }

    pub fn stop(&self) {
        self.docker(&["kill", &self.name]);
    }

    pub fn start(&self) {
        self.docker(&["start", &self.name]);
    }

    pub fn netns(&self) -> Netns {
        let pid = self.docker(&["inspect", "--format", "{{.State.Pid}}", &self.name]);
        Netns::open(&format!("/proc/{}/ns/net", pid.trim())).expect("it runs")
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // A panic on the way out would hide the one that matters.
        let _ = Command::new("docker").args(["rm", "-f", &self.name]).output();
        let _ = Command::new("docker").args(["rmi", "-f", &self.image]).output();
    }
}
