//! Every answer of a server that a probe reads, with a function for `tests/fuzz`.

use futures_util::FutureExt;
use hyper::StatusCode;

use super::json::JsonPath;
use super::{nats, postgresql, prometheus, redis};
use crate::gameday::file::Comparison;

/// Whose answer it is, a line feed, and the answer. For `json`, the path is on a line of its own before the document.
pub fn probe_answers(bytes: &[u8]) {
    let at = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (whose, answer) = (&bytes[..at], bytes.get(at + 1..).unwrap_or_default());
    let stream = tokio::io::join(answer, tokio::io::sink());
    let judged = match whose {
        b"redis" => redis::ping(stream, None).now_or_never(),
        b"redis with a password" => redis::ping(stream, Some("s3cret")).now_or_never(),
        b"postgresql" => postgresql::is_ready(stream).now_or_never(),
        b"nats" => nats::ping(stream).now_or_never(),
        b"prometheus" => Some(prometheus::judge(StatusCode::OK, answer, &Comparison::Below(10.0))),
        b"json" => json(answer),
        _ => return,
    };
    // All of it is there: nothing is waited for.
    let Some(told) = judged else { panic!("it waits for more than there is") };
    let (Ok(told) | Err(told)) = told;
    assert!(!told.is_empty() && told.chars().count() < 1_000, "{told}");
    assert!(!told.chars().any(char::is_control), "{told:?}");
    assert!(whose != b"redis with a password" || !told.contains("s3cret"), "{told}");
}

fn json(bytes: &[u8]) -> Option<Result<String, String>> {
    let at = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let text = String::from_utf8_lossy(&bytes[..at]);
    let document = bytes.get(at + 1..).unwrap_or_default();
    let Ok(path) = text.parse::<JsonPath>() else { return Some(Err("no path".to_owned())) };
    assert_eq!(path.to_string().parse::<JsonPath>().as_ref(), Ok(&path));
    let [is, is_not] =
        [Comparison::Equals, Comparison::Not].map(|made| path.judge(document, &made("up".to_owned())));
    // What is there is one or the other, what is not there neither.
    assert!(!(is.is_ok() && is_not.is_ok()));
    let above = path.judge(document, &Comparison::Above(0.0));
    Some(above.and(is).map_err(|_| "it does not hold".to_owned()))
}
