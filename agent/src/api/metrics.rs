//! What Prometheus scrapes.

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;

use super::Agent;
use super::decode::{Asked, Nothing};
use super::error::Refused;
use super::openapi::Always;
use crate::clock::{BootTime, unix};
use crate::metrics;

/// Metrics in OpenMetrics, whatever the request accepts.
#[utoipa::path(get, path = "/metrics", operation_id = "get_metrics", tag = "health",
    responses((status = 200, description = "OpenMetrics", body = String, content_type = "application/openmetrics-text"), Always))]
pub async fn metrics(State(agent): State<Agent>, _: Asked<Nothing>) -> Result<impl IntoResponse, Refused> {
    // Never closed, so there is always a turn to come.
    let _turn = agent.bounds.scrapes.acquire().await;
    let tally = agent.keeper.tally().await?;
    let page = agent.keeper.metrics().page(&tally, BootTime::now(), unix());
    Ok(([(CONTENT_TYPE, metrics::CONTENT_TYPE)], page))
}
