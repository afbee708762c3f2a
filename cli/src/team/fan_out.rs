//! One question to many agents: a bounded number at once, all of them with the same deadline.

use std::collections::BTreeMap;
use std::future::Future;
use std::time::Duration;

use futures_util::{StreamExt, stream};

use super::members::Member;
use super::progress::{Progress, Step};
use crate::exit::Failure;

/// Questions under way at once. Each holds a connection: 1,000 hosts need some 1,000 descriptors, which the usual limit of 1,024
/// would not leave room for.
const AT_ONCE: usize = 256;

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
