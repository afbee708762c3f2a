//! What stands in for a node: containers on the real Docker, in a network of their own instead of the host's.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output};

use harness::docker::{Image, docker};
use harness::{has_tool, text};

/// A network of its own, and a container that keeps it when the agent stops. All of it goes with this, panic or not.
pub struct Node {
    name: String,
    pub image: Image,
    app_image: Image,
    pub dir: tempfile::TempDir,
}

impl Node {
    /// None, and said so, where a tool is missing.
    pub fn new(test: &str) -> Option<Self> {
        if !["docker", "strip", "busybox"].iter().all(|tool| has_tool(tool)) {
            return None;
        }
        let name = format!("paorchestrator-{test}-{}", std::process::id());
        let image = Image::agent(&format!("{name}:agent"));
        let app_image = Image::busybox(&format!("{name}:app"));
        let node = Self { name, image, app_image, dir: tempfile::tempdir().unwrap() };
        docker(&["network", "create", &node.name]);
        let (app, of) = (node.app(), &node.app_image.0);
        docker(&["run", "-d", "--name", &app, "--network", &node.name, of, "/bin/sleep", "600"]);
        Some(node)
    }

    /// Of the container that keeps the network.
    pub fn app(&self) -> String {
        format!("{}-app", self.name)
    }

    pub fn agent(&self) -> String {
        format!("{}-agent", self.name)
    }

    pub fn inspect(&self, what: &str) -> String {
        let format = format!("{{{{range .NetworkSettings.Networks}}}}{{{{.{what}}}}}{{{{end}}}}");
        docker(&["inspect", "--format", &format, &self.app()]).trim().to_owned()
    }

    /// Whether the app's packets come to its gateway and back.
    pub fn answers(&self, gateway: &str) -> bool {
        let ping = ["exec", &self.app(), "/bin/ping", "-c", "1", "-W", "1", gateway];
        Command::new("docker").args(ping).output().unwrap().status.success()
    }

    /// A token, and a certificate for the address of the app, made as docs/deploy/README.md says; by the names of the Secret.
    pub fn secrets(&self) -> [(&'static str, Vec<u8>); 3] {
        let ca = self.dir.path().join("ca");
        let address = self.inspect("IPAddress");
        for words in [&["init"][..], &["issue", "agents", "--host", &address]] {
            let made = Command::new(harness::binary()).arg("ca").args(words).arg("--dir").arg(&ca).output();
            let made = made.unwrap();
            assert!(made.status.success(), "{}", text(&made.stderr));
        }
        let token = b"a-token-of-more-than-sixteen\n".to_vec();
        self.write("token", &token, 0o600);
        let [cert, key] = ["agents.crt", "agents.key"].map(|file| fs::read(ca.join(file)).unwrap());
        [("token", token), ("agent.crt", cert), ("agent.key", key)]
    }

    /// A file, as whoever mounts it finds it.
    pub fn write(&self, path: &str, content: &[u8], mode: u32) -> PathBuf {
        let path = self.dir.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        path
    }

    /// The command line, on this machine, by TCP.
    pub fn over_tcp(&self, verb: &str) -> Output {
        let address = format!("https://{}:7433", self.inspect("IPAddress"));
        Command::new(harness::binary())
            .args(["--agent", &address, "--tls-ca"])
            .arg(self.dir.path().join("ca/ca.crt"))
            .arg("--token-file")
            .arg(self.dir.path().join("token"))
            .arg(verb)
            .output()
            .unwrap()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        for words in [&["rm", "-f", "-v", &self.agent(), &self.app()][..], &["network", "rm", &self.name]] {
            let _ = Command::new("docker").args(words).output();
        }
    }
}
