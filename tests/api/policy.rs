//! What `[policy]` of the configuration refuses: before anything is touched, in a dry run as in earnest, by the name of the rule.

use harness::fake_agent::{Options, policy};
use jiff::{Timestamp, ToSpan};
use partition_agent_core::policy::Policy;
use partition_agent_proto::{FaultStatus, Problem, ProblemCode};

use crate::client::{Api, LOSS};

const ALL: &str = r#"{"kinds":[{"loss":{"percent":100}}],"target":{"all_traffic":true}}"#;

/// As in the configuration; the rest is that of every test.
fn rules(text: &str) -> Policy {
    let base = policy();
    let rules: Policy = toml::from_str(text).unwrap();
    Policy { longest: base.longest, most_faults: base.most_faults, ..rules }
}

fn api(text: &str) -> Api {
    Api::with(Options { policy: rules(text), ..Options::default() })
}

/// Whichever way it is asked for.
async fn refused(api: &Api, body: &str, detail: &str) -> Problem {
    let mut last = None;
    for (method, path) in [
        ("POST", "/v1/faults"),
        ("PUT", "/v1/faults/cut"),
        ("POST", "/v1/faults?dry_run=true"),
        ("PUT", "/v1/faults/cut?prepare=10s"),
    ] {
        let problem = api.send(method, path, body.to_owned()).await.refused(ProblemCode::Limit, detail);
        assert!(problem.hint.as_ref().unwrap().contains("[policy]"), "{problem:?}");
        api.assert_untouched(body).await;
        last = Some(problem);
    }
    last.unwrap()
}

