//! A game day before it runs, for people: what happens when.

use super::file::{Action, At, Condition, GameDay, Length, Round, Step};
use super::probe::describe;
use super::questions::Questions;

pub fn outline(day: &GameDay) -> String {
    let rounds = day.rounds.len();
    let many = if rounds == 1 { "one round".to_owned() } else { format!("{rounds} rounds") };
    let mut text = format!("{}: {many}, severity {}\n", day.name, day.severity);
    for (name, probe) in &day.probes {
        text.push_str(&format!("probe   {name}: {}, every {}\n", describe(probe), Length(probe.every)));
    }
    for (name, marker) in &day.markers {
        text.push_str(&format!("marker  {name}: every {}: {}\n", Length(marker.every), marker.write));
    }
    let questions = Questions::of(day);
    for round in &day.rounds {
        text.push_str(&self::round(round, &questions));
    }
    text
}

fn round(round: &Round, questions: &Questions) -> String {
    let mut text = match &round.scenario {
        Some(scenario) => format!("\n{scenario}\n"),
        None => "\n".to_owned(),
    };
    text.push_str(&format!("  steady    {}\n", list(&round.steady)));
    for guard in &round.guards {
        text.push_str(&format!(
            "  abort     when `{}` for {}: {}\n",
            guard.when,
            Length(guard.lasts),
            guard.because
        ));
    }
    for step in &round.steps {
        let question = questions.numbered(round.scenario.as_deref(), &step.name);
        let at = At(step.at_ms).to_string();
        text.push_str(&format!("  {at:9} {}: {}\n", step.name, what(step, question)));
    }
    let within = Length(round.recovery.within);
    text.push_str(&format!("  recovered when {}, within {within}\n", list(&round.recovery.holds)));
    text
}

fn what(step: &Step, question: Option<String>) -> String {
    let action = step.action.as_ref().map(|action| match action {
        Action::Inject { words, .. } => format!("inject {words}"),
        Action::Partition { words, .. } => format!("partition {words}"),
        Action::Restore(steps) if steps.is_empty() => "restore all".to_owned(),
        Action::Restore(steps) => format!("restore {}", steps.join(", ")),
        Action::Run { command, .. } => format!("run {command}"),
        Action::Confirm(question) => format!("confirm {question}"),
        Action::Observe(text) => format!("observe {}", question.as_ref().unwrap_or(text)),
        Action::Matrix(_) => "who reaches whom".to_owned(),
    });
    let expect = (!step.expect.is_empty()).then(|| format!("expect {}", list(&step.expect)));
    action.into_iter().chain(expect).collect::<Vec<_>>().join("; ")
}

fn list(conditions: &[Condition]) -> String {
    if conditions.is_empty() {
        return "-".to_owned();
    }
    conditions.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
