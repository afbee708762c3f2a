//! A container on the real Docker, from an image of nothing but busybox.

use std::process::Command;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use harness::{has_tool, skip, text};

/// Gone when dropped, with its image.
pub struct Container {
    pub name: String,
}

impl Container {
    /// One for all sections that run at a time. None, and said so, where there is no Docker.
    pub fn shared() -> Option<Arc<Self>> {
        static SHARED: Mutex<Weak<Container>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(container) = shared.upgrade() {
            return Some(container);
        }
        if !["docker", "busybox"].into_iter().all(has_tool) {
            return None;
        }
        if !Command::new("docker").arg("info").output().is_ok_and(|info| info.status.success()) {
            skip("docker info fails");
            return None;
        }
        let container = Arc::new(Self { name: format!("pa-docs-{}-web", std::process::id()) });
        let make = "set -e; dir=$(mktemp -d); trap 'rm -r $dir' EXIT; mkdir $dir/bin
            cp \"$(command -v busybox)\" $dir/bin/; ln -s busybox $dir/bin/sh
            for applet in ping sleep wget; do ln -s busybox $dir/bin/$applet; done
            tar -C $dir -c bin | docker import - \"$1\" >/dev/null
            docker run --detach --name \"$1\" \"$1\" /bin/sleep 600 >/dev/null";
        let made = Command::new("bash").args(["-c", make, "make", &container.name]).output().expect("bash is installed");
        assert!(made.status.success(), "{}", text(&made.stderr));
        *shared = Arc::downgrade(&container);
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
