//! What is known, and what of it is looked at. Pure: time is handed in, as how long the watch has gone on.

use std::collections::VecDeque;
use std::time::Duration;

use partition_agent_proto::{EventKind, FaultId, FaultStatus, State};
use ratatui::widgets::TableState;

use super::feed::News;
use super::keys::See;
use crate::team::heal::What;

/// So much of what happened is remembered.
const REMEMBERED: usize = 500;

pub struct Picture {
    pub hosts: Vec<Host>,
    /// The newest last.
    pub happened: VecDeque<Happened>,
    pub chosen: TableState,
    asks: Option<What>,
    /// Whether there are several hosts, which may reach each other.
    pub is_fleet: bool,
    shows_matrix: bool,
    /// Who reaches whom as it was last found, or why nobody knows.
    pub matrix: Option<Result<String, String>>,
}

pub struct Host {
    pub name: String,
    pub faults: Vec<FaultStatus>,
    /// When it told them.
    pub told_at: Option<Duration>,
    /// Why it does not.
    pub silent: Option<String>,
}

/// A line of what happened.
#[derive(Debug, Clone, PartialEq)]
pub struct Happened {
    pub at: Duration,
    /// None: here.
    pub host: Option<usize>,
    pub kind: Option<EventKind>,
    pub text: String,
}

/// A fault on a host, as it is now.
pub struct Standing<'a> {
    pub host: &'a Host,
    pub fault: &'a FaultStatus,
    pub left: Duration,
}

impl Picture {
    pub fn new(hosts: impl Iterator<Item = String>, is_fleet: bool) -> Self {
        let hosts = hosts.map(|name| Host { name, faults: Vec::new(), told_at: None, silent: None });
        Self {
            hosts: hosts.collect(),
            happened: VecDeque::new(),
            chosen: TableState::new().with_selected(0),
            asks: None,
            is_fleet,
            shows_matrix: false,
            matrix: None,
        }
    }

    pub fn hear(&mut self, news: News, now: Duration) {
        let (host, kind, text) = match news {
            News::Faults { host, faults } => {
                if let Some(host) = self.hosts.get_mut(host) {
                    host.faults = faults;
                    host.told_at = Some(now);
                    host.silent = None;
                }
                return;
            }
            News::Silent { host, why } => {
                let Some(silent) = self.hosts.get_mut(host) else { return };
                // Said once, until it speaks again.
                if silent.silent.replace(why.clone()).is_some() {
                    return;
                }
                (host, None, format!("does not answer: {why}"))
            }
            News::Missed { host } => (host, None, "some events were lost".to_owned()),
            News::Event { host, event } => (host, Some(event.kind), format!("{}: {}", event.id, event.text)),
        };
        self.remember(Happened { at: now, host: Some(host), kind, text });
    }

    /// Of this program's own doing.
    pub fn note(&mut self, text: String, now: Duration) {
        self.remember(Happened { at: now, host: None, kind: None, text });
    }

    fn remember(&mut self, happened: Happened) {
        self.happened.push_back(happened);
        if self.happened.len() > REMEMBERED {
            self.happened.pop_front();
        }
    }

    pub fn found(&mut self, matrix: Result<String, String>) {
        self.matrix = Some(matrix);
    }

    /// All faults, by host and in the order in which their agent tells them.
    pub fn standing(&self, now: Duration) -> Vec<Standing<'_>> {
        let mut standing = Vec::new();
        for host in &self.hosts {
            let ago = now.saturating_sub(host.told_at.unwrap_or(now));
            standing.extend(host.faults.iter().map(|fault| {
                let left = Duration::from_millis(fault.remaining_ms).saturating_sub(ago);
                Standing { host, fault, left }
            }));
        }
        standing
    }

    /// The fault that is chosen.
    fn chosen_id(&self) -> Option<FaultId> {
        let standing = self.standing(Duration::ZERO);
        let last = standing.len().checked_sub(1)?;
        standing.get(self.chosen.selected()?.min(last)).map(|standing| standing.fault.id.clone())
    }

    pub fn see(&mut self, see: See) {
        let asks = self.asks.take();
        match see {
            See::Above => self.chosen.select_previous(),
            See::Below => self.chosen.select_next(),
            See::Matrix => self.shows_matrix = self.is_fleet && !self.shows_matrix,
            See::AskOne => self.asks = self.chosen_id().map(|id| What::Ids(vec![id])),
            See::AskAll => self.asks = Some(What::All),
            See::Nothing => {}
            See::Again => self.asks = asks,
        }
    }

    /// What is to be restored, if somebody says yes.
    pub fn asks(&self) -> Option<&What> {
        self.asks.as_ref()
    }

    pub fn shows_matrix(&self) -> bool {
        self.shows_matrix
    }

    pub fn has_looked(&self) -> bool {
        self.matrix.is_some()
    }

    /// How many faults hit packets, or will.
    pub fn in_force(&self) -> usize {
        let over = |state: State| match state {
            State::Pending | State::Prepared | State::Waiting | State::Active | State::Stuck => false,
            State::Restoring | State::Restored => true,
        };
        self.hosts.iter().flat_map(|host| &host.faults).filter(|fault| !over(fault.state)).count()
    }
}
