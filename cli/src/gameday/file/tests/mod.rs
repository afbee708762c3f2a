//! Whole files: what they mean, and what is wrong with them.

use std::path::Path;
use std::time::Duration;

use super::*;

const TIMELINE: &str = include_str!("days/timeline.yaml");
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
            "-60 look matrix Before @54 ",
            "0 cut inject --loss 100% --peer redis --on gateway --for 10m = loss 100% for 10m ON gateway @57 ",
            "60 part partition @eu @us --one-way --for 5m = [\"@eu\", \"@us\"] for 5m @60 ",
            "120 step 4 inject --latency 100ms --jitter 10ms --peer redis --on gateway --for 3m = latency 100ms ± 10ms one way \
             for 3m ON gateway @63 not redis",
            "300 step 5 observe Do services log retries? @66 not redis, web",
            "360 step 6 confirm The status page says maintenance? @69 ",
            "420 step 7 run ./failover.sh within 60s @71 ",
            "480 step 8  @74 port",
            "570 step 10 restore [\"part\", \"cut\"] @78 ",
            "600 step 9 restore [] @76 ",
        ]
    );
}
