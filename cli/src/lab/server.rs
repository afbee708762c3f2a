//! What runs on hosts of a lab: agents, and the servers of the fleet file.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{Read, Seek, SeekFrom};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::blueprint::Run;
use super::host::{Host, Running, SELF};
use super::offspring::{Family, told};
use super::{FLEET, RUN, TOKEN};
use crate::args::variables;
use crate::client::Client;
use crate::exit::Failure;

/// An agent takes a tenth of a second to start; thirty of them on a busy machine some seconds.
const AGENT_PATIENCE: Duration = Duration::from_secs(30);
/// How long an agent may take for an answer before it is asked again.
const ANSWER: Duration = Duration::from_secs(2);
/// From one look to the next.
const PACE: Duration = Duration::from_millis(40);
/// From one question to the next.
const ASK_PACE: Duration = Duration::from_millis(100);
/// What ends sooner than this has not started: it is not there, or does not like its arguments.
const STARTS: Duration = Duration::from_millis(300);

/// How much of the end of a log is shown.
const LINES: usize = 12;
const BYTES: i64 = 4096;

/// The variables of a command in a lab: none that are meant for the machine, the lab's fleet, and this program after all others, for
/// whoever has not installed it.
pub fn environment(command: &mut Command) {
    for variable in variables() {
        command.env_remove(variable);
    }
    command.env("PARTITION_AGENT_FLEET", FLEET);
    let own = std::env::current_exe().ok();
    if let Some(directory) = own.as_deref().and_then(Path::parent) {
        let known = std::env::var_os("PATH").unwrap_or_default();
        let all = std::env::split_paths(&known).chain([directory.to_owned()]);
        if let Ok(path) = std::env::join_paths(all) {
            command.env("PATH", path);
        }
    }
}

/// An agent that was started.
pub struct Agent {
    host: String,
    process: Running,
    log: PathBuf,
}

impl Agent {
    pub fn start(host: &Host, at: SocketAddr) -> Result<Self, Failure> {
        let directory = PathBuf::from(format!("{RUN}/agents/agent@{}", host.name));
        fs::create_dir_all(&directory)?;
        // Probes of other agents go to each address of a host.
        let listen = match host.addresses.as_slice() {
            [_] => at,
            several if several.iter().all(IpAddr::is_ipv4) => {
                SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), at.port())
            }
            _ => SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), at.port()),
        };
        let (config, log) = (directory.join("agent.toml"), directory.join("log"));
        let text = format!(
            "listen = '{listen}'\ntoken_file = '{TOKEN}'\nsocket = '{0}/agent.sock'\nstate_dir = '{0}/state'\n",
            directory.display()
        );
        fs::write(&config, text)?;
        let mut command =
            host.command(&[Path::new(SELF), Path::new("serve"), Path::new("--config"), &config]);
        environment(&mut command);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log)?);
        Ok(Self { host: host.name.clone(), process: Running(command.spawn()?), log })
    }

    /// # Errors
    /// It ended, or does not answer in time.
    pub async fn ready(&mut self, client: &Client) -> Result<(), Failure> {
        let begun = Instant::now();
        loop {
            let what = match self.process.0.try_wait()? {
                Some(status) => format!("ended with {}", told(status)),
                None => match timeout(ANSWER, client.info()).await {
                    Ok(Ok(_)) => return Ok(()),
                    Ok(Err(_)) | Err(_) if begun.elapsed() < AGENT_PATIENCE => {
                        sleep(PACE).await;
                        continue;
                    }
                    Ok(Err(why)) => format!("does not answer within {AGENT_PATIENCE:?}: {why}"),
                    Err(_) => format!("does not answer within {AGENT_PATIENCE:?}"),
                },
            };
            return Err(Failure::Failed(format!("the agent of {} {what}{}", self.host, end_of(&self.log))));
        }
    }
}

/// A server that was started.
pub struct Server<'a> {
    run: &'a Run,
    host: &'a Host,
    files: &'a Path,
    directory: PathBuf,
    family: Family,
    log: PathBuf,
}

