//! What the agent is busy with when it dies.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::OnceLock;

use harness::agent::Agent;
use harness::cgroup::Group;
use harness::lab::{APP_TO_REDIS, DB, Host, Lab, REDIS, REDIS6, Running, address};
use harness::name_server::{ELSE, NameServer};
use harness::traffic::serve_tcp;
use harness::until;
use nix::sys::signal::Signal;
use partition_agent_core::crash::Point;
use serde_json::Value;
use tempfile::TempDir;

use crate::crash::lines;
use crate::{SLACK, cut};

/// The hosts, and what else a scenario has there.
pub struct Scene {
    pub lab: Lab,
    redis: SocketAddr,
    db: SocketAddr,
    /// Processes in two network namespaces, and their group.
    group: OnceLock<(Vec<Running>, Group)>,
    /// What an agent left that died with faults in force.
    left: OnceLock<TempDir>,
}

impl Scene {
    pub fn new(lab: Lab) -> Self {
        let [redis, db] = [REDIS, DB].map(|host| SocketAddr::new(address(host), 80));
        serve_tcp(&lab.redis, redis);
        serve_tcp(&lab.db, db);
        NameServer::start(&lab.redis, &[SocketAddr::new(address(REDIS), 53)]);
        Self { lab, redis, db, group: OnceLock::new(), left: OnceLock::new() }
    }

    /// Where a fault may leave something.
    pub fn hosts(&self) -> Vec<&Host> {
        match self.group.get() {
            Some(_) => vec![&self.lab.app, &self.lab.redis, &self.lab.db],
            None => vec![&self.lab.app],
        }
    }

    /// What must be answered.
    pub fn ways(&self) -> [(&Host, SocketAddr); 2] {
        [(&self.lab.app, self.redis), (&self.lab.app, self.db)]
    }

    pub fn names_are_answered(&self, at: &str) {
        let answer = self.lab.app.sh(&format!("dig +short +time=5 +tries=1 @{REDIS} api.example.com A"));
        assert_eq!(answer.trim(), ELSE.to_string(), "{at}");
    }
}

/// What a caller was told before the agent died, and which points are of interest.
pub struct Said {
    pub in_force: BTreeSet<String>,
    pub restored: BTreeSet<String>,
    trace: PathBuf,
    from: usize,
    to: Option<usize>,
    /// Where a point is passed for the so manieth time.
    to_point: Option<(Point, usize)>,
}

impl Said {
    pub fn new(trace: PathBuf) -> Self {
        Self {
            in_force: BTreeSet::new(),
            restored: BTreeSet::new(),
            trace,
            from: 0,
            to: None,
            to_point: None,
        }
    }

    /// From here on; another scenario has what was before.
    fn begin_here(&mut self) {
        self.from = lines(&self.trace).len();
    }

    fn end_here(&mut self) {
        self.to = Some(lines(&self.trace).len());
    }

    /// Until a point is passed so many times after the beginning, which is also as far as is swept: what comes after it may come
    /// or not.
    fn end_at(&mut self, agent: &mut Agent, point: Point, times: usize) {
        self.to_point = Some((point, times));
        let trace = self.trace.clone();
        until_or_dead(agent, "it has passed its last point", |_| self.last(&lines(&trace)).is_some());
    }

    /// The last point of interest, if it is among these.
    fn last(&self, passed: &[String]) -> Option<usize> {
        let (point, times) = self.to_point?;
        let name = format!("{point:?}");
        let found = passed.iter().enumerate().skip(self.from).filter(|(_, passed)| **passed == name);
        found.map(|(nth, _)| nth + 1).nth(times - 1)
    }

    pub fn window(&self, passed: &[String]) -> (usize, usize) {
        (self.from, self.last(passed).or(self.to).unwrap_or(passed.len()))
    }

    /// Asks, and remembers what was promised. Whoever answers must not refuse.
    fn ask(&mut self, agent: &Agent, method: &str, path: &str, body: Option<&str>) -> Option<Value> {
        // Reset, refused or cut short: it has died.
        let (status, answer) = agent.try_ask(method, path, body).ok()?;
        assert!((200..300).contains(&status), "{method} {path}: {status} {answer}\n{}", agent.log());
        let faults = answer.as_array().cloned().unwrap_or_else(|| vec![answer.clone()]);
        for fault in faults {
            let Some(id) = fault["id"].as_str().map(str::to_owned) else { continue };
            match fault["state"].as_str() {
                Some("restored") => drop(self.restored.insert(id)),
                Some(_) | None => drop(self.in_force.insert(id)),
            }
        }
        Some(answer)
    }

