//! Who reaches whom: what this host reaches now, and whom it has heard.

use std::sync::PoisonError;

use axum::Json;
use axum::extract::State;
use partition_agent_proto::{Heard, Problem, ProblemCode, Reach, ReachError, ReachRequest};
use serde::Deserialize;
use utoipa::IntoParams;

use super::Agent;
use super::decode::{Asked, Body, Nothing};
use super::error::Refused;
use super::openapi::{Always, OfBody};
use crate::clock::BootTime;
use crate::probe::Prober;

type Answer<T> = Result<T, Refused>;

/// As many targets as there may be, with room for paths.
const LIMIT: usize = 1 << 20;

impl From<ReachError> for Refused {
    fn from(error: ReachError) -> Self {
        Self(Problem::new(ProblemCode::Invalid, error.to_string()))
    }
}

/// What this host reaches now, and what its own faults say about that.
#[utoipa::path(post, path = "/v1/reach", operation_id = "reach_targets", tag = "reach", request_body = ReachRequest,
    responses((status = 200, description = "In the order of the targets", body = Vec<Reach>), Always, OfBody))]
pub async fn reach(
    State(agent): State<Agent>,
    _: Asked<Nothing>,
    Body(request): Body<ReachRequest, LIMIT>,
) -> Answer<Json<Vec<Reach>>> {
    request.validate()?;
    // Never closed, so there is always a turn to come.
    let _turn = agent.bounds.reaches.acquire().await;
    Ok(Json(Prober::all(request, agent.keeper).await?))
}

/// Of a question for those who were heard.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Of {
    /// The one that the others were told to ask in.
    #[param(maximum = 9007199254740991_u64)]
    round: u64,
}

/// The agents whose datagrams have arrived here in a round. It is forgotten when it was quiet for a minute.
#[utoipa::path(get, path = "/v1/heard", operation_id = "list_heard", tag = "reach", params(Of),
    responses((status = 200, description = "Each sender once", body = Vec<Heard>), Always))]
pub async fn heard(State(agent): State<Agent>, Asked(of): Asked<Of>) -> Answer<Json<Vec<Heard>>> {
    if of.round > ReachRequest::LAST_ROUND {
        return Err(ReachError::Round(of.round).into());
    }
    let mut rounds = agent.rounds.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(Json(rounds.heard(BootTime::now(), of.round)))
}
