//! What holds for every plan, whatever was asked for.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::overlaps::{fault, guard, plan};
use super::*;

fn looks_in_a_timed_set(ruleset: &Ruleset, rule: &Rule) -> bool {
    rule.exprs.iter().any(|expr| match expr {
        Expr::Member(_, _, name) => ruleset.sets.iter().any(|set| set.timed && set.name == *name),
        _ => false,
    })
}

/// Rules that lead to a chain of the fault from one that is not.
fn entries(ruleset: &Ruleset) -> impl Iterator<Item = &Rule> {
    let reached =
        |name: &String| ruleset.chains.iter().any(|chain| chain.base.is_none() && chain.name == *name);
    let jumps = move |rule: &&Rule| matches!(rule.exprs.last(), Some(Expr::Jump(chain)) if reached(chain));
    ruleset.rules.iter().filter(move |rule| !reached(&rule.chain)).filter(jumps)
}

/// An element as the addresses, protocols and ports that it holds.
fn overlap(one: &Element, other: &Element) -> bool {
    let parts = |element: &Element| match *element {
        Element::Host(address) => (Range { first: address, last: address }, None),
        Element::Net(range) => (range, None),
        Element::Service { range, protocol, ports } => (range, Some((protocol, ports))),
        Element::Connection { .. } | Element::LocalPort { .. } | Element::Ethertype(_) => {
            panic!("{element} is no target")
        }
    };
    let ((one, on), (other, at)) = (parts(one), parts(other));
    let ports = match (on, at) {
        (Some((protocol, ports)), Some((its, at))) => {
            protocol == its && ports.first() <= at.last() && at.first() <= ports.last()
        }
        (Some(_) | None, _) => true,
    };
    one.first <= other.last && other.first <= one.last && ports
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_hit_but_by_what_times_out(fault in fault(), slot in 1_u32..5, natted in any::<bool>()) {
        let fault = super::model::Fault { slot, natted, ..fault };
        let plan = plan(&fault, &guard());
        let steering = plan.steering().unwrap();
        let none = Ruleset::default();
        let own = steering.own.as_ref().map_or(&none, |own| &own.ruleset);
        for ruleset in [&steering.ruleset, own] {
            for rule in entries(ruleset) {
                let marked = rule.exprs.iter().any(|expr| matches!(expr, Expr::MarkHas(bit) if plan.bit == Some(*bit)));
                prop_assert!(marked || looks_in_a_timed_set(ruleset, rule), "{}", rule);
            }
            for rule in &ruleset.rules {
                let marks = rule.exprs.iter().any(|expr| matches!(expr, Expr::MarkAdd(_)));
                prop_assert!(!marks || looks_in_a_timed_set(ruleset, rule), "{}", rule);
            }
        }
        // What ends a fault never ends an exception.
        for set in steering.ruleset.sets.iter().chain(&own.sets) {
            let spares = ["except", "keep", "guard"].iter().any(|word| set.name.contains(word));
            prop_assert_eq!(set.timed, !spares && !set.shape.learned(), "{}", set.name);
        }
        // The rules of the shared table are found again by their comments, and no other fault has a chain of that name.
        for rule in &steering.ruleset.rules {
            prop_assert_eq!(rule.comment.clone(), Some(mark(slot)));
        }
        for chain in &steering.ruleset.chains {
            prop_assert!(chain.name.starts_with(&format!("f{slot}_")), "{}", chain.name);
        }
    }

    #[test]
    fn the_targets_of_one_fault_never_overlap(fault in fault(), natted in any::<bool>()) {
        let plan = plan(&super::model::Fault { slot: 1, natted, ..fault }, &guard());
        let steering = plan.steering().unwrap();
        for ruleset in [Some(&steering.ruleset), steering.own.as_ref().map(|own| &own.ruleset)].into_iter().flatten() {
            let targets = ruleset.sets.iter().filter(|set| set.timed && set.shape != Shape::Ethertype);
            let elements = targets.flat_map(|set| &set.elements).collect::<Vec<_>>();
            for (nth, one) in elements.iter().enumerate() {
                for other in &elements[nth + 1..] {
                    prop_assert!(!overlap(one, other), "{} and {}", one, other);
                }
            }
        }
    }
}

