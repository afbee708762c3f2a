//! A thousand clients at once, half of them up to no good: nobody honest goes without an answer, and no fault is late.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use harness::agent::Agent;
use harness::lab::Lab;
use harness::text;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{sleep, timeout};

use crate::clock::{Window, now};
use crate::observe::Netns;
use crate::process::Process;

const CLIENTS: usize = 1_000;
const TOKEN: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// What each honest one asks, one after the other.
const QUESTIONS: usize = 4;

/// Within this an honest one has its answer, however often it is turned away meanwhile: half of the others take places for as
/// long as they are let.
const PATIENCE: Duration = Duration::from_secs(300);

/// How late the kernel may end a fault, with the time that reading it takes.
const LATE: Duration = Duration::from_millis(500);

const TICK: Duration = Duration::from_millis(10);

/// How late the agent may start one while a thousand clients want something of it on two busy cores.
const STARTED_WITHIN: Duration = Duration::from_secs(5);

/// What a thousand connections may take: each some 16 KiB for its task, what has been read of its request and what is to be
/// written, and twice that because an allocator does not give back what lies between; and 16 MiB for some forty faults with
/// their plans, their history and answers that list them all.
const MORE_KIB: u64 = 48 << 10;

/// What of that may stay when they are gone: an allocator keeps most of what it had at the peak, which is some 12 MiB. Some
/// 40,000 connections have come and gone by then; if each left a KiB, it would be more than this.
const KEPT_KIB: u64 = 36 << 10;

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// Where the agent is reached: by one of two ways.
#[derive(Clone)]
struct To {
    socket: PathBuf,
    port: SocketAddr,
    by_tcp: bool,
}

impl To {
    async fn connect(&self) -> std::io::Result<Box<dyn Stream>> {
        Ok(if self.by_tcp {
            Box::new(TcpStream::connect(self.port).await?)
        } else {
            Box::new(UnixStream::connect(&self.socket).await?)
        })
    }

