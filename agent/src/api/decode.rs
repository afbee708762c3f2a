//! What arrives: bodies, ids and queries, refused with a [`Problem`] that says where it is wrong.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use partition_agent_proto::{FaultId, Problem, ProblemCode};
use serde::de::DeserializeOwned;

use super::BODY_LIMIT;
use super::error::Refused;

/// A JSON body, whatever its content type claims.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Refused;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refused> {
        let bytes = Bytes::from_request(request, state).await.map_err(unreadable)?;
        serde_json::from_slice(&bytes).map(Self).map_err(|error| {
            let code = match error.classify() {
                serde_json::error::Category::Data => ProblemCode::Invalid,
                serde_json::error::Category::Io
                | serde_json::error::Category::Syntax
                | serde_json::error::Category::Eof => ProblemCode::Malformed,
            };
            Refused(Problem::new(code, format!("the body is not what is expected here: {error}")))
        })
    }
}

fn unreadable(rejection: BytesRejection) -> Refused {
    let problem = if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        Problem::new(ProblemCode::TooLarge, format!("the body is larger than {BODY_LIMIT} bytes"))
            .hint("give a long list of targets a name under [peers] in the agent's configuration, and target the name")
    } else {
        Problem::new(ProblemCode::Malformed, format!("the body cannot be read: {rejection}"))
    };
    Refused(problem)
}

/// The `{id}` of a path.
pub struct Id(pub FaultId);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refused> {
        let invalid = |error: String| Refused(Problem::new(ProblemCode::Invalid, error));
        let Path(text) =
            Path::<String>::from_request_parts(parts, state).await.map_err(|e| invalid(e.to_string()))?;
        text.parse()
            .map(Self)
            .map_err(|error: partition_agent_proto::FaultIdError| invalid(error.to_string()))
    }
}

/// The query of a path; unknown parameters are errors where `T` says so.
pub struct Asked<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Asked<T> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refused> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(query)) => Ok(Self(query)),
            Err(rejection) => Err(Refused(Problem::new(ProblemCode::Invalid, rejection.body_text()))),
        }
    }
}
