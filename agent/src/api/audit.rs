//! The layer around every route that records what was asked for and what became of it; and the way to read that.

use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::connect_info::ConnectInfo;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::Response;
use partition_agent_proto::{AuditEntry, AuditRequest, FaultId, FaultSpec, Problem, ProblemCode};
use serde::Deserialize;

use super::decode::{Asked, Page};
use super::error::Refused;
use super::{Agent, Caller};
use crate::audit::{Answered, Audit};
use crate::clock::wall;

/// What the line about an answer takes from it.
#[derive(Deserialize)]
struct Seen {
    id: FaultId,
    spec: FaultSpec,
    ends_at: String,
}

/// Around everything else, so that nothing is refused without a line.
pub async fn record(
    State(audit): State<Audit>,
    ConnectInfo(caller): ConnectInfo<Caller>,
    request: Request,
    next: Next,
) -> Response {
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let response = next.run(request).await;
    let Some(how) = how(&method, &uri, response.status()) else { return response };
    // Whoever let it in knows better than the socket who it is.
    let caller = response.extensions().get::<Caller>().cloned().unwrap_or(caller);
    let (parts, body) = response.into_parts();
    // It is in memory already, and cannot fail.
    let bytes = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let mut line = AuditRequest { status: Some(parts.status.as_u16()), ..request_of(&caller, &method, &uri) };
    if let Ok(fault) = serde_json::from_slice::<Seen>(&bytes) {
        (line.id, line.fault, line.until) =
            (Some(fault.id), Some(fault.spec.to_string()), Some(fault.ends_at));
    } else if let Ok(faults) = serde_json::from_slice::<Vec<Seen>>(&bytes) {
        let ids = faults.iter().map(|fault| fault.id.to_string()).collect::<Vec<_>>();
        line.fault = Some(if ids.is_empty() { "no faults".to_owned() } else { ids.join(", ") });
    } else if let Ok(problem) = serde_json::from_slice::<Problem>(&bytes) {
        line.why = Some(problem.detail);
    }
    audit.answered(how, line);
    Response::from_parts(parts, Body::from(bytes))
}

/// Whether a line is written. What only looks is not recorded, unless somebody may not: a fleet asks for clocks and faults all
/// the time, and that there is no fault any more is an answer. Nor are renewals that go well, one every few seconds.
fn how(method: &Method, uri: &Uri, status: StatusCode) -> Option<Answered> {
    let looks = matches!(*method, Method::GET | Method::HEAD);
    if status == StatusCode::UNAUTHORIZED {
        return Some(Answered::Stranger);
    }
    if status.is_client_error() || status.is_server_error() {
        return (!looks || status != StatusCode::NOT_FOUND).then_some(Answered::Refused);
    }
    let only_planned = uri.query().is_some_and(|query| query.split('&').any(|pair| pair == "dry_run=true"));
    let changes = !looks && uri.path().starts_with("/v1/faults") && !uri.path().ends_with("/renew");
    (changes && !only_planned).then_some(Answered::Changed)
}

/// The line of a request, before anything is known of its answer.
fn request_of(caller: &Caller, method: &Method, uri: &Uri) -> AuditRequest {
    let from = match caller {
        Caller::Local { .. } => "unix".to_owned(),
        Caller::Remote(address) => address.to_string(),
        Caller::Unknown => "unknown".to_owned(),
    };
    let id = uri.path().strip_prefix("/v1/faults/").and_then(|rest| rest.split('/').next()?.parse().ok());
    AuditRequest {
        at: wall(std::time::Duration::ZERO),
        by: caller.to_string(),
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
    let line = AuditRequest { fault: fault.map(ToString::to_string), ..request_of(caller, method, uri) };
    agent.keeper.audit().asked(line).map_err(|error| Refused(unwritten(&error)))
}

/// A disk that is full, or cannot be written.
#[must_use]
pub fn unwritten(error: &std::io::Error) -> Problem {
    let detail = format!("the audit log cannot be written: {error}; nothing was changed");
    Problem::new(ProblemCode::Journal, detail)
        .hint("is the disk full or read-only? Restores and deadlines do not need it")
}

/// Who asked for what, and what became of it, newest first.
#[utoipa::path(get, path = "/v1/audit", params(Page), responses((status = 200, body = Vec<AuditEntry>),
              (status = "4XX", body = Problem, content_type = "application/problem+json"),
              (status = "5XX", body = Problem, content_type = "application/problem+json")))]
pub async fn list(
    State(agent): State<Agent>,
    Asked(page): Asked<Page>,
) -> Result<Json<Vec<AuditEntry>>, Refused> {
    let audit = agent.keeper.audit().clone();
    let read = tokio::task::spawn_blocking(move || audit.newest(page.limit())).await;
    let read = read.map_err(std::io::Error::other).flatten();
    let failed = |error| format!("the audit log cannot be read: {error}");
    Ok(Json(read.map_err(|error| Refused(Problem::new(ProblemCode::Journal, failed(error))))?))
}
