//! The page of the console, which anybody may read: what a stranger or another site could make of that.

use std::io::{Read, Write};

use harness::fake_agent::{FakeAgent, Options};
use partition_agent_proto::ProblemCode::{Busy, Forbidden, Malformed, Unauthorized};
use tempfile::TempDir;

use crate::pki::Pki;
use crate::tokens::{agent, bearer};
use crate::wire::{LOSS, assert_untouched, problem, request, say, status, tcp};

const FILES: [&str; 6] = ["/", "/console.css", "/console.js", "/form.js", "/fleet.js", "/live.js"];

/// Whether a word is in what is served to everybody, on any host.
fn is_in_the_files(word: &str) -> bool {
    let files = [
        include_str!("../../agent/src/console/console.html"),
        include_str!("../../agent/src/console/console.css"),
        include_str!("../../agent/src/console/console.js"),
        include_str!("../../agent/src/console/form.js"),
        include_str!("../../agent/src/console/fleet.js"),
        include_str!("../../agent/src/console/live.js"),
    ];
    files.iter().any(|file| file.contains(word))
}

/// But for the time of day.
fn timeless(answer: &str) -> String {
    answer.lines().filter(|line| !line.starts_with("date: ")).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_stranger_reads_a_page_that_says_nothing_of_the_host_or_of_who_asks() {
    let dir = TempDir::new().unwrap();
    let (guarded, open) = (agent(dir.path()), FakeAgent::start());
    let injected = say(&guarded, request("PUT", "/v1/faults/cut", &bearer("injects"), LOSS));
    assert_eq!(status(&injected), 201);
    let uname = nix::sys::utsname::uname().unwrap();
    for path in FILES {
        let answer = say(&guarded, request("GET", path, "", ""));
        assert_eq!(status(&answer), 200, "{path}");
        for told in
            [uname.nodename().to_str().unwrap(), uname.release().to_str().unwrap(), env!("CARGO_PKG_VERSION")]
        {
            // A host may be called by a word that is in every page: then it is there on any other, too.
            assert!(is_in_the_files(told) || !answer.contains(told), "{path} tells {told}");
        }
        // Byte for byte the same, whoever asks, whatever is in force, and on an agent that lets everybody in.
        for (agent, headers) in [
            (&guarded, bearer("looks")),
            (&guarded, bearer("elsewhere")),
            (&guarded, "authorization: Bearer nonsense\r\n".to_owned()),
            (&guarded, "authorization: a\r\nauthorization: b\r\n".to_owned()),
            (&open, String::new()),
        ] {
            assert_eq!(
                timeless(&say(agent, request("GET", path, &headers, ""))),
                timeless(&answer),
                "{path} {headers}"
            );
        }
    }
}

#[test]
fn a_stranger_gets_no_further_by_the_page_than_without_it() {
    let dir = TempDir::new().unwrap();
    let agent = agent(dir.path());
    let refused = timeless(&say(&agent, request("GET", "/v1/faults", "", "")));
    assert_eq!(status(&refused), 401);
    for path in FILES {
        for method in ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "get"] {
            assert_eq!(timeless(&say(&agent, request(method, path, "", ""))), refused, "{method} {path}");
        }
    }
    for path in [
        "//",
        "/.",
        "/./v1/faults",
        "/index.html",
        "/console.html",
        "/console.js/",
        "/CONSOLE.JS",
        "/console.js%00",
        "/%63onsole.js",
        "/console.js/../v1/faults",
        "/console.css/../v1/whoami",
        "/v1/whoami",
        "/v1/info",
        "/favicon.ico",
        "/;/v1/faults",
    ] {
        assert_eq!(timeless(&say(&agent, request("GET", path, "", ""))), refused, "{path}");
    }
    // Headers that some servers take for the real path or method.
    let other =
        "x-original-url: /v1/faults\r\nx-rewrite-url: /v1/faults\r\nx-http-method-override: DELETE\r\n";
    let page = say(&agent, request("GET", "/", other, ""));
    assert!(status(&page) == 200 && page.contains("<!DOCTYPE html>"), "{page}");
    // A request after that on the same connection is one like any other.
    let two = format!("GET / HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n{}", request("GET", "/v1/faults", "", ""));
    // It is hung up on after the first: a stranger keeps no place.
    let answer = say(&agent, two);
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    assert!(answer.to_ascii_lowercase().contains("connection: close"), "{answer}");
    assert_untouched(&agent, "the page");
}

#[test]
fn a_name_that_somebody_else_has_pointed_here_gets_no_page() {
    let dir = TempDir::new().unwrap();
    for agent in [agent(dir.path()), FakeAgent::start()] {
        for path in FILES {
            let ask =
                |hosts: &str| say(&agent, format!("GET {path} HTTP/1.1\r\n{hosts}connection: close\r\n\r\n"));
            let refused = problem(&ask("host: evil.example:7433\r\n"));
            assert_eq!(refused.code, Forbidden, "{path}");
            // Whoever has opened it by a name that is not listed has to be told so: a browser shows no token yet.
            assert!(refused.hint.unwrap().contains("`hosts`"));
            let navigates = "host: evil.example\r\nsec-fetch-mode: navigate\r\nsec-fetch-dest: document\r\n";
            assert_eq!(problem(&ask(navigates)).code, Forbidden, "{path}");
            for hosts in ["", "host: 127.0.0.1\r\nhost: evil.example\r\n"] {
                assert_eq!(problem(&ask(hosts)).code, Malformed, "{path} {hosts:?}");
            }
        }
    }
}

