//! Why a scope could not be resolved, in words for an operator.

use std::io;

use crate::netns::CAPABILITIES;

/// Longest list of what exists that an error quotes.
const LISTED: usize = 20;

/// A scope that could not be resolved.
#[derive(Debug, thiserror::Error)]
pub enum ScopeError {
    /// There is nothing of that name now; it may come yet.
    #[error("there is no {asked}: {found}; {advice}")]
    Absent { asked: String, found: String, advice: String },
    /// The argument means several things, or nothing that a fault could act in.
    #[error("{asked} is refused: {reason}; {advice}")]
    Refused { asked: String, reason: String, advice: String },
    /// The kernel does not let the agent look.
    #[error("{asked}: {what}: {source}; {}", advice_on(source))]
    Kernel { asked: String, what: String, source: io::Error },
    /// No container engine answered.
    #[error("{asked}: no container engine answered ({tried}); {advice}")]
    NoEngine { asked: String, tried: String, advice: String },
    /// A user that cannot be looked up.
    #[error("there is no user `{0}` here; give a name that `getent passwd` lists, or a number")]
    NoUser(String),
}

impl ScopeError {
    pub(super) fn kernel(asked: &str, what: impl Into<String>, source: io::Error) -> Self {
        Self::Kernel { asked: asked.to_owned(), what: what.into(), source }
    }

    pub(super) fn host_network(asked: &str, what: &str) -> Self {
        Self::Refused {
            asked: asked.to_owned(),
            reason: format!("{what} uses the network of the host, so a fault in it would hit all of the host"),
            advice: "name its control group or unit instead (--cgroup, --unit), or no scope at all if the host is meant"
                .to_owned(),
        }
    }

    /// Whether the thing is known not to be there, rather than not known.
    pub(super) fn is_absence(&self) -> bool {
        match self {
            Self::Absent { .. } | Self::NoUser(_) => true,
            Self::Refused { .. } | Self::Kernel { .. } | Self::NoEngine { .. } => false,
        }
    }
}

fn advice_on(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::PermissionDenied => CAPABILITIES,
        _ => "see the kernel's words before this",
    }
}

/// Names for an error: sorted, each once, not too many of them.
pub(super) fn listed(names: impl IntoIterator<Item = String>) -> String {
    let mut names: Vec<String> = names.into_iter().collect();
    names.sort_unstable();
    names.dedup();
    if names.is_empty() {
        return "none".to_owned();
    }
    let more = names.len().saturating_sub(LISTED);
    names.truncate(LISTED);
    let text = names.join(", ");
    if more == 0 { text } else { format!("{text} and {more} more") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_list_is_cut_and_says_so() {
        assert_eq!(listed([]), "none");
        assert_eq!(listed(["b".to_owned(), "a".to_owned(), "b".to_owned()]), "a, b");
        let text = listed((0..25).map(|number| format!("n{number:02}")));
        assert!(text.ends_with("n19 and 5 more"), "{text}");
    }

    #[test]
    fn a_denial_says_which_capabilities_are_missing() {
        let denied = io::Error::from_raw_os_error(libc::EACCES);
        let text = ScopeError::kernel("pod 1", "opening /proc/1/ns/net", denied).to_string();
        assert!(text.contains("CAP_SYS_PTRACE") && text.contains("Permission denied"), "{text}");
    }
}
