//! Exit statuses: 0 done, 1 refused or failed, 2 usage, 3 no agent could be reached.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::net::UnixListener;

use harness::fake_agent::FakeAgent;

use crate::run::{finish, program, run, unix};

#[test]
fn a_refusal_is_1_and_says_what_why_and_what_to_do() {
    let agent = FakeAgent::start();
    let error = run(&agent, "inject --loss 100% --peer no-such-host.invalid").failed(1);
    assert!(error.starts_with("partition-agent: `no-such-host.invalid` is unknown"), "{error}");
    assert!(error.contains("which has redis"), "{error}");
    assert!(error.lines().last().unwrap().starts_with("  give its address"), "{error}");
    assert!(agent.is_untouched());
}

#[test]
fn the_kernels_refusal_is_1_in_the_kernels_words() {
    let agent = FakeAgent::start();
    agent.world().refuse_apply = Some(0);
    let error = run(&agent, "inject --loss 100% --peer redis").failed(1);
    assert!(error.contains("the fake kernel was told to refuse"), "{error}");
    assert!(error.contains("step 1 of 1"), "{error}");
    assert!(agent.world().is_clean());
}

#[test]
fn what_makes_no_sense_is_2_and_what_the_agent_refuses_is_1_with_the_reason() {
    let agent = FakeAgent::start();
    for (words, reason) in [
        ("inject --peer redis", "nothing to do"),
        ("inject --loss 100%", "an empty target"),
        ("inject --latency 10ms --jitter 20ms --peer redis", "a jitter of 20ms"),
        ("inject --loss 1% --peer redis --interface a/b", "`a/b` cannot be an interface"),
    ] {
        let error = run(&agent, words).failed(2);
        assert!(error.starts_with("partition-agent: ") && error.contains(reason), "{words}: {error}");
    }
    for (words, reason) in [
        ("inject --loss 1% --peer redis --for 2h", "longer than the 1h"),
        ("inject --loss 1% --peer redis --interface nope0", "nope0"),
        ("status nobody", "there is no fault nobody"),
        ("change nobody --for 1m", "there is no fault nobody"),
        ("restore nobody", "there is no fault nobody"),
    ] {
        let error = run(&agent, words).failed(1);
        assert!(error.starts_with("partition-agent: ") && error.contains(reason), "{words}: {error}");
    }
    assert!(agent.is_untouched());
}

#[test]
fn a_list_that_is_too_long_is_refused_with_a_way_out() {
    let agent = FakeAgent::start();
    let peers = (0..7000).map(|n| format!("10.9.{}.{}", n / 250, n % 250)).collect::<Vec<_>>().join(",");
    let words = format!("inject --loss 1% --peer {peers}");
    for at in [unix(&agent), format!("http://{}", agent.tcp)] {
        let error = finish(program(&format!("--agent {at} {words}")).spawn().unwrap()).failed(1);
        assert!(error.contains("larger than 65536 bytes\n  give a long list of targets a name"), "{error}");
    }
    assert!(agent.is_untouched());
}

#[test]
fn a_usage_error_is_2_and_never_reaches_the_agent() {
    let agent = FakeAgent::start();
    for (words, named) in [
        ("", "Usage"),
        ("teleport", "teleport"),
        ("inject --loss 101% --peer redis", "101%"),
        ("inject --loss NaN --peer redis", "NaN"),
        ("inject --loss 0 --peer redis", "at least 0.0001%"),
        ("inject --loss 1% --peer redis --for -5s", "-5"),
        ("inject --loss 1% --peer redis --for 0s", "0s"),
        ("inject --loss 1% --peer redis --for 60", "60"),
        ("inject --loss 1% --peer 10.0.0.0/33", "10.0.0.0/33"),
        ("inject --loss 1% --port 0", "0"),
        ("inject --loss 1% --port 65536", "65536"),
        ("inject --loss 1% --peer redis --all-traffic", "--all-traffic"),
        ("inject --loss 1% --peer redis --dry-run --wait", "--wait"),
        ("inject --loss 1% --peer redis --direction sideways", "sideways"),
        ("inject --loss 1% --peer redis --id ../x", "../x"),
        ("inject --jitter 1ms --peer redis", "--latency"),
        ("restore", "--all"),
        ("restore a --all", "--all"),
        ("change a", "--for"),
        ("history --limit -1", "-1"),
        ("status --agent ftp://x", "ftp://x"),
    ] {
        let error = run(&agent, words).failed(2);
        assert!(error.contains(named), "{words}: {error}");
    }
    assert!(agent.is_untouched());
}

#[test]
fn no_agent_at_the_address_that_was_named_is_3_for_every_verb() {
    let dir = tempfile::tempdir().unwrap();
    let (nowhere, dead) = (dir.path().join("nowhere.sock"), dir.path().join("dead.sock"));
    drop(UnixListener::bind(&dead).unwrap());
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let addresses =
        [format!("unix:{}", nowhere.display()), format!("unix:{}", dead.display()), format!("http://{free}")];
    let verbs =
        ["inject --loss 1% --peer 10.0.0.5", "restore a", "restore --all", "change a --for 1m", "status"];
    for at in &addresses {
        for verb in verbs.into_iter().chain(["status a", "status --wait", "history"]) {
            let error = finish(program(&format!("--agent {at} {verb}")).spawn().unwrap()).failed(3);
            let shown = at.trim_start_matches("unix:");
            assert!(error.starts_with(&format!("partition-agent: no agent answers at {shown}: ")), "{error}");
            assert!(error.contains("partition-agent serve"), "{error}");
        }
    }
}

#[test]
fn doctor_of_an_agent_that_is_not_there_is_3() {
    let dir = tempfile::tempdir().unwrap();
    let at = format!("unix:{}", dir.path().join("nowhere.sock").display());
    let error = finish(program(&format!("--agent {at} doctor")).spawn().unwrap()).failed(3);
    assert!(error.contains("no agent answers"), "{error}");
}

#[test]
fn whoever_answers_unlike_an_agent_is_told_apart_from_nobody() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let at = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _request = stream.read(&mut [0; 4096]).unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nhello\n").unwrap();
        }
    });
    for verb in ["status", "inject --loss 1% --peer 10.0.0.5", "restore --all", "doctor"] {
        let error = finish(program(&format!("--agent {at} {verb}")).spawn().unwrap()).failed(1);
        assert!(error.contains("not like a partition-agent"), "{verb}: {error}");
    }
}

#[test]
fn help_and_version_are_0() {
    let help = |words: &str| finish(program(words).spawn().unwrap()).done();
    assert_eq!(help("--version"), concat!("partition-agent ", env!("CARGO_PKG_VERSION"), "\n"));
    let all = help("--help");
    assert!(all.contains("partition-agent inject --loss 100% --peer redis"));
    for verb in ["serve", "inject", "restore", "change", "status", "history", "doctor", "demo"] {
        assert!(all.contains(&format!("\n  {verb} ")), "{verb}");
        let one = help(&format!("{verb} --help"));
        assert!(one.contains(&format!("Usage: partition-agent {verb}")), "{one}");
    }
}
