//! What the agent is asked for, what it must answer, and what is so from then on.

use std::time::Duration;

use serde_json::Value;

use crate::clock::{Window, now};
use crate::model::{Fault, Is, Phase, Room};
use crate::observe::Seen;
use crate::region::{Block, difference};
use crate::routing::interfaces;
use crate::soak::{CLOSE, PROTECTED_NET, Soak};
use crate::wishes::Wish;

/// Faults of a user need one of eight bits of the mark.
const MOST_OF_USER: usize = 6;

impl Soak {
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

    pub fn inject(&mut self, prepare: Option<&str>) {
        let wish = self.wish();
        self.inject_this(wish, prepare);
    }

    pub fn inject_this(&mut self, wish: Wish, prepare: Option<&str>) {
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
        self.lasting_for(CLOSE, fits)
    }

    pub fn lasting_for(&mut self, span: Duration, fits: impl Fn(&Fault) -> bool) -> Option<String> {
        let soon = Window { earliest: now(), latest: now() + span };
        let fits = |fault: &&Fault| {
            fault.is_there(soon) == Is::So && !self.away.contains_key(&fault.room) && fits(fault)
        };
        let ids = self.faults.values().filter(fits).map(|fault| fault.id.clone()).collect::<Vec<_>>();
        (!ids.is_empty()).then(|| self.dice.pick(&ids))
    }

    pub fn again(&mut self) {
        let Some(id) = self.lasting(|_| true) else { return };
        let fault = self.faults[&id].clone();
        let json = serde_json::to_string(&fault.spec).expect("a spec");
        let is_prepared = matches!(fault.phase, Phase::Prepared { .. });
        let (status, answer, _) = self.ask("PUT", &format!("/v1/faults/{id}"), Some(&json));
        let expected = if is_prepared { 409 } else { 200 };
        assert_eq!(status, expected, "{answer}\n{:#?}", self.log);
    }

    pub fn conflict(&mut self) {
        let Some(id) = self.lasting(|_| true) else { return };
        let json = r#"{"kinds":[{"loss":{"percent":12.5}}],"target":{"all_traffic":true},"for":"1s"}"#;
        let (status, answer, _) = self.ask("PUT", &format!("/v1/faults/{id}"), Some(json));
        assert_eq!(status, 409, "{answer}\n{:#?}", self.log);
    }

    pub fn dry_run(&mut self) {
        let wish = self.wish();
        if wish.spec.start_in.is_none() && self.rooms.contains_key(&wish.room) {
            let (status, answer, _) = self.ask("POST", "/v1/faults?dry_run=true", Some(&wish.json));
            assert!(status == 200 || status >= 400, "{status} {answer}");
        }
    }

    pub fn change(&mut self) {
        let Some(id) = self.lasting(|fault| matches!(fault.phase, Phase::Timed { .. }) && !fault.is_settled)
        else {
            return;
        };
        self.change_of(&id);
    }

    pub fn change_of(&mut self, id: &str) {
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

    pub fn renew(&mut self) {
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

    pub fn restore(&mut self) {
        let Some(id) = self.lasting(|_| true) else { return };
        let (status, answer, at) = self.ask("DELETE", &format!("/v1/faults/{id}"), None);
        assert_eq!(status, 200, "{answer}\n{:#?}", self.log);
        let drains = !self.faults[&id].drains().is_zero();
        let state = answer["state"].as_str();
        assert_eq!(state, Some(if drains { "restoring" } else { "restored" }), "{answer}\n{:#?}", self.log);
        self.is_over(&id, at);
    }

    pub fn restore_at(&mut self) {
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

    pub fn restore_all(&mut self) {
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

    pub fn commit(&mut self) {
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
}
