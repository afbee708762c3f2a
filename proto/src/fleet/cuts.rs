//! Who cannot send to whom.

use std::collections::BTreeSet;

/// Pairs of names: what the first sends to the second is lost.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cuts(BTreeSet<(String, String)>);
