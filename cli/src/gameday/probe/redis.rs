//! Redis: `PING` is answered with `+PONG`, and by a server that cannot serve with the reason.

use tokio::io::{AsyncRead, AsyncWrite, BufReader};

use super::talk::{line, say};
use crate::gameday::excerpt::{excerpt, reason, without};

/// Errors are shorter.
const LONGEST: u64 = 4 * 1024;

/// On a connection that was just opened.
///
/// # Errors
/// What the server says instead (`LOADING ...`, `MASTERDOWN ...`, `NOAUTH ...`), or that it is none.
pub async fn ping(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    password: Option<&str>,
) -> Result<String, String> {
    let mut stream = BufReader::new(stream);
    let mut question = Vec::new();
    if let Some(password) = password {
        // With its length, it may have any characters.
        question.extend_from_slice(
            format!("*2\r\n$4\r\nAUTH\r\n${}\r\n{password}\r\n", password.len()).as_bytes(),
        );
    }
    question.extend_from_slice(b"PING\r\n");
    say(&mut stream, &question).await?;
    let told = |error: String| match password {
        // A short one is told apart from other words by nothing but itself.
        Some(password) if !password.is_empty() => without(error.replace(password, "***"), password),
        Some(_) | None => error,
    };
    if password.is_some() {
        let answer = line(&mut stream, LONGEST).await?;
        expect(&answer, "+OK").map_err(told)?;
    }
    let answer = line(&mut stream, LONGEST).await?;
    expect(&answer, "+PONG").map_err(told)?;
    Ok("PONG".to_owned())
}

fn expect(answer: &str, wanted: &str) -> Result<(), String> {
    if answer == wanted {
        return Ok(());
    }
    match answer.strip_prefix('-') {
        Some(error) => Err(reason(error)),
        None => Err(format!("it answers, but not like Redis: {}", excerpt(answer))),
    }
}

#[cfg(test)]
mod tests;
