//! PostgreSQL, as `pg_isready` asks it: a server that wants to know who is there accepts connections, and so does one that refuses this
//! very one.

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::talk::{broken, say};
use crate::gameday::excerpt::reason;

/// Messages of this moment are far shorter.
const LONGEST: usize = 64 * 1024;

/// Version 3.0 of the protocol.
const VERSION: u32 = 3 << 16;

/// Who is there. Whether the server knows them does not matter.
const PARAMETERS: &[u8] = b"user\0partition-agent\0database\0postgres\0application_name\0partition-agent\0\0";

/// An error of the class "operator intervention": shutting down, starting up, recovering from a crash.
const INTERVENTION: &str = "57P";

/// On a connection that was just opened.
///
/// # Errors
/// What the server says instead (`the database system is starting up`), or that it is none.
pub async fn is_ready(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> Result<String, String> {
    say(&mut stream, &startup()).await?;
    let kind = stream.read_u8().await.map_err(broken)?;
    let length = stream.read_u32().await.map_err(broken)?;
    // Of what follows; it counts itself.
    let length = usize::try_from(length).ok().and_then(|length| length.checked_sub(4));
    let Some(length) = length.filter(|length| *length <= LONGEST) else { return Err(strange()) };
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.map_err(broken)?;
    let answer = judge(kind, &body);
    if kind == b'R' {
        // The polite end. Whether it arrives does not matter.
        let _ = stream.write_all(b"X\0\0\0\x04").await;
    }
    answer
}

fn startup() -> Vec<u8> {
    let length = u32::try_from(4 + 4 + PARAMETERS.len()).unwrap_or_default();
    [&length.to_be_bytes(), &VERSION.to_be_bytes(), PARAMETERS].concat()
}

fn strange() -> String {
    "it answers, but not like PostgreSQL".to_owned()
}

/// A request to authenticate, or an error.
fn judge(kind: u8, body: &[u8]) -> Result<String, String> {
    match kind {
        b'R' => Ok("accepting connections".to_owned()),
        b'E' => {
            let (code, message) = (field(body, b'C'), field(body, b'M'));
            match (code, message) {
                (Some(code), Some(message)) if code.starts_with(INTERVENTION) => Err(message),
                (Some(code), Some(message)) if code.len() == 5 => {
                    Ok(format!("accepting connections, but: {message}"))
                }
                (Some(_) | None, Some(_) | None) => Err(strange()),
            }
        }
        _ => Err(strange()),
    }
}

/// One of the fields of an error: its letter, and a text that a zero ends.
fn field(body: &[u8], letter: u8) -> Option<String> {
    let mut fields = body.split(|byte| *byte == 0);
    let text = fields.find_map(|field| field.split_first().filter(|(first, _)| **first == letter))?.1;
    Some(reason(&String::from_utf8_lossy(text)))
}

#[cfg(test)]
mod tests;
