//! Less than the whole: some of the scenarios, or all of it in less time.

use std::num::NonZeroU32;

use partition_agent_proto::Span;
use partition_agent_proto::fleet::hint;

use super::model::{Action, GameDay};
use crate::args::TimingArgs;
use crate::team::SHORTEST;

/// Of a flap each way, and of a ramp: nobody would see anything else.
const SHORTEST_TURN: Span = Span::from_secs(1);

impl GameDay {
    /// Only these scenarios, in the order of the file.
    ///
    /// # Errors
    /// One that there is not.
    pub fn keep(&mut self, scenarios: &[String]) -> Result<(), String> {
        let known = || self.rounds.iter().filter_map(|round| round.scenario.clone());
        if let Some(unknown) = scenarios.iter().find(|name| known().all(|known| known != **name)) {
            let path = self.path.display();
            return Err(match known().next() {
                Some(_) => format!("{path} has no scenario `{unknown}`; {}", hint(unknown, known(), known())),
                None => format!("{path} has no scenarios: leave --scenario out"),
            });
        }
        self.rounds.retain(|round| round.scenario.as_ref().is_some_and(|name| scenarios.contains(name)));
        Ok(())
    }

    /// So many times as fast, for a rehearsal: the times of the steps, and those of their faults, which stay long enough to be seen.
    /// Intervals, timeouts and targets stay.
    pub fn hurry(&mut self, times: NonZeroU32) {
        for step in self.rounds.iter_mut().flat_map(|round| &mut round.steps) {
            step.at_ms /= i64::from(times.get());
            match &mut step.action {
                Some(Action::Inject { args, .. }) => hurry(&mut args.timing, times),
                Some(Action::Partition { args, .. }) => hurry(&mut args.timing, times),
                Some(
                    Action::Restore(_)
                    | Action::Run { .. }
                    | Action::Confirm(_)
                    | Action::Observe(_)
                    | Action::Matrix(_),
                )
                | None => {}
            }
        }
    }
}

fn hurry(timing: &mut TimingArgs, times: NonZeroU32) {
    let TimingArgs { duration, start_in: _, flap, ramp, lease: _, no_wait: _ } = timing;
    *duration = shorter(*duration, times, SHORTEST);
    if let Some(flap) = flap {
        flap.on = shorter(flap.on, times, SHORTEST_TURN);
        flap.off = shorter(flap.off, times, SHORTEST_TURN);
    }
    if let Some(ramp) = ramp {
        *ramp = shorter(*ramp, times, SHORTEST_TURN);
    }
}

/// Never longer than it was.
fn shorter(span: Span, times: NonZeroU32, least: Span) -> Span {
    let least = span.min(least);
    let shorter = Span::new(span.duration() / times.get()).unwrap_or(least);
    shorter.max(least)
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::*;
    use crate::gameday::file::read;

    fn day(text: &str) -> GameDay {
        read(Path::new("f.yaml"), text, None, &|_| None).unwrap()
    }

    #[test]
    fn a_rehearsal_is_faster_and_long_enough_to_be_seen() {
        let mut day = day(
            "name: a\nlongest: 1h\nprobes: {p: {tcp: \"a:1\", every: 10s}}\nrecovery: {holds: p, within: 7m}\ntimeline:\n\
             - {at: T-15m, run: x, timeout: 1m}\n\
             - {at: T+0, inject: --loss 1%..9% --ramp 5m --peer a --for 10m}\n\
             - {at: 5m, inject: --loss 9% --flap 30s/2s --peer a --for 20s}\n\
             - {at: 6m, partition: a b --for 3s --flap 500ms/1h}\n",
        );
        day.hurry(NonZeroU32::new(10).unwrap());
        let step = |step: &super::super::Step| {
            let timing = match &step.action {
                Some(Action::Inject { args, .. }) => Some(&args.timing),
                Some(Action::Partition { args, .. }) => Some(&args.timing),
                _ => None,
            };
            let timing = timing.map(|timing| {
                (
                    timing.duration.to_string(),
                    timing.flap.map(|flap| flap.to_string()),
                    timing.ramp.map(|ramp| ramp.to_string()),
                )
            });
            (step.at_ms, timing)
        };
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(
            day.rounds[0].steps.iter().map(step).collect::<Vec<_>>(),
            [
                (-90_000, None),
                (0, Some(("1m".to_owned(), None, text("30s")))),
                (30_000, Some(("5s".to_owned(), text("3s on, 1s off"), None))),
                (36_000, Some(("3s".to_owned(), text("500ms on, 6m off"), None))),
            ]
        );
        let Some(Action::Run { timeout, .. }) = day.rounds[0].steps[0].action else { panic!("no command") };
        let stay = (timeout, day.longest, day.probes["p"].every, day.rounds[0].recovery.within);
        assert_eq!(
            stay,
            (
                Duration::from_secs(60),
                Duration::from_secs(3_600),
                Duration::from_secs(10),
                Duration::from_secs(420)
            )
        );
    }

    #[test]
    fn scenarios_are_kept_by_name() {
        let cut = "{timeline: [{at: T, inject: --loss 1% --peer a}]}";
        let text = format!("name: a\nscenarios:\n  one: {cut}\n  two: {cut}\n  three: {cut}\n");
        let mut three = day(&text);
        three.keep(&["three".to_owned(), "one".to_owned()]).unwrap();
        let names = three.rounds.iter().filter_map(|round| round.scenario.as_deref()).collect::<Vec<_>>();
        assert_eq!(names, ["one", "three"]);
        assert_eq!(
            day(&text).keep(&["thre".to_owned()]),
            Err("f.yaml has no scenario `thre`; did you mean `three`?".to_owned())
        );
        let mut alone = day("name: a\ntimeline: [{at: T, inject: --loss 1% --peer a}]");
        assert_eq!(
            alone.keep(&["a".to_owned()]),
            Err("f.yaml has no scenarios: leave --scenario out".to_owned())
        );
    }
}
