//! What others do to cut or to delay. Few of them can be built or run where the benchmark runs, so most are replayed: the same calls of
//! the same programs in the same order, as their source has them. What they do besides, in Go or Clojure, over ssh or in containers,
//! is left out, so a replay is faster than what it stands for.

mod cut;
mod shape;

use std::io::Write;
use std::net::Ipv4Addr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Which tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// The plainest way there is, by hand: not a tool, but the floor of all that call programs.
    Nft,
    Jepsen,
    Chaosblade,
    Chaosd,
    Pumba,
    Steadybit,
    /// Delays only.
    Comcast,
    /// Delays only; the real one.
    Tcconfig,
}

/// What is asked of it.
#[derive(Debug, Clone, Copy)]
pub enum Fault<'a> {
    /// No packet passes, one way.
    Cut(&'a [Ipv4Addr]),
    /// Packets to them are this late.
    Delay(&'a [Ipv4Addr], Duration),
}

/// Which packets of a cut a tool drops; a delay is on the way out with all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Out,
    In,
}

/// One program that a tool runs.
#[derive(Debug, Clone)]
pub struct Call {
    pub program: &'static str,
    pub arguments: Vec<String>,
    pub input: Option<String>,
    /// Tools run some programs only to see what they say; with those they expect a failure.
    pub may_fail: bool,
}

/// The calls of a tool, there and back.
#[derive(Debug)]
pub struct Replay {
    pub inject: Vec<Call>,
    pub restore: Vec<Call>,
}

/// In the order in which they are shown.
pub const CUTTING: [Peer; 6] =
    [Peer::Nft, Peer::Jepsen, Peer::Chaosblade, Peer::Chaosd, Peer::Pumba, Peer::Steadybit];
pub const DELAYING: [Peer; 7] = [
    Peer::Steadybit,
    Peer::Jepsen,
    Peer::Chaosblade,
    Peer::Chaosd,
    Peer::Pumba,
    Peer::Comcast,
    Peer::Tcconfig,
];

impl Peer {
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Nft => "nft by hand",
            Self::Jepsen => "jepsen, replayed",
            Self::Chaosblade => "chaosblade, replayed",
            Self::Chaosd => "chaosd, replayed",
            Self::Pumba => "pumba, replayed",
            Self::Steadybit => "steadybit, replayed",
            Self::Comcast => "comcast, replayed",
            Self::Tcconfig => "tcconfig 0.30.1",
        }
    }

    #[must_use]
    pub fn way(self) -> Way {
        match self {
            Self::Jepsen | Self::Pumba => Way::In,
            Self::Nft
            | Self::Chaosblade
            | Self::Chaosd
            | Self::Steadybit
            | Self::Comcast
            | Self::Tcconfig => Way::Out,
        }
    }

    /// What it does on this interface, on a host where nothing has been done yet.
    ///
    /// # Errors
    /// Why the tool does not do that.
    pub fn replay(self, fault: Fault, device: &str) -> Result<Replay, String> {
        match fault {
            Fault::Cut(targets) => cut::replay(self, targets, device),
            Fault::Delay(targets, by) => shape::replay(self, targets, by, device),
        }
    }
}

impl Call {
    fn new(program: &'static str, arguments: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let arguments = arguments.into_iter().map(Into::into).collect();
        Self { program, arguments, input: None, may_fail: false }
    }

    /// With its arguments in one text.
    fn words(program: &'static str, arguments: &str) -> Self {
        Self::new(program, arguments.split(' '))
    }

    /// As tools do it that hand all to a shell.
    fn shell(script: String) -> Self {
        Self::new("/bin/sh", ["-c".to_owned(), script])
    }

    fn reading(mut self, input: String) -> Self {
        self.input = Some(input);
        self
    }

    fn or_not(mut self) -> Self {
        self.may_fail = true;
        self
    }

    /// Its output is read and thrown away, as the tools read it.
    fn run(&self) -> Result<(), String> {
        let failed = |why: String| Err(format!("{}: {}", self.program, why.trim()));
        let mut command = Command::new(self.program);
        command.args(&self.arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        if self.input.is_some() {
            command.stdin(Stdio::piped());
        }
        let mut child = match command.spawn() {
            Ok(child) => child,
            Err(error) => return failed(error.to_string()),
        };
        if let (Some(mut pipe), Some(input)) = (child.stdin.take(), &self.input) {
            // What it does not read it complains about itself.
            let _ = pipe.write_all(input.as_bytes());
        }
        match child.wait_with_output() {
            Ok(output) if output.status.success() || self.may_fail => Ok(()),
            Ok(output) => {
                let text = harness::text(&output.stderr);
                failed(text.lines().next().unwrap_or("it failed").to_owned())
            }
            Err(error) => failed(error.to_string()),
        }
    }
}

/// Runs them one after the other in the network namespace of this thread.
///
/// # Errors
/// The first that fails, and when it takes longer than this.
pub fn run(calls: &[Call], longest: Duration) -> Result<(), String> {
    let begun = Instant::now();
    for (nth, call) in calls.iter().enumerate() {
        call.run()?;
        let took = begun.elapsed();
        if took > longest && nth + 1 < calls.len() {
            let done = (nth + 1) * 100 / calls.len();
            return Err(format!("{done}% done after {:.0} s, given up", took.as_secs_f64()));
        }
    }
    Ok(())
}

/// As shells and programs take them.
fn list(targets: &[Ipv4Addr]) -> String {
    targets.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}
