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
        ("inject --rtt 100ms --peer redis --direction egress", "--rtt is there and back"),
        ("inject --rtt 100ms --peer redis --direction ingress", "write --latency"),
        ("inject --jitter 10ms --peer redis", "add --latency or --rtt"),
        ("inject --rtt 10ms --jitter 6ms --peer redis", "a jitter of 6ms is more than the latency of 5ms"),
        ("inject --loss 1%..5% --peer redis", "add --ramp TIME"),
        ("inject --latency 0ms..5ms --peer redis", "add --ramp TIME"),
        ("inject --rate 10mbit..1mbit --peer redis", "add --ramp TIME"),
        (
            "inject --rate 1mbit --ramp 10s --peer redis",
            "a ramp of a rate needs the rate that it begins with",
        ),
        ("inject --loss 5% --ramp 2m --peer redis", "the ramp takes 2m, and the fault ends after 1m"),
        ("inject --loss 5% --ramp 1s --flap 1s/1s --peer redis", "a ramp and a flap do not go together"),
        ("inject --reset --ramp 1s --peer redis", "reset cannot grow"),
        ("inject --profile carrier-pigeon --peer redis", "there are edge, 3g, lte, dsl, cable"),
        ("inject --loss 1% --loss-gemodel 1% --peer redis", "loss and loss-gemodel do not go together"),
        ("inject --reject --latency 1ms --peer redis", "reject and latency do not go together"),
        ("inject --profile dsl --reject --peer redis", "do not go together"),
        ("inject --reorder 1% --peer redis", "add a latency"),
        ("inject --latency 1ms --reorder 1% --reorder-gap 0 --peer redis", "the gap is at least 1"),
        ("inject --slot 2ms-1ms --peer redis", "a slot of 2ms to 1ms is none"),
        ("inject --dns-fail a.b --port 53", "the name servers that are asked"),
        ("inject --dns-fail a.b --latency 1ms --peer 10.0.0.53", "do not go together"),
        ("inject --loss 1% --peer redis:1 --local-port 2", "ports at this end and ports at the other end"),
        ("inject --loss 1% --port 1 --protocol icmp", "icmp has no ports"),
        ("inject --loss 1% --port 1 --protocol udp --state new", "only TCP has"),
        ("inject --loss 1% --flows 30%", "an empty target"),
        ("inject --reset --all-traffic", "a reset of every connection"),
        ("inject --loss 1% --peer redis --compose redis", "`redis` is no compose: write project/service"),
        ("inject --loss 1% --peer redis --cgroup redis", "write a path such as"),
        ("inject --loss 1% --peer redis --flap 50ms/1s", "at least 100ms each"),
    ] {
        let error = run(&agent, words).failed(2);
        assert!(error.starts_with("partition-agent: ") && error.contains(reason), "{words}: {error}");
    }
    for (words, reason) in [
        ("inject --loss 1% --peer redis --for 2h", "policy.longest allows 1h; this is to last 2h"),
        ("inject --loss 1% --peer redis --interface nope0", "nope0"),
        ("inject --loss 1% --peer redis --container web", "no container engine answered"),
        ("inject --loss 1% --peer redis --netns no-such-netns", "no netns no-such-netns"),
        ("inject --loss 1% --peer redis --user no-such-user", "no user `no-such-user`"),
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
        ("inject --rtt 1ms --latency 1ms --peer redis", "--latency"),
        ("inject --profile 3g --latency 1ms --peer redis", "--latency"),
        ("inject --profile 3g --rate 1mbit --peer redis", "--rate"),
        ("inject --loss-correlation 5% --peer redis", "--loss"),
        ("inject --latency 1ms --distribution normal --peer redis", "--jitter"),
        ("inject --latency 9ms --jitter 1ms --distribution gauss --peer redis", "write normal, pareto"),
        ("inject --reorder-gap 5 --peer redis", "--reorder"),
        ("inject --slot-packets 5 --peer redis", "--slot"),
        ("inject --dns-answer nxdomain --peer redis", "--dns-fail"),
        ("inject --dns-fail a.b --dns-answer refused", "delay:2s"),
        ("inject --dns-fail a.*.b", "a.*.b"),
        ("inject --reject=maybe --peer redis", "maybe"),
        ("inject --rate 10mbps --peer redis", "10mbps"),
        ("inject --loss 5%.. --ramp 1s --peer redis", "5%.."),
        ("inject --loss 1% --peer redis --flap 5s", "30s/10s"),
        ("inject --loss 1% --peer redis --start-in 5", "5"),
        ("inject --loss 1% --port 1 --local-port 2", "--local-port"),
        ("inject --loss 1% --all-traffic --protocol udp", "--protocol"),
        ("inject --loss 1% --all-traffic --local-port 80", "--local-port"),
        ("inject --loss 1% --port 80 --protocol quic", "quic"),
        ("inject --loss 1% --port 80 --state closing", "closing"),
        ("inject --loss 1% --peer redis --unit b --container c", "--container"),
        ("inject --loss 1% --peer redis --user b --cgroup /c", "--cgroup"),
        ("inject --loss 1% --peer redis --netns a --pod b", "--pod"),
        ("inject --loss 1% --peer redis --label a --compose b/c", "--compose"),
        ("inject --loss 1% --peer redis --engine tc", "tc"),
        ("profiles dsl", "dsl"),
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
fn a_list_of_chances_that_is_too_long_is_2_and_names_its_flag() {
    let agent = FakeAgent::start();
    for (words, flag) in [
        ("inject --loss-gemodel 1%,2%,3%,4%,5% --peer redis", "--loss-gemodel"),
        ("inject --loss-state 1%,2%,3%,4%,5%,6% --peer redis", "--loss-state"),
    ] {
        let error = run(&agent, words).failed(2);
        assert!(error.contains(flag), "{words}: {error}");
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
    for verb in ["serve", "inject", "restore", "change", "status", "history", "doctor", "profiles", "demo"] {
        assert!(all.contains(&format!("\n  {verb} ")), "{verb}");
        let one = help(&format!("{verb} --help"));
        assert!(one.contains(&format!("Usage: partition-agent {verb}")), "{one}");
    }
}
