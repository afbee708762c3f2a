//! What holds for every plan, whatever was asked for.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::overlaps::{fault, guard, plan};
use super::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_is_hit_but_by_what_times_out_and_no_targets_overlap(fault in fault(), slot in 1_u32..5, natted in any::<bool>()) {
        let fault = super::model::Fault { slot, natted, ..fault };
        let plan = plan(&fault, &guard());
        prop_assert_eq!(sound::check(&plan), Ok(()));
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
                which: &std::collections::BTreeMap::new(),
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
            which: &there
                .iter()
                .map(|(name, index)| ((*name).to_owned(), Incarnation { index: *index, nth: 0 }))
                .collect(),
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
