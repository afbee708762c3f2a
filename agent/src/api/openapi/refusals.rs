//! Refusals, as the description lists them: what any request may come to, and what a handler adds.

use std::collections::BTreeMap;

use partition_agent_proto::ProblemCode;
use utoipa::IntoResponses;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, Response, ResponseBuilder};

/// Of any request: it cannot be read, nobody knows who asks, they may not, it makes no sense, or there is no room for it.
pub struct Always;

/// Of a request with a body.
pub struct OfBody;

/// Where a fault is named.
pub struct NoFault;

/// Where something stands in the way.
pub struct Clash;

/// Where the kernel or the disk has a say.
pub struct Failure;

macro_rules! statuses {
    ($($of:ty: $statuses:expr;)+) => {$(
        impl IntoResponses for $of {
            fn responses() -> BTreeMap<String, RefOr<Response>> {
                $statuses.map(|status| (status.to_string(), refusal(status).into())).into()
            }
        }
    )+};
}

statuses! {
    Always: [400, 401, 403, 422, 503];
    OfBody: [408, 413, 415];
    NoFault: [404];
    Clash: [409];
    Failure: [500];
}

/// Where the other hosts are looked at.
pub struct NoFleet;

impl IntoResponses for NoFleet {
    fn responses() -> BTreeMap<String, RefOr<Response>> {
        let code = ProblemCode::NoFleet;
        [(code.status().to_string(), by(code.status(), &[code]).into())].into()
    }
}

/// Every code that goes with the status.
fn refusal(status: u16) -> Response {
    // The first is never of a path that the description has, the second of one only.
    let others = [ProblemCode::NoSuchRoute, ProblemCode::NoFleet];
    let codes = ProblemCode::ALL.into_iter().filter(|code| code.status() == status && !others.contains(code));
    by(status, &codes.collect::<Vec<_>>())
}

fn by(status: u16, codes: &[ProblemCode]) -> Response {
    let described = codes.iter().map(|code| format!("{} (`{code}`)", code.title())).collect::<Vec<_>>();
    let problem = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem")));
    let refusal = ResponseBuilder::new()
        .description(described.join(". "))
        .content("application/problem+json", problem.build());
    if status != ProblemCode::Unauthorized.status() {
        return refusal.build();
    }
    let how = HeaderBuilder::new()
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .description(Some("How to say who asks: with a token"));
    refusal.header("www-authenticate", how.build()).build()
}
