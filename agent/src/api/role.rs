//! The role that a route takes. A route comes into the API through [`Routes`], and so with a role, or as one of the few files that are
//! for anybody.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Extension, Request, State};
use axum::http::Method;
use axum::http::request::Parts;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use partition_agent_proto::Role;

use super::Agent;
use super::console::File;
use super::error::{Refused, no_such_method, no_such_route};
use crate::access::Caller;

/// Routes, each with the role that it takes; and files that take none.
#[derive(Default)]
pub struct Routes {
    routes: Router<Agent>,
    open: Vec<&'static str>,
}

/// What is served, and which of it to anybody.
pub struct App {
    pub router: Router,
    pub open: Open,
}

/// The paths of what anybody may read.
#[derive(Debug, Clone)]
pub struct Open(Arc<[&'static str]>);

impl Open {
    /// Whether this is to read one of them. Anything else that is done to such a path is for those who are known.
    pub fn has(&self, request: &Parts) -> bool {
        matches!(request.method, Method::GET | Method::HEAD) && self.0.contains(&request.uri.path())
    }
}

impl Routes {
    /// Whoever has this role, or more, may ask this.
    pub fn route(self, needed: Role, path: &str, handlers: MethodRouter<Agent>) -> Self {
        let handlers = handlers.route_layer(middleware::from_fn_with_state(needed, need));
        Self { routes: self.routes.route(path, handlers), ..self }
    }

    /// Whoever reaches the port may read this. It takes no handler, so that there is nothing of the host that it could tell.
    pub fn anybody(mut self, path: &'static str, file: File) -> Self {
        self.open.push(path);
        Self { routes: self.routes.route(path, get(async move || file)), ..self }
    }

    /// All of them, and what is said where there is none.
    pub fn done(self, agent: Agent) -> App {
        let router = self.routes.fallback(no_such_route).method_not_allowed_fallback(no_such_method);
        // All of it is one fallback, so that a layer is around everything: axum itself names in a header the methods that a path has,
        // and around routes a layer would be inside of that.
        let router = Router::new().fallback_service(router.with_state(agent));
        App { router, open: Open(self.open.into()) }
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
