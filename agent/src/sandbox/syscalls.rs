//! seccomp: the system calls that the agent makes. Any other fails with EPERM, as in the unit: a call that a library tries and can do
//! without costs nothing then, and one that it cannot do without is an error in the log instead of the end of every fault.

use std::collections::BTreeMap;

use libc::c_long;
use seccompiler::{
    BpfProgram, Error, SeccompAction, SeccompCmpArgLen as Length, SeccompCmpOp as Is,
    SeccompCondition as When, SeccompFilter, SeccompRule, TargetArch, apply_filter,
};

/// Sockets: HTTP, netlink, DNS, probes, container engines, systemd.
const SOCKETS: &[c_long] = &[
    libc::SYS_accept4,
    libc::SYS_bind,
    libc::SYS_connect,
    libc::SYS_getpeername,
    libc::SYS_getsockname,
    libc::SYS_getsockopt,
    libc::SYS_listen,
    libc::SYS_recvfrom,
    libc::SYS_recvmmsg,
    libc::SYS_recvmsg,
    libc::SYS_sendmmsg,
    libc::SYS_sendmsg,
    libc::SYS_sendto,
    libc::SYS_setsockopt,
    libc::SYS_shutdown,
    libc::SYS_socketpair,
];

/// Files: journal, audit log, `/proc`, control groups, the C library's databases. None that changes what others may do with a file:
/// Landlock knows no rule for those, and root's agent has root's user. `fchown` gives a new file to the owner of the state directory.
const FILES: &[c_long] = &[
    libc::SYS_close,
    libc::SYS_close_range,
    libc::SYS_dup,
    libc::SYS_dup3,
    libc::SYS_faccessat,
    libc::SYS_faccessat2,
    libc::SYS_fallocate,
    libc::SYS_fchown,
    libc::SYS_fcntl,
    libc::SYS_fdatasync,
    libc::SYS_flock,
    libc::SYS_fstat,
    libc::SYS_fstatfs,
    libc::SYS_fsync,
    libc::SYS_ftruncate,
    libc::SYS_getcwd,
    libc::SYS_getdents64,
    libc::SYS_lseek,
    libc::SYS_mkdirat,
    libc::SYS_newfstatat,
    libc::SYS_openat,
    libc::SYS_openat2,
    libc::SYS_pread64,
    libc::SYS_preadv,
    libc::SYS_pwrite64,
    libc::SYS_pwritev,
    libc::SYS_read,
    libc::SYS_readlinkat,
    libc::SYS_readv,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_statfs,
    libc::SYS_statx,
    libc::SYS_unlinkat,
    libc::SYS_write,
    libc::SYS_writev,
];

/// Waiting: tokio, the alarm, the emulator.
const WAITING: &[c_long] = &[
    libc::SYS_clock_getres,
    libc::SYS_clock_gettime,
    libc::SYS_clock_nanosleep,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_pwait2,
    libc::SYS_eventfd2,
    libc::SYS_gettimeofday,
    libc::SYS_inotify_add_watch,
    libc::SYS_inotify_init1,
    libc::SYS_inotify_rm_watch,
    libc::SYS_nanosleep,
    libc::SYS_pidfd_open,
    libc::SYS_pipe2,
    libc::SYS_ppoll,
    libc::SYS_pselect6,
    libc::SYS_timerfd_create,
    libc::SYS_timerfd_gettime,
    libc::SYS_timerfd_settime,
];

/// Memory and threads of its own, signals to itself, and what it asks of itself.
const SELF: &[c_long] = &[
    libc::SYS_brk,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_futex,
    libc::SYS_get_robust_list,
    libc::SYS_getegid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getpid,
    libc::SYS_getppid,
    libc::SYS_getrandom,
    libc::SYS_getresgid,
    libc::SYS_getresuid,
    libc::SYS_getrlimit,
    libc::SYS_getrusage,
    libc::SYS_gettid,
    libc::SYS_getuid,
    libc::SYS_madvise,
    libc::SYS_membarrier,
    libc::SYS_mincore,
    libc::SYS_mremap,
    libc::SYS_munmap,
    libc::SYS_prlimit64,
    libc::SYS_restart_syscall,
    libc::SYS_rseq,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigtimedwait,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_getparam,
    libc::SYS_sched_getscheduler,
    libc::SYS_sched_yield,
    libc::SYS_set_robust_list,
    libc::SYS_set_tid_address,
    libc::SYS_sigaltstack,
    libc::SYS_sysinfo,
    libc::SYS_tgkill,
    libc::SYS_tkill,
    libc::SYS_uname,
];

