//! From an empty directory to a cut over TLS: `ca`, a real agent with what it made, and the command line on another host.

use harness::agent::Agent;
use harness::lab::{APP_TO_REDIS, Lab, REDIS, address};
use harness::traffic::{answers, serve_tcp};
use harness::{binary, text};

use crate::PATIENCE;

#[test]
fn with_what_ca_makes_another_host_cuts_and_heals_this_one() {
    let lab = Lab::new();
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca").display().to_string();
    let program = binary().display().to_string();
    let issue = |words: &[&str]| {
        let made = lab.redis.output(&program, &[&["ca"], words, &["--dir", &ca]].concat());
        assert!(made.status.success(), "{words:?}: {}", text(&made.stderr));
    };
    issue(&["init"]);
    issue(&["issue", "app", "--host", APP_TO_REDIS]);
    issue(&["issue", "alice", "--role", "inject"]);
    let agent = Agent::start(
        &lab.app,
        &format!(
            "listen = '{APP_TO_REDIS}:7433'\n[tls]\ncert = '{ca}/app.crt'\nkey = '{ca}/app.key'\nclient_ca = '{ca}/ca.crt'\n"
        ),
    );
    let service = std::net::SocketAddr::new(address(REDIS), 6379);
    serve_tcp(&lab.redis, service);
    let at = format!("https://{APP_TO_REDIS}:7433");
    let [root, cert, key] = ["ca.crt", "alice.crt", "alice.key"].map(|name| format!("{ca}/{name}"));
    let ask = |words: &[&str]| {
        let flags = ["--agent", &at, "--tls-ca", &root, "--tls-cert", &cert, "--tls-key", &key];
        let done = lab.redis.output(&program, &[&flags, words].concat());
        assert!(done.status.success(), "{words:?}: {}\n{}", text(&done.stderr), agent.log());
        text(&done.stdout)
    };
    let said = ask(&["inject", "--loss", "100%", "--peer", REDIS, "--for", "10m", "--id", "f"]);
    assert!(said.contains("verdict   confirmed"), "{said}");
    assert!(!answers(&lab.app, service, PATIENCE));
    // The agent's port is spared, so the host that it is cut off from is the one that heals it.
    ask(&["restore", "f"]);
    assert!(answers(&lab.app, service, PATIENCE));
    let history = agent.history();
    assert!(history[0].by.starts_with("certificate alice from "), "{}", history[0].by);
}
