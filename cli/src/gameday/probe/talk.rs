//! What is said to a server on a connection that was just opened, and what it answers.

use std::io::{Error, ErrorKind};

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// # Errors
/// The connection breaks.
pub async fn say(to: &mut (impl AsyncWrite + Unpin), what: &[u8]) -> Result<(), String> {
    to.write_all(what).await.map_err(broken)?;
    to.flush().await.map_err(broken)
}

/// One line, without what ends it, as far as it is not too long.
///
/// # Errors
/// The connection ends or breaks before the line does, or the line is longer than this.
pub async fn line(from: &mut (impl AsyncBufRead + Unpin), longest: u64) -> Result<String, String> {
    let mut line = Vec::new();
    from.take(longest).read_until(b'\n', &mut line).await.map_err(broken)?;
    match line.strip_suffix(b"\n") {
        Some(text) => Ok(String::from_utf8_lossy(text.strip_suffix(b"\r").unwrap_or(text)).into_owned()),
        None if u64::try_from(line.len()).is_ok_and(|length| length >= longest) => {
            Err(format!("a line of its answer is longer than {longest} bytes"))
        }
        None => Err(broken(ErrorKind::UnexpectedEof.into())),
    }
}

/// Why there is no answer, or only a part of it.
pub fn broken(error: Error) -> String {
    match error.kind() {
        ErrorKind::UnexpectedEof => "it closed the connection without an answer".to_owned(),
        _ => format!("the connection breaks off: {error}"),
    }
}
