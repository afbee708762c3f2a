use proptest::prelude::*;

use super::*;

fn parties(n: usize) -> Vec<String> {
    (1..=n).map(|nth| format!("n{nth:02}")).collect()
}

fn group(names: &str) -> BTreeSet<String> {
    names.split_whitespace().map(str::to_owned).collect()
}

/// Of 1 to 5, as in the documentation: `x` where the row cannot send to the column.
fn drawn(partition: &Partition) -> String {
    let parties = parties(5);
    let cuts = partition.cuts(&parties).unwrap();
    let row = |from: &String| {
        parties.iter().map(|to| if cuts.blocks(from, to) { 'x' } else { '.' }).collect::<String>()
    };
    parties.iter().map(row).collect::<Vec<_>>().join(" ")
}

#[test]
fn of_five_hosts_each_is_what_its_name_says() {
    let cases = [
        (Partition::Groups(vec![group("n01 n02"), group("n04")]), "...x. ...x. ..... xx... ....."),
        (
            Partition::Groups(vec![group("n01 n02 n03"), group("n03 n04 n05")]),
            "...xx ...xx ..... xx... xx...",
        ),
        (
            Partition::Groups(vec![group("n01"), group("n02 n03"), group("n04 n05")]),
            ".xxxx x..xx x..xx xxx.. xxx..",
        ),
        (Partition::OneWay(group("n01 n02"), group("n05")), "....x ....x ..... ..... ....."),
        (Partition::Isolate(group("n02")), ".x... x.xxx .x... .x... .x..."),
        (Partition::Halves { seed: None }, "..xxx ..xxx xx... xx... xx..."),
        (Partition::Majority { seed: None }, "...xx ...xx ...xx xxx.. xxx.."),
        (Partition::MinorityThird { seed: None }, ".xxxx x.... x.... x.... x...."),
        (Partition::MajoritiesRing { seed: None }, "..xx. ...xx x...x xx... .xx.."),
        (Partition::Bridge { over: None, seed: None }, "...xx ...xx ..... xx... xx..."),
        (Partition::Bridge { over: Some("n01".to_owned()), seed: None }, "..... ...xx ...xx .xx.. .xx.."),
    ];
    for (partition, expected) in cases {
        assert_eq!(drawn(&partition), expected, "{partition}");
    }
}

#[test]
fn of_an_even_number_halves_are_equal_and_a_majority_is_one() {
    let cut_from_first = |partition: Partition| {
        let cuts = partition.cuts(&parties(6)).unwrap();
        cuts.iter().filter(|(from, _)| *from == "n01").count()
    };
    assert_eq!(cut_from_first(Partition::Halves { seed: None }), 3);
    assert_eq!(cut_from_first(Partition::Majority { seed: None }), 2);
    // A third of six is two; fewer than that is one.
    assert_eq!(cut_from_first(Partition::MinorityThird { seed: None }), 5);
}

#[test]
fn every_ring_gives_everybody_a_majority_of_its_own() {
    for n in 3..=60 {
        let parties = parties(n);
        let cuts = Partition::MajoritiesRing { seed: None }.cuts(&parties).unwrap();
        let mut seen = BTreeSet::new();
        let mut more = 0;
        for one in &parties {
            let reached = parties.iter().filter(|other| !cuts.blocks(one, other)).collect::<BTreeSet<_>>();
            assert!(reached.iter().all(|other| !cuts.blocks(other, one)), "{n}: {one} in one direction");
            let majority = n / 2 + 1;
            assert!(reached.len() >= majority, "{n}: {one} reaches {}", reached.len());
            more += reached.len() - majority;
            assert!(seen.insert(reached), "{n}: {one} reaches the same as another");
        }
        // No link can be spared: each has what it needs, but for one where these are odd in number.
        assert_eq!(more, usize::from(n % 4 == 3), "{n}");
        assert!(!cuts.is_empty(), "{n}");
    }
}

#[test]
fn a_seed_means_the_same_order_for_ever() {
    // Whoever wrote a seed down counts on it: if another version of the generator draws other numbers, stay with this one.
    let parties = parties(8);
    assert_eq!(
        order(&parties, Some(42), "a test", 1).unwrap(),
        ["n04", "n08", "n06", "n02", "n05", "n01", "n03", "n07"]
    );
}

