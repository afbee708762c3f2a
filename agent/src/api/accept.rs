//! One connection: from `accept` to its end, in bounds. HTTP/1.1 and nothing else.

use std::io;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use partition_agent_proto::Problem;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_io_timeout::TimeoutStream;

use super::bounds::{HEAD, HEAD_TIME, HEADERS, WRITE_TIME};

/// Until `accept` is tried again where the agent itself is out of something: descriptors, memory.
const PAUSE: Duration = Duration::from_millis(200);

/// How long a connection that is turned away is listened to.
const FAREWELL_TIME: Duration = Duration::from_secs(1);

/// The next connection; an error of one that is gone already is not the listener's, any other is waited out.
pub async fn next<T, F: Future<Output = io::Result<T>>>(accept: impl Fn() -> F) -> T {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    loop {
        match accept().await {
            Ok(accepted) => return accepted,
            Err(error)
                if [ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted]
                    .contains(&error.kind()) => {}
            Err(error) => {
                tracing::warn!(%error, "no connection can be accepted; trying again");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Answers requests until either end has enough. Who asks is in the extensions of each.
pub async fn converse<S, W>(stream: S, app: Router, who: W)
where
    S: AsyncRead + AsyncWrite + Send + 'static,
    W: Clone + Send + Sync + 'static,
{
    let app = TowerToHyperService::new(app);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(who.clone());
        app.call(request)
    });
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(WRITE_TIME));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME).max_buf_size(HEAD).max_headers(HEADERS);
    if let Err(error) = http.serve_connection(TokioIo::new(Box::pin(stream)), service).await {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// Says why there will be no answer. Whoever has not read the request before it closes would reset the connection, and with
/// it the answer.
pub async fn turn_away(mut stream: impl AsyncRead + AsyncWrite + Unpin, problem: &Problem) {
    let status = axum::http::StatusCode::from_u16(problem.status).unwrap_or_default();
    // A problem is strings and a number: it cannot fail to serialize.
    let body = serde_json::to_string(problem).unwrap_or_default();
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let mut request = vec![0; HEAD];
    let said = async {
        // Whatever it is, and also nothing at all.
        let _ = stream.read(&mut request).await?;
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await?;
        while stream.read(&mut request).await? > 0 {}
        io::Result::Ok(())
    };
    // Whoever does not listen is not waited for.
    let _ = tokio::time::timeout(FAREWELL_TIME, said).await;
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::time::Instant;

    use super::*;

    #[tokio::test]
    async fn an_agent_out_of_descriptors_waits_and_a_connection_that_is_gone_is_passed_over() {
        let answers = [Err(libc::EMFILE), Err(libc::ECONNABORTED), Err(libc::ENFILE), Ok(7)];
        let asked = Cell::new(0);
        let begun = Instant::now();
        let accepted = next(|| {
            let answer = answers[asked.replace(asked.get() + 1)];
            std::future::ready(answer.map_err(io::Error::from_raw_os_error))
        });
        assert_eq!(accepted.await, 7);
        assert!(begun.elapsed() >= 2 * PAUSE);
    }
}
