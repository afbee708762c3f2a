//! The course of a round: everything that can happen while it goes on comes in at `next`, one at a time, whatever is waited for
//! meanwhile. So a guard or Ctrl-C is never behind a step that takes long.

mod show;

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::rc::Rc;
use std::time::Duration;

use partition_agent_core::clock::BootTime;
use partition_agent_proto::FaultId;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch as signal;
use tokio::time::Instant;

use super::desk::Said;
use super::faults::{self, Begun, LEASE, News};
use super::file::{HookEvent, Round};
use super::log::Log;
use super::measure::Seen;
use super::probe::{Answer, Prober};
use super::report::model::{Check, EventKind, FaultReport, Span};
use super::stage::Stage;
use super::watch::{Tripped, Watch, millis};
use crate::team::Member;

/// How often somebody who watches sees something new.
const SHOW: Duration = Duration::from_millis(250);

/// Why a round is over before its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Abort {
    pub why: String,
    pub at_ms: u64,
    /// Nothing had been cut.
    pub not_started: bool,
}

pub struct Course<'a> {
    pub stage: &'a mut Stage,
    pub round: &'a Round,
    pub log: Rc<Log>,
    pub watch: Watch,
    pub seen: Seen,
    pub aborted: Option<Abort>,
    /// From when on what must always hold does.
    pub steady_since: Option<u64>,
    /// Guards are looked at.
    pub guarded: bool,
    pub phases: Vec<Span>,
    pub faults: Vec<FaultReport>,
    /// Of expectations and looks; targets come later.
    pub checks: Vec<Check>,
    /// What is to be done next, and when.
    pub coming: Option<(String, u64)>,
    pub stop: signal::Sender<bool>,
    /// How many faults were tried.
    pub begun: u32,
    standing: BTreeMap<FaultId, InForce>,
    asks: Option<String>,
    interrupts: u32,
    answers: UnboundedReceiver<(String, Answer)>,
    news: UnboundedReceiver<News>,
    tell: UnboundedSender<News>,
    _probers: Vec<Prober>,
}

/// A fault, and the task that keeps it.
struct InForce {
    fault: Begun,
    ends_ms: u64,
    stop: signal::Sender<bool>,
    /// It is neither renewed nor ended by anybody: its lease runs out.
    left_to_kernel: bool,
}

impl<'a> Course<'a> {
    /// # Errors
    /// A probe that cannot be asked.
    pub fn new(stage: &'a mut Stage, round: &'a Round) -> Result<Self, String> {
        let (answer, answers) = unbounded_channel();
        let mut probers = Vec::new();
        for (name, probe) in &stage.day.probes {
            let place = stage.places.of(probe.from.as_deref())?;
            let prober = Prober::start(name.clone(), probe.clone(), place, answer.clone());
            probers.push(prober.map_err(|error| format!("the probe {name}: {error}"))?);
        }
        let (tell, news) = unbounded_channel();
        let normal = [round.steady.as_slice(), &round.recovery.holds].concat();
        Ok(Self {
            log: Rc::clone(&stage.log),
            watch: Watch::new(&stage.day.probes, &normal),
            round,
            seen: Seen::default(),
            aborted: None,
            steady_since: None,
            guarded: false,
            phases: Vec::new(),
            faults: Vec::new(),
            checks: Vec::new(),
            coming: None,
            stop: signal::channel(false).0,
            begun: 0,
            standing: BTreeMap::new(),
            asks: None,
            interrupts: 0,
            answers,
            news,
            tell,
            _probers: probers,
            stage,
        })
    }

    /// Waits for whatever comes first, at the latest until this time, and takes note of it.
    pub async fn next(&mut self, until_ms: Option<u64>) {
        let now = self.log.now();
        let guard = match self.watch.tripped(&self.round.guards, now) {
            Tripped::At(at) if self.guarded => Some(at),
            Tripped::At(_) | Tripped::Now(_) | Tripped::Never => None,
        };
        let wake = [until_ms, guard, self.stable_at(), Some(self.stage.ends_ms), Some(now + millis(SHOW))];
        let wake = wake.into_iter().flatten().filter(|at| *at > now).min().unwrap_or(now);
        let sleep = tokio::time::sleep(Duration::from_millis(wake - now));
        tokio::select! {
            Some((probe, answer)) = self.answers.recv() => self.heard(&probe, &answer),
            Some(news) = self.news.recv() => self.learned(news),
            Some(said) = self.stage.desk.said.recv() => self.said(said),
            () = self.stage.interrupt.comes() => self.interrupted(),
            () = sleep => {}
        }
        self.look();
        self.show();
    }