#[tokio::test]
async fn kinds_and_scopes_that_are_not_allowed_are_refused() {
    let api = api("kinds = ['loss', 'latency']\nscopes = ['host', 'unit']");
    let reject = LOSS.replace(r#"{"loss":{"percent":30}}"#, r#"{"reject":{"with":"host_unreachable"}}"#);
    refused(&api, &reject, "policy.kinds allows loss and latency; this is a reject").await;
    let user = LOSS.replace("]}}", r#"]},"scope":{"user":"0"}}"#);
    refused(&api, &user, "policy.scopes allows host and unit; this is on user 0").await;
    let interface = LOSS.replace("]}}", r#"]},"interface":"eth0"}"#);
    refused(&api, &interface, "policy.scopes allows host and unit; this is on interface eth0").await;
    api.put("cut", LOSS).await;
}

#[tokio::test]
async fn a_fault_on_protected_networks_only_is_refused_and_a_wider_one_says_what_it_leaves_alone() {
    let api = api("protected_networks = ['10.0.0.0/24', 'fd00:9::/64']");
    // By address, by a name of the configuration, by a network in it, in both families.
    for peers in [r#""10.0.0.5""#, r#""redis""#, r#""10.0.0.128/25""#, r#""10.0.0.5","fd00:9::1""#] {
        let body = LOSS.replace(r#""10.0.0.5""#, peers);
        refused(&api, &body, "policy.protected_networks leaves 10.0.0.0/24").await;
    }
    for body in [
        ALL.to_owned(),
        LOSS.replace("10.0.0.5", "10.0.0.0/23"),
        LOSS.replace(r#""10.0.0.5""#, r#""redis","10.1.0.1""#),
    ] {
        let fault: FaultStatus = api.send("POST", "/v1/faults?dry_run=true", body.clone()).await.json(200);
        for network in ["network 10.0.0.0/24", "network fd00:9::/64"] {
            assert!(fault.protects.contains(&network.to_owned()), "{body}: {:?}", fault.protects);
        }
    }
}

#[tokio::test]
async fn a_dns_fault_leaves_protected_name_servers_alone() {
    let api = api("protected_networks = ['10.0.0.53']");
    let dns = |servers: &str| {
        format!(
            r#"{{"kinds":[{{"dns":{{"names":["a.example"],"answer":"timeout"}}}}],"target":{{"peers":[{servers}]}}}}"#
        )
    };
    let detail =
        "policy.protected_networks leaves 10.0.0.53/32 alone, and no other name server is asked: 10.0.0.53";
    refused(&api, &dns(r#""10.0.0.53""#), detail).await;
    let plan = api.plan(dns(r#""10.0.0.53","10.0.0.54""#)).await;
    assert!(plan.contains("10.0.0.54") && !plan.contains("10.0.0.53"), "{plan}");
}

#[tokio::test]
async fn protected_interfaces_are_left_out_and_refused_by_name() {
    let api = api("protected_interfaces = ['mgmt0', 'wg0']");
    let interfaces = |names: &[&str]| {
        api.agent.world().interfaces = names.iter().map(|name| (*name).to_owned()).collect();
    };
    interfaces(&["eth0", "mgmt0", "wg0"]);
    let named = LOSS.replace("]}}", r#"]},"interface":"wg0"}"#);
    refused(&api, &named, "policy.protected_interfaces leaves wg0 alone; this names it").await;
    let reject = LOSS.replace(r#"{"loss":{"percent":30}}"#, r#"{"reject":{"with":"host_unreachable"}}"#);
    let plan = api.plan(reject).await;
    for aside in [r#"oifname != "mgmt0" oifname != "wg0""#, r#"iifname != "mgmt0" iifname != "wg0""#] {
        assert!(plan.contains(aside), "{plan}");
    }
    let fault = api.put("cut", ALL).await;
    assert_eq!(fault.places[0].interfaces, ["eth0"]);
    let _: FaultStatus = api.delete("/v1/faults/cut").await.json(200);

    interfaces(&["mgmt0", "wg0"]);
    let none =
        "policy.protected_interfaces leaves mgmt0 and wg0 alone, and no other interface leads to the target";
    api.send("PUT", "/v1/faults/b", ALL).await.refused(ProblemCode::Limit, none);
}

#[tokio::test]
async fn hours_hold_for_the_end_of_a_fault_for_its_start_and_for_more_of_it() {
    // From an hour ago to in 20 minutes, by the clock of UTC; at least the whole minutes of that.
    let now = Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC);
    let [from, to] = [now.checked_sub(1.hour()).unwrap(), now.checked_add(20.minutes()).unwrap()];
    let day = |at: &jiff::Zoned| at.strftime("%a").to_string();
    let window = format!("{} {}-{}", day(&from), from.strftime("%H:%M"), to.strftime("%H:%M"));
    let api = api(&format!("hours = ['{window}']"));
    let lasting = |time: &str| LOSS.replace("]}}", &format!(r#"]}},"for":"{time}"}}"#));
    refused(&api, &lasting("30m"), &format!("policy.hours allows {window} (UTC); this would last from"))
        .await;
    let late = LOSS.replace("]}}", r#"]},"for":"1m","start_in":"30m"}"#);
    for path in ["/v1/faults", "/v1/faults?dry_run=true"] {
        api.send("POST", path, late.clone()).await.refused(ProblemCode::Limit, "policy.hours");
    }
    api.put("cut", lasting("10m")).await;
    // To the end of the hours and no further; to end sooner is always allowed, and the same fault again is the same.
    api.send("PATCH", "/v1/faults/cut", r#"{"for":"30m"}"#).await.refused(ProblemCode::Limit, "policy.hours");
    let _: FaultStatus = api.send("PATCH", "/v1/faults/cut", r#"{"for":"5m"}"#).await.json(200);
    let _: FaultStatus = api.send("PUT", "/v1/faults/cut", lasting("10m")).await.json(200);
    assert!(api.fault("cut").await.remaining_ms <= 300_000);
}

#[tokio::test]
async fn outside_of_the_hours_nothing_starts() {
    let now = Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC);
    let tomorrow = now.checked_add(2.days()).unwrap().strftime("%a").to_string();
    let api = api(&format!("hours = ['{tomorrow} 00:00-24:00']"));
    refused(&api, LOSS, &format!("policy.hours allows {tomorrow} 00:00-24:00 (UTC)")).await;
}
