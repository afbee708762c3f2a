//! `/v1/faults`: inject, look, change, restore.

use std::time::Duration;

use axum::Json;
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use partition_agent_proto::{
    Change, Commit, Connection, FaultId, FaultSpec, FaultStatus, KEEP_HEADER, Problem, ProblemCode, Span,
};
use serde::Deserialize;
use utoipa::IntoParams;

use super::decode::{Asked, Body, Id, Nothing};
use super::error::Refused;
use super::openapi::{Always, Clash, Failure, NoFault, OfBody};
use super::{Agent, audit};
use crate::access::Caller;
use crate::clock::BootTime;
use crate::keeper::Request;

/// Of a request to inject.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub struct How {
    /// Answer with the plan and touch nothing.
    dry_run: bool,
    /// Build it and cut nothing: it waits this long for a commit, then it expires.
    prepare: Option<Span>,
    /// A number of whoever asks, by which only this very fault can be taken back.
    #[param(format = "uint64", maximum = 18446744073709551615_u64)]
    attempt: Option<u64>,
}

/// Of whoever sits behind ssh.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "`kept` reads the header by its name")]
pub struct Keep {
    /// The caller's own connection, as `SSH_CONNECTION` has it; the fault leaves it alone.
    #[param(
        rename = "partition-agent-keep",
        nullable = false,
        pattern = "^\\s*\\S+\\s+\\+?[0-9]+\\s+\\S+\\s+\\+?[0-9]+\\s*$"
    )]
    keep: Option<String>,
}

/// Of a request to restore.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub struct When {
    /// At this instant, in nanoseconds of the agent's `CLOCK_BOOTTIME`; now, without it or where it is past.
    #[param(format = "uint64", maximum = 18446744073709551615_u64)]
    at_boot_ns: Option<u64>,
    /// Only what was injected or committed with this number.
    #[param(format = "uint64", maximum = 18446744073709551615_u64)]
    attempt: Option<u64>,
}

/// Of a request to restore everything.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields, default)]
pub struct WhenAll {
    /// At this instant, in nanoseconds of the agent's `CLOCK_BOOTTIME`; now, without it or where it is past.
    #[param(format = "uint64", maximum = 18446744073709551615_u64)]
    at_boot_ns: Option<u64>,
}

fn instant(boot_ns: u64) -> BootTime {
    BootTime::after_boot(Duration::from_nanos(boot_ns))
}

type Answer<T> = Result<T, Refused>;

/// An answer, and whether its line in the audit log is one too many.
type Moved<T> = (Option<Extension<audit::Overmuch>>, Json<T>);

/// Inject a fault under an id that the agent makes up.
#[utoipa::path(
    post, path = "/v1/faults", operation_id = "inject_fault", tag = "faults", request_body = FaultSpec, params(How, Keep),
    responses((status = 201, description = "It is in force, or waits for its start or a commit", body = FaultStatus, links(
                  ("get" = (operation_id = "get_fault", parameters(("id" = "$response.body#/id")))),
                  ("change" = (operation_id = "change_fault", parameters(("id" = "$response.body#/id")))),
                  ("renew" = (operation_id = "renew_fault", parameters(("id" = "$response.body#/id")))),
                  ("commit" = (operation_id = "commit_fault", parameters(("id" = "$response.body#/id")))),
                  ("restore" = (operation_id = "restore_fault", parameters(("id" = "$response.body#/id")))))),
              (status = 200, description = "Of a dry run: what it would be", body = FaultStatus), Always, OfBody, Failure)
)]
pub async fn inject(
    state: State<Agent>,
    caller: Extension<Caller>,
    how: Asked<How>,
    asked: (Method, Uri),
    headers: HeaderMap,
    spec: Body<FaultSpec>,
) -> Answer<(StatusCode, Json<FaultStatus>)> {
    inject_with(&state, None, &caller, &how.0, &asked, &headers, spec.0).await
}

