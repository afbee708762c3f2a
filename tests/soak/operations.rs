//! What is done, at random: to the agent, to the network that it works on, and by others beside it.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::clock::now;
use crate::model::{Phase, Room};
use crate::soak::Soak;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Inject,
    Prepare,
    Again,
    Conflict,
    DryRun,
    Change,
    Renew,
    Restore,
    RestoreAt,
    RestoreAll,
    Commit,
    Wait,
    Watch,
    Stop,
    DownAndUp,
    MakeAnew,
    DeleteLink,
    MakeLink,
    Extra,
    Restart,
    Leave,
    Theirs,
    Race,
    Terminate,
    Kill,
}

/// How often each is done. Restarting the agent is left out where its memory is watched.
const WEIGHTS: [(usize, Operation); 25] = [
    (300, Operation::Inject),
    (60, Operation::Prepare),
    (20, Operation::Again),
    (10, Operation::Conflict),
    (10, Operation::DryRun),
    (130, Operation::Change),
    (130, Operation::Renew),
    (140, Operation::Restore),
    (40, Operation::RestoreAt),
    (12, Operation::RestoreAll),
    (60, Operation::Commit),
    (60, Operation::Wait),
    (25, Operation::Watch),
    (4, Operation::Stop),
    (20, Operation::DownAndUp),
    (14, Operation::MakeAnew),
    (8, Operation::DeleteLink),
    (20, Operation::MakeLink),
    (14, Operation::Extra),
    (4, Operation::Restart),
    (2, Operation::Leave),
    (90, Operation::Theirs),
    (40, Operation::Race),
    (5, Operation::Terminate),
    (5, Operation::Kill),
];

/// More faults than this are not asked for at once: each look at the kernel takes longer.
const MOST: usize = 12;

impl Soak {
    /// One operation, and the comparison after it.
    pub fn step(&mut self, with_restarts: bool) {
        let allowed = |(_, operation): &&(usize, Operation)| {
            with_restarts || !matches!(operation, Operation::Terminate | Operation::Kill)
        };
        let weights = WEIGHTS.iter().filter(allowed).copied().collect::<Vec<_>>();
        let operation = self.dice.weighed(&weights);
        self.do_one(operation);
        self.settle();
        if self.dice.one_in(4) {
            self.look_closely();
        }
    }

    fn do_one(&mut self, operation: Operation) {
        match operation {
            Operation::Inject if self.faults.len() < MOST => self.inject(None),
            Operation::Prepare if self.faults.len() < MOST => {
                let patience = self.dice.pick(&["300ms", "2s", "1m"]);
                self.inject(Some(patience));
            }
            Operation::Inject | Operation::Prepare | Operation::Restore => self.restore(),
            Operation::Again => self.again(),
            Operation::Conflict => self.conflict(),
            Operation::DryRun => self.dry_run(),
            Operation::Change => self.change(),
            Operation::Renew => self.renew(),
            Operation::RestoreAt => self.restore_at(),
            Operation::RestoreAll => self.restore_all(),
            Operation::Commit => self.commit(),
            Operation::Wait => self.wait(),
            Operation::Watch => self.watch(),
            Operation::Stop => self.stop(),
            Operation::DownAndUp => self.down_and_up(),
            Operation::MakeAnew => {
                self.delete_link();
                self.make_link();
            }
            Operation::DeleteLink => self.delete_link(),
            Operation::MakeLink => self.make_link(),
            Operation::Extra => self.extra(),
            Operation::Restart => self.restart_container(),
            Operation::Leave => self.start_or_stop_container(),
            Operation::Theirs => self.change_theirs(),
            Operation::Race => self.race(),
            Operation::Terminate => self.end_agent(Signal::SIGTERM),
            Operation::Kill => self.end_agent(Signal::SIGKILL),
        }
    }

    /// Until the next start or end, or for a moment.
    fn next(&self) -> Duration {
        let at = now();
        let next = self.faults.values().filter_map(|fault| fault.next(at)).map(|at| at.latest).min();
        next.map_or(Duration::from_millis(50), |next| next.saturating_sub(at))
            .min(Duration::from_millis(1200))
    }

    fn wait(&mut self) {
        let wait = self.next() + Duration::from_millis(5);
        self.note(format!("wait {wait:?}"));
        std::thread::sleep(wait);
    }

    /// The agent stands still while something ends.
    fn stop(&mut self) {
        self.agent().signal(Signal::SIGSTOP);
        let wait = self.next() + Self::late() + Duration::from_millis(20);
        self.note(format!("SIGSTOP for {wait:?}"));
        std::thread::sleep(wait);
        // Those that would have started while it stood still start late, or not at all.
        self.look_at_the_kernel();
        self.agent().signal(Signal::SIGCONT);
        self.note("SIGCONT".to_owned());
    }

    /// Something else happens to the network at the same time as the agent is asked.
    fn race(&mut self) {
        let delay = format!("sleep 0.0{:02};", self.dice.below(60));
        match self.dice.below(4) {
            0 if self.rooms.contains_key(&Room::Container) => {
                let Some(id) = self.lasting(|fault| fault.room == Room::Container && !fault.is_settled)
                else {
                    return;
                };
                let Phase::Timed { .. } = self.faults[&id].phase else { return };
                let name = self.container.as_ref().map_or("", |container| container.name.as_str());
                self.beside = Some(format!("docker restart -t 0 {name} >/dev/null"));
                self.change_of(&id);
                let container = self.container.as_ref().expect("it was restarted");
                let netns = container.netns();
                self.rooms.insert(Room::Container, netns);
                self.forget(Room::Container);
            }
            1 => {
                self.beside = Some(format!("{delay} nft flush ruleset"));
                self.inject(None);
                self.theirs.tables.clear();
            }
            2 => {
                self.beside = Some(format!("{delay} ip link set to-db down; ip link set to-db up"));
                self.inject(None);
                self.theirs.is_moved = false;
                self.down_and_up_of("to-db");
            }
            _ if self.theirs.link_is_there => {
                let script = format!("set -e; {delay} ip link del to-redis; {}", self.making_of_link());
                self.beside = Some(script);
                let prepare = self.dice.pick(&[None, Some("2s")]);
                self.inject(prepare);
                self.theirs.qdisc = false;
            }
            _ => {}
        }
        // What was not asked for after all.
        if let Some(script) = self.beside.take() {
            self.app().sh(&script);
        }
        self.take_foreign();
    }

    /// Everything back to how it was in the beginning.
    pub fn end(&mut self) {
        self.restore_all();
        self.settle();
        self.agent().until_idle(Duration::from_secs(30));
        if self.rooms.contains_key(&Room::Extra) {
            self.extra();
        }
        self.clear_theirs();
        self.settle();
        self.judge_history();
        assert!(self.ends.is_empty(), "these never ended: {:?}\n{:#?}", self.ends, self.faults);
    }
}
