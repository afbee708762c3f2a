//! Who could not send to whom, drawn before it is so.

use std::collections::{BTreeMap, BTreeSet};

use partition_agent_proto::fleet::Cuts;

/// What fits on a screen.
const MOST_ROWS: usize = 40;
/// Of those that share a row.
const MOST_NAMES: usize = 4;

/// A row for each that sends, a column for each that receives. Where these are too many, those that lose the same ones share
/// a row.
pub fn matrix(parties: &[String], cuts: &Cuts) -> String {
    if parties.len() <= MOST_ROWS {
        return draw(&parties.iter().map(|party| vec![party.as_str()]).collect::<Vec<_>>(), cuts);
    }
    let groups = alike(parties, cuts);
    if groups.len() <= MOST_ROWS {
        let sizes = groups.iter().map(|group| group.len().to_string()).collect::<Vec<_>>().join(" | ");
        return format!("{} groups: {sizes}\n{}", groups.len(), draw(&groups, cuts));
    }
    let one_way = cuts.iter().filter(|(from, to)| !cuts.blocks(to, from)).count();
    let both_ways = (cuts.iter().count() - one_way) / 2;
    format!(
        "too many to draw: of {} hosts, {both_ways} pairs are hit both ways, {one_way} one way\n",
        parties.len()
    )
}

/// Those that lose and are lost by the same ones, in the order of the first of each. They see each other: whom somebody loses
/// does not lose itself.
fn alike<'a>(parties: &'a [String], cuts: &Cuts) -> Vec<Vec<&'a str>> {
    let mut lost = BTreeMap::<&str, [BTreeSet<&str>; 2]>::new();
    for (from, to) in cuts.iter() {
        lost.entry(from).or_default()[0].insert(to);
        lost.entry(to).or_default()[1].insert(from);
    }
    let mut groups = Vec::<Vec<&str>>::new();
    let mut place = BTreeMap::new();
    for party in parties {
        let place = *place.entry(lost.get(party.as_str())).or_insert_with(|| {
            groups.push(Vec::new());
            groups.len() - 1
        });
        groups[place].push(party);
    }
    groups
}

fn draw(groups: &[Vec<&str>], cuts: &Cuts) -> String {
    // Numbers, as names would not fit above a column.
    let digits = groups.len().to_string().len();
    let labels = groups.iter().map(|group| label(group)).collect::<Vec<_>>();
    let widest = labels.iter().map(|label| label.chars().count()).max().unwrap_or_default();
    let cell = |from: &Vec<&str>, to: &Vec<&str>| match (from.as_slice(), to.as_slice()) {
        ([from], [to]) if from == to => ' ',
        ([from, ..], [to, ..]) if cuts.blocks(from, to) => 'x',
        (_, _) => '.',
    };
    let line = |head: String, cells: Vec<String>| {
        let cells = cells.iter().map(|cell| format!(" {cell:>digits$}")).collect::<String>();
        format!("{}\n", format!("{head} {cells}").trim_end())
    };
    let columns = (1..=groups.len()).map(|nth| nth.to_string()).collect();
    let mut text = "rows send to columns: x is hit, . goes on\n".to_owned();
    text.push_str(&line(" ".repeat(digits + 1 + widest), columns));
    for (nth, (from, label)) in groups.iter().zip(labels).enumerate() {
        let cells = groups.iter().map(|to| cell(from, to).to_string()).collect();
        text.push_str(&line(format!("{:>digits$} {label:widest$}", nth + 1), cells));
    }
    text
}