#[test]
fn refusals_say_how_many_there_are_and_who() {
    let of = |partition: Partition, n: usize| partition.cuts(&parties(n)).unwrap_err().to_string();
    let seed = None;
    let over = |name: &str| Partition::Bridge { over: Some(name.to_owned()), seed };
    for (partition, n, reason) in [
        (Partition::Halves { seed }, 1, "halves: it takes at least 2, and only 1 would"),
        (Partition::Majority { seed }, 2, "a majority: it takes at least 3, and only 2 would"),
        (Partition::MinorityThird { seed }, 3, "a third: it takes at least 4, and only 3 would"),
        (
            Partition::MajoritiesRing { seed },
            2,
            "a ring of majorities: it takes at least 3, and only 2 would",
        ),
        (Partition::Bridge { over: None, seed }, 2, "a bridge: it takes at least 3, and only 2 would"),
        (over("n04"), 3, "`n04` does not take part"),
        (Partition::Groups(vec![group("n01"), group("n09")]), 3, "`n09` does not take part"),
        (Partition::Groups(vec![group("n01")]), 3, "one group has nobody"),
        (Partition::Groups(vec![group("n01"), group("")]), 3, "group 2 has no hosts"),
        (
            Partition::Groups(vec![group("n01 n02"), group("n02")]),
            3,
            "every two of these hosts share a group",
        ),
        (Partition::OneWay(group("n01 n02"), group("n02 n03")), 3, "`n02` is on both sides"),
        (Partition::OneWay(group("n01"), group("")), 3, "group 2 has no hosts"),
        (Partition::Isolate(group("n01 n02 n03")), 3, "nobody is left for these 3 hosts"),
        (Partition::Isolate(group("")), 3, "group 1 has no hosts"),
    ] {
        let error = of(partition.clone(), n);
        assert!(error.contains(reason), "{partition}: {error}");
    }
}

#[test]
fn each_is_named_in_a_few_words() {
    let seed = Some(42);
    for (partition, text) in [
        (Partition::Isolate(group("eu-1")), "isolate eu-1"),
        (Partition::Groups(vec![group("a b c d"), group("x")]), "a, b and 2 more | x"),
        (Partition::OneWay(group("a"), group("x y")), "one way, from a to x, y"),
        (Partition::Halves { seed }, "halves, random by seed 42"),
        (Partition::MinorityThird { seed: None }, "minority third"),
        (Partition::Bridge { over: Some("a".to_owned()), seed }, "bridge over a, random by seed 42"),
    ] {
        assert_eq!(partition.to_string(), text);
    }
}

/// Every one that goes by the order of the parties.
fn ordered(seed: Option<u64>) -> [Partition; 5] {
    [
        Partition::Halves { seed },
        Partition::Majority { seed },
        Partition::MinorityThird { seed },
        Partition::MajoritiesRing { seed },
        Partition::Bridge { over: None, seed },
    ]
}

proptest! {
    #[test]
    fn a_shuffle_changes_who_and_never_how(n in 4_usize..20, seed: u64) {
        let parties = parties(n);
        // How many each loses, as a picture without names.
        let picture = |cuts: &Cuts| {
            let lost = |one: &String| parties.iter().filter(|other| cuts.blocks(one, other)).count();
            let mut picture = parties.iter().map(lost).collect::<Vec<_>>();
            picture.sort_unstable();
            picture
        };
        for (random, plain) in ordered(Some(seed)).into_iter().zip(ordered(None)) {
            let cuts = random.cuts(&parties).unwrap();
            prop_assert_eq!(&cuts, &random.cuts(&parties).unwrap());
            prop_assert_eq!(picture(&cuts), picture(&plain.cuts(&parties).unwrap()), "{}", random);
            prop_assert!(cuts.iter().all(|(from, to)| cuts.blocks(to, from)), "{}", random);
        }
    }

    #[test]
    fn whoever_is_the_bridge_sees_everybody(n in 3_usize..20, nth in 0_usize..20, seed: Option<u64>) {
        let parties = parties(n);
        let bridge = &parties[nth % n];
        let cuts = Partition::Bridge { over: Some(bridge.clone()), seed }.cuts(&parties).unwrap();
        let lost = |one: &String| parties.iter().filter(|other| cuts.blocks(one, other)).count();
        prop_assert_eq!(lost(bridge), 0);
        // Everybody else loses one of the halves, which differ by one at most.
        let least = (n - 1) / 2;
        prop_assert!(parties.iter().filter(|one| *one != bridge).all(|one| [least, least + 1].contains(&lost(one))));
    }
}
