//! A connection with TLS, and what is said of those that come to none.

use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use axum::Router;
use partition_agent_proto::{Problem, ProblemCode};
use tokio::net::TcpStream;

use super::accept::{converse, turn_away};
use super::bounds::HANDSHAKE_TIME;
use super::serve::Place;
use crate::access::{Handshakes, Visitor};
use crate::audit::Flood;
use crate::clock::BootTime;

/// The first byte of TLS: RFC 8446, 5.1, a record with a handshake.
const TLS: u8 = 22;

/// Handshakes that fail and are told one by one: at once, and each second after that.
const TOLD: u32 = 5;

/// A port that speaks TLS.
pub struct Secure {
    handshakes: Handshakes,
    failures: Failures,
}

impl Secure {
    pub fn new(handshakes: Handshakes) -> Self {
        Self { handshakes, failures: Failures::new() }
    }

    /// A handshake in time, and what follows it.
    pub async fn converse(&self, stream: TcpStream, from: SocketAddr, app: Router, place: Place) {
        let shaken = async {
            let mut first = [0];
            if stream.peek(&mut first).await? == 1 && first != [TLS] {
                let detail = "this port speaks TLS, and this is none";
                let problem = Problem::new(ProblemCode::Malformed, detail).hint("ask with https://");
                turn_away(stream, &problem).await;
                return Ok(None);
            }
            self.handshakes.shake(stream).await.map(Some)
        };
        match tokio::time::timeout(HANDSHAKE_TIME, shaken).await {
            Ok(Ok(Some((stream, holder)))) => converse(stream, app, (Visitor { from, holder }, place)).await,
            Ok(Ok(None)) => {}
            Ok(Err(error)) => self.failures.tell(from, &error),
            Err(_) => self.failures.tell(from, &"none in time"),
        }
    }
}

/// Whoever reaches the port can cause these: a few have a line in the agent's own log, and the others a number.
struct Failures(Mutex<Flood>);

impl Failures {
    fn new() -> Self {
        Self(Mutex::new(Flood::new(TOLD, TOLD)))
    }

    fn tell(&self, from: SocketAddr, error: &dyn Display) {
        let now = BootTime::now();
        let (admitted, more) = {
            let mut flood = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let admitted = flood.admits(now);
            (admitted, flood.take(now, admitted))
        };
        if let Some(more) = more {
            tracing::info!(more, "no TLS either");
        }
        if admitted {
            tracing::info!(%from, %error, "no TLS");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use tracing::span::{Attributes, Id, Record};
    use tracing::{Event, Metadata, Subscriber};

    use super::*;

    /// Counts what is said.
    struct Count(Arc<AtomicU32>);

    impl Subscriber for Count {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }
        fn new_span(&self, _: &Attributes<'_>) -> Id {
            Id::from_u64(1)
        }
        fn record(&self, _: &Id, _: &Record<'_>) {}
        fn record_follows_from(&self, _: &Id, _: &Id) {}
        fn event(&self, _: &Event<'_>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
        fn enter(&self, _: &Id) {}
        fn exit(&self, _: &Id) {}
    }

    #[test]
    fn a_hundred_thousand_failures_are_few_lines() {
        let said = Arc::new(AtomicU32::new(0));
        let failures = Failures::new();
        let begun = BootTime::now();
        tracing::subscriber::with_default(Count(Arc::clone(&said)), || {
            for _ in 0..100_000 {
                failures.tell("192.0.2.1:4711".parse().unwrap(), &"nonsense");
            }
        });
        let seconds = u32::try_from(begun.until(BootTime::now()).as_secs()).unwrap() + 1;
        let said = said.load(Ordering::Relaxed);
        // Each line may have that of a number before it.
        assert!((TOLD..=2 * TOLD * (seconds + 1)).contains(&said), "{said} lines in {seconds}s");
    }
}
