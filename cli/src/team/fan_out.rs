//! One question to many agents: a bounded number at once, all of them with the same deadline.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use futures_util::{StreamExt, stream};

use super::members::Member;
use super::progress::{Progress, Step};
use crate::exit::Failure;

/// Questions under way at once: enough for hosts that are far away. With more of them answers would wait for each other here.
pub const AT_ONCE: usize = 256;

/// What each host answered, by name.
pub type Answers<T> = BTreeMap<String, Result<T, Failure>>;

/// Asks every member, and tells the progress which step each of them has reached. Who has no answer by then has none.
pub async fn fan_out<T, A, F>(
    members: &[Member],
    patience: Duration,
    progress: &Progress,
    reached: Step,
    ask: A,
) -> Answers<T>
where
    A: Fn(Member) -> F,
    F: Future<Output = Result<T, Failure>>,
{
    let deadline = tokio::time::Instant::now() + patience;
    let each = members.iter().map(|member| {
        let (name, at) = (member.name.clone(), member.client.address());
        let asked = ask(member.clone());
        async move {
            let answer = match tokio::time::timeout_at(deadline, asked).await {
                Ok(answer) => answer,
                Err(_) => Err(Failure::unanswered(at, patience)),
            };
            progress.tell(&name, if answer.is_ok() { reached } else { Step::Failed });
            (name, answer)
        }
    });
    stream::iter(each).buffer_unordered(AT_ONCE).collect().await
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::client::Client;

    fn members(count: usize) -> Vec<Member> {
        let http = Client::shared(None).unwrap();
        let member = |nth| {
            let client = Client::of(&http, "http://127.0.0.1:1".to_owned());
            Member { name: format!("h{nth}"), client }
        };
        (0..count).map(member).collect()
    }

    #[tokio::test]
    async fn everybody_is_asked_and_no_more_than_so_many_at_once() {
        let (now, most) = (Cell::new(0), Cell::new(0));
        let count = 4 * AT_ONCE + 1;
        let quiet = Progress::new([], true);
        let answers = fan_out(&members(count), Duration::from_secs(60), &quiet, Step::Asked, |member| {
            let (now, most) = (&now, &most);
            async move {
                now.set(now.get() + 1);
                most.set(most.get().max(now.get()));
                tokio::task::yield_now().await;
                now.set(now.get() - 1);
                Ok(member.name)
            }
        })
        .await;
        assert_eq!((answers.len(), most.get()), (count, AT_ONCE));
        assert!(answers.iter().all(|(name, answer)| answer.as_ref().is_ok_and(|answer| answer == name)));
    }

    #[tokio::test]
    async fn one_that_is_silent_costs_its_own_patience_only() {
        let quiet = Progress::new([], true);
        let answers =
            fan_out(&members(3), Duration::from_millis(20), &quiet, Step::Asked, |member| async move {
                if member.name == "h1" { std::future::pending().await } else { Ok(()) }
            })
            .await;
        assert!(matches!(answers["h1"], Err(Failure::Unreachable { .. })));
        assert!(answers["h0"].is_ok() && answers["h2"].is_ok());
    }
}