    fn inject(&mut self, agent: &Agent, id: &str, spec: &str) {
        if let Some(fault) = self.ask(agent, "PUT", &format!("/v1/faults/{id}"), Some(spec)) {
            assert_eq!(fault["verdict"]["is"], "confirmed", "{fault}");
        }
    }

    /// The kernel refuses a step of it.
    fn inject_in_vain(&mut self, agent: &Agent, id: &str, spec: &str) {
        let Ok((status, answer)) = agent.try_ask("PUT", &format!("/v1/faults/{id}"), Some(spec)) else {
            return;
        };
        let refused =
            answer["code"] == "kernel-refused" && answer["detail"].to_string().contains("step 2 of");
        assert!(refused, "{status} {answer}");
    }

    fn restore(&mut self, agent: &Agent, id: &str) {
        self.ask(agent, "DELETE", &format!("/v1/faults/{id}"), None);
    }
}

/// Until something is so, or the agent is dead.
fn until_or_dead(agent: &mut Agent, what: &str, mut is_so: impl FnMut(&Agent) -> bool) {
    until(what, 2 * SLACK, || agent.is_dead() || is_so(agent));
}

fn until_idle(agent: &mut Agent) {
    until_or_dead(agent, "no fault is left", |agent| {
        let listed = agent.try_ask("GET", "/v1/faults", None);
        listed.is_ok_and(|(_, faults)| faults.as_array().is_some_and(Vec::is_empty))
    });
}

/// One thing that an agent does.
pub struct Scenario {
    pub name: &'static str,
    pub config: &'static str,
    /// How many bytes its journal may have, if not as many as always.
    pub room: Option<u64>,
    /// Once.
    pub furnish: fn(&Scene),
    /// For each run: the directory that the agent gets.
    pub begin: fn(&Scene) -> TempDir,
    pub drive: fn(&Scene, &mut Agent, &mut Said),
    /// How its faults may end, besides with the agent.
    pub ends: &'static [&'static str],
    /// Fewer points than this, and something is not swept that was: a little less than what a busy machine has shown.
    pub least: usize,
    /// It is the start of the agent that is swept.
    pub is_start: bool,
}

impl Scenario {
    fn new(name: &'static str, least: usize, drive: fn(&Scene, &mut Agent, &mut Said)) -> Self {
        let begin = |_: &Scene| tempfile::tempdir().expect("a directory");
        Self {
            name,
            config: "",
            room: None,
            furnish: |_| {},
            begin,
            drive,
            ends: &["restored by"],
            least,
            is_start: false,
        }
    }
}

/// The one scenario that takes a kernel with netem.
pub const BY_NETEM: &str = "delay by netem";

pub fn scenarios(netem: bool) -> Vec<Scenario> {
    let mut all = vec![
        Scenario {
            furnish: leave_faults,
            begin: left_over,
            is_start: true,
            ..Scenario::new("recovery", 14, no_more)
        },
        Scenario {
            config: "namespaces = true\n",
            furnish: populate,
            ..Scenario::new("two namespaces", 20, two_namespaces)
        },
        Scenario::new("delay by the emulator", 40, emulated),
        Scenario { ends: &["restored by", "deadline"], ..Scenario::new("deadline", 8, deadline) },
        Scenario { ends: &["agent stopped"], ..Scenario::new("stop", 20, stop) },
        Scenario::new("following a route", 40, follow),
        Scenario::new("restore of three", 20, restore_three),
        Scenario::new("failing names", 15, names),
        Scenario::new("prepare and commit", 12, prepare_and_commit),
        Scenario::new("reject and reset", 12, reject),
        Scenario::new("cut", 14, whole_cut),
        Scenario::new("extend", 8, extend),
        Scenario::new("lease", 8, lease),
        Scenario::new("restore at", 22, restore_at),
        Scenario::new("flap", 6, flap),
        Scenario::new("ramp", 10, ramp),
        Scenario { ends: &["failed"], ..Scenario::new("a step that is refused", 32, refused) },
        // Of 6 to 9: what the audit log writes of the inject may come after its answer.
        Scenario {
            config: "namespaces = true\n",
            furnish: populate,
            ..Scenario::new("leaving a place", 6, leave)
        },
        // Of 20 to 26: what the audit log writes at once is one line of it or several.
        Scenario { room: Some(ROOM), ..Scenario::new("rotation", 12, rotate) },
    ];
    if netem {
        all.push(Scenario::new(BY_NETEM, 30, by_netem));
    }
    all
}

fn delay(engine: &str) -> String {
    format!(
        r#"{{"kinds":[{{"delay":{{"latency":"20ms"}}}}],"target":{{"peers":["{REDIS}"]}},"engine":"{engine}","for":"10m"}}"#
    )
}

