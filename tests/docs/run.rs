//! Runs the sections of a page, each in a place of its own, from top to bottom.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use harness::skip;

use crate::page::{Block, Page, Section};
use crate::place::Place;
use crate::stand::Stand;

/// How many sections are run at a time: they wait more than they work.
const AT_ONCE: usize = 4;

/// What is there before a section's first command.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// An agent that runs.
    Agent,
    /// The same, which may enter other namespaces; a container `web`, and a unit `myapp` with a process.
    Namespaces,
    /// An agent, on a kernel without netem: the page shows one.
    WithoutNetem,
    /// No agent: the section starts one, or speaks of a host without.
    Nothing,
}

/// A page, and what its sections take that is not an agent.
pub struct Tour {
    pub page: &'static str,
    pub stages: &'static [(&'static str, Stage)],
    /// What a page calls a fleet is the one of `fleet.toml`. Without it, pages bring up labs of their own.
    pub fleet: bool,
}

impl Tour {
    /// # Panics
    /// With all that is not as the page says.
    pub fn go(&self) {
        let page = Page::read(self.page);
        for (heading, _) in self.stages {
            let known = page.sections.iter().any(|section| section.heading == *heading);
            assert!(known, "{}: there is no section `{heading}` any more", self.page);
        }
        let wanted = page.sections.iter().filter(|section| !section.blocks.is_empty()).collect::<Vec<_>>();
        assert!(!wanted.is_empty(), "{}: nothing to run", self.page);
        let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        std::thread::scope(|scope| {
            for _ in 0..AT_ONCE {
                // What is skipped is told by the name of the thread.
                let thread = std::thread::Builder::new().name(self.page.to_owned());
                let visit = || {
                    while let Some(section) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let begun = Instant::now();
                        let found = self.section(section);
                        println!("{}: {}: {:.1?}", self.page, section.heading, begun.elapsed());
                        wrong.lock().unwrap_or_else(PoisonError::into_inner).extend(found);
                    }
                };
                thread.spawn_scoped(scope, visit).expect("a thread can be started");
            }
        });
        let wrong = wrong.into_inner().unwrap_or_else(PoisonError::into_inner);
        assert!(wrong.is_empty(), "\n{}", wrong.join("\n\n"));
    }

    /// What is not as the section says.
    fn section(&self, section: &Section) -> Vec<String> {
        let stage = self.stages.iter().find(|(heading, _)| *heading == section.heading);
        let stage = stage.map_or(Stage::Agent, |(_, stage)| *stage);
        let commands = section.blocks.iter().any(|block| matches!(block, Block::Commands(_)));
        let settings = section.blocks.iter().any(|block| matches!(block, Block::Settings(_)));
        let mut wrong = Vec::new();
        for block in &section.blocks {
            if let Block::Else(text, line) = block {
                wrong.push(format!(
                    "{}:{line}: neither commands nor settings, so nobody checks it:\n{text}",
                    self.page
                ));
            }
        }
        let Some(place) = (commands || settings).then(Place::new).flatten() else { return wrong };
        if stage == Stage::WithoutNetem && place.has_netem() {
            skip("this kernel has netem, and the page shows one without");
            return wrong;
        }
        let mut stand = Stand::new(&place, self.fleet, stage);
        let mut config = String::new();
        for block in &section.blocks {
            match block {
                Block::Commands(commands) => {
                    for command in commands {
                        if let Err(why) = stand.command(command) {
                            let log = place.log();
                            let log = log.lines().rev().take(5).collect::<Vec<_>>();
                            wrong.push(format!(
                                "{}:{}: $ {}\n{why}\nthe agent's log, latest first: {log:#?}",
                                self.page, command.line, command.text
                            ));
                        }
                    }
                }
                Block::Settings(more) => {
                    config.push_str(more);
                    place.configure(&config);
                }
                Block::Else(..) => {}
            }
        }
        // At the end, when all that they name has been made.
        if let (true, Err(why)) = (settings, stand.run("partition-agent serve --check-config", None)) {
            wrong.push(format!(
                "{}: {}: these settings are refused: {why}\n{config}",
                self.page, section.heading
            ));
        }
        wrong
    }
}
