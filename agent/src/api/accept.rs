//! One connection: from `accept` to its end, in bounds. HTTP/1.1 and nothing else.

use std::future::poll_fn;
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

/// How long it may take until the other end has hung up as well.
const FAREWELL_TIME: Duration = Duration::from_secs(1);
/// How often something is read meanwhile, at most [`HEAD`] bytes each: a megabyte.
const IGNORED: usize = 64;

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
    W: Clone + Send + Sync + Unpin + 'static,
{
    let app = TowerToHyperService::new(app);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(who.clone());
        Box::pin(app.call(request))
    });
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(WRITE_TIME));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIME).max_buf_size(HEAD).max_headers(HEADERS);
    let mut connection = http.serve_connection(TokioIo::new(Box::pin(stream)), service);
    if let Err(error) = poll_fn(|context| connection.poll_without_shutdown(context)).await {
        tracing::debug!(%error, "a connection ended early");
    }
    take_leave(connection.into_parts().io.into_inner()).await;
}

/// Hangs up so that the last answer arrives: where the agent closes while a request is still coming, TCP resets the connection, and
/// with it what was not read yet. Whoever has more to say than this is not waited for.
async fn take_leave(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let mut ignored = vec![0; HEAD];
    let left = async {
        stream.shutdown().await?;
        for _ in 0..IGNORED {
            if stream.read(&mut ignored).await? == 0 {
                break;
            }
        }
        io::Result::Ok(())
    };
    let _ = tokio::time::timeout(FAREWELL_TIME, left).await;
}

/// Says why there will be no answer.
pub async fn turn_away(mut stream: impl AsyncRead + AsyncWrite + Unpin, problem: &Problem) {
    let status = axum::http::StatusCode::from_u16(problem.status).unwrap_or_default();
    // A problem is strings and a number: it cannot fail to serialize.
    let body = serde_json::to_string(problem).unwrap_or_default();
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    let said = tokio::time::timeout(FAREWELL_TIME, stream.write_all(answer.as_bytes())).await;
    if said.is_ok_and(|said| said.is_ok()) {
        take_leave(stream).await;
    }
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
