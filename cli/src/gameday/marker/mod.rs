//! Numbered writes, and what became of them: what is acknowledged must be there later, once.

mod account;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use super::command::{self, Command};
use super::file::Marker;
use super::probe::Place;

pub use account::{account, spans};

/// Of what is read back: a million markers are 7 MB.
const MOST_READ: usize = 32 * 1024 * 1024;

/// Reading back takes longer than a write.
const READ: Duration = Duration::from_secs(60);

/// One marker that was written, or tried to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// From 1, without gaps.
    pub number: u64,
    /// When its command was started.
    pub at: Instant,
    /// The phase of the run at that moment.
    pub phase: String,
    /// When its command ended well, or why it did not.
    pub acknowledged: Result<Instant, String>,
}

/// Where and for which run markers are written.
#[derive(Clone)]
pub struct Site {
    pub place: Place,
    /// That of the game day's file.
    pub directory: PathBuf,
    /// Tells this run from all others.
    pub run: String,
}

impl Site {
    fn command(&self, line: &str, marker: Option<u64>, timeout: Duration, keep: usize) -> Command {
        let marker = marker.map(|number| ("MARKER", number.to_string()));
        let environment = marker.into_iter().chain([("RUN", self.run.clone())]).collect();
        let (place, directory) = (self.place.clone(), self.directory.clone());
        Command { line: line.to_owned(), place, directory, environment, timeout, keep }
    }
}

/// Writes at an interval, one at a time. Dropped, it stops at once, and kills the write that is on its way.
pub struct Writer {
    phase: watch::Sender<String>,
    stop: watch::Sender<bool>,
    writing: Option<JoinHandle<Vec<Write>>>,
}

impl Writer {
    /// The first marker is written at once. Needs a runtime to be called in.
    pub fn start(marker: Marker, site: Site, phase: &str) -> Self {
        let (phase, phases) = watch::channel(phase.to_owned());
        let (stop, stopped) = watch::channel(false);
        let writing = Some(tokio::spawn(write(marker, site, phases, stopped)));
        Self { phase, stop, writing }
    }

    /// Of all markers that are written from now on.
    pub fn phase(&self, phase: &str) {
        self.phase.send_replace(phase.to_owned());
    }

    /// No more; the last one may end in its time.
    pub async fn stop(mut self) -> Vec<Write> {
        self.stop.send_replace(true);
        match self.writing.take() {
            // It is neither aborted nor does it panic.
            Some(writing) => writing.await.unwrap_or_default(),
            None => Vec::new(),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if let Some(writing) = &self.writing {
            writing.abort();
        }
    }
}

async fn write(
    marker: Marker,
    site: Site,
    phases: watch::Receiver<String>,
    mut stopped: watch::Receiver<bool>,
) -> Vec<Write> {
    let mut written = Vec::new();
    let mut ticks = tokio::time::interval(marker.every.max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    for number in 1.. {
        tokio::select! {
            biased;
            _ = stopped.wait_for(|stopped| *stopped) => break,
            _ = ticks.tick() => {}
        }
        let phase = phases.borrow().clone();
        let command = site.command(&marker.write, Some(number), marker.timeout, command::KEPT);
        let at = Instant::now();
        let acknowledged = match command.run().await {
            Ok(done) if done.succeeded() => Ok(Instant::now()),
            Ok(done) => Err(done.why()),
            Err(why) => Err(why),
        };
        written.push(Write { number, at, phase, acknowledged });
    }
    written
}

/// The numbers that are found, in their order, each as often as it is there.
///
/// # Errors
/// Why they could not be read, or not all of them.
pub async fn read(marker: &Marker, site: &Site) -> Result<Vec<u64>, String> {
    let command = site.command(&marker.read, None, READ.max(marker.timeout), MOST_READ);
    let done = command.run().await?;
    if !done.succeeded() {
        return Err(done.why());
    }
    if done.stdout.is_cut() {
        return Err(format!("it prints more than {} MiB", MOST_READ / 1024 / 1024));
    }
    Ok(numbers(&done.stdout.text(), &site.run))
}

/// A line counts that is a number, and one that is the run's id, some sign, and a number, each perhaps in double quotes: `17`, `"17"`,
/// `RUN-17`. A line that just ends with a number does not: it may be `12 rows` or `total: 12`.
fn numbers(text: &str, run: &str) -> Vec<u64> {
    let number = |line: &str| {
        let line = line.trim();
        let line = line.strip_prefix('"').and_then(|line| line.strip_suffix('"')).unwrap_or(line);
        let own = line.strip_prefix(run).filter(|_| !run.is_empty());
        let digits = match own {
            Some(rest) => rest.strip_prefix(|sign: char| sign.is_ascii_punctuation())?,
            None => line,
        };
        let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse().ok().filter(|_| is_number)
    };
    text.lines().filter_map(number).collect()
}

#[cfg(test)]
mod tests;
