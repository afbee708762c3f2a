//! What is in a path, a body or a name: climbing, bombs, and text that is meant for somebody else.

use harness::fake_agent::FakeAgent;
use partition_agent_proto::KEEP_HEADER;

use crate::wire::{LOSS, assert_untouched, problem, request, say, status};

#[test]
fn a_path_that_climbs() {
    let agent = FakeAgent::start();
    for path in [
        "/v1/faults/../../etc/passwd",
        "/v1/faults/..",
        "/v1/faults/%2e%2e",
        "/v1/faults/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "/v1/faults/..%2f..%2fetc%2fpasswd",
        "/v1/faults/cut%00",
        "/v1/faults/%00",
        "/v1/faults/cut%0d%0ax-header:%20y",
        "/v1/faults/cut%5c..",
        "/v1/faults/%252e%252e",
        "//v1/faults",
        "/v1//faults",
        "/v1/faults/./cut",
    ] {
        for (method, body) in [("GET", ""), ("PUT", LOSS), ("DELETE", "")] {
            let answer = say(&agent, request(method, path, "", body));
            assert!([400, 404, 422].contains(&status(&answer)), "{method} {path}: {answer}");
            assert!(!answer.contains("root:") && !answer.contains("\r\nx-header"), "{answer}");
        }
    }
    // Bytes that no path may have end the connection.
    for path in ["/v1/faults/\0", "/v1/faults/\u{7f}", "/v1/faults/a b"] {
        assert_eq!(status(&say(&agent, request("GET", path, "", ""))), 400, "{path:?}");
    }
    assert_untouched(&agent, "paths");
}

