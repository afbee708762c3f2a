//! `/v1/fleet`: other hosts through this agent.

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use partition_agent_proto::{FleetView, Problem, ProblemCode};

use super::Agent;
use super::decode::{Asked, Nothing};
use super::error::Refused;
use super::openapi::{Always, NoFleet};

/// The faults of the hosts that the agent's configuration names, as far as they have told them by now. They are asked while somebody looks:
/// the first answer says that they are being asked, and the same question a moment later has theirs.
#[utoipa::path(get, path = "/v1/fleet", operation_id = "look_at_fleet", tag = "faults",
    responses((status = 200, description = "What they have told by now", body = FleetView), Always, NoFleet))]
pub async fn fleet(State(agent): State<Agent>, _: Asked<Nothing>) -> Result<impl IntoResponse, Refused> {
    let fleet = agent.fleet.as_ref().ok_or_else(|| {
        let problem = Problem::new(ProblemCode::NoFleet, "the configuration of this agent names no fleet");
        Refused(problem.hint(
            "list its agents as `hosts` under [fleet] in /etc/partition-agent/agent.toml of this host, and restart the agent; \
             `partition-agent status --on '*'` asks a fleet from the command line",
        ))
    })?;
    Ok(([(CONTENT_TYPE, "application/json")], fleet.look()))
}
