//! mTLS: whose certificate is believed, and what it is good for.

use harness::fake_agent::{FakeAgent, Options};
use partition_agent_proto::ProblemCode::{Forbidden, Malformed, Unauthorized};

use crate::pki::Pki;
use crate::wire::{LOSS, assert_untouched, problem, request, say, status};

#[test]
fn a_certificate_has_a_name_and_a_role() {
    let pki = Pki::new();
    pki.client("alice", "/OU=inject/CN=alice");
    pki.client("eve", "/O=Example/OU=Engineering/OU=observe/CN=Eve of Ops");
    let agent = pki.agent();
    let (answer, said) = pki.ask(&agent, Some("alice"), &request("PUT", "/v1/faults/cut", "", LOSS), &[]);
    assert_eq!(status(&answer), 201, "{said}");
    assert!(answer.contains(r#""by":"certificate alice from 127.0.0.1:"#), "{answer}");
    let (answer, _) = pki.get(&agent, Some("eve"), "/v1/faults");
    assert_eq!(status(&answer), 200);
    let (answer, _) = pki.ask(&agent, Some("eve"), &request("DELETE", "/v1/faults/cut", "", ""), &[]);
    let refused = problem(&answer);
    assert_eq!(refused.code, Forbidden);
    for part in [
        "DELETE /v1/faults/cut takes the role inject",
        "certificate Eve of Ops from 127.0.0.1:",
        "has observe",
        "OU",
    ] {
        assert!(refused.detail.contains(part), "{refused}");
    }
}

/// What the handshake refuses: no answer at all, and an alert that says why.
fn refused_in_the_handshake(pki: &Pki, agent: &FakeAgent, client: Option<&str>, alert: &str) {
    let (answer, said) = pki.get(agent, client, "/v1/faults");
    assert_eq!(answer, "", "{said}");
    assert!(said.contains(alert), "{said}");
    assert_untouched(agent, alert);
}

#[test]
fn no_certificate() {
    let pki = Pki::new();
    refused_in_the_handshake(&pki, &pki.agent(), None, "certificate required");
}

#[test]
fn an_expired_certificate() {
    let pki = Pki::new();
    pki.signed("ca", "late", "/OU=admin/CN=late", "extendedKeyUsage=clientAuth", "-1");
    refused_in_the_handshake(&pki, &pki.agent(), Some("late"), "certificate expired");
}

#[test]
fn a_certificate_of_another_authority_with_the_same_name() {
    let pki = Pki::new();
    let other = Pki::new();
    other.client("mallory", "/OU=admin/CN=mallory");
    for file in ["mallory.pem", "mallory.key"] {
        std::fs::copy(other.path(file), pki.path(file)).unwrap();
    }
    // The names of both authorities are the same: it is the key that counts.
    let (answer, said) = pki.get(&pki.agent(), Some("mallory"), "/v1/faults");
    assert_eq!(answer, "", "{said}");
    assert!(said.contains("decrypt error"), "{said}");
}

#[test]
fn a_certificate_that_was_signed_by_a_client() {
    let pki = Pki::new();
    pki.client("alice", "/OU=observe/CN=alice");
    pki.signed("alice", "forged", "/OU=admin/CN=forged", "extendedKeyUsage=clientAuth", "7");
    let (answer, said) = pki.ask(
        &pki.agent(),
        Some("forged"),
        &request("GET", "/v1/faults", "", ""),
        &["-cert_chain", "alice.pem"],
    );
    assert_eq!(answer, "", "{said}");
    assert!(said.contains("certificate unknown"), "{said}");
}

#[test]
fn a_servers_certificate_is_no_clients() {
    let pki = Pki::new();
    pki.signed("ca", "other", "/OU=admin/CN=other", "extendedKeyUsage=serverAuth", "7");
    let (answer, said) = pki.get(&pki.agent(), Some("other"), "/v1/faults");
    assert_eq!(answer, "", "{said}");
    assert!(said.contains("unsupported certificate"), "{said}");
}

#[test]
fn a_certificate_without_a_role_or_with_a_name_for_the_log() {
    let pki = Pki::new();
    for (nth, (subject, reason)) in [
        ("/CN=nobody", "the certificate of nobody has no role (OU)"),
        ("/OU=root/CN=nobody", "has no role (OU)"),
        ("/OU=Admin/CN=nobody", "has no role (OU)"),
        ("/OU=observe/OU=admin/CN=both", "the certificate of both has 2 roles (OU), not one"),
        ("/OU=admin", "has 0 names (CN), not one"),
        ("/OU=admin/CN=one/CN=two", "has 2 names (CN), not one"),
        ("/OU=admin/CN=a\nuid 0", r"`a\nuid 0` in the client's certificate is no name"),
        ("/OU=admin/CN=\u{1b}[31mred", r"`\u{1b}[31mred` in the client's certificate is no name"),
        ("/OU=admin/CN=al\u{ef}ce", "is no name"),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("client{nth}");
        pki.client(&name, subject);
        let agent = pki.agent();
        let (answer, said) = pki.ask(&agent, Some(&name), &request("PUT", "/v1/faults/cut", "", LOSS), &[]);
        assert!(!answer.is_empty(), "{subject}: {said}");
        let refused = problem(&answer);
        assert_eq!(refused.code, Forbidden, "{subject}");
        assert!(refused.detail.contains(reason), "{subject}: {refused}");
        assert_untouched(&agent, subject);
    }
}

#[test]
fn a_certificate_or_a_token_where_both_are_taken() {
    let pki = Pki::new();
    pki.client("alice", "/OU=observe/CN=alice");
    pki.client("nobody", "/CN=nobody");
    let both = Options { access: pki.tls(true), token: Some("0123456789abcdef"), ..Options::default() };
    let agent = FakeAgent::with(both);
    let with = |header: &str| request("GET", "/v1/faults", header, "");
    let token = "authorization: Bearer 0123456789abcdef\r\n";
    for (client, header, code) in [
        (Some("alice"), "", 200),
        (None, token, 200),
        // The token is what they chose to show.
        (Some("nobody"), token, 200),
        (Some("alice"), "authorization: Bearer 0123456789abcdeg\r\n", 401),
        (Some("nobody"), "", 403),
        (None, "", 401),
    ] {
        let (answer, said) = pki.ask(&agent, client, &with(header), &[]);
        assert!(!answer.is_empty(), "{said}");
        assert_eq!(status(&answer), code, "{client:?} {header}: {answer}");
    }
}

#[test]
fn tls_without_an_authority_takes_tokens() {
    let pki = Pki::new();
    pki.client("alice", "/OU=admin/CN=alice");
    let options = Options { access: pki.tls(false), token: Some("0123456789abcdef"), ..Options::default() };
    let agent = FakeAgent::with(options);
    let (answer, _) = pki.get(&agent, Some("alice"), "/v1/faults");
    assert_eq!(problem(&answer).code, Unauthorized, "a certificate that nobody asked for");
    let bearer = "authorization: Bearer 0123456789abcdef\r\n";
    let (answer, _) = pki.ask(&agent, None, &request("GET", "/v1/faults", bearer, ""), &[]);
    assert_eq!(status(&answer), 200);
}

#[test]
fn older_tls_is_refused() {
    let pki = Pki::new();
    pki.client("alice", "/OU=admin/CN=alice");
    let agent = pki.agent();
    let (answer, said) = pki.ask(&agent, Some("alice"), &request("GET", "/v1/faults", "", ""), &["-tls1_2"]);
    assert_eq!(answer, "", "{said}");
    assert!(said.contains("protocol version"), "{said}");
}

#[test]
fn http_on_the_port_of_tls_is_told_so_and_tls_on_the_port_of_http_is_hung_up_on() {
    let pki = Pki::new();
    let answer = say(&pki.agent(), request("PUT", "/v1/faults/cut", "", LOSS));
    let refused = problem(&answer);
    assert_eq!(refused.code, Malformed);
    assert!(refused.detail.contains("speaks TLS") && refused.hint.unwrap().contains("https://"));
    let plain = FakeAgent::start();
    let (answer, said) = pki.get(&plain, None, "/v1/faults");
    assert_eq!(answer, "");
    assert!(said.contains("wrong version number") || said.contains("packet length too long"), "{said}");
    assert_untouched(&plain, "TLS");
}

#[test]
fn the_names_in_the_agents_own_certificate_are_its_names() {
    let pki = Pki::new();
    pki.client("alice", "/OU=admin/CN=alice");
    let agent = pki.agent();
    for (host, code) in [("agent.example", 200), ("agent.example:7433", 200), ("evil.example", 403)] {
        let request = format!("GET /v1/clock HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        let (answer, _) = pki.ask(&agent, Some("alice"), &request, &[]);
        assert_eq!(status(&answer), code, "{host}: {answer}");
    }
}
