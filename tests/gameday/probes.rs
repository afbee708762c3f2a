//! Every kind of probe against the real server, from another network namespace, through a cut of the network and out of it again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use harness::lab::{Host, Lab, REDIS, Running};
use harness::name_server::with_file_over;
use harness::{has_tool, text};
use partition_agent_cli::probing::{Answer, Ask, Comparison, Place, Probe, Prober};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::servers;

const EVERY: Duration = Duration::from_millis(200);
const TIMEOUT: Duration = Duration::from_millis(800);

/// Servers take seconds to start on a busy machine.
const START: Duration = Duration::from_secs(60);

/// An interval, a timeout, and what a busy machine takes for a dozen questions at once.
const SEEN: Duration = Duration::from_secs(10);

fn place(host: &Host) -> Place {
    Place::Namespace(PathBuf::from("/run/netns").join(&host.namespace))
}

fn probe(ask: Ask) -> Probe {
    Probe { ask, from: Some("app".to_owned()), every: EVERY, timeout: TIMEOUT }
}

fn http(json: Option<(&str, Comparison)>) -> Ask {
    let json = json.map(|(path, wanted)| (path.to_owned(), wanted));
    let url = "http://redis:8080/healthz".to_owned();
    Ask::Http { url, headers: BTreeMap::new(), body: None, status: vec![200], json }
}

fn command(line: &str) -> Ask {
    Ask::Command { command: line.to_owned(), stdout: None, directory: PathBuf::from("/") }
}

/// By name: what is asked, and what is told where it holds.
fn all() -> BTreeMap<&'static str, (Ask, &'static str)> {
    let query = r#"up{job="itself"}"#.to_owned();
    let url = "http://redis:9090".to_owned();
    let up = Comparison::Equals("1".to_owned());
    let server = Some(REDIS.to_owned());
    let at = |port: u16| format!("redis:{port}");
    let json = |path, wanted| http(Some((path, wanted)));
    BTreeMap::from([
        ("tcp", (Ask::Tcp(at(6379)), "connected")),
        ("tcp by IPv6", (Ask::Tcp("[fd77:1::2]:6380".to_owned()), "connected")),
        ("http", (http(None), "200 OK")),
        ("json", (json("checks.redis", Comparison::Equals("up".to_owned())), "200 OK, checks.redis is up")),
        ("json number", (json("checks.lag", Comparison::Below(2.0)), "200 OK, checks.lag is 1.5")),
        ("dns", (Ask::Dns { name: "db.example.test.".to_owned(), server }, "10.77.2.2, fd77:2::2")),
        ("command", (command("redis-cli -h redis ping | grep PONG"), "PONG")),
        (
            "prometheus",
            (
                Ask::Prometheus { url, query, headers: BTreeMap::new(), value: up },
                "1 (__name__=up, instance=10.77.1.2:9090, job=itself)",
            ),
        ),
        ("redis", (Ask::Redis { at: at(6379), password: None }, "PONG")),
        ("postgresql", (Ask::Postgresql { at: at(5432) }, "accepting connections")),
        ("nats", (Ask::Nats { at: at(4222) }, "PONG of bus-1")),
    ])
}

type Answers = UnboundedReceiver<(String, Answer)>;

/// The first answer of each that is of this kind, and how long after `since` it was there.
fn until_all(
    answers: &mut Answers,
    patience: Duration,
    holds: bool,
    names: &BTreeSet<&str>,
) -> BTreeMap<String, (Duration, String)> {
    let since = Instant::now();
    let mut seen = BTreeMap::new();
    while names.iter().any(|name| !seen.contains_key(*name)) {
        assert!(since.elapsed() < patience, "of {names:?} only {seen:#?}, not within {patience:?}");
        match answers.try_recv() {
            Ok((name, answer)) if answer.asked >= since && answer.holds.is_ok() == holds => {
                let (Ok(told) | Err(told)) = answer.holds;
                seen.entry(name).or_insert((since.elapsed(), told));
            }
            Ok(_) => {}
            Err(_) => std::thread::sleep(Duration::from_millis(2)),
        }
    }
    seen
}

