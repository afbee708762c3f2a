//! `watch`: the faults of a host or of a fleet, who reaches whom, and what happens, as it happens.
//!
//! [`feed`] asks and listens, [`picture`] is what is known (pure), [`draw`] puts it on the terminal (pure), [`keys`] says what a key
//! means.

mod draw;
mod feed;
mod keys;
mod picture;

use std::future::pending;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crossterm::event::EventStream;
use futures_util::future::{LocalBoxFuture, join};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use partition_agent_proto::State;
use tokio::sync::mpsc;

use crate::args::WatchArgs;
use crate::client::Access;
use crate::exit::Failure;
use crate::interrupt::Interrupt;
use crate::render;
use crate::team::progress::Progress;
use crate::team::{Member, Team, heal};
use feed::News;
use keys::{Action, See};
use picture::Picture;

/// How often clocks on the screen move.
const TICK: Duration = Duration::from_millis(200);

/// How long from one look at who reaches whom to the next.
const LOOK: Duration = Duration::from_secs(2);

/// One agent.
pub async fn one(access: &Access, json: bool, args: &WatchArgs) -> Result<ExitCode, Failure> {
    let client = access.client()?;
    // Whoever watches wants to know now that there is nobody to watch.
    let name = client.info().await?.host;
    let members = [Member { name, client }];
    run(&members, None, json, args).await
}

/// The hosts of a fleet.
pub async fn many(team: &Team, json: bool, args: &WatchArgs) -> Result<ExitCode, Failure> {
    run(&team.members, Some(team), json, args).await
}

async fn run(
    members: &[Member],
    team: Option<&Team>,
    json: bool,
    args: &WatchArgs,
) -> Result<ExitCode, Failure> {
    let mut interrupt = Interrupt::listen()?;
    if json {
        return tokio::select! {
            () = interrupt.comes() => Ok(ExitCode::SUCCESS),
            told = lines(members) => told,
        };
    }
    if !(std::io::stdout().is_terminal() && std::io::stdin().is_terminal()) {
        let why = "watch draws on a terminal, and this is none: `watch --json` has a line for each event, and `status` \
                   shows the faults once";
        return Err(Failure::Usage(why.to_owned()));
    }
    let mut healing = FuturesUnordered::new();
    let done = match ratatui::try_init() {
        Ok(terminal) => watch(members, team, args, terminal, &mut interrupt, &mut healing).await,
        Err(error) => Err(error.into()),
    };
    // What it wrote over comes back, whatever became of it.
    ratatui::restore();
    // Who has said yes and left is not there to see it, but it is done.
    let mut code = ExitCode::SUCCESS;
    while let Some(restored) = healing.next().await {
        restored.told.iter().for_each(|line| render::progress(line));
        if restored.failed {
            code = ExitCode::FAILURE;
        }
    }
    done.map(|()| code)
}

/// Every event as a line of JSON.
async fn lines(members: &[Member]) -> Result<ExitCode, Failure> {
    let (sender, mut heard) = mpsc::channel(feed::UNREAD);
    let told = async {
        while let Some(news) = heard.recv().await {
            match news {
                News::Event { host, event } => {
                    if !render::events::line(&members[host].name, &event)? {
                        break;
                    }
                }
                News::Missed { host } => {
                    render::complain(&format!("{}: some events were lost", members[host].name));
                }
                News::Silent { host, why } => {
                    render::complain(&format!("{} does not tell: {why}", members[host].name));
                }
                News::Faults { .. } => {}
            }
        }
        Ok(ExitCode::SUCCESS)
    };
    tokio::select! {
        () = feed::listen(members, &sender) => Ok(ExitCode::SUCCESS),
        told = told => told,
    }
}

/// Restores that are under way.
type Healing<'a> = FuturesUnordered<LocalBoxFuture<'a, Restored>>;

/// What became of one.
struct Restored {
    told: Vec<String>,
    /// A host could not be told.
    failed: bool,
}

async fn watch<'a>(
    members: &'a [Member],
    team: Option<&'a Team>,
    args: &WatchArgs,
    mut terminal: ratatui::DefaultTerminal,
    interrupt: &mut Interrupt,
    healing: &mut Healing<'a>,
) -> Result<(), Failure> {
    let (sender, mut heard) = mpsc::channel(feed::UNREAD);
    let mut feeds = std::pin::pin!(join(
        feed::listen(members, &sender),
        feed::ask(members, args.every.duration(), &sender)
    ));
    let begun = Instant::now();
    let mut picture = Picture::new(members.iter().map(|member| member.name.clone()), team.is_some());
    let mut keys = EventStream::new();
    let mut tick = tokio::time::interval(TICK);
    let mut looking: Option<LocalBoxFuture<'_, Result<String, String>>> = None;
    loop {
        terminal.draw(|frame| draw::draw(frame, &mut picture, begun.elapsed()))?;
        if picture.shows_matrix() && looking.is_none() {
            looking = team.map(|team| look(team, picture.has_looked()).boxed_local());
        }
        tokio::select! {
            () = interrupt.comes() => break,
            key = keys.next() => match key.transpose()?.and_then(|key| keys::action(&key, picture.asks())) {
                None => {}
                Some(Action::Quit) => break,
                Some(Action::Restore(what)) => {
                    picture.see(See::Nothing);
                    picture.note(format!("restoring {}", keys::words(&what)), begun.elapsed());
                    healing.push(restore(members, what).boxed_local());
                }
                Some(Action::See(see)) => picture.see(see),
            },
            Some(news) = heard.recv() => {
                picture.hear(news, begun.elapsed());
                // All that is there, before it is drawn: of a large fleet a round is a thousand of them.
                while let Ok(news) = heard.try_recv() {
                    picture.hear(news, begun.elapsed());
                }
            }
            Some(restored) = healing.next() => {
                restored.told.into_iter().for_each(|line| picture.note(line, begun.elapsed()));
            }
            found = async { match &mut looking { Some(look) => look.await, None => pending().await } } => {
                looking = None;
                picture.found(found);
            }
            _ = tick.tick() => {}
            _ = &mut feeds => break,
        }
    }
    Ok(())
}

async fn look(team: &Team, again: bool) -> Result<String, String> {
    if again {
        tokio::time::sleep(LOOK).await;
    }
    let found = crate::team::matrix::look(team, true).await.map_err(|failure| failure.to_string())?;
    Ok(render::matrix::text(&found))
}

/// At once, on each host as soon as it hears of it.
async fn restore(members: &[Member], what: heal::What) -> Restored {
    let answers = heal::at_once(members, &what, &Progress::nobody()).await;
    let (mut told, mut restored) = (Vec::new(), 0);
    for (host, answer) in &answers {
        match answer {
            Err(failure) => told.push(format!("not restored: {host}: {}", failure.in_a_line())),
            Ok(faults) => {
                let (stuck, gone) = faults.iter().partition::<Vec<_>, _>(|fault| fault.state == State::Stuck);
                restored += gone.len();
                told.extend(stuck.iter().map(|fault| {
                    format!("not restored, the agent keeps trying: {host}: {}: {}", fault.id, fault.verdict)
                }));
            }
        }
    }
    let failed = !told.is_empty();
    told.push(format!("restored: {restored}"));
    Restored { told, failed }
}
