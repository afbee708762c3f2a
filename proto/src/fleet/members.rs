//! From a selector to the hosts that it means, and the groups that there are.

use std::collections::{BTreeMap, BTreeSet};

use super::select::{Term, What};
use super::{Fleet, Selector};

/// Why a [`Selector`] selects nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    /// A term that means nobody, negated ones too: who leaves out what is not there has mistyped.
    #[error("`{term}` selects no host: {why}")]
    Nobody {
        /// As it was written.
        term: String,
        /// What was looked for, and the nearest that there is.
        why: String,
    },
    /// What the terms name, the negated ones leave out.
    #[error("`{0}` selects no host: it leaves out all that it names")]
    Emptied(Selector),
    /// A group that is made of itself, by way of the others.
    #[error("the group `{}` is made of itself: {}", .0.first().map_or("", String::as_str), .0.join(" -> "))]
    Cycle(Vec<String>),
    /// A named group that the selector asks for.
    #[error("the group `{group}` cannot be used: {error}")]
    Group {
        /// Its name.
        group: String,
        /// What is wrong with its own selector.
        error: Box<SelectError>,
    },
}

impl Fleet {
    /// The names of the hosts. Never empty.
    ///
    /// # Errors
    /// For a term that means nobody, for a group that is made of itself, and when nobody is left.
    pub fn select(&self, selector: &Selector) -> Result<BTreeSet<String>, SelectError> {
        self.selected(selector, &mut Vec::new())
    }

    /// Every group with its hosts, by what follows the `@`: named groups, and `region=eu` for labels. Without named groups
    /// that cannot be used; [`Fleet::check`] tells of those.
    #[must_use]
    pub fn groups(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut groups = BTreeMap::<String, BTreeSet<String>>::new();
        for (name, host) in &self.hosts {
            for (key, value) in &host.labels {
                groups.entry(format!("{key}={value}")).or_default().insert(name.clone());
            }
        }
        for (name, selector) in &self.groups {
            if let Ok(hosts) = self.select(selector) {
                groups.insert(name.clone(), hosts);
            }
        }
        groups
    }

    /// All that can follow an `@`: named groups, values of labels alone, and labels as `region=eu`.
    #[must_use]
    pub fn group_names(&self) -> BTreeSet<String> {
        let labels = self.hosts.values().flat_map(|host| &host.labels);
        let labels = labels.flat_map(|(key, value)| [value.clone(), format!("{key}={value}")]);
        self.groups.keys().cloned().chain(labels).collect()
    }

    /// `within` are the groups that led here.
    fn selected(
        &self,
        selector: &Selector,
        within: &mut Vec<String>,
    ) -> Result<BTreeSet<String>, SelectError> {
        let terms = selector.terms();
        let mut hosts = BTreeSet::new();
        if terms.iter().all(|term| term.negated) {
            hosts.extend(self.hosts.keys().cloned());
        }
        for term in terms.iter().filter(|term| !term.negated) {
            hosts.extend(self.meant(term, within)?);
        }
        for term in terms.iter().filter(|term| term.negated) {
            let left_out = self.meant(term, within)?;
            hosts.retain(|host| !left_out.contains(host));
        }
        if hosts.is_empty() { Err(SelectError::Emptied(selector.clone())) } else { Ok(hosts) }
    }

    fn meant(&self, term: &Term, within: &mut Vec<String>) -> Result<BTreeSet<String>, SelectError> {
        let hosts = match &term.what {
            What::Host(name) => self.named(|host| host == name),
            What::Glob(pattern) => self.named(|host| What::matches(pattern, host)),
            What::Group(name) => match self.groups.get(name) {
                Some(selector) => return self.of_group(name, selector, within),
                None => self.labelled(|_, value| value == name),
            },
            What::Label { key, value } => self.labelled(|k, v| k == key && v == value),
        };
        if hosts.is_empty() {
            return Err(SelectError::Nobody { term: term.to_string(), why: self.why_nobody(&term.what) });
        }
        Ok(hosts)
    }

