//! Every kind of fault: what is planned for it in the syntax of nft and tc, by either engine, and that it comes into force.

use harness::fake_agent::Options;
use partition_agent_core::plan::Need;
use partition_agent_proto::ProblemCode::Invalid;
use partition_agent_proto::{Engine, FaultStatus, State, Verdict};

use crate::client::{Api, fault};

/// What goes through a queue, and how tc has it.
pub const SHAPED: [(&str, &str); 17] = [
    (r#"{"loss":{"percent":5,"correlation":25}}"#, "netem limit 1000 loss 5% 25%"),
    (r#"{"loss_gemodel":{"p":1}}"#, "netem limit 1000 loss gemodel 1% 99% 100% 0%"),
    (
        r#"{"loss_gemodel":{"p":1,"r":10,"1-h":70,"1-k":0.1}}"#,
        "netem limit 1000 loss gemodel 1% 10% 70% 0.1%",
    ),
    (r#"{"loss_state":{"p13":5}}"#, "netem limit 1000 loss state 5% 95% 0% 100% 0%"),
    (
        r#"{"loss_state":{"p13":5,"p31":60,"p32":30,"p23":40,"p14":1}}"#,
        "netem limit 1000 loss state 5% 60% 30% 40% 1%",
    ),
    (r#"{"delay":{"latency":"100ms"}}"#, "netem limit 20000 delay 100000us"),
    // Jitter keeps the order: by a rate that nobody feels.
    (
        r#"{"delay":{"latency":"100ms","jitter":"10ms"}}"#,
        "netem limit 22000 delay 100000us 10000us rate 1tbit",
    ),
    (
        r#"{"delay":{"latency":"100ms","jitter":"10ms","allow_reorder":true}}"#,
        "netem limit 22000 delay 100000us 10000us",
    ),
    (
        r#"{"delay":{"latency":"10ms","jitter":"1ms","correlation":25,
            "distribution":{"table":[-8192,0,0,0,0,0,0,0,0,0,0,0,0,0,0,8192]}}}"#,
        "netem limit 2200 delay 10000us 1000us 25% distribution table rate 1tbit",
    ),
    (r#"{"duplicate":{"percent":1,"correlation":50}}"#, "netem limit 1000 duplicate 1% 50%"),
    (r#"{"corrupt":{"percent":0.5}}"#, "netem limit 1000 corrupt 0.5%"),
    (
        r#"{"delay":{"latency":"10ms"}},{"reorder":{"percent":25,"correlation":50}}"#,
        "netem limit 2000 delay 10000us reorder 25% 50% gap 1",
    ),
    (
        r#"{"reorder":{"percent":25,"gap":5}},{"delay":{"latency":"10ms"}}"#,
        "netem limit 2000 delay 10000us reorder 25% gap 5",
    ),
    (r#"{"rate":{"rate":"10mbit"}}"#, "netem limit 412 rate 10000000bit"),
    (r#"{"slot":{"min":"1ms","packets":8}}"#, "netem limit 1000 slot 1000us 1000us packets 8 bytes 0"),
    (
        r#"{"slot":{"min":"1ms","max":"10ms","bytes":3000}}"#,
        "netem limit 2000 slot 1000us 10000us packets 0 bytes 3000",
    ),
    (
        r#"{"slot":{"min":"20ms","max":"80ms","packets":8,"distribution":"normal"}}"#,
        "netem limit 32010 slot distribution normal 50000us 30000us packets 8 bytes 0",
    ),
];

/// Each in its own line, in this order.
#[track_caller]
fn assert_lines(plan: &str, lines: &[&str]) {
    let mut rest = plan.lines().map(str::trim);
    for line in lines {
        assert!(rest.any(|seen| seen == *line), "no `{line}` in its place in:\n{plan}");
    }
}

#[tokio::test]
async fn what_netem_shapes_is_planned_as_tc_has_it() {
    for (kinds, netem) in SHAPED {
        let api = Api::start();
        let body = fault(kinds, "");
        let status: FaultStatus = api.send("POST", "/v1/faults?dry_run=true", body).await.json(200);
        assert_eq!((status.state, status.engine), (State::Pending, Some(Engine::Netem)), "{kinds}");
        let plan = status.plan.unwrap();
        assert_lines(
            &plan,
            &[
                "ip link add pa-f1-e type ifb",
                &format!("tc qdisc add dev pa-f1-e root {netem}"),
                "ip link set pa-f1-e up",
                "ip link add pa-f1-i type ifb",
                &format!("tc qdisc add dev pa-f1-i root {netem}"),
                "ip link set pa-f1-i up",
                "elements = { 10.0.0.5 timeout 60000ms }",
                r#"counter fwd to "pa-f1-e" comment "f1""#,
                r#"counter fwd to "pa-f1-i" comment "f1""#,
                r#"# insert rule netdev partition_agent egress_shape ip daddr @f1_host4 jump f1_egress_shape comment "f1""#,
            ],
        );
        assert!(!plan.contains("tuntap") && !plan.contains("drop"), "{plan}");
        api.assert_untouched(kinds).await;
    }
}

#[tokio::test]
async fn what_the_emulator_shapes_is_planned_with_a_way_back() {
    for (kinds, netem) in SHAPED {
        let api = Api::start();
        api.agent.world().without_netem = true;
        let body = fault(kinds, "");
        let status: FaultStatus = api.send("POST", "/v1/faults?dry_run=true", body).await.json(200);
        assert_eq!(status.engine, Some(Engine::Emulator), "{kinds}");
        let plan = status.plan.unwrap();
        let tap = |tap: &str, way: &str| {
            format!("ip tuntap add {tap} mode tap; ip link set {tap} up # {way} of eth0, emulated: {netem}")
        };
        assert_lines(
            &plan,
            &[
                &tap("pa-f1-e0", "egress"),
                &tap("pa-f1-i0", "ingress"),
                "tc qdisc add dev pa-f1-i0 ingress; tc filter add dev pa-f1-i0 parent ffff: protocol all u32 \
                 match u32 0 0 action mirred ingress redirect dev eth0",
                r#"type filter hook ingress device "pa-f1-e0" priority 0; policy accept;"#,
                r#"meta mark set 0x7061 fwd to "eth0""#,
                r#"oifname "eth0" counter fwd to "pa-f1-e0" comment "f1""#,
                r#"iifname "eth0" counter fwd to "pa-f1-i0" comment "f1""#,
            ],
        );
        assert!(!plan.contains("ifb"), "{plan}");
        api.assert_untouched(kinds).await;
    }
}

#[tokio::test]
async fn every_interface_has_an_emulator_of_its_own() {
    let api = Api::start();
    api.agent.world().without_netem = true;
    api.agent.world().interfaces = vec!["eth0".to_owned(), "eth1".to_owned()];
    let plan = api.plan(fault(r#"{"delay":{"latency":"1ms"}}"#, r#","direction":"egress""#)).await;
    for words in [
        "pa-f1-e0 up # egress of eth0,",
        "pa-f1-e1 up # egress of eth1,",
        r#"oifname "eth1" counter fwd to "pa-f1-e1""#,
    ] {
        assert!(plan.contains(words), "no `{words}` in:\n{plan}");
    }
    assert!(!plan.contains("ingress of"), "{plan}");
}

#[tokio::test]
async fn every_kind_comes_into_force_is_read_back_and_leaves_nothing() {
    for without_netem in [false, true] {
        let api = Api::start();
        api.agent.world().without_netem = without_netem;
        let others = [
            r#"{"loss":{"percent":100}}"#,
            r#"{"reject":{"with":"tcp_reset"}}"#,
            r#"{"reset":{}}"#,
            r#"{"dns":{"names":["*.example.com"],"answer":"servfail"}}"#,
            // All that one queue does, beside what none does.
            r#"{"loss":{"percent":5}},{"delay":{"latency":"10ms","jitter":"1ms","distribution":"paretonormal"}},
               {"duplicate":{"percent":1}},{"corrupt":{"percent":1}},{"reorder":{"percent":1}},
               {"rate":{"rate":"100mbit"}},{"slot":{"min":"1ms"}},{"reset":{}}"#,
        ];
        let kinds = SHAPED.map(|(kinds, _)| kinds).into_iter().chain(others).collect::<Vec<_>>();
        for (nth, kinds) in kinds.iter().enumerate() {
            let id = format!("f{nth}");
            let status = api.put(&id, fault(kinds, "")).await;
            assert_eq!((status.state, status.verdict), (State::Active, Verdict::Confirmed), "{kinds}");
            assert!(!api.fault(&id).await.plan.unwrap().is_empty(), "{kinds}");
        }
        assert_eq!(api.faults().await.len(), kinds.len());
        api.agent.keeper.shutdown().await;
        assert!(api.agent.world().is_clean(), "{:?}", api.agent.world());
    }
}

#[tokio::test]
async fn a_reject_is_done_in_the_ip_stack_before_nat_on_the_way_out() {
    let rows = [
        ("tcp_reset", "meta l4proto tcp counter reject with tcp reset"),
        ("tcp_reset", "counter reject with icmpx port-unreachable"),
        ("port_unreachable", "counter reject with icmpx port-unreachable"),
        ("host_unreachable", "counter reject with icmpx host-unreachable"),
        ("admin_prohibited", "counter reject with icmpx admin-prohibited"),
    ];
    for (with, rule) in rows {
        let api = Api::start();
        let plan = api.plan(fault(&format!(r#"{{"reject":{{"with":"{with}"}}}}"#), "")).await;
        let port = api.agent.tcp.port();
        assert_lines(
            &plan,
            &[
                "table inet partition_agent_f1 { # flags owner",
                &format!("elements = {{ tcp . 22, tcp . {port} }}"),
                "icmpv6 type 133-137 return",
                "meta l4proto . th sport @guard_ports return",
                rule,
                "type filter hook output priority -101; policy accept;",
                r#"oifname != "lo" ip daddr @f1_host4 jump egress_reject"#,
                "meta l4proto . th dport @guard_ports return",
                rule,
                "type filter hook input priority 0; policy accept;",
                r#"iifname != "lo" ip saddr @f1_host4 jump ingress_reject"#,
            ],
        );
        api.assert_untouched(with).await;
    }
}

#[tokio::test]
async fn a_reset_is_a_list_of_connections_and_touches_no_packet() {
    let api = Api::start();
    let body = r#"{"kinds":[{"reset":{}}],"target":{"peers":["10.0.0.5:6379-6380"],"except":["10.0.0.6"]}}"#;
    let plan = api.plan(body).await;
    assert_eq!(
        plan,
        "ss --kill --tcp dst 10.0.0.5/32 dport >= 6379 dport <= 6380\n\
         # except 1 addresses and what the guard protects\n"
    );
    let near = api.plan(r#"{"kinds":[{"reset":{}}],"target":{"local_ports":[80]}}"#).await;
    assert!(near.contains("dst 0.0.0.0/0 sport >= 80 sport <= 80\n"), "{near}");
    let beside = api.plan(fault(r#"{"loss":{"percent":100}},{"reset":{}}"#, "")).await;
    assert!(beside.contains("counter fwd to 0") && beside.contains("\nss --kill --tcp dst 10.0.0.5/32\n"));
}

#[tokio::test]
async fn a_dns_fault_stands_in_for_the_name_servers() {
    for (answer, words) in [
        (r#""nxdomain""#, "nxdomain for api.example.com, *.b.c, the rest is passed on"),
        (r#""servfail""#, "servfail for"),
        (r#""timeout""#, "timeout for"),
        (r#"{"delay":{"latency":"2s"}}"#, "delay 2s for"),
    ] {
        let api = Api::start();
        let kind = format!(r#"{{"dns":{{"names":["API.example.com.","*.b.c"],"answer":{answer}}}}}"#);
        let plan = api.plan(fault(&kind, "")).await;
        let first = plan.lines().next().unwrap();
        assert!(first.starts_with("# a local port in the place of each of 10.0.0.5:53: "), "{plan}");
        assert!(first.contains(words), "no `{words}` in {first}");
        assert_lines(
            &plan,
            &[
                "table inet partition_agent_f1_back { # flags owner",
                "type filter hook prerouting priority -150; policy accept;",
                "table inet partition_agent_f1 { # flags owner",
                "elements = { 10.0.0.5 timeout 60000ms }",
                "type route hook output priority -300; policy accept;",
                "meta mark != 0x7062 ip daddr @server0 ip daddr 10.0.0.5 udp dport 53 counter ip daddr set 127.0.0.1 \
                 udp dport set $port_of_10.0.0.5",
            ],
        );
        assert!(!plan.contains("netdev"), "{plan}");
        api.assert_untouched(answer).await;
    }
}

#[tokio::test]
async fn a_target_is_planned_by_its_ports_protocol_state_and_share() {
    let rows: [(&str, &[&str]); 6] = [
        (
            r#"{"peers":["10.0.0.5"],"protocol":"udp"}"#,
            &["10.0.0.5 . udp . 0-65535 timeout 60000ms", "ip daddr . meta l4proto . th dport @f1_svc4"],
        ),
        (
            r#"{"peers":["10.0.0.5","fd00::5"],"protocol":"icmp"}"#,
            &["10.0.0.5 . icmp . 0-65535", "fd00::5 . icmpv6 . 0-65535"],
        ),
        (
            r#"{"local_ports":["80-90"],"protocol":"sctp"}"#,
            &["0.0.0.0/0 . sctp . 80-90", "ip daddr . meta l4proto . th sport @f1_local4"],
        ),
        (
            r#"{"peers":["10.0.0.5"],"ports":["80-90",443]}"#,
            &["10.0.0.5 . tcp . 80-90", "10.0.0.5 . udp . 80-90", "10.0.0.5 . tcp . 443"],
        ),
        (
            r#"{"ports":[80],"state":"new","flows":30,"except":["10.0.0.9"]}"#,
            &[
                r#"ip daddr @f1_except_host4 return comment "f1""#,
                r#"meta l4proto != tcp return comment "f1""#,
                r#"tcp flags & syn == 0 return comment "f1""#,
                "jhash ip daddr . th dport . th sport mod 1000000 seed 0x7061 >= 300000 return",
                "jhash ip saddr . th sport . th dport mod 1000000 seed 0x7061 >= 300000 return",
            ],
        ),
        (r#"{"all_traffic":true,"state":"established"}"#, &["tcp flags & syn == syn return", "::/0"]),
    ];
    for (target, words) in rows {
        let api = Api::start();
        let plan = api.plan(format!(r#"{{"kinds":[{{"loss":{{"percent":100}}}}],"target":{target}}}"#)).await;
        for words in words {
            assert!(plan.contains(words), "no `{words}` for {target} in:\n{plan}");
        }
        api.assert_untouched(target).await;
    }
}

#[tokio::test]
async fn what_comes_in_may_be_something_else() {
    let api = Api::start();
    let more =
        r#","ingress_kinds":[{"delay":{"latency":"20ms"}},{"rate":{"rate":"2mbit"}},{"loss":{"percent":1}}]"#;
    let plan = api.plan(fault(r#"{"delay":{"latency":"10ms"}},{"rate":{"rate":"1mbit"}}"#, more)).await;
    assert_lines(
        &plan,
        &[
            "tc qdisc add dev pa-f1-e root netem limit 42 delay 10000us rate 1000000bit",
            "tc qdisc add dev pa-f1-i root netem limit 85 delay 20000us rate 2000000bit",
            r#"numgen random mod 1000000 < 10000 counter drop comment "f1""#,
        ],
    );
    assert!(!plan.contains("fwd to 0"), "{plan}");
    let status = api.put("link", fault(r#"{"loss":{"percent":1}}"#, more)).await;
    assert_eq!(status.spec.ingress_kinds.len(), 3);
    assert_eq!(status.verdict, Verdict::Confirmed);
}

#[tokio::test]
async fn what_the_kernel_has_not_is_refused_before_anything_is_touched() {
    let rows = [
        (Need::Hash, fault(r#"{"delay":{"latency":"10ms"}}"#, "").replace(r#""peers""#, r#""flows":30,"peers""#)),
        (Need::Numgen, fault(r#"{"loss":{"percent":30}}"#, "")),
        (Need::Reject, fault(r#"{"reject":{"with":"tcp_reset"}}"#, "")),
        (Need::Ifb, fault(r#"{"delay":{"latency":"10ms"}}"#, "")),
        (Need::Emulator, fault(r#"{"delay":{"latency":"10ms"}}"#, r#","engine":"emulator""#)),
        (Need::Flows, fault(r#"{"loss":{"percent":100}}"#, r#","scope":{"user":"nobody"}"#)),
        (Need::Destroy, fault(r#"{"reset":{}}"#, "")),
        (Need::Rewrite, r#"{"kinds":[{"dns":{"names":["a.example"],"answer":"nxdomain"}}],"target":{"peers":["10.0.0.53"]}}"#.to_owned()),
    ];
    for (need, body) in rows {
        let api = Api::start();
        api.agent.world().without.insert(need);
        for path in ["/v1/faults/f", "/v1/faults/f?dry_run=true"] {
            let said = format!("this kernel has no {}", need.name());
            let problem = api.send("PUT", path, body.clone()).await.refused(Invalid, &said);
            assert_eq!(problem.hint.as_deref(), Some(need.fix()));
            api.assert_untouched(path).await;
        }
        // What does not need it can be had.
        api.put("cut", fault(r#"{"loss":{"percent":100}}"#, "")).await;
        api.agent.world().without.clear();
        api.put("f", body).await;
    }
}

#[tokio::test]
async fn an_engine_is_what_was_asked_for_or_what_there_is() {
    let rows = [
        (false, "auto", Some(Engine::Netem)),
        (false, "netem", Some(Engine::Netem)),
        (false, "emulator", Some(Engine::Emulator)),
        (true, "auto", Some(Engine::Emulator)),
        (true, "netem", None),
        (true, "emulator", Some(Engine::Emulator)),
    ];
    for (without_netem, asked, engine) in rows {
        let api = Api::with(Options::default());
        api.agent.world().without_netem = without_netem;
        let body = fault(r#"{"delay":{"latency":"10ms"}}"#, &format!(r#","engine":"{asked}""#));
        if engine.is_some() {
            let status = api.put("slow", body).await;
            assert_eq!((status.engine, status.verdict), (engine, Verdict::Confirmed), "{asked}");
            assert_eq!(api.faults().await[0].engine, engine, "{asked}");
        } else {
            for path in ["/v1/faults/slow", "/v1/faults/slow?dry_run=true"] {
                let problem =
                    api.send("PUT", path, body.clone()).await.refused(Invalid, "this kernel has no netem");
                assert!(problem.detail.contains("partition-agent doctor"), "{}", problem.detail);
                api.assert_untouched(path).await;
            }
        }
        // Nothing is shaped, so nobody is asked to.
        let loss = fault(r#"{"loss":{"percent":10}}"#, &format!(r#","engine":"{asked}""#));
        assert_eq!(api.put("cut", loss).await.engine, None, "{asked}");
    }
}
