//! How much of a group may be hit at once.

use std::collections::BTreeSet;
use std::fmt;

use super::Fleet;
use crate::Percent;

/// More of a group would be hit at once than the fleet allows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "this would hit {hit} of the {size} hosts of {} at once, {}, and max_share is {max}: select fewer hosts, or go ahead \
     with --max-share 100%",
    Whose(.group.as_deref()),
    share(*.hit, *.size)
)]
pub struct ShareError {
    /// The one of which the largest share would be hit; none: the whole fleet.
    pub group: Option<String>,
    /// How many of its hosts would be hit.
    pub hit: usize,
    /// How many it has.
    pub size: usize,
    /// What is allowed.
    pub max: Percent,
}

impl Fleet {
    /// Whether so many may be hit at once, of the whole fleet and of every group. A group of one host is that host, so it
    /// does not count, and neither does a fleet of one.
    ///
    /// # Errors
    /// Names the group of which the largest share would be hit.
    pub fn check_share(&self, hit: &BTreeSet<String>, max: Percent) -> Result<(), ShareError> {
        let everybody = self.hosts.keys().cloned().collect();
        let groups = self.groups().into_iter().map(|(name, hosts)| (Some(name), hosts));
        let exceeded = std::iter::once((None, everybody)).chain(groups).filter_map(|(group, hosts)| {
            let (hit, size) = (hosts.intersection(hit).count(), hosts.len());
            let too_many = size >= 2 && parts(hit, Percent::ALL) > parts(size, max);
            too_many.then_some(ShareError { group, hit, size, max })
        });
        // Of equal shares the first, so the whole fleet before its groups.
        let worst = exceeded.reduce(|worst, other| {
            if parts(other.hit, Percent::ALL) * parts(worst.size, Percent::ALL)
                > parts(worst.hit, Percent::ALL) * parts(other.size, Percent::ALL)
            {
                other
            } else {
                worst
            }
        });
        worst.map_or(Ok(()), Err)
    }
}

/// So much of so many, in millionths of one: exact, as no share is that is rounded.
fn parts(many: usize, share: Percent) -> u128 {
    many as u128 * u128::from(share.millionths())
}

/// To the tenth of a percent, upward: what exceeds 66% must not read as 66%.
fn share(hit: usize, size: usize) -> String {
    let tenths = (hit * 1_000).div_ceil(size.max(1));
    match (tenths / 10, tenths % 10) {
        (whole, 0) => format!("{whole}%"),
        (whole, tenth) => format!("{whole}.{tenth}%"),
    }
}

struct Whose<'a>(Option<&'a str>);

impl fmt::Display for Whose<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(group) => write!(f, "`@{group}`"),
            None => f.write_str("the fleet"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::members::tests::fleet;
    use super::*;

    fn check(groups: &[(&str, &str)], hit: &[&str], max: f64) -> Result<(), String> {
        let hit = hit.iter().map(|name| (*name).to_owned()).collect();
        fleet(groups).check_share(&hit, Percent::new(max).unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn what_is_allowed_is_allowed() {
        for (hit, max) in [
            (vec!["web-1"], 50.0),
            (vec!["web-1", "web-3"], 66.7),
            // Two of the three of role=web, and 2/3 is more than this.
            (vec!["db-1"], 50.0),
            (vec!["web-1", "web-2", "web-3", "db-1"], 100.0),
            (vec![], 0.0001),
            (vec!["elsewhere"], 0.0001),
        ] {
            assert_eq!(check(&[], &hit, max), Ok(()), "{hit:?} {max}");
        }
    }

    #[test]
    fn the_group_that_is_hit_hardest_is_named() {
        let eu = check(&[], &["web-1", "web-2"], 66.0).unwrap_err();
        assert_eq!(
            eu,
            "this would hit 2 of the 2 hosts of `@region=eu` at once, 100%, and max_share is 66%: select fewer hosts, or \
             go ahead with --max-share 100%"
        );
        let web = check(&[], &["web-1", "web-3"], 66.0).unwrap_err();
        assert!(web.contains("2 of the 3 hosts of `@role=web` at once, 66.7%"), "{web}");
        let all = check(&[], &["web-1", "web-2", "web-3", "db-1"], 66.0).unwrap_err();
        assert!(all.contains("4 of the 4 hosts of the fleet at once, 100%"), "{all}");
        // 49.9% of two is none.
        let half = check(&[], &["web-1"], 49.9).unwrap_err();
        assert!(half.contains("1 of the 2 hosts of `@region=eu` at once, 50%"), "{half}");
    }

    #[test]
    fn named_groups_count_and_groups_of_one_do_not() {
        let pair = check(&[("pair", "web-1,db-1")], &["web-1", "db-1"], 66.0).unwrap_err();
        assert!(pair.contains("`@pair`"), "{pair}");
        assert_eq!(check(&[("alone", "web-1"), ("broken", "@broken")], &["web-1"], 66.0), Ok(()));
    }

    #[test]
    fn a_fleet_of_one_is_no_group() {
        let mut one = fleet(&[]);
        one.hosts.retain(|name, _| name == "web-1");
        assert_eq!(one.check_share(&["web-1".to_owned()].into(), Percent::new(1.0).unwrap()), Ok(()));
    }
}
