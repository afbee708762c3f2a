//! The one place where refusals become `application/problem+json`.

use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use partition_agent_proto::{Problem, ProblemCode, SpecError};

use crate::finder::FindError;
use crate::keeper::Error;
use crate::resolve::UnknownName;
use crate::scope::ScopeError;

/// A [`Problem`] as an answer.
pub struct Refused(pub Problem);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        // A problem is strings and a number: it cannot fail to serialize.
        let body = serde_json::to_vec(&self.0).unwrap_or_default();
        let mut response =
            (status, [(header::CONTENT_TYPE, "application/problem+json")], body).into_response();
        // For those who count refusals: they would have to read the body otherwise.
        response.extensions_mut().insert(self.0.code);
        if leaves_the_body(self.0.code) {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if status == StatusCode::UNAUTHORIZED {
            // RFC 9110, 15.5.2: it has to say how.
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// Whether it is said before the body was read, so that the connection cannot be used again. The caller has to know.
fn leaves_the_body(code: ProblemCode) -> bool {
    match code {
        ProblemCode::Malformed
        | ProblemCode::TooLarge
        | ProblemCode::TooSlow
        | ProblemCode::NotJson
        | ProblemCode::Unauthorized
        | ProblemCode::Forbidden
        | ProblemCode::Busy => true,
        ProblemCode::Invalid
        | ProblemCode::UnknownName
        | ProblemCode::NotFound
        | ProblemCode::NoSuchRoute
        | ProblemCode::NoFleet
        | ProblemCode::NoSuchMethod
        | ProblemCode::Conflict
        | ProblemCode::TooLate
        | ProblemCode::Limit
        | ProblemCode::KernelRefused
        | ProblemCode::Journal
        | ProblemCode::Stopping => false,
    }
}

impl From<SpecError> for Refused {
    fn from(error: SpecError) -> Self {
        Self(Problem::new(ProblemCode::Invalid, error.to_string()))
    }
}

impl From<UnknownName> for Refused {
    fn from(error: UnknownName) -> Self {
        FindError::from(error).into()
    }
}

impl From<FindError> for Refused {
    fn from(error: FindError) -> Self {
        Self(not_found(&error))
    }
}

/// A name or a scope that stands for nothing, for the wire.
#[must_use]
pub fn not_found(error: &FindError) -> Problem {
    let unknown = Problem::new(ProblemCode::UnknownName, error.to_string());
    match error {
        FindError::Name(UnknownName::Host { .. }) => {
            unknown.hint("give its address, or a name under [peers] in the agent's configuration")
        }
        FindError::TooMany { .. } => Problem::new(ProblemCode::Limit, error.to_string()).hint(
            "name networks instead of addresses, ranges instead of ports, or make several faults of it",
        ),
        FindError::Name(UnknownName::Service(scope)) | FindError::Scope(scope) => match scope {
            // They say what to do themselves.
            ScopeError::Absent { .. } | ScopeError::NoUser(_) | ScopeError::NoEngine { .. } => unknown,
            ScopeError::Refused { .. } => Problem::new(ProblemCode::Invalid, error.to_string()),
            ScopeError::Kernel { .. } => Problem::new(ProblemCode::KernelRefused, error.to_string()),
        },
    }
}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self(problem(&error))
    }
}

/// What the keeper refused, for the wire.
#[must_use]
pub fn problem(error: &Error) -> Problem {
    let detail = error.to_string();
    let with = |code| Problem::new(code, detail.clone());
    let hinted = |problem: Problem, hint: &Option<String>| match hint {
        Some(hint) => problem.hint(hint.clone()),
        None => problem,
    };
    match error {
        Error::Taken { .. } => with(ProblemCode::Conflict)
            .hint("take another id, or restore that fault first; without an id one is made up"),
        Error::Unknown(_) => with(ProblemCode::NotFound)
            .hint("`partition-agent status` lists the faults, `partition-agent history` those that are over"),
        Error::Denied(_) => with(ProblemCode::Limit).hint(
            "[policy] in /etc/partition-agent/agent.toml of that host has the limits; they take a restart of the agent",
        ),
        Error::NoInterface(refusal) => hinted(with(ProblemCode::Invalid), &refusal.hint),
        Error::Step { refusal, .. }
        | Error::Unmoved { refusal, .. }
        | Error::Kernel(refusal)
        | Error::Stuck(refusal) => hinted(with(ProblemCode::KernelRefused), &refusal.hint),
        Error::Impossible(_) | Error::NoNetem => with(ProblemCode::Invalid),
        Error::TooLate { .. } => with(ProblemCode::TooLate)
            .hint("choose an instant that its answer reaches in time, or restore it; it expires by itself"),
        Error::Committed(_) => with(ProblemCode::Conflict),
        Error::PreparedLater => with(ProblemCode::Invalid),
        Error::Missing { need, refusal } => {
            let fix = refusal.hint.clone().unwrap_or_else(|| need.fix().to_owned());
            with(ProblemCode::Invalid).hint(fix)
        }
        Error::NoLease(_) => with(ProblemCode::Invalid)
            .hint("inject it with a lease (`lease` of the fault, `--lease` of the command line); `change` moves the deadline"),
        Error::Uncommitted(_) => {
            with(ProblemCode::Conflict).hint("commit it first; or restore it, and prepare one that lasts as long as it should")
        }
        Error::Restoring { .. } => {
            with(ProblemCode::Conflict).hint("a restore is not taken back: inject it again when it is over")
        }
        Error::Over(_) => with(ProblemCode::NotFound).hint("inject it again"),
        Error::Journal(_) => with(ProblemCode::Journal).hint("is the disk full or read-only?"),
        Error::Stopping => {
            with(ProblemCode::Stopping).hint("every fault is being restored; ask again when an agent runs")
        }
    }
}

pub async fn no_such_route(method: Method, uri: Uri) -> Refused {
    nothing(ProblemCode::NoSuchRoute, &method, &uri)
}

/// The path is there; the router names its methods in the header `allow`.
pub async fn no_such_method(method: Method, uri: Uri) -> Refused {
    nothing(ProblemCode::NoSuchMethod, &method, &uri)
}

fn nothing(code: ProblemCode, method: &Method, uri: &Uri) -> Refused {
    let detail = format!("there is no {method} {}", uri.path());
    Refused(Problem::new(code, detail).hint("/openapi.json lists what there is"))
}
