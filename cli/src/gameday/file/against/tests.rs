use std::path::Path;

use partition_agent_proto::fleet::{FleetHost, Link, LinkEnd, Service};

use super::*;
use crate::gameday::file::read;

/// web-1 and web-2 in eu, web-3 in us, db without agent, and redis outside of it all.
fn fleet() -> Fleet {
    let host = |(name, last, region, agent): (&str, u8, &str, bool)| {
        let host = FleetHost {
            agent: agent.then(|| format!("http://10.0.0.{last}:7433")),
            addresses: vec![[10, 0, 0, last].into()],
            labels: [("region".to_owned(), region.to_owned())].into(),
        };
        (name.to_owned(), host)
    };
    let hosts = [
        ("web-1", 1, "eu", true),
        ("web-2", 2, "eu", true),
        ("web-3", 3, "us", true),
        ("db", 4, "us", false),
    ];
    let redis = Service { addresses: vec![[10, 0, 9, 9].into()], ..Service::default() };
    let link = Link { from: "web-1".parse().unwrap(), to: LinkEnd::Service("redis".to_owned()) };
    Fleet {
        hosts: hosts.into_iter().map(host).collect(),
        services: [("redis".to_owned(), redis)].into(),
        links: [("web-redis".to_owned(), link)].into(),
        ..Fleet::default()
    }
}

/// What is wrong with a step in line 2, without the path.
fn wrong(step: &str, ground: Ground<'_>) -> Vec<String> {
    let text = format!("name: a\ntimeline: [{{at: T, {step}}}, {{at: T, inject: --loss 1% --port 1 PLACE}}]");
    let place = match ground {
        Ground::Agent => "",
        Ground::Fleet(_) | Ground::Lab(_) => "--on web-1",
    };
    let day = read(Path::new("f.yaml"), &text.replace("PLACE", place), None, &|_| None);
    let mistakes = day.unwrap_or_else(|mistakes| panic!("{mistakes:?}")).check_against(ground);
    mistakes
        .iter()
        .map(|mistake| mistake.strip_prefix("f.yaml:2: step 1: ").unwrap_or(mistake).to_owned())
        .collect()
}

#[test]
fn faults_are_computed_for_the_hosts_of_the_fleet() {
    let fleet = fleet();
    for right in [
        "inject: --loss 1% --peer @us --on @eu --max-share 100%",
        "inject: --loss 1% --peer redis --on web-1",
        "inject: --loss 100% --link web-redis",
        "partition: web-1 rest --max-share 100%",
        "partition: \"web-1 redis --for 5s\"",
        "partition: --isolate web-1 --on web-*",
        "matrix: before",
    ] {
        assert_eq!(wrong(right, Ground::Fleet(&fleet)), Vec::<String>::new(), "{right}");
        assert_eq!(wrong(right, Ground::Lab(&fleet)), Vec::<String>::new(), "{right}");
    }
    for (step, why) in [
        (
            "inject: --loss 1% --peer redis",
            "inject: on which hosts? --on '*' is all of them, and --link NAME those at its end",
        ),
        (
            "inject: --loss 1% --peer redis --on wbe-1",
            "inject: `wbe-1` selects no host: there is no such host; did you mean `web-1`?",
        ),
        (
            "inject: --loss 1% --peer @ue --on web-1",
            "inject: `@ue` selects no host: there is no such group, and no label of this value; did you mean `@eu`?",
        ),
        ("inject: --loss 1% --link redis-web", "inject: the fleet has no link `redis-web`; it has web-redis"),
        (
            "inject: --loss 1% --peer web-1 --on web-1",
            "inject: web-1 is among its own peers, and there is no other: leave it out of --on (`!web-1`)",
        ),
        (
            "inject: --loss 1% --peer redis --on db",
            "inject: db: no agent there that could be told: leave it out",
        ),
        ("inject: --loss 1% --link web-redis --on web-2", "inject: web-1: not among the hosts of --on"),
        (
            "inject: --loss 1% --peer redis --on web-1 --for 3s",
            "inject: 3s is over before every host could tell that it has started: --for 5s at least",
        ),
        (
            "inject: --loss 1% --peer redis --on web-*",
            "inject: this would hit 2 of the 2 hosts of `@region=eu` at once, 100%, and max_share is 66%: select fewer hosts, or \
             go ahead with --max-share 100%",
        ),
        (
            "partition: web-1 webb-2",
            "partition: `webb-2` selects no host: there is no such host; did you mean `web-2`?",
        ),
    ] {
        assert_eq!(wrong(step, Ground::Fleet(&fleet)), [why], "{step}");
    }
}

