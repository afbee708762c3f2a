//! A container on the real Docker, from an image of nothing but busybox.

use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use harness::docker::{Image, docker};
use harness::{has_tool, skip};

/// Gone when dropped, and its image after it.
pub struct Container {
    pub name: String,
    _image: Image,
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
        let name = format!("pa-docs-{}-{number}-web", std::process::id());
        let container = Self { _image: Image::busybox(&name), name };
        docker(&["run", "--detach", "--name", &container.name, &container.name, "/bin/sleep", "600"]);
        Some(container)
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        // A panic on the way out would hide the one that matters.
        let _ = Command::new("docker").args(["rm", "--force", &self.name]).output();
    }
}
