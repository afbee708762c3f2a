//! What others have in a network namespace: links, addresses, routes, qdiscs, filters, tables and their rules. A fault
//! leaves them as they were, and this is how the agent knows. What runs by itself is left out: counters, timeouts,
//! lifetimes.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use partition_agent_proto::Verdict;

use super::nft;
use super::rtnl::Rtnl;
use super::{Refusal, Within};

/// Of what is too long to be told: that it is another shows.
pub fn hash(of: impl Hash) -> String {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    format!("{:04x}", hasher.finish() & 0xffff)
}

/// Things by what they are called, each with what it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Before {
    things: BTreeMap<String, String>,
}

impl Before {
    pub async fn take(within: &Within, rtnl: &Rtnl) -> Result<Self, Refusal> {
        let mut things = rtnl.things_of_others().await?;
        things.extend(nft::tables_of_others(within)?);
        Ok(Self { things })
    }

    /// Whether all is as it was; what comes and goes on a busy host shows here, too, so it is said and not judged.
    pub fn compare(&self, after: &Self) -> Verdict {
        let mut found = Vec::new();
        for (name, was) in &self.things {
            match after.things.get(name) {
                None => found.push(format!("{name} is gone")),
                Some(is) if is != was => found.push(format!("{name} was {was} and is {is}")),
                Some(_) => {}
            }
        }
        let new = after.things.keys().filter(|name| !self.things.contains_key(*name));
        found.extend(new.map(|name| format!("{name} is new")));
        if found.is_empty() { Verdict::Confirmed } else { Verdict::Mismatch { found: found.join("; ") } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_named() {
        let things = |list: &[(&str, &str)]| Before {
            things: list.iter().map(|(name, what)| ((*name).to_owned(), (*what).to_owned())).collect(),
        };
        let before = things(&[("qdisc of eth0", "fq"), ("link eth1", "up")]);
        assert_eq!(before.compare(&before.clone()), Verdict::Confirmed);
        let after = things(&[("qdisc of eth0", "noqueue"), ("table ip nat", "there")]);
        let found = before.compare(&after).to_string();
        for part in ["link eth1 is gone", "qdisc of eth0 was fq and is noqueue", "table ip nat is new"] {
            assert!(found.contains(part), "{found}");
        }
    }
}
