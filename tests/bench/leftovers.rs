//! What a benchmark that panics would leave: it is aborted, as the agent is, and nothing of it is dropped.

use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Ends the children of this process and deletes its network namespaces, before it is aborted.
pub fn clear_on_panic() {
    let told = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        told(panic);
        for child in children() {
            let _ = kill(child, Signal::SIGKILL);
        }
        let ours = format!("pa-test-{}-", std::process::id());
        let names = std::fs::read_dir("/run/netns").into_iter().flatten().flatten();
        for name in names.map(|entry| entry.file_name()) {
            if name.to_string_lossy().starts_with(&ours) {
                let _ = Command::new("ip").args(["netns", "del"]).arg(name).status();
            }
        }
    }));
}

/// Of all threads.
fn children() -> Vec<Pid> {
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|&pid| parent(pid) == Some(std::process::id())).map(Pid::from_raw).collect()
}

fn parent(pid: i32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Behind the name, which may have anything in it: the state and the parent, proc(5).
    stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse().ok()
}
