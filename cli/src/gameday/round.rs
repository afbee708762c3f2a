//! One pass through steady state, timeline and recovery.

use std::rc::Rc;
use std::time::Duration;

use partition_agent_proto::FaultId;

use super::course::{Abort, Course};
use super::faults::{self, NotBegun};
use super::file::{Action, Look, Round, Step};
use super::markers::Markers;
use super::matrix;
use super::measure::{checks, outcome, unmet};
use super::report::model::{Check, EventKind, MatrixReport, Outcome, RoundReport};
use super::report::words::duration as span;
use super::stage::Stage;
use super::watch::millis;

/// A round, and why it did not pass.
pub struct Gone {
    pub report: RoundReport,
    pub why: Vec<String>,
}

/// # Errors
/// A probe that cannot be asked.
pub async fn run(stage: &mut Stage, round: &Round) -> Result<Gone, String> {
    let (places, day) = (&stage.places, &stage.day);
    stage.markers = Markers::begin(&day.markers, |from| places.of(from), &stage.run, &day.directory())?;
    let mut course = Course::new(stage, round)?;
    let mut matrices = Vec::new();
    course.phase("steady");
    steady(&mut course).await;
    if course.aborted.is_none() {
        course.guarded = true;
        course.steady_since = Some(course.log.now());
        course.watch.is_steady(&[round.steady.as_slice(), &round.recovery.holds].concat());
        usually_look(&mut course, Look::Before, &mut matrices).await;
        timeline(&mut course, &mut matrices).await;
    }
    while course.anything_stands() {
        // What could not be ended is left to its kernel, and waited for.
        if course.aborted.is_some() {
            course.end(&[]).await;
        }
        if course.anything_stands() {
            course.next(None).await;
        }
    }
    course.guarded = false;
    recover(&mut course).await;
    if course.aborted.is_none() {
        usually_look(&mut course, Look::After, &mut matrices).await;
    }
    Ok(finish(course, matrices).await)
}

/// Waits until everything is as it should be before anything is cut.
async fn steady(course: &mut Course<'_>) {
    let until = course.log.now() + millis(course.round.steady_within);
    while course.aborted.is_none() && course.watch.all_since(&course.round.steady).is_none() {
        if course.log.now() >= until {
            let wrong = course.watch.wrong(&course.round.steady).join("; ");
            return course.abort(format!("no steady state, so nothing was cut: {wrong}"));
        }
        course.next(Some(until)).await;
    }
}

async fn timeline(course: &mut Course<'_>, matrices: &mut Vec<MatrixReport>) {
    let round = course.round;
    let first = round.steps.first().map_or(0, |step| step.at_ms.min(0));
    // The moment T. It moves on by as long as somebody had to be waited for.
    let mut zero = course.log.now() + first.unsigned_abs();
    for step in &round.steps {
        let at = zero.saturating_add_signed(step.at_ms);
        course.coming = Some((step.name.clone(), at));
        while course.log.now() < at && course.aborted.is_none() {
            course.next(Some(at)).await;
        }
        if course.aborted.is_some() {
            return;
        }
        let begun = course.log.now();
        perform(course, step, matrices).await;
        if let Some(Action::Confirm(_)) = step.action {
            zero += course.log.now() - begun;
        }
        if course.aborted.is_none() {
            expect(course, step);
        }
    }
    course.coming = None;
}

async fn perform(course: &mut Course<'_>, step: &Step, matrices: &mut Vec<MatrixReport>) {
    let Some(action) = &step.action else { return };
    let name = step.name.as_str();
    match action {
        Action::Inject { words, .. } | Action::Partition { words, .. } => {
            cut(course, step, words, matrices).await
        }
        Action::Restore(steps) => {
            let what = if steps.is_empty() { "all".to_owned() } else { steps.join(", ") };
            course.log.event(EventKind::Step, Some(name), format!("restore {what}"));
            course.end(steps).await;
        }
        Action::Run { command, timeout } => execute(course, name, command, *timeout).await,
        Action::Confirm(question) => course.ask(name, question).await,
        Action::Observe(question) => {
            let scenario = course.round.scenario.as_deref();
            let numbered = course.stage.questions.numbered(scenario, name);
            let text = numbered.unwrap_or_else(|| question.clone());
            course.log.event(EventKind::Observation, Some(name), text);
        }
        Action::Matrix(when) => look(course, *when, matrices).await,
    }
}

