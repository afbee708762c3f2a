//! `inject`: every kind, scope and time by its flags: what is sent, what is printed, what is planned.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixListener;

use harness::fake_agent::FakeAgent;
use partition_agent_proto::{FaultSpec, FaultStatus};
use serde_json::Value;

use crate::run::{finish, program, run};

/// What the program sends when it is told to inject: method and path, and the body. It is refused.
fn sent(words: &str) -> (String, Value) {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("agent.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let agent = format!("unix:{}", socket.display());
    let child = program(&format!("inject {words}")).env("PARTITION_AGENT", agent).spawn().unwrap();
    let mut stream = BufReader::new(listener.accept().unwrap().0);
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).unwrap();
        if line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap();
        }
        if head.is_empty() {
            head = line.trim().trim_end_matches(" HTTP/1.1").to_owned();
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    let problem =
        r#"{"type":"urn:partition-agent:limit","title":"","status":403,"code":"limit","detail":"heard"}"#;
    let answer = "HTTP/1.1 403 Forbidden\r\ncontent-type: application/problem+json\r\nconnection: close\r\n";
    let mut stream = stream.into_inner();
    write!(stream, "{answer}content-length: {}\r\n\r\n{problem}", problem.len()).unwrap();
    assert!(finish(child).failed(1).contains("heard"));
    (head, serde_json::from_slice(&body).unwrap())
}

#[test]
fn what_is_sent_is_what_the_flags_say_and_no_more() {
    let (head, body) = sent("--loss 30% --peer redis --id cut");
    assert_eq!(head, "PUT /v1/faults/cut?dry_run=false");
    let json =
        r#"{"kinds":[{"loss":{"percent":30}}],"target":{"peers":["redis"]},"direction":"both","for":"1m"}"#;
    assert_eq!(body, serde_json::from_str::<Value>(json).unwrap());

    let (head, body) =
        sent("--latency 100ms..2s --jitter 0s..10ms --rate 10mbit..1mbit --ramp 30s --dry-run --port 80");
    assert_eq!(head, "POST /v1/faults?dry_run=true");
    let json = r#"{"kinds":[{"delay":{"latency":"2s","jitter":"10ms"}},{"rate":{"rate":"1mbit"}}],
        "target":{"ports":[80]},"direction":"both","for":"1m",
        "ramp":{"over":"30s","from":[{"delay":{"latency":"100ms"}},{"rate":{"rate":"10mbit"}}]}}"#;
    assert_eq!(body, serde_json::from_str::<Value>(json).unwrap());
}

