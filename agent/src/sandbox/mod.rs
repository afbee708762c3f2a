//! What the agent takes from itself before it serves anybody: system calls that it never makes, and files that it never opens. On
//! top of that comes whatever its unit or its container takes.

mod files;
mod syscalls;

use std::fmt;
use std::path::PathBuf;

/// The paths that the agent goes on using.
#[derive(Debug, Clone)]
pub struct Paths {
    /// Written and renamed in.
    pub state_dir: PathBuf,
    /// Where the socket is removed from in the end.
    pub socket: PathBuf,
}

/// What is in force, for the log.
#[derive(Debug)]
pub struct InForce {
    files: Result<String, String>,
    syscalls: Result<usize, String>,
}

impl fmt::Display for InForce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.syscalls {
            Ok(count) => write!(f, "{count} system calls")?,
            Err(why) => write!(f, "all system calls ({why})")?,
        }
        match &self.files {
            Ok(how) => write!(f, "; files by {how}"),
            Err(why) => write!(f, "; all files that its user may open ({why})"),
        }
    }
}

/// For the calling thread and those that it starts, so before any of them; and after `no_new_privs`, without which neither takes
/// hold. What this kernel has none of is left out: it is a second line, and the first is that the agent has one capability.
#[must_use]
pub fn enter(paths: &Paths, namespaces: bool) -> InForce {
    // Landlock first: its system calls are not among those that are allowed.
    let files = files::restrict(paths, namespaces);
    InForce { files, syscalls: syscalls::restrict(namespaces) }
}
