//! Programs that start others: servers with children, shells. The kernel kills a child with its parent, but not the
//! children of that. So each has a namespace of processes to itself, and when the first one in there is killed, the
//! kernel kills all others.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitCode, ExitStatus};
use std::sync::mpsc::{Sender, channel};
use std::thread;

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::sys::wait::{WaitStatus, wait};
use nix::unistd::Pid;

use super::host::{Running, die_with, enter};
use crate::args::LabEnterArgs;
use crate::exit::Failure;

/// A program and all that it has started; killed when this goes.
pub struct Family {
    first: Running,
    /// The kernel kills the first one when the thread that started it ends.
    _thread: Sender<()>,
}

impl Family {
    /// # Errors
    /// It cannot be started, or the kernel makes no namespace for it.
    pub fn start(mut command: Command) -> io::Result<Self> {
        let (started, child) = channel();
        let (hold, held) = channel();
        // Processes that a thread starts are in a new namespace once it has said so; threads that it starts cannot be.
        thread::Builder::new().name("lab-family".to_owned()).spawn(move || {
            let child =
                unshare(CloneFlags::CLONE_NEWPID).map_err(io::Error::from).and_then(|()| command.spawn());
            if started.send(child).is_ok() {
                // An error is what is waited for: the other end is gone.
                let _: Result<(), _> = held.recv();
            }
        })?;
        let child: Child = child.recv().map_err(io::Error::other)??;
        Ok(Self { first: Running(child), _thread: hold })
    }

    /// How the program ended; nothing while it or something that it left behind runs.
    pub fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.first.0.try_wait()
    }
}

/// `lab-init`: the first process of a family. Starts the program on the host and waits for it; and for what it has left
/// in the background, if it has ended well.
pub fn init(args: &LabEnterArgs) -> Result<ExitCode, Failure> {
    enter(args.host)?;
    die_with(args.parent)?;
    let (program, rest) =
        args.command.split_first().ok_or_else(|| Failure::Usage("no command".to_owned()))?;
    let child = Command::new(program).args(rest).spawn()?;
    let main = Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX));
    let mut code = 0;
    loop {
        match wait() {
            Ok(WaitStatus::Exited(pid, status)) if pid == main => code = u8::try_from(status).unwrap_or(1),
            // As shells tell it.
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == main => {
                code = u8::try_from(128 + signal as i32).unwrap_or(1);
            }
            Ok(_) | Err(Errno::EINTR) => {}
            Err(_) => return Ok(ExitCode::from(code)),
        }
        if code != 0 {
            return Ok(ExitCode::from(code));
        }
    }
}

/// For people.
pub fn told(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("status {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "an unknown status".to_owned(),
    }
}
