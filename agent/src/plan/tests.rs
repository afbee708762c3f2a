use partition_agent_proto::{Connection, FaultSpec};

use super::*;

mod interpreter;
mod invariants;
mod model;
mod overlaps;
mod packet;
mod texts;

fn address(text: &&str) -> Address {
    let peer = text.parse::<partition_agent_proto::Peer>().unwrap();
    match peer.host {
        partition_agent_proto::Host::Net(net) => Address { net, ports: peer.port },
        host => panic!("{host} is no address"),
    }
}

/// What a test varies, beside the spec and the addresses.
#[derive(Default)]
struct With {
    sender: Option<Sender>,
    emulated: bool,
    natted: bool,
    servers: Vec<std::net::SocketAddr>,
    waiting: bool,
    without_bit: bool,
    not_ethernet: Vec<String>,
}

fn try_plan(json: &str, targets: &[&str], except: &[&str], with: &With) -> Result<Plan, Impossible> {
    let spec = serde_json::from_str::<FaultSpec>(json).unwrap();
    spec.validate().unwrap();
    Plan::new(&Draft {
        spec: &spec,
        egress: spec.egress_kinds(),
        ingress: spec.ingress_kinds(),
        targets: &targets.iter().map(address).collect::<Vec<_>>(),
        except: &except.iter().map(address).collect::<Vec<_>>(),
        keep: &[Connection { peer: "192.0.2.7:51234".parse().unwrap(), local_port: 2222 }],
        place: &Place::host(),
        sender: with.sender.as_ref(),
        interfaces: &["eth0".to_owned()],
        which: &std::collections::BTreeMap::new(),
        taps: &[],
        left_out: &[],
        not_ethernet: &with.not_ethernet,
        emulated: with.emulated,
        natted: with.natted,
        bit: (!with.without_bit).then_some(MARK_BITS[0]),
        servers: &with.servers,
        guard: &Guard::new(&[], Some(7433)),
        slot: 7,
        order: 7,
        timeout: if with.waiting { None } else { Some(spec.duration.duration()) },
    })
}

fn plan(json: &str, targets: &[&str], except: &[&str]) -> Plan {
    try_plan(json, targets, except, &With::default()).unwrap()
}

const LOSS: &str = r#"{"kinds":[{"loss":{"percent":30}}],"target":{"peers":["redis"]},"for":"60s"}"#;

#[test]
fn a_loss_reads_like_nft() {
    let text =
        plan(LOSS, &["10.0.0.5", "10.0.0.4", "10.0.1.0/24:6379", "fd00::1"], &["10.0.1.9:6379"]).to_string();
    let expected = r#"table netdev partition_agent { # flags owner: the kernel deletes it with the agent
  set f7_net4 {
    type ipv4_addr; flags interval,timeout
    elements = { 10.0.0.4/31 timeout 60000ms }
  }
  set f7_svc4 {
    type ipv4_addr . inet_proto . inet_service; flags interval,timeout
    elements = { 10.0.1.0/24 . tcp . 6379 timeout 60000ms, 10.0.1.0/24 . udp . 6379 timeout 60000ms }
  }
  set f7_host6 {
    type ipv6_addr; flags timeout
    elements = { fd00::1 timeout 60000ms }
  }
  set f7_except_svc4 {
    type ipv4_addr . inet_proto . inet_service; flags interval
    elements = { 10.0.1.9 . tcp . 6379, 10.0.1.9 . udp . 6379 }
  }
  set f7_keep4 {
    type ipv4_addr . inet_service . inet_service
    elements = { 192.0.2.7 . 51234 . 2222 }
  }
  chain f7_egress_loss {
    oifname != "eth0" return comment "f7"
    ip daddr . meta l4proto . th dport @f7_except_svc4 return comment "f7"
    meta l4proto tcp ip daddr . th dport . th sport @f7_keep4 return comment "f7"
    numgen random mod 1000000 < 300000 counter fwd to 0 comment "f7"
  }
  chain f7_ingress_loss {
    iifname != "eth0" return comment "f7"
    ip saddr . meta l4proto . th sport @f7_except_svc4 return comment "f7"
    meta l4proto tcp ip saddr . th sport . th dport @f7_keep4 return comment "f7"
    numgen random mod 1000000 < 300000 counter drop comment "f7"
  }
  # add rule netdev partition_agent egress_loss ip daddr @f7_net4 jump f7_egress_loss comment "f7"
  # add rule netdev partition_agent egress_loss ip daddr . meta l4proto . th dport @f7_svc4 jump f7_egress_loss comment "f7"
  # add rule netdev partition_agent egress_loss ip6 daddr @f7_host6 jump f7_egress_loss comment "f7"
  # add rule netdev partition_agent ingress_loss ip saddr @f7_net4 jump f7_ingress_loss comment "f7"
  # add rule netdev partition_agent ingress_loss ip saddr . meta l4proto . th sport @f7_svc4 jump f7_ingress_loss comment "f7"
  # add rule netdev partition_agent ingress_loss ip6 saddr @f7_host6 jump f7_ingress_loss comment "f7"
  chain egress_eth0 {
    type filter hook egress device "eth0" priority 0; policy accept;
    goto egress
  }
  chain ingress_eth0 {
    type filter hook ingress device "eth0" priority 0; policy accept;
    goto ingress
  }
}
"#;
    assert_eq!(text, expected);
}

