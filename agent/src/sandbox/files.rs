//! Landlock: the directories that the agent reads, and the two that it writes.

use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, LandlockStatus, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError, RulesetStatus, Scope, path_beneath_rules,
};

use super::Paths;

/// What is known of rights; kernels that know fewer leave the others out. 5.13 has the first, 6.10 those on ioctls.
const KNOWN: ABI = ABI::V6;

/// Read, whatever the configuration says. `/etc`: names, users and time zones; whole, as its files are replaced by others of the
/// same name (`resolv.conf`). `/proc` and `/sys`: control groups, processes, the range of ports. `/run`: name servers of
/// systemd-resolved, named namespaces. The libraries: the C library loads those of `nsswitch.conf` when a name is asked for.
const READ: [&str; 9] =
    ["/etc", "/proc", "/sys", "/run", "/var/run", "/usr/share/zoneinfo", "/usr/lib", "/lib", "/lib64"];
const LIBRARIES: [&str; 3] = ["/usr/lib64", "/usr/local/lib", "/nix/store"];
/// The emulator opens it when it is needed.
const TUN: [&str; 2] = ["/dev/net/tun", "/dev/null"];

/// # Errors
/// Why there is none.
pub fn restrict(paths: &Paths, namespaces: bool) -> Result<String, String> {
    if namespaces {
        // A landlocked process may not look into others (`hook_ptrace_access_check`), and that is how namespaces are found.
        return Err("Landlock keeps a process from looking into others, which `namespaces` takes".to_owned());
    }
    let status = landlocked(paths).map_err(|error| format!("Landlock: {error}"))?;
    let abi = match status.landlock {
        LandlockStatus::Available { effective_abi, .. } => format!("Landlock {effective_abi:?}"),
        LandlockStatus::NotEnabled => {
            return Err("Landlock is not enabled: `lsm=` of the boot line".to_owned());
        }
        LandlockStatus::NotImplemented => return Err("this kernel has no Landlock".to_owned()),
    };
    match status.ruleset {
        RulesetStatus::FullyEnforced => Ok(abi),
        RulesetStatus::PartiallyEnforced => Ok(format!("{abi}, in part")),
        RulesetStatus::NotEnforced => Err("this kernel has no Landlock".to_owned()),
    }
}

fn landlocked(paths: &Paths) -> Result<landlock::RestrictionStatus, RulesetError> {
    let read = AccessFs::ReadFile | AccessFs::ReadDir;
    let device = AccessFs::ReadFile | AccessFs::WriteFile | AccessFs::IoctlDev;
    let state: BitFlags<AccessFs> =
        read | AccessFs::WriteFile | AccessFs::MakeReg | AccessFs::RemoveFile | AccessFs::Truncate;
    let resolv = Path::new("/etc/resolv.conf").canonicalize().ok();
    let resolv = resolv.as_deref().and_then(Path::parent).map(Path::to_owned);
    let readable = READ.into_iter().chain(LIBRARIES).map(PathBuf::from).chain(resolv);
    Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(KNOWN))?
        // It signals nobody. Abstract unix sockets are left alone: `NOTIFY_SOCKET` may be one.
        .scope(Scope::Signal)?
        .create()?
        .add_rules(path_beneath_rules(readable, read))?
        .add_rules(path_beneath_rules(TUN, device))?
        .add_rules(path_beneath_rules([&paths.state_dir], state))?
        .add_rules(path_beneath_rules(paths.socket.parent(), AccessFs::RemoveFile))?
        .restrict_self()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::ErrorKind;

    use super::*;

    #[test]
    fn it_reads_what_it_needs_and_writes_its_state_only() {
        let dir = tempfile::tempdir().unwrap();
        let [state, run, other] = ["state", "run", "other"].map(|name| dir.path().join(name));
        for made in [&state, &run, &other] {
            fs::create_dir(made).unwrap();
        }
        let socket = run.join("agent.sock");
        for file in [&socket, &other.join("secret")] {
            fs::write(file, "x").unwrap();
        }
        let paths = Paths { state_dir: state.clone(), socket: socket.clone() };
        assert!(restrict(&paths, true).is_err(), "not with other namespaces");
        std::thread::scope(|scope| {
            scope.spawn(|| {
                if let Err(why) = restrict(&paths, false) {
                    println!("skipped: {why}");
                    return;
                }
                let refused =
                    |done: std::io::Result<()>| done.unwrap_err().kind() == ErrorKind::PermissionDenied;
                fs::write(state.join("journal"), "x").unwrap();
                fs::rename(state.join("journal"), state.join("journal.1")).unwrap();
                fs::read_to_string("/proc/self/status").unwrap();
                fs::read_dir("/etc").unwrap();
                assert!(refused(fs::write(other.join("new"), "x")));
                assert!(refused(fs::write(run.join("new"), "x")));
                assert!(refused(fs::read_to_string(other.join("secret")).map(drop)));
                assert!(refused(fs::remove_file(other.join("secret"))));
                assert!(refused(fs::write("/etc/partition-agent-was-here", "x")));
                assert!(refused(fs::create_dir(state.join("inner"))));
                assert!(refused(std::os::unix::fs::symlink("/etc/shadow", state.join("link"))));
                fs::remove_file(&socket).unwrap();
            });
        });
    }
}
