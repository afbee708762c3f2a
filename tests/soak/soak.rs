//! The lab, the agent and the model, and the moment at which they are compared.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use harness::agent::Agent;
use harness::lab::Lab;
use partition_agent_proto::{FaultStatus, State, Verdict};

use crate::clock::{Window, now};
use crate::container::Container;
use crate::dice::Dice;
use crate::judge::{Judge, Wrong};
use crate::model::{Fault, Faults, Is, Phase, Room};
use crate::observe::{Netns, Seen};

/// What others have in the lab, as the soak itself has left it.
#[derive(Debug, Default)]
pub struct Theirs {
    pub tables: BTreeSet<String>,
    pub qdisc: bool,
    pub is_moved: bool,
    pub link_is_there: bool,
}

pub struct Soak {
    pub dice: Dice,
    pub faults: Faults,
    /// The namespaces that are there.
    pub rooms: BTreeMap<Room, Netns>,
    /// Since when the others are not.
    pub away: BTreeMap<Room, Window>,
    pub theirs: Theirs,
    /// What others do while the agent is asked the next question.
    pub beside: Option<String>,
    /// What others have, in each room.
    foreign: BTreeMap<Room, BTreeSet<String>>,
    /// What was done last, for the message of a failure.
    pub log: VecDeque<String>,
    /// Ids and what the history may say of their ends.
    pub ends: Vec<(String, Vec<&'static str>)>,
    /// How often each was.
    pub ended: BTreeMap<&'static str, usize>,
    pub names: usize,
    /// Rooms that may have links of an agent that was killed, until the next one enters them.
    pub leftovers: BTreeSet<Room>,
    pub looks: Looks,
    pub agent: Option<Agent>,
    pub container: Option<Container>,
    pub lab: Lab,
}

/// How often the kernel was looked at, and how often that had to be repeated.
#[derive(Debug, Default)]
pub struct Looks {
    pub all: usize,
    pub again: usize,
    pub longest: Duration,
}

/// An end that is closer than this may come before the question does.
pub const CLOSE: Duration = Duration::from_millis(400);

/// Its targets are hit by nobody, and no fault on this host is on this interface.
pub const PROTECTED_NET: &str = "10.77.1.128/25";
pub const PROTECTED_INTERFACE: &str = "to-extra";

pub const CONFIG: &str = r#"
namespaces = true
[policy]
protected_networks = ["10.77.1.128/25"]
protected_interfaces = ["to-extra"]
"#;

/// How long the agent may take to put right what it has to put right by itself: it follows a container within seconds, on a
/// busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is still wrong after this has to be put right before its fault ends.
pub const PROMPT: Duration = Duration::from_secs(3);

/// A container or namespace that is gone counts as gone for good after this: docs/safety.md.
const GRACE: Duration = Duration::from_secs(10);

/// An emulated machine is many times slower.
pub fn slowness() -> u32 {
    if std::env::var_os("PA_ROUNDS_DIVISOR").is_some() { 10 } else { 1 }
}

impl Soak {
    pub fn new(seed: u64) -> Self {
        let lab = Lab::new();
        let agent = Agent::start(&lab.app, CONFIG);
        let open = |name: &str| Netns::open(&format!("/run/netns/{name}")).expect("it is there");
        let mut rooms = BTreeMap::from([
            (Room::App, open(&lab.app.namespace)),
            (Room::Redis, open(&lab.redis.namespace)),
        ]);
        let container = Container::run();
        rooms.extend(container.as_ref().map(|container| (Room::Container, container.netns())));
        let never = Window::at(Duration::ZERO);
        let mut soak = Self {
            dice: Dice::new(seed),
            faults: Faults::new(),
            rooms,
            away: BTreeMap::from([(Room::Extra, never)]),
            theirs: Theirs { link_is_there: true, ..Theirs::default() },
            beside: None,
            foreign: BTreeMap::new(),
            log: VecDeque::new(),
            ends: Vec::new(),
            ended: BTreeMap::new(),
            names: 0,
            leftovers: BTreeSet::new(),
            looks: Looks::default(),
            agent: Some(agent),
            container,
            lab,
        };
        soak.take_foreign();
        soak.clear_theirs();
        soak
    }

