//! What is known of the hosts of a fleet. Pure: time is handed in.

use std::time::{Duration, Instant};

use partition_agent_proto::{FaultView, FleetView, Hearing, HostView, State};

use super::told::{Met, Told};

/// The most faults in one answer, over all hosts: a page has no more rows.
const ROWS: usize = 5_000;
/// The fewest of each host, however many hosts there are.
const FEWEST: usize = 5;

/// One place for each host, in the order of the configuration.
#[derive(Debug)]
pub struct Board {
    hosts: Vec<Host>,
}

#[derive(Debug)]
struct Host {
    name: String,
    met: Option<Met>,
    told: Option<(Instant, Told)>,
    silent: Option<Silence>,
}

#[derive(Debug)]
struct Silence {
    since: Instant,
    why: String,
}

impl Board {
    /// Of hosts that nothing is known of.
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        let unknown = |name| Host { name, met: None, told: None, silent: None };
        Self { hosts: names.into_iter().map(unknown).collect() }
    }

    /// How many faults of each host are kept.
    pub fn room(&self) -> usize {
        (ROWS / self.hosts.len().max(1)).max(FEWEST)
    }

    /// Whose view nobody looks at, that is known no more.
    pub fn forget(&mut self) {
        *self = Self::new(std::mem::take(&mut self.hosts).into_iter().map(|host| host.name));
    }

    pub fn met(&mut self, nth: usize, met: Met) {
        if let Some(host) = self.hosts.get_mut(nth) {
            host.met = Some(met);
        }
    }

    pub fn told(&mut self, nth: usize, told: Told, now: Instant) {
        if let Some(host) = self.hosts.get_mut(nth) {
            host.told = Some((now, told));
            host.silent = None;
        }
    }

    /// What it told before stays: its kernel goes on, whether or not it answers.
    pub fn silent(&mut self, nth: usize, why: String, now: Instant) {
        if let Some(host) = self.hosts.get_mut(nth) {
            let since = host.silent.as_ref().map_or(now, |silence| silence.since);
            host.silent = Some(Silence { since, why });
        }
    }

    pub fn view(&self, now: Instant) -> FleetView {
        FleetView { hosts: self.hosts.iter().map(|host| host.view(now)).collect() }
    }
}

impl Host {
    fn view(&self, now: Instant) -> HostView {
        let since = |then: Instant| now.saturating_duration_since(then);
        let hearing = match (&self.silent, &self.told) {
            (Some(Silence { since: begun, why }), _) => {
                Hearing::Silent { since_ms: millis(since(*begun)), why: why.clone() }
            }
            (None, Some(_)) => Hearing::Answers,
            (None, None) => Hearing::Asked,
        };
        let told_ms = self.told.as_ref().map(|(then, _)| millis(since(*then)));
        let ago = told_ms.unwrap_or_default();
        let faults = self.told.iter().flat_map(|(_, told)| &told.faults);
        let faults = faults.map(|fault| FaultView {
            remaining_ms: fault.remaining_ms.saturating_sub(ago),
            lease_remaining_ms: fault.lease_remaining_ms.map(|left| left.saturating_sub(ago)),
            ..fault.clone()
        });
        let is_silent = self.silent.is_some();
        HostView {
            name: self.name.clone(),
            hearing,
            host: self.met.as_ref().map(|met| met.host.clone()),
            version: self.met.as_ref().map(|met| met.version.clone()),
            told_ms,
            faults: faults.filter(|fault| !(is_silent && is_over(fault))).collect(),
            more: self.told.as_ref().map_or(0, |(_, told)| told.more),
        }
    }
}

