//! Who cannot send to whom.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Pairs of names: what the first sends to the second is lost. Never a name with itself.
// A thousand hosts in halves are half a million pairs: each name is kept once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cuts(BTreeMap<Arc<str>, BTreeSet<Arc<str>>>);

/// Somebody on both sides of a cut.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is on both sides, and nobody can be cut off from itself: leave it away on one of them")]
pub struct OverlapError(pub String);

impl Cuts {
    /// Whoever is in some group loses, both ways, everybody that is with it in none. Groups may overlap: who is in two of
    /// them sees both. Who is in no group keeps everybody.
    #[must_use]
    pub fn between(groups: &[BTreeSet<String>]) -> Self {
        let mut members = BTreeMap::<&str, BTreeSet<usize>>::new();
        for (nth, group) in groups.iter().enumerate() {
            group.iter().for_each(|name| _ = members.entry(name).or_default().insert(nth));
        }
        Self::unless(members, |one, other| !one.is_disjoint(other))
    }

    /// # Errors
    /// Somebody is in both.
    pub fn one_way(from: &BTreeSet<String>, to: &BTreeSet<String>) -> Result<Self, OverlapError> {
        if let Some(both) = from.intersection(to).next() {
            return Err(OverlapError(both.clone()));
        }
        let receivers = to.iter().map(|name| Arc::from(name.as_str())).collect::<BTreeSet<_>>();
        let senders = from.iter().filter(|_| !receivers.is_empty());
        Ok(Self(senders.map(|name| (Arc::from(name.as_str()), receivers.clone())).collect()))
    }

    /// Every two lose each other, unless they are to reach each other by what comes with their names.
    pub(super) fn unless<'a, T>(
        parties: impl IntoIterator<Item = (&'a str, T)>,
        reaches: impl Fn(&T, &T) -> bool,
    ) -> Self {
        let parties =
            parties.into_iter().map(|(name, with)| (Arc::<str>::from(name), with)).collect::<Vec<_>>();
        let mut cuts = Self::default();
        for (nth, (one, with)) in parties.iter().enumerate() {
            for (other, _) in parties.iter().skip(nth + 1).filter(|(_, other)| !reaches(with, other)) {
                cuts.0.entry(Arc::clone(one)).or_default().insert(Arc::clone(other));
                cuts.0.entry(Arc::clone(other)).or_default().insert(Arc::clone(one));
            }
        }
        cuts
    }

    /// What is lost in either.
    #[must_use]
    pub fn union(mut self, other: Self) -> Self {
        for (from, to) in other.0 {
            self.0.entry(from).or_default().extend(to);
        }
        self
    }

    /// Whether what `from` sends to `to` is lost.
    #[must_use]
    pub fn blocks(&self, from: &str, to: &str) -> bool {
        self.0.get(from).is_some_and(|lost| lost.contains(to))
    }

    /// Whether nothing is lost.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Every pair, who sends first, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().flat_map(|(from, to)| to.iter().map(move |to| (&**from, &**to)))
    }

    /// Those of the parties that are hit, for a cap on how many may be: each that loses more than half of all of them. It
    /// counts itself among those that it keeps, and as lost whom it cannot send to or cannot hear.
    ///
    /// So the isolated host is hit, and not those that lose it; the minority is hit and the majority is not; of a ring of
    /// majorities, and of two halves of the same size, nobody is.
    #[must_use]
    pub fn hit(&self, parties: &[String]) -> BTreeSet<String> {
        let among = parties.iter().map(String::as_str).collect::<BTreeSet<_>>();
        let mut lost = BTreeMap::<&str, BTreeSet<&str>>::new();
        for (from, to) in self.iter().filter(|(from, to)| among.contains(from) && among.contains(to)) {
            lost.entry(from).or_default().insert(to);
            lost.entry(to).or_default().insert(from);
        }
        let hit = lost.into_iter().filter(|(_, lost)| lost.len() * 2 > among.len());
        hit.map(|(name, _)| name.to_owned()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::{btree_set, vec};
    use proptest::prelude::*;

    fn set(names: &str) -> BTreeSet<String> {
        names.split_whitespace().map(str::to_owned).collect()
    }

    fn list(names: &str) -> Vec<String> {
        names.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn groups_lose_each_other_and_who_is_in_two_sees_both() {
        let cuts = Cuts::between(&[set("a b x"), set("c x")]);
        let pairs = cuts.iter().collect::<Vec<_>>();
        assert_eq!(pairs, [("a", "c"), ("b", "c"), ("c", "a"), ("c", "b")]);
        assert!(Cuts::between(&[set("a b")]).is_empty() && Cuts::between(&[]).is_empty());
    }

    #[test]
    fn one_way_has_two_sides() {
        let cuts = Cuts::one_way(&set("a b"), &set("c")).unwrap();
        assert_eq!(cuts.iter().collect::<Vec<_>>(), [("a", "c"), ("b", "c")]);
        assert!(cuts.blocks("a", "c") && !cuts.blocks("c", "a"));
        assert_eq!(Cuts::one_way(&set("a b"), &set("b c")), Err(OverlapError("b".to_owned())));
        // No empty entry is left behind, which would make nothing differ from nothing.
        assert_eq!(Cuts::one_way(&set("a"), &set("")), Ok(Cuts::default()));
    }

    #[test]
    fn both_ways_is_one_way_twice() {
        let there = Cuts::one_way(&set("a"), &set("b c")).unwrap();
        let back = Cuts::one_way(&set("b c"), &set("a")).unwrap();
        assert_eq!(there.union(back), Cuts::between(&[set("a"), set("b c")]));
    }

    #[test]
    fn hit_is_who_loses_more_than_half() {
        let hit = |cuts: Cuts, parties: &str| cuts.hit(&list(parties));
        assert_eq!(hit(Cuts::between(&[set("a"), set("b c d e")]), "a b c d e"), set("a"));
        assert_eq!(hit(Cuts::between(&[set("a b"), set("c d e")]), "a b c d e"), set("a b"));
        // Half is not more than half.
        assert_eq!(hit(Cuts::between(&[set("a b"), set("c d")]), "a b c d"), set(""));
        assert_eq!(hit(Cuts::between(&[set("a"), set("b"), set("c")]), "a b c"), set("a b c"));
        // One direction is enough.
        assert_eq!(hit(Cuts::one_way(&set("a"), &set("b c")).unwrap(), "a b c"), set("a"));
        // Of two, each keeps itself, which is half.
        assert_eq!(hit(Cuts::between(&[set("a"), set("b")]), "a b"), set(""));
        // Who is not among the parties does not count.
        assert_eq!(hit(Cuts::between(&[set("a"), set("x y z")]), "a b c"), set(""));
    }

    fn groups() -> impl Strategy<Value = Vec<BTreeSet<String>>> {
        vec(btree_set("[a-h]", 0..6), 0..5)
    }

    proptest! {
        #[test]
        fn a_pair_is_cut_if_both_are_in_a_group_and_none_has_both(groups in groups()) {
            let cuts = Cuts::between(&groups);
            let names = || ('a'..='h').map(String::from);
            for (from, to) in names().flat_map(|from| names().map(move |to| (from.clone(), to))) {
                let named = |name| groups.iter().any(|group| group.contains(name));
                let together = groups.iter().any(|group| group.contains(&from) && group.contains(&to));
                let cut = from != to && named(&from) && named(&to) && !together;
                prop_assert_eq!(cuts.blocks(&from, &to), cut, "{} {}", from, to);
                prop_assert_eq!(cuts.iter().any(|pair| pair == (&*from, &*to)), cut);
            }
        }
    }
}
