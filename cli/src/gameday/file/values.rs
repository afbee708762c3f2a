//! What is asked of values wherever they are.

use std::time::Duration;

use url::Url;

use super::environment::{Environment, filled};
use super::got::Got;
use super::raw::Lasting;
use crate::fleet::Text;
use crate::mistakes::Mistakes;

/// The shortest that a length of time may be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Least {
    Nothing,
    Something,
}

/// What is written, or the default.
pub fn length(
    key: &str,
    written: Got<Text<Lasting>>,
    default: Duration,
    least: Least,
    mistakes: &mut Mistakes,
) -> Duration {
    let Some((line, Text(Lasting(length)))) = written.there() else { return default };
    if length.is_zero() && least == Least::Something {
        mistakes.add(line, format!("{key}: write more than 0s"));
        return default;
    }
    length
}

/// Text that is there, without white space around it.
pub fn some(key: &str, (line, text): (u64, String), mistakes: &mut Mistakes) -> Option<String> {
    let text = text.trim();
    if text.is_empty() {
        mistakes.add(line, format!("{key}: it is empty: write something, or leave the key out"));
        return None;
    }
    Some(text.to_owned())
}

/// A URL of the web, as `like` is one. Secrets may be in it, so that what is wrong is told as it is written.
pub fn url(
    key: &str,
    (line, written): (u64, String),
    like: &str,
    environment: Environment<'_>,
    mistakes: &mut Mistakes,
) -> Option<String> {
    let web = |url: Url| matches!(url.scheme(), "http" | "https") && url.has_host();
    let why = match filled(&written, environment) {
        Ok(url) if Url::parse(url.trim()).is_ok_and(web) => return Some(url.trim().to_owned()),
        Ok(_) => format!("`{written}` is no URL: write one as {like}"),
        Err(why) => why,
    };
    mistakes.add(line, format!("{key}: {why}"));
    None
}
