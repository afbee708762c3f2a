//! Shell commands of others: `run` steps, markers, hooks and probes. Each has a thread of its own, which enters the network namespace of the
//! host before the command starts, and a process group of its own, which is killed as a whole.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command as Process};
use tokio::sync::oneshot;

use super::excerpt::excerpt;
use super::probe::Place;
use crate::lab;

/// What is kept of each output, where nobody needs more.
pub const KEPT: usize = 64 * 1024;

/// How long output is waited for that the command has left behind: what it started may still hold it open.
const LEFT: Duration = Duration::from_millis(100);

/// How long a drop waits for the death of what it kills.
const DEATH: Duration = Duration::from_millis(100);

/// What to run, and where.
#[derive(Clone)]
pub struct Command {
    /// As `sh -c` has it.
    pub line: String,
    /// Here or in a network namespace.
    pub place: Place,
    /// That of the game day's file.
    pub directory: PathBuf,
    /// Besides what this program has, or in a lab what everybody has there.
    pub environment: Vec<(&'static str, String)>,
    /// Then its process group is killed.
    pub timeout: Duration,
    /// Bytes of each output; what comes after them is read and forgotten.
    pub keep: usize,
}

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Exit(i32),
    /// By somebody else than this.
    Signal(i32),
    /// It was killed.
    TimedOut(Duration),
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exit(status) => write!(f, "exit status {status}"),
            Self::Signal(number) => match Signal::try_from(*number) {
                Ok(signal) => write!(f, "killed by {signal}"),
                Err(_) => write!(f, "killed by signal {number}"),
            },
            Self::TimedOut(timeout) => write!(f, "not done within {timeout:?}, and killed"),
        }
    }
}

/// One output, from its beginning.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Output {
    bytes: Vec<u8>,
    cut: bool,
}

impl Output {
    /// What is no UTF-8 is replaced.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// Whether there was more.
    pub fn is_cut(&self) -> bool {
        self.cut
    }
}

/// A command that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    pub end: End,
    pub stdout: Output,
    pub stderr: Output,
    pub took: Duration,
}

impl Done {
    pub fn succeeded(&self) -> bool {
        self.end == End::Exit(0)
    }

    /// The end, and what it said last.
    pub fn why(&self) -> String {
        let said = [&self.stderr, &self.stdout].map(|output| last_line(&output.text()));
        match said.into_iter().find(|line| !line.is_empty()) {
            Some(line) => format!("{}: {line}", self.end),
            None => self.end.to_string(),
        }
    }
}

fn last_line(text: &str) -> String {
    excerpt(text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default())
}

impl Command {
    /// Until it has ended. Dropped, it kills the process group. What a command has left in the background when it ends is left alone.
    ///
    /// # Errors
    /// It could not be started.
    pub async fn run(self) -> Result<Done, String> {
        let namespace = match &self.place {
            Place::Here => None,
            Place::Namespace(path) => {
                let opened = File::open(path);
                Some(opened.map_err(|error| format!("the network namespace {}: {error}", path.display()))?)
            }
            Place::Agent(_) => {
                return Err("agents run no commands: only hosts of a lab and this one do".to_owned());
            }
        };
        let (stop, stopped) = oneshot::channel();
        let (tell, told) = oneshot::channel();
        let (alive, dead) = mpsc::channel();
        let supervise = move || {
            let _alive: mpsc::Sender<()> = alive;
            let done = enter(namespace).and_then(|()| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                runtime.block_on(self.supervise(stopped))
            });
            // Nobody waits where it was dropped.
            let _ = tell.send(done.map_err(|error| format!("it cannot be started: {error}")));
        };
        let thread = std::thread::Builder::new().name("command".to_owned()).spawn(supervise);
        thread.map_err(|error| format!("no thread for it: {error}"))?;
        let running = Running { stop: Some(stop), dead };
        let done = told.await;
        drop(running);
        done.unwrap_or_else(|_| Err("whoever waited for it is gone".to_owned()))
    }

    async fn supervise(self, stopped: oneshot::Receiver<()>) -> io::Result<Done> {
        let begun = Instant::now();
        let mut process = Process::new("sh");
        if lab::is_isolated() {
            lab::environment(process.as_std_mut());
        }
        let mut child = process
            .arg("-c")
            .arg(&self.line)
            .current_dir(&self.directory)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()?;
        let group = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let (mut stdout, mut stderr) = (Output::default(), Output::default());
        let ended = {
            let reading = async {
                tokio::join!(keep(out, &mut stdout, self.keep), keep(err, &mut stderr, self.keep));
            };
            let mut reading = std::pin::pin!(reading);
            let mut is_read = false;
            let ended = tokio::select! {
                status = exit(&mut child, reading.as_mut(), &mut is_read) => Some(end(status?)),
                () = tokio::time::sleep(self.timeout) => Some(End::TimedOut(self.timeout)),
                _ = stopped => None,
            };
            if !matches!(ended, Some(End::Exit(_) | End::Signal(_))) {
                // It is not waited for yet, so its number is still its own.
                let _ = group.map(|group| killpg(group, Signal::SIGKILL));
                child.wait().await?;
            }
            if !is_read {
                let _ = tokio::time::timeout(LEFT, reading).await;
            }
            ended
        };
        let end = ended.unwrap_or(End::Signal(Signal::SIGKILL as i32));
        Ok(Done { end, stdout, stderr, took: begun.elapsed() })
    }
}

/// Reads while it waits: a full pipe would hold the command up.
async fn exit(
    child: &mut Child,
    mut reading: std::pin::Pin<&mut impl Future<Output = ()>>,
    is_read: &mut bool,
) -> io::Result<ExitStatus> {
    loop {
        tokio::select! {
            status = child.wait() => return status,
            () = &mut reading, if !*is_read => *is_read = true,
        }
    }
}

fn end(status: ExitStatus) -> End {
    match (status.code(), status.signal()) {
        (Some(code), _) => End::Exit(code),
        (None, signal) => End::Signal(signal.unwrap_or_default()),
    }
}

/// To its end, which an error is as well.
async fn keep(from: Option<impl AsyncRead + Unpin>, output: &mut Output, most: usize) {
    let Some(mut from) = from else { return };
    let mut buffer = [0; 8 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let kept = read.min(most.saturating_sub(output.bytes.len()));
        output.bytes.extend_from_slice(&buffer[..kept]);
        output.cut |= kept < read;
    }
}

/// The calling thread; others stay where they are.
pub fn enter(namespace: Option<File>) -> io::Result<()> {
    match namespace {
        Some(file) => setns(file, CloneFlags::CLONE_NEWNET)
            .map_err(|errno| io::Error::other(format!("the network namespace cannot be entered: {errno}"))),
        None => Ok(()),
    }
}

/// Dropped before its end, it kills.
struct Running {
    stop: Option<oneshot::Sender<()>>,
    dead: mpsc::Receiver<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stop.take());
        // Nobody ever sends: it is the end of the thread that ends this. So nothing is left when this program ends at once.
        let _ = self.dead.recv_timeout(DEATH);
    }
}

#[cfg(test)]
mod tests;