    /// Does something, and all that can happen meanwhile.
    pub async fn during<T>(&mut self, doing: impl Future<Output = T>) -> T {
        let mut doing = pin!(doing);
        loop {
            tokio::select! {
                done = &mut doing => return done,
                () = self.next(None) => {}
            }
        }
    }

    /// The same for what nobody waits for when the run is aborted: nothing, then.
    pub async fn unless_aborted<T>(&mut self, doing: impl Future<Output = T>) -> Option<T> {
        let mut stop = self.stop.subscribe();
        let doing = async move {
            let mut doing = pin!(doing);
            tokio::select! {
                done = &mut doing => Some(done),
                _ = stop.wait_for(|stop| *stop) => None,
            }
        };
        self.during(doing).await
    }

    /// Asks somebody, and waits. Nobody is asked who has said yes to everything.
    pub async fn ask(&mut self, step: &str, question: &str) {
        self.log.event(EventKind::Step, Some(step), question);
        if self.stage.yes {
            self.log.event(EventKind::Confirmed, Some(step), "--yes");
            return;
        }
        self.asks = Some(question.to_owned());
        while self.asks.is_some() && self.aborted.is_none() {
            self.next(None).await;
        }
        self.asks = None;
    }

    /// From now on it is this phase.
    pub fn phase(&mut self, what: &str) {
        let now = self.log.now();
        if let Some(last) = self.phases.last_mut() {
            if last.what == what {
                return;
            }
            last.to_ms = now;
        }
        let phase = Span { what: what.to_owned(), from_ms: now, to_ms: now, detail: String::new() };
        self.phases.push(phase);
        self.stage.markers.phase(what);
        self.log.event(EventKind::Phase, None, what);
    }

    pub fn abort(&mut self, why: String) {
        if self.aborted.is_some() {
            return;
        }
        let now = self.log.now();
        let not_started = self.seen.first_fault.is_none();
        self.aborted = Some(Abort { why: why.clone(), at_ms: now, not_started });
        self.seen.aborted = Some(now);
        self.guarded = false;
        // Whatever is being started is taken back, and whatever stands is ended, neither behind the other.
        self.stop.send_replace(true);
        let ids = self.standing.keys().cloned().collect::<Vec<_>>();
        let members = self.let_go(&ids);
        tokio::task::spawn_local(async move { faults::end(&members, ids).await });
        self.stage.hooks.tell(HookEvent::Aborted, &why);
    }

    /// A fault that has started.
    pub fn stands(&mut self, step: &str, words: &str, duration: Duration, fault: Begun) {
        let from_ms = self.log.at(fault.since);
        let hosts = fault.members.iter().map(|member| member.name.clone()).collect::<Vec<_>>();
        let count = hosts.len();
        let on = if count > 4 { format!("{count} hosts") } else { hosts.join(", ") };
        self.log.event_at(from_ms, EventKind::Fault, Some(step), format!("{words}, on {on}"));
        for missing in &fault.missing {
            self.log.warn(format!("{step}: not on {missing}"));
        }
        self.seen.first_fault.get_or_insert(from_ms);
        (self.seen.healed, self.seen.recovered) = (None, None);
        self.faults.push(FaultReport {
            id: fault.id.to_string(),
            step: step.to_owned(),
            words: words.to_owned(),
            from_ms,
            to_ms: None,
            spread_ms: fault.spread_ms,
            hosts: BTreeMap::new(),
        });
        let (stop, stopped) = signal::channel(false);
        tokio::task::spawn_local(faults::keep(fault.clone(), stopped, self.tell.clone()));
        let ends_ms = from_ms.saturating_add(millis(duration));
        let in_force = InForce { fault, ends_ms, stop, left_to_kernel: false };
        self.standing.insert(in_force.fault.id.clone(), in_force);
        if let Some(aborted) = &mut self.aborted {
            aborted.not_started = false;
        }
        self.phase("faults");
        self.stage.hooks.tell(HookEvent::Fault, &format!("{step}: {words}, on {on}"));
    }

    /// A fault that did not come to stand, and was felt all the same, or may be where nobody could be told to take it back.
    pub fn lingers(&mut self, step: &str, words: &str, id: FaultId, untold: Vec<Member>) {
        let hosts = untold.iter().map(|member| member.name.clone()).collect::<Vec<_>>().join(", ");
        let is_anywhere = !untold.is_empty();
        let fault = Begun {
            id: id.clone(),
            members: untold,
            since: BootTime::now(),
            spread_ms: None,
            missing: Vec::new(),
        };
        self.stands(step, words, Duration::ZERO, fault);
        if is_anywhere {
            self.log.warn(format!("{step}: {hosts} could not be told: it may be in force there for {LEASE}"));
            let ends = BTreeMap::from([(hosts, "its lease was not renewed".to_owned())]);
            self.leave_to_kernel(id, ends, Instant::now() + LEASE.duration());
        } else {
            self.over(&id, Some("taken back"));
        }
    }

