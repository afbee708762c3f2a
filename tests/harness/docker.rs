//! The real Docker, and images on it.

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

/// An image, by its name. It goes when this does.
pub struct Image(pub String);

impl Image {
    /// That of `docs/deploy/image`, with the program under test.
    ///
    /// # Panics
    /// Where there is no Docker, or no `strip`. So does the other one, without busybox.
    #[must_use]
    pub fn agent(name: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let build = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/deploy/image/build");
        made(Command::new(build).args(["--tag", name, "--binary"]).arg(stripped(dir.path())), name)
    }

    /// Of nothing but busybox, with a shell and what somebody would type there.
    #[must_use]
    pub fn busybox(name: &str) -> Self {
        let import = "set -euo pipefail; dir=$(mktemp -d); trap 'rm -r $dir' EXIT; mkdir $dir/bin
            cp -L \"$(command -v busybox)\" $dir/bin/busybox
            for applet in sh ping sleep wget; do ln -s busybox $dir/bin/$applet; done
            tar -C $dir -c bin | docker import - \"$0\"";
        made(Command::new("bash").args(["-c", import, name]), name)
    }
}

fn made(command: &mut Command, name: &str) -> Image {
    let done = command.output().expect("it can be started");
    assert!(done.status.success(), "{}", text(&done.stderr));
    Image(name.to_owned())
}

impl Drop for Image {
    fn drop(&mut self) {
        let _ = Command::new("docker").args(["rmi", "-f", &self.0]).output();
    }
}
