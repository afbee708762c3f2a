//! `demo`: the promise, on three hosts in network namespaces of their own. Nothing outside of them is touched.

pub mod redis;

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::args::DemoArgs;
use crate::exit::Failure;
use crate::lab::host::{Host, Running, SELF};
use crate::lab::links::Bridge;
use crate::{lab, render};

const PORT: u16 = 6379;
const SOCKET: &str = "/run/partition-agent/agent.sock";
const STATE: &str = "/run/partition-agent/state";
const CONFIG: &str = "/run/agent.toml";
const LOG: &str = "/run/agent.log";

/// How long the faults of the demo last, and how much later than that still counts as on time here. The kernel's own
/// lateness is a few milliseconds; the rest is for a busy machine.
const FAULT: Duration = Duration::from_secs(3);
const SLACK: Duration = Duration::from_millis(1500);

/// How long an answer may take before it counts as none.
const PATIENCE: Duration = Duration::from_millis(300);

pub fn run(args: &DemoArgs) -> Result<ExitCode, Failure> {
    lab::isolate()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(tell(args))
}

struct Demo {
    app: Host,
    redis: SocketAddr,
    db: SocketAddr,
    wrong: usize,
}

async fn tell(args: &DemoArgs) -> Result<ExitCode, Failure> {
    let address = |last| IpAddr::V4(Ipv4Addr::new(10, 71, 0, last));
    let bridge = Bridge::create("lab0").await?;
    let app = host("app", address(2), &bridge).await?;
    let redis_host = host("redis", address(3), &bridge).await?;
    let db_host = host("db", address(4), &bridge).await?;
    let [redis, db] = [3, 4].map(|last| SocketAddr::new(address(last), PORT));
    let (_redis, what) = server(&redis_host, redis, !args.no_redis)?;
    let (_db, _) = server(&db_host, db, false)?;
    let [app_at, redis_at, db_at] = [2, 3, 4].map(address);
    render::line(&format!("three hosts: {app_at} (app), {redis_at} ({what}), {db_at} (db)"))?;
    let mut demo = Demo { app, redis, db, wrong: 0 };
    for to in [redis, db] {
        redis::until_answer(demo.app.namespace(), to, Duration::from_secs(10));
    }
    std::fs::write(CONFIG, format!("[peers]\nredis = [\"{redis}\"]\ndb = [\"{db}\"]\n"))?;
    let mut agent = demo.agent()?;

    demo.check("before", true, true)?;

    render::line("\n1. cut, and healed by the kernel at the deadline, with the agent stopped (SIGSTOP)")?;
    let begun = Instant::now();
    demo.inject(&["--loss", "100%", "--peer", "redis", "--for", "3s"])?;
    demo.check("cut", false, true)?;
    kill(pid(&agent.0), Signal::SIGSTOP)?;
    let healed = redis::until_answer(demo.app.namespace(), redis, FAULT + SLACK).map(|_| begun.elapsed());
    demo.expect("redis answers again", healed, FAULT.saturating_sub(SLACK)..FAULT + SLACK)?;
    kill(pid(&agent.0), Signal::SIGCONT)?;
    demo.verb(&["status", "--wait"])?;

    render::line("\n2. cut for ten minutes, and healed by `kill -9` of the agent")?;
    demo.inject(&["--loss", "100%", "--peer", "redis", "--for", "10m"])?;
    demo.check("cut", false, true)?;
    let begun = Instant::now();
    agent.0.kill()?;
    let healed = redis::until_answer(demo.app.namespace(), redis, SLACK).map(|_| begun.elapsed());
    demo.expect("redis answers again", healed, Duration::ZERO..SLACK)?;
    agent.0.wait()?;

    render::line("\n3. another agent finds what became of it")?;
    agent = demo.agent()?;
    demo.verb(&["history"])?;
    demo.check("after", true, true)?;
    drop(agent);
    if demo.wrong > 0 {
        return Err(Failure::Failed(format!("{} of these is not as it should be", demo.wrong)));
    }
    render::line("\nnothing of this was outside of its own namespaces, and nothing is left")?;
    Ok(ExitCode::SUCCESS)
}

