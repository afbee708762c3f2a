//! What the kernel refused, in its own words, and what to do about it.

use std::fmt;

use nix::errno::Errno;

/// A refused act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The line that was refused, in the syntax of `ip`, `tc` or `nft`.
    pub act: String,
    pub errno: Errno,
    /// The text of the extended acknowledgement, where the kernel gave one.
    pub says: Option<String>,
    /// What to do about it, where that is known.
    pub hint: Option<String>,
}

impl Refusal {
    /// With the hint that goes with the error, if there is one.
    pub fn new(act: impl Into<String>, errno: Errno, says: Option<String>) -> Self {
        let act = act.into();
        let says = says.filter(|says| !says.is_empty());
        let hint = hint(&act, errno, says.as_deref()).map(str::to_owned);
        Self { act, errno, says, hint }
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// For people, on two lines where there is something to do.
    pub fn with_hint(&self) -> String {
        match &self.hint {
            Some(hint) => format!("{self}\n  {hint}"),
            None => self.to_string(),
        }
    }

    /// Whether the object of the act does not exist.
    pub fn is_absent(&self) -> bool {
        matches!(self.errno, Errno::ENOENT | Errno::ENODEV)
    }
}

/// The number behind an I/O error of a system call.
pub fn errno_of(error: &std::io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}

fn hint(act: &str, errno: Errno, says: Option<&str>) -> Option<&'static str> {
    let says = says.unwrap_or_default();
    match errno {
        // ENOENT is also "no such qdisc": only the words tell the two apart.
        Errno::ENOENT if says.contains("qdisc kind is unknown") => Some(
            "this kernel has no sch_netem: install the package with its extra modules (kernel-modules-extra on Fedora and RHEL, \
             linux-modules-extra-$(uname -r) on Ubuntu); until then the emulator stands in",
        ),
        Errno::EOPNOTSUPP if act.contains("type ifb") => Some(
            "this kernel has no ifb device: install the package with its extra modules; until then the emulator stands in",
        ),
        Errno::EPERM if act.starts_with("add table") => Some(
            "another agent owns the table (`nft list tables` shows it), or CAP_NET_ADMIN is missing: use that agent, \
             or run this one as root",
        ),
        Errno::EEXIST if act.starts_with("add table") => Some(
            "another agent, or somebody by hand, has made this table: use that agent, or delete the table with \
             `nft delete table netdev partition_agent`",
        ),
        Errno::EOPNOTSUPP | Errno::ENOENT if act.contains("numgen") => Some(
            "this kernel has no nft_numgen, so it can lose all packets or none: install the package with its extra modules",
        ),
        Errno::EPERM | Errno::EACCES => {
            Some("this takes CAP_NET_ADMIN: run the agent as root or from its unit")
        }
        Errno::EOPNOTSUPP | Errno::EINVAL | Errno::ENOENT if act.contains(" on egress of ") => Some(
            "`partition-agent doctor` tells whether this kernel has what it takes: nftables with the netdev egress \
             hook and fwd, from Linux 5.17 on",
        ),
        _ => None,
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the kernel refused `{}`: {}", self.act, self.errno.desc())?;
        match &self.says {
            Some(says) => write!(f, " ({says})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absent_module_is_told_from_an_absent_qdisc() {
        let add = "tc qdisc add dev pa-f1-eg root netem limit 1000 delay 1000us";
        let unknown = Refusal::new(add, Errno::ENOENT, Some("Specified qdisc kind is unknown".into()));
        assert!(unknown.hint.unwrap().contains("sch_netem"));
        assert_eq!(
            Refusal::new(add, Errno::ENOENT, Some("Failed to find specified qdisc".into())).hint,
            None
        );
    }
}
