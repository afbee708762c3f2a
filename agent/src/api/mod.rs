//! The HTTP API: the routes on one screen. A handler decodes, asks the keeper and encodes; it knows no kernel.

mod decode;
mod error;
mod faults;
#[cfg(feature = "fuzz")]
pub mod fuzzing;
mod info;
mod openapi;
mod reach;
mod serve;

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::routing::{get, post};

pub use error::{not_found, problem};
pub use openapi::document;
pub use serve::{Caller, serve_tcp, serve_unix};

use crate::finder::Finder;
use crate::keeper::Handle;
use crate::probe::Rounds;

/// The largest body of a request, in bytes, where a route does not say otherwise.
pub const BODY_LIMIT: usize = 64 << 10;

/// What every handler has.
#[derive(Clone)]
pub struct Agent {
    keeper: Handle,
    finder: Finder,
    /// The port of the API, where it is on TCP.
    port: Option<u16>,
    /// What other agents have sent here.
    rounds: Arc<Mutex<Rounds>>,
}

impl Agent {
    /// An agent that asks this keeper, finds things this way and listens on this port.
    #[must_use]
    pub fn new(keeper: Handle, finder: Finder, port: Option<u16>) -> Self {
        Self { keeper, finder, port, rounds: Arc::default() }
    }

    /// Where what other agents send is written down.
    #[must_use]
    pub fn rounds(&self) -> Arc<Mutex<Rounds>> {
        Arc::clone(&self.rounds)
    }
}

/// The routes.
pub fn app(agent: Agent) -> Router {
    Router::new()
        .route("/v1/info", get(info::info))
        .route("/v1/clock", get(info::clock))
        .route("/v1/faults", get(faults::list).post(faults::inject).delete(faults::restore_all))
        .route(
            "/v1/faults/{id}",
            get(faults::get).put(faults::inject_as).patch(faults::change).delete(faults::restore),
        )
        .route("/v1/faults/{id}/commit", post(faults::commit))
        .route("/v1/history", get(info::history))
        .route("/v1/events", get(info::events))
        .route("/v1/probe", post(info::probe))
        .route("/v1/reach", post(reach::reach))
        .route("/v1/heard", get(reach::heard))
        .route("/healthz", get(info::healthz))
        .route("/openapi.json", get(openapi::openapi))
        .fallback(error::no_such_route)
        .method_not_allowed_fallback(error::no_such_route)
        .with_state(agent)
}
