//! Whole files: what they mean, and what is wrong with them.

mod mistakes;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::*;

const TIMELINE: &str = include_str!("days/timeline.yaml");
const MINUTE: Duration = Duration::from_secs(60);

const SCENARIOS: &str = include_str!("days/scenarios.yaml");

fn environment(name: &str) -> Option<String> {
    let value = match name {
        "GATEWAY" => "http://gateway:8080",
        "API_KEY" => "secret",
        "REDIS_PASSWORD" => "geheim",
        "SLACK_URL" => "https://hooks.slack.com/x",
        _ => return None,
    };
    Some(value.to_owned())
}

fn day(text: &str) -> GameDay {
    read(Path::new("days/f.yaml"), text, None, &environment)
        .unwrap_or_else(|mistakes| panic!("{mistakes:#?}"))
}

/// A step in one line: its time, name, action and expectations.
fn shown(step: &Step) -> String {
    let on = |on: &Option<_>| on.as_ref().map(|on| format!(" ON {on}")).unwrap_or_default();
    let action = match &step.action {
        None => String::new(),
        Some(Action::Inject { words, on: hosts, args }) => {
            let kinds = args.kinds.kinds(partition_agent_proto::Direction::Both).unwrap().0;
            let kinds = kinds.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ");
            format!("inject {words} = {kinds} for {}{}", args.timing.duration, on(hosts))
        }
        Some(Action::Partition { words, on: hosts, args }) => {
            format!("partition {words} = {:?} for {}{}", args.who.groups, args.timing.duration, on(hosts))
        }
        Some(Action::Restore(steps)) => format!("restore {steps:?}"),
        Some(Action::Run { command, timeout }) => format!("run {command} within {timeout:?}"),
        Some(Action::Confirm(question)) => format!("confirm {question}"),
        Some(Action::Observe(question)) => format!("observe {question}"),
        Some(Action::Matrix(look)) => format!("matrix {look:?}"),
    };
    format!("{} {} {} @{} {}", step.at_ms / 1_000, step.name, action, step.line, said(&step.expect))
}

