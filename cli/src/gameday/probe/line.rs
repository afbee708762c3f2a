//! Lines of protocols that have some, as far as they are not too long.

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};

/// One line, without what ends it.
///
/// # Errors
/// The connection ends or breaks before the line does, or the line is longer than this.
pub async fn line(from: &mut (impl AsyncBufRead + Unpin), longest: u64) -> Result<String, String> {
    let mut line = Vec::new();
    let read = from.take(longest).read_until(b'\n', &mut line).await;
    read.map_err(|error| format!("the connection breaks off: {error}"))?;
    match line.strip_suffix(b"\n") {
        Some(text) => Ok(String::from_utf8_lossy(text.strip_suffix(b"\r").unwrap_or(text)).into_owned()),
        None if u64::try_from(line.len()).is_ok_and(|length| length >= longest) => {
            Err(format!("a line of its answer is longer than {longest} bytes"))
        }
        None => Err("it closed the connection without an answer".to_owned()),
    }
}
