//! On what something was measured.

use std::process::Command;

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Machine {
    pub processor: String,
    pub cores: usize,
    pub memory_mib: u64,
    pub kernel: String,
    /// In the VM every instruction is emulated: its times are good for comparison with each other only.
    pub emulated: bool,
    /// Of the source tree.
    pub revision: String,
    pub date: String,
}

impl Machine {
    #[must_use]
    pub fn this(emulated: bool) -> Self {
        let of = |file: &str, name: &str| {
            let text = std::fs::read_to_string(file).unwrap_or_default();
            let line = text.lines().find_map(|line| line.strip_prefix(name).map(str::to_owned));
            line.unwrap_or_default().trim_matches([':', ' ', '\t']).to_owned()
        };
        let kib = of("/proc/meminfo", "MemTotal").trim_end_matches(" kB").parse::<u64>().unwrap_or_default();
        Self {
            processor: of("/proc/cpuinfo", "model name"),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_mib: kib >> 10,
            kernel: nix::sys::utsname::uname().expect("uname").release().to_string_lossy().into_owned(),
            emulated,
            revision: revision().unwrap_or_else(|| "unknown".to_owned()),
            date: jiff::Timestamp::now().strftime("%Y-%m-%d").to_string(),
        }
    }
}

fn revision() -> Option<String> {
    let mut git = Command::new("git");
    let output =
        git.arg("-C").arg(crate::repository()).args(["rev-parse", "--short", "HEAD"]).output().ok()?;
    output.status.success().then(|| harness::text(&output.stdout).trim().to_owned())
}
