//! The API's own description.

use axum::Json;
use utoipa::OpenApi;
use utoipa::openapi;

use super::{audit, faults, fleet, info, metrics, reach};

#[derive(OpenApi)]
#[openapi(
    info(title = "partition-agent", description = "Faults of one host: inject, look, change, restore."),
    paths(
        info::info,
        info::clock,
        info::whoami,
        faults::list,
        faults::inject,
        faults::restore_all,
        faults::get,
        faults::inject_as,
        faults::change,
        faults::renew,
        faults::commit,
        faults::restore,
        info::history,
        audit::list,
        info::events,
        fleet::fleet,
        info::probe,
        reach::reach,
        reach::heard,
        info::healthz,
        metrics::metrics
    )
)]
struct Api;

/// The document that `proto/openapi.json` holds and `/openapi.json` serves.
#[must_use]
pub fn document() -> openapi::OpenApi {
    Api::openapi()
}

pub async fn openapi() -> Json<openapi::OpenApi> {
    Json(document())
}