/// Whether the kernel has ended it by now, whatever has become of the agent.
fn is_over(fault: &FaultView) -> bool {
    match fault.state {
        // What is left of it did not go with its deadline.
        State::Stuck => false,
        State::Pending
        | State::Prepared
        | State::Waiting
        | State::Active
        | State::Restoring
        | State::Restored => fault.remaining_ms == 0,
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use partition_agent_proto::{Hits, Verdict};

    use super::*;

    fn fault(id: &str, state: State, remaining_ms: u64) -> FaultView {
        FaultView {
            id: id.parse().unwrap(),
            state,
            fault: "loss 100%".to_owned(),
            by: "uid 0".to_owned(),
            remaining_ms,
            lease_remaining_ms: Some(remaining_ms / 2),
            verdict: Verdict::Confirmed,
            hits: Hits::default(),
        }
    }

    fn board() -> (Board, Instant) {
        (Board::new(["a", "b"].map(str::to_owned)), Instant::now())
    }

    fn left(view: &FleetView, nth: usize) -> Vec<(String, u64)> {
        view.hosts[nth].faults.iter().map(|fault| (fault.id.to_string(), fault.remaining_ms)).collect()
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_host_is_asked_answers_falls_silent_and_answers_again() {
        let (mut board, begun) = board();
        let hearing = |board: &Board, now| board.view(now).hosts[1].hearing.clone();
        assert_eq!(hearing(&board, begun), Hearing::Asked);
        board.told(1, Told { faults: vec![fault("x", State::Active, 5_000)], more: 7 }, begun);
        board.met(1, Met { host: "db".to_owned(), version: "1".to_owned() });
        assert_eq!(hearing(&board, begun), Hearing::Answers);
        let view = board.view(begun + SECOND);
        assert_eq!((view.hosts[1].told_ms, view.hosts[1].more), (Some(1_000), 7));
        assert_eq!(view.hosts[1].host.as_deref(), Some("db"));
        for (after, why) in [(2, "refused"), (4, "no answer")] {
            board.silent(1, why.to_owned(), begun + after * SECOND);
        }
        // Since it was first silent, and why it is now.
        let silent = Hearing::Silent { since_ms: 8_000, why: "no answer".to_owned() };
        assert_eq!(hearing(&board, begun + 10 * SECOND), silent);
        board.told(1, Told { faults: Vec::new(), more: 0 }, begun + 11 * SECOND);
        assert_eq!(hearing(&board, begun + 11 * SECOND), Hearing::Answers);
        assert_eq!(board.view(begun).hosts[0].hearing, Hearing::Asked, "the other one");
        board.forget();
        assert_eq!(
            board.view(begun).hosts.iter().map(|host| host.name.as_str()).collect::<Vec<_>>(),
            ["a", "b"]
        );
        assert_eq!((hearing(&board, begun), board.view(begun).hosts[1].host.clone()), (Hearing::Asked, None));
    }

    #[test]
    fn clocks_go_on_and_a_kernel_ends_what_its_host_does_not_tell_of() {
        let (mut board, begun) = board();
        let faults = [("x", State::Active), ("y", State::Stuck), ("z", State::Restoring)];
        let faults = faults.map(|(id, state)| fault(id, state, 5_000)).to_vec();
        board.told(0, Told { faults, more: 0 }, begun);
        let all = |left| ["x", "y", "z"].map(|id| (id.to_owned(), left)).to_vec();
        let view = board.view(begun + 2 * SECOND);
        assert_eq!(left(&view, 0), all(3_000));
        assert_eq!(view.hosts[0].faults[0].lease_remaining_ms, Some(500));
        // One that answers has told so itself.
        assert_eq!(left(&board.view(begun + 6 * SECOND), 0), all(0));
        board.silent(0, "gone".to_owned(), begun + 2 * SECOND);
        assert_eq!(left(&board.view(begun + 3 * SECOND), 0), all(2_000));
        assert_eq!(left(&board.view(begun + 6 * SECOND), 0), [("y".to_owned(), 0)]);
    }

    #[test]
    fn the_more_hosts_the_fewer_faults_of_each() {
        for (hosts, room) in [(1, 5_000), (10, 500), (1_000, 5), (5_000, 5)] {
            assert_eq!(Board::new((0..hosts).map(|nth| nth.to_string())).room(), room);
        }
    }
}