fn said(conditions: &[Condition]) -> String {
    conditions.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[test]
fn every_key_of_a_timeline_is_read() {
    let day = day(TIMELINE);
    let [round] = day.rounds.as_slice() else { panic!("{:?}", day.rounds) };
    assert_eq!(
        round.steps.iter().map(shown).collect::<Vec<_>>(),
        [
            "-60 look matrix Before @56 ",
            "0 cut inject --loss 100% --peer redis --on gateway --for 10m = loss 100% for 10m ON gateway @59 ",
            "60 part partition @eu @us --one-way --for 9m = [\"@eu\", \"@us\"] for 9m @62 ",
            "120 step 4 inject --latency 100ms --jitter 10ms --peer redis --on gateway --for 3m = latency 100ms ± 10ms one way \
             for 3m ON gateway @64 not redis",
            "300 step 5 observe Do services log retries? @67 not redis, web",
            "360 step 6 confirm The status page says maintenance? @70 ",
            "420 step 7 run ./failover.sh within 60s @72 ",
            "480 step 8  @74 port",
            "570 step 10 restore [\"part\", \"cut\"] @79 ",
            "600 step 9 restore [] @77 ",
        ]
    );
}

#[test]
fn every_key_around_the_timeline_is_read() {
    let day = day(TIMELINE);
    assert_eq!((day.name.as_str(), day.severity), ("Redis failover", Severity::Medium));
    assert_eq!(day.about, "The gateway loses its Redis.\nOrders must not be lost.\n");
    assert_eq!(day.participants, ["SRE lead", "backend engineer"]);
    assert_eq!(day.questions, ["What went well?"]);
    assert_eq!(day.fleet.as_deref(), Some(Path::new("days/redis-failover.toml")));
    assert_eq!(day.longest, MINUTE * 30);
    let targets = Targets {
        detect: Some(MINUTE / 2),
        alert: Some(MINUTE),
        rto: Some(MINUTE * 10),
        rpo: Some(Duration::ZERO),
        lost: Some(0),
        duplicated: Some(2),
    };
    assert_eq!(day.targets, targets);
    let round = &day.rounds[0];
    assert_eq!((said(&round.steady).as_str(), round.steady_within), ("api, redis, not alert", MINUTE));
    assert_eq!(said(&round.always), "redis");
    let told = (&round.detected, &round.alerted);
    assert_eq!(format!("{} {}", told.0.as_ref().unwrap(), told.1.as_ref().unwrap()), "not redis alert");
    let guards =
        round.guards.iter().map(|guard| format!("{} for {:?}: {}", guard.when, guard.lasts, guard.because));
    assert_eq!(
        guards.collect::<Vec<_>>(),
        ["not db for 5s: customers cannot pay", "not bus for 0ns: not bus"]
    );
    let Recovery { holds, stable, within } = &round.recovery;
    assert_eq!((said(holds).as_str(), *stable, *within), ("api, redis, not alert", MINUTE / 6, MINUTE * 5));
    let text = |text: &str| text.to_owned();
    let orders = Marker {
        write: text("redis-cli -h master rpush orders $MARKER"),
        read: text("redis-cli -h master lrange orders 0 -1"),
        every: Duration::from_millis(500),
        timeout: Duration::from_secs(3),
        from: Some(text("client")),
        settle: Duration::from_secs(7),
        expendable: true,
    };
    assert_eq!(day.markers, [(text("orders"), orders)].into());
    let all = [
        HookEvent::Started,
        HookEvent::Fault,
        HookEvent::Healed,
        HookEvent::Recovered,
        HookEvent::Aborted,
        HookEvent::Finished,
    ];
    let slack = Hook { on: all.to_vec(), tell: Tell::Slack(text("https://hooks.slack.com/x")) };
    let command = Hook { on: vec![HookEvent::Finished], tell: Tell::Command(text("./tell.sh")) };
    assert_eq!(day.hooks, [slack, command]);
}

#[test]
fn every_probe_is_read() {
    let probes = day(TIMELINE).probes;
    let text = |text: &str| text.to_owned();
    let headers =
        |headers: &[(&str, &str)]| headers.iter().map(|(name, value)| (text(name), text(value))).collect();
    let http = |url: &str, status: &[u16]| Ask::Http {
        url: text(url),
        headers: BTreeMap::new(),
        body: None,
        status: status.to_vec(),
        json: None,
    };
    let prometheus = |query: &str, value: Comparison| Ask::Prometheus {
        url: text("http://prom:9090"),
        query: text(query),
        headers: BTreeMap::new(),
        value,
    };
    let command = |command: &str, stdout: Comparison| Ask::Command {
        command: text(command),
        stdout: Some(stdout),
        directory: "days".into(),
    };
    let api = Ask::Http {
        url: text("http://gateway:8080/healthz"),
        headers: headers(&[("X-API-Key", "secret"), ("X-Try", "5")]),
        body: Some(text("{\"ping\": \"${x}\"}")),
        status: vec![200],
        json: Some((text("checks.redis[0]"), Comparison::Equals(text("up")))),
    };
    let lag = Ask::Prometheus {
        url: text("http://prom:9090"),
        query: text("max(lag)"),
        headers: headers(&[("Authorization", "Bearer secret")]),
        value: Comparison::Below(10.0),
    };
    let alert = "ALERTS{alertname=\"RedisDown\",alertstate=\"firing\"}";
    let all = [
        ("alert", prometheus(alert, Comparison::Above(0.0))),
        ("api", api),
        ("bus", Ask::Nats { at: text("[fd00::5]:4222") }),
        ("count", command("wc -l orders", Comparison::Above(3.0))),
        ("db", Ask::Postgresql { at: text("db:5432") }),
        ("down", prometheus("up", Comparison::Not(text("1.5")))),
        ("lag", lag),
        ("leader", command("./one-leader.sh", Comparison::Contains(text("1")))),
        ("name", Ask::Dns { name: text("db.example.com"), server: Some(text("10.0.0.2:53")) }),
        ("port", Ask::Tcp(text("redis:6379"))),
        ("redis", Ask::Redis { at: text("redis:6379"), password: Some(text("geheim")) }),
        ("up", prometheus("up", Comparison::Equals(text("1")))),
        // As it is written, and no number.
        ("version", command("cat version", Comparison::Equals(text("1.10")))),
        ("web", http("https://gateway:8443/", &[200, 204])),
    ];
    assert_eq!(probes.keys().collect::<Vec<_>>(), all.iter().map(|(name, _)| name).collect::<Vec<_>>());
    for (name, ask) in all {
        assert_eq!(probes[name].ask, ask);
    }
    let of = |name: &str| (probes[name].from.as_deref(), probes[name].every, probes[name].timeout);
    assert_eq!(of("api"), (Some("client"), Duration::from_millis(500), Duration::from_secs(1)));
    assert_eq!(of("web"), (None, Duration::from_secs(1), Duration::from_secs(2)));
}

#[test]
fn scenarios_are_rounds_with_what_they_do_not_say_from_the_file() {
    let day = day(SCENARIOS);
    let [minority, half] = day.rounds.as_slice() else { panic!("{:?}", day.rounds) };
    let names = (minority.scenario.as_deref(), half.scenario.as_deref());
    assert_eq!(names, (Some("minority"), Some("half")));
    assert_eq!(minority.about, "Three of five go on.");
    assert_eq!(
        (said(&minority.steady), said(&minority.recovery.holds)),
        ("leader".to_owned(), "leader, not two".to_owned())
    );
    assert!(minority.detected.is_some() && half.detected.is_none());
    // A recovery of its own has the steady state of its own.
    assert_eq!(
        (said(&half.steady), said(&half.recovery.holds)),
        ("leader, not two".to_owned(), "leader, not two".to_owned())
    );
    assert_eq!((half.recovery.within, minority.recovery.within), (MINUTE, MINUTE * 10));
    // The defaults of what is not there.
    assert_eq!((day.severity, day.longest, day.targets), (Severity::High, MINUTE * 120, Targets::default()));
    assert_eq!((minority.steady_within, minority.recovery.stable), (MINUTE / 2, Duration::from_secs(5)));
}

#[test]
fn a_severity_that_is_typed_goes_before_that_of_the_file() {
    for (severity, words) in [
        (Severity::Low, "--latency 20ms --peer redis --on gateway --for 3m"),
        (Severity::High, "--loss 100% --peer redis --on gateway --for 3m"),
    ] {
        let day = read(Path::new("f"), TIMELINE, Some(severity), &environment).unwrap();
        let Some(Action::Inject { words: is, .. }) = &day.rounds[0].steps[3].action else {
            panic!("no fault")
        };
        assert_eq!((is.as_str(), day.severity), (words, severity));
    }
}
