//! How far the clocks of many agents are from ours. Hosts that are all asked at once wait for each other in this process, and that
//! would look like a long way to them. So each has its turn, at a pace that one processor keeps up with.

use std::time::Duration;

use tokio::time::Instant;

use super::fan_out::{Answers, fan_out};
use super::members::Member;
use super::offset::Offset;
use super::progress::{Progress, Step};

/// From one host's turn to the next: twice what the questions to it keep a slow processor busy for. How long the answers are on
/// their way does not matter: the next host's turn comes meanwhile.
const PACE: Duration = Duration::from_micros(400);

/// When a host is asked.
struct Turn<'a> {
    member: &'a Member,
    at: Instant,
}

impl AsRef<Member> for Turn<'_> {
    fn as_ref(&self) -> &Member {
        self.member
    }
}

/// Who has not told the time when so much has passed since the last turn has no clock.
pub async fn clocks<M: AsRef<Member>>(
    asked: &[M],
    patience: Duration,
    progress: &Progress,
    step: Step,
) -> Answers<Offset> {
    let begun = Instant::now();
    let turns = asked.iter().zip(0..).map(|(one, nth)| Turn { member: one.as_ref(), at: begun + PACE * nth });
    let turns = turns.collect::<Vec<_>>();
    let last = turns.last().map_or(begun, |turn| turn.at);
    fan_out(&turns, last - begun + patience, progress, step, |Turn { member, at }| async move {
        tokio::time::sleep_until(*at).await;
        Offset::measure(&member.client).await
    })
    .await
}
