//! Containers of the real Docker, from an image made from nothing but busybox.

use std::fs::File;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use harness::{has_tool, text};

use crate::fleet::{Fleet, refused, show};

/// Containers and a network, with names of their own; all of it goes when this does, panic or not.
struct Engine {
    name: String,
    /// Two test programs at once would wait for the engine.
    _alone: File,
}

fn docker(arguments: &[&str]) -> String {
    let done = Command::new("docker").args(arguments).output().unwrap();
    assert!(done.status.success(), "docker {arguments:?}: {}", text(&done.stderr));
    text(&done.stdout).trim().to_owned()
}

impl Engine {
    fn new() -> Option<Self> {
        if !["docker", "busybox", "tar"].iter().all(|tool| has_tool(tool)) {
            return None;
        }
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("pasource{}x{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let lock = std::env::temp_dir().join("partition-agent-tests-docker.lock");
        let alone = File::create(lock).unwrap();
        alone.lock().unwrap();
        let engine = Self { name, _alone: alone };
        let import = "cd \"$(dirname \"$(readlink -f \"$(command -v busybox)\")\")\" && tar -c busybox | docker import - \"$0\"";
        let imported = Command::new("bash").args(["-c", import, &engine.name]).output().unwrap();
        assert!(imported.status.success(), "{}", text(&imported.stderr));
        docker(&["network", "create", &engine.name]);
        Some(engine)
    }

    /// Sleeps until it is removed.
    fn run(&self, name: &str, options: &[&str]) {
        let name = format!("{}-{name}", self.name);
        let options = [&["run", "-d", "--name", &name, "--stop-timeout", "0"], options].concat();
        docker(&[&options[..], &[&self.name, "/busybox", "sleep", "600"]].concat());
    }

    fn label(&self, value: &str) -> String {
        format!("{}={value}", self.name)
    }

    /// What Docker itself says it has in its own network.
    fn address(&self, name: &str) -> String {
        let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
        docker(&["inspect", "--format", format, &format!("{}-{name}", self.name)])
    }

    fn show(&self, label: &str) -> std::process::Output {
        show(&format!("docker:{label}")).output().unwrap()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let script = "docker ps -aq --filter name=\"$0\" | xargs -r docker rm -f -v; docker network rm \"$0\"; docker rmi -f \"$0\"";
        // A panic on the way out would hide the one that matters.
        let _ = Command::new("bash").args(["-c", script, &self.name]).output();
    }
}

#[test]
fn running_containers_with_the_label_are_hosts() {
    let Some(engine) = Engine::new() else { return };
    let (web, db) = (engine.label("web"), engine.label("db"));
    let network = ["--network", engine.name.as_str()];
    engine.run("a", &[&network[..], &["--label", &web, "--label", "tier=front"]].concat());
    engine.run("b", &[&network[..], &["--label", &db, "--label", "partition_agent=false"]].concat());
    engine.run("stopped", &[&network[..], &["--label", &web]].concat());
    engine.run("other", &network);
    docker(&["stop", &format!("{}-stopped", engine.name)]);

    let fleet = Fleet::of(&engine.show(&engine.name));
    let (a, b) = (engine.address("a"), engine.address("b"));
    assert_eq!(
        fleet.lines(),
        [
            format!("{0}-a http://{a}:7433 {a} {web} tier=front", engine.name),
            format!("{0}-b none {b} {db}", engine.name),
        ]
    );
    let only = Fleet::of(&engine.show(&db));
    assert_eq!(only.hosts.len(), 1);
    assert_eq!(only.hosts[0].addresses, [b]);
    let nobody = refused(&engine.show(&engine.label("mail")));
    assert!(nobody.contains("a fleet without hosts"), "{nobody}");
}

#[test]
fn a_container_without_an_address_of_its_own_is_named() {
    let Some(engine) = Engine::new() else { return };
    engine.run("bare", &["--network", "none", "--label", &engine.label("web")]);
    let error = refused(&engine.show(&engine.name));
    assert!(error.contains(&format!("container {}-bare has no address of its own", engine.name)), "{error}");
}

#[test]
fn without_an_engine_the_sockets_that_were_tried_are_named() {
    // Wherever an engine of this machine has its socket, it is elsewhere in this namespace.
    let program = show("docker:web");
    let mut command = Command::new("unshare");
    command.args(["--mount", "bash", "-c", "mount -t tmpfs none /run && exec \"$0\" \"$@\""]);
    command
        .arg(program.get_program())
        .args(program.get_args())
        .env("DOCKER_HOST", "unix:///nonexistent/docker.sock");
    let error = refused(&command.output().unwrap());
    for socket in
        ["/nonexistent/docker.sock: No such file", "/var/run/docker.sock", "/run/podman/podman.sock"]
    {
        assert!(error.contains(socket), "{error}");
    }
}