#[test]
fn every_scope_is_sent_as_its_flag_says() {
    for (flags, scope) in [
        ("--netns blue", r#"{"netns":"blue"}"#),
        ("--netns pid:12", r#"{"netns":"pid:12"}"#),
        ("--container web", r#"{"container":"web"}"#),
        ("--label tier=edge", r#"{"label":"tier=edge"}"#),
        ("--compose shop/redis", r#"{"compose":"shop/redis"}"#),
        ("--pod 1b4e28ba-2fa1-11d2-883f-0016d3cca427", r#"{"pod":"1b4e28ba-2fa1-11d2-883f-0016d3cca427"}"#),
        ("--cgroup /system.slice/a.service", r#"{"cgroup":"/system.slice/a.service"}"#),
        ("--unit a.service", r#"{"unit":"a.service"}"#),
        ("--user nobody", r#"{"user":"nobody"}"#),
    ] {
        let (_, body) = sent(&format!("--loss 1% --peer a {flags}"));
        assert_eq!(body["scope"], serde_json::from_str::<Value>(scope).unwrap(), "{flags}");
    }
}

/// Flags, the fault that they are, the sentence that says so, and a line of its plan.
const FAULTS: [(&str, &str, &str, &str); 21] = [
    (
        "--loss 5% --loss-correlation 25%",
        r#"{"kinds":[{"loss":{"percent":5,"correlation":25}}],"#,
        "loss 5% correlated 25%, 10.0.0.5, egress and ingress",
        "netem limit 1000 loss 5% 25%",
    ),
    (
        "--loss-gemodel 1%,10%,70%,0.1%",
        r#"{"kinds":[{"loss_gemodel":{"p":1,"r":10,"1-h":70,"1-k":0.1}}],"#,
        "loss gemodel p 1% r 10% 1-h 70% 1-k 0.1%, 10.0.0.5, egress and ingress",
        "netem limit 1000 loss gemodel 1% 10% 70% 0.1%",
    ),
    (
        "--loss-state 5%,60%,30%,40%,1%",
        r#"{"kinds":[{"loss_state":{"p13":5,"p31":60,"p32":30,"p23":40,"p14":1}}],"#,
        "loss state p13 5% p31 60% p32 30% p23 40% p14 1%, 10.0.0.5, egress and ingress",
        "netem limit 1000 loss state 5% 60% 30% 40% 1%",
    ),
    (
        "--rtt 100ms",
        r#"{"kinds":[{"delay":{"latency":"50ms"}}],"#,
        "latency 50ms one way, 10.0.0.5, egress and ingress",
        "netem limit 10000 delay 50000us",
    ),
    (
        "--latency 100ms --jitter 10ms --jitter-correlation 25% --allow-reorder",
        r#"{"kinds":[{"delay":{"latency":"100ms","jitter":"10ms","correlation":25,"allow_reorder":true}}],"#,
        "latency 100ms ± 10ms correlated 25% one way, reordering, 10.0.0.5, egress and ingress",
        "netem limit 22000 delay 100000us 10000us 25%",
    ),
    (
        "--latency 100ms --jitter 10ms --distribution normal",
        r#"{"kinds":[{"delay":{"latency":"100ms","jitter":"10ms","distribution":"normal"}}],"#,
        "latency 100ms ± 10ms normal one way, 10.0.0.5, egress and ingress",
        " delay 100000us 10000us distribution normal rate 1tbit",
    ),
    (
        "--duplicate 1% --duplicate-correlation 50%",
        r#"{"kinds":[{"duplicate":{"percent":1,"correlation":50}}],"#,
        "duplicate 1% correlated 50%, 10.0.0.5, egress and ingress",
        "netem limit 1000 duplicate 1% 50%",
    ),
    (
        "--corrupt 0.5% --corrupt-correlation 5%",
        r#"{"kinds":[{"corrupt":{"percent":0.5,"correlation":5}}],"#,
        "corrupt 0.5% correlated 5%, 10.0.0.5, egress and ingress",
        "netem limit 1000 corrupt 0.5% 5%",
    ),
    (
        "--latency 10ms --reorder 25% --reorder-correlation 50% --reorder-gap 5",
        r#"{"kinds":[{"delay":{"latency":"10ms"}},{"reorder":{"percent":25,"correlation":50,"gap":5}}],"#,
        "latency 10ms one way and reorder 25% correlated 50% gap 5, 10.0.0.5, egress and ingress",
        "netem limit 2000 delay 10000us reorder 25% 50% gap 5",
    ),
    (
        "--rate 10mbit",
        r#"{"kinds":[{"rate":{"rate":"10mbit"}}],"#,
        "rate 10mbit/s, 10.0.0.5, egress and ingress",
        "netem limit 412 rate 10000000bit",
    ),
    (
        "--slot 1ms-10ms --slot-packets 8 --slot-bytes 3000",
        r#"{"kinds":[{"slot":{"min":"1ms","max":"10ms","packets":8,"bytes":3000}}],"#,
        "slot 1ms-10ms packets 8 bytes 3000, 10.0.0.5, egress and ingress",
        "netem limit 2000 slot 1000us 10000us packets 8 bytes 3000",
    ),
    (
        "--reject",
        r#"{"kinds":[{"reject":{"with":"tcp_reset"}}],"#,
        "reject, 10.0.0.5, egress and ingress",
        "meta l4proto tcp counter reject with tcp reset",
    ),
    (
        "--reject=port-unreachable",
        r#"{"kinds":[{"reject":{"with":"port_unreachable"}}],"#,
        "reject with port unreachable, 10.0.0.5, egress and ingress",
        "counter reject with icmpx port-unreachable",
    ),
    (
        "--reject=host-unreachable",
        r#"{"kinds":[{"reject":{"with":"host_unreachable"}}],"#,
        "reject with host unreachable, 10.0.0.5, egress and ingress",
        "counter reject with icmpx host-unreachable",
    ),
    (
        "--reject=admin-prohibited",
        r#"{"kinds":[{"reject":{"with":"admin_prohibited"}}],"#,
        "reject with admin prohibited, 10.0.0.5, egress and ingress",
        "counter reject with icmpx admin-prohibited",
    ),
    (
        "--reset",
        r#"{"kinds":[{"reset":{}}],"#,
        "reset of existing connections, 10.0.0.5, egress and ingress",
        "ss --kill --tcp dst 10.0.0.5/32",
    ),
    (
        "--dns-fail a.b,*.c.d",
        r#"{"kinds":[{"dns":{"names":["a.b","*.c.d"],"answer":"nxdomain"}}],"#,
        "DNS nxdomain for a.b, *.c.d, asked of 10.0.0.5",
        "in the place of each of 10.0.0.5:53: nxdomain for a.b, *.c.d, the rest is passed on",
    ),
    (
        "--dns-fail * --dns-answer servfail",
        r#"{"kinds":[{"dns":{"names":["*"],"answer":"servfail"}}],"#,
        "DNS servfail for *, asked of 10.0.0.5",
        "servfail for *,",
    ),
    (
        "--dns-fail a.b --dns-answer timeout",
        r#"{"kinds":[{"dns":{"names":["a.b"],"answer":"timeout"}}],"#,
        "DNS timeout for a.b, asked of 10.0.0.5",
        "timeout for a.b,",
    ),
    (
        "--dns-fail a.b --dns-answer delay:2s",
        r#"{"kinds":[{"dns":{"names":["a.b"],"answer":{"delay":{"latency":"2s"}}}}],"#,
        "DNS delay 2s for a.b, asked of 10.0.0.5",
        "delay 2s for a.b,",
    ),
    (
        "--loss 5%..50% --ramp 30s",
        r#"{"kinds":[{"loss":{"percent":50}}],"ramp":{"over":"30s","from":[{"loss":{"percent":5}}]},"#,
        "loss 50%, 10.0.0.5, egress and ingress",
        "numgen random mod 1000000 < 50000 counter fwd to 0",
    ),
];

#[test]
fn every_kind_is_described_planned_and_in_force() {
    let agent = FakeAgent::start();
    for (nth, (flags, kinds, described, planned)) in FAULTS.iter().enumerate() {
        let before = agent.world().steps.len();
        let dry = run(&agent, &format!("inject {flags} --peer 10.0.0.5 --dry-run")).done();
        let (head, plan) = dry.split_once('\n').unwrap();
        assert!(head.starts_with(&format!("# {described}")), "{flags}: {head}");
        assert!(head.ends_with(": nothing was changed"), "{flags}: {head}");
        assert!(plan.contains(planned), "no `{planned}` for {flags} in:\n{plan}");
        assert_eq!(agent.world().steps.len(), before, "{flags}: a dry run changes nothing");

        let spec = format!(r#"{kinds}"target":{{"peers":["10.0.0.5"]}}}}"#);
        let text = run(&agent, &format!("inject {flags} --peer 10.0.0.5 --id f{nth}")).done();
        assert!(text.starts_with(&format!("f{nth}: {described}")), "{text}");
        assert!(text.contains("\n  verdict   confirmed\n"), "{text}");
        let fault: FaultStatus = run(&agent, &format!("status f{nth} --json")).json();
        assert_eq!(fault.spec, serde_json::from_str::<FaultSpec>(&spec).unwrap(), "{flags}");
        // One fault at a time may stand in the place of a name server.
        run(&agent, &format!("restore f{nth}")).done();
    }
}

#[test]
fn what_shapes_packets_is_said() {
    let agent = FakeAgent::start();
    let engine = |agent: &FakeAgent, flags: &str| {
        let text = run(agent, &format!("inject --latency 10ms --peer redis {flags}")).done();
        let mut lines = text.lines().map(str::trim);
        lines.find_map(|line| line.strip_prefix("shaped by ")).unwrap().to_owned()
    };
    assert_eq!(engine(&agent, ""), "netem");
    assert_eq!(engine(&agent, "--engine netem"), "netem");
    assert_eq!(engine(&agent, "--engine emulator"), "emulator");
    let agent = FakeAgent::start();
    agent.world().without_netem = true;
    assert_eq!(engine(&agent, "--engine auto"), "emulator");
    let error = run(&agent, "inject --latency 10ms --peer redis --engine netem").failed(1);
    assert!(error.starts_with("partition-agent: this kernel has no netem"), "{error}");
    let loss = run(&agent, "inject --loss 10% --peer redis").done();
    assert!(!loss.contains("shaped by"), "{loss}");
}

#[test]
fn times_and_scopes_are_said() {
    let agent = FakeAgent::start();
    for (flags, said) in [
        ("--start-in 1h", ", starting in 1h"),
        ("--flap 30s/10s", ", 30s on, 10s off"),
        ("--ramp 30s", ", growing from nothing over 30s"),
        ("--user nobody", ", in user nobody"),
        (
            "--interface eth0 --start-in 5m --flap 1m/1m --user 4321",
            ", in user 4321, on eth0, starting in 5m, 1m on, 1m off",
        ),
    ] {
        let text = run(&agent, &format!("inject --loss 10% --peer redis {flags}")).done();
        let head = text.lines().next().unwrap();
        assert!(head.ends_with(&format!("loss 10%, redis, egress and ingress{said}")), "{text}");
    }
    let target = "--protocol tcp --state established --flows 30% --except 10.0.0.6 --direction egress";
    let text = run(&agent, &format!("inject --loss 10% --peer redis {target}")).done();
    let said =
        "loss 10%, redis, tcp, established connections, 30% of the connections except 10.0.0.6, egress\n";
    assert!(text.contains(said), "{text}");
    let near = run(&agent, "inject --loss 10% --local-port 80,8000-8010").done();
    assert!(near.contains("everybody on local port 80, 8000-8010, egress and ingress\n"), "{near}");
}

#[test]
fn a_table_of_a_file_is_sent_as_its_numbers() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("jitter.dist");
    std::fs::write(&path, format!("# a comment\n{}\n", "-100 100 ".repeat(8))).unwrap();
    let agent = FakeAgent::start();
    let words = "inject --latency 20ms --jitter 5ms --peer redis --dry-run --distribution";
    let plan = run(&agent, &format!("{words} {}", path.display())).done();
    assert!(plan.starts_with("# latency 20ms ± 5ms by a table of 16 one way, redis"), "{plan}");
    assert!(plan.contains(" delay 20000us 5000us distribution table rate 1tbit\n"), "{plan}");
    std::fs::write(&path, "1 2 3").unwrap();
    let error = run(&agent, &format!("{words} {}", path.display())).failed(2);
    assert!(error.contains("a distribution of 3 numbers is no table"), "{error}");
    std::fs::write(&path, "1 two").unwrap();
    let error = run(&agent, &format!("{words} {}", path.display())).failed(2);
    assert!(error.contains("`two`"), "{error}");
}

#[test]
fn a_change_of_a_fault_that_waits_says_when_it_ends() {
    let agent = FakeAgent::start();
    run(&agent, "inject --loss 1% --peer redis --start-in 1h --id wait").done();
    let text = run(&agent, "change wait --for 30m").done();
    let in_time = ["1h30m", "1h29m59s"].map(|left| format!("wait: now ends in {left}, at 20"));
    assert!(in_time.iter().any(|head| text.starts_with(head)), "{text}");
    assert!(agent.world().timeouts.is_empty());
    assert_eq!(
        run(&agent, "restore wait").done(),
        "wait: restored; nothing of it is left; all else is as it was before\n"
    );
}
