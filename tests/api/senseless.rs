//! Faults that make no sense. Each is refused for its own reason, and the kernel never hears of it.

use partition_agent_proto::ProblemCode::{self, Invalid, Malformed, UnknownName};
use partition_agent_proto::{FaultStatus, KEEP_HEADER};
use reqwest::header::HeaderValue;

use crate::client::{Api, LOSS, Reply, fault};

/// Under a given id or a made-up one, for real or not: the refusal is the same.
async fn assert_refused<const N: usize>(cases: [(String, ProblemCode, &str); N]) {
    let api = Api::start();
    for (body, code, detail) in cases {
        for (method, path) in
            [("POST", "/v1/faults"), ("PUT", "/v1/faults/cut"), ("POST", "/v1/faults?dry_run=true")]
        {
            let reply = api.send(method, path, body.clone()).await;
            assert!((400..500).contains(&reply.status), "{body}: {reply:?}");
            reply.refused(code, detail);
            api.assert_untouched(&body).await;
        }
    }
}

fn with_kinds(kinds: &str) -> String {
    format!(r#"{{"kinds":{kinds},"target":{{"peers":["10.0.0.5"]}}}}"#)
}

fn with_kind(kind: &str) -> String {
    with_kinds(&format!("[{kind}]"))
}

fn with_percent(percent: &str) -> String {
    with_kinds(&format!(r#"[{{"loss":{{"percent":{percent}}}}}]"#))
}

fn with_target(target: &str) -> String {
    format!(r#"{{"kinds":[{{"loss":{{"percent":1}}}}],"target":{target}}}"#)
}

/// A good fault and one thing more.
fn with(more: &str) -> String {
    LOSS.replace("]}}", &format!("]}},{more}}}"))
}

#[tokio::test]
async fn unknown_fields_are_refused_at_every_level() {
    assert_refused([
        (with(r#""hostnames":["a"]"#), Invalid, "unknown field `hostnames`"),
        (with_kinds(r#"[{"loss":{"percent":1,"burst":2}}]"#), Invalid, "unknown field `burst`"),
        (with_kinds(r#"[{"delay":{"latency":"1ms","rate":1}}]"#), Invalid, "unknown field `rate`"),
        (with_kinds(r#"[{"teleport":{}}]"#), Invalid, "unknown variant `teleport`"),
        (with_target(r#"{"peer":["a"]}"#), Invalid, "unknown field `peer`"),
    ])
    .await;
}

#[tokio::test]
async fn a_percentage_is_a_number_from_0_0001_to_100() {
    assert_refused([
        (with_percent("0"), Invalid, "0% is not a share of packets"),
        (with_percent("101"), Invalid, "101% is not a share of packets"),
        (with_percent("-1"), Invalid, "-1% is not a share of packets"),
        (with_percent("0.00001"), Invalid, "0.00001% is not a share of packets"),
        (with_percent("NaN"), Malformed, "line 1 column 30"),
        (with_percent("Infinity"), Malformed, "line 1 column 30"),
        (with_percent("1e999"), Malformed, "number out of range at line 1"),
        (with_percent(r#""30%""#), Invalid, r#"string "30%""#),
        (with_percent("null"), Invalid, "null"),
        (with_percent("[30]"), Invalid, "sequence"),
        (with_kinds(r#"[{"loss":{}}]"#), Invalid, "`percent`"),
    ])
    .await;
}

#[tokio::test]
async fn a_time_is_positive_finite_and_has_a_unit() {
    assert_refused([
        (with(r#""for":"-5s""#), Invalid, "`-5s` is not a length of time"),
        (with(r#""for":"0s""#), Invalid, "0s is out of range"),
        (with(r#""for":"31d""#), Invalid, "is out of range"),
        (with(r#""for":"99999999999999999999s""#), Invalid, "`99999999999999999999s`"),
        (with(r#""for":"18446744073709551615y""#), Invalid, "`18446744073709551615y`"),
        (with(r#""for":"5""#), Invalid, "`5` is not a length of time"),
        (with(r#""for":"""#), Invalid, "`` is not a length of time"),
        (with(r#""for":60"#), Invalid, "integer `60`"),
        (with(r#""for":null"#), Invalid, "null"),
        (with_kinds(r#"[{"delay":{"latency":"0ms"}}]"#), Invalid, "0s is out of range"),
        (with_kinds(r#"[{"delay":{"latency":"-1ms"}}]"#), Invalid, "`-1ms`"),
        (with_kinds(r#"[{"delay":{"latency":"61s"}}]"#), Invalid, "a latency of 1m1s is too long"),
        (with_kinds(r#"[{"delay":{"latency":"1ms","jitter":"2ms"}}]"#), Invalid, "a jitter of 2ms"),
    ])
    .await;
}

#[tokio::test]
async fn a_target_is_neither_empty_nor_contradictory() {
    assert_refused([
        (with_target("{}"), Invalid, "an empty target"),
        (with_target(r#"{"peers":[],"ports":[],"all_traffic":false}"#), Invalid, "an empty target"),
        (with_target(r#"{"except":["10.0.0.5"]}"#), Invalid, "an empty target"),
        (with_target(r#"{"all_traffic":true,"peers":["10.0.0.5"]}"#), Invalid, "all traffic and a peer"),
        (with_target(r#"{"all_traffic":true,"ports":[80]}"#), Invalid, "all traffic and a port"),
        (with_target(r#"{"ports":[0]}"#), Invalid, "`0` is neither a port nor a range of ports"),
        (with_target(r#"{"ports":[65536]}"#), Invalid, "65536"),
        (with_target(r#"{"ports":[-1]}"#), Invalid, "-1"),
        (with_target(r#"{"peers":"10.0.0.5"}"#), Invalid, r#"string "10.0.0.5""#),
        (with_target(r#"{"peers":[""]}"#), Invalid, "an empty peer"),
        (with_target(r#"{"peers":["10.0.0.0/33"]}"#), Invalid, "`10.0.0.0/33`"),
        (with_target(r#"{"peers":["10.0.0.300"]}"#), Invalid, "`10.0.0.300`"),
        (with_target(r#"{"peers":["10.0.0.5:0"]}"#), Invalid, "`10.0.0.5:0` ends in no port"),
        (with_target(r#"{"peers":["10.0.0.5"],"except":["a b"]}"#), Invalid, "`a b`"),
        (with_target("null"), Invalid, "null"),
    ])
    .await;
}

#[tokio::test]
async fn a_name_that_stands_for_nothing_lists_what_was_tried() {
    assert_refused([
        (with_target(r#"{"peers":["no-such-host.invalid"]}"#), UnknownName, "`no-such-host.invalid`"),
        (with_target(r#"{"peers":["redis","no-such-host.invalid:80"]}"#), UnknownName, "which has redis"),
        (
            with_target(r#"{"all_traffic":true,"except":["no-such-host.invalid"]}"#),
            UnknownName,
            "the system's resolver (/etc/hosts, nsswitch.conf) says: ",
        ),
    ])
    .await;
}

#[tokio::test]
async fn something_must_be_asked_for_once_and_of_what_there_is() {
    assert_refused([
        (with_kinds("[]"), Invalid, "nothing to do"),
        (with_kinds(r#"[{"loss":{"percent":1}},{"loss":{"percent":2}}]"#), Invalid, "at most once"),
        (with_kinds(r#"["loss"]"#), Invalid, "variant"),
        (with_kinds("{}"), Invalid, "expected a sequence"),
        (r#"{"target":{"peers":["10.0.0.5"]}}"#.to_owned(), Invalid, "missing field `kinds`"),
        (r#"{"kinds":[{"loss":{"percent":1}}]}"#.to_owned(), Invalid, "an empty target"),
        (with(r#""direction":"sideways""#), Invalid, "unknown variant `sideways`"),
        (with(r#""for":"1m","for":"2m""#), Invalid, "duplicate field `for`"),
        (with(r#""interface":"""#), Invalid, "`` cannot be an interface"),
        (with(r#""interface":"a/b""#), Invalid, "`a/b` cannot be an interface"),
        (with(r#""interface":"sixteen-bytes-xx""#), Invalid, "`sixteen-bytes-xx` cannot be an interface"),
    ])
    .await;
}

#[tokio::test]
async fn a_kind_is_within_what_netem_and_people_can_do() {
    let table = |length: usize| {
        let numbers = vec!["0"; length].join(",");
        with_kind(&format!(
            r#"{{"delay":{{"latency":"2s","jitter":"1s","distribution":{{"table":[{numbers}]}}}}}}"#
        ))
    };
    assert_refused([
        (
            with_kind(r#"{"delay":{"latency":"9s","jitter":"2100ms"}}"#),
            Invalid,
            "a jitter of 2s100ms is too much",
        ),
        (
            with_kind(r#"{"delay":{"latency":"1s","correlation":5}}"#),
            Invalid,
            "a correlation shapes the jitter",
        ),
        (with_kind(r#"{"delay":{"latency":"1s","distribution":"normal"}}"#), Invalid, "add a jitter"),
        (with_kind(r#"{"delay":{"latency":"1s","jitter":"1s","distribution":"gauss"}}"#), Invalid, "`gauss`"),
        (table(0), Invalid, "a distribution of 0 numbers is no table"),
        (table(15), Invalid, "a distribution of 15 numbers is no table"),
        (table(8193), Invalid, "a distribution of 8193 numbers is no table"),
        (
            with_kind(r#"{"delay":{"latency":"2s","jitter":"1s","distribution":{"table":[32768]}}}"#),
            Invalid,
            "32768",
        ),
        (with_kind(r#"{"delay":{"jitter":"1s"}}"#), Invalid, "missing field `latency`"),
        (with_kind(r#"{"loss_gemodel":{"r":1}}"#), Invalid, "missing field `p`"),
        (with_kind(r#"{"loss_gemodel":{"p":0}}"#), Invalid, "0% is not a share of packets"),
        (with_kind(r#"{"loss_gemodel":{"p":1,"h":1}}"#), Invalid, "unknown field `h`"),
        (with_kind(r#"{"loss_state":{"p13":60,"p14":50}}"#), Invalid, "add up to more than 100%"),
        (with_kind(r#"{"loss_state":{"p13":1,"p31":60,"p32":50}}"#), Invalid, "add up to more than 100%"),
        // What is not given is what is left: 95% from 3 to 1.
        (with_kind(r#"{"loss_state":{"p13":5,"p32":20}}"#), Invalid, "add up to more than 100%"),
        (with_kind(r#"{"reorder":{"percent":5}}"#), Invalid, "add a latency"),
        (
            with_kind(r#"{"delay":{"latency":"1s"}},{"reorder":{"percent":5,"gap":0}}"#),
            Invalid,
            "the gap is at least 1",
        ),
        (with_kind(r#"{"delay":{"latency":"1s"}},{"reorder":{"percent":5,"gap":-1}}"#), Invalid, "-1"),
        (with_kind(r#"{"rate":{"rate":"10mbps"}}"#), Invalid, "`10mbps` is not a rate"),
        (with_kind(r#"{"rate":{"rate":"999bit"}}"#), Invalid, "999bit is out of range"),
        (with_kind(r#"{"rate":{"rate":"101gbit"}}"#), Invalid, "101gbit is out of range"),
        (with_kind(r#"{"rate":{"rate":"-1mbit"}}"#), Invalid, "-1mbit"),
        (with_kind(r#"{"rate":{"rate":1000000}}"#), Invalid, "integer `1000000`"),
        (with_kind(r#"{"slot":{"min":"2ms","max":"1ms"}}"#), Invalid, "a slot of 2ms to 1ms is none"),
        (with_kind(r#"{"slot":{"min":"2100ms"}}"#), Invalid, "at most 2s"),
        (with_kind(r#"{"slot":{"min":"1ms","max":"3s"}}"#), Invalid, "a slot of 1ms to 3s is none"),
        (with_kind(r#"{"slot":{"min":"1ms","distribution":"normal"}}"#), Invalid, "there is only 1ms"),
        (
            with_kind(r#"{"slot":{"min":"1ms","max":"2ms","distribution":{"table":[1]}}}"#),
            Invalid,
            "16 to 8192",
        ),
        (with_kind(r#"{"slot":{"min":"1ms","packets":0}}"#), Invalid, "packets in a slot is at least 1"),
        (with_kind(r#"{"slot":{"min":"1ms","bytes":0}}"#), Invalid, "bytes in a slot is at least 1"),
        (with_kind(r#"{"slot":{"min":"0s"}}"#), Invalid, "0s is out of range"),
        (with_kind(r#"{"duplicate":{"percent":0}}"#), Invalid, "0% is not a share of packets"),
        (
            with_kind(r#"{"corrupt":{"percent":5,"correlation":101}}"#),
            Invalid,
            "101% is not a share of packets",
        ),
        (with_kind(r#"{"reject":{}}"#), Invalid, "missing field `with`"),
        (with_kind(r#"{"reject":{"with":"drop"}}"#), Invalid, "unknown variant `drop`"),
        (with_kind(r#"{"reset":{"percent":5}}"#), Invalid, "unknown field `percent`"),
        (with_kind(r#"{"dns":{"names":[],"answer":"nxdomain"}}"#), Invalid, "needs the names that fail"),
        (
            with_kind(r#"{"dns":{"names":["a.*.b"],"answer":"nxdomain"}}"#),
            Invalid,
            "`a.*.b` is no name of DNS",
        ),
        (with_kind(r#"{"dns":{"names":["a"],"answer":"refused"}}"#), Invalid, "unknown variant `refused`"),
        (
            with_kind(r#"{"dns":{"names":["a"],"answer":{"delay":{"latency":"61s"}}}}"#),
            Invalid,
            "a latency of 1m1s is too long",
        ),
    ])
    .await;
}

#[tokio::test]
async fn two_kinds_in_one_object_are_one_too_many() {
    assert_refused([(with_kind(r#"{"loss":{"percent":1},"delay":{"latency":"1ms"}}"#), Invalid, "expected")])
        .await;
}

#[tokio::test]
async fn kinds_that_fight_over_the_same_packets_are_two_faults() {
    let [loss, reject, reset] =
        [r#"{"loss":{"percent":1}}"#, r#"{"reject":{"with":"tcp_reset"}}"#, r#"{"reset":{}}"#];
    let dns = r#"{"dns":{"names":["a.b"],"answer":"nxdomain"}}"#;
    let pair = |one: &str, other: &str| with_kind(&format!("{one},{other}"));
    let ingress = |one: &str, other: &str| fault(one, &format!(r#","ingress_kinds":[{other}]"#));
    assert_refused([
        (pair(loss, r#"{"loss_gemodel":{"p":1}}"#), Invalid, "loss and loss-gemodel do not go together"),
        (pair(r#"{"loss_state":{"p13":1}}"#, loss), Invalid, "loss and loss-state do not go together"),
        (pair(loss, reject), Invalid, "reject and loss do not go together"),
        (pair(reject, r#"{"delay":{"latency":"1s"}}"#), Invalid, "reject and latency do not go together"),
        (pair(dns, loss), Invalid, "dns and loss do not go together"),
        (pair(dns, reject), Invalid, "do not go together"),
        (pair(dns, reset), Invalid, "dns and reset do not go together"),
        (pair(reset, reset), Invalid, "at most once"),
        (ingress(loss, &format!("{loss},{loss}")), Invalid, "at most once"),
        (ingress(loss, &format!("{loss},{reject}")), Invalid, "do not go together"),
        (ingress(loss, r#"{"reorder":{"percent":1}}"#), Invalid, "add a latency"),
        (ingress(loss, reset), Invalid, "reset does not happen to what comes in"),
        (ingress(loss, dns), Invalid, "dns does not happen to what comes in"),
        (ingress(dns, loss), Invalid, "acts on names"),
        (
            fault(loss, r#","ingress_kinds":[{"rate":{"rate":"1mbit"}}],"direction":"egress""#),
            Invalid,
            "goes both ways",
        ),
        (fault(loss, r#","ingress_kinds":[{"teleport":{}}]"#), Invalid, "unknown variant `teleport`"),
        (fault(loss, r#","ingress_kinds":{}"#), Invalid, "expected a sequence"),
        (fault(dns, r#","interface":"eth0""#), Invalid, "acts on names"),
    ])
    .await;
}

#[tokio::test]
async fn a_target_goes_with_what_is_done_to_it() {
    let to = |kind: &str, target: &str| format!(r#"{{"kinds":[{kind}],"target":{target}}}"#);
    let [reset, dns] = [r#"{"reset":{}}"#, r#"{"dns":{"names":["a.b"],"answer":"nxdomain"}}"#];
    assert_refused([
        (with_target(r#"{"all_traffic":true,"local_ports":[80]}"#), Invalid, "all traffic and a local port"),
        (with_target(r#"{"all_traffic":true,"protocol":"udp"}"#), Invalid, "all traffic and a protocol"),
        (
            with_target(r#"{"ports":[1],"local_ports":[2]}"#),
            Invalid,
            "ports at this end and ports at the other",
        ),
        (
            with_target(r#"{"peers":["a:1"],"local_ports":[2]}"#),
            Invalid,
            "ports at this end and ports at the other",
        ),
        (with_target(r#"{"ports":[1],"protocol":"icmp"}"#), Invalid, "icmp has no ports"),
        (with_target(r#"{"local_ports":[1],"protocol":"icmp"}"#), Invalid, "icmp has no ports"),
        (with_target(r#"{"peers":["10.0.0.5:80"],"protocol":"icmp"}"#), Invalid, "icmp has no ports"),
        (with_target(r#"{"ports":[1],"protocol":"udp","state":"new"}"#), Invalid, "only TCP has"),
        (with_target(r#"{"protocol":"icmp","state":"established"}"#), Invalid, "only TCP has"),
        (with_target(r#"{"state":"new"}"#), Invalid, "an empty target"),
        (with_target(r#"{"flows":30}"#), Invalid, "an empty target"),
        (with_target(r#"{"ports":[1],"flows":0}"#), Invalid, "0% is not a share"),
        (with_target(r#"{"ports":[1],"state":"closing"}"#), Invalid, "unknown variant `closing`"),
        (with_target(r#"{"ports":[1],"protocol":"quic"}"#), Invalid, "unknown variant `quic`"),
        (with_target(r#"{"ports":["90-80"]}"#), Invalid, "`90-80` is neither a port nor a range"),
        (with_target(r#"{"ports":["80-"]}"#), Invalid, "`80-` is neither a port nor a range"),
        (with_target(r#"{"ports":["0-80"]}"#), Invalid, "`0-80` is neither a port nor a range"),
        (with_target(r#"{"local_ports":[80.5]}"#), Invalid, "80.5"),
        (with_target(r#"{"peers":["compose:redis"]}"#), Invalid, "`compose:redis`"),
        (with_target(r#"{"peers":["compose:shop/redis"]}"#), UnknownName, "no container engine answered"),
        (to(reset, r#"{"all_traffic":true}"#), Invalid, "a reset of every connection of the host"),
        (to(reset, r#"{"protocol":"tcp"}"#), Invalid, "a reset of every connection of the host"),
        (to(reset, r#"{"peers":["10.0.0.5"],"protocol":"udp"}"#), Invalid, "only TCP has"),
        (to(reset, r#"{"peers":["10.0.0.5"],"flows":30}"#), Invalid, "a reset ends every connection"),
        (to(reset, r#"{"peers":["10.0.0.5"],"state":"new"}"#), Invalid, "a reset ends every connection"),
        (fault(reset, r#","interface":"eth0""#), Invalid, "a reset ends every connection"),
        (to(dns, r#"{"ports":[53]}"#), Invalid, "the name servers that are asked"),
        (to(dns, r#"{"all_traffic":true}"#), Invalid, "the name servers that are asked"),
        (to(dns, r#"{"peers":["10.0.0.53:53"]}"#), Invalid, "the name servers that are asked"),
        (to(dns, r#"{"peers":["10.0.0.53"],"flows":5}"#), Invalid, "the name servers that are asked"),
        (to(dns, r#"{"except":["10.0.0.53"]}"#), Invalid, "the name servers that are asked"),
        (to(dns, r#"{"peers":["10.0.0.0/24"]}"#), Invalid, "the name servers that are asked"),
    ])
    .await;
}

#[tokio::test]
async fn a_time_within_the_fault_is_one_that_can_be_kept() {
    let ramped = |kinds: &str, ramp: &str| fault(kinds, &format!(r#","ramp":{ramp}"#));
    let [loss, rate] = [r#"{"loss":{"percent":50}}"#, r#"{"rate":{"rate":"1mbit"}}"#];
    assert_refused([
        (with(r#""flap":{"on":"99ms","off":"1s"}"#), Invalid, "at least 100ms each"),
        (with(r#""flap":{"on":"1s","off":"1ms"}"#), Invalid, "at least 100ms each"),
        (with(r#""flap":{"on":"1s"}"#), Invalid, "missing field `off`"),
        (with(r#""flap":{"on":"1s","off":"1s","times":3}"#), Invalid, "unknown field `times`"),
        (with(r#""flap":"1s/1s""#), Invalid, "1s/1s"),
        (with(r#""flap":["1s","1s"]"#), Invalid, "list where an object"),
        (with(r#""start_in":"-1s""#), Invalid, "`-1s` is not a length of time"),
        (with(r#""start_in":"0s""#), Invalid, "0s is out of range"),
        (with(r#""start_in":"31d""#), Invalid, "is out of range"),
        (with(r#""start_in":5"#), Invalid, "integer `5`"),
        (with(r#""ramp":{"over":"2m"}"#), Invalid, "the ramp takes 2m, and the fault ends after 1m"),
        (
            with(r#""ramp":{"over":"1s"},"flap":{"on":"1s","off":"1s"}"#),
            Invalid,
            "a ramp and a flap do not go together",
        ),
        (with(r#""ramp":{"from":[]}"#), Invalid, "missing field `over`"),
        (with(r#""ramp":["1s"]"#), Invalid, "list where an object"),
        (with(r#""ramp":{"over":"1s","to":[]}"#), Invalid, "unknown field `to`"),
        (ramped(rate, r#"{"over":"1s"}"#), Invalid, "a ramp of a rate needs the rate that it begins with"),
        (
            ramped(loss, r#"{"over":"1s","from":[{"corrupt":{"percent":1}}]}"#),
            Invalid,
            "begins with a corrupt",
        ),
        (
            ramped(loss, r#"{"over":"1s","from":[{"loss":{"percent":5}},{"loss":{"percent":9}}]}"#),
            Invalid,
            "at most once",
        ),
        (
            ramped(r#"{"delay":{"latency":"1s"}}"#, r#"{"over":"1s","from":[{"delay":{"latency":"61s"}}]}"#),
            Invalid,
            "a latency of 1m1s is too long",
        ),
        (ramped(r#"{"loss_gemodel":{"p":1}}"#, r#"{"over":"1s"}"#), Invalid, "loss-gemodel cannot grow"),
        (ramped(r#"{"loss_state":{"p13":1}}"#, r#"{"over":"1s"}"#), Invalid, "loss-state cannot grow"),
        (ramped(r#"{"slot":{"min":"1ms"}}"#, r#"{"over":"1s"}"#), Invalid, "slot cannot grow"),
        (ramped(r#"{"reject":{"with":"tcp_reset"}}"#, r#"{"over":"1s"}"#), Invalid, "reject cannot grow"),
        (ramped(r#"{"reset":{}}"#, r#"{"over":"1s"}"#), Invalid, "reset cannot grow"),
        (
            ramped(r#"{"delay":{"latency":"1s"}},{"reorder":{"percent":1}}"#, r#"{"over":"1s"}"#),
            Invalid,
            "reorder cannot grow",
        ),
        (
            ramped(r#"{"dns":{"names":["a.b"],"answer":"nxdomain"}}"#, r#"{"over":"1s"}"#),
            Invalid,
            "dns cannot grow",
        ),
        (
            fault(loss, &format!(r#","ingress_kinds":[{rate}],"ramp":{{"over":"1s"}}"#)),
            Invalid,
            "a ramp of a rate needs",
        ),
        (with(r#""engine":"tc""#), Invalid, "unknown variant `tc`"),
    ])
    .await;
}

#[tokio::test]
async fn a_body_that_is_no_json_is_told_where_it_breaks() {
    assert_refused([
        (String::new(), Malformed, "EOF while parsing a value at line 1 column 0"),
        ("loss".to_owned(), Malformed, "line 1 column 1"),
        (r#"{"kinds":"#.to_owned(), Malformed, "EOF while parsing"),
        (format!("{LOSS}{LOSS}"), Malformed, "trailing characters"),
        (LOSS.replace('"', "'"), Malformed, "line 1 column 2"),
        ("[".repeat(60_000), Malformed, "line 1 column"),
        ("null".to_owned(), Invalid, "null"),
    ])
    .await;
}

#[tokio::test]
async fn a_change_that_makes_no_sense_leaves_the_deadline_alone() {
    let api = Api::start();
    let before: FaultStatus = api.send("PUT", "/v1/faults/cut", LOSS).await.json(201);
    for (body, code, detail) in [
        (r#"{"for":"-5s"}"#, Invalid, "`-5s`"),
        (r#"{"for":"0s"}"#, Invalid, "0s is out of range"),
        (r#"{"for":"1m","by":"me"}"#, Invalid, "unknown field `by`"),
        (r#"{}"#, Invalid, "missing field `for`"),
        (r#"{"for":60}"#, Invalid, "integer `60`"),
        ("", Malformed, "EOF"),
    ] {
        api.send("PATCH", "/v1/faults/cut", body).await.refused(code, detail);
        let after: FaultStatus = api.get("/v1/faults/cut").await.json(200);
        assert!(after.remaining_ms <= before.remaining_ms, "{body}");
    }
    assert_eq!(api.agent.world().timeouts[&1], before.spec.duration.duration());
}

#[tokio::test]
async fn a_connection_to_keep_is_in_the_format_of_ssh() {
    let api = Api::start();
    let words = ["nonsense", "192.0.2.7 1 192.0.2.1", "192.0.2.7 99999 192.0.2.1 22", "a 1 b 2"];
    let values = words.into_iter().map(HeaderValue::from_static);
    for value in values.chain([HeaderValue::from_bytes(b"\xff").unwrap()]) {
        let request = api.request("PUT", "/v1/faults/cut").header(KEEP_HEADER, value.clone()).body(LOSS);
        Reply::to(request).await.refused(Invalid, KEEP_HEADER);
        api.assert_untouched(&format!("{value:?}")).await;
    }
}

#[tokio::test]
async fn a_fault_without_field_names_is_refused() {
    assert_refused([
        (
            r#"[[{"loss":{"percent":30}}],[],{"peers":["10.0.0.5"]}]"#.to_owned(),
            Invalid,
            "list where an object",
        ),
        (with_target(r#"[["10.0.0.5"]]"#), Invalid, "list where an object"),
        (with_kinds(r#"[{"loss":[30]}]"#), Invalid, "list where an object"),
    ])
    .await;
}
