//! What a run promises, on three hosts with a real agent each: a server on h1 that h0 asks for.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Output, Stdio};
use std::time::{Duration, Instant};

use harness::fleet::{Fleet, address_of};
use harness::lab::Running;
use harness::snapshot::Snapshot;
use harness::{binary, text, until};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// How much later than promised something may be on a machine that does other things, too.
const SLACK: Duration = Duration::from_secs(5);

/// Until a run has come so far that something is to be seen of it.
const PATIENCE: Duration = Duration::from_secs(40);

/// Hosts, a web server on h1, and room for files.
struct Ground {
    fleet: Fleet,
    _server: Running,
    dir: tempfile::TempDir,
}

impl Ground {
    fn new(config: &str) -> Self {
        let mut fleet = Fleet::without_agents();
        (0..3).for_each(|nth| fleet.start_agent(nth, config));
        let keep = ["h0", "h1", "h2"];
        let names = std::fs::read_to_string(fleet.file()).expect("the fleet's file");
        let kept = names.split("[hosts.").filter(|part| {
            !part.starts_with('h') || keep.iter().any(|name| part.starts_with(&format!("{name}]")))
        });
        std::fs::write(fleet.file(), kept.collect::<Vec<_>>().join("[hosts.")).expect("a file");
        let at = ["-m", "http.server", "--bind", &address_of(1), "8080"];
        let server = fleet.hosts[1].spawn("python3", &at, Stdio::null());
        let dir = tempfile::tempdir().expect("a directory");
        Self { fleet, _server: server, dir }
    }

    fn file(&self, text: &str) -> PathBuf {
        let path = self.dir.path().join("day.yaml");
        std::fs::write(&path, text.replace("SERVER", &address_of(1))).expect("a file");
        path
    }

    fn report(&self) -> PathBuf {
        self.dir.path().join("report")
    }

    fn arguments(&self, file: &Path, more: &[&str]) -> Vec<String> {
        let (file, report) = (file.display().to_string(), self.report().display().to_string());
        let arguments = ["run", &file, "--report", &report].into_iter().chain(more.iter().copied());
        arguments.map(str::to_owned).collect()
    }

