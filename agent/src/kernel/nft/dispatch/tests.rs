//! The order of faults in the kernel's own list, when they come in another one and when they change. Needs root and `nft`.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use nix::sched::{CloneFlags, unshare};
use partition_agent_proto::FaultSpec;

use crate::kernel::Within;
use crate::kernel::nft::{Bindings, Table};
use crate::plan::{Address, Draft, Guard, MARK_BITS, Place, Plan};

const SLOW: &str = r#"{"kinds":[{"delay":{"latency":"10ms"}}],"target":{"all_traffic":true}}"#;
const LOSS: &str = r#"{"kinds":[{"loss":{"percent":50}}],"target":{"all_traffic":true}}"#;

struct Kernel {
    table: Table,
    guard: Guard,
    bindings: Bindings,
}

/// Runs on a thread of its own, with a loopback of its own.
fn in_a_namespace(test: impl FnOnce(Kernel) + Send + 'static) {
    let test = || {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        let table = Table::open(Within::Own).unwrap();
        let queues = (1..10).flat_map(|slot| ["e", "i"].map(|hook| (format!("pa-f{slot}-{hook}"), 1)));
        let bindings = Bindings { ifindex: queues.collect(), ports: BTreeMap::new() };
        test(Kernel { table, guard: Guard::new(&[], None), bindings });
    };
    std::thread::spawn(test).join().unwrap();
}

impl Kernel {
    fn plan(&self, json: &str, targets: &[&str], slot: u32, order: u32) -> Plan {
        let spec = serde_json::from_str::<FaultSpec>(json).unwrap();
        let target = |net: &&str| Address { net: net.parse().unwrap(), ports: None };
        let plan = Plan::new(&Draft {
            spec: &spec,
            egress: spec.egress_kinds(),
            ingress: spec.ingress_kinds(),
            targets: &targets.iter().map(target).collect::<Vec<_>>(),
            except: &[],
            keep: &[],
            place: &Place::host(),
            sender: None,
            interfaces: &["lo".to_owned()],
            which: &BTreeMap::new(),
            taps: &[],
            left_out: &[],
            not_ethernet: &[],
            emulated: false,
            natted: json == LOSS,
            bit: Some(MARK_BITS[slot as usize]),
            servers: &[],
            guard: &self.guard,
            slot,
            order,
            timeout: Some(Duration::from_secs(60)),
        });
        plan.unwrap()
    }

    fn steer(&mut self, plan: &Plan) {
        let steering = plan.steering().unwrap();
        self.table.steer(plan.slot, steering, &self.guard, &self.bindings).unwrap();
    }

    fn unsteer(&mut self, plan: &Plan) {
        self.table.unsteer(plan.slot, plan.steering().unwrap()).unwrap();
    }

    fn replace(&mut self, old: &Plan, new: &Plan) {
        let steerings = (old.steering().unwrap(), new.steering().unwrap());
        self.table.replace(new.slot, steerings, &self.guard, &self.bindings).unwrap();
    }
}

/// Where the rules of one of the chains that all faults have in common lead to, as nft lists them.
fn leads_to(chain: &str) -> Vec<String> {
    let done =
        Command::new("nft").args(["list", "chain", "netdev", "partition_agent", chain]).output().unwrap();
    let listed = String::from_utf8(done.stdout).unwrap();
    let targets = listed.lines().filter_map(|line| line.split("jump ").nth(1)?.split(' ').next());
    targets.map(str::to_owned).collect()
}

fn shaped_by(slots: &[u32]) -> Vec<String> {
    slots.iter().map(|slot| format!("f{slot}_egress_shape")).collect()
}

#[test]
fn whoever_comes_back_first_the_newer_fault_is_before_the_older() {
    in_a_namespace(|mut kernel| {
        let slow = |kernel: &Kernel, slot, order| kernel.plan(SLOW, &["10.0.0.5"], slot, order);
        let [old, middle, young] = [1, 2, 3].map(|nth| slow(&kernel, nth, nth));
        for plan in [&old, &middle, &young] {
            kernel.steer(plan);
        }
        assert_eq!(leads_to("egress_shape"), shaped_by(&[3, 2, 1]));
        // Back in another slot, each in its turn.
        let back = [slow(&kernel, 4, 1), slow(&kernel, 5, 2), slow(&kernel, 6, 3)];
        let lists = [[3, 2, 4], [3, 5, 4], [6, 5, 4]];
        for ((gone, back), wanted) in [&old, &middle, &young].into_iter().zip(&back).zip(lists) {
            kernel.unsteer(gone);
            kernel.steer(back);
            assert_eq!(leads_to("egress_shape"), shaped_by(&wanted));
        }
        // A change adds a rule, and it has its place among the others.
        let both = kernel.plan(SLOW, &["10.0.0.5", "fd00::5"], 5, 2);
        kernel.replace(&back[1], &both);
        assert_eq!(leads_to("egress_shape"), shaped_by(&[6, 5, 5, 4]));
    });
}

#[test]
fn a_change_leaves_every_fault_learning_before_any_of_them_loses() {
    in_a_namespace(|mut kernel| {
        let [one, other] = [1, 2].map(|nth| kernel.plan(LOSS, &["10.0.0.5"], nth, nth));
        kernel.steer(&one);
        kernel.steer(&other);
        let both = kernel.plan(LOSS, &["10.0.0.5", "fd00::5"], 1, 1);
        kernel.replace(&one, &both);
        let listed = leads_to("egress_loss");
        let learns = listed.iter().map(|chain| chain.ends_with("_learn")).collect::<Vec<_>>();
        assert!(learns.iter().filter(|learns| **learns).count() == 2, "{listed:?}");
        assert!(learns.is_sorted_by(|one, next| one >= next), "{listed:?}");
    });
}
