use std::collections::BTreeSet;

use clap::{CommandFactory, Parser};
use partition_agent_proto::fleet::{Ends, Partition};
use partition_agent_proto::{FaultSpec, Profile};

use super::PartitionArgs;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    partition: PartitionArgs,
}

fn args(line: &str) -> Result<PartitionArgs, String> {
    let words = std::iter::once("partition").chain(line.split_whitespace());
    Line::try_parse_from(words).map(|line| line.partition).map_err(|error| error.to_string())
}

/// As the verb does it, in a fleet where every selector is the letters of its hosts.
fn partition(line: &str) -> Result<Partition, String> {
    let parties = ["a", "b", "c", "d", "e"].map(str::to_owned);
    let select = |selector: &str| Ok(selector.split(',').map(str::to_owned).collect::<BTreeSet<_>>());
    args(line)?.who.parting()?.partition(&parties, select)
}

fn fault(line: &str) -> Result<FaultSpec, String> {
    args(line)?.fault()
}

#[test]
fn the_flags_hold_together() {
    Line::command().debug_assert();
}

#[test]
fn every_way_is_read() {
    for (line, text) in [
        ("a,b c", "a, b | c"),
        ("a b c,d", "a | b | c, d"),
        ("a,b b,c", "a, b | b, c"),
        ("rest a", "b, c and 2 more | a"),
        ("a,b rest --one-way", "one way, from a, b to c, d, e"),
        ("rest a,b,c --one-way", "one way, from d, e to a, b, c"),
        ("--isolate a,b", "isolate a, b"),
        ("--halves", "halves"),
        ("--majority --seed 7", "majority, random by seed 7"),
        ("--minority-third", "minority third"),
        ("--ring --random --seed 7", "majorities ring, random by seed 7"),
        ("--bridge", "bridge"),
        ("--bridge=c --seed 7", "bridge over c, random by seed 7"),
    ] {
        assert_eq!(partition(line).unwrap().to_string(), text, "{line}");
    }
}

#[test]
fn a_seed_that_was_drawn_can_be_given_again() {
    let drawn = partition("--halves --random").unwrap();
    let seed = drawn.seed().unwrap();
    assert_eq!(drawn.to_string(), format!("halves, random by seed {seed}"));
    assert_eq!(partition(&format!("--halves --seed {seed}")).unwrap(), drawn);
}

#[test]
fn there_is_exactly_one_way() {
    for line in [
        "",
        "--loss 100%",
        "--random",
        "--seed 7",
        "--one-way",
        "--halves --majority",
        "--ring --bridge",
        "--isolate a --halves",
        "a b --halves",
        "a b --isolate c",
        "a b --random",
        "a b --seed 7",
        "--isolate a --random",
        "--isolate a --one-way",
        "--halves --one-way",
        "--bridge a --isolate b",
        "--halves --seed -1",
        "--halves --dry-run --wait",
    ] {
        assert!(args(line).is_err(), "{line}");
    }
    for (line, reason) in [
        ("a", "nobody to be parted from"),
        ("rest", "nobody to be parted from"),
        ("rest rest", "write it once"),
        ("a b c --one-way", "these are 3"),
        // The host of a bridge takes an equals sign, else this would be a group.
        ("--bridge c", "cannot be used with"),
    ] {
        let error = partition(line).unwrap_err();
        assert!(error.contains(reason), "{line}: {error}");
    }
}

#[test]
fn without_a_kind_it_is_a_cut() {
    let cut = fault("--halves --for 5m").unwrap();
    assert_eq!(cut.kinds, fault("--halves --loss 100%").unwrap().kinds);
    assert_eq!((cut.duration.to_string().as_str(), Ends::of(&cut)), ("5m", Ends::Both));
    let slow = fault("a b --latency 100ms --start-in 5s --flap 30s/10s").unwrap();
    assert_eq!(slow.kinds.iter().map(ToString::to_string).collect::<Vec<_>>(), ["latency 100ms one way"]);
    assert!(slow.start_in.is_some() && slow.flap.is_some());
    assert_eq!(Ends::of(&fault("--halves --loss 0..100% --ramp 10s").unwrap()), Ends::One);
}

#[test]
fn one_way_has_the_side_of_those_who_send() {
    let profile = Profile::find("dsl").unwrap();
    let both = fault("a b --profile dsl").unwrap();
    assert_eq!((both.kinds, both.ingress_kinds), (profile.up(), profile.down()));
    let one_way = fault("a b --profile dsl --one-way").unwrap();
    assert_eq!((one_way.kinds, one_way.ingress_kinds), (profile.up(), vec![]));
}

#[test]
fn what_is_no_fault_between_hosts_is_refused() {
    for (line, reason) in [
        ("a b --one-way --rtt 10ms", "with --one-way, write --latency"),
        ("a b --dns-fail x.y", "acts on names"),
        ("a b --jitter 1ms", "add --latency"),
        ("a b --loss 1%..5%", "add --ramp"),
        ("a b --reject --latency 1ms", "do not go together"),
        ("a b --flap 1ms/1s", "at least 100ms"),
        ("a b --loss 5%..50% --ramp 2m", "the fault ends after"),
        ("a b --profile nosuch", "is no profile"),
    ] {
        let error = fault(line).unwrap_err();
        assert!(error.contains(reason), "{line}: {error}");
    }
    // A reset needs somebody, and here it will have somebody.
    assert!(fault("a b --reset").is_ok());
}