#[test]
fn a_bomb_of_json() {
    let agent = FakeAgent::start();
    let deep =
        |open: &str, close: &str, depth: usize| format!("{}{}", open.repeat(depth), close.repeat(depth));
    let many = (0..7_000).map(|nth| format!(r#""{nth}":0"#)).collect::<Vec<_>>().join(",");
    let digits = "9".repeat(60_000);
    for (body, code) in [
        (deep("[", "]", 30_000), 400),
        (deep(r#"{"a":"#, "}", 9_000), 400),
        (format!("{{\"kinds\":{}}}", deep("[", "]", 30_000)), 400),
        (LOSS.replace("30", "1e999999999"), 400),
        (LOSS.replace("30", "-1e400"), 400),
        (LOSS.replace("30", &digits), 400),
        (LOSS.replace("30", &format!("0.{}1", "0".repeat(60_000))), 422),
        (LOSS.replace("30", "NaN"), 400),
        (format!("{{{many}}}"), 422),
        (format!("[{}]", vec!["{}"; 20_000].join(",")), 422),
        (LOSS.replace("10.0.0.5", &"a".repeat(60_000)), 422),
    ] {
        let answer = say(&agent, request("PUT", "/v1/faults/cut", "", &body));
        let told = problem(&answer);
        assert_eq!(told.status, code, "{}...: {told}", &body[..40]);
        assert!(answer.len() < 100_000, "{} bytes of answer", answer.len());
        assert_untouched(&agent, &body[..40]);
    }
}

#[test]
fn a_name_that_comes_twice() {
    let agent = FakeAgent::start();
    for body in [
        LOSS.replace(r#""target":"#, r#""target":{"peers":["10.0.0.6"]},"target":"#),
        LOSS.replace(r#""peers":"#, r#""peers":["10.0.0.6"],"peers":"#),
        LOSS.replace(r#""percent":30"#, r#""percent":1,"percent":30"#),
        LOSS.replace(r#""percent":30"#, r#""percent":1,"\u0070ercent":30"#),
        LOSS.replace(r#"{"loss":{"percent":30}}"#, r#"{"loss":{"percent":30},"loss":{"percent":1}}"#),
        LOSS.replacen('{', r#"{"scope":{"user":"a","user":"b"},"#, 1),
    ] {
        let answer = say(&agent, request("PUT", "/v1/faults/cut", "", &body));
        let refused = problem(&answer);
        assert_eq!(refused.status, 422, "{body}");
        assert!(refused.detail.contains("duplicate field `"), "{body}: {refused}");
    }
    assert_untouched(&agent, "duplicates");
}

#[test]
fn a_name_that_is_meant_for_nft_a_shell_or_a_terminal() {
    let agent = FakeAgent::start();
    for name in [
        r#"\"; drop"#,
        "10.0.0.5 } ; flush ruleset",
        "a;reboot",
        "$(reboot)",
        "`reboot`",
        r"a\nb",
        r"\u001b[31mred",
        r"\u0000",
        r"..\/..\/etc",
        r"a\u202eb",
        "@f1_eg4",
    ] {
        for body in [
            LOSS.replace("10.0.0.5", name),
            LOSS.replacen('{', &format!(r#"{{"interface":"{name}","#), 1),
            LOSS.replacen('{', &format!(r#"{{"scope":{{"netns":"{name}"}},"#), 1),
            LOSS.replacen('{', &format!(r#"{{"scope":{{"cgroup":"{name}"}},"#), 1),
            LOSS.replacen('{', &format!(r#"{{"scope":{{"user":"{name}"}},"#), 1),
            LOSS.replace(
                r#""loss":{"percent":30}"#,
                &format!(r#""dns":{{"names":["{name}"],"answer":"nxdomain"}}"#),
            ),
        ] {
            let answer = say(&agent, request("PUT", "/v1/faults/cut", "", &body));
            assert!((400..500).contains(&status(&answer)), "{body}: {answer}");
            // In JSON, and so escaped, whatever it was.
            let (_, told) = answer.split_once("\r\n\r\n").unwrap();
            assert!(told.chars().all(|char| !char.is_control()), "{body}: {told:?}");
            assert_untouched(&agent, &body);
        }
    }
    assert_record_is_legible(&agent);
}

/// Nothing in the audit log steers the terminal of who reads it, whatever was sent.
fn assert_record_is_legible(agent: &FakeAgent) {
    let answer = say(agent, request("GET", "/v1/audit?limit=10000", "", ""));
    let (_, log) = answer.split_once("\r\n\r\n").unwrap();
    assert!(log.matches(r#""what":"a"#).count() > 1, "{log}");
    let steers = |c: char| c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    assert!(!log.contains(steers) && !log.contains(r"\u00"), "{log:?}");
}

#[test]
fn what_a_terminal_takes_for_a_command_is_no_name() {
    let agent = FakeAgent::start();
    for name in [r"a\u001b[2J", r"a\u009bm", r"a\u007f", r"a\rb", r"a\u202eb", r"a\u2066b"] {
        for body in [
            LOSS.replacen('{', &format!(r#"{{"interface":"{name}","#), 1),
            LOSS.replacen('{', &format!(r#"{{"scope":{{"netns":"/{name}"}},"#), 1),
            LOSS.replacen('{', &format!(r#"{{"scope":{{"cgroup":"/{name}"}},"#), 1),
            LOSS.replacen('{', &format!(r#"{{"scope":{{"label":"{name}"}},"#), 1),
            LOSS.replace("10.0.0.5", &format!("compose:{name}/x")),
        ] {
            let told = problem(&say(&agent, request("PUT", "/v1/faults/cut", "", &body)));
            assert_eq!(told.code, partition_agent_proto::ProblemCode::Invalid, "{body}: {told}");
        }
    }
    assert_untouched(&agent, "names");
    // In the path they are percent-encoded, and in no header of the log.
    assert_record_is_legible(&agent);
}

#[test]
fn a_header_that_is_meant_for_a_log() {
    let agent = FakeAgent::start();
    for value in ["\u{1b}[31mred", "a\u{7f}b", "192.0.2.7 1 192.0.2.1 22 \u{1b}[0m", "x; drop"] {
        let answer =
            say(&agent, request("PUT", "/v1/faults/cut", &format!("{KEEP_HEADER}: {value}\r\n"), LOSS));
        assert!([400, 422].contains(&status(&answer)), "{value:?}: {answer}");
        assert!(!answer.contains('\u{1b}'), "{answer:?}");
    }
    assert_untouched(&agent, "headers");
    // What says who asks is never taken from a header.
    let forged =
        "x-forwarded-for: 192.0.2.1\r\nforwarded: for=192.0.2.1\r\nx-real-ip: 192.0.2.1\r\nfrom: root\r\n";
    let answer = say(&agent, request("PUT", "/v1/faults/cut", forged, LOSS));
    assert_eq!(status(&answer), 201);
    assert!(answer.contains(r#""by":"127.0.0.1:"#) && !answer.contains("192.0.2.1"), "{answer}");
}

#[test]
fn a_body_that_is_too_large() {
    let agent = FakeAgent::start();
    let large = format!("{LOSS}{}", " ".repeat(70_000));
    assert_eq!(problem(&say(&agent, request("PUT", "/v1/faults/cut", "", &large))).status, 413);
    // Said, and never sent.
    let head = "PUT /v1/faults/cut HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n";
    assert_eq!(status(&say(&agent, format!("{head}content-length: 99999999999\r\n\r\n"))), 413);
    assert_eq!(status(&say(&agent, format!("{head}content-length: 99999999999999999999999\r\n\r\n"))), 400);
    assert_untouched(&agent, "large");
}

#[test]
fn a_head_that_is_too_large() {
    let agent = FakeAgent::start();
    let long = format!("x-long: {}\r\n", "a".repeat(20_000));
    assert_eq!(status(&say(&agent, request("GET", "/v1/clock", &long, ""))), 431);
    let many = (0..100).map(|nth| format!("x-{nth}: a\r\n")).collect::<String>();
    assert_eq!(status(&say(&agent, request("GET", "/v1/clock", &many, ""))), 431);
    let path = format!("/v1/faults/{}", "a".repeat(20_000));
    assert!([414, 431].contains(&status(&say(&agent, request("GET", &path, "", "")))));
    let endless = format!("GET /v1/clock HTTP/1.1\r\nhost: {}", "a".repeat(200_000));
    assert_eq!(status(&say(&agent, endless)), 431);
}