/// Older names of calls above. 64-bit ARM never had them.
#[cfg(target_arch = "x86_64")]
const OLDER: &[c_long] = &[
    libc::SYS_access,
    libc::SYS_arch_prctl,
    libc::SYS_dup2,
    libc::SYS_epoll_wait,
    libc::SYS_lstat,
    libc::SYS_mkdir,
    libc::SYS_open,
    libc::SYS_pipe,
    libc::SYS_poll,
    libc::SYS_readlink,
    libc::SYS_rename,
    libc::SYS_select,
    libc::SYS_stat,
    libc::SYS_time,
    libc::SYS_unlink,
];
#[cfg(not(target_arch = "x86_64"))]
const OLDER: &[c_long] = &[];

/// Answers how many calls are left.
///
/// # Errors
/// Why all of them are.
pub fn restrict(namespaces: bool) -> Result<usize, String> {
    let told = |error: Error| format!("seccomp: {error}");
    let (newer, allowed) = (newer_clone().map_err(told)?, filter(namespaces).map_err(told)?);
    let count = rules(namespaces).map_err(|error| format!("seccomp: {error}"))?.len();
    for program in [newer, allowed] {
        apply_filter(&program).map_err(told)?;
    }
    Ok(count)
}

fn architecture() -> Result<TargetArch, Error> {
    Ok(std::env::consts::ARCH.try_into()?)
}

/// What `clone3` is to do is in memory, where no filter sees it. A C library that is told that there is no such call takes `clone`
/// instead; of two filters that fail a call, the one that was first asked to let it pass has no say.
fn newer_clone() -> Result<BpfProgram, Error> {
    let only = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    let (rest, absent) = (SeccompAction::Allow, SeccompAction::Errno(libc::ENOSYS.unsigned_abs()));
    Ok(SeccompFilter::new(only, rest, absent, architecture()?)?.try_into()?)
}

fn filter(namespaces: bool) -> Result<BpfProgram, Error> {
    let (rest, these) = (SeccompAction::Errno(libc::EPERM.unsigned_abs()), SeccompAction::Allow);
    Ok(SeccompFilter::new(rules(namespaces)?, rest, these, architecture()?)?.try_into()?)
}

/// By number; without a rule, whatever the arguments.
fn rules(namespaces: bool) -> Result<BTreeMap<c_long, Vec<SeccompRule>>, seccompiler::BackendError> {
    let plain = [SOCKETS, FILES, WAITING, SELF, OLDER].concat();
    let mut rules = plain.into_iter().map(|call| (call, Vec::new())).collect::<BTreeMap<_, _>>();
    // See `newer_clone`.
    rules.insert(libc::SYS_clone3, Vec::new());
    if namespaces {
        rules.insert(libc::SYS_setns, Vec::new());
    }
    // Threads, and no process: it runs no other program.
    rules.insert(libc::SYS_clone, vec![one(0, has(libc::CLONE_THREAD))?]);
    let families = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];
    rules.insert(libc::SYS_socket, each(0, families.map(i32::unsigned_abs))?);
    // The name of a thread, and of a mapping (glibc, Linux 5.17).
    rules.insert(
        libc::SYS_prctl,
        each(0, [libc::PR_SET_NAME.unsigned_abs(), libc::PR_SET_VMA.unsigned_abs()])?,
    );
    // No code is made while it runs. The C library maps that of others when it looks up names.
    let writable_or_code = vec![one(2, lacks(libc::PROT_EXEC))?, one(2, lacks(libc::PROT_WRITE))?];
    rules.insert(libc::SYS_mmap, writable_or_code);
    rules.insert(libc::SYS_mprotect, vec![one(2, lacks(libc::PROT_EXEC))?]);
    // Keys for somebody's terminal: TIOCSTI, and TIOCLINUX, which pastes.
    let not_typed = [libc::TIOCSTI, libc::TIOCLINUX].map(|call| When::new(1, Length::Dword, Is::Ne, call));
    let not_typed = not_typed.into_iter().collect::<Result<Vec<_>, _>>()?;
    rules.insert(libc::SYS_ioctl, vec![SeccompRule::new(not_typed)?]);
    Ok(rules)
}

fn has(bits: i32) -> (Is, u64) {
    let bits = u64::from(bits.unsigned_abs());
    (Is::MaskedEq(bits), bits)
}

fn lacks(bits: i32) -> (Is, u64) {
    (has(bits).0, 0)
}

fn one(argument: u8, (is, value): (Is, u64)) -> Result<SeccompRule, seccompiler::BackendError> {
    SeccompRule::new(vec![When::new(argument, Length::Dword, is, value)?])
}

