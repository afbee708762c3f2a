//! The listeners: who is at the other end, and what has to be right about a request before anybody looks at what it asks.

use std::sync::Arc;

use axum::body::{Body, HttpBody};
use axum::extract::{Extension, Request, State};
use axum::http::header::{CONNECTION, CONTENT_TYPE};
use axum::http::{HeaderMap, HeaderValue, Method, Uri};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use nix::sys::socket::{setsockopt, sockopt};
use partition_agent_proto::{Problem, ProblemCode};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::accept::{converse, next, turn_away};
use super::audit::{By, changes, record};
use super::bounds::{LOCAL_CONNECTIONS, WRITE_TIME};
use super::console::part_from_opener;
use super::error::{Refused, problem};
use super::role::{App, Open};
use super::secure::Secure;
use super::{Agent, app};
use crate::access::{Caller, Known, Locals, Peer, Remotes, UNIX, Visitor, own_site, own_site_or_link};
use crate::audit::Audit;
use crate::keeper;
use crate::metrics::Metrics;

/// How many are told at once that there is no room. More are hung up on.
const TURNED_AWAY: usize = 32;

/// Serves for as long as the process lives.
pub async fn serve_unix(listener: UnixListener, agent: Agent, locals: Locals) {
    let books = Books::of(&agent);
    let rooms = Rooms::new(LOCAL_CONNECTIONS, books.metrics.clone());
    // Here the kernel always says who it is, so nothing is for anybody.
    let App { router, open: _ } = app(agent.apart());
    let app = router.layer(middleware::from_fn_with_state(books, enter_locally));
    loop {
        let (stream, _) = next(|| listener.accept()).await;
        let app = app.clone();
        let peer = Peer::of(&stream);
        let by = peer.as_ref().map_or_else(|_| "unknown".to_owned(), ToString::to_string);
        let arrival = Arrival { by, caller: locals.admit(peer) };
        rooms.host(
            stream,
            async |stream, place| converse(stream, app, (arrival, place)).await,
            async |stream, full| turn_away(stream, &full).await,
        );
    }
}

/// The same, over TCP, with TLS or without.
pub async fn serve_tcp(listener: TcpListener, agent: Agent, remotes: Remotes) {
    let books = Books::of(&agent);
    let rooms = Rooms::new(remotes.most, books.metrics.clone());
    let secure = remotes.handshakes.clone().map(|handshakes| Arc::new(Secure::new(handshakes)));
    let App { router, open } = app(agent.apart());
    let gate = Arc::new(Gate { books, remotes, open });
    // The outermost: nothing is told to those who are not let in, not even whether there is such a route.
    let app = router.layer(middleware::from_fn_with_state(gate, enter_from_afar));
    loop {
        let (stream, from) = next(|| listener.accept()).await;
        // A peer that is gone without a word would keep its place until TCP gives up on it, after a quarter of an hour.
        let most = u32::try_from(WRITE_TIME.as_millis()).unwrap_or(u32::MAX);
        let _ = setsockopt(&stream, sockopt::TcpUserTimeout, &most);
        let _ = stream.set_nodelay(true);
        let (app, secure) = (app.clone(), secure.clone());
        let is_plain = secure.is_none();
        rooms.host(
            stream,
            async move |stream, place| match secure {
                Some(secure) => secure.converse(stream, from, app, place).await,
                None => converse(stream, app, (Visitor { from, holder: None }, place)).await,
            },
            // Over TLS it would take a handshake to say so.
            async move |stream, full| {
                if is_plain {
                    turn_away(stream, &full).await;
                }
            },
        );
    }
}

/// Where is written down what is answered.
#[derive(Clone)]
struct Books {
    audit: Audit,
    metrics: Metrics,
}

impl Books {
    fn of(agent: &Agent) -> Self {
        Self { audit: agent.keeper.audit().clone(), metrics: agent.keeper.metrics().clone() }
    }

    async fn record(&self, by: &By, method: &Method, uri: &Uri, response: Response) -> Response {
        if let Some(code) = response.extensions().get::<ProblemCode>() {
            self.metrics.refused(*code);
        }
        record(&self.audit, by, method, uri, response).await
    }
}

/// The place of a connection: taken until the connection has ended, and what it asked for.
pub type Place = Arc<OwnedSemaphorePermit>;

/// Places for connections, and a few for those that find none.
struct Rooms {
    places: Arc<Semaphore>,
    most: usize,
    waiting: Arc<Semaphore>,
    metrics: Metrics,
}

impl Rooms {
    fn new(most: usize, metrics: Metrics) -> Self {
        let waiting = Arc::new(Semaphore::new(TURNED_AWAY));
        Self { places: Arc::new(Semaphore::new(most)), most, waiting, metrics }
    }

    /// In a task of its own: what is said where there is a place, and what where there is none.
    fn host<S: Send + 'static, F, G>(
        &self,
        stream: S,
        served: impl FnOnce(S, Place) -> F,
        refused: impl FnOnce(S, Problem) -> G,
    ) where
        F: Future<Output = ()> + Send + 'static,
        G: Future<Output = ()> + Send + 'static,
    {
        if let Ok(place) = Arc::clone(&self.places).try_acquire_owned() {
            tokio::spawn(served(stream, Arc::new(place)));
            return;
        }
        self.metrics.refused(ProblemCode::Busy);
        if let Ok(place) = Arc::clone(&self.waiting).try_acquire_owned() {
            let detail = format!("this agent has {} connections already, which is the most", self.most);
            let full = Problem::new(ProblemCode::Busy, detail).hint(
                "ask again in a moment, or over the unix socket of that host, which has places of its own; \
                 `most_connections` in the agent's configuration is the limit over TCP",
            );
            let refused = refused(stream, full);
            tokio::spawn(async move {
                refused.await;
                drop(place);
            });
        }
    }
}

