//! What a fault is called.

use std::fmt;
use std::str::FromStr;

use utoipa::ToSchema;

use crate::text::serde_as_text;
use crate::{FaultSpec, Kind};

/// The name of a fault: 1 to 64 of `a-z 0-9 - _ .`, the first one a letter or a digit.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, ToSchema)]
#[schema(value_type = String, pattern = "^[a-z0-9][a-z0-9._-]{0,63}$", examples("loss-redis-7f3a"))]
pub struct FaultId(String);

/// Not a [`FaultId`].
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error(
    "`{0}` cannot be a fault's id: use 1 to 64 of a-z, 0-9, `-`, `_` and `.`, and begin with a letter or a digit"
)]
pub struct FaultIdError(String);

impl FaultId {
    /// A readable id for a fault that was given none: its first kind, its first target and the low 16 bits of `salt`.
    #[must_use]
    pub fn suggest(spec: &FaultSpec, salt: u64) -> Self {
        Self(format!("{}-{:04x}", Self::readable(spec), salt & 0xffff))
    }

    /// The same for a fleet, where nobody can ask every host whether an id is taken: with the low 48 bits of `salt`.
    #[must_use]
    pub fn unique(spec: &FaultSpec, salt: u64) -> Self {
        Self(format!("{}-{:012x}", Self::readable(spec), salt & 0xffff_ffff_ffff))
    }

    /// The same for a partition, where every host has another target.
    #[must_use]
    pub fn partition(salt: u64) -> Self {
        Self(format!("partition-{:012x}", salt & 0xffff_ffff_ffff))
    }

    fn readable(spec: &FaultSpec) -> String {
        let kind = spec.kinds.first().map_or("fault", Kind::name);
        let target = &spec.target;
        let target = match (
            target.peers.first(),
            target.ports.first().or(target.local_ports.first()),
            spec.kinds.first(),
        ) {
            (_, _, Some(Kind::Dns { names, .. })) => {
                names.first().map(ToString::to_string).unwrap_or_default()
            }
            (Some(peer), _, _) => peer.host.to_string(),
            (None, Some(port), _) => format!("port-{port}"),
            (None, None, _) => "all".to_owned(),
        };
        let plain = |c: char| {
            if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        };
        let target = target.chars().map(plain).collect::<String>();
        let target = target.trim_matches(['-', '_', '.']);
        let target = target.get(..24).unwrap_or(target);
        format!("{kind}-{target}")
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for FaultId {
    type Err = FaultIdError;

    fn from_str(text: &str) -> Result<Self, FaultIdError> {
        let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_' | b'.');
        let first = text.bytes().next().is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        if first && text.len() <= 64 && text.bytes().all(inner) {
            Ok(Self(text.to_owned()))
        } else {
            Err(FaultIdError(text.to_owned()))
        }
    }
}

impl fmt::Display for FaultId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

serde_as_text!(FaultId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggested_ids_are_ids() {
        for peer in [
            "redis",
            "10.0.0.0/24",
            "fd00::1",
            "[::/0]:80",
            "compose:shop/redis",
            "a_very_long.name_that-does.not.end.soon.example.com",
        ] {
            let json = format!(r#"{{"kinds":[{{"loss":{{"percent":1}}}}],"target":{{"peers":["{peer}"]}}}}"#);
            let id = FaultId::suggest(&serde_json::from_str(&json).unwrap(), 0x1_7f3a);
            assert_eq!(id.as_str().parse::<FaultId>().unwrap(), id);
            assert!(id.as_str().ends_with("-7f3a"));
            let id = FaultId::unique(&serde_json::from_str(&json).unwrap(), 0x1_7f3a);
            assert_eq!(id.as_str().parse::<FaultId>().unwrap(), id);
            assert!(id.as_str().ends_with("-000000017f3a"));
        }
    }

    #[test]
    fn ids_cannot_climb_out_of_a_path_or_a_log_line() {
        for text in ["", "../x", "a/b", "A", "a b", "a\n", ".a", &"a".repeat(65)] {
            assert!(text.parse::<FaultId>().is_err(), "{text:?}");
        }
    }
}