fn each<const N: usize>(
    argument: u8,
    values: [u32; N],
) -> Result<Vec<SeccompRule>, seccompiler::BackendError> {
    values.into_iter().map(|value| one(argument, (Is::Eq, u64::from(value)))).collect()
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::io::ErrorKind;
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::{PermissionsExt, chown, lchown, symlink};

    use nix::errno::Errno;
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
    use nix::unistd::geteuid;

    use super::*;

    /// On a thread of its own: the filter stays with it, and with those that it starts.
    fn inside<T: Send>(namespaces: bool, work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let filtered = scope.spawn(|| {
                restrict(namespaces).unwrap();
                work()
            });
            filtered.join().unwrap()
        })
    }

    #[test]
    fn what_the_agent_does_is_allowed_and_nothing_that_makes_more_of_it() {
        let refused = |call: c_long| {
            // SAFETY: refused before any argument is looked at; and where it is not, each of these fails on zeros.
            #[allow(unsafe_code)]
            let done = unsafe { libc::syscall(call, 0, 0, 0, 0, 0, 0) };
            (done, Errno::last())
        };
        inside(false, || {
            for call in [
                libc::SYS_execve,
                libc::SYS_execveat,
                libc::SYS_ptrace,
                libc::SYS_process_vm_readv,
                libc::SYS_mount,
                libc::SYS_move_mount,
                libc::SYS_open_tree,
                libc::SYS_umount2,
                libc::SYS_pivot_root,
                libc::SYS_init_module,
                libc::SYS_finit_module,
                libc::SYS_bpf,
                libc::SYS_keyctl,
                libc::SYS_add_key,
                libc::SYS_userfaultfd,
                libc::SYS_perf_event_open,
                libc::SYS_io_uring_setup,
                libc::SYS_unshare,
                libc::SYS_setns,
                libc::SYS_setuid,
                libc::SYS_capset,
                libc::SYS_kexec_load,
                libc::SYS_kill,
                libc::SYS_pidfd_getfd,
                libc::SYS_seccomp,
                libc::SYS_open_by_handle_at,
            ] {
                assert_eq!(refused(call), (-1, Errno::EPERM), "{call}");
            }
            assert_eq!(refused(libc::SYS_clone3), (-1, Errno::ENOSYS));
            let kind = std::process::Command::new("/bin/true").status().unwrap_err().kind();
            assert_eq!(kind, ErrorKind::PermissionDenied);
            let packet = socket(AddressFamily::Packet, SockType::Raw, SockFlag::empty(), None);
            assert_eq!(packet.unwrap_err(), Errno::EPERM);
            let netlink = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::empty(), None);
            assert!(netlink.unwrap().as_raw_fd() > 0);
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            // Threads of its own, by either C library.
            assert_eq!(std::thread::spawn(|| 7).join().unwrap(), 7);
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), "a").unwrap();
            assert_eq!(std::fs::read_to_string(file.path()).unwrap(), "a");
        });
    }

    #[test]
    fn modes_and_owners_stay_as_they_are() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "a").unwrap();
        let open = Permissions::from_mode(0o4777);
        inside(false, || {
            let denied = |done: std::io::Result<()>| done.unwrap_err().kind() == ErrorKind::PermissionDenied;
            assert!(denied(std::fs::set_permissions(&file, open.clone())));
            assert!(denied(std::fs::File::open(&file).unwrap().set_permissions(open.clone())));
            assert!(denied(chown(&file, Some(geteuid().as_raw()), None)));
            assert!(denied(lchown(&file, Some(geteuid().as_raw()), None)));
            assert!(denied(symlink(&file, dir.path().join("link"))));
            assert!(denied(std::fs::hard_link(&file, dir.path().join("name"))));
            // The journal makes sure of its directory. `mkdir` has to say that it is there: EPERM is an error to the library.
            std::fs::create_dir_all(dir.path()).unwrap();
        });
        assert_ne!(file.metadata().unwrap().permissions().mode() & 0o7777, 0o4777);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        // All names of these calls, whichever the C library takes.
        let rules = rules(false).unwrap();
        for call in [libc::SYS_fchmod, libc::SYS_fchmodat, libc::SYS_fchownat, libc::SYS_umask] {
            assert!(!rules.contains_key(&call), "{call}");
        }
        #[cfg(target_arch = "x86_64")]
        for call in [libc::SYS_chmod, libc::SYS_chown, libc::SYS_lchown] {
            assert!(!rules.contains_key(&call), "{call}");
        }
    }

    #[test]
    fn other_namespaces_take_one_call_more() {
        let [with, without] = [true, false].map(|namespaces| rules(namespaces).unwrap());
        assert_eq!(with.len(), without.len() + 1);
        assert!(with.contains_key(&libc::SYS_setns) && !without.contains_key(&libc::SYS_setns));
    }

    #[test]
    fn no_code_is_made() {
        let map = |protection| {
            let how = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
            // SAFETY: a new mapping that nothing refers to.
            #[allow(unsafe_code)]
            let at = unsafe { libc::mmap(std::ptr::null_mut(), 4096, protection, how, -1, 0) };
            if at == libc::MAP_FAILED { Err(Errno::last()) } else { Ok(()) }
        };
        assert_eq!(inside(false, || map(libc::PROT_WRITE | libc::PROT_EXEC)), Err(Errno::EPERM));
        assert_eq!(inside(false, || map(libc::PROT_READ | libc::PROT_EXEC)), Ok(()));
        assert_eq!(inside(false, || map(libc::PROT_READ | libc::PROT_WRITE)), Ok(()));
    }
}
