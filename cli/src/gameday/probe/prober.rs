//! Who asks: a thread, or, where an agent does it, a task of the caller's, which has the connections to agents.

use std::fs::File;
use std::io;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use super::agent::Errand;
use super::question::Question;
use super::{Answer, Place};
use crate::gameday::command::enter;
use crate::gameday::file::Probe;
use crate::team::Member;

/// How long a drop waits for the thread, which is done sooner unless its machine is busy.
const END: Duration = Duration::from_millis(100);

/// A probe that is asked until this is dropped.
pub struct Prober(Asker);

/// Who asks what.
enum Asking {
    /// Whoever calls, in this time at most.
    Here(Question, Duration),
    Agent(Errand, Box<Member>),
}

impl Asking {
    async fn ask(&self) -> Result<String, String> {
        match self {
            Self::Here(question, timeout) => question.ask(*timeout).await,
            Self::Agent(errand, member) => errand.ask(member).await,
        }
    }
}

enum Asker {
    Thread { stop: Option<oneshot::Sender<()>>, ended: mpsc::Receiver<()> },
    Task(JoinHandle<()>),
}

impl Prober {
    /// The first question is asked at once, the next one an interval after it, or as soon as a slow answer is there: never two at a time.
    /// Whoever has no time for the answers has them all later. Where an agent asks, this needs a runtime to be called in.
    ///
    /// # Errors
    /// The probe makes no sense, the namespace cannot be entered, or there is no thread to be had.
    pub fn start(
        name: String,
        probe: Probe,
        place: Place,
        tell: UnboundedSender<(String, Answer)>,
    ) -> io::Result<Self> {
        let wrong = |why: String| io::Error::new(io::ErrorKind::InvalidInput, why);
        let Probe { every, timeout, .. } = probe;
        let namespace = match &place {
            Place::Agent(member) => {
                let errand = Errand::new(&probe.ask, timeout).map_err(wrong)?;
                let runtime = tokio::runtime::Handle::try_current().map_err(io::Error::other)?;
                let asking = Asking::Agent(errand, member.clone());
                return Ok(Self(Asker::Task(runtime.spawn(again(name, every, tell, asking)))));
            }
            Place::Here => None,
            Place::Namespace(path) => Some(File::open(path)?),
        };
        let asking = Asking::Here(Question::new(&name, &probe, place).map_err(wrong)?, timeout);
        let (stop, stopped) = oneshot::channel::<()>();
        let (is_inside, inside) = mpsc::channel();
        let (alive, ended) = mpsc::channel();
        std::thread::Builder::new().name("probe".to_owned()).spawn(move || {
            let _alive: mpsc::Sender<()> = alive;
            let entered = enter(namespace)
                .and_then(|()| tokio::runtime::Builder::new_current_thread().enable_all().build());
            let runtime = match entered {
                Ok(runtime) => runtime,
                Err(error) => {
                    let _ = is_inside.send(Err(error));
                    return;
                }
            };
            let _ = is_inside.send(Ok(()));
            runtime.block_on(async {
                tokio::select! {
                    () = again(name, every, tell, asking) => {}
                    _ = stopped => {}
                }
            });
            // A question to the resolver cannot be stopped, and nobody waits for it.
            runtime.shutdown_background();
        })?;
        inside.recv().map_err(io::Error::other)??;
        Ok(Self(Asker::Thread { stop: Some(stop), ended }))
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        match &mut self.0 {
            Asker::Thread { stop, ended } => {
                drop(stop.take());
                // Nobody ever sends: it is the end of the thread that ends this. So no command of it outlives this program.
                let _ = ended.recv_timeout(END);
            }
            Asker::Task(task) => task.abort(),
        }
    }
}

/// Until nobody listens any more.
async fn again(name: String, every: Duration, tell: UnboundedSender<(String, Answer)>, asking: Asking) {
    let mut ticks = tokio::time::interval(every.max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let asked = Instant::now();
        let holds = tokio::select! {
            holds = asking.ask() => holds,
            () = tell.closed() => return,
        };
        let answer = Answer { asked, took: asked.elapsed(), holds };
        if tell.send((name.clone(), answer)).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests;