    fn of_group(
        &self,
        name: &str,
        selector: &Selector,
        within: &mut Vec<String>,
    ) -> Result<BTreeSet<String>, SelectError> {
        if let Some(first) = within.iter().position(|group| group == name) {
            let circle = within[first..].iter().cloned().chain([name.to_owned()]);
            return Err(SelectError::Cycle(circle.collect()));
        }
        within.push(name.to_owned());
        let hosts = self.selected(selector, within);
        within.pop();
        hosts.map_err(|error| match error {
            // It names the groups already.
            SelectError::Cycle(_) | SelectError::Group { .. } => error,
            SelectError::Nobody { .. } | SelectError::Emptied(_) => {
                SelectError::Group { group: name.to_owned(), error: Box::new(error) }
            }
        })
    }

    fn named(&self, is_meant: impl Fn(&str) -> bool) -> BTreeSet<String> {
        self.hosts.keys().filter(|name| is_meant(name)).cloned().collect()
    }

    fn labelled(&self, is_meant: impl Fn(&str, &str) -> bool) -> BTreeSet<String> {
        let has = |labels: &BTreeMap<String, String>| labels.iter().any(|(key, value)| is_meant(key, value));
        self.hosts.iter().filter(|(_, host)| has(&host.labels)).map(|(name, _)| name.clone()).collect()
    }

    fn why_nobody(&self, what: &What) -> String {
        let hosts = || self.hosts.keys().cloned();
        let groups = || self.group_names().into_iter().map(|name| format!("@{name}"));
        // A missing `@`, or one too many, is a mistake as near as a wrong letter.
        let all = || hosts().chain(groups());
        match what {
            What::Host(name) => format!("there is no such host; {}", hint(name, all(), hosts())),
            What::Glob(_) => format!("no host is called so; {}", among(hosts())),
            What::Group(name) => format!(
                "there is no such group, and no label of this value; {}",
                hint(&format!("@{name}"), all(), groups())
            ),
            What::Label { key, value } => {
                let values = groups().filter(|group| {
                    group
                        .strip_prefix('@')
                        .and_then(|label| label.strip_prefix(key.as_str()))
                        .is_some_and(|rest| rest.starts_with('='))
                });
                let hint = hint(&format!("@{key}={value}"), groups(), values);
                format!("no host has this label; {hint}")
            }
        }
    }
}

/// What to do about a name that nobody has: the one of `near` that was probably meant, or the first few of those that there are.
#[must_use]
pub fn hint(
    written: &str,
    near: impl Iterator<Item = String>,
    there_are: impl Iterator<Item = String>,
) -> String {
    match nearest(written, near) {
        Some(name) => format!("did you mean `{name}`?"),
        None => among(there_are),
    }
}

/// What was probably meant: a letter in three may be wrong, upper and lower case are alike.
pub(super) fn nearest(written: &str, known: impl Iterator<Item = String>) -> Option<String> {
    let written = written.to_lowercase();
    let most = (written.chars().count() / 3).max(1);
    let far = |name: &str| strsim::osa_distance(&written, &name.to_lowercase());
    let near = known.map(|name| (far(&name), name)).filter(|(far, _)| *far <= most);
    near.min().map(|(_, name)| name)
}

