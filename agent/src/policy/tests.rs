//! Each rule, by what it lets through and what it refuses in which words.

use super::*;

/// A Thursday: 12:00 in Berlin.
const NOON: &str = "2026-11-26T11:00:00Z";

fn policy(text: &str) -> Policy {
    toml::from_str(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn spec(text: &str) -> FaultSpec {
    let kinds = if text.contains("\"kinds\"") { "" } else { r#""kinds":[{"loss":{"percent":100}}],"# };
    let target = if text.contains("\"target\"") { "" } else { r#""target":{"ports":[1]},"# };
    let rest = text.strip_prefix('{').unwrap();
    let json = format!("{{{kinds}{target}{rest}").replace(",}", "}");
    serde_json::from_str(&json).unwrap_or_else(|error| panic!("{json}: {error}"))
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn asked(rules: &str, fault: &str, now: &str) -> Result<(), String> {
    policy(rules).admit(&spec(fault), None, at(now)).map_err(|denied| denied.to_string())
}

/// A refusal that says all of this; or none, without any.
fn check(rules: &str, fault: &str, now: &str, refusal: &str) {
    let done = asked(rules, fault, now);
    match refusal {
        "" => assert_eq!(done, Ok(()), "{rules} {fault} {now}"),
        words => assert_eq!(done, Err(words.to_owned()), "{rules} {fault} {now}"),
    }
}

#[test]
fn without_rules_everything_goes_for_a_day() {
    for (fault, refusal) in [
        (r#"{"for":"24h"}"#, ""),
        (r#"{"for":"25h"}"#, "policy.longest allows 1day; this is to last 1day 1h"),
        (r#"{"start_in":"25h"}"#, "policy.longest allows 1day; this is to start in 1day 1h"),
        (r#"{"scope":{"user":"bob"}}"#, ""),
        (r#"{"kinds":[{"dns":{"names":["a.example"],"answer":"timeout"}}],"target":{}}"#, ""),
    ] {
        let refusal = refusal.replace("1day 1h", "1day1h");
        check("", fault, NOON, &refusal);
    }
    let denied = Policy::default().admit(&spec("{}"), Some(Span::from_secs(90_000)), at(NOON));
    let text = denied.unwrap_err().to_string();
    assert!(text.starts_with("policy.longest allows 1day; this is to wait 1day1h"), "{text}");
}

#[test]
fn kinds_and_scopes_are_those_that_are_listed() {
    const KINDS: &str = "kinds = ['loss', 'latency']";
    const SCOPES: &str = "scopes = ['interface', 'unit']";
    for (rules, fault, refusal) in [
        (KINDS, "{}", ""),
        (KINDS, r#"{"kinds":[{"loss":{"percent":1}},{"delay":{"latency":"1s"}}]}"#, ""),
        (KINDS, r#"{"kinds":[{"loss_gemodel":{"p":1}}]}"#, ""),
        (
            KINDS,
            r#"{"kinds":[{"reject":{"with":"host_unreachable"}}]}"#,
            "policy.kinds allows loss and latency; this is a reject",
        ),
        (
            KINDS,
            r#"{"kinds":[{"loss":{"percent":1}}],"ingress_kinds":[{"rate":{"rate":"1mbit"}}]}"#,
            "policy.kinds allows loss and latency; this is a rate",
        ),
        ("kinds = []", "{}", "policy.kinds allows nothing; this is a loss"),
        (SCOPES, r#"{"interface":"eth0"}"#, ""),
        (SCOPES, r#"{"scope":{"unit":"redis.service"}}"#, ""),
        // An interface narrows another scope, and does not make it one of its own.
        (SCOPES, r#"{"scope":{"unit":"redis.service"},"interface":"eth0"}"#, ""),
        (SCOPES, "{}", "policy.scopes allows interface and unit; this is on host"),
        (
            SCOPES,
            r#"{"scope":{"container":"web"},"interface":"eth0"}"#,
            "policy.scopes allows interface and unit; this is on container web",
        ),
        (
            "scopes = ['host']",
            r#"{"interface":"eth0"}"#,
            "policy.scopes allows host; this is on interface eth0",
        ),
    ] {
        check(rules, fault, NOON, refusal);
    }
}

#[test]
fn every_name_of_a_kind_and_a_scope_is_read_as_it_is_told() {
    let list =
        |names: Vec<String>| names.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(",");
    let kinds = list(KindName::ALL.iter().map(ToString::to_string).collect());
    let scopes = list(ScopeName::ALL.iter().map(ToString::to_string).collect());
    assert_eq!(policy(&format!("kinds = [{kinds}]\nscopes = [{scopes}]")), Policy::default());
}

#[test]
fn a_fault_lies_within_the_hours_from_its_start_to_its_end() {
    const OFFICE: &str = "hours = ['Mon-Fri 09:00-17:00']\ntime_zone = 'Europe/Berlin'";
    for (fault, now, allowed) in [
        (r#"{"for":"1h"}"#, NOON, true),
        (r#"{"for":"5h"}"#, NOON, true),
        (r#"{"for":"301m"}"#, NOON, false),
        (r#"{"for":"1m"}"#, "2026-11-26T07:59:59Z", false),
        (r#"{"for":"1m"}"#, "2026-11-26T08:00:00Z", true),
        (r#"{"for":"1m","start_in":"1s"}"#, "2026-11-26T07:59:59Z", true),
        (r#"{"for":"1m","start_in":"5h"}"#, NOON, false),
        (r#"{"for":"1m"}"#, "2026-11-28T11:00:00Z", false),
        // In summer the office opens an hour earlier, by UTC.
        (r#"{"for":"1m"}"#, "2026-07-02T07:00:00Z", true),
        (r#"{"for":"1m"}"#, "2026-07-02T15:00:00Z", false),
    ] {
        let done = asked(OFFICE, fault, now);
        assert_eq!(done.is_ok(), allowed, "{fault} {now}: {done:?}");
    }
    check(
        OFFICE,
        r#"{"for":"5m"}"#,
        "2026-11-28T11:00:00Z",
        "policy.hours allows Mon-Fri 09:00-17:00 (Europe/Berlin); this would last from Sat 2026-11-28 12:00 to Sat 2026-11-28 \
         12:05",
    );
}

#[test]
fn hours_that_follow_each_other_are_one_and_nights_reach_into_the_next_day() {
    const ALWAYS: &str = "longest = '30d'\nhours = ['Mon-Sun 00:00-24:00']\ntime_zone = 'Europe/Berlin'";
    const NIGHTS: &str = "hours = ['Fri,Sat 22:00-06:00']";
    const SPLIT: &str = "hours = ['Thu 11:00-12:00', 'Thu 12:00-13:00', 'Thu 13:01-14:00']";
    for (rules, fault, now, allowed) in [
        (ALWAYS, r#"{"for":"30d"}"#, NOON, true),
        // Over both changes of the clocks.
        (ALWAYS, r#"{"for":"30d"}"#, "2026-10-10T00:00:00Z", true),
        (ALWAYS, r#"{"for":"30d"}"#, "2026-03-15T00:00:00Z", true),
        (NIGHTS, r#"{"for":"8h"}"#, "2026-11-27T22:00:00Z", true),
        (NIGHTS, r#"{"for":"481m"}"#, "2026-11-27T22:00:00Z", false),
        (NIGHTS, r#"{"for":"1h"}"#, "2026-11-29T05:00:00Z", true),
        (NIGHTS, r#"{"for":"1h"}"#, "2026-11-29T22:00:00Z", false),
        (NIGHTS, r#"{"for":"1h"}"#, "2026-11-27T05:00:00Z", false),
        (SPLIT, r#"{"for":"2h"}"#, NOON, true),
        (SPLIT, r#"{"for":"121m"}"#, NOON, false),
    ] {
        let done = asked(rules, fault, now);
        assert_eq!(done.is_ok(), allowed, "{rules} {fault} {now}: {done:?}");
    }
}

#[test]
fn what_are_no_rules_is_refused_with_the_way_to_write_them() {
    for (rules, reason) in [
        ("hours = ['always']", "write them as `Mon-Fri 09:00-17:00`"),
        ("hours = ['Mon 9:00-17:00']", "are no hours"),
        ("hours = ['Mon 09:00-25:00']", "are no hours"),
        ("hours = ['Mo 09:00-17:00']", "are no hours"),
        ("hours = ['Mon 09:00-09:00']", "a whole day is 00:00-24:00"),
        ("time_zone = 'Europe/Nowhere'", "`Europe/Nowhere` is no time zone here"),
        ("kinds = ['delay']", "unknown variant `delay`"),
        ("scopes = ['vm']", "unknown variant `vm`"),
        ("protected_networks = ['10.0.0.0/33']", "invalid"),
        ("protected_ports = ['22']", "not a protected port"),
        ("longest = '31d'", "out of range"),
        ("lenient = true", "unknown field"),
    ] {
        let error = toml::from_str::<Policy>(rules).unwrap_err().to_string();
        assert!(error.contains(reason), "{rules}: {error}");
    }
}

fn addresses(texts: &[&str]) -> Vec<Address> {
    texts.iter().map(|text| Address { net: text.parse().unwrap(), ports: None }).collect()
}

#[test]
fn a_fault_that_would_hit_protected_networks_only_is_none() {
    let rules = policy("protected_networks = ['10.0.8.0/24', '10.0.9.0/24', 'fd00:9::/64']");
    for (targets, refusal) in [
        (&["10.0.9.5"][..], "leaves 10.0.9.0/24 alone, and there is nothing else to hit: 10.0.9.5"),
        (&["10.0.8.0/23"], "leaves 10.0.8.0/24 alone, and there is nothing else to hit: 10.0.8.0/23"),
        (&["10.0.9.5", "fd00:9::5"], "leaves 10.0.9.0/24 and fd00:9::/64 alone"),
        (&["10.0.9.5", "10.0.10.5"], ""),
        (&["10.0.9.5", "fd00:8::5"], ""),
        (&["10.0.8.0/22"], ""),
        (&["0.0.0.0/0", "::/0"], ""),
        (&[], ""),
    ] {
        match (rules.targets(&addresses(targets)), refusal) {
            (done, "") => assert_eq!(done, Ok(()), "{targets:?}"),
            (done, words) => {
                let text = done.unwrap_err().to_string();
                assert!(text.starts_with("policy.protected_networks ") && text.contains(words), "{text}");
            }
        }
    }
    assert_eq!(Policy::default().targets(&addresses(&["10.0.9.5"])), Ok(()));
}

#[test]
fn protected_name_servers_are_asked_as_ever() {
    let rules = policy("protected_networks = ['10.0.9.0/24']");
    let [ours, other] = ["10.0.9.53:53", "10.0.8.53:53"].map(|server| server.parse().unwrap());
    assert_eq!(rules.servers(&[ours, other]), Ok(vec![other]));
    assert_eq!(rules.servers(&[]), Ok(vec![]));
    let text = rules.servers(&[ours]).unwrap_err().to_string();
    assert!(
        text.ends_with("leaves 10.0.9.0/24 alone, and no other name server is asked: 10.0.9.53"),
        "{text}"
    );
}

#[test]
fn protected_interfaces_are_left_out_and_one_that_is_named_is_refused() {
    let rules = policy("protected_interfaces = ['wg0', 'mgmt0']");
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert_eq!(rules.interfaces(None, &names(&["eth0", "wg0"])), Ok(names(&["eth0"])));
    assert_eq!(rules.interfaces(Some("eth0"), &names(&["eth0"])), Ok(names(&["eth0"])));
    let refused = |only, found: &[&str]| rules.interfaces(only, &names(found)).unwrap_err().to_string();
    assert_eq!(refused(Some("wg0"), &["wg0"]), "policy.protected_interfaces leaves wg0 alone; this names it");
    assert_eq!(
        refused(None, &["mgmt0", "wg0"]),
        "policy.protected_interfaces leaves mgmt0 and wg0 alone, and no other interface leads to the target"
    );
}
