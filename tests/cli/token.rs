//! The token of an agent on TCP: from a file that an option or the environment names, and never over a unix socket.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use harness::fake_agent::{FakeAgent, Options};

use crate::run::{Run, finish, program, unix};

const TOKEN: &str = "0123456789abcdef";

fn with_token() -> FakeAgent {
    FakeAgent::with(Options { token: Some(TOKEN), ..Options::default() })
}

fn spawned(words: &str, environment: &[(&str, &Path)]) -> Run {
    finish(program(words).envs(environment.iter().copied()).spawn().unwrap())
}

#[test]
fn an_agent_on_tcp_is_asked_with_the_token_of_the_file() {
    let agent = with_token();
    let (at, file) = (format!("http://{}", agent.tcp), agent.token_file.display());
    for words in [
        format!("--token-file {file} --agent {at} status"),
        format!("status --agent {at} --token-file {file}"),
    ] {
        assert_eq!(spawned(&words, &[]).done(), "no faults\n", "{words}");
    }
    let environment = [("PARTITION_AGENT_TOKEN_FILE", agent.token_file.as_path())];
    assert_eq!(spawned(&format!("status --agent {at}"), &environment).done(), "no faults\n");
}

#[test]
fn without_the_token_the_agent_refuses_and_says_what_to_do() {
    let (agent, other) =
        (with_token(), FakeAgent::with(Options { token: Some("another-long-token"), ..Options::default() }));
    let at = format!("--agent http://{}", agent.tcp);
    let error = spawned(&format!("inject --loss 1% --peer redis {at}"), &[]).failed(1);
    assert!(error.contains("the request has no token") && error.contains("--token-file FILE"), "{error}");
    let wrong = format!("status {at} --token-file {}", other.token_file.display());
    let error = spawned(&wrong, &[]).failed(1);
    assert!(error.contains("is not that of this agent"), "{error}");
    assert!(!error.contains(TOKEN) && !error.contains("another-long-token"), "{error}");
    assert!(agent.is_untouched());
}

#[test]
fn a_unix_socket_needs_no_file() {
    let agent = with_token();
    let words = format!("status --token-file /nonexistent --agent {}", unix(&agent));
    assert_eq!(spawned(&words, &[]).done(), "no faults\n");
}

#[test]
fn a_file_that_is_none_is_refused_before_anybody_is_asked() {
    let agent = with_token();
    let words = format!("status --agent http://{} --token-file {}", agent.tcp, agent.token_file.display());
    std::fs::set_permissions(&agent.token_file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let error = spawned(&words, &[]).failed(1);
    assert!(error.contains("(its mode is 0644)") && !error.contains(TOKEN), "{error}");
    std::fs::remove_file(&agent.token_file).unwrap();
    assert!(spawned(&words, &[]).failed(1).contains("No such file"));
}

#[test]
fn an_agent_does_not_listen_on_tcp_without_a_token() {
    let agent = with_token();
    let error = spawned("serve --listen 0.0.0.0:7433", &[]).failed(1);
    assert!(error.contains("refusing to listen on 0.0.0.0:7433"), "{error}");
    assert!(error.contains("--token-file"), "{error}");
    for listen in ["127.0.0.1:7433", "[::1]:7433"] {
        let error = spawned(&format!("serve --listen {listen}"), &[]).failed(1);
        assert!(error.contains("refusing to listen") && error.contains("--insecure-loopback"), "{error}");
    }
    let error = spawned("serve --insecure-loopback --listen 0.0.0.0:7433", &[]).failed(1);
    assert!(error.contains("`insecure_loopback` is for addresses of loopback"), "{error}");
    std::fs::set_permissions(&agent.token_file, std::fs::Permissions::from_mode(0o604)).unwrap();
    let words = format!("serve --listen 0.0.0.0:7433 --token-file {}", agent.token_file.display());
    let error = spawned(&words, &[]).failed(1);
    assert!(error.contains("(its mode is 0604)") && !error.contains(TOKEN), "{error}");
}