    pub fn agent(&self) -> &Agent {
        self.agent.as_ref().expect("it runs")
    }

    pub fn app(&self) -> &Netns {
        &self.rooms[&Room::App]
    }

    /// How late the kernel itself may be: some ticks of its timer.
    pub fn late() -> Duration {
        Duration::from_millis(100) * slowness()
    }

    pub fn note(&mut self, what: String) {
        if self.log.len() == 40 {
            self.log.pop_front();
        }
        self.log.push_back(format!("{:.3?} {what}", now()));
    }

    /// What others have is from here on as it is now, when it has come to rest.
    pub fn take_foreign(&mut self) {
        let look =
            |soak: &Self| soak.rooms.iter().map(|(room, netns)| (*room, Seen::look(netns).foreign)).collect();
        let begun = Instant::now();
        let mut before: BTreeMap<Room, BTreeSet<String>> = look(self);
        loop {
            let now: BTreeMap<Room, BTreeSet<String>> = look(self);
            let is_so = self.is_theirs(&now[&Room::App]);
            if now == before && is_so.is_ok() {
                break self.foreign = now;
            }
            assert!(
                begun.elapsed() < PATIENCE * slowness(),
                "what others have does not come to rest: {is_so:?}\n{before:#?}\n{now:#?}"
            );
            before = now;
        }
    }

    /// Whether what was done for others is there, and nothing else.
    fn is_theirs(&self, lines: &BTreeSet<String>) -> Result<(), String> {
        let of = |beginning: &str| lines.iter().filter(|line| line.starts_with(beginning)).count();
        // The table of iptables stays when its rules are gone.
        let tables =
            lines.iter().filter(|line| line.contains(" table ") && !line.contains("table ip filter")).count();
        let expected = self.theirs.tables.len();
        if tables != expected {
            return Err(format!("{tables} tables, not {expected}"));
        }
        if of("qdisc to-redis pfifo ") != usize::from(self.theirs.qdisc) {
            return Err("the qdisc".to_owned());
        }
        if of("route 10.77.1.2 to-db") != usize::from(self.theirs.is_moved) {
            return Err("the route".to_owned());
        }
        if of("link to-redis") != usize::from(self.theirs.link_is_there) {
            return Err("the link".to_owned());
        }
        Ok(())
    }

    /// Faults whose time is over are over.
    fn age(&mut self) {
        let now = now();
        for fault in self.faults.values_mut() {
            let end = match fault.phase {
                Phase::Prepared { expires } => Some(expires),
                Phase::Timed { .. } => fault.end(),
                Phase::Over { .. } => None,
            };
            if let Some(ended) = end.filter(|end| end.latest < now) {
                self.ends.push((fault.id.clone(), fault.own_ends()));
                fault.phase = Phase::Over { ended };
            }
        }
    }

