//! What arrives: bodies, ids and queries, refused with a [`Problem`] that says where it is wrong.

use axum::body::{Bytes, HttpBody};
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use partition_agent_proto::{FaultId, Problem, ProblemCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::IntoParams;

use super::bounds::{BODY, BODY_TIME, HISTORY};
use super::error::Refused;
use super::json::Distinct;

/// A JSON body of so many bytes at most, whatever its content type claims.
pub struct Body<T, const MOST: usize = BODY>(pub T);

impl<T: DeserializeOwned + Serialize, S: Send + Sync, const MOST: usize> FromRequest<S> for Body<T, MOST> {
    type Rejection = Refused;

    async fn from_request(mut request: Request, state: &S) -> Result<Self, Refused> {
        // What is said to be too long is not waited for.
        if request.body().size_hint().lower() > u64::try_from(MOST).unwrap_or(u64::MAX) {
            return Err(too_large(MOST));
        }
        DefaultBodyLimit::max(MOST).apply(&mut request);
        let bytes = tokio::time::timeout(BODY_TIME, Bytes::from_request(request, state)).await;
        let bytes = bytes.map_err(|_| too_slow())?.map_err(|rejection| unreadable(&rejection, MOST))?;
        let wrong = |code| {
            move |error: serde_json::Error| {
                Refused(Problem::new(code, format!("the body is not what is expected here: {error}")))
            }
        };
        // First whether it is JSON at all: what is wrong after that is not its form.
        let written = serde_json::from_slice::<Distinct>(&bytes).map_err(|error| {
            let code = if error.is_data() { ProblemCode::Invalid } else { ProblemCode::Malformed };
            wrong(code)(error)
        });
        let Distinct(written) = written?;
        // First of the text, for the place of what is wrong. There `1.0` is no whole number to serde; in what was read of it, it is.
        let decoded = serde_json::from_slice::<T>(&bytes)
            .or_else(|in_text| T::deserialize(&written).map_err(|in_value| clearer(in_text, in_value)))
            .map_err(wrong(ProblemCode::Invalid))?;
        let again = serde_json::to_value(&decoded).map_err(wrong(ProblemCode::Invalid))?;
        if names_its_fields(&written, &again) {
            return Ok(Self(decoded));
        }
        let detail =
            "the body is not what is expected here: a list where an object with named fields belongs";
        Err(Refused(Problem::new(ProblemCode::Invalid, detail)))
    }
}

/// What is wrong in the text has its place there; but it may only be that a whole number has a point.
fn clearer(in_text: serde_json::Error, in_value: serde_json::Error) -> serde_json::Error {
    let is_of_a_point = |error: &serde_json::Error| error.to_string().contains("floating point");
    if is_of_a_point(&in_text) && !is_of_a_point(&in_value) { in_value } else { in_text }
}

/// serde takes a list for a struct, field by field in their order; a request must say what it means.
fn names_its_fields(written: &Value, decoded: &Value) -> bool {
    match (written, decoded) {
        (Value::Object(written), Value::Object(decoded)) => decoded
            .iter()
            .all(|(name, value)| written.get(name).is_none_or(|written| names_its_fields(written, value))),
        (Value::Array(written), Value::Array(decoded)) => {
            written.iter().zip(decoded).all(|(written, decoded)| names_its_fields(written, decoded))
        }
        (_, Value::Object(_)) => false,
        (_, Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_)) => true,
    }
}

fn too_slow() -> Refused {
    let detail = format!("the body was not here {} s after its head", BODY_TIME.as_secs());
    Refused(Problem::new(ProblemCode::TooSlow, detail))
}

fn too_large(most: usize) -> Refused {
    let problem = Problem::new(ProblemCode::TooLarge, format!("the body is larger than {most} bytes"));
    Refused(problem.hint(
        "give a long list of targets a name under [peers] in the agent's configuration, and target the name",
    ))
}

fn unreadable(rejection: &BytesRejection, most: usize) -> Refused {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return too_large(most);
    }
    Refused(Problem::new(ProblemCode::Malformed, format!("the body cannot be read: {rejection}")))
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

/// For paths without parameters: one that is given anyway was meant to do something.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// Of a request for the past.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct Page {
    /// At most this many, the newest; 100 without it, and never more than 10,000.
    #[param(maximum = 18446744073709551615_u64)]
    limit: Option<usize>,
}

impl Page {
    pub fn limit(&self) -> usize {
        self.limit.unwrap_or(100).min(HISTORY)
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