/// Whoever is at the other end of a connection over the unix socket, and whether they are let in.
#[derive(Clone)]
struct Arrival {
    by: String,
    caller: Result<Caller, Problem>,
}

/// What every request over TCP passes.
struct Gate {
    books: Books,
    remotes: Remotes,
    open: Open,
}

/// Over the unix socket the kernel has said who it is, once for all requests of a connection.
async fn enter_locally(
    State(books): State<Books>,
    Extension((Arrival { by, caller }, place)): Extension<(Arrival, Place)>,
    request: Request,
    next: Next,
) -> Response {
    let (parts, body) = request.into_parts();
    let admitted = match caller {
        Ok(caller) => {
            own_site(&parts, None).map(|()| caller.clone()).map_err(|wrong| (By::Caller(caller), wrong))
        }
        Err(unknown) => Err((By::Stranger { by, from: UNIX.to_owned() }, unknown)),
    };
    enter(books, place, admitted, Request::from_parts(parts, body), next).await
}

/// Over TCP each request says so itself. That comes first: who is not known is told so, and nothing else. Nobody is asked who they are
/// for what anybody may read.
async fn enter_from_afar(
    State(gate): State<Arc<Gate>>,
    Extension((visitor, place)): Extension<(Visitor, Place)>,
    request: Request,
    next: Next,
) -> Response {
    let (parts, body) = request.into_parts();
    let stranger = || {
        let from = visitor.from.to_string();
        By::Stranger { by: from.clone(), from }
    };
    if gate.open.has(&parts) {
        return match own_site_or_link(&parts, &gate.remotes.hosts) {
            Ok(()) => {
                let mut response = next.run(Request::from_parts(parts, body)).await;
                // Who is nobody in particular keeps no place for the next question, as after a refusal.
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
                if gate.remotes.handshakes.is_some() || visitor.from.ip().to_canonical().is_loopback() {
                    part_from_opener(&mut response);
                }
                response
            }
            Err(wrong) => {
                let response = Refused(wrong).into_response();
                gate.books.record(&stranger(), &parts.method, &parts.uri, response).await
            }
        };
    }
    let admitted = match gate.remotes.admit(&visitor, &parts.headers) {
        Ok(Known { caller, here }) => here
            .and_then(|()| own_site(&parts, Some(&gate.remotes.hosts)))
            .and_then(|()| is_json_or_empty(&parts.headers, &body))
            .map(|()| caller.clone())
            .map_err(|wrong| (By::Caller(caller), wrong)),
        Err(unknown) => Err((stranger(), unknown)),
    };
    enter(gate.books.clone(), place, admitted, Request::from_parts(parts, body), next).await
}

/// Hands the caller to the handlers; what came of it is recorded, also of those who are not let in.
async fn enter(
    books: Books,
    place: Place,
    admitted: Result<Caller, (By, Problem)>,
    mut request: Request,
    next: Next,
) -> Response {
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let caller = match admitted {
        Ok(caller) => caller,
        Err((by, problem)) => {
            let response = Refused(problem).into_response();
            return books.record(&by, &method, &uri, response).await;
        }
    };
    request.extensions_mut().insert(caller.clone());
    let outlives = changes(&method, &uri);
    let answered = async move {
        let response = next.run(request).await;
        let response = books.record(&By::Caller(caller), &method, &uri, response).await;
        drop(place);
        response
    };
    if !outlives {
        return answered.await;
    }
    // hyper drops what it waits for when the caller hangs up. A change may be made by then, and is recorded and followed all the same;
    // it keeps the place of its connection meanwhile, so that there are never more of these than connections.
    let answered = tokio::spawn(answered).await;
    answered.unwrap_or_else(|_| Refused(problem(&keeper::Error::Stopping)).into_response())
}

fn is_json_or_empty(headers: &HeaderMap, body: &Body) -> Result<(), Problem> {
    let is_json = headers.get(CONTENT_TYPE).is_some_and(|value| says_json(value.as_bytes()));
    if is_json || body.is_end_stream() { Ok(()) } else { Err(not_json()) }
}

/// A form of a web page cannot say so without asking first (Fetch, CORS-safelisted request headers), and nobody answers that.
fn says_json(content_type: &[u8]) -> bool {
    let media = content_type.split(|byte| *byte == b';').next().unwrap_or_default();
    media.trim_ascii().eq_ignore_ascii_case(b"application/json")
}

fn not_json() -> Problem {
    let detail = "over TCP a request with a body has to say that it is JSON";
    Problem::new(ProblemCode::NotJson, detail).hint("send the header `content-type: application/json`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_said_in_its_one_way() {
        for said in
            ["application/json", "Application/JSON", "application/json; charset=utf-8", "application/json ;x"]
        {
            assert!(says_json(said.as_bytes()), "{said}");
        }
        for said in [
            "",
            "text/plain",
            "text/plain; application/json",
            "application/json-patch",
            "application/jsonx",
            "application/x-www-form-urlencoded",
        ] {
            assert!(!says_json(said.as_bytes()), "{said}");
        }
    }
}