/// Inject a fault under this id. Idempotent: the same fault again is the same fault, and its deadline stays.
#[utoipa::path(
    put, path = "/v1/faults/{id}", operation_id = "inject_fault_as", tag = "faults", request_body = FaultSpec,
    params(("id" = FaultId, Path), How, Keep),
    responses((status = 201, description = "It is in force, or waits for its start or a commit", body = FaultStatus),
              (status = 200, description = "It was there already; or of a dry run: what it would be", body = FaultStatus),
              Always, OfBody, Clash, Failure)
)]
pub async fn inject_as(
    state: State<Agent>,
    id: Id,
    caller: Extension<Caller>,
    how: Asked<How>,
    asked: (Method, Uri),
    headers: HeaderMap,
    spec: Body<FaultSpec>,
) -> Answer<(StatusCode, Json<FaultStatus>)> {
    inject_with(&state, Some(id.0), &caller, &how.0, &asked, &headers, spec.0).await
}

async fn inject_with(
    agent: &Agent,
    id: Option<FaultId>,
    caller: &Caller,
    how: &How,
    (method, uri): &(Method, Uri),
    headers: &HeaderMap,
    spec: FaultSpec,
) -> Answer<(StatusCode, Json<FaultStatus>)> {
    spec.validate()?;
    if !how.dry_run {
        audit::asked(agent, caller, method, uri, Some(&spec))?;
    }
    let keep = caller.connection(agent.port).into_iter().chain(kept(headers)?).collect();
    let found = agent.finder.find(&spec, keep).await?;
    let by = caller.to_string();
    let request = Request {
        id,
        spec: spec.clone(),
        sources: found.sources.clone(),
        by,
        dry_run: how.dry_run,
        prepare: how.prepare,
        attempt: how.attempt,
    };
    let events = agent.keeper.events();
    let (new, status) = agent.keeper.inject(request).await?;
    if new && !how.dry_run {
        agent.finder.follow(agent.keeper.clone(), events, status.id.clone(), spec, found);
    }
    let code = if new && !how.dry_run { StatusCode::CREATED } else { StatusCode::OK };
    Ok((code, Json(status)))
}

/// The ssh connection that the caller sits behind.
fn kept(headers: &HeaderMap) -> Answer<Option<Connection>> {
    let Some(value) = headers.get(KEEP_HEADER) else { return Ok(None) };
    let connection = value.to_str().ok().and_then(Connection::from_ssh);
    let wrong = || {
        let detail = format!("the header {KEEP_HEADER} is not in the format of SSH_CONNECTION");
        Refused(Problem::new(ProblemCode::Invalid, detail))
    };
    connection.map(Some).ok_or_else(wrong)
}

/// Every fault that is not history.
#[utoipa::path(get, path = "/v1/faults", operation_id = "list_faults", tag = "faults",
    responses((status = 200, description = "In the order of their ids", body = Vec<FaultStatus>), Always))]
pub async fn list(State(agent): State<Agent>, _: Asked<Nothing>) -> Answer<Json<Vec<FaultStatus>>> {
    Ok(Json(agent.keeper.list().await?))
}

/// One fault, with its plan.
#[utoipa::path(get, path = "/v1/faults/{id}", operation_id = "get_fault", tag = "faults", params(("id" = FaultId, Path)),
    responses((status = 200, description = "As it stands", body = FaultStatus), Always, NoFault))]
pub async fn get(State(agent): State<Agent>, Id(id): Id, _: Asked<Nothing>) -> Answer<Json<FaultStatus>> {
    Ok(Json(agent.keeper.get(id).await?))
}

