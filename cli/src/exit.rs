//! Exit statuses: 0 done, 1 refused or failed, 2 usage (clap's own), 3 no agent could be reached.

use std::borrow::Cow;
use std::fmt;
use std::process::ExitCode;

use partition_agent_proto::Problem;

/// What each means, for people.
pub const STATUSES: [(&str, &str); 4] = [
    ("0", "It was done, on every host that it was for."),
    ("1", "It was refused, or it failed, on one host at least."),
    ("2", "The arguments make no sense; nobody was asked."),
    ("3", "No agent could be reached."),
];

/// Why a verb did not do what it was asked to.
#[derive(Debug)]
pub enum Failure {
    /// The agent said no.
    Refused(Box<Problem>),
    /// Nobody answered; where nobody even listens, no agent runs there.
    Unreachable { at: String, why: String, hint: Cow<'static, str>, nobody_listens: bool },
    /// The arguments make no sense together.
    Usage(String),
    /// Anything else.
    Failed(String),
}

impl Failure {
    pub fn code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Refused(_) | Self::Failed(_) => 1,
            Self::Usage(_) => 2,
            Self::Unreachable { .. } => 3,
        })
    }

    /// Where there is room for one line.
    pub fn in_a_line(&self) -> String {
        in_a_line(&self.to_string())
    }

    /// Nobody answered within this time.
    pub fn unanswered(at: String, patience: std::time::Duration) -> Self {
        let why = format!("no answer within {patience:?}");
        let hint = Cow::Borrowed("is the host up, and may it be reached from here?");
        Self::Unreachable { at, why, hint, nobody_listens: false }
    }
}

/// A text of several lines.
pub fn in_a_line(text: &str) -> String {
    text.lines().map(str::trim).collect::<Vec<_>>().join("; ")
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(problem) => problem.fmt(f),
            Self::Unreachable { at, why, hint, .. } => write!(f, "no agent answers at {at}: {why}\n  {hint}"),
            Self::Usage(why) | Self::Failed(why) => f.write_str(why),
        }
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Refused(Box::new(problem))
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

impl From<nix::errno::Errno> for Failure {
    fn from(errno: nix::errno::Errno) -> Self {
        Self::Failed(errno.to_string())
    }
}
