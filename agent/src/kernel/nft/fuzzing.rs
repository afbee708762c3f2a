//! Messages of nftables, in both directions.

use std::collections::BTreeMap;

use super::message::{self, In, comment};
use super::socket::{append, ext_ack_text, messages};
use super::table::SHARED;
use super::{Bindings, read};
use crate::plan::Plan;

/// A datagram of the kernel's, read as every kind of list.
pub fn replies(bytes: &[u8]) {
    let mut length = 0;
    for reply in messages(bytes) {
        length += 16 + reply.payload.len();
        let _ = reply.refusal();
        // Behind the `nfgenmsg`.
        let entry = reply.payload.get(4..).unwrap_or_default();
        read::fuzz(entry);
        let _ = (ext_ack_text(entry), comment(entry));
    }
    assert!(length <= bytes.len(), "{length} bytes were read out of {}", bytes.len());
}

/// The messages that bring this into the kernel: each as long as it says, and whole.
pub fn encoded(plan: &Plan) {
    let ifindex =
        plan.queues().map(|(name, _)| name.to_owned()).chain(plan.taps().map(|tap| tap.name.clone()));
    let bindings = Bindings { ifindex: ifindex.zip(1..).collect(), ports: BTreeMap::new() };
    let Some(steering) = plan.steering() else { return };
    let mut acts = message::add(SHARED, &steering.ruleset, steering.timeout, &bindings);
    if let Some(own) = &steering.own {
        let at = In { family: own.family, table: &own.name };
        acts.extend(message::add(at, &own.ruleset, steering.timeout, &bindings));
    }
    let (count, mut bytes) = (acts.len(), Vec::new());
    for (act, sequence) in acts.into_iter().zip(1..) {
        append(&mut bytes, act.message.into(), Some(act.family), act.flags, sequence);
    }
    assert_eq!(messages(&bytes).count(), count, "{plan}");
}
