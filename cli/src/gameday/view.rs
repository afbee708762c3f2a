//! A run as it goes on: a line for each event, and on a terminal below them where it stands.

use std::cell::RefCell;
use std::io::IsTerminal;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::report::model::Event;
use super::report::words::duration as span;
use crate::render;

/// Where a run stands.
#[derive(Debug, Clone, Default)]
pub struct Now<'a> {
    pub headline: &'a str,
    pub phase: &'a str,
    pub elapsed_ms: u64,
    /// What comes next, and when.
    pub next: Option<(&'a str, u64)>,
    /// The question that waits for an answer.
    pub asks: Option<&'a str>,
    pub probes: Vec<(&'a str, Option<bool>, &'a str)>,
    /// Each with the milliseconds until it is over.
    pub faults: Vec<(String, u64)>,
}

pub enum View {
    Nobody,
    /// A line for each event, and nothing that changes.
    Lines,
    Terminal {
        all: MultiProgress,
        lines: RefCell<Vec<ProgressBar>>,
    },
}

impl View {
    /// On standard error; standard output is for the answer.
    pub fn new(quiet: bool) -> Self {
        match (quiet, std::io::stderr().is_terminal()) {
            (true, _) => Self::Nobody,
            (false, false) => Self::Lines,
            (false, true) => Self::Terminal { all: MultiProgress::new(), lines: RefCell::default() },
        }
    }

    pub fn event(&self, event: &Event) {
        let line = line(event);
        match self {
            Self::Nobody => {}
            Self::Lines => render::progress(&line),
            Self::Terminal { all, .. } => all.suspend(|| render::progress(&line)),
        }
    }

    pub fn show(&self, now: &Now<'_>) {
        let Self::Terminal { all, lines } = self else { return };
        let texts = texts(now);
        let mut lines = lines.borrow_mut();
        while lines.len() > texts.len() {
            if let Some(bar) = lines.pop() {
                all.remove(&bar);
            }
        }
        while lines.len() < texts.len() {
            let bar = all.add(ProgressBar::new_spinner());
            let style = ProgressStyle::with_template("{wide_msg}");
            lines.push(style.map_or(bar.clone(), |style| bar.with_style(style)));
        }
        for (bar, text) in lines.iter().zip(texts) {
            bar.set_message(text);
            bar.tick();
        }
    }

    /// Nothing of it is left on the terminal.
    pub fn clear(&self) {
        if let Self::Terminal { all, lines } = self {
            lines.borrow_mut().clear();
            // A terminal that is gone needs no tidying up.
            let _ = all.clear();
        }
    }
}

/// `   12.3s  fault        cut: --loss 100% --peer redis`.
fn line(event: &Event) -> String {
    let kind = event.kind.word();
    let step = event.step.as_ref().map(|step| format!("{step}: ")).unwrap_or_default();
    let seconds = event.at_ms / 1_000;
    let tenths = event.at_ms % 1_000 / 100;
    let text = event.text.lines().map(|line| render::visible(line.trim())).collect::<Vec<_>>().join("; ");
    format!("{:>8}  {kind:11}  {step}{text}", format!("{seconds}.{tenths}s"))
}

fn texts(now: &Now<'_>) -> Vec<String> {
    let elapsed = render::remaining(now.elapsed_ms);
    let next = now.next.map(|(name, in_ms)| format!(", next: {name} in {}", span(in_ms))).unwrap_or_default();
    let mut texts = vec![format!("── {} ── {}, {elapsed}{next}", now.headline, now.phase)];
    texts.extend(now.faults.iter().map(|(fault, left)| format!("  ⚡ {fault}, {} left", span(*left))));
    texts.extend(now.probes.iter().map(|(name, holds, detail)| {
        let (mark, word) = match holds {
            Some(true) => ("\u{1b}[32m●\u{1b}[0m", "holds"),
            Some(false) => ("\u{1b}[31m○\u{1b}[0m", "fails"),
            None => ("·", "not asked yet"),
        };
        format!("  {mark} {name} {word}  {}", detail.lines().next().unwrap_or_default())
    }));
    let asks =
        now.asks.map(|question| format!("  ? {question} [Enter goes on, `no` ends the run and heals]"));
    texts.extend(asks);
    texts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gameday::report::model::EventKind;

    #[test]
    fn an_event_is_one_line() {
        let event = Event {
            at_ms: 12_345,
            kind: EventKind::Fault,
            step: Some("cut".to_owned()),
            text: "on web-1\n  and\u{1b}web-2".to_owned(),
        };
        assert_eq!(line(&event), "   12.3s  fault        cut: on web-1; and web-2");
    }

    #[test]
    fn it_says_what_is_red_and_what_comes_next() {
        let now = Now {
            headline: "redis",
            phase: "faults",
            elapsed_ms: 61_000,
            next: Some(("heal", 9_000)),
            asks: None,
            probes: vec![("api", Some(false), "refused")],
            faults: vec![("cut".to_owned(), 1_500)],
        };
        let texts = texts(&now);
        assert_eq!(texts[0], "── redis ── faults, 1m1s, next: heal in 9s");
        assert_eq!(texts[1], "  ⚡ cut, 1.5s left");
        assert!(texts[2].ends_with("api fails  refused"), "{texts:?}");
    }
}
