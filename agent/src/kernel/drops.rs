//! What was dropped, as part of what a fault has hit.

use partition_agent_proto::Hits;

use crate::dns::Forwarder;
use crate::emulator::Counters;
use crate::plan::Impairment;

/// netem has one count for what its loss took and for what it had no room for.
pub fn netem_drops(drops: Option<&u64>, impairment: &Impairment) -> Hits {
    let queue_drops = drops.copied().unwrap_or_default();
    let overflow_drops = if impairment.loss.is_none() { queue_drops } else { 0 };
    Hits { queue_drops, overflow_drops, ..Hits::default() }
}

/// The TAP drops what does not fit into its ring, which the emulator never sees.
pub fn emulator_drops(counters: Counters, by_tap: Option<&u64>) -> Hits {
    let overflow_drops = counters.overlimit + counters.write_errors + by_tap.copied().unwrap_or_default();
    Hits { queue_drops: counters.lost + overflow_drops, overflow_drops, ..Hits::default() }
}

/// Those of a name that fails, and those for which it had no room.
pub fn questions(forwarder: &Forwarder) -> Hits {
    let dropped = forwarder.dropped_questions();
    Hits {
        failed_questions: forwarder.failed_questions(),
        queue_drops: dropped,
        overflow_drops: dropped,
        ..Hits::default()
    }
}
