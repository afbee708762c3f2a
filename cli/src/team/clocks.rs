//! How far the clocks of many agents are from ours. Hosts that are all asked at once wait for each other in this process, and that
//! would look like a long way to them. So each has its turn, at a pace that one processor keeps up with.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::fan_out::{Answers, fan_out};
use super::members::Member;
use super::offset::Offset;
use super::progress::{Progress, Step};

/// From one host's turn to the next: twice what the questions to it keep a slow processor busy for. How long the answers are on
/// their way does not matter: the next host's turn comes meanwhile.
const PACE: Duration = Duration::from_micros(400);

/// Who has not told the time when so much has passed since the last turn has no clock.
pub async fn clocks(
    members: &[Member],
    patience: Duration,
    progress: &Progress,
    step: Step,
) -> Answers<Offset> {
    let begun = Instant::now();
    let turns = members.iter().zip(0..).map(|(member, nth)| (member.name.clone(), begun + PACE * nth));
    let turns = turns.collect::<BTreeMap<_, _>>();
    let last = turns.values().max().copied().unwrap_or(begun);
    fan_out(members, last - begun + patience, progress, step, |member| {
        let turn = turns.get(&member.name).copied().unwrap_or(begun);
        async move {
            tokio::time::sleep_until(turn).await;
            Offset::measure(&member.client).await
        }
    })
    .await
}