#[test]
fn another_site_links_to_the_page_and_neither_frames_it_nor_loads_its_scripts() {
    let dir = TempDir::new().unwrap();
    for agent in [agent(dir.path()), FakeAgent::start()] {
        let asks = |path: &str, mode: &str, dest: &str| {
            let headers =
                format!("sec-fetch-site: cross-site\r\nsec-fetch-mode: {mode}\r\nsec-fetch-dest: {dest}\r\n");
            say(&agent, request("GET", path, &headers, ""))
        };
        let linked = asks("/", "navigate", "document");
        assert_eq!(status(&linked), 200);
        assert!(
            linked.contains("frame-ancestors 'none'")
                && linked.contains("cross-origin-opener-policy: same-origin")
        );
        assert!(!linked.to_ascii_lowercase().contains("access-control"), "{linked}");
        for path in FILES {
            for (mode, dest) in [
                ("navigate", "iframe"),
                ("navigate", "frame"),
                ("no-cors", "script"),
                ("no-cors", "style"),
                ("cors", "empty"),
            ] {
                assert_eq!(problem(&asks(path, mode, dest)).code, Forbidden, "{path} {mode} {dest}");
            }
            let origin = say(&agent, request("GET", path, "origin: http://evil.example\r\n", ""));
            assert_eq!(problem(&origin).code, Forbidden, "{path}");
        }
        // A link to what the API tells is refused as ever; of strangers, because they are strangers.
        let data = problem(&asks("/v1/faults", "navigate", "document")).code;
        assert!([Forbidden, Unauthorized].contains(&data), "{data:?}");
    }
}

#[test]
fn the_page_has_no_way_to_make_markup_or_code_of_a_text_and_keeps_nothing() {
    let agent = FakeAgent::start();
    for path in FILES {
        let answer = say(&agent, request("GET", path, "", ""));
        let (_, file) = answer.split_once("\r\n\r\n").unwrap();
        for way in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "setHTML",
            "srcdoc",
            "createContextualFragment",
            "DOMParser",
            "eval(",
            "Function(",
            "javascript:",
            "setTimeout('",
            "import(",
            "localStorage",
            "sessionStorage",
            "indexedDB",
            "cookie",
            "postMessage",
            "window.open",
            " style=\"",
            " onclick",
            " onload",
            " onerror",
        ] {
            assert!(!file.contains(way), "{path} has {way}");
        }
        assert_eq!(file.matches("<script").count(), file.matches("<script src=\"").count(), "{path}");
    }
}

#[test]
fn the_page_takes_a_place_among_the_connections_like_anything_else() {
    let access = "insecure_loopback = true\nmost_connections = 2\n".to_owned();
    let agent = FakeAgent::with(Options { access, ..Options::default() });
    let mut held = [tcp(&agent), tcp(&agent)];
    for stream in &mut held {
        stream.write_all(b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n").unwrap();
        assert!(stream.read(&mut [0; 4096]).unwrap() > 0);
    }
    assert_eq!(problem(&say(&agent, request("GET", "/", "", ""))).code, Busy);
}

#[test]
fn who_reads_the_page_washes_nothing_out_of_the_record() {
    let dir = TempDir::new().unwrap();
    let agent = agent(dir.path());
    assert_eq!(status(&say(&agent, request("PUT", "/v1/faults/cut", &bearer("injects"), LOSS))), 201);
    for _ in 0..50 {
        assert_eq!(status(&say(&agent, request("GET", "/", "", ""))), 200);
    }
    let lines = || say(&agent, request("GET", "/v1/audit?limit=100", &bearer("rules"), ""));
    assert!(!lines().contains(r#""path":"/""#), "{}", lines());
    // What is refused is written down as what strangers do.
    assert_eq!(status(&say(&agent, request("GET", "/", "origin: http://evil.example\r\n", ""))), 403);
    assert!(lines().contains(r#""path":"/","status":403"#), "{}", lines());
    assert!(lines().contains("token injects from"), "{}", lines());
}

#[test]
fn over_tls_the_page_is_for_those_who_get_past_the_handshake() {
    let pki = Pki::new();
    pki.client("nobody", "/CN=nobody");
    let dir = TempDir::new().unwrap();
    harness::fake_agent::write_token(&dir.path().join("token"), "the-token-for-all");
    let tokens = format!(
        "[[tokens]]\nname = 'all'\nfile = '{}'\nrole = 'admin'\n",
        dir.path().join("token").display()
    );
    let both =
        FakeAgent::with(Options { access: format!("{}{tokens}", pki.tls(true)), ..Options::default() });
    // A certificate without a role gets the page, and nothing that is shown in it.
    for client in [None, Some("nobody")] {
        let (page, said) = pki.get(&both, client, "/");
        assert!(status(&page) == 200 && page.contains("cross-origin-opener-policy: same-origin"), "{said}");
        let (refused, _) = pki.get(&both, client, "/v1/whoami");
        assert!([Unauthorized, Forbidden].contains(&problem(&refused).code), "{refused}");
    }
    // Where certificates are the only way in, nobody without one gets anything at all.
    let (nothing, said) = pki.get(&pki.agent(), None, "/");
    assert_eq!(nothing, "", "{said}");
}
