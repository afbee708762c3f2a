//! What is done, at random: to the agent, to the network that it works on, and by others beside it.

use std::time::Duration;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::clock::{Window, now};
use crate::model::{Fault, Is, Phase, Room};
use crate::observe::Seen;
use crate::region::{Block, difference};
use crate::routing::interfaces;
use crate::soak::{CLOSE, PROTECTED_NET, Soak};
use crate::wishes::Wish;

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
const WEIGHTS: [(usize, Operation); 24] = [
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

/// Faults of a user need one of eight bits of the mark.
const MOST_OF_USER: usize = 6;

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

    fn ask(&mut self, method: &str, path: &str, body: Option<&str>) -> (u16, Value, Window) {
        let ((status, answer), at) = match self.beside.take() {
            None => Window::around(|| self.agent().ask(method, path, body)),
            Some(script) => {
                self.note(format!("meanwhile: {}", script.split_whitespace().collect::<Vec<_>>().join(" ")));
                let (agent, app) = (self.agent(), self.app());
                std::thread::scope(|scope| {
                    let other = scope.spawn(|| app.sh(&script));
                    let asked = Window::around(|| agent.ask(method, path, body));
                    other.join().expect("the script works");
                    asked
                })
            }
        };
        self.note(format!("{method} {path} {}: {status}", body.unwrap_or_default()));
        (status, answer, at)
    }

    fn wish(&mut self) -> Wish {
        let mut rooms = vec![(60, Room::App), (15, Room::Redis)];
        rooms.extend(
            self.rooms
                .keys()
                .filter(|room| matches!(room, Room::Extra | Room::Container))
                .map(|room| (15, *room)),
        );
        // Sometimes into what is not there.
        rooms.extend(self.away.keys().filter(|room| **room == Room::Extra).map(|room| (1, *room)));
        let room = self.dice.weighed(&rooms);
        let of_user = room == Room::App
            && self.dice.one_in(6)
            && self.faults.values().filter(|fault| fault.is_of_user()).count() < MOST_OF_USER;
        let wish = Wish::new(&mut self.dice, room, of_user);
        match room {
            Room::App => wish,
            Room::Redis => wish.within(&format!(r#"{{"netns":"{}"}}"#, self.lab.redis.namespace)),
            Room::Extra => wish.within(&format!(r#"{{"netns":"{}"}}"#, self.extra_name())),
            Room::Container => {
                let name = self.container.as_ref().map_or("", |container| container.name.as_str());
                wish.within(&format!(r#"{{"container":"{name}"}}"#))
            }
        }
    }

    /// Whether the agent must take it, must refuse it, or may do either, because something ends about now.
    fn is_taken(&self, fault: &Fault, at: Window) -> Is {
        let Some(netns) = self.rooms.get(&fault.room) else { return Is::Not };
        // Names need loopback only.
        let leads = fault.is_dns() || interfaces(&fault.spec, &fault.nets(), &Seen::look(netns)).is_some();
        let is_protected = |net: &String| {
            let (protected, net) = (Block::net(PROTECTED_NET), Block::net(net));
            difference(&[protected.clone(), net], &[protected]).is_none()
        };
        if !leads || fault.nets().iter().all(is_protected) {
            return Is::Not;
        }
        let same_server = |other: &&Fault| {
            other.is_dns()
                && fault.is_dns()
                && other.room == fault.room
                && other.spec.target == fault.spec.target
        };
        let early = Window { earliest: at.earliest.saturating_sub(CLOSE), latest: at.latest };
        let others = self.faults.values().filter(same_server).map(|other| match other.phase {
            Phase::Over { ended } if ended.latest < early.earliest => Is::Not,
            Phase::Over { .. } => Is::Either,
            Phase::Prepared { .. } | Phase::Timed { .. } => other.is_there(early),
        });
        let others = others.collect::<Vec<_>>();
        match (others.contains(&Is::So), others.contains(&Is::Either)) {
            (true, _) => Is::Not,
            (false, true) => Is::Either,
            (false, false) => Is::So,
        }
    }

    fn inject(&mut self, prepare: Option<&str>) {
        let wish = self.wish();
        if prepare.is_some() && wish.spec.start_in.is_some() {
            return;
        }
        let id = format!("s{}", self.names);
        self.names += 1;
        let query = prepare.map(|patience| format!("?prepare={patience}")).unwrap_or_default();
        let raced = self.beside.is_some();
        let (status, answer, at) = self.ask("PUT", &format!("/v1/faults/{id}{query}"), Some(&wish.json));
        let phase = match prepare {
            Some(patience) => {
                let patience = patience.parse::<partition_agent_proto::Span>().expect("a span").duration();
                Phase::Prepared { expires: at.plus(patience) }
            }
            None => {
                let start = at
                    .plus(wish.spec.start_in.map(partition_agent_proto::Span::duration).unwrap_or_default());
                Fault::timed(&wish.spec, start)
            }
        };
        let room = wish.room;
        let fault = Fault::new(id.clone(), wish.spec, room, phase);
        let expected = if raced { Is::Either } else { self.is_taken(&fault, at) };
        match (expected, status) {
            (Is::So | Is::Either, 201) => {
                let verdict = &answer["verdict"]["is"];
                // The shortest may be over before the kernel has been read back.
                let short = fault.end().is_some_and(|end| end.earliest < at.latest + CLOSE);
                assert!(verdict == "confirmed" || short || raced, "{id}: {answer}\n{:#?}", self.log);
                self.leftovers.remove(&room);
                self.faults.insert(id, fault);
            }
            (Is::Not | Is::Either, 400..=599) => {}
            (expected, status) => {
                panic!("{id} is to be taken: {expected:?}; {status} {answer}\n{:#?}", self.log)
            }
        }
    }

    /// One that is surely there, and will be for a moment.
    pub fn lasting(&mut self, fits: impl Fn(&Fault) -> bool) -> Option<String> {
        let soon = Window { earliest: now(), latest: now() + CLOSE };
        let fits = |fault: &&Fault| {
            fault.is_there(soon) == Is::So && !self.away.contains_key(&fault.room) && fits(fault)
        };
        let ids = self.faults.values().filter(fits).map(|fault| fault.id.clone()).collect::<Vec<_>>();
        (!ids.is_empty()).then(|| self.dice.pick(&ids))
    }

    fn again(&mut self) {
        let Some(id) = self.lasting(|_| true) else { return };
        let fault = self.faults[&id].clone();
        let json = serde_json::to_string(&fault.spec).expect("a spec");
        let is_prepared = matches!(fault.phase, Phase::Prepared { .. });
        let (status, answer, _) = self.ask("PUT", &format!("/v1/faults/{id}"), Some(&json));
        let expected = if is_prepared { 409 } else { 200 };
        assert_eq!(status, expected, "{answer}\n{:#?}", self.log);
    }

    fn conflict(&mut self) {
        let Some(id) = self.lasting(|_| true) else { return };
        let json = r#"{"kinds":[{"loss":{"percent":12.5}}],"target":{"all_traffic":true},"for":"1s"}"#;
        let (status, answer, _) = self.ask("PUT", &format!("/v1/faults/{id}"), Some(json));
        assert_eq!(status, 409, "{answer}\n{:#?}", self.log);
    }

    fn dry_run(&mut self) {
        let wish = self.wish();
        if wish.spec.start_in.is_none() && self.rooms.contains_key(&wish.room) {
            let (status, answer, _) = self.ask("POST", "/v1/faults?dry_run=true", Some(&wish.json));
            assert!(status == 200 || status >= 400, "{status} {answer}");
        }
    }

    fn change(&mut self) {
        let Some(id) = self.lasting(|fault| matches!(fault.phase, Phase::Timed { .. }) && !fault.is_settled)
        else {
            return;
        };
        self.change_of(&id);
    }

    fn change_of(&mut self, id: &str) {
        let duration = self.dice.pick(&["150ms", "500ms", "2s", "10s", "10m", "20m"]);
        let body = format!(r#"{{"for":"{duration}"}}"#);
        let (status, answer, at) = self.ask("PATCH", &format!("/v1/faults/{id}"), Some(&body));
        assert_eq!(status, 200, "{id}: {answer}\n{:#?}", self.log);
        let duration = duration.parse::<partition_agent_proto::Span>().expect("a span").duration();
        let fault = self.faults.get_mut(id).expect("it is there");
        if let Phase::Timed { start, deadline, .. } = &mut fault.phase {
            *deadline = at.or_later(*start).plus(duration);
        }
    }

    fn renew(&mut self) {
        let leased = |fault: &Fault| fault.spec.lease.is_some();
        let unleased = self.dice.one_in(10);
        let Some(id) = self.lasting(|fault| leased(fault) != unleased) else { return };
        let (status, answer, at) = self.ask("POST", &format!("/v1/faults/{id}/renew"), None);
        assert_eq!(status, if unleased { 422 } else { 200 }, "{id}: {answer}\n{:#?}", self.log);
        self.faults.get_mut(&id).expect("it is there").renew(at);
    }

    /// What is over by somebody's word.
    fn is_over(&mut self, id: &str, at: Window) {
        if let Some(fault) = self.faults.get_mut(id)
            && !matches!(fault.phase, Phase::Over { .. })
        {
            fault.phase = Phase::Over { ended: at };
            self.ends.push((id.to_owned(), vec!["restored"]));
        }
    }

    fn restore(&mut self) {
        let Some(id) = self.lasting(|_| true) else { return };
        let (status, answer, at) = self.ask("DELETE", &format!("/v1/faults/{id}"), None);
        assert_eq!(status, 200, "{answer}\n{:#?}", self.log);
        let drains = !self.faults[&id].drains().is_zero();
        let state = answer["state"].as_str();
        assert_eq!(state, Some(if drains { "restoring" } else { "restored" }), "{answer}\n{:#?}", self.log);
        self.is_over(&id, at);
    }

    fn restore_at(&mut self) {
        let Some(id) = self.lasting(|fault| !fault.is_settled) else { return };
        let instant = now() + Duration::from_millis(self.dice.pick(&[50, 300, 1500]));
        let path = format!("/v1/faults/{id}?at_boot_ns={}", instant.as_nanos());
        let (status, answer, at) = self.ask("DELETE", &path, None);
        assert_eq!(status, 200, "{answer}\n{:#?}", self.log);
        let fault = self.faults.get_mut(&id).expect("it is there");
        match &mut fault.phase {
            Phase::Timed { start, deadline, .. } if start.is_before(at) && at.latest < instant => {
                if instant < deadline.earliest {
                    *deadline = Window::at(instant);
                    fault.is_settled = true;
                } else if instant < deadline.latest {
                    // Whichever of the two comes first.
                    deadline.earliest = deadline.earliest.min(instant);
                }
            }
            // Not begun yet, or the instant is past already: at once.
            Phase::Timed { start, .. } if at.is_before(*start) || instant < at.earliest => {
                self.is_over(&id, at)
            }
            Phase::Timed { .. } if instant <= at.latest => self.is_over(&id, at),
            // It began while it was being asked.
            Phase::Timed { .. } => {
                let gone = answer["state"] == "restored" || answer["state"] == "restoring";
                if gone {
                    self.is_over(&id, at);
                } else if let Phase::Timed { deadline, .. } = &mut fault.phase {
                    *deadline = Window {
                        earliest: deadline.earliest.min(instant),
                        latest: deadline.latest.min(instant),
                    };
                    fault.is_settled = true;
                }
            }
            Phase::Prepared { .. } => self.is_over(&id, at),
            Phase::Over { .. } => {}
        }
    }

    fn restore_all(&mut self) {
        let (status, answer, at) = self.ask("DELETE", "/v1/faults", None);
        assert_eq!(status, 200, "{answer}\n{:#?}", self.log);
        for id in self.faults.keys().cloned().collect::<Vec<_>>() {
            let is_near = self.faults[&id]
                .is_there(Window { earliest: at.earliest, latest: at.latest + CLOSE })
                != Is::So;
            if is_near && let Some(fault) = self.faults.get_mut(&id) {
                // Over by its own time, or by this: one of the two.
                if !matches!(fault.phase, Phase::Over { .. }) {
                    let ends = [vec!["restored"], fault.own_ends()].concat();
                    fault.phase = Phase::Over { ended: at };
                    self.ends.push((id.clone(), ends));
                }
            } else {
                self.is_over(&id, at);
            }
        }
    }

    fn commit(&mut self) {
        let Some(id) = self.lasting(|fault| matches!(fault.phase, Phase::Prepared { .. })) else { return };
        let start = now() + Duration::from_millis(self.dice.pick(&[250, 300, 700]));
        let body = format!(r#"{{"at_boot_ns":{}}}"#, start.as_nanos());
        let (status, answer, at) = self.ask("POST", &format!("/v1/faults/{id}/commit"), Some(&body));
        if at.latest >= start {
            // Too slow: it may be either, so it goes.
            let (_, _, at) = self.ask("DELETE", &format!("/v1/faults/{id}"), None);
            return self.is_over(&id, at);
        }
        assert_eq!(status, 200, "{answer}\n{:#?}", self.log);
        let fault = self.faults.get_mut(&id).expect("it is there");
        let start = Window::at(start);
        fault.phase = Fault::timed(&fault.spec, start);
        fault.is_committed = true;
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
