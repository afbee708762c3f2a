use std::net::SocketAddr;

use super::*;
use crate::gameday::file::Ask;
use crate::gameday::probe::fake::{Fake, Says, ask, hostile, table};

fn question(at: SocketAddr) -> Ask {
    with(at, &[], None)
}

fn with(at: SocketAddr, status: &[u16], json: Option<(&str, Comparison)>) -> Ask {
    let json = json.map(|(path, wanted)| (path.to_owned(), wanted));
    let url = format!("http://{at}/healthz?full=1");
    Ask::Http { url, headers: BTreeMap::new(), body: None, status: status.to_owned(), json }
}

fn answer(status: &str, body: &str) -> Says {
    Says::After(format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into())
}

#[tokio::test]
async fn any_success_holds_or_just_those_that_are_wanted() {
    table(
        question,
        &[
            (answer("200 OK", ""), Ok("200 OK")),
            (answer("204 No Content", ""), Ok("204 No Content")),
            (answer("299 Whatever", ""), Ok("299")),
            (answer("301 Moved Permanently", ""), Err("301 Moved Permanently")),
            (answer("404 Not Found", "no"), Err("404 Not Found")),
            (answer("503 Service Unavailable", ""), Err("503 Service Unavailable")),
            (Says::After(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n".into()), Ok("200 OK")),
            (Says::After(b"+PONG\r\n".into()), Err("no answer of HTTP: invalid HTTP version parsed")),
            (Says::HangsUp, Err("it closed the connection without an answer")),
        ],
    )
    .await;
    let wanted = |at| with(at, &[401, 503], None);
    table(
        wanted,
        &[
            (answer("503 Service Unavailable", ""), Ok("503 Service Unavailable")),
            (answer("200 OK", ""), Err("200 OK")),
        ],
    )
    .await;
    // The body is not waited for.
    let stuck = Says::AfterAndStays(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n".into());
    table(question, &[(stuck, Ok("200 OK"))]).await;
    hostile(question).await;
}

#[tokio::test]
async fn what_is_in_the_answer_counts_where_it_is_asked_for() {
    let up = |at| with(at, &[], Some(("checks.redis", Comparison::Equals("up".to_owned()))));
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n{\"checks\r\n13\r\n\":{\"redis\":\"up\"}}  \r\n0\r\n\r\n";
    table(
        up,
        &[
            (answer("200 OK", r#"{"checks": {"redis": "up"}}"#), Ok("200 OK, checks.redis is up")),
            (answer("200 OK", r#"{"checks": {"redis": "down"}}"#), Err("200 OK, checks.redis is down")),
            (answer("200 OK", "{}"), Err("200 OK, the answer has no checks.redis")),
            (
                answer("500 Internal Server Error", r#"{"checks": {"redis": "up"}}"#),
                Err("500 Internal Server Error"),
            ),
            (Says::After(chunked.into()), Ok("200 OK, checks.redis is up")),
            (
                Says::After(format!("HTTP/1.1 200 OK\r\n\r\n{}", "a".repeat(LONGEST + 1)).into()),
                Err("the answer is longer than 1 MiB"),
            ),
            (
                Says::After(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{".into()),
                Err("the answer breaks off: end of file before message length reached"),
            ),
        ],
    )
    .await;
    hostile(up).await;
}

#[tokio::test]
async fn requests_have_their_headers_and_a_connection_of_their_own() {
    let server = Fake::says(answer("200 OK", "")).await;
    let headers = [("X-API-Key", "secret"), ("Host", "api.example")];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let url = format!("http://localhost:{}/a/b?c=d%20e#f", server.at.port());
    let question =
        Ask::Http { url, headers, body: Some("{\"a\": 1}".to_owned()), status: Vec::new(), json: None };
    assert_eq!(ask(question).await, Ok("200 OK".to_owned()));
    let asked = server.asked().await.to_ascii_lowercase();
    assert!(
        asked.starts_with("post /a/b?c=d%20e http/1.1\r\n") && asked.ends_with("\r\n\r\n{\"a\": 1}"),
        "{asked}"
    );
    for header in [
        "host: api.example",
        "connection: close",
        "x-api-key: secret",
        "content-type: application/json",
        "content-length: 8",
    ] {
        assert!(asked.contains(&format!("\r\n{header}\r\n")), "{header}: {asked}");
    }
}

#[tokio::test]
async fn without_tls_there_is_no_https() {
    let at = |at: SocketAddr| Ask::Http {
        url: format!("https://{at}/"),
        headers: BTreeMap::new(),
        body: None,
        status: Vec::new(),
        json: None,
    };
    let server = Fake::says(Says::AtOnce(b"HTTP/1.1 400 Bad Request\r\n\r\n".into())).await;
    let found = ask(at(server.at)).await.unwrap_err();
    assert!(found.starts_with("no TLS with it: "), "{found}");
    hostile(at).await;
}

#[test]
fn what_makes_no_request_is_refused_without_what_is_secret() {
    let site = |url: &str, name: &str, value: &str| {
        Site::new(url, &BTreeMap::from([(name.to_owned(), value.to_owned())])).err().unwrap()
    };
    for (url, name, value, error) in [
        ("healthz", "a", "b", "the URL: relative URL without a base"),
        ("ftp://a/", "a", "b", "the URL begins with `ftp:`: write http:// or https://"),
        ("http://u:s3cret@a/", "a", "b", "the URL has a user or a password in it"),
        ("http://a/", "a b", "s3cret", "`a b` is no name of a header"),
        ("http://a/", "a", "s3cret\r\nx: y", "the value of the header `a` has characters"),
    ] {
        let found = site(url, name, value);
        assert!(found.starts_with(error) && !found.contains("s3cret"), "{url}: {found}");
    }
    let url = |text: &str| shown(&text.parse().unwrap());
    assert_eq!(url("https://u:p@a.example:8443/b/c?key=s3cret#d"), "https://a.example:8443/b/c?…");
    assert_eq!(url("http://[fd00::1]/"), "http://[fd00::1]/");
}
