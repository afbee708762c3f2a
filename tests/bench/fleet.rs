//! A command on every host of a fleet: the real command line, agents with the real HTTP stack on kernels in memory, and what people
//! do without agents, which is ssh to each host. The agents are in a process of their own, on loopback addresses of this
//! machine, so both ends of every connection share its processors.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use harness::fake_fleet::FakeFleet;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::unistd::{SysconfVar, sysconf};

use crate::measured::{self, Cost};
use crate::ssh;

/// The argument that makes the benchmark the agents.
pub const VERB: &str = "agents";

const SIZES: [usize; 4] = [1, 10, 100, 1_000];
const ROUNDS: usize = 5;

const INJECT: [&str; 9] =
    ["inject", "--on", "*", "--max-share", "100%", "--loss", "100%", "--peer", "10.0.0.5"];
const RESTORE: [&str; 2] = ["restore", "--all"];

pub fn run() {
    println!("a fleet, medians of {ROUNDS} (first to last); agents and command line share this machine");
    for size in SIZES {
        let agents = Agents::start(size);
        let [mut injects, mut restores, mut together] = [(); 3].map(|()| Vec::new());
        for _ in 0..ROUNDS {
            injects.push(agents.command(&INJECT, true));
            restores.push(agents.command(&RESTORE, true));
            agents.command(&INJECT, true);
            together.push(agents.command(&[&RESTORE[..], &["--together"]].concat(), false));
        }
        show(size, "inject", &injects);
        show(size, "restore --all", &restores);
        show(size, "restore --all --together", &together);
    }
    ssh::run();
}

/// One command.
struct Round {
    cost: Cost,
    /// What the agents spent on it.
    agents: Duration,
    /// How far apart the hosts were, and how well the clocks are known, in milliseconds.
    spread: Option<(f64, f64)>,
}

/// The process with all agents.
struct Agents {
    process: Child,
    fleet: String,
}

impl Agents {
    fn start(count: usize) -> Self {
        let myself = std::env::current_exe().expect("a program knows where it is");
        let mut command = Command::new(myself);
        command.arg(VERB).arg(count.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().expect("the benchmark runs itself");
        let mut line = String::new();
        let output = process.stdout.take().expect("it is piped");
        BufReader::new(output).read_line(&mut line).expect("the agents start");
        Self { process, fleet: line.trim().to_owned() }
    }

    fn command(&self, words: &[&str], json: bool) -> Round {
        let binary = harness::binary().display().to_string();
        let mut command = vec![binary.as_str(), "--fleet", &self.fleet];
        command.extend(json.then_some("--json"));
        command.extend(words);
        let before = self.cpu();
        let (cost, output) = measured::run(&command);
        let agents = self.cpu().saturating_sub(before);
        let text = harness::text(&output.stdout);
        Round { cost, agents, spread: if json { spread_in_json(&text) } else { spread_in_text(&text) } }
    }

    fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.process.id())).expect("they run");
        // Behind the name, which may have anything in it: utime and stime are the 14th and 15th of all, proc(5).
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
        let ticks = fields.skip(11).take(2).map(|ticks| ticks.parse::<f64>().expect("a number")).sum::<f64>();
        let second = sysconf(SysconfVar::CLK_TCK).ok().flatten().expect("the kernel has ticks");
        Duration::from_secs_f64(ticks / second as f64)
    }
}

impl Drop for Agents {
    fn drop(&mut self) {
        // They live as long as somebody holds their standard input.
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

/// The process with all agents, from within.
pub fn agents(count: &str) {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("the kernel tells");
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("up to the hard limit it is ours");
    let fleet = FakeFleet::start(count.parse().expect("a number of agents"));
    println!("{}", fleet.file().display());
    let _ = std::io::stdin().read(&mut [0]);
}

fn spread_in_json(text: &str) -> Option<(f64, f64)> {
    let report = serde_json::from_str::<serde_json::Value>(text).expect("JSON");
    let millis = |name: &str| Some(report["spread"][name].as_f64()? / 1e3);
    Some((millis("micros")?, millis("bound_micros")?))
}

/// `ended within 2.0 ms (the clocks are known to 0.2 ms)`.
fn spread_in_text(text: &str) -> Option<(f64, f64)> {
    let line = text.lines().find_map(|line| line.strip_prefix("ended within "))?;
    let mut numbers = line.split(' ').filter_map(|word| word.parse().ok());
    Some((numbers.next()?, numbers.next()?))
}

fn show(size: usize, what: &str, rounds: &[Round]) {
    let seconds = |of: &dyn Fn(&Round) -> Duration| {
        let mut all = rounds.iter().map(|round| of(round).as_secs_f64()).collect::<Vec<_>>();
        all.sort_unstable_by(f64::total_cmp);
        [all[all.len() / 2], all[0], all[all.len() - 1]]
    };
    let [wall, first, last] = seconds(&|round| round.cost.wall);
    let [ours, ..] = seconds(&|round| round.cost.cpu);
    let [theirs, ..] = seconds(&|round| round.agents);
    let peak = rounds.iter().map(|round| round.cost.peak_kib).max().unwrap_or_default();
    let mut spreads = rounds.iter().filter_map(|round| round.spread).collect::<Vec<_>>();
    spreads.sort_unstable_by(|one, other| one.0.total_cmp(&other.0));
    let spread = spreads.get(spreads.len() / 2).map(|(apart, known)| {
        let worst = spreads.last().map_or(0.0, |last| last.0);
        format!("; apart {apart:.1} ms, at most {worst:.1} (clocks known to {known:.1})")
    });
    println!(
        "  {size} agents, {what}: {wall:.2} s ({first:.2} to {last:.2}); processor: {ours:.2} s here, {theirs:.2} s theirs; memory {:.1} MB{}",
        peak as f64 / 1024.0,
        spread.unwrap_or_default(),
    );
}