/// Puts a fault into force.
async fn cut(course: &mut Course<'_>, step: &Step, words: &str, matrices: &mut Vec<MatrixReport>) {
    let refused = |why: String| format!("{} was refused: {why}", step.name);
    let team = Rc::clone(&course.stage.team);
    let command = match step.action.as_ref().and_then(|action| action.command(team.chosen())) {
        Some(Ok(command)) => command,
        Some(Err(why)) => return course.abort(refused(why)),
        None => return,
    };
    let is_first = course.seen.first_fault.is_none();
    let wrong = course.watch.wrong(&course.round.steady);
    if is_first && !wrong.is_empty() {
        return course.abort(format!("no steady state, so nothing was cut: {}", wrong.join("; ")));
    }
    let duration = command.specs.values().map(|spec| spec.duration.duration()).max().unwrap_or_default();
    course.begun += 1;
    let id = fault_id(course.round.scenario.as_deref(), &step.name, &course.stage.run, course.begun);
    let stop = course.stop.subscribe();
    match course.during(faults::begin(&team, id.clone(), command, stop)).await {
        Ok(fault) => course.stands(&step.name, words, duration, fault),
        Err(NotBegun { why, felt, untold }) => {
            if felt || !untold.is_empty() {
                course.lingers(&step.name, words, id, untold);
            }
            // Of a run that is aborted, that has been told why.
            return match course.aborted {
                Some(_) => course.log.warn(format!("{}: {why}", step.name)),
                None => course.abort(refused(why)),
            };
        }
    }
    if is_first && course.aborted.is_none() {
        usually_look(course, Look::During, matrices).await;
    }
}

/// `backend-database-cut-1f2e3d4c-1`, of at most 64 characters that an id may have. By the number no two of a round are alike.
fn fault_id(scenario: Option<&str>, step: &str, run: &str, number: u32) -> FaultId {
    let name = scenario.map(|scenario| format!("{scenario}-{step}")).unwrap_or_else(|| step.to_owned());
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let name = name.chars().map(plain).take(40).collect::<String>();
    let name = name.trim_matches('-');
    let id = format!("{}-{run}-{number}", if name.is_empty() { "fault" } else { name });
    id.parse().unwrap_or_else(|_| FaultId::partition(fastrand::u64(..)))
}

async fn execute(course: &mut Course<'_>, step: &str, line: &str, timeout: Duration) {
    course.log.event(EventKind::Command, Some(step), line);
    let command = course.stage.command(line, step, timeout);
    let Some(done) = course.unless_aborted(command.run()).await else { return };
    let (met, told) = match done {
        Ok(done) if done.succeeded() => (true, done.stdout.text()),
        Ok(done) => (false, done.why()),
        Err(why) => (false, why),
    };
    let told = told.trim().to_owned();
    course.log.event(EventKind::Command, Some(step), if told.is_empty() { "done" } else { told.as_str() });
    course.checks.push(Check::expected(format!("step {step}: {line}"), told, met));
}

fn expect(course: &mut Course<'_>, step: &Step) {
    for condition in &step.expect {
        let met = course.watch.since(condition).is_some();
        let says = course.watch.says(&condition.probe);
        let text = format!("{condition}: {}", if met { "as expected" } else { says.as_str() });
        course.log.event(EventKind::Expectation, Some(&step.name), text);
        let what = format!("step {}: {condition}", step.name);
        course.checks.push(Check::expected(what, says, met));
    }
}

/// A look that nobody has to ask for, unless the timeline has one of its own.
async fn usually_look(course: &mut Course<'_>, when: Look, matrices: &mut Vec<MatrixReport>) {
    let is_own = |step: &Step| matches!(&step.action, Some(Action::Matrix(own)) if *own == when);
    if !course.round.steps.iter().any(is_own) {
        look(course, when, matrices).await;
    }
}

/// Who reaches whom, where there is more than one to ask.
async fn look(course: &mut Course<'_>, when: Look, matrices: &mut Vec<MatrixReport>) {
    let team = Rc::clone(&course.stage.team);
    if team.members.len() < 2 {
        return;
    }
    let at_ms = course.log.now();
    let Some(looked) = course.unless_aborted(matrix::look(&team, when, at_ms)).await else { return };
    match looked {
        Ok((report, check)) => {
            course.checks.push(check);
            matrices.push(report);
        }
        Err(why) => course.log.warn(format!("who reaches whom is not known: {why}")),
    }
}

