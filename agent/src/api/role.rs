//! The role that a route takes. A route comes into the API through [`Routes`], and so with a role.

use axum::Router;
use axum::extract::{Extension, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::MethodRouter;
use partition_agent_proto::Role;

use super::Agent;
use super::error::Refused;
use crate::access::Caller;

/// Routes, each with the role that it takes.
#[derive(Default)]
pub struct Routes(Router<Agent>);

impl Routes {
    /// Whoever has this role, or more, may ask this.
    pub fn route(self, needed: Role, path: &str, handlers: MethodRouter<Agent>) -> Self {
        Self(self.0.route(path, handlers.route_layer(middleware::from_fn_with_state(needed, need))))
    }

    /// As routes of axum.
    pub fn done(self) -> Router<Agent> {
        self.0
    }
}

async fn need(
    State(needed): State<Role>,
    Extension(caller): Extension<Caller>,
    request: Request,
    next: Next,
) -> Response {
    match caller.may(needed, &format!("{} {}", request.method(), request.uri().path())) {
        Ok(()) => next.run(request).await,
        Err(problem) => Refused(problem).into_response(),
    }
}
