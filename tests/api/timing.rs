//! When a fault is felt within its time: a start, flaps, a ramp, and a deadline that moves under each of them.

use std::time::{Duration, Instant};

use partition_agent_proto::EventKind::{Changed, Ended, Injected, Restored, Started};
use partition_agent_proto::{End, FaultStatus, ProblemCode, State, Verdict};

use crate::client::{Api, fault};
use crate::events::Events;

const LOSS: &str = r#"{"loss":{"percent":50}}"#;

/// What the kernel was last told, if anything.
fn timeout(api: &Api) -> Option<Duration> {
    let world = api.agent.world();
    assert!(world.timeouts.len() <= 1, "{world:?}");
    world.timeouts.values().next().copied()
}

#[tokio::test]
async fn a_fault_with_a_start_waits_and_then_begins_by_itself() {
    let api = Api::start();
    let mut events = Events::begin(&api).await;
    let begun = Instant::now();
    let status = api.put("cut", fault(LOSS, r#","start_in":"700ms","for":"30s""#)).await;
    assert_eq!((status.state, &status.verdict), (State::Waiting, &Verdict::Confirmed));
    assert!((30_001..=30_700).contains(&status.remaining_ms), "{status:?}");
    assert_eq!(timeout(&api), None);
    let plan = api.fault("cut").await.plan.unwrap();
    assert!(plan.contains("# at the start: elements = { 10.0.0.5 }"), "{plan}");
    assert_eq!(events.kinds(2).await, [Injected, Started]);
    assert!(begun.elapsed() >= Duration::from_millis(700), "{:?}", begun.elapsed());
    let status = api.fault("cut").await;
    assert_eq!(status.state, State::Active);
    // Told at the start or after it, so never more than was asked for.
    let told = timeout(&api).unwrap();
    assert!(told <= Duration::from_secs(30) && told > Duration::from_secs(1), "{told:?}");
    assert!(status.plan.unwrap().contains("elements = { 10.0.0.5 timeout "));
}

#[tokio::test]
async fn a_fault_that_waits_can_be_restored_and_was_never_felt() {
    let api = Api::start();
    let mut events = Events::begin(&api).await;
    api.put("cut", fault(LOSS, r#","start_in":"1h""#)).await;
    let restored: FaultStatus = api.delete("/v1/faults/cut").await.json(200);
    assert_eq!(restored.state, State::Restored);
    assert_eq!(events.kinds(3).await, [Injected, Ended, Restored]);
    assert!(api.agent.is_untouched());
}

#[tokio::test]
async fn a_change_of_a_fault_that_waits_counts_from_its_start() {
    let api = Api::start();
    let mut events = Events::begin(&api).await;
    let body = fault(LOSS, r#","start_in":"1h","for":"1m""#);
    api.put("cut", body.clone()).await;
    for (asked, minutes) in [("5m", 65_u64), ("30m", 90), ("1s", 60)] {
        let change = format!(r#"{{"for":"{asked}"}}"#);
        let changed: FaultStatus = api.send("PATCH", "/v1/faults/cut", change).await.json(200);
        assert_eq!((changed.state, changed.verdict), (State::Waiting, Verdict::Confirmed), "{asked}");
        let most = minutes * 60_000 + 1_000;
        assert!((most - 60_000..=most).contains(&changed.remaining_ms), "{asked}: {}", changed.remaining_ms);
        assert_eq!(timeout(&api), None, "{asked}: nothing is in force that could be changed");
    }
    assert_eq!(events.kinds(4).await, [Injected, Changed, Changed, Changed]);
    let _: FaultStatus = api.send("PUT", "/v1/faults/cut", body).await.json(200);
}

#[tokio::test]
async fn a_change_before_the_start_is_what_the_kernel_is_told_at_the_start() {
    let api = Api::start();
    let mut events = Events::begin(&api).await;
    api.put("cut", fault(&format!("{LOSS},{{\"reset\":{{}}}}"), r#","start_in":"1s","for":"10m""#)).await;
    let _: FaultStatus = api.send("PATCH", "/v1/faults/cut", r#"{"for":"20s"}"#).await.json(200);
    assert_eq!(events.kinds(3).await, [Injected, Changed, Started]);
    assert!(timeout(&api).unwrap() <= Duration::from_secs(20), "{:?}", timeout(&api));
    assert_eq!(api.agent.world().resets, 1);
}

#[tokio::test]
async fn a_flap_is_armed_again_and_again_and_never_for_longer_than_it_is_on() {
    let api = Api::start();
    let mut events = Events::begin(&api).await;
    let begun = Instant::now();
    let on = Duration::from_millis(200);
    let status = api.put("flap", fault(LOSS, r#","flap":{"on":"200ms","off":"300ms"},"for":"1h""#)).await;
    assert_eq!(status.state, State::Active);
    assert!(timeout(&api).unwrap() <= on, "{:?}", timeout(&api));
    assert_eq!(events.next().await.kind, Injected);
    for nth in 1..=3 {
        let started = events.next().await;
        assert_eq!(started.kind, Started, "{started:?}");
        // Never early.
        assert!(begun.elapsed() >= Duration::from_millis(500) * nth, "{nth}: {:?}", begun.elapsed());
        assert!(timeout(&api).unwrap() <= on, "{:?}", timeout(&api));
        let status = &api.faults().await[0];
        assert_eq!(status.state, State::Active);
        assert!(status.remaining_ms > 1_000_000, "{status:?}");
    }
}

#[tokio::test]
async fn a_change_in_the_pause_of_a_flap_does_not_switch_it_on() {
    let api = Api::start();
    api.put("flap", fault(LOSS, r#","flap":{"on":"100ms","off":"30m"},"for":"1m""#)).await;
    tokio::time::sleep(Duration::from_millis(150)).await;
    // The fake kernel has no clock: this is what the real one has done by now.
    api.agent.world().timeouts.clear();
    let change = r#"{"for":"10m"}"#;
    let changed: FaultStatus = api.send("PATCH", "/v1/faults/flap", change).await.json(200);
    assert_eq!((changed.state, &changed.verdict), (State::Active, &Verdict::Confirmed));
    assert!((60_001..=600_000).contains(&changed.remaining_ms), "{changed:?}");
    assert_eq!(timeout(&api), None);
}

#[tokio::test]
async fn a_change_while_a_flap_is_on_does_not_lengthen_it() {
    let api = Api::start();
    api.put("flap", fault(LOSS, r#","flap":{"on":"20s","off":"20s"},"for":"10m""#)).await;
    let _: FaultStatus = api.send("PATCH", "/v1/faults/flap", r#"{"for":"30m"}"#).await.json(200);
    assert!(timeout(&api).unwrap() <= Duration::from_secs(20), "{:?}", timeout(&api));
    let _: FaultStatus = api.send("PATCH", "/v1/faults/flap", r#"{"for":"5s"}"#).await.json(200);
    assert!(timeout(&api).unwrap() <= Duration::from_secs(5), "{:?}", timeout(&api));
}

#[tokio::test]
async fn a_flap_ends_at_its_deadline() {
    let api = Api::start();
    let mut events = Events::begin(&api).await;
    api.put("cut", fault(LOSS, r#","flap":{"on":"100ms","off":"100ms"},"for":"1h""#)).await;
    assert_eq!(events.kinds(2).await, [Injected, Started]);
    let _: FaultStatus = api.send("PATCH", "/v1/faults/cut", r#"{"for":"300ms"}"#).await.json(200);
    let mut last = events.kinds(1).await[0];
    while last != Ended {
        assert!(matches!(last, Changed | Started), "{last:?}");
        last = events.kinds(1).await[0];
    }
    assert_eq!(events.kinds(1).await, [Restored]);
    assert_eq!(api.history().await[0].end, End::Deadline);
    assert!(api.agent.world().is_clean());
}

#[tokio::test]
async fn connections_are_reset_at_the_start_and_never_again() {
    let api = Api::start();
    let mut events = Events::begin(&api).await;
    let body = fault(
        &format!("{LOSS},{{\"reset\":{{}}}}"),
        r#","start_in":"300ms","flap":{"on":"100ms","off":"100ms"},"for":"1h""#,
    );
    let status = api.put("cut", body.clone()).await;
    assert_eq!((status.hits.reset_connections, api.agent.world().resets), (0, 0));
    assert_eq!(events.kinds(2).await, [Injected, Started]);
    assert_eq!((api.fault("cut").await.hits.reset_connections, api.agent.world().resets), (1, 1));
    assert_eq!(events.kinds(2).await, [Started, Started]);
    let _: FaultStatus = api.send("PUT", "/v1/faults/cut", body).await.json(200);
    let _: FaultStatus = api.send("PATCH", "/v1/faults/cut", r#"{"for":"30m"}"#).await.json(200);
    assert_eq!((api.fault("cut").await.hits.reset_connections, api.agent.world().resets), (1, 1));
    let _: FaultStatus = api.delete("/v1/faults/cut").await.json(200);
    assert_eq!(api.history().await[0].hits.reset_connections, 1);
}

#[tokio::test]
async fn a_reset_without_a_start_is_counted_in_the_first_answer() {
    let api = Api::start();
    let status = api.put("cut", fault(r#"{"reset":{}}"#, "")).await;
    assert_eq!((status.hits.reset_connections, api.agent.world().resets), (1, 1));
    let dry = api.plan(fault(r#"{"reset":{}}"#, "")).await;
    assert!(dry.starts_with("ss --kill"), "{dry}");
    assert_eq!(api.agent.world().resets, 1);
}

/// What the dice of the egress chain are held against, in millionths.
fn share(plan: &str) -> f64 {
    let (_, rest) = plan.split_once("numgen random mod 1000000 < ").unwrap();
    rest.split(' ').next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_ramp_grows_step_by_step_and_never_ahead_of_its_time() {
    let api = Api::start();
    let body = fault(LOSS, r#","ramp":{"over":"2s"},"for":"1h""#);
    assert!(share(&api.plan(body.clone()).await) <= 1.0);
    let begun = Instant::now();
    api.put("grow", body.clone()).await;
    let mut seen = Vec::new();
    while seen.last() != Some(&500_000.0) {
        assert!(begun.elapsed() < Duration::from_secs(60), "{seen:?}");
        let plan = api.fault("grow").await.plan.unwrap();
        let most = (begun.elapsed().as_secs_f64() / 2.0 * 500_000.0).max(1.0);
        assert!(share(&plan) <= most.ceil(), "{} is ahead of {most}", share(&plan));
        seen.push(share(&plan));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(seen.is_sorted(), "{seen:?}");
    seen.dedup();
    // 20 steps of 100 ms; a busy machine may see few of them.
    assert!(seen.len() >= 3, "{seen:?}");
    assert!(begun.elapsed() >= Duration::from_secs(2));
    assert_eq!(api.fault("grow").await.state, State::Active);
    assert!(timeout(&api).unwrap() <= Duration::from_secs(3600));
    let _: FaultStatus = api.send("PUT", "/v1/faults/grow", body).await.json(200);
}

#[tokio::test]
async fn a_ramp_of_a_queue_goes_from_the_first_value_to_the_last() {
    for without_netem in [false, true] {
        let api = Api::start();
        api.agent.world().without_netem = without_netem;
        let kinds = r#"{"delay":{"latency":"200ms","jitter":"20ms"}},{"rate":{"rate":"1mbit"}}"#;
        let more = r#","direction":"egress","for":"1h","ramp":{"over":"1s",
            "from":[{"delay":{"latency":"100ms"}},{"rate":{"rate":"9mbit"}}]}"#;
        let first = api.plan(fault(kinds, more)).await;
        assert!(first.contains(" delay 100000us 1us rate 9000000bit"), "{first}");
        api.put("grow", fault(kinds, more)).await;
        let begun = Instant::now();
        loop {
            let plan = api.fault("grow").await.plan.unwrap();
            if plan.contains(" delay 200000us 20000us rate 1000000bit") {
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(60), "{plan}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test]
async fn a_ramp_does_not_grow_before_the_start() {
    let api = Api::start();
    let more = r#","start_in":"600ms","ramp":{"over":"500ms"},"for":"1h""#;
    let begun = Instant::now();
    api.put("grow", fault(LOSS, more)).await;
    let mut last = 0.0;
    while last < 500_000.0 {
        assert!(begun.elapsed() < Duration::from_secs(60), "{last}");
        let status = api.fault("grow").await;
        last = share(&status.plan.unwrap());
        if begun.elapsed() < Duration::from_millis(600) {
            assert!((status.state, last) == (State::Waiting, 1.0), "{last}");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn the_same_fault_with_everything_is_the_same_and_every_other_is_a_conflict() {
    let api = Api::start();
    let fields = |other: (&str, &str)| {
        let mut fields = vec![
            (
                "kinds",
                r#"[{"loss":{"percent":5,"correlation":25}},{"delay":{"latency":"100ms","jitter":"10ms",
                "distribution":"normal","correlation":10}},{"duplicate":{"percent":1}}]"#,
            ),
            ("ingress_kinds", r#"[{"rate":{"rate":"1mbit"}}]"#),
            (
                "target",
                r#"{"peers":["10.0.0.5:80-90"],"protocol":"tcp","state":"established",
                "except":["10.0.0.9"]}"#,
            ),
            ("scope", r#"{"user":"65534"}"#),
            ("interface", r#""eth0""#),
            ("engine", r#""emulator""#),
            ("start_in", r#""30m""#),
            ("flap", r#"{"on":"30s","off":"30s"}"#),
            ("for", r#""10m""#),
        ];
        fields.retain(|(name, _)| *name != other.0);
        fields.push(other);
        let fields = fields.iter().filter(|(_, value)| !value.is_empty());
        let fields = fields.map(|(name, value)| format!(r#""{name}":{value}"#)).collect::<Vec<_>>();
        format!("{{{}}}", fields.join(","))
    };
    let status = api.put("all", fields(("for", r#""10m""#))).await;
    assert_eq!((status.state, status.verdict), (State::Waiting, Verdict::Confirmed));
    // The same times in other words.
    for same in [("for", r#""600s""#), ("start_in", r#""1800s""#), ("engine", r#""emulator""#)] {
        let again: FaultStatus = api.send("PUT", "/v1/faults/all", fields(same)).await.json(200);
        assert_eq!(again.injected_at, status.injected_at, "{same:?}");
        assert_eq!(again.spec, status.spec, "{same:?}");
    }
    for other in [
        ("kinds", r#"[{"loss":{"percent":5}}]"#),
        ("ingress_kinds", r#"[{"rate":{"rate":"2mbit"}}]"#),
        ("ingress_kinds", ""),
        ("target", r#"{"peers":["10.0.0.5:80-90"]}"#),
        ("scope", r#"{"user":"nobody"}"#),
        ("scope", ""),
        ("interface", ""),
        ("engine", r#""netem""#),
        ("engine", ""),
        ("start_in", r#""31m""#),
        ("start_in", ""),
        ("flap", r#"{"on":"30s","off":"31s"}"#),
        ("flap", ""),
        ("for", r#""11m""#),
    ] {
        let refused = api.send("PUT", "/v1/faults/all", fields(other)).await;
        refused
            .refused(ProblemCode::Conflict, "the id all is taken by another fault (loss 5% correlated 25%");
    }
    assert_eq!(api.faults().await.len(), 1);
    assert_eq!(timeout(&api), None);
}

#[tokio::test]
async fn a_change_that_is_agreed_to_has_reached_the_kernel() {
    // Around the deadline: whoever is told 200 has a fault that lasts, whoever is too late is told so.
    for late in 0..30 {
        let api = Api::start();
        api.put("cut", fault(LOSS, r#","for":"50ms""#)).await;
        tokio::time::sleep(Duration::from_millis(40 + late)).await;
        let reply = api.send("PATCH", "/v1/faults/cut", r#"{"for":"30m"}"#).await;
        if reply.status == 200 {
            // Counted from when the kernel is told.
            let told = timeout(&api).unwrap();
            let most = Duration::from_secs(1_800);
            assert!(told <= most && told > most - Duration::from_secs(30), "{late}: {told:?} {reply:?}");
        } else {
            reply.refused(ProblemCode::NotFound, "cut");
        }
    }
}
