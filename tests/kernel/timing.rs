//! When a fault is felt: seen by datagrams that are sent all the time.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use harness::agent::Agent;
use harness::lab::{Lab, REDIS, address};
use harness::stream::{Pace, Stream, stream};
use harness::traffic::{echo_udp, median, round_trips};
use harness::{engines, rounds};
use nix::sys::signal::Signal;
use partition_agent_proto::State;

use crate::SLACK;

const MS: Duration = Duration::from_millis(1);

/// A switch is not early but for a tick of the kernel's clock, 10 ms at most, and late by what a busy or emulated machine
/// adds: less than a phase, so that no switch is taken for the next.
const TICK: Duration = Duration::from_millis(10);
const LATE: f64 = 0.8;

/// What these tests count time in. An emulated machine takes half a second to inject.
fn phases(count: f64) -> Duration {
    Duration::from_secs_f64(if rounds(2) == 1 { 3.0 } else { 1.5 } * count)
}

/// One phase on and one off.
fn flap() -> String {
    let phase = phases(1.0).as_millis();
    format!(r#""flap":{{"on":"{phase}ms","off":"{phase}ms"}},"for":"10m""#)
}

/// A cut by nftables, and one by each engine: a correlation makes a loss the engine's. Each has a port of its own, so that
/// all are watched at once.
struct Watch {
    lab: Lab,
    ways: Vec<(String, &'static str, u16)>,
}

/// When the fault of a way was asked for and when that was answered: it came in between.
#[derive(Clone, Copy)]
struct Asked {
    at: Instant,
    answered: Instant,
}

impl Watch {
    fn new(kind: &str) -> Self {
        let lab = Lab::new();
        let plain = kind.starts_with(r#"{"loss""#);
        let mut ways = engines(&lab).into_iter().map(|engine| (kind.to_owned(), engine)).collect::<Vec<_>>();
        if plain {
            for (kind, _) in &mut ways {
                *kind = kind.replace("}}", r#","correlation":1}}"#);
            }
            ways.insert(0, (kind.to_owned(), "auto"));
        }
        let ways = ways.into_iter().zip(9000..).map(|((kind, engine), port)| (kind, engine, port)).collect();
        Self { lab, ways }
    }

    /// Injects every way's fault, with this about its time, does something else, and meanwhile watches for so long.
    fn watch(
        &self,
        agent: &Agent,
        time: &str,
        long: Duration,
        meanwhile: impl FnOnce(),
    ) -> Vec<(Asked, Stream)> {
        let apart = phases(1.0) / 300;
        let count = usize::try_from(long.as_millis() / apart.as_millis()).expect("a count");
        let pace = Pace { count, length: 16, bunch: 1, pause: apart, quiet: 400 * MS };
        let Lab { app, redis, .. } = &self.lab;
        std::thread::scope(|scope| {
            let streams = self.ways.iter().map(|(_, _, port)| {
                let at = SocketAddr::new(address(REDIS), *port);
                scope.spawn(move || stream(app, redis, at, pace))
            });
            let streams = streams.collect::<Vec<_>>();
            std::thread::sleep(200 * MS);
            let asked = self.inject(agent, time);
            meanwhile();
            let streams = streams.into_iter().map(|stream| stream.join().expect("a stream ends"));
            asked.into_iter().zip(streams).collect()
        })
    }

    fn inject(&self, agent: &Agent, time: &str) -> Vec<Asked> {
        let one = |(kind, engine, port): &(String, &str, u16)| {
            let at = Instant::now();
            let target = format!(r#""target":{{"peers":["{REDIS}:{port}"]}},"direction":"egress""#);
            agent.inject(engine, &format!(r#"{{"kinds":[{kind}],{target},"engine":"{engine}",{time}}}"#));
            Asked { at, answered: Instant::now() }
        };
        self.ways.iter().map(one).collect()
    }
}

/// From when until when datagrams were lost. A cut that lasts until the end of the stream ends with it.
fn cuts(stream: &Stream) -> Vec<(Instant, Instant)> {
    let mut cuts = Vec::<(Instant, Instant)>::new();
    let mut was_lost = false;
    for (sent, arrived) in stream.sent.iter().zip(stream.fates()) {
        match (arrived, was_lost) {
            (false, false) => cuts.push((*sent, *sent)),
            (_, true) => cuts.last_mut().expect("one that has begun").1 = *sent,
            (true, false) => {}
        }
        was_lost = !arrived;
    }
    cuts
}

/// Fails unless the cuts are at these times, in phases since the fault was asked for. What begins later than so many phases
/// after the last of them is not looked at: a slow machine watches for longer than it was told to.
fn assert_cuts(way: &str, asked: Asked, stream: &Stream, wanted: &[(f64, f64)], more: f64) {
    let mut seen = cuts(stream);
    let last = wanted.last().map_or(0.0, |(_, to)| *to);
    let watched = *stream.sent.last().expect("a stream of some");
    assert!(watched >= asked.at + phases(last), "{way}: watched too short");
    seen.retain(|(from, _)| *from < asked.at + phases(last + more));
    let since =
        |at: Instant| at.saturating_duration_since(asked.at).as_secs_f64() / phases(1.0).as_secs_f64();
    let times = seen.iter().map(|(from, to)| (since(*from), since(*to))).collect::<Vec<_>>();
    println!("{way}: cut {times:.2?}, wanted {wanted:?} phases");
    assert_eq!(seen.len(), wanted.len(), "{way}: {times:.2?}, wanted {wanted:?}");
    let is = |seen: Instant, wanted: f64| {
        seen + TICK >= asked.at + phases(wanted) && seen <= asked.answered + phases(wanted + LATE)
    };
    for ((from, to), (wanted_from, wanted_to)) in seen.into_iter().zip(wanted) {
        assert!(is(from, *wanted_from) && is(to, *wanted_to), "{way}: {times:.2?}, wanted {wanted:?}");
    }
}

const CUT: &str = r#"{"loss":{"percent":100}}"#;

/// Nothing more at all, or nothing more within a pause of the flap.
const EVER: f64 = 1_000.0;
const PAUSE: f64 = 0.9;

#[test]
fn a_fault_starts_when_it_was_told_to_and_ends_by_its_deadline() {
    let watch = Watch::new(CUT);
    let agent = Agent::start(&watch.lab.app, "");
    let states = || agent.faults().into_iter().map(|fault| fault.state).collect::<Vec<_>>();
    let phase = phases(1.0).as_millis();
    let time = format!(r#""start_in":"{phase}ms","for":"{phase}ms""#);
    let seen = watch.watch(&agent, &time, phases(3.5), || {
        assert!(states().contains(&State::Waiting), "{:?}", states());
    });
    for ((asked, stream), (_, way, _)) in seen.iter().zip(&watch.ways) {
        assert_cuts(way, *asked, stream, &[(1.0, 2.0)], EVER);
    }
    agent.until_idle(SLACK);
    assert!(agent.history().iter().all(|fault| fault.end.to_string() == "deadline"), "{:?}", agent.history());
}

#[test]
fn a_flap_goes_off_and_on_again() {
    let watch = Watch::new(CUT);
    let agent = Agent::start(&watch.lab.app, "");
    let seen = watch.watch(&agent, &flap(), phases(5.6), || ());
    for ((asked, stream), (_, way, _)) in seen.iter().zip(&watch.ways) {
        assert_cuts(way, *asked, stream, &[(0.0, 1.0), (2.0, 3.0), (4.0, 5.0)], PAUSE);
    }
}

#[test]
fn a_flap_whose_agent_hangs_goes_off_and_stays_off() {
    // While it is on, and in its pause; let go again before the next time but one.
    for stopped_after in [0.3, 1.4] {
        let watch = Watch::new(CUT);
        let agent = Agent::start(&watch.lab.app, "");
        let seen = watch.watch(&agent, &flap(), phases(5.6), || {
            std::thread::sleep(phases(stopped_after));
            agent.signal(Signal::SIGSTOP);
            std::thread::sleep(phases(3.4 - stopped_after));
            agent.signal(Signal::SIGCONT);
        });
        for ((asked, stream), (_, way, _)) in seen.iter().zip(&watch.ways) {
            let way = format!("stopped after {stopped_after} phases, {way}");
            assert_cuts(&way, *asked, stream, &[(0.0, 1.0), (4.0, 5.0)], PAUSE);
        }
    }
}

#[test]
fn the_end_of_a_flapping_fault_can_be_moved_in_each_phase() {
    // Asked while it is on: it ends in the pause. In the pause: after one more.
    for (after, more, wanted) in [(0.3, 1.0, vec![(0.0, 1.0)]), (1.3, 2.0, vec![(0.0, 1.0), (2.0, 3.0)])] {
        let watch = Watch::new(CUT);
        let agent = Agent::start(&watch.lab.app, "");
        let seen = watch.watch(&agent, &flap(), phases(5.3), || {
            std::thread::sleep(phases(after));
            for (_, way, _) in &watch.ways {
                let change = format!(r#"{{"for":"{}ms"}}"#, phases(more).as_millis());
                let (status, body) = agent.ask("PATCH", &format!("/v1/faults/{way}"), Some(&change));
                assert_eq!(status, 200, "{body}");
            }
        });
        for ((asked, stream), (_, way, _)) in seen.iter().zip(&watch.ways) {
            assert_cuts(&format!("changed after {after} phases, {way}"), *asked, stream, &wanted, EVER);
        }
        agent.until_idle(SLACK);
        assert!(agent.history().iter().all(|fault| fault.end.to_string() == "deadline"));
    }
}

/// The share of those that were sent between the two, since the fault was asked for, that are lost.
#[allow(clippy::cast_precision_loss)]
fn lost(asked: Asked, stream: &Stream, from: Duration, to: Duration) -> f64 {
    let between = |at: &Instant| *at >= asked.answered + from && *at < asked.at + to;
    let fates = stream.sent.iter().zip(stream.fates()).filter(|(at, _)| between(at));
    let fates = fates.map(|(_, arrived)| arrived).collect::<Vec<_>>();
    assert!(fates.len() > 20, "{} datagrams are too few", fates.len());
    fates.iter().filter(|arrived| !**arrived).count() as f64 / fates.len() as f64
}

/// Three phases long.
fn ramp() -> String {
    format!(r#""ramp":{{"over":"{}ms"}},"for":"10m""#, phases(3.0).as_millis())
}

/// From nothing to everything in three phases. Of the first half of a phase 8% are lost in the mean: of 70 datagrams or more,
/// five standard deviations end at 25%; a late step only lowers that. Of the second phase half are.
#[test]
fn a_loss_grows_to_what_was_asked_for() {
    let watch = Watch::new(CUT);
    let agent = Agent::start(&watch.lab.app, "");
    let seen = watch.watch(&agent, &ramp(), phases(5.0), || ());
    for ((asked, stream), (_, way, _)) in seen.iter().zip(&watch.ways) {
        let lost = |from, to| lost(*asked, stream, phases(from), phases(to));
        let [early, middle, late] = [lost(0.0, 0.5), lost(1.0, 2.0), lost(3.8, 4.6)];
        println!("{way}: lost {early:.3} early, {middle:.3} in the middle, {late:.3} in the end");
        assert!(early < 0.25, "{way}: {early} lost early");
        assert!(middle > early && middle < 0.8, "{way}: {middle} lost in the middle");
        assert!((late - 1.0).abs() < f64::EPSILON, "{way}: {late} lost in the end");
    }
}

#[test]
fn a_latency_grows_to_what_was_asked_for_and_loses_and_overtakes_nobody() {
    let watch = Watch::new(r#"{"delay":{"latency":"400ms"}}"#);
    let agent = Agent::start(&watch.lab.app, "");
    let seen = watch.watch(&agent, &ramp(), phases(5.0), || ());
    for ((asked, stream), (_, way, _)) in seen.iter().zip(&watch.ways) {
        let middle_of = |from, to| {
            let between = |at: Instant| at >= asked.answered + phases(from) && at < asked.at + phases(to);
            let arrived = stream.arrived.iter().filter(|arrival| between(stream.sent[arrival.number]));
            median(&arrived.map(|arrival| arrival.took).collect::<Vec<_>>())
        };
        let [early, middle, late] = [middle_of(0.0, 0.5), middle_of(1.0, 2.0), middle_of(3.8, 4.6)];
        println!("{way}: {early:?} early, {middle:?} in the middle, {late:?} in the end");
        // 33 ms, 200 ms and 400 ms: 100 ms for the machine, and a late step makes it less.
        assert!(early < 133 * MS, "{way}: {early:?} early");
        assert!(middle > early && middle < 300 * MS, "{way}: {middle:?} in the middle");
        assert!((400 * MS..500 * MS).contains(&late), "{way}: {late:?} in the end");
        assert_eq!(stream.fates().iter().filter(|arrived| !**arrived).count(), 0, "{way}: lost");
        assert!(stream.arrived.is_sorted_by_key(|arrival| arrival.number), "{way}: overtaken");
    }
}

#[test]
fn the_death_of_the_agent_heals_in_every_phase() {
    let watch = Watch::new(CUT);
    let ports =
        watch.ways.iter().map(|(_, _, port)| SocketAddr::new(address(REDIS), *port)).collect::<Vec<_>>();
    ports.iter().for_each(|at| echo_udp(&watch.lab.redis, *at));
    let (flap, ramp) = (flap(), ramp());
    let cases = [
        ("waiting", r#""start_in":"1m","for":"10m""#, 0.1),
        ("on", r#""for":"10m""#, 0.1),
        ("on, flapping", &flap, 0.3),
        ("in a pause", &flap, 1.4),
        ("growing", &ramp, 1.5),
    ];
    for (phase, time, after) in cases {
        let agent = Agent::start(&watch.lab.app, "");
        watch.inject(&agent, time);
        std::thread::sleep(phases(after));
        let dir = agent.kill_9();
        let killed = Instant::now();
        for at in &ports {
            // Each waits for its answer, so a second cannot pass unnoticed.
            let trips = round_trips(&watch.lab.app, *at, 1, MS);
            assert_eq!(trips.len(), 1, "{phase}: {at} is silent");
        }
        let took = killed.elapsed();
        println!("killed while {phase}: healed in {took:?}");
        assert!(took < Duration::from_secs(1), "{phase}: {took:?}");
        assert_eq!(watch.lab.app.sh("nft list tables"), "", "{phase}");
        let agent = Agent::start_in(&watch.lab.app, "", dir);
        assert!(agent.faults().is_empty(), "{phase}");
        let left = watch.lab.app.sh("ip -o link show | cut -d: -f2 | grep -c pa- || true");
        assert_eq!(left.trim(), "0", "{phase}: links are left");
    }
}
