//! A real browser that opens a page and ends: what the page is then, what it logged, how it looks.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use harness::browser::{PATIENCE, chromium};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tempfile::TempDir;

/// With a profile of its own for each page, in a directory that is gone with it.
pub struct Browser {
    dir: TempDir,
}

/// What the browser said.
pub struct Said {
    /// The page as it was in the end.
    pub page: String,
    /// What it logged: messages of the page's console are lines with `CONSOLE`.
    pub log: String,
}

impl Said {
    pub fn console(&self) -> Vec<&str> {
        self.log.lines().filter(|line| line.contains("CONSOLE")).collect()
    }
}

impl Browser {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    /// Opens a page in a window of that size, in pixels.
    pub fn open(&self, page: &Path, size: (u32, u32), more: &[&str]) -> Said {
        let profile = tempfile::tempdir_in(self.dir.path()).unwrap();
        let (stdout, stderr) = (profile.path().join("stdout"), profile.path().join("stderr"));
        let mut command = chromium(profile.path(), size);
        command
            .args(more)
            .arg(format!("file://{}", page.display()))
            .stdout(File::create(&stdout).unwrap())
            .stderr(File::create(&stderr).unwrap());
        let mut child = command.spawn().unwrap();
        let group = Pid::from_raw(i32::try_from(child.id()).unwrap());
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break Some(status);
            }
            if begun.elapsed() > PATIENCE {
                break None;
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        let _ = killpg(group, Signal::SIGKILL);
        let _ = child.wait();
        let read = |path: &PathBuf| String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
        let said = Said { page: read(&stdout), log: read(&stderr) };
        assert!(
            status.is_some_and(|status| status.success()),
            "{status:?} after {:?}: {}",
            begun.elapsed(),
            said.log
        );
        said
    }

    /// What a function says of the page that runs in it, as JSON. The page is a copy, as reports let no script run, and in a frame of
    /// that width, as no window is narrower than 500 pixels.
    pub fn ask<T: serde::de::DeserializeOwned>(
        &self,
        page: &Path,
        width: u32,
        more: &[&str],
        script: &str,
    ) -> T {
        let text = std::fs::read_to_string(page).unwrap();
        let policy = text.find("<meta http-equiv=\"Content-Security-Policy\"").unwrap();
        let end = policy + text[policy..].find('>').unwrap() + 1;
        let open = format!("{}{}", &text[..policy], &text[end..]);
        let function = format!("<script>function ask() {{ {script} }}</script></body>");
        std::fs::write(self.dir.path().join("asked.html"), open.replace("</body>", &function)).unwrap();
        let frame = format!(
            "<!DOCTYPE html><title></title><iframe src=asked.html style='width: {width}px; height: 800px; border: 0' \
             onload='document.title = encodeURIComponent(JSON.stringify(this.contentWindow.ask()))'></iframe>"
        );
        let asking = self.dir.path().join("asking.html");
        std::fs::write(&asking, frame).unwrap();
        let more = [&["--dump-dom", "--allow-file-access-from-files"], more].concat();
        let said = self.open(&asking, (1_400, 900), &more);
        assert_eq!(said.console(), Vec::<&str>::new());
        let title = said.page.split("<title>").nth(1).unwrap().split("</title>").next().unwrap();
        let json = url_decoded(title);
        serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {json}"))
    }

    /// How many bytes a picture of the page takes; it stays in `to`.
    pub fn picture(&self, page: &Path, size: (u32, u32), to: &Path) -> u64 {
        self.open(page, size, &[&format!("--screenshot={}", to.display())]);
        std::fs::metadata(to).unwrap().len()
    }
}

fn url_decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let decoded = (byte == b'%').then(|| {
            let digits = [rest.next().unwrap(), rest.next().unwrap()];
            u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
        });
        bytes.push(decoded.unwrap_or(byte));
    }
    String::from_utf8(bytes).unwrap()
}