#[test]
fn the_names_of_links_fit_and_differ() {
    let json = r#"{"kinds":[{"delay":{"latency":"10ms"}}],"target":{"all_traffic":true}}"#;
    let spec = serde_json::from_str::<FaultSpec>(json).unwrap();
    let interfaces = (0..33).map(|nth| format!("interface-{nth}")).collect::<Vec<_>>();
    for emulated in [false, true] {
        let mut names = BTreeSet::new();
        // Devices are for 32 interfaces at most.
        let most = if emulated { 32 } else { 33 };
        for slot in [1, 11, 9_999_999] {
            let draft = Draft {
                spec: &spec,
                egress: spec.egress_kinds(),
                ingress: spec.ingress_kinds(),
                targets: &[address(&"0.0.0.0/0")],
                except: &[],
                keep: &[],
                place: &Place::host(),
                sender: None,
                interfaces: &interfaces[..most],
                indexes: &std::collections::BTreeMap::new(),
                taps: &[],
                left_out: &[],
                not_ethernet: &[],
                emulated,
                natted: false,
                bit: None,
                servers: &[],
                guard: &guard(),
                slot,
                order: slot,
                timeout: None,
            };
            let many = Plan::new(&Draft { interfaces: &interfaces, ..draft });
            assert_eq!(many.is_err(), emulated);
            let plan = Plan::new(&draft).unwrap();
            let links = plan.queues().map(|(name, _)| name).chain(plan.taps().map(|tap| tap.name.as_str()));
            for link in links {
                assert!(link.len() <= 15 && link.starts_with("pa-f"), "{link}");
                assert!(names.insert(link.to_owned()), "{link} twice");
            }
        }
        assert_eq!(names.len(), if emulated { 3 * 2 * 32 } else { 3 * 2 });
    }
}

#[test]
fn a_device_of_the_emulator_stays_with_its_interface_and_shares_its_name_with_none() {
    let spec = serde_json::from_str::<partition_agent_proto::FaultSpec>(
        r#"{"kinds":[{"delay":{"latency":"10ms"}}],"target":{"all_traffic":true}}"#,
    )
    .unwrap();
    let taps = |there: &[(&str, u32)], before: &[Tap]| {
        let plan = Plan::new(&Draft {
            spec: &spec,
            egress: spec.egress_kinds(),
            ingress: spec.ingress_kinds(),
            targets: &[address(&"0.0.0.0/0")],
            except: &[],
            keep: &[],
            place: &Place::host(),
            sender: None,
            interfaces: &there.iter().map(|(name, _)| (*name).to_owned()).collect::<Vec<_>>(),
            indexes: &there.iter().map(|(name, index)| ((*name).to_owned(), *index)).collect(),
            taps: before,
            left_out: &[],
            not_ethernet: &[],
            emulated: true,
            natted: false,
            bit: None,
            servers: &[],
            guard: &guard(),
            slot: 1,
            order: 1,
            timeout: None,
        });
        plan.unwrap().taps().cloned().collect::<Vec<_>>()
    };
    let names =
        |taps: &[Tap]| taps.iter().map(|tap| format!("{} {}", tap.interface, tap.name)).collect::<Vec<_>>();
    let first = taps(&[("a", 1), ("b", 2)], &[]);
    assert_eq!(names(&first), ["a pa-f1-e0", "b pa-f1-e1", "a pa-f1-i0", "b pa-f1-i1"]);
    let joined = taps(&[("c", 3), ("a", 1), ("b", 2)], &first);
    assert_eq!(names(&joined)[..3], ["c pa-f1-e2", "a pa-f1-e0", "b pa-f1-e1"]);
    assert!(first.iter().all(|tap| joined.contains(tap)));
    let left = taps(&[("c", 3), ("b", 2)], &joined);
    assert_eq!(names(&left)[..2], ["c pa-f1-e2", "b pa-f1-e1"]);
    // Made anew, it is another; and the names of those that are gone can be had again.
    let anew = taps(&[("c", 3), ("b", 9), ("d", 4)], &left);
    assert_eq!(names(&anew)[..3], ["c pa-f1-e2", "b pa-f1-e0", "d pa-f1-e3"]);
}
