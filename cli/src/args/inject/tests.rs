use clap::Parser;

use super::*;
use partition_agent_proto::Profile;

use crate::args::{Args, Verb};

fn spec(flags: &str) -> FaultSpec {
    let line = format!("partition-agent inject {flags}");
    let Verb::Inject(inject) = Args::parse_from(line.split_whitespace()).verb else { panic!("not inject") };
    inject.spec().unwrap()
}

#[test]
fn inject_says_the_same_as_the_api() {
    let cases = [
        (
            "--loss 30% --latency 100ms --jitter 10ms --peer redis:6379,10.0.0.0/8 --except 10.0.0.1 --direction egress \
             --interface eth0 --for 5m",
            r#"{"kinds":[{"loss":{"percent":30}},{"delay":{"latency":"100ms","jitter":"10ms"}}],
                "target":{"peers":["redis:6379","10.0.0.0/8"],"except":["10.0.0.1"]},
                "direction":"egress","interface":"eth0","for":"5m"}"#,
        ),
        (
            "--rtt 100ms --jitter 5ms --distribution normal --duplicate 1% --corrupt 2% --reorder 25% --reorder-gap 5 \
             --rate 10mbit --slot 1ms-2ms --slot-packets 9 --slot-distribution pareto --local-port 80,8000-8010 --protocol tcp --unit redis.service",
            r#"{"kinds":[{"delay":{"latency":"50ms","jitter":"5ms","distribution":"normal"}},{"duplicate":{"percent":1}},
                {"corrupt":{"percent":2}},{"reorder":{"percent":25,"gap":5}},{"rate":{"rate":"10mbit"}},
                {"slot":{"min":"1ms","max":"2ms","packets":9,"distribution":"pareto"}}],
                "target":{"local_ports":[80,"8000-8010"],"protocol":"tcp"},"scope":{"unit":"redis.service"}}"#,
        ),
        (
            "--reject --peer 10.0.0.5 --state new --flows 30% --start-in 5s --flap 30s/10s --for 5m",
            r#"{"kinds":[{"reject":{"with":"tcp_reset"}}],
                "target":{"peers":["10.0.0.5"],"state":"new","flows":30},"start_in":"5s",
                "flap":{"on":"30s","off":"10s"},"for":"5m"}"#,
        ),
        (
            "--loss 100% --reset --peer 10.0.0.5",
            r#"{"kinds":[{"loss":{"percent":100}},{"reset":{}}],"target":{"peers":["10.0.0.5"]}}"#,
        ),
        (
            "--dns-fail api.example.com,*.b.c --dns-answer delay:2s --container web",
            r#"{"kinds":[{"dns":{"names":["api.example.com","*.b.c"],"answer":{"delay":{"latency":"2s"}}}}],
                "target":{},"scope":{"container":"web"}}"#,
        ),
        (
            "--loss 5%..50% --latency 0ms..200ms --ramp 30s --peer a",
            r#"{"kinds":[{"loss":{"percent":50}},{"delay":{"latency":"200ms"}}],"target":{"peers":["a"]},
                "ramp":{"over":"30s","from":[{"loss":{"percent":5}}]}}"#,
        ),
        (
            "--loss-state 5%,20% --engine emulator --all-traffic --netns blue",
            r#"{"kinds":[{"loss_state":{"p13":5,"p31":20}}],"target":{"all_traffic":true},"engine":"emulator",
                "scope":{"netns":"blue"}}"#,
        ),
    ];
    for (flags, json) in cases {
        assert_eq!(spec(flags), serde_json::from_str(json).unwrap(), "{flags}");
    }
}

#[test]
fn a_profile_has_two_sides() {
    let fault = spec("--profile dsl --peer a");
    assert_eq!(fault.kinds, Profile::find("dsl").unwrap().up());
    assert_eq!(fault.ingress_kinds, Profile::find("dsl").unwrap().down());
    let one_way = spec("--profile dsl --peer a --direction ingress");
    assert_eq!((one_way.kinds, one_way.ingress_kinds), (Profile::find("dsl").unwrap().down(), vec![]));
}