fn slowest(seen: &BTreeMap<String, (Duration, String)>) -> Duration {
    seen.values().map(|(took, _)| *took).max().unwrap_or_default()
}

/// With a name for the server's host, as a lab has it.
fn with_hosts<T: Send>(work: impl FnOnce() -> T + Send) -> T {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("127.0.0.1 localhost\n{REDIS} redis\n")).unwrap();
    with_file_over("/etc/hosts", file.path(), work)
}

#[test]
fn every_probe_fails_by_a_cut_and_holds_again_when_it_heals() {
    if !servers::are_installed() || !has_tool("nft") {
        return;
    }
    let lab = Lab::new();
    let dirs = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let _servers = [
        servers::redis(&lab.redis, "6379", &[]),
        lab.redis.spawn(
            "redis-server",
            &["--bind", "fd77:1::2", "--port", "6380", "--save", "", "--protected-mode", "no"],
            std::process::Stdio::null(),
        ),
        servers::postgresql(&lab.redis, &dirs[0]),
        servers::nats(&lab.redis),
        servers::http(&lab.redis, &dirs[1]),
        servers::prometheus(&lab.redis, &dirs[2]),
        servers::dnsmasq(&lab.redis),
        // Nothing is cut there.
        lab.db.spawn(
            "redis-server",
            &["--bind", "10.77.2.2", "--save", "", "--protected-mode", "no"],
            std::process::Stdio::null(),
        ),
    ];
    with_hosts(|| {
        let (tell, mut answers) = unbounded_channel();
        let start = |name: &str, ask: Ask, tell| {
            Prober::start(name.to_owned(), probe(ask), place(&lab.app), tell).unwrap()
        };
        let probers = all().into_iter().map(|(name, (ask, _))| start(name, ask, tell.clone()));
        let probers = probers.collect::<Vec<_>>();
        let (other_tell, mut others) = unbounded_channel();
        let other =
            start("other", Ask::Redis { at: "10.77.2.2:6379".to_owned(), password: None }, other_tell);
        let names = all().into_keys().collect::<BTreeSet<_>>();

        let first = until_all(&mut answers, START, true, &names);
        for (name, (_, told)) in all() {
            assert_eq!(first[name].1, told, "{name}");
        }
        let _ = until_all(&mut others, START, true, &BTreeSet::from(["other"]));
        while others.try_recv().is_ok() {}

        // Where it arrives: the one who asks sees nothing but silence.
        lab.redis.sh(
            "nft 'table inet cut { chain in { type filter hook input priority 0; iifname eth0 meta nfproto ipv4 drop; \
             iifname eth0 tcp dport 6380 drop; }; }'",
        );
        let reached = lab.app.output("timeout", &["1", "bash", "-c", "exec 3<>/dev/tcp/10.77.1.2/6379"]);
        assert!(!reached.status.success(), "it is not cut");
        let cut = until_all(&mut answers, SEEN, false, &names);
        assert!(
            cut.values().all(|(_, told)| told.contains("no answer within")
                || told.contains("not done within")
                || told.contains("timed out")),
            "{cut:#?}"
        );

        lab.redis.sh("nft delete table inet cut");
        let healed = until_all(&mut answers, SEEN, true, &names);
        println!("cut: seen by all within {:.0?}; healed: within {:.0?}", slowest(&cut), slowest(&healed));
        println!("cut: {cut:#?}\nhealed: {healed:#?}");

        let untouched = std::iter::from_fn(|| others.try_recv().ok()).collect::<Vec<_>>();
        assert!(untouched.len() > 3, "{}", untouched.len());
        assert!(untouched.iter().all(|(_, answer)| answer.holds.is_ok()), "{untouched:?}");

        let begun = Instant::now();
        drop((probers, other));
        // A tenth of a second for each at most.
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(3), "{took:?}");
        println!("{} probers dropped in {took:.1?}", names.len() + 1);
    });
    // Commands of probes, and all that they started, would be there.
    let begun = Instant::now();
    let left = || text(&lab.app.output("ip", &["netns", "pids", &lab.app.namespace]).stdout);
    // `ip` itself is one of them.
    while left().lines().count() > 1 {
        assert!(begun.elapsed() < SEEN, "{}", left());
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The next answer that is as expected.
fn told(lab: &Lab, ask: Ask, expected: Result<&str, &str>) {
    let (tell, mut answers) = unbounded_channel();
    let _prober = Prober::start("it".to_owned(), probe(ask), place(&lab.app), tell).unwrap();
    let begun = Instant::now();
    let mut last = None;
    while begun.elapsed() < START {
        match answers.try_recv() {
            Ok((_, answer)) if answer.holds.as_deref().map_err(String::as_str) == expected => return,
            Ok((_, answer)) => last = Some(answer),
            Err(_) => std::thread::sleep(Duration::from_millis(2)),
        }
    }
    panic!("never {expected:?}, at last {last:?}");
}

fn redis(port: u16, password: Option<&str>) -> Ask {
    Ask::Redis { at: format!("{REDIS}:{port}"), password: password.map(str::to_owned) }
}

#[test]
fn what_a_real_redis_says_instead_of_pong_is_told() {
    if !has_tool("redis-server") {
        return;
    }
    let lab = Lab::new();
    let password = "s3 cr\"et";
    let _closed = servers::redis(&lab.redis, "6379", &["--requirepass", password]);
    let nobody = ["--replicaof", "10.77.1.99", "6379", "--replica-serve-stale-data", "no"];
    let _replica = servers::redis(&lab.redis, "6380", &nobody);
    let _open =
        servers::redis(&lab.redis, "6381", &["--user", "default", "on", "nopass", "~*", "+@all", "-ping"]);
    told(&lab, redis(6379, Some(password)), Ok("PONG"));
    told(&lab, redis(6379, None), Err("NOAUTH Authentication required."));
    let wrong = "WRONGPASS invalid username-password pair or user is disabled.";
    told(&lab, redis(6379, Some("wrong")), Err(wrong));
    let down = "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.";
    told(&lab, redis(6380, None), Err(down));
    let denied = "NOPERM this user has no permissions to run the 'ping' command";
    told(&lab, redis(6381, None), Err(denied));
}

#[test]
fn a_real_postgresql_that_shuts_down_is_told() {
    if !servers::are_installed() {
        return;
    }
    let lab = Lab::new();
    let dir = tempfile::tempdir().unwrap();
    let server = servers::postgresql(&lab.redis, &dir);
    let ask = || Ask::Postgresql { at: format!("{REDIS}:5432") };
    told(&lab, ask(), Ok("accepting connections"));
    let log_in = |host: &Host| -> Running {
        let sockets = dir.path().display().to_string();
        host.spawn(
            "psql",
            &["-h", &sockets, "-U", "admin", "-d", "postgres", "-c", "select pg_sleep(600)"],
            std::process::Stdio::null(),
        )
    };
    let _session = log_in(&lab.redis);
    let sockets = dir.path().display().to_string();
    harness::until("somebody is logged in", START, || {
        let count = "select count(*) from pg_stat_activity where query like '%pg_sleep(600)' and pid <> pg_backend_pid()";
        let counted =
            lab.redis.output("psql", &["-h", &sockets, "-U", "admin", "-d", "postgres", "-Atc", count]);
        text(&counted.stdout).trim() == "1"
    });
    // It waits for that session, and takes no other.
    let pid = nix::unistd::Pid::from_raw(i32::try_from(server.id()).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).unwrap();
    told(&lab, ask(), Err("the database system is shutting down"));
    // It waits no longer.
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
    told(&lab, ask(), Err("no connection: Connection refused (os error 111)"));
}
