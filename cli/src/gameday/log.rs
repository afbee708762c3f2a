//! What happens in a run, as it happens: for the report, and for whoever watches.

use std::cell::RefCell;
use std::time::Instant;

use partition_agent_core::clock::BootTime;

use super::report::model::{Event, EventKind, Note};
use super::view::View;
use super::watch::millis;

pub struct Log {
    begun: BootTime,
    /// Of the round that goes on.
    events: RefCell<Vec<Event>>,
    notes: RefCell<Vec<Note>>,
    warnings: RefCell<Vec<String>>,
    pub view: View,
}

impl Log {
    pub fn new(begun: BootTime, view: View) -> Self {
        Self {
            begun,
            events: RefCell::default(),
            notes: RefCell::default(),
            warnings: RefCell::default(),
            view,
        }
    }

    /// Milliseconds since the start of the run.
    pub fn now(&self) -> u64 {
        self.at(BootTime::now())
    }

    pub fn at(&self, instant: BootTime) -> u64 {
        millis(self.begun.until(instant))
    }

    /// The same for the clock of this process, which is the same but for a host that sleeps.
    pub fn moment(&self, instant: Instant) -> u64 {
        let ago = Instant::now().saturating_duration_since(instant);
        self.now().saturating_sub(millis(ago))
    }

    pub fn event(&self, kind: EventKind, step: Option<&str>, text: impl Into<String>) {
        self.event_at(self.now(), kind, step, text);
    }

    pub fn event_at(&self, at_ms: u64, kind: EventKind, step: Option<&str>, text: impl Into<String>) {
        let event = Event { at_ms, kind, step: step.map(str::to_owned), text: text.into() };
        self.view.event(&event);
        self.events.borrow_mut().push(event);
    }

    pub fn note(&self, by: String, text: String) {
        self.event(EventKind::Note, None, format!("{by}: {text}"));
        self.notes.borrow_mut().push(Note { at_ms: self.now(), by, text });
    }

    /// Something that makes nobody fail.
    pub fn warn(&self, text: String) {
        self.event(EventKind::Warning, None, text.clone());
        self.warnings.borrow_mut().push(text);
    }

    pub fn notes(&self) -> Vec<Note> {
        self.notes.borrow().clone()
    }

    pub fn last_notes(&self, most: usize) -> Vec<Note> {
        let notes = self.notes.borrow();
        notes.iter().skip(notes.len().saturating_sub(most)).cloned().collect()
    }

    pub fn warnings(&self) -> Vec<String> {
        self.warnings.borrow().clone()
    }

    /// Those of a round that is over, in the order of their times.
    pub fn take_events(&self) -> Vec<Event> {
        let mut events = self.events.take();
        events.sort_by_key(|event| event.at_ms);
        events
    }
}
