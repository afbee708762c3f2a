//! The API's own description.

mod choices;
mod refusals;

use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use partition_agent_proto::{DEFAULT_SOCKET, Event, Problem};
use serde_json::Value;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::server::{ServerBuilder, ServerVariableBuilder};
use utoipa::openapi::{self, Server};
use utoipa::{Modify, OpenApi, ToSchema};

pub use refusals::{Always, Clash, Failure, NoFault, NoFleet, OfBody};

use super::decode::{Asked, Nothing};
use super::{audit, faults, fleet, info, metrics, reach};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "partition-agent",
        description = "Faults of one host: inject, look, change, restore.\n\n\
                       Over TCP each request has a token or comes with a certificate. On the unix socket the agent asks the kernel who is \
                       at the other end: neither is needed there, `Host` may be anything, and a body need not say that it is JSON. \
                       A head that is too large is answered by 431 and one that is no HTTP by 400, both without a body."
    ),
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
        metrics::metrics,
        openapi
    ),
    // No answer is an event as a whole: each is a line of a stream. Problems are named by their status only.
    components(schemas(Event, Problem)),
    tags(
        (name = "faults", description = "Inject, look, change, restore"),
        (name = "agent", description = "What an agent tells of itself and of whoever asks"),
        (name = "past", description = "What was, and what happens"),
        (name = "reach", description = "What this host reaches"),
        (name = "health", description = "For those who watch over the agent")
    ),
    modifiers(&Access)
)]
struct Api;

/// Where it is asked, and who may.
struct Access;

impl Modify for Access {
    fn modify(&self, api: &mut openapi::OpenApi) {
        api.servers = Some(servers());
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(
            "A token of the agent's configuration: `token_file`, or one under `[[tokens]]`, whose role it has",
        ));
        let certificate = SecurityScheme::MutualTls {
            description: Some(
                "A certificate of the agent's `client_ca`; the OU of its subject is the role".to_owned(),
            ),
            extensions: None,
            deprecated: None,
        };
        let components = api.components.get_or_insert_default();
        components.add_security_scheme("token", SecurityScheme::Http(bearer.build()));
        components.add_security_scheme("certificate", certificate);
        let none = Vec::<String>::new;
        api.security = Some(vec![
            SecurityRequirement::new("token", none()),
            SecurityRequirement::new("certificate", none()),
        ]);
    }
}

fn servers() -> Vec<Server> {
    let tcp = ServerBuilder::new()
        .url("{scheme}://{host}:{port}")
        .description(Some("Over TCP, where `listen` of the agent's configuration says so"))
        .parameter(
            "scheme",
            ServerVariableBuilder::new().default_value("http").enum_values(Some(["http", "https"])),
        )
        .parameter("host", ServerVariableBuilder::new().default_value("127.0.0.1"))
        .parameter("port", ServerVariableBuilder::new().default_value("7433"));
    let unix = ServerBuilder::new()
        .url("http://localhost")
        .description(Some(format!("Over the unix socket, {DEFAULT_SOCKET} if nobody says otherwise")));
    vec![tcp.build(), unix.build()]
}

/// The document that `proto/openapi.json` holds and `/openapi.json` serves.
#[must_use]
pub fn document() -> Value {
    // Strings, numbers and maps with strings for keys: it cannot fail to serialize.
    let mut document = serde_json::to_value(Api::openapi()).unwrap_or_default();
    choices::name(&mut document);
    document
}

/// An OpenAPI document.
#[derive(ToSchema)]
#[schema(value_type = Object)]
#[expect(dead_code, reason = "the name of a schema: what is served is text")]
pub struct Document(Value);

/// This description, as it is published: making it takes code that an agent has no other use for.
#[utoipa::path(get, path = "/openapi.json", operation_id = "get_document", tag = "agent",
    responses((status = 200, description = "The whole API", body = Document), Always))]
pub async fn openapi(_: Asked<Nothing>) -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], partition_agent_proto::OPENAPI)
}
