//! The HTTP API: the routes on one screen. A handler decodes, asks the keeper and encodes; it knows no kernel.

mod accept;
mod audit;
mod bounds;
mod console;
mod decode;
mod error;
mod faults;
mod fleet;
#[cfg(feature = "fuzz")]
pub mod fuzzing;
mod info;
mod json;
mod metrics;
mod openapi;
mod reach;
mod role;
mod secure;
mod serve;

use std::sync::{Arc, Mutex};

use axum::routing::{get, post, put};
use partition_agent_proto::Role::{Admin, Inject, Observe};

pub use audit::unrecorded;
pub use bounds::BODY as BODY_LIMIT;
pub(crate) use bounds::LOCAL_CONNECTIONS;
pub use error::{not_found, problem};
pub use openapi::document;
pub use serve::{serve_tcp, serve_unix};

use crate::finder::Finder;
use crate::fleet::Fleet;
use crate::keeper::Handle;
use crate::probe::Rounds;
use bounds::Bounds;
use role::{App, Routes};

/// What every handler has.
#[derive(Clone)]
pub struct Agent {
    keeper: Handle,
    finder: Finder,
    /// The port of the API, where it is on TCP.
    port: Option<u16>,
    /// What other agents have sent here.
    rounds: Arc<Mutex<Rounds>>,
    /// The others, where the configuration names some.
    fleet: Option<Fleet>,
    bounds: Bounds,
}

impl Agent {
    /// An agent that asks this keeper, finds things this way and listens on this port.
    #[must_use]
    pub fn new(keeper: Handle, finder: Finder, port: Option<u16>) -> Self {
        Self { keeper, finder, port, rounds: Arc::default(), fleet: None, bounds: Bounds::default() }
    }

    /// The same, and it shows this fleet, where there is one.
    #[must_use]
    pub fn showing(self, fleet: Option<Fleet>) -> Self {
        Self { fleet, ..self }
    }

    /// The same behind another listener: who takes every place of the one leaves those of the other.
    fn apart(self) -> Self {
        Self { bounds: Bounds::default(), ..self }
    }

    /// Where what other agents send is written down.
    #[must_use]
    pub fn rounds(&self) -> Arc<Mutex<Rounds>> {
        Arc::clone(&self.rounds)
    }
}

/// The routes, each with the role that it takes: more than looking on is asked of whoever changes something, or makes this host send
/// something where they say. Restoring is never harder than injecting. The page of the console is for anybody: a browser cannot show a
/// token before it has a page that asks for one.
pub fn app(agent: Agent) -> App {
    Routes::default()
        .anybody("/", console::PAGE)
        .anybody("/console.css", console::STYLE)
        .anybody("/console.js", console::SCRIPT)
        .anybody("/form.js", console::FORM)
        .anybody("/fleet.js", console::FLEET)
        .anybody("/live.js", console::LIVE)
        .route(Observe, "/v1/info", get(info::info))
        .route(Observe, "/v1/clock", get(info::clock))
        .route(Observe, "/v1/whoami", get(info::whoami))
        .route(Observe, "/v1/faults", get(faults::list))
        .route(Inject, "/v1/faults", post(faults::inject).delete(faults::restore_all))
        .route(Observe, "/v1/faults/{id}", get(faults::get))
        .route(
            Inject,
            "/v1/faults/{id}",
            put(faults::inject_as).patch(faults::change).delete(faults::restore),
        )
        .route(Inject, "/v1/faults/{id}/commit", post(faults::commit))
        .route(Inject, "/v1/faults/{id}/renew", post(faults::renew))
        .route(Observe, "/v1/history", get(info::history))
        .route(Admin, "/v1/audit", get(audit::list))
        .route(Observe, "/v1/events", get(info::events))
        .route(Observe, "/v1/fleet", get(fleet::fleet))
        .route(Inject, "/v1/probe", post(info::probe))
        .route(Inject, "/v1/reach", post(reach::reach))
        .route(Observe, "/v1/heard", get(reach::heard))
        .route(Observe, "/healthz", get(info::healthz))
        .route(Observe, "/metrics", get(metrics::metrics))
        .route(Observe, "/openapi.json", get(openapi::openapi))
        .done(agent)
}
