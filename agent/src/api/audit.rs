//! The layer around every route that records what was asked for and what became of it; and the way to read that.

use std::sync::Arc;

use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::{Method, StatusCode, Uri};
use axum::response::Response;
use partition_agent_proto::{AuditEntry, AuditRequest, FaultId, FaultSpec, Problem, ProblemCode};
use serde::Deserialize;

use super::Agent;
use super::decode::{Asked, Page};
use super::error::Refused;
use super::openapi::{Always, Failure};
use crate::access::Caller;
use crate::audit::{Answered, Audit, Unrecorded};
use crate::clock::wall;

/// What the line about an answer takes from it.
#[derive(Deserialize)]
struct Seen {
    id: FaultId,
    spec: FaultSpec,
    ends_at: String,
}

/// Whoever has asked.
pub enum By {
    Caller(Caller),
    /// Not let in: as the socket tells it.
    Stranger {
        by: String,
        from: String,
    },
}

/// Around everything else, so that nothing is refused without a line.
pub async fn record(audit: &Audit, by: &By, method: &Method, uri: &Uri, response: Response) -> Response {
    let Some(mut how) = how(by, method, uri, response.status()) else { return response };
    let (parts, body) = response.into_parts();
    if parts.extensions.get::<Overmuch>().is_some() {
        how = Answered::Overmuch;
    }
    // It is in memory already, and cannot fail.
    let bytes = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let mut line = AuditRequest { status: Some(parts.status.as_u16()), ..request_of(by, method, uri) };
    if let Ok(fault) = serde_json::from_slice::<Seen>(&bytes) {
        (line.id, line.fault, line.until) =
            (Some(fault.id), Some(fault.spec.to_string()), Some(fault.ends_at));
    } else if let Ok(faults) = serde_json::from_slice::<Vec<Seen>>(&bytes) {
        if faults.is_empty() {
            // Nothing was there to restore, and that can be asked as often as one likes.
            how = Answered::Refused;
        }
        let ids = faults.iter().map(|fault| fault.id.to_string()).collect::<Vec<_>>();
        line.fault = Some(if ids.is_empty() { "no faults".to_owned() } else { ids.join(", ") });
    } else if let Ok(problem) = serde_json::from_slice::<Problem>(&bytes) {
        line.why = Some(problem.detail);
    }
    audit.answered(how, line);
    Response::from_parts(parts, Body::from(bytes))
}

/// Whether it asks for a change of the faults.
pub fn changes(method: &Method, uri: &Uri) -> bool {
    !looks(method) && uri.path().starts_with("/v1/faults")
}

