//! `inject` without an agent: the agent's own library in this process. The fault lives as long as this process does,
//! whatever ends it.

use std::time::Duration;

use partition_agent_core::api;
use partition_agent_core::audit::Answered;
use partition_agent_core::clock::wall;
use partition_agent_core::config::Config;
use partition_agent_core::keeper::{self, Error, Handle, Request, Settings};
use partition_agent_core::kernel::linux::Linux;
use partition_agent_proto::{AuditRequest, Connection, End, FaultId, FaultSpec, FaultStatus, State};

use crate::exit::Failure;

/// Whether this process could inject by itself.
pub fn is_possible() -> bool {
    partition_agent_core::privileges::require_net_admin().is_ok()
}

/// A keeper of our own.
pub struct Foreground {
    keeper: Handle,
    config: Config,
}

/// What became of a renewal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewed {
    Anew,
    /// Refused, this time: the lease goes on as it was.
    NotNow,
    /// There is nothing to renew any more.
    Never,
}

impl Renewed {
    fn of(refused: &Error) -> Self {
        let never =
            matches!(refused, Error::Unknown(_) | Error::Over(_) | Error::NoLease(_) | Error::Stopping);
        if never { Self::Never } else { Self::NotNow }
    }
}

impl Foreground {
    pub fn start() -> Result<Self, Failure> {
        let config = Config::load(None).map_err(|error| Failure::Failed(error.to_string()))?;
        let settings = Settings {
            guard: config.policy.guard(None),
            policy: config.policy.clone(),
            state_dir: config.state_dir.clone(),
        };
        let keeper =
            keeper::spawn(settings, Linux::open).map_err(|error| Failure::Failed(error.to_string()))?;
        Ok(Self { keeper, config })
    }

    pub async fn inject(
        &self,
        id: Option<FaultId>,
        spec: FaultSpec,
        dry_run: bool,
    ) -> Result<FaultStatus, Failure> {
        let ssh = std::env::var("SSH_CONNECTION").ok();
        let keep = ssh.as_deref().and_then(Connection::from_ssh).into_iter().collect();
        let finder = self.config.finder();
        let found = finder.find(&spec, keep).await.map_err(|error| api::not_found(&error))?;
        let by = format!("uid {} (pid {}, foreground)", nix::unistd::getuid(), std::process::id());
        let request = Request {
            id,
            spec: spec.clone(),
            sources: found.sources.clone(),
            by,
            dry_run,
            prepare: None,
            attempt: None,
        };
        let line = AuditRequest {
            at: wall(Duration::ZERO),
            by: request.by.clone(),
            from: "foreground".to_owned(),
            method: "inject".to_owned(),
            path: String::new(),
            id: request.id.clone(),
            fault: Some(spec.to_string()),
            until: None,
            status: None,
            why: None,
        };
        let audit = self.keeper.audit();
        if !dry_run {
            audit.asked(None, line.clone()).map_err(|error| api::unrecorded(&error))?;
        }
        let events = self.keeper.events();
        let injected = self.keeper.inject(request).await.map_err(|error| api::problem(&error));
        match &injected {
            Ok((_, status)) if !dry_run => {
                let (id, until) = (Some(status.id.clone()), Some(status.ends_at.clone()));
                audit.answered(Answered::Changed, AuditRequest { id, until, status: Some(201), ..line });
            }
            Ok(_) => {}
            Err(problem) => {
                let (status, why) = (Some(problem.status), Some(problem.detail.clone()));
                audit.answered(Answered::Refused, AuditRequest { status, why, ..line });
            }
        }
        let (new, status) = injected?;
        if new && !dry_run {
            finder.follow(self.keeper.clone(), events, status.id.clone(), spec, found);
        }
        Ok(status)
    }

    pub async fn renew(&self, id: &FaultId) -> Renewed {
        match self.keeper.renew(id.clone()).await {
            Ok(_) => Renewed::Anew,
            Err(error) => Renewed::of(&error),
        }
    }

    /// How a fault that is over ended.
    pub async fn end(&self, id: &FaultId) -> Option<End> {
        let over = self.keeper.history(1_000).await.ok()?;
        over.into_iter().find(|over| over.id == *id).map(|over| over.end)
    }

    /// The fault, or nothing if it is over.
    pub async fn fault(&self, id: &FaultId) -> Option<FaultStatus> {
        self.keeper.get(id.clone()).await.ok()
    }

    /// Restores everything, waits until what was delayed has arrived, and tells what could not be removed.
    pub async fn stop(self) -> Vec<FaultStatus> {
        let by = "the end of the foreground".to_owned();
        // The only error is that the keeper has ended, and then the kernel has ended every fault.
        let left = self.keeper.restore_all(None, by).await.unwrap_or_default();
        self.keeper.shutdown().await;
        left.into_iter().filter(|fault| fault.state == State::Stuck).collect()
    }
}

#[cfg(test)]
mod tests {
    use partition_agent_core::kernel::Refusal;

    use super::*;

    #[test]
    fn only_what_is_over_ends_the_renewals() {
        let id = || "f".parse::<FaultId>().unwrap();
        let refusal = Refusal::new("nft: add element", nix::errno::Errno::ENOBUFS, None);
        let unmoved = Error::Unmoved { refusal, leftovers: Vec::new() };
        assert_eq!(Renewed::of(&unmoved), Renewed::NotNow);
        for error in [Error::Unknown(id()), Error::Over(id()), Error::NoLease(id()), Error::Stopping] {
            assert_eq!(Renewed::of(&error), Renewed::Never, "{error}");
        }
    }
}
