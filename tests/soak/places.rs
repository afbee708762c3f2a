//! Places that come and go, under faults that are in them: a network namespace, a container, the agent itself.

use nix::sys::signal::Signal;

use crate::clock::Window;
use crate::model::{Is, Phase, Room};
use crate::observe::Netns;
use crate::soak::{CLOSE, CONFIG, Soak};

impl Soak {
    pub fn extra_name(&self) -> String {
        format!("{}-extra", self.lab.app.namespace)
    }

    /// Whatever was in a room is in it no more.
    fn leave(&mut self, room: Room, since: Window) {
        self.rooms.remove(&room);
        self.away.insert(room, since);
        self.forget(room);
    }

    /// What is there comes again under another number.
    pub fn forget(&mut self, room: Room) {
        for fault in self.faults.values_mut().filter(|fault| fault.room == room) {
            (fault.slot, fault.was_on) = (None, false);
        }
    }

    pub fn extra(&mut self) {
        let (app, name) = (self.lab.app.namespace.clone(), self.extra_name());
        if self.rooms.contains_key(&Room::Extra) {
            self.note("ip netns del extra".to_owned());
            let script = format!("ip -n {app} link del to-extra; ip netns del {name}");
            let ((), since) = Window::around(|| drop(self.app().sh(&script)));
            self.leave(Room::Extra, since);
        } else {
            self.note("ip netns add extra".to_owned());
            let script = format!(
                "ip netns add {name}; ip link add to-extra netns {app} type veth peer name eth0 netns {name}
                 ip -n {name} link set eth0 addrgenmode none; ip -n {app} link set to-extra addrgenmode none
                 ip -n {name} link set lo up; ip -n {name} link set eth0 up; ip -n {name} addr add 10.77.9.2/24 dev eth0
                 ip -n {app} addr add 10.77.9.1/24 dev to-extra; ip -n {app} link set to-extra up"
            );
            self.app().sh(&format!("set -e\n{script}"));
            self.rooms.insert(Room::Extra, Netns::open(&format!("/run/netns/{name}")).expect("it is there"));
            self.away.remove(&Room::Extra);
        }
        self.take_foreign();
    }

    pub fn restart_container(&mut self) {
        if !self.rooms.contains_key(&Room::Container) {
            return;
        }
        let Some(container) = &self.container else { return };
        container.restart();
        let netns = container.netns();
        self.note("docker restart".to_owned());
        self.rooms.insert(Room::Container, netns);
        self.forget(Room::Container);
        self.take_foreign();
    }

    pub fn start_or_stop_container(&mut self) {
        let Some(container) = &self.container else { return };
        if self.rooms.contains_key(&Room::Container) {
            let ((), since) = Window::around(|| container.stop());
            self.note("docker kill".to_owned());
            self.leave(Room::Container, since);
        } else {
            container.start();
            let netns = container.netns();
            self.note("docker start".to_owned());
            self.rooms.insert(Room::Container, netns);
            self.away.remove(&Room::Container);
        }
        self.take_foreign();
    }

    pub fn end_agent(&mut self, signal: Signal) {
        let told = if signal == Signal::SIGKILL { "agent died" } else { "agent stopped" };
        let agent = self.agent.take().expect("it runs");
        let (dir, at) =
            Window::around(|| if signal == Signal::SIGKILL { agent.kill_9() } else { agent.terminate() });
        self.note(format!("{signal}"));
        for fault in std::mem::take(&mut self.faults).into_values() {
            // What was ending about then may have ended by itself, or may not have come to be written down.
            let ends = match fault.phase {
                Phase::Over { .. } => {
                    let known = self.ends.iter().find(|(id, _)| *id == fault.id);
                    [vec![told], known.map(|(_, ends)| ends.clone()).unwrap_or_default()].concat()
                }
                _ if fault.is_there(Window { earliest: at.earliest, latest: at.latest + CLOSE })
                    == Is::So =>
                {
                    vec![told]
                }
                Phase::Prepared { .. } | Phase::Timed { .. } => [vec![told], fault.own_ends()].concat(),
            };
            let known = self.ends.iter().position(|(id, _)| *id == fault.id);
            known.map(|known| self.ends.remove(known));
            self.ends.push((fault.id, ends));
        }
        if signal == Signal::SIGKILL {
            self.leftovers.extend([Room::App, Room::Redis, Room::Extra, Room::Container]);
        }
        // Without an agent nothing is left but, of netem, links that lead nowhere.
        self.settle();
        self.agent = Some(harness::agent::Agent::start_in(&self.lab.app, CONFIG, dir));
        self.leftovers.remove(&Room::App);
        self.note("started again".to_owned());
        self.judge_history();
    }
}