    fn run(&self, text: &str, more: &[&str]) -> (Output, Value) {
        let arguments = self.arguments(&self.file(text), &[&["--yes"], more].concat());
        let done = self.fleet.cli(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        (done, self.read())
    }

    fn read(&self) -> Value {
        let json = std::fs::read(self.report().join("report.json"));
        json.map_or(Value::Null, |json| serde_json::from_slice(&json).expect("report.json is JSON"))
    }

    fn start(&self, text: &str, more: &[&str]) -> Running {
        let arguments = self.arguments(&self.file(text), &[&["--yes"], more].concat());
        self.fleet.cli_running(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// By somebody who types this.
    fn at_a_terminal(&self, file: &Path, types: &str) -> Terminal {
        let fleet = self.fleet.file().display().to_string();
        let arguments = self.arguments(file, &["--fleet", &fleet]).join(" ");
        let line = format!("{} {arguments}", binary().display());
        let mut command = std::process::Command::new("script");
        command.args(["-qec", &line, "/dev/null"]).stdin(Stdio::piped()).stdout(Stdio::null());
        let mut child = self.fleet.controller.run(|| command.spawn()).expect("script is installed");
        let mut stdin = child.stdin.take().expect("piped");
        stdin.write_all(types.as_bytes()).expect("it reads");
        Terminal { child, _stdin: stdin }
    }

    fn is_cut(&self, nth: usize) -> bool {
        self.fleet.hosts[nth].sh("nft list ruleset").contains("expires")
    }

    fn is_clean(&self) -> bool {
        (0..3).all(|nth| self.fleet.hosts[nth].sh("nft list ruleset").is_empty())
    }

    fn snapshots(&self) -> Vec<Snapshot> {
        (0..3).map(|nth| Snapshot::take(&self.fleet.hosts[nth])).collect()
    }
}

/// A run at a terminal, which goes with it.
struct Terminal {
    child: Child,
    _stdin: ChildStdin,
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Already over is fine.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn said(done: &Output) -> String {
    format!("{}{}", text(&done.stdout), text(&done.stderr))
}

fn pid(running: &Running) -> Pid {
    Pid::from_raw(i32::try_from(running.id()).expect("a pid"))
}

/// h0 asks the server; the probe is asked by the agent there.
const PROBES: &str = "
name: Three hosts
probes:
  web: {http: 'http://SERVER:8080/', from: h0, every: 200ms, timeout: 1s}
  elsewhere: {tcp: 'SERVER:8080', from: h2, every: 200ms, timeout: 1s}
steady: [web, elsewhere]
detected: not web
recovery: {holds: [web], stable: 1s, within: 20s}
";

const CUT: &str = "
timeline:
  - {at: T-1s, observe: Is everybody there?}
  - {at: T+0, name: cut, inject: '--loss 100% --peer SERVER --on h0 --for 8s --max-share 100%'}
  - {at: T+4s, name: looked, expect: [not web, elsewhere]}
";

#[test]
fn a_run_cuts_measures_heals_and_leaves_no_trace() {
    let ground = Ground::new("");
    let before = ground.snapshots();
    let (done, report) = ground.run(&format!("{PROBES}{CUT}targets: {{detect: 6s, rto: 60s}}\n"), &[]);
    assert!(done.status.success(), "{}", said(&done));
    for (nth, (before, after)) in before.iter().zip(ground.snapshots()).enumerate() {
        before.assert_same(&after, &format!("h{nth}"));
    }
    assert_eq!(report["outcome"], "passed");
    let round = &report["rounds"][0];
    let fault = &round["faults"][0];
    // Of 8 s; the agents say what ended it and how much it hit.
    let lasted = fault["to_ms"].as_u64().unwrap() - fault["from_ms"].as_u64().unwrap();
    assert!((7_900..8_100).contains(&lasted), "{fault}");
    assert_eq!(fault["hosts"]["h0"]["end"], "deadline", "{fault}");
    assert!(fault["hosts"]["h0"]["packets"].as_u64().unwrap() > 0, "{fault}");
    // The first question behind the cut takes its second to fail.
    let measures = &round["measures"];
    let detect = measures["detect_ms"].as_u64().unwrap();
    assert!((500..6_000).contains(&detect), "{measures}");
    assert!(measures["rto_ms"].as_u64().unwrap() >= 8_000, "{measures}");
    // A connection that was being opened waits for TCP's next try: up to 4 s behind the end, and the probe begins anew each second.
    assert!(measures["recovery_ms"].as_u64().unwrap() < 10_000, "{measures}");
    for when in ["before", "during", "after"] {
        let matrix = round["matrices"].as_array().unwrap().iter().find(|matrix| matrix["when"] == when);
        let cell = &matrix.unwrap_or_else(|| panic!("no matrix {when}"))["cells"][0][1];
        assert_eq!(cell["text"], if when == "during" { "x" } else { "." }, "{when}: {cell}");
    }
    assert_eq!(report["questions"][0]["text"], "step 1: Is everybody there?");
    for name in ["report.md", "report.html"] {
        let text = std::fs::read_to_string(ground.report().join(name)).unwrap();
        assert!(text.contains("Three hosts"), "{name}");
    }
    let again = ground.run(&format!("{PROBES}{CUT}"), &[]).0;
    assert_eq!(again.status.code(), Some(2), "a report is not written over: {}", said(&again));
}

#[test]
fn a_guard_aborts_and_heals_within_a_second() {
    let ground = Ground::new("");
    let guarded = PROBES.to_owned()
        + "guards: [{when: not web, for: 1s, because: customers cannot pay}]
timeline:
  - {at: T+0, name: other, inject: '--loss 100% --peer SERVER --on h2 --for 10m --max-share 100%'}
  - {at: T+0, name: cut, inject: '--loss 100% --peer SERVER --on h0 --for 10m --max-share 100%'}
  - {at: T+5m, name: never, observe: This does not come}
";
    let begun = Instant::now();
    let (done, report) = ground.run(&guarded, &[]);
    assert_eq!(done.status.code(), Some(1), "{}", said(&done));
    assert!(begun.elapsed() < Duration::from_secs(60), "it went on for {:?}", begun.elapsed());
    assert!(ground.is_clean(), "something is left");
    assert_eq!(report["outcome"], "aborted");
    let why = report["why"][0].as_str().unwrap();
    assert!(why.contains("customers cannot pay") && why.contains("web fails"), "{why}");
    let round = &report["rounds"][0];
    // From the guard until every host had healed.
    let abort = round["measures"]["abort_ms"].as_u64().unwrap();
    assert!(abort < 1_000, "healed after {abort} ms");
    let faults = round["faults"].as_array().unwrap();
    let end = |host: &str| faults.iter().find_map(|fault| fault["hosts"][host]["end"].as_str());
    for host in ["h0", "h2"] {
        assert!(end(host).is_some_and(|end| end.starts_with("restored by")), "{host}: {faults:?}");
    }
    let events = round["events"].as_array().unwrap();
    assert!(!events.iter().any(|event| event["step"] == "never"), "{events:?}");
}

#[test]
fn a_guard_is_not_behind_an_agent_that_hangs() {
    let ground = Ground::new("");
    let guarded = PROBES.to_owned()
        + "guards: [{when: not web, for: 0s, because: customers cannot pay}]
timeline:
  - {at: T-6s, observe: Is everybody there?}
  - {at: T+0, name: cut, inject: '--loss 100% --peer SERVER --on h0 --for 10m --max-share 100%'}
  - {at: T+5m, name: never, observe: This does not come}
";
    let mut running = ground.start(&guarded, &[]);
    until("it begins", PATIENCE, || ground.report().join("run.sock").exists());
    // Behind the look before, which takes a second or two, and before the one during: that waits for h1.
    std::thread::sleep(Duration::from_secs(3));
    let hanging = ground.fleet.agents[1].as_ref().unwrap();
    hanging.signal(Signal::SIGSTOP);
    until("it cuts", PATIENCE, || ground.is_cut(0));
    let healed = until("h0 is healed", 2 * SLACK, || !ground.is_cut(0));
    until("it ends", PATIENCE, || running.try_wait().unwrap().is_some());
    hanging.signal(Signal::SIGCONT);
    let report = ground.read();
    assert_eq!(report["outcome"], "aborted", "{report}");
    let abort = report["rounds"][0]["measures"]["abort_ms"].as_u64().unwrap();
    println!("healed after {healed:?}, {abort} ms behind the guard");
    assert!(abort < 1_000, "healed after {abort} ms");
}

#[test]
fn without_a_steady_state_nothing_is_cut() {
    let ground = Ground::new("");
    let wrong = PROBES.replace("tcp: 'SERVER:8080'", "tcp: 'SERVER:8081'") + CUT + "steady_within: 3s\n";
    let (done, report) = ground.run(&wrong, &[]);
    assert_eq!(done.status.code(), Some(1), "{}", said(&done));
    assert_eq!(report["outcome"], "not_started");
    assert!(report["why"][0].as_str().unwrap().contains("`elsewhere` is not so"), "{report}");
    assert_eq!(report["rounds"][0]["faults"], serde_json::json!([]));
    // Nothing was cut, so nothing is judged.
    assert_eq!(report["rounds"][0]["checks"], serde_json::json!([]));
    for (nth, agent) in ground.fleet.running() {
        assert!(agent.history().is_empty(), "h{nth} had a fault");
    }
}

#[test]
fn a_recovery_that_does_not_come_is_a_failed_rto() {
    let ground = Ground::new("");
    // Somebody stops the server while it is cut off, and nobody starts it again.
    let pid = ground._server.id();
    let broken = PROBES.replace("within: 20s", "within: 6s")
        + &format!(
            "targets: {{rto: 30s}}
timeline:
  - {{at: T+0, name: cut, inject: '--loss 100% --peer SERVER --on h0 --for 6s --max-share 100%'}}
  - {{at: T+2s, name: broken, run: 'kill {pid}'}}
"
        );
    let (done, report) = ground.run(&broken, &[]);
    assert_eq!(done.status.code(), Some(1), "{}", said(&done));
    assert_eq!(report["outcome"], "failed");
    let checks = report["rounds"][0]["checks"].as_array().unwrap();
    let rto = checks.iter().find(|check| check["what"].as_str().unwrap().starts_with("RTO")).unwrap();
    assert_eq!((&rto["met"], &rto["measured"]), (&false.into(), &"never".into()), "{rto}");
    assert!(report["why"].to_string().contains("RTO"), "{}", report["why"]);
    assert!(report["rounds"][0]["measures"]["rto_ms"].is_null());
    assert!(said(&done).contains("NOT MET   RTO"), "{}", said(&done));
}

#[test]
fn ctrl_c_heals_first_and_kill_9_heals_by_the_lease() {
    let long = PROBES.to_owned()
        + "timeline:
  - {at: T+0, name: cut, inject: '--loss 100% --peer SERVER --on h0,h2 --for 10m --max-share 100%'}
  - {at: T+9m, observe: Still there?}
";
    let ground = Ground::new("");
    let mut running = ground.start(&long, &[]);
    until("it cuts", PATIENCE, || ground.is_cut(0) && ground.is_cut(2));
    std::thread::sleep(Duration::from_secs(2));
    kill(pid(&running), Signal::SIGINT).unwrap();
    until("Ctrl-C heals", SLACK, || ground.is_clean());
    until("it ends", SLACK, || running.try_wait().unwrap().is_some());
    let report = ground.read();
    assert_eq!(report["outcome"], "aborted", "{report}");
    assert!(report["why"][0].as_str().unwrap().contains("interrupted"), "{report}");

    std::fs::remove_dir_all(ground.report()).unwrap();
    let mut running = ground.start(&long, &[]);
    until("it cuts", PATIENCE, || ground.is_cut(0) && ground.is_cut(2));
    // Longer than a lease: it is renewed.
    std::thread::sleep(Duration::from_secs(18));
    assert!(ground.is_cut(0) && ground.is_cut(2), "nobody renewed it");
    running.kill().unwrap();
    running.wait().unwrap();
    let healed = until("the kernels end it", Duration::from_secs(15) + SLACK, || ground.is_clean());
    println!("healed {healed:?} after kill -9 of the run");
    for nth in [0, 2] {
        let agent = ground.fleet.agents[nth].as_ref().unwrap();
        assert_eq!(agent.history()[0].end.to_string(), "lease lost", "h{nth}");
    }
}

#[test]
fn somebody_is_asked_and_notes_come_from_other_terminals() {
    let ground = Ground::new("");
    let asking = PROBES.to_owned()
        + "questions: [What went well?]
timeline:
  - {at: T-1s, name: ready, confirm: Is the status page up?}
  - {at: T+0, name: cut, inject: '--loss 100% --peer SERVER --on h0 --for 5s --max-share 100%'}
";
    // On real hosts nobody begins without being asked, unless he says so.
    let file = ground.file(&asking);
    let arguments = ground.arguments(&file, &[]);
    let refused = ground.fleet.cli(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
    assert!(said(&refused).contains("--yes"), "{}", said(&refused));

    let done = ground.run(&asking, &[]).0;
    assert!(done.status.success(), "{}", said(&done));
    assert_eq!(ground.read()["rounds"][0]["events"].to_string().matches("confirmed").count(), 1);

    std::fs::remove_dir_all(ground.report()).unwrap();
    let mut running = ground.at_a_terminal(&file, "yes\n");
    let socket = ground.report().join("run.sock");
    let asks = || {
        let curl = ["-s", "--unix-socket", &socket.display().to_string(), "http://localhost/v1/run"];
        let told = std::process::Command::new("curl").args(curl).output().expect("curl is installed");
        serde_json::from_slice::<Value>(&told.stdout).unwrap_or_default()["asks"].clone()
    };
    until("it asks", PATIENCE, || asks() == "Is the status page up?");
    std::thread::sleep(Duration::from_secs(2));
    assert!(!ground.is_cut(0), "it did not wait for the answer");
    let note = |words: &[&str]| {
        let report = ground.report();
        let mut command = std::process::Command::new(binary());
        let done = command.args(["note", "--report"]).arg(report).args(words).output().unwrap();
        assert!(done.status.success(), "{}", said(&done));
    };
    note(&["1. the", "page was up"]);
    note(&["yes"]);
    until("it ends", PATIENCE, || running.child.try_wait().unwrap().is_some());
    let report = ground.read();
    assert_eq!(report["outcome"], "passed", "{report}");
    assert_eq!(report["notes"][0]["text"], "1. the page was up", "{report}");
    assert_eq!(report["questions"][0]["answer"], "the page was up", "{report}");
    assert!(!socket.exists());
}

#[test]
fn what_an_agent_would_refuse_is_told_with_its_line_before_anything_is_cut() {
    let ground = Ground::new("[policy]\nlongest = \"30s\"\n");
    let long = PROBES.to_owned()
        + "timeline:
  - at: T+0
    name: cut
    inject: --loss 100% --peer SERVER --on h0 --for 5m --max-share 100%
";
    let line = long.lines().position(|line| line.contains("inject:")).unwrap() + 1;
    for more in [["--dry-run"].as_slice(), &[]] {
        let (done, report) = ground.run(&long, more);
        assert_eq!(done.status.code(), Some(2), "{}", said(&done));
        let told = said(&done);
        assert!(told.contains(&format!("day.yaml:{line}: cut: h0: ")), "{told}");
        assert!(told.contains("30s"), "the limit is named: {told}");
        assert_eq!(report, Value::Null);
    }
    for (nth, agent) in ground.fleet.running() {
        assert!(agent.history().is_empty(), "h{nth} had a fault");
    }
}
