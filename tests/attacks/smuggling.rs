//! Requests that two readers would cut in different places. Whatever is refused or answered, nothing of what hides in a body is done.

use harness::fake_agent::FakeAgent;

use crate::wire::{LOSS, answers, assert_untouched, request, say, status};

const HEAD: &str =
    "POST /v1/faults?dry_run=true HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n";

fn hidden() -> String {
    request("PUT", "/v1/faults/hidden", "", LOSS)
}

#[test]
fn a_length_and_chunks() {
    let agent = FakeAgent::start();
    let hidden = hidden();
    for headers in [
        "content-length: 5\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 5\r\n",
    ] {
        // By its chunks, which RFC 9112, 6.3 has to win, it ends before what hides; and then so does the connection.
        let all = say(&agent, format!("{HEAD}{headers}\r\n0\r\n\r\n{hidden}"));
        assert_eq!((answers(&all), status(&all)), (1, 400), "{headers}: {all}");
        assert_untouched(&agent, headers);
    }
}

#[test]
fn two_lengths() {
    let agent = FakeAgent::start();
    let hidden = hidden();
    for headers in [
        format!("content-length: 0\r\ncontent-length: {}\r\n", hidden.len()),
        format!("content-length: {}\r\ncontent-length: 0\r\n", hidden.len()),
        format!("content-length: 0, {}\r\n", hidden.len()),
        "content-length: +0\r\n".to_owned(),
        "content-length: -1\r\n".to_owned(),
        "content-length: 0x0\r\n".to_owned(),
    ] {
        let all = say(&agent, format!("{HEAD}{headers}\r\n{hidden}"));
        assert_eq!((answers(&all), status(&all)), (1, 400), "{headers}: {all}");
        assert_untouched(&agent, &headers);
    }
}

#[test]
fn chunks_that_are_spelled_otherwise() {
    let agent = FakeAgent::start();
    let hidden = hidden();
    for headers in [
        "transfer-encoding: xchunked\r\n",
        "transfer-encoding: chunked, identity\r\n",
        "transfer-encoding: identity\r\n",
        "transfer-encoding : chunked\r\n",
        "transfer-encoding:\r\n chunked\r\n",
        "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n",
    ] {
        let all = say(&agent, format!("{HEAD}{headers}\r\n0\r\n\r\n{hidden}"));
        assert_eq!((answers(&all), status(&all)), (1, 400), "{headers}: {all}");
        assert_untouched(&agent, headers);
    }
    for chunk in ["-1\r\n\r\n", "0x0\r\n\r\n", "fffffffffffffffff\r\n", "1 \n{\r\n0\r\n\r\n"] {
        let all = say(&agent, format!("{HEAD}transfer-encoding: chunked\r\n\r\n{chunk}{hidden}"));
        assert!(answers(&all) <= 1, "{chunk:?}: {all}");
        assert_untouched(&agent, chunk);
    }
}

#[test]
fn lines_that_end_otherwise() {
    let agent = FakeAgent::start();
    let hidden = hidden();
    for bytes in [
        format!(
            "GET /v1/clock HTTP/1.1\r\nhost: 127.0.0.1\r\nx: a\rcontent-length: {}\r\n\r\n{hidden}",
            hidden.len()
        ),
        format!(
            "GET /v1/clock HTTP/1.1\r\nhost: 127.0.0.1\r\n content-length: {}\r\n\r\n{hidden}",
            hidden.len()
        ),
        format!("GET /v1/clock HTTP/1.1\r\nhost: 127.0.0.1\r\nx\0: a\r\n\r\n{hidden}"),
    ] {
        let all = say(&agent, &bytes);
        assert_eq!((answers(&all), status(&all)), (1, 400), "{all}");
        assert_untouched(&agent, &bytes);
    }
}

#[test]
fn requests_one_after_the_other_are_answered_in_their_order() {
    let agent = FakeAgent::start();
    let first = "GET /v1/clock HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n";
    let statuses = |requests: &str| {
        let all = say(&agent, requests);
        all.split("HTTP/1.1 ").skip(1).map(|answer| answer[..3].to_owned()).collect::<Vec<_>>()
    };
    let last = request("GET", "/nothing", "", "");
    assert_eq!(statuses(&format!("{first}{first}{last}")), ["200", "200", "404"]);
    // Behind a refusal nothing is answered, and nothing done.
    let refused = "GET /v1/clock HTTP/1.1\r\nhost: evil.example\r\n\r\n";
    assert_eq!(statuses(&format!("{first}{refused}{}", hidden())), ["200", "403"]);
    assert_untouched(&agent, "a pipeline");
}

#[test]
fn another_protocol() {
    let agent = FakeAgent::start();
    let http2 = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let upgrade =
        "connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQAAP__\r\n";
    assert!(answers(&say(&agent, http2)) <= 1);
    let all = say(
        &agent,
        format!("GET /v1/clock HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n{upgrade}\r\n"),
    );
    assert_eq!(status(&all), 200, "an upgrade may be ignored: RFC 9110, 7.8");
    let connect = "CONNECT 10.0.0.5:22 HTTP/1.1\r\nhost: 10.0.0.5:22\r\nconnection: close\r\n\r\n";
    assert_eq!(status(&say(&agent, connect)), 404);
    assert_untouched(&agent, "protocols");
}
