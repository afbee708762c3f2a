//! What people are asked: during the run and at its end. Each has a number, by which a note answers it.

use super::file::{Action, GameDay};
use super::report::model::{Note, Question};

pub struct Questions(Vec<Asked>);

struct Asked {
    /// Where it is asked; at the end of the run without.
    step: Option<(Option<String>, String)>,
    text: String,
}

impl Questions {
    /// Those of the timelines, in their order, then those of the end.
    pub fn of(day: &GameDay) -> Self {
        let mut asked = Vec::new();
        for round in &day.rounds {
            for step in &round.steps {
                if let Some(Action::Observe(text)) = &step.action {
                    let step = Some((round.scenario.clone(), step.name.clone()));
                    asked.push(Asked { step, text: text.clone() });
                }
            }
        }
        asked.extend(day.questions.iter().map(|text| Asked { step: None, text: text.clone() }));
        Self(asked)
    }

    /// With its number, as `4. Do services log retries?`.
    pub fn numbered(&self, scenario: Option<&str>, step: &str) -> Option<String> {
        let is_it = |asked: &Asked| {
            asked.step.as_ref().is_some_and(|(of, name)| of.as_deref() == scenario && name == step)
        };
        let (number, asked) = (1_usize..).zip(&self.0).find(|(_, asked)| is_it(asked))?;
        Some(format!("{number}. {}", asked.text))
    }

    /// For the report. A note that begins with the number of one, as `2. nobody was paged`, answers it.
    pub fn answered(&self, notes: &[Note]) -> Vec<Question> {
        let answer = |number: usize| {
            let answers = notes.iter().filter_map(|note| {
                let (begin, rest) = note.text.split_once('.')?;
                (begin.trim().parse() == Ok(number)).then(|| rest.trim().to_owned())
            });
            Some(answers.collect::<Vec<_>>().join("; ")).filter(|answer| !answer.is_empty())
        };
        let question = |(number, asked): (usize, &Asked)| {
            let text = match &asked.step {
                Some((Some(scenario), step)) => format!("{scenario}, {step}: {}", asked.text),
                Some((None, step)) => format!("{step}: {}", asked.text),
                None => asked.text.clone(),
            };
            Question { text, answer: answer(number) }
        };
        (1..).zip(&self.0).map(question).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_answers_the_question_of_its_number() {
        let at = |step: &str| Some((Some("outage".to_owned()), step.to_owned()));
        let asked = |step, text: &str| Asked { step, text: text.to_owned() };
        let questions = Questions(vec![
            asked(at("told"), "Who was paged?"),
            asked(at("back"), "Who was paged?"),
            asked(None, "What went well?"),
        ]);
        assert_eq!(questions.numbered(Some("outage"), "back").unwrap(), "2. Who was paged?");
        assert_eq!(questions.numbered(None, "back"), None);
        let note = |text: &str| Note { at_ms: 0, by: "ada".to_owned(), text: text.to_owned() };
        let answered =
            questions.answered(&[note("2. nobody"), note("coffee"), note("2. Eve, later"), note("3.")]);
        let told = answered.iter().map(|question| (question.text.as_str(), question.answer.as_deref()));
        assert_eq!(
            told.collect::<Vec<_>>(),
            [
                ("outage, told: Who was paged?", None),
                ("outage, back: Who was paged?", Some("nobody; Eve, later")),
                ("What went well?", None),
            ]
        );
    }
}
