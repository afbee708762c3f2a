//! Every way to part hosts, against its own definition, seen by the agents' own datagrams in both directions; and healed.

use std::collections::BTreeSet;

use harness::fleet::{Fleet, HOSTS};
use harness::snapshot::Snapshot;

use crate::SLACK;

/// From whom to whom nothing may get through.
type Cuts = BTreeSet<(usize, usize)>;

fn both_ways(pairs: impl IntoIterator<Item = (usize, usize)>) -> Cuts {
    pairs.into_iter().flat_map(|(one, other)| [(one, other), (other, one)]).collect()
}

/// Everybody of these from everybody of those.
fn between(these: &[usize], those: &[usize]) -> Cuts {
    both_ways(these.iter().flat_map(|one| those.iter().map(|other| (*one, *other))))
}

fn all(range: std::ops::Range<usize>) -> Vec<usize> {
    range.collect()
}

/// The command, and who must lose whom. The hosts are h0 to h9; h0 to h4 are in the zone a, h5 to h9 in b.
fn verbs() -> Vec<(&'static str, Cuts)> {
    let [a, b, everybody] = [all(0..5), all(5..10), all(0..HOSTS)];
    let without =
        |these: &[usize]| everybody.iter().copied().filter(|n| !these.contains(n)).collect::<Vec<_>>();
    let one_way = a.iter().flat_map(|from| b.iter().map(|to| (*from, *to))).collect();
    let three = between(&[0, 1], &[2, 3])
        .into_iter()
        .chain(between(&[0, 1], &[4, 5]))
        .chain(between(&[2, 3], &[4, 5]))
        .collect();
    // A majority of ten is six: two neighbours on each side, and the one opposite.
    let apart = |one: usize, other: usize| {
        let around = (one + HOSTS - other) % HOSTS;
        around.min(HOSTS - around)
    };
    let ring = everybody.iter().flat_map(|one| everybody.iter().map(|other| (*one, *other)));
    let ring = ring.filter(|(one, other)| matches!(apart(*one, *other), 3 | 4)).collect();
    vec![
        ("partition @a @b", between(&a, &b)),
        ("partition @a @b --one-way", one_way),
        ("partition @b @a --one-way --reject", b.iter().flat_map(|f| a.iter().map(|t| (*f, *t))).collect()),
        ("partition h0,h1 h2,h3 h4,h5", three),
        ("partition h0,h1 rest --on h*,!h9", between(&[0, 1], &all(2..9))),
        // h4 is in both, and sees both.
        ("partition h0,h1,h4 h4,h5,h6", between(&[0, 1], &[5, 6])),
        ("partition --isolate h3", between(&[3], &without(&[3]))),
        ("partition --isolate @zone=a", between(&a, &b)),
        ("partition --halves", between(&a, &b)),
        ("partition --majority", between(&all(0..6), &all(6..10))),
        // The most that are fewer than a third of ten: three.
        ("partition --minority-third", between(&all(0..3), &all(3..10))),
        ("partition --ring", ring),
        ("partition --bridge", between(&a, &all(6..10))),
        // The first half is of five with and without the bridge.
        ("partition --bridge=h0", between(&all(1..6), &all(6..10))),
    ]
}

/// Who loses whom, as the matrix finds it, and whether all of it is as the faults say.
fn found(fleet: &Fleet) -> (Cuts, bool) {
    let (_, matrix) = fleet.json(&["matrix"]);
    assert_eq!(matrix["silent"], serde_json::json!({}), "the API is reached, whatever is cut");
    let number = |name: &serde_json::Value| {
        name.as_str().expect("as it is in the answer")[1..].parse::<usize>().expect("as it is in the answer")
    };
    let pairs = matrix["pairs"].as_array().expect("as it is in the answer");
    assert_eq!(pairs.len(), HOSTS * (HOSTS - 1));
    let cut = pairs.iter().filter(|pair| pair["found"] == "cut");
    let cut = cut.map(|pair| (number(&pair["from"]), number(&pair["to"]))).collect();
    // A connection takes both ways.
    for pair in pairs {
        let (from, to) = (number(&pair["from"]), number(&pair["to"]));
        let back = pairs.iter().find(|other| (number(&other["from"]), number(&other["to"])) == (to, from));
        let open = pair["found"] == "open" && back.expect("as it is in the answer")["found"] == "open";
        assert_eq!(pair["connected"], open, "h{from} -> h{to}: {pair}");
    }
    (cut, matrix["as_expected"].as_bool().expect("as it is in the answer"))
}

#[test]
fn every_partition_is_its_definition_and_heals_without_a_trace() {
    let fleet = Fleet::start();
    let before = fleet.hosts.iter().map(Snapshot::take).collect::<Vec<_>>();
    assert_eq!(found(&fleet), (Cuts::new(), true), "all are open before");
    for (command, expected) in verbs() {
        let words = command.split(' ').chain(["--max-share", "100%", "--for", "10m"]).collect::<Vec<_>>();
        let said = fleet.cli_ok(&words);
        assert!(said.contains("verdict   confirmed on all of them"), "{command}: {said}");
        let (cut, as_expected) = found(&fleet);
        let differs = cut.symmetric_difference(&expected).collect::<Vec<_>>();
        assert!(differs.is_empty(), "{command}: otherwise than defined: {differs:?}");
        assert!(as_expected, "{command}: the agents' own faults say otherwise");
        fleet.cli_ok(&["restore", "--all"]);
        for (_, agent) in fleet.running() {
            agent.until_idle(SLACK);
        }
        println!("{command}: {} of {} ways cut, as defined", cut.len(), HOSTS * (HOSTS - 1));
    }
    assert_eq!(found(&fleet), (Cuts::new(), true), "all are open after");
    for (nth, (host, before)) in fleet.hosts.iter().zip(before).enumerate() {
        before.assert_same(&Snapshot::take(host), &format!("h{nth} after it all"));
    }
}