    /// Renews these no more. The hosts that have them.
    fn let_go(&self, ids: &[FaultId]) -> Vec<Member> {
        let mut members = BTreeMap::<&str, &Member>::new();
        for in_force in ids.iter().filter_map(|id| self.standing.get(id)) {
            in_force.stop.send_replace(true);
            members.extend(in_force.fault.members.iter().map(|member| (member.name.as_str(), member)));
        }
        members.into_values().cloned().collect()
    }

    fn leave_to_kernel(&mut self, id: FaultId, ends: BTreeMap<String, String>, over_by: Instant) {
        if let Some(in_force) = self.standing.get_mut(&id) {
            in_force.stop.send_replace(true);
            in_force.left_to_kernel = true;
            in_force.ends_ms = self.log.now() + millis(over_by.saturating_duration_since(Instant::now()));
        }
        let tell = self.tell.clone();
        tokio::task::spawn_local(async move {
            tokio::time::sleep_until(over_by).await;
            // Nobody listens any more when the run is over.
            let _ = tell.send(News::Over { id, lost: false, ends });
        });
    }

    /// Ends the faults of these steps, or all of them. Whoever cannot be told is healed by its own kernel, when the lease is over.
    pub async fn end(&mut self, steps: &[String]) {
        let of = |id: &FaultId| self.faults.iter().find(|fault| fault.id == id.as_str());
        let meant =
            |id: &&FaultId| steps.is_empty() || of(id).is_some_and(|fault| steps.contains(&fault.step));
        let own = self.standing.iter().filter(|(_, in_force)| !in_force.left_to_kernel);
        let ids = own.map(|(id, _)| id).filter(meant).cloned().collect::<Vec<_>>();
        let members = self.let_go(&ids);
        let over_by = Instant::now() + LEASE.duration();
        let asked = ids.clone();
        let ending = async { faults::end(&members, asked).await };
        let failed = match self.aborted {
            Some(_) => Some(self.during(ending).await),
            // Then everything is ended, these among the rest.
            None => self.unless_aborted(ending).await,
        };
        let Some(failed) = failed else { return };
        for (host, why) in &failed {
            self.log.warn(format!("{host}: not told, its kernel ends the fault within {LEASE} ({why})"));
        }
        for id in ids {
            let Some(in_force) = self.standing.get(&id) else { continue };
            let left = in_force.fault.members.iter().filter(|member| failed.contains_key(&member.name));
            let ends = left.map(|member| (member.name.clone(), "its lease was not renewed".to_owned()));
            let ends = ends.collect::<BTreeMap<_, _>>();
            if ends.is_empty() {
                self.over(&id, None);
                continue;
            }
            self.leave_to_kernel(id, ends, over_by);
        }
    }

    pub fn anything_stands(&self) -> bool {
        !self.standing.is_empty()
    }

    /// Whether somebody pressed Ctrl-C, so many times.
    pub fn interrupts(&self) -> u32 {
        self.interrupts
    }

    /// A fault is over on every host.
    fn over(&mut self, id: &FaultId, how: Option<&str>) {
        let Some(InForce { stop, ends_ms, .. }) = self.standing.remove(id) else { return };
        stop.send_replace(true);
        // One that ran to its deadline was noticed a little later than it ended.
        let to_ms = self.log.now().min(ends_ms);
        if let Some(fault) = self.faults.iter_mut().find(|fault| fault.id == id.as_str()) {
            fault.to_ms = Some(to_ms);
            let how = how.unwrap_or("restored");
            self.log.event_at(to_ms, EventKind::Restored, Some(&fault.step), how);
        }
        if self.standing.is_empty() {
            self.seen.healed = self.faults.iter().filter_map(|fault| fault.to_ms).max();
            self.stage.hooks.tell(HookEvent::Healed, "no fault is in force any more");
            self.phase("recovery");
        }
    }

    fn heard(&mut self, probe: &str, answer: &Answer) {
        let at_ms = self.log.moment(answer.asked + answer.took);
        let turned = self.watch.note(probe, self.log.moment(answer.asked), at_ms, &answer.holds);
        if turned.is_some() {
            self.log.event_at(at_ms, EventKind::Probe, None, self.watch.says(probe));
        }
    }