/// A cut for ten minutes, with something more.
fn with(more: &str) -> String {
    cut("10m").replace(r#""for""#, &format!(r#"{more},"for""#))
}

fn failing_names() -> String {
    format!(
        r#"{{"kinds":[{{"dns":{{"names":["api.example.com"],"answer":"nxdomain"}}}}],"target":{{"peers":["{REDIS}"]}},"for":"10m"}}"#
    )
}

fn whole_cut(_: &Scene, agent: &mut Agent, said: &mut Said) {
    // A set of each kind: hash, tree, concatenation.
    let peers = format!(r#""{REDIS}","{REDIS6}","10.77.1.0/24","{DB}:80""#);
    said.inject(agent, "f", &cut("10m").replace(&format!(r#""{REDIS}""#), &peers));
    said.restore(agent, "f");
}

fn emulated(_: &Scene, agent: &mut Agent, said: &mut Said) {
    said.inject(agent, "f", &delay("emulator"));
    said.restore(agent, "f");
    until_idle(agent);
}

fn by_netem(_: &Scene, agent: &mut Agent, said: &mut Said) {
    said.inject(agent, "f", &delay("netem"));
    said.restore(agent, "f");
    until_idle(agent);
}

fn names(_: &Scene, agent: &mut Agent, said: &mut Said) {
    said.inject(agent, "f", &failing_names());
    said.restore(agent, "f");
    until_idle(agent);
}

fn reject(_: &Scene, agent: &mut Agent, said: &mut Said) {
    let kinds = r#"{"reject":{"with":"tcp_reset"}},{"reset":{}}"#;
    said.inject(agent, "f", &cut("10m").replace(r#"{"loss":{"percent":100}}"#, kinds));
    said.restore(agent, "f");
}

fn extend(_: &Scene, agent: &mut Agent, said: &mut Said) {
    said.inject(agent, "f", &cut("10m"));
    said.begin_here();
    said.ask(agent, "PATCH", "/v1/faults/f", Some(r#"{"for":"20m"}"#));
    said.ask(agent, "PATCH", "/v1/faults/f", Some(r#"{"for":"5m"}"#));
    said.end_here();
}

fn lease(_: &Scene, agent: &mut Agent, said: &mut Said) {
    said.inject(agent, "f", &with(r#""lease":"1m""#));
    said.begin_here();
    for _ in 0..2 {
        said.ask(agent, "POST", "/v1/faults/f/renew", None);
    }
    said.end_here();
}

fn restore_at(_: &Scene, agent: &mut Agent, said: &mut Said) {
    said.inject(agent, "f", &cut("10m"));
    said.begin_here();
    let Some(clock) = said.ask(agent, "GET", "/v1/clock", None) else { return };
    let at = clock["boot_ns"].as_u64().expect("a clock") + 700_000_000;
    said.ask(agent, "DELETE", &format!("/v1/faults/f?at_boot_ns={at}"), None);
    until_idle(agent);
}

/// On by the agent twice, after the first time, which is its injection.
fn flap(_: &Scene, agent: &mut Agent, said: &mut Said) {
    said.inject(agent, "f", &with(r#""flap":{"on":"300ms","off":"300ms"}"#));
    said.begin_here();
    said.end_at(agent, Point::Armed, 2);
}

fn ramp(_: &Scene, agent: &mut Agent, said: &mut Said) {
    said.inject(agent, "f", &with(r#""ramp":{"over":"20s"}"#));
    said.begin_here();
    said.end_at(agent, Point::Followed, 2);
}

/// Something has the name of the second link, so what was done before is undone.
fn refused(scene: &Scene, agent: &mut Agent, said: &mut Said) {
    scene.lab.app.sh("ip link add pa-f1-i0 type ifb");
    said.inject_in_vain(agent, "f", &delay("emulator"));
    scene.lab.app.sh("ip link del pa-f1-i0 2>/dev/null || true");
}

/// The last process of a group in one of two network namespaces ends.
fn leave(scene: &Scene, agent: &mut Agent, said: &mut Said) {
    let group = Group::new();
    let stays = group.spawn(&scene.lab.redis, "exec sleep 600");
    let leaves = group.spawn(&scene.lab.db, "exec sleep 600");
    said.inject(agent, "f", &on_group(&group));
    said.begin_here();
    drop(leaves);
    said.end_at(agent, Point::Followed, 1);
    drop(stays);
}

/// More than two beginnings take, and less than they and one end.
const ROOM: u64 = 550;

/// The journal makes room when one fault has ended and another has not.
fn rotate(_: &Scene, agent: &mut Agent, said: &mut Said) {
    said.inject(agent, "stays", &cut("10m"));
    said.inject(agent, "ends", &cut("10m").replace(REDIS, DB));
    said.begin_here();
    said.restore(agent, "ends");
    said.end_at(agent, Point::Rotated, 1);
}

fn deadline(_: &Scene, agent: &mut Agent, said: &mut Said) {
    said.inject(agent, "f", &cut("300ms"));
    said.begin_here();
    until_idle(agent);
}

fn prepare_and_commit(_: &Scene, agent: &mut Agent, said: &mut Said) {
    said.ask(agent, "PUT", "/v1/faults/f?prepare=1m", Some(&cut("10m")));
    let Some(clock) = said.ask(agent, "GET", "/v1/clock", None) else { return };
    let at = clock["boot_ns"].as_u64().expect("a clock") + 1_500_000_000;
    said.ask(agent, "POST", "/v1/faults/f/commit", Some(&format!(r#"{{"at_boot_ns":{at}}}"#)));
    until_or_dead(agent, "it is in force", |agent| {
        agent.try_ask("GET", "/v1/faults/f", None).is_ok_and(|(_, fault)| fault["started_boot_ns"].is_u64())
    });
    said.end_here();
}

/// Three of different make; the shared table stays until the last is gone.
fn restore_three(_: &Scene, agent: &mut Agent, said: &mut Said) {
    said.inject(agent, "cut", &cut("10m").replace(REDIS, DB));
    said.inject(agent, "slow", &delay("emulator"));
    said.inject(agent, "names", &failing_names());
    said.begin_here();
    said.ask(agent, "DELETE", "/v1/faults", None);
    until_idle(agent);
}

fn stop(_: &Scene, agent: &mut Agent, said: &mut Said) {
    said.inject(agent, "cut", &cut("10m"));
    said.inject(agent, "slow", &delay("emulator"));
    said.begin_here();
    if !agent.is_dead() {
        agent.signal(Signal::SIGTERM);
    }
    until_or_dead(agent, "it has stopped", |_| false);
}

/// The emulator gets another TAP, and loses one, while the fault lasts.
fn follow(scene: &Scene, agent: &mut Agent, said: &mut Said) {
    let route = |verb: &str| {
        scene.lab.app.sh(&format!("ip route {verb} {REDIS}/32 dev to-db"));
    };
    said.inject(agent, "f", &delay("emulator"));
    said.begin_here();
    route("add");
    until_or_dead(agent, "it is on to-db", |agent| agent.log().contains("it is now on to-db"));
    route("del");
    until_or_dead(agent, "it is on to-redis", |agent| agent.log().contains("it is now on to-redis"));
    said.end_here();
}

/// A group of processes in the network namespaces of redis and db.
fn populate(scene: &Scene) {
    let group = Group::new();
    let processes = [&scene.lab.redis, &scene.lab.db].map(|host| group.spawn(host, "exec sleep 600"));
    assert!(scene.group.set((processes.into(), group)).is_ok());
}

fn two_namespaces(scene: &Scene, agent: &mut Agent, said: &mut Said) {
    let (_, group) = scene.group.get().expect("populated");
    said.inject(agent, "f", &on_group(group));
    said.restore(agent, "f");
}

/// Between its processes and the host that the agent is on.
fn on_group(group: &Group) -> String {
    let scope = format!(r#""scope":{{"cgroup":"{}"}},"target""#, group.path);
    let spec = cut("10m").replace(REDIS, APP_TO_REDIS).replace(r#""target""#, &scope);
    spec.replace(APP_TO_REDIS, &format!(r#"{APP_TO_REDIS}","10.77.2.1"#))
}

/// Three faults of an agent that died.
fn leave_faults(scene: &Scene) {
    let agent = Agent::start(&scene.lab.app, "");
    for id in ["f", "g", "h"] {
        agent.inject(id, &cut("10m"));
    }
    assert!(scene.left.set(agent.kill_9()).is_ok());
}

/// Its directory, and two links as a latency leaves them.
fn left_over(scene: &Scene) -> TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    let left = scene.left.get().expect("an agent left it").path().join("state");
    scene.lab.app.sh(&format!("cp -r {} {}/state", left.display(), dir.path().display()));
    for name in ["pa-f1-e", "pa-f1-i"] {
        scene.lab.app.sh(&format!(
            "ip link show {name} >/dev/null 2>&1 || ip link add {name} address 02:70:61:00:00:01 type ifb && ip link set {name} addrgenmode none && ip link set {name} up"
        ));
    }
    dir
}

/// The start was all of it.
fn no_more(_: &Scene, agent: &mut Agent, _: &mut Said) {
    until_or_dead(agent, "it answers", |agent| agent.try_ask("GET", "/healthz", None).is_ok());
}