    fn head(method: &str, path: &str, length: usize) -> String {
        format!(
            "{method} {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {TOKEN}\r\nconnection: close\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        )
    }

    /// One attempt. The status and the body.
    async fn ask(&self, method: &str, path: &str, body: &str) -> std::io::Result<(u16, String)> {
        let mut stream = self.connect().await?;
        stream.write_all((Self::head(method, path, body.len()) + body).as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        let answer = text(&answer);
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| std::io::Error::other(format!("no answer: {answer:?}")))?;
        Ok((status, answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()))
    }

    /// Until it is not turned away.
    async fn get_answer(&self, method: &str, path: &str, body: &str, told: &Told) -> (u16, String) {
        let begun = Instant::now();
        loop {
            let left = PATIENCE.saturating_sub(begun.elapsed());
            match timeout(left, self.ask(method, path, body)).await {
                Ok(Ok((status, body))) if status != 503 => {
                    told.answers.fetch_add(1, Ordering::Relaxed);
                    let took = u64::try_from(begun.elapsed().as_millis()).expect("not so long");
                    told.longest.fetch_max(usize::try_from(took).expect("64 bits"), Ordering::Relaxed);
                    return (status, body);
                }
                Ok(Ok(_) | Err(_)) => {
                    told.turned_away.fetch_add(1, Ordering::Relaxed);
                    assert!(begun.elapsed() < PATIENCE, "{method} {path}: turned away for {PATIENCE:?}");
                }
                Err(_) => panic!("{method} {path}: no answer in {PATIENCE:?}"),
            }
            sleep(Duration::from_millis(300)).await;
        }
    }
}

/// What has happened.
#[derive(Debug, Default)]
struct Told {
    answers: AtomicUsize,
    turned_away: AtomicUsize,
    /// Milliseconds.
    longest: AtomicUsize,
    /// How often a hostile one was shut out.
    shut_out: AtomicUsize,
}

/// Comes again whenever it is shut out, after a second.
async fn hostile(nth: usize, to: To, told: Arc<Told>) {
    loop {
        if let Ok(mut stream) = to.connect().await {
            // Whatever becomes of it.
            let _ = abuse(nth, &mut stream).await;
            told.shut_out.fetch_add(1, Ordering::Relaxed);
        }
        sleep(Duration::from_secs(1)).await;
    }
}

/// Returns when the agent has had enough.
async fn abuse(nth: usize, stream: &mut Box<dyn Stream>) -> std::io::Result<()> {
    match nth % 5 {
        // A head that comes byte by byte, and never ends.
        0 => {
            let endless = To::head("GET", "/v1/faults", 0).trim_end().to_owned() + "\r\nx-more: ";
            for byte in endless.bytes().chain(std::iter::repeat(b'x')) {
                stream.write_all(&[byte]).await?;
                sleep(Duration::from_millis(200)).await;
            }
            Ok(())
        }
        // A body of which half is missing.
        1 => {
            let spec = r#"{"kinds":[{"loss":{"percent":100}}],"target":"#;
            stream.write_all((To::head("PUT", "/v1/faults/half", 1_000) + spec).as_bytes()).await?;
            stream.read_to_end(&mut Vec::new()).await.map(drop)
        }
        // No HTTP at all.
        2 => {
            let garbage =
                (0..4_096_usize).map(|n| u8::try_from(n.wrapping_mul(nth + 7) % 256).expect("a byte"));
            stream.write_all(&garbage.collect::<Vec<_>>()).await?;
            stream.read_to_end(&mut Vec::new()).await.map(drop)
        }
        // Events that nobody reads.
        3 => {
            stream.write_all(To::head("GET", "/v1/events", 0).as_bytes()).await?;
            sleep(Duration::from_secs(3_600)).await;
            Ok(())
        }
        // Nothing.
        _ => stream.read_to_end(&mut Vec::new()).await.map(drop),
    }
}

/// One that looks; every twentieth cuts an address of its own off, and half of those restore it.
async fn honest(nth: usize, to: To, told: Arc<Told>, faults: Arc<Mutex<BTreeMap<usize, Window>>>) {
    sleep(Duration::from_millis(u64::try_from(nth * 17 % 3_000).expect("small"))).await;
    for question in 0..QUESTIONS {
        let path = format!("/v1/faults/own{nth}");
        let (status, answer) = match (nth.is_multiple_of(20), question) {
            (true, 0) => {
                let begun = now();
                let put = to.get_answer("PUT", &path, &cut(nth, "4s", ""), &told).await;
                let window = Window { earliest: begun, latest: now() };
                faults.lock().expect("nobody panicked").insert(nth, window.plus(Duration::from_secs(4)));
                put
            }
            (true, 1) if nth.is_multiple_of(40) => {
                let answer = to.get_answer("DELETE", &path, "", &told).await;
                if answer.0 == 200 {
                    let ended = Window::at(now());
                    let mut faults = faults.lock().expect("nobody panicked");
                    faults.entry(nth).and_modify(|end| *end = end.or_sooner(ended));
                }
                answer
            }
            (_, 2) => to.get_answer("GET", "/v1/faults", "", &told).await,
            _ => to.get_answer("GET", "/v1/clock", "", &told).await,
        };
        // What is restored may have ended by itself.
        assert!(matches!(status, 200 | 201) || (status == 404 && question == 1), "{status}: {answer}");
        sleep(Duration::from_secs(1)).await;
    }
}

fn cut(nth: usize, duration: &str, more: &str) -> String {
    let address = format!("198.18.{}.{}", nth / 256, nth % 256);
    format!(
        r#"{{"kinds":[{{"loss":{{"percent":100}}}}],"target":{{"peers":["{address}"]}},"for":"{duration}"{more}}}"#
    )
}

/// From when to when each address was in the kernel.
#[derive(Debug, Default)]
struct Watched {
    first: BTreeMap<String, Window>,
    last: BTreeMap<String, Window>,
    /// The first look after it at which it was not.
    gone: BTreeMap<String, Window>,
}

/// Looks at the kernel until it is told to stop.
fn watch(netns: &Netns, stop: &AtomicBool) -> Watched {
    let mut watched = Watched::default();
    while !stop.load(Ordering::Relaxed) {
        let (listed, at) = Window::around(|| netns.output("nft", &["list", "ruleset"]));
        let listed = text(&listed.stdout);
        let there = listed.split_whitespace().filter(|word| word.starts_with("198.18."));
        let there = there.map(str::to_owned).collect::<BTreeSet<_>>();
        for address in watched.first.keys().filter(|address| !there.contains(*address)) {
            watched.gone.entry(address.clone()).or_insert(at);
        }
        for address in there {
            watched.gone.remove(&address);
            watched.first.entry(address.clone()).or_insert(at);
            watched.last.insert(address, at);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    watched
}

#[test]
fn a_thousand_clients_half_of_them_hostile_keep_nobody_waiting_and_no_fault_from_its_time() {
    let lab = Lab::new();
    let dir = tempfile::tempdir().expect("a directory");
    let token = dir.path().join("token");
    std::fs::write(&token, TOKEN).expect("a file");
    std::os::unix::fs::chown(&token, Some(0), Some(0)).expect("root may");
    std::fs::set_permissions(&token, std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .expect("it is ours");
    let config = format!(
        "listen = \"127.0.0.1:7433\"\ntoken_file = \"{}\"\n[policy]\nmost_faults = 500\nlongest = \"1h\"\n",
        token.display()
    );
    // As many files as a unit gives a service that asks for nothing.
    let agent = Agent::start_by(&lab.app, &["prlimit", "--nofile=1024"], &config, dir);
    let socket = PathBuf::from(agent.address().trim_start_matches("unix:"));
    agent.inject("warm", &cut(1, "10m", ""));
    agent.restore("warm");
    let before = Process::of(&agent);
    let to = move |nth: usize| To {
        socket: socket.clone(),
        port: "127.0.0.1:7433".parse().expect("an address"),
        by_tcp: nth % 4 < 2,
    };

    let netns = Netns::open(&format!("/run/netns/{}", lab.app.namespace)).expect("it is there");
    let (stop, told) = (AtomicBool::new(false), Arc::new(Told::default()));
    let faults = Arc::new(Mutex::new(BTreeMap::new()));
    let most = AtomicUsize::new(0);
    // Known beforehand: some in force already, some that start among it.
    let mut deadlines = BTreeMap::new();
    let mut starts = BTreeMap::new();
    for nth in 2_000..2_016_usize {
        let seconds = u64::try_from(nth % 16).expect("small") + 4;
        let later = nth % 2 == 0;
        let more = if later { r#","start_in":"3s""# } else { "" };
        let (answer, at) = Window::around(|| {
            agent.ask("PUT", &format!("/v1/faults/known{nth}"), Some(&cut(nth, &format!("{seconds}s"), more)))
        });
        assert_eq!(answer.0, 201, "{}", answer.1);
        let start = if later { at.plus(Duration::from_secs(3)) } else { at };
        starts.insert(nth, start);
        deadlines.insert(nth, start.plus(Duration::from_secs(seconds)));
    }
    let watched = std::thread::scope(|scope| {
        let watcher = scope.spawn(|| watch(&netns, &stop));
        let sampler = scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let resident = Process::of(&agent).resident_kib;
                most.fetch_max(usize::try_from(resident).expect("64 bits"), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(200));
            }
        });
        let storm = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            lab.app.run(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime.expect("a runtime").block_on(async {
                    let mut bad = tokio::task::JoinSet::new();
                    for nth in 0..CLIENTS / 2 {
                        bad.spawn(hostile(nth, to(nth), Arc::clone(&told)));
                    }
                    let mut good = tokio::task::JoinSet::new();
                    for nth in 0..CLIENTS / 2 {
                        good.spawn(honest(nth, to(nth), Arc::clone(&told), Arc::clone(&faults)));
                    }
                    while let Some(done) = good.join_next().await {
                        done.expect("it has its answers");
                    }
                    // Until the last of the faults is over.
                    let last = deadlines.values().map(|end: &Window| end.latest).max().unwrap_or_default();
                    sleep((last + 2 * LATE).saturating_sub(now()).max(Duration::from_secs(5))).await;
                    // All connections end here.
                    bad.shutdown().await;
                });
            });
        }));
        stop.store(true, Ordering::Relaxed);
        sampler.join().expect("the agent lives");
        let watched = watcher.join().expect("nft works");
        println!("{told:?}");
        storm.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        watched
    });

    // At once: nobody is in the way any more.
    let begun = Instant::now();
    assert_eq!(agent.ask("GET", "/v1/clock", None).0, 200);
    println!("answered {:?} after the last of them was gone", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(5));

    let mut ends = deadlines.clone();
    ends.extend(faults.lock().expect("nobody panicked").iter().map(|(nth, end)| (*nth, *end)));
    for (nth, end) in ends {
        let address = format!("198.18.{}.{}", nth / 256, nth % 256);
        let Some(last) = watched.last.get(&address) else {
            assert!(nth < 2_000, "{address} was never in the kernel");
            continue;
        };
        assert!(
            last.earliest < end.latest + LATE,
            "{address} was in the kernel at {last:?}, and over at {end:?}"
        );
        if let Some(start) = starts.get(&nth) {
            let first = watched.first[&address];
            assert!(
                first.latest > start.earliest,
                "{address} was in the kernel at {first:?}, and to start at {start:?}"
            );
            assert!(first.earliest < start.latest + STARTED_WITHIN, "{address}: at {first:?}, not {start:?}");
            let gone = watched.gone.get(&address);
            // The kernel's own clock of timeouts has ticks of 10 ms at most.
            let in_time = gone.is_none_or(|gone| gone.latest + TICK > end.earliest);
            assert!(in_time, "{address} was gone at {gone:?}, before {end:?}");
        }
    }
    let most = u64::try_from(most.load(Ordering::Relaxed)).expect("64 bits");
    println!("{} KiB before, at most {most} KiB", before.resident_kib);
    assert!(most < before.resident_kib + MORE_KIB, "{most} KiB, and {} KiB before", before.resident_kib);
    agent.until_idle(Duration::from_secs(30));
    crate::process::assert_nothing_is_kept(
        &agent,
        &before,
        before.resident_kib + KEPT_KIB,
        Duration::from_secs(60),
    );
}