fn label(group: &[&str]) -> String {
    match group.split_at_checked(MOST_NAMES) {
        Some((some, more)) if !more.is_empty() => format!("{} and {} more", some.join(", "), more.len()),
        Some(_) | None => group.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use partition_agent_proto::fleet::Partition;

    fn hosts(n: usize) -> Vec<String> {
        (1..=n).map(|nth| format!("web-{nth}")).collect()
    }

    fn drawn(partition: &Partition, hosts: &[String]) -> String {
        matrix(hosts, &partition.cuts(hosts).unwrap())
    }

    #[test]
    fn a_few_hosts_have_a_row_each() {
        let hosts = ["eu-1", "eu-2", "us-1.example.com", "us-2"].map(str::to_owned);
        assert_eq!(
            drawn(&Partition::Halves { seed: None }, &hosts),
            "\
rows send to columns: x is hit, . goes on
                    1 2 3 4
1 eu-1                . x x
2 eu-2              .   x x
3 us-1.example.com  x x   .
4 us-2              x x .
"
        );
        let one_way = Cuts::one_way(&[hosts[0].clone()].into(), &[hosts[3].clone()].into()).unwrap();
        assert_eq!(
            matrix(&hosts, &one_way),
            "\
rows send to columns: x is hit, . goes on
                    1 2 3 4
1 eu-1                . . x
2 eu-2              .   . .
3 us-1.example.com  . .   .
4 us-2              . . .
"
        );
    }

    #[test]
    fn two_digits_make_wider_columns() {
        let text = drawn(&Partition::Isolate(["web-2".to_owned()].into()), &hosts(10));
        let lines = text.lines().take(4).collect::<Vec<_>>();
        assert_eq!(
            lines,
            [
                "rows send to columns: x is hit, . goes on",
                "            1  2  3  4  5  6  7  8  9 10",
                " 1 web-1       x  .  .  .  .  .  .  .  .",
                " 2 web-2    x     x  x  x  x  x  x  x  x",
            ]
        );
        // As many columns as terminals have had since the VT100, in its wide mode.
        assert!(drawn(&Partition::Halves { seed: None }, &hosts(40)).lines().all(|line| line.len() <= 132));
    }

    #[test]
    fn of_many_those_that_are_alike_share_a_row() {
        assert_eq!(
            drawn(&Partition::MinorityThird { seed: None }, &hosts(41)),
            "\
2 groups: 13 | 28
rows send to columns: x is hit, . goes on
                                              1 2
1 web-1, web-2, web-3, web-4 and 9 more       . x
2 web-14, web-15, web-16, web-17 and 24 more  x .
"
        );
        assert_eq!(
            drawn(&Partition::Bridge { over: None, seed: None }, &hosts(41)),
            "\
3 groups: 20 | 1 | 20
rows send to columns: x is hit, . goes on
                                              1 2 3
1 web-1, web-2, web-3, web-4 and 16 more      . . x
2 web-21                                      .   .
3 web-22, web-23, web-24, web-25 and 16 more  x . .
"
        );
    }

    #[test]
    fn what_has_no_groups_is_counted() {
        // Everybody sees 30 others, and so loses 29 of 59.
        assert_eq!(
            drawn(&Partition::MajoritiesRing { seed: None }, &hosts(60)),
            "too many to draw: of 60 hosts, 870 pairs are hit both ways, 0 one way\n"
        );
    }

    #[test]
    fn the_documentation_has_these_drawings() {
        let page = include_str!("../../../docs/partitions.md");
        let hosts = ["eu-1", "eu-2", "eu-3", "us-1", "us-2"].map(str::to_owned);
        let group = |names: &str| names.split(' ').map(str::to_owned).collect::<BTreeSet<_>>();
        let (eu, us) = (group("eu-1 eu-2 eu-3"), group("us-1 us-2"));
        for partition in [
            Partition::Groups(vec![eu.clone(), us.clone()]),
            Partition::Groups(vec![eu.clone(), group("eu-3 us-1")]),
            Partition::Groups(vec![group("eu-1"), group("us-1"), group("eu-2 eu-3 us-2")]),
            Partition::OneWay(eu, us),
            Partition::Isolate(group("eu-2")),
            Partition::Halves { seed: None },
            Partition::Halves { seed: Some(7) },
            Partition::Majority { seed: None },
            Partition::MinorityThird { seed: None },
            Partition::MajoritiesRing { seed: None },
            Partition::Bridge { over: None, seed: None },
        ] {
            let lines = drawn(&partition, &hosts)
                .lines()
                .skip(1)
                .map(|line| format!("    {line}\n"))
                .collect::<String>();
            assert!(page.contains(&lines), "{partition}:\n{lines}");
        }
    }
}
