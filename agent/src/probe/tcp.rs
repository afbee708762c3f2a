//! Connections over TCP, in a time.

use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use partition_agent_proto::Span;
use tokio::net::TcpStream;

/// Opens a connection and closes it: how long that took or was tried, and why it did not open.
pub async fn connect(to: SocketAddr, patience: Span) -> (Duration, Option<String>) {
    let begun = Instant::now();
    let error = open(to, patience).await.err();
    (begun.elapsed(), error)
}

/// A connection, or why there is none.
pub async fn open(to: SocketAddr, patience: Span) -> Result<TcpStream, String> {
    within(patience, TcpStream::connect(to)).await
}

/// What comes in this time, or why nothing does.
pub async fn within<T, E: fmt::Display>(
    patience: Span,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, String> {
    match tokio::time::timeout(patience.duration(), work).await {
        Ok(done) => done.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer in {patience}")),
    }
}
