//! A terminal with a program in it, as somebody sits in front of it: keys go in, and a screen is there to be read. By tmux, each
//! with a server of its own.

use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Long enough for a shell that reads all of its own completions on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is left on the screen tells why a program has ended, and how. tmux would say so itself, but not always.
const STAY: &str = r#""$@"; printf '\n[ended: %s]\n' $?; exec sleep infinity"#;

/// Ends with its program when it is dropped.
pub struct Terminal {
    dir: TempDir,
}

impl Terminal {
    /// So many columns and rows, with this program in it, an argument each, and this in its environment.
    #[must_use]
    pub fn start(size: (u16, u16), program: &[&str], env: &[(&str, &str)]) -> Self {
        let terminal = Self { dir: tempfile::tempdir().expect("a directory") };
        let mut tmux = terminal.tmux();
        // No file of the user's.
        tmux.args([
            "-f",
            "/dev/null",
            "new-session",
            "-d",
            "-x",
            &size.0.to_string(),
            "-y",
            &size.1.to_string(),
        ]);
        // The server hands its own environment on.
        tmux.envs(env.iter().copied());
        tmux.args(["--", "sh", "-c", STAY, "sh"]).args(program);
        let started = tmux.output().expect("tmux runs");
        assert!(started.status.success(), "{started:?}");
        terminal
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("tmux")
    }

    fn tmux(&self) -> Command {
        let mut tmux = Command::new("tmux");
        tmux.arg("-S").arg(self.socket()).env_remove("TMUX").env("LC_ALL", "C.UTF-8");
        tmux
    }

    fn tell(&self, words: &[&str]) -> Output {
        let told = self.tmux().args(words).output().expect("tmux runs");
        assert!(told.status.success(), "{words:?}: {told:?}");
        told
    }

    /// These characters, as they are.
    pub fn types(&self, text: &str) {
        self.tell(&["send-keys", "-l", "--", text]);
    }

    /// A key by tmux's name of it: `Tab`, `Enter`, `C-c`.
    pub fn press(&self, key: &str) {
        self.tell(&["send-keys", key]);
    }

    /// What can be read on it.
    #[must_use]
    pub fn screen(&self) -> String {
        crate::text(&self.tell(&["capture-pane", "-p"]).stdout)
    }

    /// The same with its colours, as escape sequences.
    #[must_use]
    pub fn colours(&self) -> String {
        crate::text(&self.tell(&["capture-pane", "-p", "-e"]).stdout)
    }

    /// Another size, as when somebody pulls at the window.
    pub fn resize(&self, columns: u16, rows: u16) {
        self.tell(&["resize-window", "-x", &columns.to_string(), "-y", &rows.to_string()]);
    }

    /// Until the screen is as it should be.
    #[track_caller]
    pub fn wait(&self, what: &str, mut is: impl FnMut(&str) -> bool) -> String {
        let begun = Instant::now();
        loop {
            let screen = self.screen();
            if is(&screen) {
                return screen;
            }
            assert!(begun.elapsed() < PATIENCE, "{what}: not in {PATIENCE:?}; the screen is\n{screen}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// How its program ended; none, while it runs.
    #[must_use]
    pub fn ended(&self) -> Option<i32> {
        let screen = self.screen();
        let told = screen.lines().rev().find_map(|line| line.strip_prefix("[ended: "))?;
        told.strip_suffix(']')?.parse().ok()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.tmux().arg("kill-server").output();
    }
}
