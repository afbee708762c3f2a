//! A `GET` over a connection of its own, since an open one says nothing of new ones. Of the answer only the head is read, and it is
//! followed nowhere.

use std::net::SocketAddr;

use hyper::Request;
use hyper::client::conn::http1;
use hyper::header::{HOST, USER_AGENT};
use hyper_util::rt::TokioIo;
use partition_agent_proto::Span;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::tcp::{open, within};

/// How far it came.
#[derive(Debug, PartialEq, Eq)]
pub enum Got {
    /// No connection, and why.
    Unconnected(String),
    /// No answer over it, and why.
    Unanswered(String),
    /// The status of the answer.
    Status(u16),
}

/// One time for the connection and one for the answer, so that the two can be told apart.
pub async fn get(to: SocketAddr, path: &str, patience: Span) -> Got {
    let stream = match open(to, patience).await {
        Ok(stream) => stream,
        Err(why) => return Got::Unconnected(why),
    };
    match within(patience, status(stream, to, path)).await {
        Ok(status) => Got::Status(status),
        Err(why) => Got::Unanswered(why),
    }
}

async fn status(stream: TcpStream, to: SocketAddr, path: &str) -> Result<u16, String> {
    let request = Request::get(path)
        .header(HOST, to.to_string())
        .header(USER_AGENT, concat!("partition-agent/", env!("CARGO_PKG_VERSION")))
        .body(String::new())
        .map_err(|error| error.to_string())?;
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
    // It goes when this does, also when time is up.
    let mut driven = JoinSet::new();
    driven.spawn(connection);
    let answer = sender.send_request(request).await.map_err(|error| innermost(&error))?;
    Ok(answer.status().as_u16())
}

/// The one that says why.
fn innermost(error: &hyper::Error) -> String {
    let mut why: &dyn std::error::Error = error;
    while let Some(source) = why.source() {
        why = source;
    }
    why.to_string()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    const PATIENCE: Span = Span::from_millis(2_000);

    /// Of a server that reads the request, says this and hangs up.
    async fn of(says: &'static str) -> (Got, String) {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = server.local_addr().unwrap();
        let served = tokio::spawn(async move {
            let (mut stream, _) = server.accept().await.unwrap();
            let mut head = vec![0; 1024];
            let length = stream.read(&mut head).await.unwrap();
            stream.write_all(says.as_bytes()).await.unwrap();
            String::from_utf8_lossy(&head[..length]).into_owned()
        });
        let got = get(at, "/ready?deep=1", PATIENCE).await;
        (got, served.await.unwrap().replace(&at.to_string(), "AT"))
    }

    #[tokio::test]
    async fn a_status_is_read_whatever_follows() {
        let (got, asked) = of("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 900000\r\n\r\nmore").await;
        assert_eq!(got, Got::Status(503));
        assert!(
            asked.starts_with("GET /ready?deep=1 HTTP/1.1\r\n") && asked.contains("host: AT\r\n"),
            "{asked}"
        );
        // Nobody is followed elsewhere.
        let (got, _) = of("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n").await;
        assert_eq!(got, Got::Status(302));
    }

    #[tokio::test]
    async fn what_is_no_answer_is_told_apart_from_no_connection() {
        assert!(matches!(of("").await.0, Got::Unanswered(_)));
        assert!(matches!(of("SSH-2.0-OpenSSH_9.2\r\n").await.0, Got::Unanswered(_)));
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        assert!(matches!(get(free, "/", PATIENCE).await, Got::Unconnected(_)));
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let short = Span::from_millis(100);
        assert_eq!(
            get(silent.local_addr().unwrap(), "/", short).await,
            Got::Unanswered(format!("no answer in {short}"))
        );
    }
}
