//! What an agent tells of itself, of the past, and of what it can reach.

use std::convert::Infallible;
use std::ffi::OsStr;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Json;
use axum::extract::{Extension, State};
use axum::response::Sse;
use axum::response::sse::{self, KeepAlive};
use futures_util::Stream;
use futures_util::stream;
use ipnetwork::NetworkSize;
use nix::sys::utsname::UtsName;
use partition_agent_proto::{
    Clock, History, Info, ProbeReply, ProbeRequest, Problem, ProblemCode, Span, State as FaultState, Whoami,
};
use tokio::sync::broadcast::error::RecvError;

use super::Agent;
use super::decode::{Asked, Body, Nothing, Page};
use super::error::Refused;
use super::openapi::{Always, Failure, OfBody};
use crate::access::Caller;
use crate::clock::{BootTime, wall};
use crate::fleet::Fleet;
use crate::kernel::coverage;
use crate::probe::connect;

type Answer<T> = Result<T, Refused>;

/// Version, kernel, clocks, and what this host can do.
#[utoipa::path(get, path = "/v1/info", operation_id = "get_info", tag = "agent",
    responses((status = 200, description = "The agent and its host", body = Info), Always))]
pub async fn info(State(agent): State<Agent>, _: Asked<Nothing>) -> Answer<Json<Info>> {
    let uname = nix::sys::utsname::uname().ok();
    let own = |part: fn(&UtsName) -> &OsStr| {
        uname.as_ref().map(|uname| part(uname).to_string_lossy().into_owned()).unwrap_or_default()
    };
    let features = agent.keeper.features().await?;
    Ok(Json(Info {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        host: own(UtsName::nodename),
        kernel: own(UtsName::release),
        pid: std::process::id(),
        faults: agent.keeper.list().await?.len(),
        fleet: agent.fleet.as_ref().map_or(0, Fleet::hosts),
        clock: clocks(),
        coverage: coverage(&features),
        features,
    }))
}

fn clocks() -> Clock {
    let boot = BootTime::now().since_boot().as_nanos();
    Clock { boot_ns: u64::try_from(boot).unwrap_or(u64::MAX), wall: wall(Duration::ZERO) }
}

/// The clocks alone: whoever wants to know how far they are from others asks often, and waits for nothing else.
#[utoipa::path(get, path = "/v1/clock", operation_id = "get_clock", tag = "agent",
    responses((status = 200, description = "At one instant", body = Clock), Always))]
pub async fn clock(_: Asked<Nothing>) -> Json<Clock> {
    Json(clocks())
}

/// Whoever asks, and what they may do. Waits for nothing else, so that it can be asked first.
#[utoipa::path(get, path = "/v1/whoami", operation_id = "whoami", tag = "agent",
    responses((status = 200, description = "Whoever asks", body = Whoami), Always))]
pub async fn whoami(Extension(caller): Extension<Caller>, _: Asked<Nothing>) -> Json<Whoami> {
    Json(Whoami { by: caller.to_string(), role: caller.role })
}

/// Faults that are over, newest first.
#[utoipa::path(get, path = "/v1/history", operation_id = "list_history", tag = "past", params(Page),
    responses((status = 200, description = "The newest first", body = Vec<History>), Always, Failure))]
pub async fn history(State(agent): State<Agent>, Asked(page): Asked<Page>) -> Answer<Json<Vec<History>>> {
    // Never closed, so there is always a turn to come.
    let _turn = agent.bounds.histories.acquire().await;
    Ok(Json(agent.keeper.history(page.limit()).await?))
}

/// Server-sent events, from now on.
#[utoipa::path(get, path = "/v1/events", operation_id = "listen_to_events", tag = "past",
    responses((status = 200, description = "Without an end. `data` of each is an `Event`; of one that is named `missed`, how many there \
                                            was no time for", body = String, content_type = "text/event-stream"), Always))]
pub async fn events(
    State(agent): State<Agent>,
    _: Asked<Nothing>,
) -> Answer<Sse<impl Stream<Item = Result<sse::Event, Infallible>>>> {
    let place = agent.bounds.listen().map_err(Refused)?;
    let stream = stream::unfold((agent.keeper.events(), place), |(mut events, place)| async {
        let event = match events.recv().await {
            Ok(event) => sse::Event::default().data(serde_json::to_string(&event).unwrap_or_default()),
            // Said, so that a listener knows to ask for the whole state again.
            Err(RecvError::Lagged(missed)) => sse::Event::default().event("missed").data(missed.to_string()),
            Err(RecvError::Closed) => return None,
        };
        Some((Ok(event), (events, place)))
    });
    // A comment every 15 s: writing is how the agent learns that a listener is gone.
    Ok(Sse::new(stream).keep_alive(KeepAlive::default()))
}

/// Whether this host can open a TCP connection to a peer, now.
#[utoipa::path(post, path = "/v1/probe", operation_id = "probe_peer", tag = "reach", request_body = ProbeRequest,
    responses((status = 200, description = "Whether it could, or why not", body = ProbeReply), Always, OfBody, Failure))]
pub async fn probe(
    State(agent): State<Agent>,
    _: Asked<Nothing>,
    Body(asked): Body<ProbeRequest>,
) -> Answer<Json<ProbeReply>> {
    let invalid = |detail: String| Refused(Problem::new(ProblemCode::Invalid, detail));
    let patience = asked.timeout.unwrap_or(Span::from_secs(1));
    if patience > Span::from_secs(30) {
        return Err(invalid(format!("a probe of {patience} is too long: at most 30s")));
    }
    let addresses = agent.finder.resolver().addresses(&asked.to).await?;
    let one = addresses.first().filter(|(net, _)| net.size() == NetworkSize::from(1_u32));
    let (host, port) =
        one.ok_or_else(|| invalid(format!("`{}` is a network: probe one address", asked.to)))?;
    let port = port.and_then(partition_agent_proto::Ports::single);
    let port = port.ok_or_else(|| invalid(format!("`{}` has no single port to connect to", asked.to)))?;
    let socket = SocketAddr::new(host.ip(), port);
    let _turn = agent.bounds.probes.acquire().await;
    let (took, error) = connect(socket, patience).await;
    Ok(Json(ProbeReply {
        address: socket.to_string(),
        connected: error.is_none(),
        micros: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
        error,
    }))
}

/// Fine, as long as the keeper answers and nothing is stuck.
#[utoipa::path(get, path = "/healthz", operation_id = "check_health", tag = "health",
    responses((status = 200, description = "`ok`", body = String, content_type = "text/plain"), Always, Failure))]
pub async fn healthz(State(agent): State<Agent>, _: Asked<Nothing>) -> Answer<&'static str> {
    let stuck = agent.keeper.list().await?.into_iter().find(|fault| fault.state == FaultState::Stuck);
    match stuck {
        Some(fault) => {
            let detail =
                format!("{} has ended, and the kernel refuses to remove what is left of it", fault.id);
            Err(Refused(Problem::new(ProblemCode::KernelRefused, detail)))
        }
        None => Ok("ok\n"),
    }
}
