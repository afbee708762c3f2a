//! What is drawn, against what is in force. Pure; all times are milliseconds since 1970, as Grafana has them.

use jiff::Timestamp;
use partition_agent_proto::{Clock, End, FaultId, FaultStatus, History, State};

/// A fault that Grafana shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drawn {
    pub id: FaultId,
    /// The number of the annotation there.
    pub annotation: u64,
    /// When the fault ended, where Grafana does not know that yet.
    pub end: Option<i64>,
}

/// Faults in force that are not drawn, with the time of their start.
pub fn begun<'a>(drawn: &[Drawn], faults: &'a [FaultStatus], clock: &Clock) -> Vec<(&'a FaultStatus, i64)> {
    let is_drawn =
        |fault: &FaultStatus| drawn.iter().any(|drawn| drawn.id == fault.id && drawn.end.is_none());
    let active = faults.iter().filter(|fault| fault.state == State::Active && !is_drawn(fault));
    let start = |fault: &FaultStatus| {
        let ago = fault.started_boot_ns.map_or(0, |started| clock.boot_ns.saturating_sub(started));
        // Refused in every place so far, it starts any moment.
        Some(millis(&clock.wall)? - i64::try_from(ago / 1_000_000).unwrap_or(i64::MAX))
    };
    active.filter_map(|fault| Some((fault, start(fault)?))).collect()
}

/// Faults that are drawn and out of force. One that is stuck may be in force still: it is told when it is not.
pub fn over(drawn: &[Drawn], faults: &[FaultStatus]) -> Vec<FaultId> {
    let stands = |id: &FaultId| {
        faults.iter().any(|fault| {
            fault.id == *id
                && match fault.state {
                    State::Active | State::Stuck => true,
                    State::Pending
                    | State::Prepared
                    | State::Waiting
                    | State::Restoring
                    | State::Restored => false,
                }
        })
    };
    let open = drawn.iter().filter(|drawn| drawn.end.is_none());
    open.filter(|drawn| !stands(&drawn.id)).map(|drawn| drawn.id.clone()).collect()
}

/// When a fault ended that nobody saw end. With its agent it ended when that died, which is when it went silent.
pub fn ended(id: &FaultId, history: &[History], silent_since: i64) -> i64 {
    let newest = history.iter().find(|over| over.id == *id);
    let told = newest.filter(|over| over.end != End::AgentDied).and_then(|over| millis(&over.ended_at));
    told.unwrap_or(silent_since)
}

/// A time as the API tells it.
pub fn millis(rfc_3339: &str) -> Option<i64> {
    rfc_3339.parse::<Timestamp>().ok().map(Timestamp::as_millisecond)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WALL: &str = "2026-11-22T07:03:46.896Z";

    fn fault(id: &str, state: &str, started: &str) -> FaultStatus {
        let text = format!(
            r#"{{"id":"{id}","state":"{state}","spec":{{"kinds":[{{"loss":{{"percent":1}}}}],"target":{{"peers":["10.0.0.5"]}}}},
                "addresses":1,"first_addresses":[],"places":[],"protects":[],"by":"me","injected_at":"{WALL}","ends_at":"{WALL}",
                "remaining_ms":1,"verdict":{{"is":"confirmed"}},"hits":{{}}{started}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    fn drawn(id: &str, end: Option<i64>) -> Drawn {
        Drawn { id: id.parse().unwrap(), annotation: 1, end }
    }

    #[test]
    fn what_is_in_force_and_not_drawn_begins_when_it_started() {
        let clock = Clock { boot_ns: 9_000_000_000, wall: WALL.to_owned() };
        let faults = [
            fault("a", "active", r#","started_boot_ns":7500000000"#),
            fault("b", "active", ""),
            fault("c", "active", ""),
            fault("d", "waiting", ""),
            fault("e", "stuck", ""),
        ];
        // An earlier one of the same name does not count.
        let begun = begun(&[drawn("b", None), drawn("a", Some(1))], &faults, &clock);
        let begun = begun.into_iter().map(|(fault, at)| (fault.id.as_str(), at)).collect::<Vec<_>>();
        let wall = millis(WALL).unwrap();
        assert_eq!(begun, [("a", wall - 1_500), ("c", wall)]);
    }

    #[test]
    fn what_is_drawn_is_over_when_it_hits_nothing_any_more() {
        let faults = [fault("a", "active", ""), fault("b", "restoring", ""), fault("c", "stuck", "")];
        let drawn = ["a", "b", "c", "d"].map(|id| drawn(id, None));
        assert_eq!(over(&drawn, &faults).iter().map(FaultId::as_str).collect::<Vec<_>>(), ["b", "d"]);
        assert!(over(&[self::drawn("d", Some(7))], &faults).is_empty());
    }

    #[test]
    fn a_fault_that_died_with_its_agent_ended_when_that_went_silent() {
        let history = |end: &str| {
            let text = format!(
                r#"[{{"id":"a","spec":{{"kinds":[],"target":{{}}}},"by":"me","injected_at":"{WALL}","ended_at":"{WALL}",
                    "end":{end},"hits":{{}}}}]"#
            );
            serde_json::from_str::<Vec<History>>(&text).unwrap()
        };
        let id = "a".parse().unwrap();
        assert_eq!(ended(&id, &history(r#"{"by":"deadline"}"#), 5), millis(WALL).unwrap());
        assert_eq!(ended(&id, &history(r#"{"by":"agent_died"}"#), 5), 5);
        assert_eq!(ended(&id, &[], 5), 5);
    }
}
