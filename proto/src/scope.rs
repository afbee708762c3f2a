//! Where on its host a fault acts.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::text::{legible, steers};

/// Whose packets, seen from this side: those of all of the host, of a network namespace in it, or of some processes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Scope {
    /// The network namespace that the agent runs in.
    #[default]
    Host,
    /// A network namespace: a name (`ip netns`), a path, or `pid:1234`.
    Netns(String),
    /// A container of Docker or Podman, by name or by its id or the beginning of that.
    Container(String),
    /// Every running container with this label: `key` or `key=value`.
    Label(String),
    /// Every replica of a compose service: `project/service`.
    Compose(String),
    /// A Kubernetes pod on this node, by its uid.
    Pod(String),
    /// A control group of version 2, by its path below the mount: its processes in the agent's network namespace; or, where
    /// they have one of their own, that.
    Cgroup(String),
    /// A systemd unit: `redis.service`.
    Unit(String),
    /// The processes of a user, by name or number.
    User(String),
}

impl Scope {
    /// Whether it is the default.
    #[must_use]
    pub fn is_host(&self) -> bool {
        *self == Self::Host
    }

    /// Which kind of scope, in one word, and its argument.
    #[must_use]
    pub fn parts(&self) -> (&'static str, &str) {
        match self {
            Self::Host => ("host", ""),
            Self::Netns(name) => ("netns", name),
            Self::Container(name) => ("container", name),
            Self::Label(label) => ("label", label),
            Self::Compose(service) => ("compose", service),
            Self::Pod(uid) => ("pod", uid),
            Self::Cgroup(path) => ("cgroup", path),
            Self::Unit(name) => ("unit", name),
            Self::User(name) => ("user", name),
        }
    }

    /// # Errors
    /// Says what the argument should look like.
    pub fn validate(&self) -> Result<(), ScopeError> {
        let (kind, argument) = self.parts();
        let wrong = |expected| Err(ScopeError { kind, argument: argument.to_owned(), expected });
        if argument.chars().any(steers) || argument.len() > 4096 {
            return wrong("one line of at most 4096 bytes, without control characters");
        }
        match self {
            Self::Host => Ok(()),
            Self::Netns(text) => match text.strip_prefix("pid:") {
                Some(pid) if pid.parse::<u32>().is_err() => wrong("pid:1234"),
                None if text.is_empty() || (text.contains('/') && !text.starts_with('/')) => {
                    wrong("a name, an absolute path, or pid:1234")
                }
                Some(_) | None => Ok(()),
            },
            Self::Compose(text) => match text.split_once('/') {
                Some((project, service)) if !project.is_empty() && !service.is_empty() => Ok(()),
                Some(_) | None => wrong("project/service"),
            },
            Self::Cgroup(text) if !text.starts_with('/') || text.split('/').any(|part| part == "..") => {
                wrong("a path such as /system.slice/redis.service")
            }
            Self::Unit(text) if text.contains('/') => wrong("a unit such as redis.service"),
            Self::Container(text)
            | Self::Label(text)
            | Self::Pod(text)
            | Self::Cgroup(text)
            | Self::Unit(text)
            | Self::User(text) => {
                if text.is_empty() {
                    wrong("a name")
                } else {
                    Ok(())
                }
            }
        }
    }
}

/// A scope whose argument cannot be one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{}` is no {kind}: write {expected}", legible(.argument).collect::<String>())]
pub struct ScopeError {
    kind: &'static str,
    argument: String,
    expected: &'static str,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.parts() {
            (kind, "") => f.write_str(kind),
            (kind, argument) => write!(f, "{kind} {argument}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_checked() {
        let scope = |json: &str| serde_json::from_str::<Scope>(json).unwrap();
        for json in [
            r#""host""#,
            r#"{"netns":"blue"}"#,
            r#"{"netns":"pid:12"}"#,
            r#"{"netns":"/run/netns/blue"}"#,
            r#"{"compose":"shop/redis"}"#,
            r#"{"cgroup":"/system.slice/redis.service"}"#,
        ] {
            assert_eq!(scope(json).validate(), Ok(()), "{json}");
        }
        for json in [
            r#"{"netns":""}"#,
            r#"{"netns":"../blue"}"#,
            r#"{"netns":"pid:x"}"#,
            r#"{"compose":"redis"}"#,
            r#"{"compose":"/redis"}"#,
            r#"{"cgroup":"redis"}"#,
            r#"{"cgroup":"/../x"}"#,
            r#"{"unit":"a/b"}"#,
            r#"{"container":""}"#,
            r#"{"user":"a\nb"}"#,
            r#"{"container":"a\u001b[2J"}"#,
            r#"{"label":"a\u009bb"}"#,
            r#"{"cgroup":"/a\u202eb"}"#,
            r#"{"netns":"a\u007f"}"#,
        ] {
            assert!(scope(json).validate().is_err(), "{json}");
        }
    }
}