#[test]
fn a_total_loss_asks_no_dice() {
    let plan = plan(&LOSS.replace("30", "100"), &["10.0.0.5"], &[]);
    assert!(!plan.to_string().contains("numgen"));
    assert_eq!(plan.steps.len(), 1);
}

#[test]
fn a_delay_builds_its_queues_before_it_steers_and_keeps_directions_apart() {
    let json =
        r#"{"kinds":[{"loss":{"percent":1}},{"delay":{"latency":"100ms"}}],"target":{"all_traffic":true}}"#;
    let plan = plan(json, &["0.0.0.0/0", "::/0"], &[]);
    let summaries = plan.steps.iter().map(Step::summary).collect::<Vec<_>>();
    assert_eq!(
        summaries,
        [
            "ip link add pa-f7-e type ifb",
            "tc qdisc add dev pa-f7-e root netem limit 20000 delay 100000us",
            "ip link set pa-f7-e up",
            "ip link add pa-f7-i type ifb",
            "tc qdisc add dev pa-f7-i root netem limit 20000 delay 100000us",
            "ip link set pa-f7-i up",
            "nft: steer 3 elements of table netdev partition_agent on eth0",
        ]
    );
    assert_eq!(plan.drain(), Duration::from_millis(200));
    let text = plan.to_string();
    assert!(text.contains(r#"counter fwd to "pa-f7-i" comment "f7""#));
    assert!(text.contains(
        "# insert rule netdev partition_agent ingress_shape ip saddr @f7_net4 jump f7_ingress_shape"
    ));
}

#[test]
fn a_packet_is_never_hit_twice_by_one_fault() {
    let text = plan(LOSS, &["10.0.0.0/24:80", "10.0.0.5", "10.0.0.128/25", "10.0.0.5:81"], &[]).to_string();
    let services = text.lines().find(|line| line.contains(". tcp . 80")).unwrap();
    let expected = "10.0.0.0-10.0.0.4 . tcp . 80 timeout 60000ms, 10.0.0.0-10.0.0.4 . udp . 80 timeout 60000ms, \
                    10.0.0.6-10.0.0.127 . tcp . 80 timeout 60000ms, 10.0.0.6-10.0.0.127 . udp . 80 timeout 60000ms";
    assert_eq!(services.trim(), format!("elements = {{ {expected} }}"));
}

#[test]
fn every_rule_that_starts_a_fault_looks_in_a_timed_set() {
    for direction in ["egress", "ingress", "both"] {
        let json = LOSS.replace("\"for\"", &format!("\"direction\":\"{direction}\",\"for\""));
        let plan = plan(&json, &["10.0.0.5", "[fd00::/8]:80"], &["10.0.0.0/8"]);
        let ruleset = &plan.steering().unwrap().ruleset;
        for rule in &ruleset.rules {
            let Some(Expr::Jump(_)) = rule.exprs.last() else { continue };
            let timed = rule.exprs.iter().any(|expr| match expr {
                Expr::Member(_, _, name) => ruleset.sets.iter().any(|set| set.timed && set.name == *name),
                _ => false,
            });
            assert!(timed, "{rule}");
        }
    }
}

#[test]
fn an_interface_narrows_the_rules_too() {
    let json = LOSS.replace("\"for\"", "\"interface\":\"eth0\",\"for\"");
    assert!(
        plan(&json, &["10.0.0.5"], &[])
            .to_string()
            .contains(r#"egress_loss oifname "eth0" ip daddr @f7_host4 jump"#)
    );
}
