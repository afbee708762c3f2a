//! One question to many agents: a bounded number at once, all of them with the same deadline.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, timeout_at};

use super::members::Member;
use super::progress::{Progress, Step};
use crate::exit::Failure;

/// Questions under way at once. With more of them, answers would wait for each other here.
pub const AT_ONCE: usize = 256;

/// Who has not answered after so long is slow, far away or dead, which is no work for this host: the next one's turn comes. Else
/// as many dead hosts as are asked at once would keep the living from being healed.
const TURN: Duration = Duration::from_millis(500);

/// What each host answered, by name.
pub type Answers<T> = BTreeMap<String, Result<T, Failure>>;

/// Asks every member, with what belongs to it, and tells the progress which step each of them has reached. Who has no answer by
/// then has none.
pub async fn fan_out<'a, M, T, A, F>(
    asked: &'a [M],
    patience: Duration,
    progress: &Progress,
    reached: Step,
    ask: A,
) -> Answers<T>
where
    M: AsRef<Member>,
    A: Fn(&'a M) -> F,
    F: Future<Output = Result<T, Failure>>,
{
    let deadline = Instant::now() + patience;
    let gate = Arc::new(Semaphore::new(AT_ONCE));
    // Nobody closes the gate.
    let turns = stream::iter(asked).then(|one| {
        let gate = Arc::clone(&gate);
        async move { (one, gate.acquire_owned().await.ok()) }
    });
    let each = turns.map(|(one, turn)| {
        let Member { name, client } = one.as_ref();
        let answer = timeout_at(deadline, ask(one));
        async move {
            let mut answer = pin!(answer);
            let answer = tokio::select! {
                answer = &mut answer => answer,
                () = sleep(TURN) => {
                    drop(turn);
                    answer.await
                }
            };
            let answer = answer.unwrap_or_else(|_| Err(Failure::unanswered(client.address(), patience)));
            progress.tell(name, if answer.is_ok() { reached } else { Step::Failed });
            (name.clone(), answer)
        }
    });
    each.buffer_unordered(asked.len().max(1)).collect().await
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::client::{Access, Client};
    use crate::tls::TlsFiles;

    fn members(count: usize) -> Vec<Member> {
        let access = Access { agent: None, token_file: None, tls: TlsFiles::default() };
        let ways = access.ways(false).unwrap();
        let member = |nth| {
            let client = Client::of(&ways, "http://127.0.0.1:1".to_owned());
            Member { name: format!("h{nth}"), client }
        };
        (0..count).map(member).collect()
    }

    #[tokio::test]
    async fn everybody_is_asked_and_no_more_than_so_many_at_once() {
        let (now, most) = (Cell::new(0), Cell::new(0));
        let count = 4 * AT_ONCE + 1;
        let quiet = Progress::new([], true);
        let members = members(count);
        let answers = fan_out(&members, Duration::from_secs(60), &quiet, Step::Asked, |member: &Member| {
            let (now, most) = (&now, &most);
            async move {
                now.set(now.get() + 1);
                most.set(most.get().max(now.get()));
                tokio::task::yield_now().await;
                now.set(now.get() - 1);
                Ok(member.name.clone())
            }
        })
        .await;
        assert_eq!((answers.len(), most.get()), (count, AT_ONCE));
        assert!(answers.iter().all(|(name, answer)| answer.as_ref().is_ok_and(|answer| answer == name)));
    }

    #[tokio::test]
    async fn the_dead_keep_nobody_from_being_asked() {
        let (dead, living) = (3 * AT_ONCE, AT_ONCE);
        let quiet = Progress::new([], true);
        let patience = TURN * 4;
        let asked = Cell::new(0);
        let members = members(dead + living);
        let answers = fan_out(&members, patience, &quiet, Step::Asked, |_: &Member| {
            asked.set(asked.get() + 1);
            let is_dead = asked.get() <= dead;
            async move { if is_dead { std::future::pending().await } else { Ok(()) } }
        })
        .await;
        assert_eq!(answers.values().filter(|answer| answer.is_ok()).count(), living);
        let silent = answers.values().filter(|answer| matches!(answer, Err(Failure::Unreachable { .. })));
        assert_eq!(silent.count(), dead);
    }
}