    fn learned(&mut self, news: News) {
        match news {
            News::Warning(what) => self.log.warn(what),
            News::Over { id, lost, ends } => {
                let hows = ends.values().map(String::as_str).collect::<BTreeSet<_>>();
                let how = hows.into_iter().collect::<Vec<_>>().join("; ");
                if lost {
                    let hosts = ends.iter().map(|(host, end)| format!("{host}: {end}"));
                    let what = format!("{id} lasts as long as it should");
                    let measured = hosts.collect::<Vec<_>>().join("; ");
                    self.checks.push(Check::expected(what, measured, false));
                }
                self.over(&id, Some(&how));
            }
        }
    }

    fn said(&mut self, said: Said) {
        match said {
            Said::Note { by, text } => self.log.note(by, text),
            Said::Yes { by } => {
                if let Some(question) = self.asks.take() {
                    self.log.event(EventKind::Confirmed, None, format!("{by}: yes ({question})"));
                }
            }
            Said::No { by } => {
                let asked = self.asks.take();
                let to = asked.map(|question| format!(" to `{question}`")).unwrap_or_default();
                self.log.event(EventKind::Interrupted, None, format!("{by} said no{to}"));
                self.abort(format!("{by} said no{to}"));
            }
        }
    }

    fn interrupted(&mut self) {
        self.interrupts += 1;
        self.log.event(EventKind::Interrupted, None, "interrupted");
        self.abort("it was interrupted".to_owned());
    }

    /// What follows from where everything stands.
    fn look(&mut self) {
        let now = self.log.now();
        if let Some(first) = self.seen.first_fault {
            let since = |condition: &Option<super::file::Condition>| {
                self.watch.since(condition.as_ref()?).filter(|since| *since >= first)
            };
            if self.seen.detected.is_none()
                && let Some(at) = since(&self.round.detected)
            {
                self.seen.detected = Some(at);
                let text = format!("{} after the first fault", super::report::words::duration(at - first));
                self.log.event_at(at, EventKind::Detected, None, text);
            }
            if self.seen.alerted.is_none()
                && let Some(at) = since(&self.round.alerted)
            {
                self.seen.alerted = Some(at);
                let text = format!("{} after the first fault", super::report::words::duration(at - first));
                self.log.event_at(at, EventKind::Alerted, None, text);
            }
        }
        if self.guarded
            && self.aborted.is_none()
            && let Tripped::Now(guard) = self.watch.tripped(&self.round.guards, now)
        {
            let says = self.watch.says(&guard.when.probe);
            let why = format!("guard `{}`: {}; {says}", guard.when, guard.because);
            self.log.event(EventKind::Guard, None, &why);
            self.abort(why);
        }
        let overdue = |in_force: &InForce| now > in_force.ends_ms + millis(LEASE.duration());
        let overdue = self.standing.iter().find(|(_, in_force)| overdue(in_force)).map(|(id, _)| id.clone());
        if let Some(id) = overdue {
            // Its kernel has ended it, and its agent does not say so.
            let ends = BTreeMap::from([("some host".to_owned(), "nobody says that it is over".to_owned())]);
            self.learned(News::Over { id, lost: true, ends });
        }
        if self.aborted.is_none() && now >= self.stage.ends_ms {
            self.abort("it took longer than `longest` allows".to_owned());
        }
        if self.seen.recovered.is_none()
            && self.stable_at().is_some_and(|at| at <= now)
            && let Some(since) = self.recovered_since()
        {
            self.seen.recovered = Some(since);
            self.log.event_at(since, EventKind::Recovered, None, "everything that has to hold does");
            self.stage.hooks.tell(HookEvent::Recovered, "recovered");
            self.phase("after");
        }
    }

    /// When it will have recovered, if nothing changes.
    fn stable_at(&self) -> Option<u64> {
        let healed = self.seen.healed.filter(|_| self.seen.recovered.is_none())?;
        let since = self.recovered_since()?;
        Some(since.max(healed) + millis(self.round.recovery.stable))
    }

    /// Since when everything that has to hold does; where nothing has to, since it was healed.
    fn recovered_since(&self) -> Option<u64> {
        let holds = &self.round.recovery.holds;
        let healed = self.seen.healed?;
        // What was asked before says nothing of it.
        let is_fresh = self.watch.all_asked_since(holds, healed);
        if holds.is_empty() { Some(healed) } else { self.watch.all_since(holds).filter(|_| is_fresh) }
    }
}
