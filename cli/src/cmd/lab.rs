//! `lab`: hosts of a fleet on this machine, for as long as somebody wants them.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};

use nix::sched::{CloneFlags, setns};
use nix::sys::prctl::set_pdeathsig;
use nix::unistd::{dup2_stderr, dup2_stdin, dup2_stdout, setsid};
use partition_agent_proto::fleet::is_name;

use crate::args::{FleetArgs, LabArgs, LabExecArgs, LabHoldArgs, LabNameArgs, LabUpArgs, LabVerb};
use crate::exit::Failure;
use crate::fleet::{self, Source};
use crate::interrupt::Interrupt;
use crate::lab::held::{Held, Labs};
use crate::lab::host::{SELF, die_with};
use crate::lab::process::{self, Process};
use crate::lab::{self, CONTROLLER, Lab};
use crate::render;

/// What the holder of a lab says when all of it is ready.
const READY: &str = "ready";

pub fn run(args: LabArgs, fleet: &FleetArgs, json: bool) -> Result<ExitCode, Failure> {
    match args.verb {
        LabVerb::Up(args) => up(args, fleet, json),
        LabVerb::Exec(args) => exec(&args),
        LabVerb::Down(args) => down(&args),
        LabVerb::List => list(json),
    }
}

fn up(args: LabUpArgs, fleet: &FleetArgs, json: bool) -> Result<ExitCode, Failure> {
    let name = args.lab.name;
    if !is_name(&name) {
        return Err(Failure::Usage(format!(
            "`{name}` cannot be a name: write letters, digits, and - _ . : in between"
        )));
    }
    let source = args.file.as_ref().or(fleet.source.as_ref());
    let labs = Labs::open()?;
    if let Some(held) = labs.find(&name)
        && held.holder().is_some()
    {
        return Err(Failure::Failed(format!(
            "the lab {name} is up already, from {}: `partition-agent lab down{}` takes it down, and with --name NAME there is \
             another one beside it",
            held.fleet,
            flag(&name)
        )));
    }
    let mut holder = Command::new(SELF);
    holder.args(["lab-hold", &std::process::id().to_string()]).args(source.map(Source::to_string));
    let mut holder = holder.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let pid = holder.id();
    let started = process::stat(pid).and_then(|stat| process::start_in(&stat)).unwrap_or_default();
    let fleet = source.map_or_else(|| "the usual fleet file".to_owned(), Source::to_string);
    let held = Held { name: name.clone(), fleet, pid, started };
    labs.keep(&held)?;
    drop(labs);

    let mut line = String::new();
    if let Some(stdout) = holder.stdout.take() {
        BufReader::new(stdout).read_line(&mut line)?;
    }
    if line.trim_end() != READY {
        // It has said why.
        let status = holder.wait()?;
        Labs::open()?.forget(&name);
        let code = status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1);
        return Ok(ExitCode::from(code));
    }
    let contents = held.contents().ok_or_else(|| gone(&name))?;
    if json {
        render::json(&contents)?;
    } else {
        render::lab::contents(&contents, &name, &flag(&name))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// How to name a lab in another command.
fn flag(name: &str) -> String {
    if name == "lab" { String::new() } else { format!(" --name {name}") }
}

fn gone(name: &str) -> Failure {
    Failure::Failed(format!("the lab {name} has ended by itself"))
}

/// `lab-hold`: raise a lab, and hold it until somebody ends this. Until it is ready it ends with whoever waits for it.
pub fn hold(args: &LabHoldArgs) -> Result<ExitCode, Failure> {
    die_with(args.parent)?;
    setsid()?;
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build();
    // Other sources of hosts are outside of the lab. Threads that looked for them end with the runtime.
    let loaded = runtime()?.block_on(fleet::load(args.file.as_ref(), false))?;
    lab::isolate()?;
    runtime()?.block_on(async {
        let (_lab, _) = Lab::raise(loaded, &render::progress).await?;
        let mut end = Interrupt::listen()?;
        set_pdeathsig(None)?;
        let mut out = std::io::stdout();
        writeln!(out, "{READY}").and_then(|()| out.flush())?;
        // Nobody's terminal or pipe is kept open by a lab.
        let nothing = File::options().read(true).write(true).open("/dev/null")?;
        dup2_stdin(&nothing)?;
        dup2_stdout(&nothing)?;
        dup2_stderr(&nothing)?;
        end.comes().await;
        Ok(ExitCode::SUCCESS)
    })
}

/// The lab and who holds it.
fn held(name: &str) -> Result<(Held, Process), Failure> {
    let labs = Labs::open()?;
    let Some(held) = labs.find(name) else {
        let others = labs.all().into_iter().map(|lab| lab.name).collect::<Vec<_>>();
        let hint = if others.is_empty() {
            "`partition-agent lab up FILE` raises one".to_owned()
        } else {
            format!("there is {}: choose it with --name", others.join(", "))
        };
        return Err(Failure::Failed(format!("there is no lab {name}: {hint}")));
    };
    let Some(holder) = held.holder() else {
        labs.forget(name);
        return Err(Failure::Failed(format!(
            "the lab {name} has ended, with all that was in it: `partition-agent lab up {}{}` raises it again",
            held.fleet,
            flag(name)
        )));
    };
    Ok((held, holder))
}

fn exec(args: &LabExecArgs) -> Result<ExitCode, Failure> {
    let name = &args.lab.name;
    let (held, holder) = held(name)?;
    let contents = held.contents().ok_or_else(|| {
        Failure::Failed(format!("the lab {name} is not ready yet: `partition-agent lab up` tells when it is"))
    })?;
    let wanted = args.host.to_ascii_lowercase();
    let host = contents.hosts.iter().find(|host| host.name == wanted || host.also.contains(&wanted));
    let (pid, process) = match host {
        Some(host) => {
            let process = Process::open(host.pid).ok_or_else(|| gone(name))?;
            // The number of a host that has ended may be somebody else's.
            let parent = process::stat(host.pid).and_then(|stat| process::parent_in(&stat));
            (host.pid, if parent == Some(held.pid) { process } else { return Err(gone(name)) })
        }
        None if wanted == CONTROLLER => (held.pid, holder),
        None => {
            let known = contents.hosts.iter().flat_map(|host| std::iter::once(&host.name).chain(&host.also));
            let known = known.map(String::as_str).collect::<Vec<_>>().join(", ");
            return Err(Failure::Usage(format!(
                "there is no host {} in the lab {name}: there are {CONTROLLER}, {known}",
                args.host
            )));
        }
    };
    let here = std::env::current_dir();
    // One that we are in cannot be entered: for root that of users, and of the controller its host name.
    let mut what = CloneFlags::empty();
    for (kind, flag) in [
        ("user", CloneFlags::CLONE_NEWUSER),
        ("mnt", CloneFlags::CLONE_NEWNS),
        ("net", CloneFlags::CLONE_NEWNET),
        ("uts", CloneFlags::CLONE_NEWUTS),
    ] {
        let of = |who: &str| std::fs::read_link(format!("/proc/{who}/ns/{kind}"));
        what.set(flag, of("self")? != of(&pid.to_string())?);
    }
    setns(&process, what)
        .map_err(|errno| Failure::Failed(format!("cannot enter the lab {name}: {errno}")))?;
    if let Ok(here) = here {
        // Where that is hidden in the lab, the command begins at the root.
        let _ = std::env::set_current_dir(here);
    }
    let (program, rest) =
        args.command.split_first().ok_or_else(|| Failure::Usage("no command".to_owned()))?;
    let mut command = Command::new(program);
    lab::environment(&mut command);
    command.args(rest);
    let why = command.exec();
    Err(Failure::Failed(format!("{}: {why}", program.display())))
}

fn down(args: &LabNameArgs) -> Result<ExitCode, Failure> {
    let (held, holder) = held(&args.name)?;
    held.end(&holder)?;
    Labs::open()?.forget(&args.name);
    render::line(&format!("the lab {} is down", args.name))?;
    Ok(ExitCode::SUCCESS)
}

fn list(json: bool) -> Result<ExitCode, Failure> {
    let labs = Labs::open()?;
    let mut told = Vec::new();
    for held in labs.all() {
        if held.holder().is_none() {
            labs.forget(&held.name);
        } else {
            let hosts = held.contents().map(|contents| contents.hosts.len());
            told.push(render::lab::Row { name: held.name, fleet: held.fleet, hosts });
        }
    }
    if json {
        render::json(&told)?
    } else {
        render::lab::labs(&told)?
    }
    Ok(ExitCode::SUCCESS)
}
