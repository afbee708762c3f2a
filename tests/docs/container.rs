//! A container on the real Docker, from an image of nothing but busybox.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use harness::{has_tool, skip, text};

/// Gone when dropped, with its image.
pub struct Container {
    pub name: String,
}

impl Container {
    /// None, and said so, where there is no Docker.
    pub fn start() -> Option<Self> {
        if !["docker", "busybox"].into_iter().all(has_tool) {
            return None;
        }
        if !Command::new("docker").arg("info").output().is_ok_and(|info| info.status.success()) {
            skip("docker info fails");
            return None;
        }
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let container = Self { name: format!("pa-docs-{}-{number}-web", std::process::id()) };
        let make = "set -e; dir=$(mktemp -d); trap 'rm -r $dir' EXIT; mkdir $dir/bin
            cp \"$(command -v busybox)\" $dir/bin/; ln -s busybox $dir/bin/sh
            for applet in ping sleep wget; do ln -s busybox $dir/bin/$applet; done
            tar -C $dir -c bin | docker import - \"$1\" >/dev/null
            docker run --detach --name \"$1\" \"$1\" /bin/sleep 600 >/dev/null";
        let made = Command::new("bash")
            .args(["-c", make, "make", &container.name])
            .output()
            .expect("bash is installed");
        assert!(made.status.success(), "{}", text(&made.stderr));
        Some(container)
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // A panic on the way out would hide the one that matters.
        let _ = Command::new("docker").args(["rm", "--force", &self.name]).output();
        let _ = Command::new("docker").args(["rmi", "--force", &self.name]).output();
    }
}
