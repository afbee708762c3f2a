//! Every way of a fault into the kernel, as nft has it.

use super::*;

/// The lines are there, in this order; others may be between them.
fn assert_reads(plan: &Plan, lines: &str) {
    let text = plan.to_string();
    let mut rest = text.lines().map(str::trim);
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        assert!(rest.any(|there| there == line), "missing, or not in its place: {line}\n{text}");
    }
}

fn assert_lacks(plan: &Plan, part: &str) {
    let text = plan.to_string();
    assert!(!text.contains(part), "{part}\n{text}");
}

/// A fault of one kind on one target, with more of the target and of the spec.
fn spec(kind: &str, target: &str, more: &str) -> String {
    format!(r#"{{"kinds":[{kind}],"target":{{"peers":["redis"]{target}}}{more},"for":"60s"}}"#)
}

const ALL_LOST: &str = r#"{"loss":{"percent":100}}"#;
const RESET: &str = r#"{"reject":{"with":"tcp_reset"}}"#;
const DELAY: &str = r#"{"delay":{"latency":"10ms"}}"#;

fn with(sender: Option<Sender>, natted: bool) -> With {
    With { sender, natted, ..With::default() }
}

fn cgroup() -> Sender {
    Sender::Cgroup { path: "/system.slice/redis.service".to_owned(), level: 2, id: 4711 }
}

#[test]
fn a_reject_is_in_the_ip_stack_both_ways() {
    let plan = plan(&spec(RESET, "", ""), &["10.0.0.5"], &["10.0.0.6"]);
    assert_reads(
        &plan,
        r#"
        table inet partition_agent_f7 { # flags owner
          set f7_host4 {
            elements = { 10.0.0.5 timeout 60000ms }
          set guard_ports {
            elements = { tcp . 7433 }
          chain egress_reject {
            icmpv6 type 133-137 return
            icmpv6 type 2 return
            meta l4proto . th sport @guard_ports return
            oifname "lo" meta l4proto . th dport @guard_ports return
            tcp flags rst return
            icmp type destination-unreachable return
            icmpv6 type destination-unreachable return
            ip daddr @f7_except_host4 return
            meta l4proto tcp ip daddr . th dport . th sport @f7_keep4 return
            meta l4proto tcp counter reject with tcp reset
            counter reject with icmpx port-unreachable
          chain meant {
            type filter hook output priority -101; policy accept;
            oifname != "lo" ip daddr @f7_host4 jump egress_reject
          chain forwarded {
            type filter hook forward priority 0; policy accept;
            oifname != "lo" ip daddr @f7_host4 jump egress_reject
          chain ingress_reject {
            meta l4proto . th dport @guard_ports return
            tcp flags rst return
            ip saddr @f7_except_host4 return
            meta l4proto tcp counter reject with tcp reset
          chain received {
            type filter hook input priority 0; policy accept;
            iifname != "lo" ip saddr @f7_host4 jump ingress_reject
          chain forwarded_back {
            type filter hook forward priority 0; policy accept;
            iifname != "lo" ip saddr @f7_host4 jump ingress_reject
        "#,
    );
    // Behind NAT the address on the wire is looked at, too; marks are for what passes the interfaces.
    assert_lacks(&plan, "chain sent");
    assert_lacks(&plan, "mark");
    assert_lacks(&plan, "netdev");
}

#[test]
fn an_egress_reject_alone_hooks_no_interface() {
    for (with, says) in [
        ("tcp_reset", "meta l4proto tcp counter reject with tcp reset"),
        ("port_unreachable", "counter reject with icmpx port-unreachable"),
        ("host_unreachable", "counter reject with icmpx host-unreachable"),
        ("admin_prohibited", "counter reject with icmpx admin-prohibited"),
    ] {
        let kind = format!(r#"{{"reject":{{"with":"{with}"}}}}"#);
        let plan = plan(&spec(&kind, "", r#","direction":"egress","interface":"eth0""#), &["10.0.0.5"], &[]);
        assert_lacks(&plan, "netdev");
        assert_reads(
            &plan,
            &format!(
                "{says}\nchain meant {{\noifname \"eth0\" oifname != \"lo\" ip daddr @f7_host4 jump egress_reject"
            ),
        );
        assert!(plan.steering().unwrap().interfaces.is_empty());
    }
}

#[test]
fn a_control_group_is_marked_in_the_ip_stack_and_its_answers_are_learned() {
    let plan = try_plan(&spec(ALL_LOST, "", ""), &["10.0.0.5"], &["10.0.0.6"], &with(Some(cgroup()), false))
        .unwrap();
    assert_eq!(plan.bit, Some(0x0100_0000));
    assert_reads(
        &plan,
        r#"
          set f7_flow4 {
            type ipv4_addr . inet_proto . inet_service . inet_service; flags timeout,dynamic
          }
          set f7_live {
            type ether_type; flags timeout
            elements = { ip timeout 60000ms, ip6 timeout 60000ms }
          chain f7_egress_loss {
            oifname != "eth0" return comment "f7"
            ip daddr @f7_except_host4 return comment "f7"
            counter fwd to 0 comment "f7"
          chain f7_learn {
            oifname != "eth0" return comment "f7"
            update @f7_flow4 { ip daddr . meta l4proto . th dport . th sport timeout 300s } comment "f7"
          }
          # add rule netdev partition_agent egress_loss meta mark & 0x1000000 != 0 jump f7_egress_loss comment "f7"
          # add rule netdev partition_agent ingress_loss meta protocol @f7_live ip saddr . meta l4proto . th sport . th dport @f7_flow4 jump f7_ingress_loss comment "f7"
          # insert rule netdev partition_agent egress_loss meta mark & 0x1000000 != 0 jump f7_learn comment "f7"
        table inet partition_agent_f7 { # flags owner
          chain output {
            type filter hook output priority -101; policy accept;
            ip daddr @f7_except_host4 return
            meta l4proto tcp ip daddr . th dport . th sport @f7_keep4 return
            socket cgroupv2 level 2 "system.slice/redis.service" ip daddr @f7_host4 meta mark set meta mark | 0x1000000
        "#,
    );
    // Others on the host are left alone: nothing goes by the address alone, and what is forwarded has no process.
    assert_lacks(&plan, "loss ip daddr");
    assert_lacks(&plan, "loss ip saddr");
    assert_lacks(&plan, "prerouting");
}

#[test]
fn a_users_packets_are_told_by_the_user() {
    let on = |direction: &str| {
        let more = format!(r#","direction":"{direction}""#);
        try_plan(&spec(ALL_LOST, "", &more), &["10.0.0.5"], &[], &with(Some(Sender::User(1000)), false))
            .unwrap()
    };
    assert_reads(&on("egress"), "meta skuid 1000 ip daddr @f7_host4 meta mark set meta mark | 0x1000000");
    assert_lacks(&on("egress"), "flow");
    // What comes in is known by what went out, so that is looked at, too.
    assert_eq!(on("ingress").steering().unwrap().hooks, [Hook::Egress, Hook::Ingress]);
    assert_lacks(&on("ingress"), "f7_egress_loss");
    let reject = spec(RESET, "", r#","direction":"egress""#);
    let reject = try_plan(&reject, &["10.0.0.5"], &[], &with(Some(Sender::User(1000)), false)).unwrap();
    assert_reads(&reject, r#"oifname != "lo" meta skuid 1000 ip daddr @f7_host4 jump egress_reject"#);
    assert_lacks(&reject, "forwarded");
    assert_eq!(reject.bit, None, "no mark is needed");
}

#[test]
fn behind_nat_the_address_that_was_meant_and_the_one_on_the_wire_both_count_once() {
    let plan = try_plan(&spec(ALL_LOST, "", ""), &["10.0.0.5"], &["10.0.0.6"], &with(None, true)).unwrap();
    assert_reads(
        &plan,
        r#"
          chain f7_learn {
            ip daddr @f7_host4 return comment "f7"
            update @f7_flow4 { ip daddr . meta l4proto . th dport . th sport timeout 300s } comment "f7"
          # add rule netdev partition_agent ingress_loss ip saddr @f7_host4 jump f7_ingress_loss comment "f7"
          # add rule netdev partition_agent ingress_loss meta protocol @f7_live ip saddr . meta l4proto . th sport . th dport @f7_flow4 jump f7_ingress_loss comment "f7"
          chain output {
            ip daddr @f7_host4 meta mark set meta mark | 0x1000000
          chain prerouting {
            type filter hook prerouting priority -101; policy accept;
            ip daddr @f7_host4 meta mark set meta mark | 0x1000000
        "#,
    );
    let lines = plan.to_string();
    let into =
        lines.lines().filter(|line| line.contains("egress_loss") && line.contains("jump f7_egress_loss"));
    for line in into {
        assert!(line.contains("meta mark & 0x1000000"), "both ways look at the mark: {line}");
    }
    let reject = try_plan(&spec(RESET, "", ""), &["10.0.0.5"], &[], &with(None, true)).unwrap();
    assert_reads(&reject, "chain sent {\ntype filter hook output priority 0; policy accept;");
}

#[test]
fn the_emulator_has_a_device_for_each_interface_and_direction() {
    let emulated = With { emulated: true, ..With::default() };
    let plan = try_plan(&spec(DELAY, "", ""), &["10.0.0.5"], &[], &emulated).unwrap();
    assert_reads(
        &plan,
        r#"
        ip tuntap add pa-f7-e0 mode tap; ip link set pa-f7-e0 up # egress of eth0, emulated: netem limit 2000 delay 10000us
        ip tuntap add pa-f7-i0 mode tap; ip link set pa-f7-i0 up # ingress of eth0, emulated: netem limit 2000 delay 10000us
        tc qdisc add dev pa-f7-i0 ingress; tc filter add dev pa-f7-i0 parent ffff: protocol all u32 match u32 0 0 action mirred ingress redirect dev eth0
        table netdev partition_agent_f7_back { # flags owner
          chain back_pa-f7-e0 {
            type filter hook ingress device "pa-f7-e0" priority 0; policy accept;
            meta mark set 0x7061 fwd to "eth0"
        table netdev partition_agent { # flags owner: the kernel deletes it with the agent
          chain f7_egress_shape {
            oifname "eth0" counter fwd to "pa-f7-e0" comment "f7"
          chain f7_ingress_shape {
            iifname "eth0" counter fwd to "pa-f7-i0" comment "f7"
          # insert rule netdev partition_agent egress_shape ip daddr @f7_host4 jump f7_egress_shape comment "f7"
        "#,
    );
    assert_lacks(&plan, "ifb");
    // The way back is there before anything is steered, and goes after it.
    let order = plan.steps.iter().map(|step| match step {
        Step::AddTap(_) => 't',
        Step::AddTable(_) => 'b',
        Step::Steer(_) => 's',
        Step::AddIfb { .. } | Step::AddNetem { .. } | Step::SetUp { .. } | Step::StandIn(_) => '?',
    });
    assert_eq!(order.collect::<String>(), "ttbs");
}

#[test]
fn a_state_and_a_share_of_the_connections_return_the_rest() {
    let state =
        |state: &str| plan(&spec(ALL_LOST, &format!(r#","state":"{state}""#), ""), &["10.0.0.5"], &[]);
    for (name, unlike) in [("new", "0"), ("established", "syn")] {
        assert_reads(
            &state(name),
            &format!(
                r#"meta l4proto != tcp return comment "f7"
                tcp flags & syn == {unlike} return comment "f7"
                counter fwd to 0 comment "f7""#
            ),
        );
    }
    let share = plan(&spec(ALL_LOST, r#","flows":30"#, ""), &["10.0.0.5"], &[]);
    assert_reads(
        &share,
        r#"
        chain f7_egress_loss {
        jhash ip daddr . th dport . th sport mod 1000000 seed 0x7061 >= 300000 return comment "f7"
        jhash ip6 daddr . th dport . th sport mod 1000000 seed 0x7061 >= 300000 return comment "f7"
        counter fwd to 0 comment "f7"
        chain f7_ingress_loss {
        jhash ip saddr . th sport . th dport mod 1000000 seed 0x7061 >= 300000 return comment "f7"
        counter drop comment "f7"
        "#,
    );
    assert_lacks(&plan(&spec(ALL_LOST, r#","flows":100"#, ""), &["10.0.0.5"], &[]), "jhash");
}

#[test]
fn ports_of_this_end_and_protocols_are_parts_of_the_elements() {
    let local = r#"{"kinds":[{"loss":{"percent":100}}],"target":{"local_ports":["80-90"]},"for":"60s"}"#;
    assert_reads(
        &plan(local, &["0.0.0.0/0:80-90"], &[]),
        r#"
        set f7_local4 {
        type ipv4_addr . inet_proto . inet_service; flags interval,timeout
        elements = { 0.0.0.0/0 . tcp . 80-90 timeout 60000ms, 0.0.0.0/0 . udp . 80-90 timeout 60000ms }
        # add rule netdev partition_agent egress_loss ip daddr . meta l4proto . th sport @f7_local4 jump f7_egress_loss comment "f7"
        # add rule netdev partition_agent ingress_loss ip saddr . meta l4proto . th dport @f7_local4 jump f7_ingress_loss comment "f7"
        "#,
    );
    let of = |protocol: &str, target: &str| {
        plan(&spec(ALL_LOST, &format!(r#","protocol":"{protocol}""#), ""), &[target], &[])
    };
    assert_reads(&of("tcp", "10.0.0.5"), "elements = { 10.0.0.5 . tcp . 0-65535 timeout 60000ms }");
    assert_reads(&of("sctp", "[fd00::1]:80"), "elements = { fd00::1 . sctp . 80 timeout 60000ms }");
    assert_reads(&of("icmp", "10.0.0.5"), "elements = { 10.0.0.5 . icmp . 0-65535 timeout 60000ms }");
    assert_reads(&of("icmp", "fd00::1"), "elements = { fd00::1 . icmpv6 . 0-65535 timeout 60000ms }");
}

#[test]
fn ports_that_overlap_are_cut_where_they_begin_and_end() {
    let plan = plan(LOSS, &["10.0.0.5:80-90", "10.0.0.6:85-95", "10.0.0.5:90", "10.0.0.7"], &[]);
    let tcp = |text: &str| format!("{text} timeout 60000ms, {} timeout 60000ms", text.replace("tcp", "udp"));
    let elements = [
        "10.0.0.5 . tcp . 80-84",
        "10.0.0.5-10.0.0.6 . tcp . 85-89",
        "10.0.0.5-10.0.0.6 . tcp . 90",
        "10.0.0.6 . tcp . 91-95",
    ];
    let elements = elements.map(tcp).join(", ");
    assert_reads(&plan, &format!("elements = {{ 10.0.0.7 timeout 60000ms }}\nelements = {{ {elements} }}"));
}

#[test]
fn names_are_asked_of_a_stand_in_and_its_answers_come_from_the_server() {
    let json = r#"{"kinds":[{"dns":{"names":["*.example.com"],"answer":"servfail"}}],"for":"60s"}"#;
    let servers = vec!["192.0.2.53:53".parse().unwrap(), "[fd00::53]:53".parse().unwrap()];
    let plan = try_plan(json, &[], &[], &With { servers: servers.clone(), ..With::default() }).unwrap();
    assert_reads(
        &plan,
        r#"
        table inet partition_agent_f7_back { # flags owner
          chain answer {
            type filter hook prerouting priority -150; policy accept;
            iifname "lo" ip saddr 127.0.0.1 udp sport $port_of_192.0.2.53 ip saddr set 192.0.2.53 udp sport set 53
            iifname "lo" ip saddr 127.0.0.1 tcp sport $port_of_192.0.2.53 ip saddr set 192.0.2.53 tcp sport set 53
            iifname "lo" ip6 saddr ::1 udp sport $port_of_fd00::53 ip6 saddr set fd00::53 udp sport set 53
        table inet partition_agent_f7 { # flags owner
          set server0 {
            elements = { 192.0.2.53 timeout 60000ms }
          chain ask {
            type route hook output priority -300; policy accept;
            meta mark != 0x7062 ip daddr @server0 ip daddr 192.0.2.53 udp dport 53 counter ip daddr set 127.0.0.1 udp dport set $port_of_192.0.2.53
            meta mark != 0x7062 ip6 daddr @server1 ip6 daddr fd00::53 tcp dport 53 counter ip6 daddr set ::1 tcp dport set $port_of_fd00::53
        "#,
    );
    assert_eq!(plan.drain(), Duration::from_secs(2), "answers that are on their way come back");
    let of_user = With { servers, sender: Some(Sender::User(33)), ..With::default() };
    let plan = try_plan(json, &[], &[], &of_user).unwrap();
    assert!(plan.to_string().contains("meta mark != 0x7062 meta skuid 33 ip daddr @server0"));
}

#[test]
fn what_waits_for_its_start_has_no_timed_element() {
    let waiting = With { waiting: true, ..With::default() };
    let mut plan = try_plan(&spec(ALL_LOST, "", ""), &["10.0.0.5"], &["10.0.0.6"], &waiting).unwrap();
    assert_reads(&plan, "# at the start: elements = { 10.0.0.5 }\nelements = { 10.0.0.6 }");
    plan.set_timeout(Some(Duration::from_secs(5)));
    assert_reads(&plan, "elements = { 10.0.0.5 timeout 5000ms }\nelements = { 10.0.0.6 }");
    // A shorter one than a jiffy would be for ever.
    plan.set_timeout(Some(Duration::from_micros(1)));
    assert_reads(&plan, "elements = { 10.0.0.5 timeout 10ms }");
}

#[test]
fn what_cannot_be_had_is_refused_before_anything_is_touched() {
    let refused =
        |kind: &str, with: With| try_plan(&spec(kind, "", ""), &["10.0.0.5"], &[], &with).unwrap_err();
    let loopback = || vec!["lo".to_owned()];
    let error = refused(DELAY, With { emulated: true, not_ethernet: loopback(), ..With::default() });
    assert_eq!(error, Impossible::NotEthernet("lo".to_owned()));
    assert!(error.to_string().contains("losses work without either"), "{error}");
    assert_eq!(
        refused(ALL_LOST, With { without_bit: true, ..with(Some(cgroup()), false) }),
        Impossible::NoBit
    );
    let natted = || With { without_bit: true, ..with(None, true) };
    assert_eq!(refused(ALL_LOST, natted()), Impossible::NoBit);
    try_plan(&spec(RESET, "", r#","direction":"egress""#), &["10.0.0.5"], &[], &natted()).unwrap();
    assert_eq!(refused(r#"{"reset":{}}"#, with(Some(cgroup()), false)), Impossible::ResetCgroup);
    let dns = r#"{"kinds":[{"dns":{"names":["a"],"answer":"timeout"}}]}"#;
    assert_eq!(try_plan(dns, &[], &[], &With::default()).unwrap_err(), Impossible::NoServers);
    // A loss needs no frames, and an egress reject no bit.
    for (kind, more) in [(ALL_LOST, ""), (RESET, r#","direction":"egress""#)] {
        let with = With { emulated: true, not_ethernet: loopback(), without_bit: true, ..With::default() };
        try_plan(&spec(kind, "", more), &["10.0.0.5"], &[], &with).unwrap();
    }
}