fn looks(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// Whether a line is written. What only looks is not recorded, unless somebody may not: a fleet asks for clocks and faults all
/// the time, and that there is no fault any more is an answer. Nor are renewals that go well, one every few seconds.
fn how(by: &By, method: &Method, uri: &Uri, status: StatusCode) -> Option<Answered> {
    match by {
        By::Stranger { .. } => return Some(Answered::Stranger),
        By::Caller(_) => {}
    }
    if status.is_client_error() || status.is_server_error() {
        return (!looks(method) || status != StatusCode::NOT_FOUND).then_some(Answered::Refused);
    }
    // By the method as well: `renew` may be the id of a fault.
    let renews = *method == Method::POST && uri.path().ends_with("/renew");
    (changes(method, uri) && !renews && !only_plans(method, uri)).then_some(Answered::Changed)
}

/// Only what injects can be a dry run.
fn only_plans(method: &Method, uri: &Uri) -> bool {
    let injects = *method == Method::PUT || *method == Method::POST && uri.path() == "/v1/faults";
    injects && uri.query().is_some_and(|query| query.split('&').any(|pair| pair == "dry_run=true"))
}

/// The line of a request, before anything is known of its answer.
fn request_of(by: &By, method: &Method, uri: &Uri) -> AuditRequest {
    let (by, from) = match by {
        By::Caller(caller) => (caller.to_string(), caller.from()),
        By::Stranger { by, from } => (by.clone(), from.clone()),
    };
    let id = uri.path().strip_prefix("/v1/faults/").and_then(|rest| rest.split('/').next()?.parse().ok());
    AuditRequest {
        at: wall(std::time::Duration::ZERO),
        by,
        from,
        method: method.to_string(),
        path: uri.path_and_query().map_or_else(|| uri.path().to_owned(), ToString::to_string),
        id,
        fault: None,
        until: None,
        status: None,
        why: None,
    }
}

/// Before a fault comes into force: where that cannot be recorded, it does not.
pub fn asked(
    agent: &Agent,
    caller: &Caller,
    method: &Method,
    uri: &Uri,
    fault: Option<&FaultSpec>,
) -> Result<(), Refused> {
    let line = AuditRequest {
        fault: fault.map(ToString::to_string),
        ..request_of(&By::Caller(caller.clone()), method, uri)
    };
    let asked = agent.keeper.audit().asked(caller.account().as_deref(), line);
    asked.map_err(|error| Refused(unrecorded(&error)))
}

/// That the line of an answer is only counted.
#[derive(Debug, Clone, Copy)]
pub struct Overmuch;

/// Takes room for the line of what moves an end.
pub fn room(agent: &Agent, caller: &Caller) -> Result<(), Refused> {
    agent.keeper.audit().room(caller.account().as_deref()).map_err(|error| Refused(unrecorded(&error)))
}

/// A disk that is full or cannot be written, or a caller who has asked for too much.
#[must_use]
pub fn unrecorded(error: &Unrecorded) -> Problem {
    let detail = format!("{error}; nothing was changed");
    match error {
        Unrecorded::Unwritten(_) => Problem::new(ProblemCode::Journal, detail)
            .hint("is the disk full or read-only? Restores and deadlines do not need it"),
        Unrecorded::Overmuch(_) => Problem::new(ProblemCode::Busy, detail)
            .hint("ask again in a moment; restores, and changes to less, are never refused for that"),
    }
}

/// Who asked for what, and what became of it, newest first.
#[utoipa::path(get, path = "/v1/audit", operation_id = "list_audit", tag = "past", params(Page),
    responses((status = 200, description = "The newest first", body = Vec<AuditEntry>), Always, Failure))]
pub async fn list(
    State(agent): State<Agent>,
    Asked(page): Asked<Page>,
) -> Result<Json<Vec<AuditEntry>>, Refused> {
    let (audit, limit) = (agent.keeper.audit().clone(), page.limit());
    // Never closed, so there is always a turn to come. It lasts as long as the reading, which nobody ends by hanging up.
    let turn = Arc::clone(&agent.bounds.audits).acquire_owned().await;
    let read = move || {
        let _turn = turn;
        audit.newest(limit)
    };
    let read = tokio::task::spawn_blocking(read).await;
    let read = read.map_err(std::io::Error::other).flatten();
    let failed = |error| format!("the audit log cannot be read: {error}");
    Ok(Json(read.map_err(|error| Refused(Problem::new(ProblemCode::Journal, failed(error))))?))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::finder::Finder;
    use crate::keeper::{Settings, spawn};
    use crate::kernel::fake::Fake;
    use crate::policy::Policy;
    use crate::resolve::Peers;
    use crate::scope::Engines;

    #[tokio::test]
    async fn one_reads_after_the_other() {
        let dir = tempfile::tempdir().unwrap();
        let policy = Policy::default();
        let settings = Settings { guard: policy.guard(None), policy, state_dir: dir.path().join("state") };
        let keeper = spawn(settings, || Ok(Fake::default())).unwrap();
        let agent = Agent::new(keeper, Finder::new(Peers::default(), Engines { sockets: Vec::new() }), None);
        let turn = Arc::clone(&agent.bounds.audits).acquire_owned().await.unwrap();
        let page = serde_json::from_str("{}").unwrap();
        let read = tokio::spawn(list(State(agent.clone()), Asked(page)));
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert!(!read.is_finished());
        drop(turn);
        assert!(read.await.unwrap().is_ok());
        assert_eq!(agent.bounds.audits.available_permits(), 1);
    }
}
