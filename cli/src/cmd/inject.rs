//! `inject`: through the agent, or without one in the foreground.

use std::convert::Infallible;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use partition_agent_proto::{End, FaultId, FaultSpec, FaultStatus, Span, State};

use crate::args::InjectArgs;
use crate::client::{Access, Client};
use crate::exit::Failure;
use crate::foreground::{self, Foreground, Renewed};
use crate::interrupt::Interrupt;
use crate::render;
use crate::team::Member;
use crate::team::hold::{Held, RENEWALS, RETRIES};
use crate::team::stay;

pub async fn run(access: Access, json: bool, args: InjectArgs) -> Result<ExitCode, Failure> {
    let spec = args.spec().map_err(Failure::Usage)?;
    let client = access.client()?;
    if !access.is_named() && foreground::is_possible() && !client.answers().await {
        return alone(json, args, spec).await;
    }
    if let Some(lease) = args.timing.held().filter(|_| !args.dry_run) {
        return held(&client, json, &args, &spec, lease).await;
    }
    if !args.wait {
        let fault = client.inject(args.id.as_ref(), &spec, args.dry_run).await?;
        show(&fault, json, args.dry_run)?;
        return Ok(ExitCode::SUCCESS);
    }
    let interrupt = Interrupt::listen()?;
    let fault = client.inject(args.id.as_ref(), &spec, false).await?;
    show(&fault, json, false)?;
    let left = || async { client.fault(&fault.id).await.ok() };
    if wait(&fault, json, interrupt, left).await == Ended::Interrupted {
        let restored = client.restore(&fault.id, None).await?;
        if !json {
            render::restored(&restored)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Stays with a fault, and renews its lease.
async fn held(
    client: &Client,
    json: bool,
    args: &InjectArgs,
    spec: &FaultSpec,
    lease: Span,
) -> Result<ExitCode, Failure> {
    let mut interrupt = Interrupt::listen()?;
    let fault = client.inject(args.id.as_ref(), spec, false).await?;
    show(&fault, json, false)?;
    if !json {
        render::renewing(lease)?;
    }
    let member = Member { name: client.address(), client: client.clone() };
    match stay(vec![member], &fault.id, lease, &mut interrupt, json).await? {
        Held::Over => {}
        Held::Lost => return Ok(ExitCode::FAILURE),
        Held::Interrupted => {
            let restored = client.restore(&fault.id, None).await?;
            if !json {
                render::restored(&restored)?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The same, with the agent's library in this process: the fault ends with it.
async fn alone(json: bool, args: InjectArgs, spec: FaultSpec) -> Result<ExitCode, Failure> {
    if args.timing.no_wait && !args.dry_run {
        let why = "no agent is running, and the fault of this command alone ends with it: drop --no-wait, or start an agent";
        return Err(Failure::Usage(why.to_owned()));
    }
    let interrupt = Interrupt::listen()?;
    let foreground = Foreground::start()?;
    let seen = async {
        let fault = foreground.inject(args.id.clone(), spec, args.dry_run).await?;
        show(&fault, json, args.dry_run)?;
        if !args.dry_run {
            if !json {
                render::line("  no agent is running, so the fault lives in this process: Ctrl-C ends it")?;
            }
            let left = || async { foreground.fault(&fault.id).await };
            let ended = tokio::select! {
                ended = wait(&fault, json, interrupt, left) => ended,
                never = renew(&foreground, &fault) => match never {},
            };
            if ended == Ended::Over && foreground.end(&fault.id).await == Some(End::LeaseLost) {
                return Ok((fault, true));
            }
        }
        Ok((fault, false))
    };
    let seen: Result<(FaultStatus, bool), Failure> = seen.await;
    // Whatever happened: nobody else would take away what is left.
    let left = foreground.stop().await;
    let (fault, lost) = seen?;
    if lost {
        return Err(Failure::Failed(format!("{}: over: {}", fault.id, End::LeaseLost)));
    }
    if let Some(left) = left.first() {
        return Err(Failure::Failed(format!("{}: it is over, but {}", left.id, left.verdict)));
    }
    if !args.dry_run && !json {
        render::line(&format!("{}: over; nothing of it is left", fault.id))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// For as long as it is there: whoever stops this process ends the fault.
async fn renew(foreground: &Foreground, fault: &FaultStatus) -> Infallible {
    let Some(lease) = fault.spec.lease else { return std::future::pending().await };
    let lease = lease.duration();
    loop {
        match foreground.renew(&fault.id).await {
            Renewed::Anew => tokio::time::sleep(lease / RENEWALS).await,
            Renewed::NotNow => tokio::time::sleep(lease / RETRIES).await,
            Renewed::Never => break,
        }
    }
    // How it ended is seen by whoever waits for it.
    std::future::pending().await
}

fn show(fault: &FaultStatus, json: bool, dry_run: bool) -> Result<(), Failure> {
    match (json, dry_run) {
        (true, _) => render::json(fault),
        (false, true) => render::plan(fault),
        (false, false) => render::injected(fault),
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Ended {
    Over,
    Interrupted,
}

/// How often the bar moves, and how often the agent is asked whether somebody else ended the fault.
const TICK: Duration = Duration::from_millis(100);
const TICKS_PER_QUESTION: u32 = 10;

/// Until the fault is over, with a bar on a terminal.
async fn wait<F, L>(fault: &FaultStatus, json: bool, mut interrupt: Interrupt, left: F) -> Ended
where
    F: Fn() -> L,
    L: Future<Output = Option<FaultStatus>>,
{
    let begun = tokio::time::Instant::now();
    let whole = Duration::from_millis(fault.remaining_ms);
    let mut deadline = begun + whole;
    let bar = bar(&fault.id, whole, json);
    for tick in 1_u32.. {
        tokio::select! {
            () = interrupt.comes() => return finish(&bar, Ended::Interrupted),
            () = tokio::time::sleep(TICK) => {}
        }
        let now = tokio::time::Instant::now();
        if tick.is_multiple_of(TICKS_PER_QUESTION) || now >= deadline {
            match left().await {
                None => break,
                // It may have been extended or shortened since.
                Some(fault) if matches!(fault.state, State::Active | State::Waiting) => {
                    deadline = now + Duration::from_millis(fault.remaining_ms);
                }
                Some(_) => {}
            }
        }
        let to_go = deadline.saturating_duration_since(now);
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        bar.set_position(millis(whole.saturating_sub(to_go)));
        bar.set_message(render::remaining(millis(to_go)));
    }
    finish(&bar, Ended::Over)
}

fn finish(bar: &ProgressBar, ended: Ended) -> Ended {
    bar.finish_and_clear();
    ended
}

fn bar(id: &FaultId, whole: Duration, json: bool) -> ProgressBar {
    let bar =
        ProgressBar::new(u64::try_from(whole.as_millis()).unwrap_or(u64::MAX)).with_prefix(id.to_string());
    if json || !std::io::stderr().is_terminal() {
        bar.set_draw_target(ProgressDrawTarget::hidden());
    }
    match ProgressStyle::with_template("{prefix} [{wide_bar}] {msg} left") {
        Ok(style) => bar.with_style(style.progress_chars("=> ")),
        Err(_) => bar,
    }
}
