//! Which hosts: `web-*,@eu,!web-3`.

/// Which hosts, as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector(String);

/// Why a text is no [`Selector`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` selects no hosts")]
pub struct SelectorError(pub String);

/// Why a [`Selector`] selects nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` selects no hosts")]
pub struct SelectError(pub String);