impl Demo {
    fn agent(&self) -> Result<Running, Failure> {
        let log = File::create(LOG)?;
        let serve = [SELF, "serve", "--config", CONFIG, "--socket", SOCKET, "--state-dir", STATE];
        let agent = Running(self.app.command(&serve).stdout(Stdio::null()).stderr(log).spawn()?);
        let begun = Instant::now();
        while std::os::unix::net::UnixStream::connect(SOCKET).is_err() {
            if begun.elapsed() > Duration::from_secs(10) {
                let log = std::fs::read_to_string(LOG).unwrap_or_default();
                return Err(Failure::Failed(format!("the agent does not start: {log}")));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(agent)
    }

    fn inject(&self, arguments: &[&str]) -> Result<(), Failure> {
        self.verb(&[&["inject"], arguments].concat())
    }

    /// Types a command, so that the reader sees what to type.
    fn verb(&self, arguments: &[&str]) -> Result<(), Failure> {
        render::line(&format!("$ partition-agent {}", arguments.join(" ")))?;
        let mut command = Command::new(SELF);
        command.args(["--agent", &format!("unix:{SOCKET}")]).args(arguments);
        if command.status()?.success() {
            Ok(())
        } else {
            Err(Failure::Failed("that should have worked".to_owned()))
        }
    }

    fn check(&mut self, when: &str, redis: bool, db: bool) -> Result<(), Failure> {
        let mut cells = Vec::new();
        for (name, to, wanted) in [("redis", self.redis, redis), ("db", self.db, db)] {
            let answers = redis::ping(self.app.namespace(), to, PATIENCE);
            let word = if answers { "answers" } else { "silent" };
            let mark = self.mark(answers == wanted);
            cells.push(format!("app -> {name} {word}{mark}"));
        }
        render::line(&format!("  {when:8} {}", cells.join("   ")))
    }

    fn expect(
        &mut self,
        what: &str,
        after: Option<Duration>,
        within: std::ops::Range<Duration>,
    ) -> Result<(), Failure> {
        let mark = self.mark(after.is_some_and(|after| within.contains(&after)));
        let after =
            after.map_or_else(|| "never".to_owned(), |after| format!("after {:.3}s", after.as_secs_f64()));
        render::line(&format!("  healed   {what} {after}{mark}"))
    }

    fn mark(&mut self, right: bool) -> &'static str {
        if right {
            ""
        } else {
            self.wrong += 1;
            " (WRONG)"
        }
    }
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(i32::try_from(child.id()).unwrap_or(i32::MAX))
}

async fn host(name: &str, address: IpAddr, bridge: &Bridge) -> Result<Host, Failure> {
    let mut host = Host::begin(name, &[address], Stdio::inherit())?;
    host.plug_into(bridge, name).await?;
    host.wait_until_up()?;
    Ok(host)
}

/// A real redis where there is one, and what stands for it elsewhere.
fn server(host: &Host, at: SocketAddr, real: bool) -> Result<(Running, &'static str), Failure> {
    let port = PORT.to_string();
    let redis = ["redis-server", "--port", &port, "--save", "", "--protected-mode", "no", "--dir", "/run"];
    let quiet = |mut command: Command| command.stdout(Stdio::null()).stderr(Stdio::null()).spawn();
    if real && let Ok(mut child) = quiet(host.command(&redis)) {
        // It becomes redis-server, or ends at once because there is none.
        std::thread::sleep(Duration::from_millis(200));
        if child.try_wait()?.is_none() {
            return Ok((Running(child), "redis-server"));
        }
    }
    Ok((Running(quiet(host.command(&[SELF, "lab-respond", &at.to_string()]))?), "a responder for redis"))
}
