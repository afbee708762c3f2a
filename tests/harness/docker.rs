//! The real Docker, and the agent's image on it.

use std::path::Path;
use std::process::Command;

use crate::{stripped, text};

/// The command line of Docker; it must succeed.
///
/// # Panics
/// When it does not.
#[track_caller]
#[allow(clippy::must_use_candidate, reason = "what it prints is often of no interest")]
pub fn docker(arguments: &[&str]) -> String {
    let done = Command::new("docker").args(arguments).output().expect("docker is installed");
    assert!(done.status.success(), "docker {arguments:?}: {}", text(&done.stderr));
    text(&done.stdout)
}

/// The image of `docs/deploy/image`, with the program under test. It goes when this does.
pub struct AgentImage(pub String);

impl AgentImage {
    /// # Panics
    /// Where there is no Docker, or no `strip`.
    #[must_use]
    pub fn build(name: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let build = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/deploy/image/build");
        let built = Command::new(build)
            .args(["--tag", name, "--binary"])
            .arg(stripped(dir.path()))
            .output()
            .expect("it can be started");
        assert!(built.status.success(), "{}", text(&built.stderr));
        Self(name.to_owned())
    }
}

impl Drop for AgentImage {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["rmi", "-f", &self.0]).output();
    }
}
