//! Stays with a fault on a terminal, and renews its lease.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressDrawTarget};
use partition_agent_proto::{FaultId, Span};

use super::hold::{Held, Listener, hold};
use super::members::Member;
use crate::exit::Failure;
use crate::interrupt::Interrupt;
use crate::render;

/// One line that changes, and above it what somebody may have to do something about.
struct Line<'a> {
    id: &'a FaultId,
    bar: ProgressBar,
}

impl Listener for Line<'_> {
    fn renewed(&self, left_ms: u64) {
        self.bar.set_message(format!("{}: renewed, {} left", self.id, render::remaining(left_ms)));
        self.bar.tick();
    }

    fn warn(&self, what: &str) {
        self.bar.suspend(|| render::complain(&what));
    }
}

pub async fn stay(
    members: Vec<Member>,
    id: &FaultId,
    lease: Span,
    interrupt: &mut Interrupt,
    json: bool,
) -> Result<Held, Failure> {
    let bar = ProgressBar::new_spinner();
    if json || !std::io::stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    let line = Line { id, bar };
    let (held, ends) = hold(members, id, lease, async || interrupt.comes().await, &line).await;
    line.bar.finish_and_clear();
    let lost = held == Held::Lost;
    if held != Held::Interrupted && (lost || !json) {
        render::team::ended(id, &ends, lost)?;
    }
    Ok(held)
}
