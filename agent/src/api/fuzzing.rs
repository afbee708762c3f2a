//! Requests, on the way that they take into the API: `fault?dry_run=true`, a line feed, the body.

use axum::body::Body as Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use futures_util::FutureExt;
use partition_agent_proto::{Change, Commit, Connection, FaultId, FaultSpec, ProbeRequest, ReachRequest};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::runtime::{Builder, Runtime};

use super::decode::{Asked, Body, Nothing};
use super::faults::{How, When};

/// Decodes it; what is accepted must mean the same when it is written and read again, and a fault that makes sense must have
/// a plan that does, or a reason why not.
pub fn request(bytes: &[u8]) {
    let (head, body) = match bytes.iter().position(|byte| *byte == b'\n') {
        Some(at) => (bytes.get(..at).unwrap_or_default(), bytes.get(at + 1..).unwrap_or_default()),
        None => (bytes, [].as_slice()),
    };
    let head = String::from_utf8_lossy(head);
    let (kind, query) = head.split_once('?').unwrap_or((&head, ""));
    match kind {
        "change" => drop(asked::<Nothing>(query).and_then(|_| decoded::<Change>(body))),
        "commit" => drop(decoded::<Commit>(body)),
        "probe" => drop(decoded::<ProbeRequest>(body)),
        "reach" => {
            // A request that is refused here never gets further.
            let _ = decoded::<ReachRequest>(body).map(|request| request.validate());
        }
        "restore" => drop(asked::<When>(query)),
        "keep" => drop(std::str::from_utf8(body).ok().and_then(Connection::from_ssh)),
        "id" => {
            if let Some(id) = std::str::from_utf8(body).ok().and_then(|text| text.parse::<FaultId>().ok()) {
                assert_eq!(id.to_string().parse(), Ok(id));
            }
        }
        _ => {
            let (_, spec) = (asked::<How>(query), decoded::<FaultSpec>(body));
            spec.filter(|spec| spec.validate().is_ok()).inspect(crate::plan::fuzzing::planned);
        }
    }
}

thread_local! {
    static CLOCK: Runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
}

fn of(query: &str, body: &[u8]) -> Option<Request> {
    Request::builder().uri(format!("/v1/faults?{query}")).body(Bytes::from(body.to_vec())).ok()
}

fn asked<T: DeserializeOwned>(query: &str) -> Option<T> {
    let (mut parts, _) = of(query, &[])?.into_parts();
    let asked = Asked::<T>::from_request_parts(&mut parts, &()).now_or_never();
    asked.expect("nothing to wait for").ok().map(|Asked(asked)| asked)
}

fn decoded<T: DeserializeOwned + Serialize + PartialEq + std::fmt::Debug>(body: &[u8]) -> Option<T> {
    let request = of("", body)?;
    // A body is waited for in bounds, so there has to be a clock.
    let decoded = CLOCK.with(|runtime| {
        let _inside = runtime.enter();
        Body::<T>::from_request(request, &()).now_or_never()
    });
    let decoded = decoded.expect("the body is there");
    let Body(value) = decoded.ok()?;
    let written = serde_json::to_string(&value).expect("it was JSON");
    assert_eq!(serde_json::from_str::<T>(&written).expect(&written), value);
    Some(value)
}