/// Waits until everything holds again, at the latest until its time is up.
async fn recover(course: &mut Course<'_>) {
    let Some(healed) = course.seen.healed else { return };
    let (by_hand, was_aborted) = (course.interrupts(), course.aborted.is_some());
    let until = healed + millis(course.round.recovery.within) + millis(course.round.recovery.stable);
    while course.seen.recovered.is_none() && course.log.now() < until {
        // Who has pressed Ctrl-C wants to go, and so does who ends the run now.
        if by_hand > 0 || course.interrupts() > by_hand || (!was_aborted && course.aborted.is_some()) {
            return;
        }
        course.next(Some(until)).await;
    }
}

async fn finish(mut course: Course<'_>, matrices: Vec<MatrixReport>) -> Gone {
    let day = Rc::clone(&course.stage.day);
    let mut markers = std::mem::take(&mut course.stage.markers);
    course.during(markers.stop()).await;
    let settle = Duration::from_millis(markers.settle_ms());
    course.unless_aborted(tokio::time::sleep(settle)).await;
    let log = Rc::clone(&course.log);
    let (markers, rpo_ms) = course.during(markers.read_back(log)).await;
    let members = course.stage.team.members.clone();
    let hosts = course.during(async { faults::look_back(&members).await }).await;
    for fault in &mut course.faults {
        for (host, faults) in &hosts {
            let Some((_, over)) = faults.iter().find(|(id, _)| id.as_str() == fault.id) else { continue };
            fault.hosts.insert(host.clone(), over.told.clone());
            let what = format!("{} lasts as long as it should", fault.id);
            if !over.as_meant && course.checks.iter().all(|check| check.what != what) {
                let end = over.told.end.clone().unwrap_or_default();
                course.checks.push(Check::expected(what, format!("{host}: {end}"), false));
            }
        }
    }
    let measures = course.seen.measures(rpo_ms);
    let not_started = course.aborted.as_ref().is_some_and(|abort| abort.not_started);
    // Of what was never tried nothing was promised.
    let mut all =
        if not_started { Vec::new() } else { checks(course.round, &day.targets, &measures, &markers) };
    all.append(&mut course.checks);
    if let Some(from) = course.steady_since {
        for condition in &course.round.always {
            let (breaks, lasted) = course.watch.breaks(condition, from);
            let measured = match breaks {
                0 => "always".to_owned(),
                1 => format!("not for {}", span(lasted)),
                more => format!("{more} times not, for {} in all", span(lasted)),
            };
            all.push(Check::expected(format!("always {condition}"), measured, breaks == 0));
        }
    }
    if course.seen.recovered.is_some() {
        let wrong = course.watch.wrong(&course.round.recovery.holds);
        all.extend(
            wrong
                .into_iter()
                .map(|measured| Check::expected("still recovered at the end".to_owned(), measured, false)),
        );
    }
    let (outcome, why) = match &course.aborted {
        Some(Abort { why, not_started: true, .. }) => (Outcome::NotStarted, vec![why.clone()]),
        Some(Abort { why, not_started: false, .. }) => (Outcome::Aborted, vec![why.clone()]),
        None => (outcome(&all), unmet(&all).collect()),
    };
    let now = course.log.now();
    let mut phases = std::mem::take(&mut course.phases);
    if let Some(last) = phases.last_mut() {
        last.to_ms = now;
    }
    let named = |why: String| match &course.round.scenario {
        Some(scenario) => format!("{scenario}: {why}"),
        None => why,
    };
    let why = why.into_iter().map(named).collect();
    let report = RoundReport {
        scenario: course.round.scenario.clone(),
        about: course.round.about.clone(),
        outcome,
        phases,
        faults: std::mem::take(&mut course.faults),
        probes: course.watch.reports(),
        events: course.log.take_events(),
        checks: all,
        measures,
        markers,
        matrices,
    };
    Gone { report, why }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_called_after_its_step() {
        let id = |scenario, step| fault_id(scenario, step, "0011aabb", 2).to_string();
        assert_eq!(id(None, "Cut the DB off!"), "cut-the-db-off-0011aabb-2");
        assert_eq!(id(Some("a"), "cut"), "a-cut-0011aabb-2");
        assert_eq!(id(None, "切断"), "fault-0011aabb-2");
        assert!(id(None, &"x".repeat(99)).len() <= 64);
    }
}