/// The first few.
fn among(names: impl Iterator<Item = String>) -> String {
    const SHOWN: usize = 5;
    let names = names.collect::<Vec<_>>();
    let shown = names.iter().take(SHOWN).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len() {
        0 => "there is none".to_owned(),
        1..=SHOWN => format!("there are {shown}"),
        more => format!("there are {shown} and {} more", more - SHOWN),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::FleetHost;
    use super::*;

    /// web-1 and web-2 in eu, web-3 and db-1 in us.
    pub(in crate::fleet) fn fleet(groups: &[(&str, &str)]) -> Fleet {
        let host = |(name, region): (&str, &str)| {
            let labels = [("region", region), ("role", name.split('-').next().unwrap())];
            let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned()));
            (name.to_owned(), FleetHost { labels: labels.into(), ..FleetHost::default() })
        };
        let hosts = [("web-1", "eu"), ("web-2", "eu"), ("web-3", "us"), ("db-1", "us")];
        let group = |(name, text): &(&str, &str)| ((*name).to_owned(), text.parse().unwrap());
        Fleet {
            hosts: hosts.into_iter().map(host).collect(),
            groups: groups.iter().map(group).collect(),
            ..Fleet::default()
        }
    }

    fn select(fleet: &Fleet, text: &str) -> Result<String, String> {
        let hosts = fleet.select(&text.parse().unwrap()).map_err(|error| error.to_string())?;
        Ok(hosts.into_iter().collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn terms_add_up_and_negated_ones_take_away() {
        let fleet = fleet(&[("app", "web-*"), ("first", "@app,!@region=us"), ("us", "db-1")]);
        for (text, hosts) in [
            ("*", "db-1 web-1 web-2 web-3"),
            ("web-1", "web-1"),
            ("WEB-1", "web-1"),
            ("web-?,db-1", "db-1 web-1 web-2 web-3"),
            ("@eu", "web-1 web-2"),
            ("@region=us", "db-1 web-3"),
            // A named group wins over a label of that value.
            ("@us", "db-1"),
            ("@app", "web-1 web-2 web-3"),
            ("!@region=us", "web-1 web-2"),
            ("!web-1,!db-1", "web-2 web-3"),
            // The order does not matter.
            ("!web-1,@eu,@region=us", "db-1 web-2 web-3"),
            ("@first", "web-1 web-2"),
        ] {
            assert_eq!(select(&fleet, text).unwrap(), hosts, "{text}");
        }
    }

    #[test]
    fn what_means_nobody_is_refused_with_what_is_near() {
        let fleet = fleet(&[("app", "web-*"), ("broken", "web-*,dbx-1"), ("nobody", "web-1,!@app")]);
        for (text, error) in [
            ("web-11", "`web-11` selects no host: there is no such host; did you mean `web-1`?"),
            ("eu", "`eu` selects no host: there is no such host; did you mean `@eu`?"),
            ("@web-1", "did you mean `web-1`?"),
            (
                "@APP",
                "`@APP` selects no host: there is no such group, and no label of this value; did you mean `@app`?",
            ),
            ("mail", "there are db-1, web-1, web-2, web-3"),
            ("mail-*", "`mail-*` selects no host: no host is called so; there are db-1,"),
            ("@frankfurt", "there are @app, @broken, @db, @eu, @nobody and"),
            ("@region=eux", "no host has this label; did you mean `@region=eu`?"),
            ("@region=frankfurt", "no host has this label; there are @region=eu, @region=us"),
            ("@colour=red", "no host has this label; there is none"),
            // Who leaves out nobody has mistyped.
            ("*,!web-33", "`!web-33` selects no host"),
            ("web-1,!@eu", "`web-1,!@eu` selects no host: it leaves out all that it names"),
            ("!*", "it leaves out all that it names"),
            (
                "@broken",
                "the group `broken` cannot be used: `dbx-1` selects no host: there is no such host; did you mean `db-1`?",
            ),
            ("@nobody", "the group `nobody` cannot be used: `web-1,!@app` selects no host"),
        ] {
            let found = select(&fleet, text).unwrap_err();
            assert!(found.contains(error), "{text}: {found}");
        }
        let empty = Fleet::default();
        assert!(select(&empty, "*").unwrap_err().contains("there is none"));
    }

    #[test]
    fn a_group_that_is_made_of_itself_says_by_which_way() {
        let fleet = fleet(&[("a", "web-1,@b"), ("b", "!@c"), ("c", "@b"), ("d", "@d"), ("e", "@a")]);
        for (text, error) in [
            ("@a", "the group `b` is made of itself: b -> c -> b"),
            ("@c", "the group `c` is made of itself: c -> b -> c"),
            ("@d", "the group `d` is made of itself: d -> d"),
            ("@e", "the group `b` is made of itself: b -> c -> b"),
        ] {
            assert_eq!(select(&fleet, text).unwrap_err(), error, "{text}");
        }
        // Twice is no circle.
        let twice = super::tests::fleet(&[("a", "@b,@c"), ("b", "@d"), ("c", "@d"), ("d", "db-1")]);
        assert_eq!(select(&twice, "@a").unwrap(), "db-1");
    }

    #[test]
    fn groups_are_the_named_ones_and_those_of_labels() {
        let fleet = fleet(&[("app", "web-*"), ("broken", "@broken")]);
        let names = fleet.groups().into_keys().collect::<Vec<_>>();
        assert_eq!(names, ["app", "region=eu", "region=us", "role=db", "role=web"]);
        assert_eq!(fleet.groups()["app"], fleet.groups()["role=web"]);
        for name in fleet.group_names().iter().filter(|name| *name != "broken") {
            assert!(select(&fleet, &format!("@{name}")).is_ok(), "{name}");
        }
    }
}
