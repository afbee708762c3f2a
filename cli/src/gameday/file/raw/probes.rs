//! Probes as they are written.

use serde::Deserialize;
use utoipa::ToSchema;

use super::{Lasting, Scalar, Status};
use crate::fleet::Text;
use crate::gameday::file::got::{Got, Named, Several};

/// One question: `http`, `tcp`, `dns`, `command`, `prometheus`, `redis`, `postgresql` or `nats`. The other keys go with some of them.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Probe)]
pub struct RawProbe {
    /// A URL that answers a GET. `${NAME}` is from the environment.
    #[schema(value_type = String, min_length = 1, examples("http://gateway:8080/healthz"))]
    pub http: Got<String>,
    /// With `http`: the status, or several; without it, any of 200 to 299.
    #[schema(value_type = Vec<u16>, minimum = 100, maximum = 599)]
    pub status: Got<Several<Text<Status>>>,
    /// With `http` and `prometheus`: headers of the request. `${NAME}` is from the environment.
    #[schema(value_type = std::collections::BTreeMap<String, Scalar>)]
    pub headers: Got<Named<String>>,
    /// With `http`: makes it a POST of this.
    #[schema(value_type = Scalar)]
    pub body: Got<String>,
    /// With `http`: something in an answer of JSON.
    #[schema(value_type = RawJson)]
    pub json: Got<RawJson>,

    /// `HOST:PORT` that takes a connection.
    #[schema(value_type = String, min_length = 1, examples("redis:6379"))]
    pub tcp: Got<String>,

    /// A name that resolves.
    #[schema(value_type = String, min_length = 1, examples("db.example.com"))]
    pub dns: Got<String>,
    /// With `dns`: who is asked, `ADDRESS[:PORT]`; without it, the host's own resolver.
    #[schema(value_type = String, min_length = 1, examples("10.0.0.2:53"))]
    pub server: Got<String>,

    /// A shell command that exits with 0.
    #[schema(value_type = String, min_length = 1, examples("./one-leader.sh"))]
    pub command: Got<String>,
    /// With `command`: what it prints.
    #[schema(value_type = RawComparison)]
    pub stdout: Got<RawComparison>,

    /// A Prometheus server that is asked `query`. `${NAME}` is from the environment.
    #[schema(value_type = String, min_length = 1, examples("http://prometheus:9090"))]
    pub prometheus: Got<String>,
    /// With `prometheus`: PromQL. No result fails.
    #[schema(value_type = String, min_length = 1, examples("max(replication_lag_seconds)"))]
    pub query: Got<String>,
    /// With `prometheus`: the result is this number.
    #[schema(value_type = f64)]
    pub equals: Got<f64>,
    /// With `prometheus`: the result is not this number.
    #[schema(value_type = f64)]
    pub not: Got<f64>,
    /// With `prometheus`: the result is more than this.
    #[schema(value_type = f64)]
    pub above: Got<f64>,
    /// With `prometheus`: the result is less than this.
    #[schema(value_type = f64)]
    pub below: Got<f64>,

    /// `HOST:PORT` of a Redis server that answers PING with PONG.
    #[schema(value_type = String, min_length = 1, examples("redis:6379"))]
    pub redis: Got<String>,
    /// With `redis`. `${NAME}` is from the environment.
    #[schema(value_type = Scalar, examples("${REDIS_PASSWORD}"))]
    pub password: Got<String>,

    /// `HOST:PORT` of a PostgreSQL server that takes connections.
    #[schema(value_type = String, min_length = 1, examples("db:5432"))]
    pub postgresql: Got<String>,

    /// `HOST:PORT` of a NATS server that answers PING with PONG.
    #[schema(value_type = String, min_length = 1, examples("nats:4222"))]
    pub nats: Got<String>,

    /// The host that asks. In a lab, any; of a fleet, its agent, which can ask `tcp`, and `http` for its status.
    #[schema(value_type = String, min_length = 1, examples("client"))]
    pub from: Got<String>,
    /// From one question to the next: at least 100ms.
    #[schema(value_type = Lasting, default = "1s")]
    pub every: Got<Text<Lasting>>,
    /// No answer within this time fails.
    #[schema(value_type = Lasting, default = "2s")]
    pub timeout: Got<Text<Lasting>>,
}

/// A value in an answer of JSON, and what it is compared with: one of the other keys.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = JsonValue)]
pub struct RawJson {
    /// Where it is: keys with dots in between, `[n]` for the elements of lists.
    #[schema(value_type = String, min_length = 1, examples("checks.redis", "nodes[0].state"))]
    pub path: Got<String>,
    #[schema(value_type = Scalar)]
    pub equals: Got<String>,
    #[schema(value_type = Scalar)]
    pub not: Got<String>,
    #[schema(value_type = Scalar)]
    pub contains: Got<String>,
    #[schema(value_type = f64)]
    pub above: Got<f64>,
    #[schema(value_type = f64)]
    pub below: Got<f64>,
}

/// What a text is compared with: one of these.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Comparison)]
pub struct RawComparison {
    /// But for white space around it.
    #[schema(value_type = Scalar)]
    pub equals: Got<String>,
    #[schema(value_type = Scalar)]
    pub not: Got<String>,
    #[schema(value_type = Scalar)]
    pub contains: Got<String>,
    /// It is a number, and more than this.
    #[schema(value_type = f64)]
    pub above: Got<f64>,
    /// It is a number, and less than this.
    #[schema(value_type = f64)]
    pub below: Got<f64>,
}