/// Move the deadline: the fault ends this long from now.
#[utoipa::path(
    patch, path = "/v1/faults/{id}", operation_id = "change_fault", tag = "faults", request_body = Change,
    params(("id" = FaultId, Path)),
    responses((status = 200, description = "Its deadline is moved", body = FaultStatus), Always, OfBody, NoFault, Clash, Failure)
)]
pub async fn change(
    State(agent): State<Agent>,
    Id(id): Id,
    _: Asked<Nothing>,
    Extension(caller): Extension<Caller>,
    Body(change): Body<Change>,
) -> Answer<Moved<FaultStatus>> {
    let moved = match audit::room(&agent, &caller) {
        Ok(()) => None,
        Err(refused) => {
            let left = Duration::from_millis(agent.keeper.get(id.clone()).await?.remaining_ms);
            if change.duration.duration() > left {
                return Err(refused);
            }
            Some(Extension(audit::Overmuch))
        }
    };
    Ok((moved, Json(agent.keeper.change(id, change.duration, caller.to_string()).await?)))
}

/// Renew the lease of a fault: it begins anew, now. As often as you like; before the fault's start it does not run, and there is
/// nothing to renew.
#[utoipa::path(
    post, path = "/v1/faults/{id}/renew", operation_id = "renew_fault", tag = "faults", params(("id" = FaultId, Path)),
    responses((status = 200, description = "Its lease is as long as ever", body = FaultStatus), Always, NoFault, Failure)
)]
pub async fn renew(State(agent): State<Agent>, Id(id): Id, _: Asked<Nothing>) -> Answer<Json<FaultStatus>> {
    Ok(Json(agent.keeper.renew(id).await?))
}

/// Let a prepared fault start at an instant. The same again is harmless.
#[utoipa::path(
    post, path = "/v1/faults/{id}/commit", operation_id = "commit_fault", tag = "faults", request_body = Commit,
    params(("id" = FaultId, Path)),
    responses((status = 200, description = "It waits for its start", body = FaultStatus), Always, OfBody, NoFault, Clash, Failure)
)]
pub async fn commit(
    State(agent): State<Agent>,
    Id(id): Id,
    _: Asked<Nothing>,
    Extension(caller): Extension<Caller>,
    (method, uri): (Method, Uri),
    Body(commit): Body<Commit>,
) -> Answer<Json<FaultStatus>> {
    audit::asked(&agent, &caller, &method, &uri, None)?;
    let at = instant(commit.at_boot_ns);
    Ok(Json(agent.keeper.commit(id, at, commit.attempt, caller.to_string()).await?))
}

/// Restore one fault.
#[utoipa::path(
    delete, path = "/v1/faults/{id}", operation_id = "restore_fault", tag = "faults", params(("id" = FaultId, Path), When),
    responses((status = 200, description = "Restored; or restoring, while what it has delayed is on its way; or active until the instant",
               body = FaultStatus), Always, NoFault, Failure)
)]
pub async fn restore(
    State(agent): State<Agent>,
    Id(id): Id,
    Asked(when): Asked<When>,
    Extension(caller): Extension<Caller>,
) -> Answer<Moved<FaultStatus>> {
    let (at, moved) = later(&agent, &caller, when.at_boot_ns);
    let status = agent.keeper.restore(id, at, when.attempt, caller.to_string()).await?;
    Ok((moved, Json(status)))
}

/// What is restored later is still there, and can be restored again: never refused, and recorded where there is room.
fn later(
    agent: &Agent,
    caller: &Caller,
    at_boot_ns: Option<u64>,
) -> (Option<BootTime>, Option<Extension<audit::Overmuch>>) {
    let full = at_boot_ns.and_then(|_| audit::room(agent, caller).err());
    (at_boot_ns.map(instant), full.map(|_| Extension(audit::Overmuch)))
}

/// Restore everything.
#[utoipa::path(delete, path = "/v1/faults", operation_id = "restore_all_faults", tag = "faults", params(WhenAll),
    responses((status = 200, description = "What there was, each with how that went", body = Vec<FaultStatus>), Always))]
pub async fn restore_all(
    State(agent): State<Agent>,
    Asked(when): Asked<WhenAll>,
    Extension(caller): Extension<Caller>,
) -> Answer<Moved<Vec<FaultStatus>>> {
    let (at, moved) = later(&agent, &caller, when.at_boot_ns);
    Ok((moved, Json(agent.keeper.restore_all(at, caller.to_string()).await?)))
}