    /// Looks until the kernel and the agent are as the model says; what must never be ends it at once.
    pub fn settle(&mut self) {
        let begun = Instant::now();
        let mut before = Vec::<Wrong>::new();
        loop {
            let steady = self.steady_ids();
            self.age();
            let wrong = self.look(false);
            // What is wrong with a fault until its end was never put right.
            let outlived = before.iter().any(|wrong| {
                let id = wrong.what.split(':').next().unwrap_or_default();
                steady.contains(id) && !self.steady_ids().contains(id)
            });
            let unheeded = outlived && begun.elapsed() > PROMPT * slowness();
            if wrong.is_empty() && !unheeded {
                break;
            }
            self.looks.again += 1;
            before = if wrong.is_empty() { before } else { wrong };
            let is_late = unheeded || begun.elapsed() > PATIENCE * slowness();
            if is_late || before.iter().any(|wrong| wrong.never) {
                self.fail(&before, begun.elapsed());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        self.looks.longest = self.looks.longest.max(begun.elapsed());
        self.looks.all += 1;
    }

    /// Those that are not over, where nothing comes and goes but interfaces.
    fn steady_ids(&self) -> BTreeSet<String> {
        let steady = |fault: &&Fault| {
            matches!(fault.room, Room::App | Room::Redis) && !matches!(fault.phase, Phase::Over { .. })
        };
        self.faults.values().filter(steady).map(|fault| fault.id.clone()).collect()
    }

    /// While the agent stands still only what the kernel does by itself can be asked for.
    pub fn look_at_the_kernel(&mut self) {
        self.age();
        let wrong = self.look(true);
        let wrong = wrong.into_iter().filter(|wrong| wrong.never).collect::<Vec<_>>();
        if !wrong.is_empty() {
            self.fail(&wrong, Duration::ZERO);
        }
    }

    fn fail(&self, wrong: &[Wrong], after: Duration) -> ! {
        let wrong =
            wrong.iter().map(|wrong| format!("  {}{}\n", if wrong.never { "! " } else { "" }, wrong.what));
        let faults = self.faults.values().map(|fault| {
            format!(
                "  {} f{:?} {:?} {:?} on {}: {}\n",
                fault.id, fault.slot, fault.room, fault.phase, fault.was_on, fault.spec
            )
        });
        let log = self.log.iter().map(|line| format!("  {line}\n"));
        panic!(
            "after {after:?} at {:?}:\n{}with the faults\n{}after\n{}",
            now(),
            wrong.collect::<String>(),
            faults.collect::<String>(),
            log.collect::<String>()
        );
    }

    fn look(&mut self, stopped: bool) -> Vec<Wrong> {
        let mut wrong = Vec::new();
        for (room, netns) in &self.rooms {
            let seen = Seen::look(netns);
            let judge = Judge { room: *room, seen: &seen, late: Self::late(), stopped };
            let mut found = judge.judge(&mut self.faults);
            if self.leftovers.contains(room) {
                found.retain(|wrong| !wrong.what.contains("nobody's: {}["));
            }
            wrong.extend(found);
            let before = &self.foreign[room];
            for line in before.symmetric_difference(&seen.foreign) {
                let how = if before.contains(line) { "gone" } else { "new" };
                wrong.push(Wrong { never: true, what: format!("of others in {room:?}, {how}: {line}") });
            }
        }
        if !stopped && self.agent.is_some() {
            let (list, seen) = Window::around(|| self.agent().faults());
            wrong.extend(self.judge_list(&list, seen));
            if wrong.is_empty() {
                let listed = list.iter().map(|status| status.id.as_str()).collect::<BTreeSet<_>>();
                let is_gone = |fault: &Fault| {
                    matches!(fault.phase, Phase::Over { .. }) && !listed.contains(fault.id.as_str())
                };
                self.faults.retain(|_, fault| !is_gone(fault));
            }
        }
        wrong
    }

    fn judge_list(&mut self, list: &[FaultStatus], seen: Window) -> Vec<Wrong> {
        let mut wrong = Vec::new();
        for status in list {
            let id = status.id.as_str();
            match self.faults.get(id) {
                Some(fault) => {
                    wrong.extend(
                        self.judge_status(fault, status, seen)
                            .map(|what| Wrong { never: false, what: format!("{id}: {what}") }),
                    );
                }
                None => wrong.push(Wrong {
                    never: false,
                    what: format!("{id} is listed, {}, and was never asked for", status.state),
                }),
            }
        }
        let mut vanished = Vec::new();
        for fault in self.faults.values() {
            if list.iter().any(|status| status.id.as_str() == fault.id) || fault.is_there(seen) != Is::So {
                continue;
            }
            match self.away.get(&fault.room) {
                Some(since) if since.earliest + GRACE < seen.latest => vanished.push(fault.id.clone()),
                Some(_) | None => {
                    wrong.push(Wrong { never: true, what: format!("{} is not listed", fault.id) })
                }
            }
        }
        for id in vanished {
            self.faults.remove(&id);
            self.ends.push((id, vec!["gone"]));
        }
        wrong
    }

    fn judge_status(&self, fault: &Fault, status: &FaultStatus, seen: Window) -> Option<String> {
        if status.spec != fault.spec {
            return Some(format!("the API has another spec: {}", status.spec));
        }
        let expected: &[State] = match (fault.phase, fault.is_there(seen)) {
            (Phase::Prepared { .. }, Is::So) => &[State::Prepared],
            (Phase::Timed { start, .. }, Is::So) if seen.is_before(start) => &[State::Waiting],
            (Phase::Timed { start, .. }, Is::So) if start.is_before(seen) => &[State::Active],
            (Phase::Timed { .. }, Is::So) => &[State::Waiting, State::Active],
            (Phase::Over { ended }, _) if (ended.latest + fault.drains()) < seen.earliest => &[],
            (Phase::Over { .. }, _) => &[State::Restoring, State::Active],
            (_, Is::Not | Is::Either) => return None,
        };
        if !expected.contains(&status.state) {
            return Some(format!("the API says {}, not {expected:?}", status.state));
        }
        let lease = status.lease_remaining_ms;
        match (fault.phase, fault.end(), status.state) {
            (Phase::Timed { deadline, lease_end, .. }, Some(end), State::Active | State::Waiting) => {
                let wrong = differs(status.remaining_ms, deadline, seen)
                    .or_else(|| lease.and_then(|left| differs(left, end, seen)));
                if wrong.is_some() || lease.is_some() != lease_end.is_some() {
                    let wrong = wrong.unwrap_or_default();
                    return Some(format!("the API says of its lease {lease:?} ms, and {wrong}"));
                }
            }
            _ if lease.is_some() => {
                return Some(format!("the API says {lease:?} ms of a lease that has none"));
            }
            _ => {}
        }
        let steady = status.state == State::Active
            && self.theirs.link_is_there
            && !self.away.contains_key(&fault.room);
        match &status.verdict {
            Verdict::Mismatch { found } if steady => Some(format!("the API says mismatch: {found}")),
            Verdict::Mismatch { .. } | Verdict::Confirmed | Verdict::Inconclusive { .. } => None,
        }
    }

    /// What the history says of the ends that were seen since it was last asked.
    pub fn judge_history(&mut self) {
        // Those that are about to end are written down a moment later.
        std::thread::sleep(Duration::from_millis(50));
        let history = self.agent().history();
        let journal = self.journal_of_ends();
        for (id, ends) in std::mem::take(&mut self.ends) {
            // What it delayed is on its way: it is written down later.
            if self.faults.contains_key(&id) {
                self.ends.push((id, ends));
                continue;
            }
            let told = history
                .iter()
                .filter(|over| over.id.as_str() == id)
                .map(|over| over.end.to_string())
                .collect::<Vec<_>>();
            let fits = match told.as_slice() {
                [told] => ends.iter().find(|end| told.contains(**end)),
                _ => None,
            };
            let Some(end) = fits else {
                panic!("the history says of {id}: {told:?}, not {ends:?}\n{:#?}", self.log);
            };
            *self.ended.entry(end).or_default() += 1;
            // The history cannot show two ends of one beginning.
            let written = journal.iter().filter(|ended| **ended == id).count();
            assert_eq!(written, 1, "the journal has so many ends of {id}\n{:#?}", self.log);
        }
    }
}

/// What is wrong with the milliseconds that are said to be left.
fn differs(left: u64, end: Window, seen: Window) -> Option<String> {
    let left = Duration::from_millis(left);
    let (least, most) = (end.earliest.saturating_sub(seen.latest), end.latest.saturating_sub(seen.earliest));
    let tick = Duration::from_millis(2);
    let fits = left + tick >= least && left <= most + tick;
    (!fits).then(|| format!("{left:?} are left, not {least:?} to {most:?}"))
}

impl Drop for Soak {
    fn drop(&mut self) {
        // Gone already is fine.
        let _ = std::process::Command::new("ip").args(["netns", "del", &self.extra_name()]).output();
    }
}
