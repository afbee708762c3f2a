//! NATS: the server says `INFO`, and answers `PING` with `PONG`.

use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncWrite, BufReader};

use super::talk::{line, say};
use crate::gameday::excerpt::{excerpt, reason};

/// `INFO` names every server of a cluster.
const LONGEST: u64 = 64 * 1024;

/// What may come before `PONG`: another `INFO`, a `PING` of the server's own.
const MOST_LINES: usize = 16;

const GREETING: &[u8] =
    concat!("CONNECT {\"verbose\":false,\"pedantic\":false,\"name\":\"partition-agent\",\"lang\":\"rust\",\"version\":\"", env!("CARGO_PKG_VERSION"), "\"}\r\nPING\r\n")
        .as_bytes();

#[derive(Deserialize)]
struct Info {
    #[serde(default)]
    server_name: String,
    #[serde(default)]
    tls_required: bool,
}

/// On a connection that was just opened.
///
/// # Errors
/// What the server says instead, or that it is none.
pub async fn ping(stream: impl AsyncRead + AsyncWrite + Unpin) -> Result<String, String> {
    let mut stream = BufReader::new(stream);
    let info = info(&line(&mut stream, LONGEST).await?)?;
    if info.tls_required {
        return Err("it wants TLS, which this probe does not have: ask it by `command` or its port by `tcp`"
            .to_owned());
    }
    say(&mut stream, GREETING).await?;
    for _ in 0..MOST_LINES {
        let answer = line(&mut stream, LONGEST).await?;
        let (verb, rest) = answer.split_once(' ').unwrap_or((&answer, ""));
        match verb {
            "PONG" if info.server_name.is_empty() => return Ok("PONG".to_owned()),
            "PONG" => return Ok(format!("PONG of {}", excerpt(&info.server_name))),
            "-ERR" => return Err(reason(rest.trim().trim_matches('\''))),
            "INFO" | "PING" | "+OK" => {}
            _ => return Err(format!("it answers, but not like NATS: {}", excerpt(&answer))),
        }
    }
    Err("it says a lot, and not PONG".to_owned())
}

fn info(line: &str) -> Result<Info, String> {
    // A server that is full says so at once.
    if let Some(error) = line.strip_prefix("-ERR ") {
        return Err(reason(error.trim().trim_matches('\'')));
    }
    let strange = || format!("it answers, but not like NATS: {}", excerpt(line));
    serde_json::from_str(line.strip_prefix("INFO ").ok_or_else(strange)?).map_err(|_| strange())
}

#[cfg(test)]
mod tests;