impl<'a> Server<'a> {
    /// `files` is the directory of the fleet file.
    pub fn start(run: &'a Run, host: &'a Host, files: &'a Path) -> Result<Self, Failure> {
        let own = PathBuf::from(format!("{RUN}/servers/{}@{}", run.name, host.name));
        let directory = own.join("data");
        DirBuilder::new().recursive(true).create(&directory)?;
        // Whoever the server makes of itself.
        fs::set_permissions(&directory, Permissions::from_mode(0o777))?;
        let log = own.join("log");
        let command = shell(run, host, files, &directory, &run.server.command, &log)?;
        Ok(Self { run, host, files, directory, family: Family::start(command)?, log })
    }

    /// For people.
    pub fn what(&self) -> String {
        format!("{} on {}", self.run.name, self.host.name)
    }

    /// Of this server, for as long as the lab is there.
    pub fn into_family(self) -> Family {
        self.family
    }

    /// # Errors
    /// It ended, or is not ready in time.
    pub async fn ready(&mut self) -> Result<(), Failure> {
        let (begun, patience) = (Instant::now(), self.run.server.patience.duration());
        let Some(ready) = &self.run.server.ready else { return self.started(begun).await };
        let answers = self.directory.with_file_name("ready.log");
        let mut last = String::new();
        while begun.elapsed() < patience {
            let asking = shell(self.run, self.host, self.files, &self.directory, ready, &answers)?;
            let mut asking = Family::start(asking)?;
            let status = loop {
                if let Some(status) = self.family.ended()? {
                    return Err(self.over(status));
                }
                match asking.ended()? {
                    Some(status) => break Some(status),
                    None if begun.elapsed() > patience => break None,
                    None => sleep(PACE).await,
                }
            };
            last = match status {
                Some(status) if status.success() => return Ok(()),
                Some(status) => format!("`ready` ended with {}{}", told(status), end_of(&answers)),
                // What it said before tells more.
                None if !last.is_empty() => last,
                None => "`ready` did not end".to_owned(),
            };
            sleep(ASK_PACE).await;
        }
        let span = self.run.server.patience;
        Err(Failure::Failed(format!(
            "lab.{} on {} is not ready within {span}: {last}{}",
            self.run.name,
            self.host.name,
            end_of(&self.log)
        )))
    }

    /// Nobody says when it is ready: then if it has started at all.
    async fn started(&mut self, begun: Instant) -> Result<(), Failure> {
        while begun.elapsed() < STARTS {
            match self.family.ended()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => return Err(self.over(status)),
                None => sleep(PACE).await,
            }
        }
        Ok(())
    }

    fn over(&self, status: ExitStatus) -> Failure {
        // As shells tell it.
        let missing = if status.code() == Some(127) {
            ": its command, or one that it takes, is not on this machine and has to be installed"
        } else {
            ""
        };
        Failure::Failed(format!(
            "lab.{} on {} ended with {} before it was ready{missing}{}",
            self.run.name,
            self.host.name,
            told(status),
            end_of(&self.log)
        ))
    }
}

/// A command of the fleet file, on a host. What it says goes to the log.
fn shell(
    run: &Run,
    host: &Host,
    files: &Path,
    directory: &Path,
    line: &str,
    log: &Path,
) -> Result<Command, Failure> {
    let log = File::create(log)?;
    let mut command = host.command_with_offspring(&["/bin/sh", "-c", line]);
    environment(&mut command);
    command.env("HOST", &host.name).env("ADDRESS", run.address.to_string());
    command.env("DIR", directory).env("FILES", files).current_dir(directory);
    command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
    Ok(command)
}

/// The last lines of a log, for the end of a message.
fn end_of(log: &Path) -> String {
    let read = || -> std::io::Result<String> {
        let mut file = File::open(log)?;
        let length = i64::try_from(file.metadata()?.len()).unwrap_or(i64::MAX);
        file.seek(SeekFrom::End(-length.min(BYTES)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = read().unwrap_or_default();
    let lines = text.lines().filter(|line| !line.trim().is_empty()).collect::<Vec<_>>();
    let shown = lines.iter().skip(lines.len().saturating_sub(LINES));
    shown.map(|line| format!("\n  | {line}")).collect()
}