#[test]
fn a_mistake_is_where_the_action_is() {
    let text = "name: a\ntimeline:\n- at: T\n  name: cut\n  expect: []\n  partition: web-1 webb-2\n- {at: T, inject: --loss 1%\n  --port 1}\n";
    let day = read(Path::new("f.yaml"), text, None, &|_| None).unwrap();
    assert_eq!(
        day.check_against(Ground::Fleet(&fleet())),
        [
            "f.yaml:6: cut: partition: `webb-2` selects no host: there is no such host; did you mean `web-2`?",
            "f.yaml:7: step 2: inject: on which hosts? --on '*' is all of them, and --link NAME those at its end",
        ]
    );
}

#[test]
fn a_fleet_that_is_not_there_is_told_where_it_is_named() {
    let day = |fleet: &str| {
        let text = format!("name: a\n{fleet}\ntimeline: [{{at: T, inject: --loss 1% --port 1}}]");
        read(Path::new("/nowhere/f.yaml"), &text, None, &|_| None).unwrap()
    };
    assert_eq!(
        day("fleet: shop.toml").check_fleet(),
        Err("/nowhere/f.yaml:2: fleet: /nowhere/shop.toml: No such file or directory (os error 2)".to_owned())
    );
    let there = std::env::current_exe().unwrap();
    assert_eq!(day(&format!("fleet: {}", there.display())).check_fleet(), Ok(()));
    assert_eq!(day("").check_fleet(), Ok(()));
}

#[test]
fn one_agent_knows_no_hosts() {
    assert_eq!(wrong("inject: --loss 1% --peer redis --for 1s", Ground::Agent), Vec::<String>::new());
    for (step, why) in [
        ("inject: --loss 1% --peer a --on b", "inject: --on and --link are hosts"),
        ("inject: --loss 1% --link b", "inject: --on and --link are hosts"),
        ("partition: a b", "partition: it is between hosts"),
        ("matrix: before", "matrix: it is between hosts"),
    ] {
        let told =
            format!("{why} of a fleet, and this game day is one agent's: add `fleet: FILE`, or --fleet");
        assert_eq!(wrong(step, Ground::Agent), [told], "{step}");
    }
    assert_eq!(
        wrong("inject: --loss 1% --peer @eu", Ground::Agent),
        ["inject: `@eu` is a group of a fleet: name the fleet with --fleet, or the hosts with --on"]
    );
}

#[test]
fn whoever_asks_is_there_and_can_ask() {
    let fleet = fleet();
    let text = "\
name: a
probes:
  tcp: {tcp: \"a:1\", from: WEB-1}
  status:
    http: http://a/
    from: web-2
  json: {http: \"http://a\", json: {path: a, equals: b}, from: web-1}
  dns: {dns: a, from: web-1}
  nobody:
    from: web-4
    tcp: a:1
  silent: {tcp: \"a:1\", from: db}
  service: {tcp: \"a:1\", from: redis}
  controller: {dns: a, from: controller}
markers:
  m: {write: x, read: y, from: web-1}
timeline: [{at: T, inject: --loss 1% --port 1 --on web-1}]
";
    let day = read(Path::new("f.yaml"), text, None, &|_| None).unwrap();
    assert_eq!(
        day.check_against(Ground::Fleet(&fleet)),
        [
            "f.yaml:7: probe json: from: agents cannot ask what is in an answer (json), only tcp and the status of http: leave \
             `from` out, and it is asked from here, or run it with --lab",
            "f.yaml:8: probe dns: from: agents cannot ask dns, only tcp and the status of http: leave `from` out, and it is asked \
             from here, or run it with --lab",
            "f.yaml:10: probe nobody: from: there is no host `web-4`; did you mean `web-1`?",
            "f.yaml:12: probe silent: from: `db` has no agent that could ask: name a host that has, leave it out, or run it \
             with --lab",
            "f.yaml:13: probe service: from: there is no host `redis`; there are db, web-1, web-2, web-3",
            "f.yaml:14: probe controller: from: there is no host `controller`; there are db, web-1, web-2, web-3",
            "f.yaml:16: marker m: from: agents run no commands: leave `from` out, and they are written from here, or run it \
             with --lab",
        ]
    );
    assert_eq!(
        day.check_against(Ground::Lab(&fleet)),
        ["f.yaml:10: probe nobody: from: there is no host `web-4`; did you mean `web-1`?"]
    );
    assert_eq!(day.check_against(Ground::Agent).len(), 10);
}
