//! Into force: admit, choose interfaces, plan, write down, apply, read back.

use std::time::Duration;

use partition_agent_proto::{End, EventKind, FaultId, FaultStatus, Hits, Span, State, Verdict};

use super::journal::Begun;
use super::ledger::{Admission, Fault, Phase};
use super::status::status;
use super::{Error, Injected, Keeper, Request};
use crate::clock::{BootTime, wall};
use crate::kernel::{Kernel, Refusal};
use crate::plan::{Draft, Plan};

/// How many addresses a status names.
const FIRST_ADDRESSES: usize = 16;

/// A step that was refused, and the undos that were, too.
struct Failed {
    step: usize,
    refusal: Refusal,
    leftovers: Vec<Refusal>,
}

impl<K: Kernel> Keeper<K> {
    pub(super) async fn inject(&mut self, request: Request) -> Result<Injected, Error> {
        if self.stopping.is_some() {
            return Err(Error::Stopping);
        }
        self.check_duration(request.spec.duration)?;
        let id = request.id.clone().unwrap_or_else(|| self.suggest(&request));
        let slot = match self.ledger.admit(&id, &request.spec) {
            Admission::New { slot } => slot,
            Admission::Same => {
                let standing = self.list().await.into_iter().find(|fault| fault.id == id);
                return standing.map(|fault| (false, fault)).ok_or(Error::Unknown(id));
            }
            Admission::Taken(by) => return Err(Error::Taken { id, by }),
            Admission::Full(most) => {
                return Err(Error::Limit(format!(
                    "there are {most} faults already, as many as `most_faults` of the configuration allows"
                )));
            }
        };
        let interfaces = self.kernel.interfaces(&request.targets, request.spec.interface.as_deref()).await;
        let interfaces = interfaces.map_err(Error::NoInterface)?;
        let plan = Plan::new(&Draft {
            spec: &request.spec,
            targets: &request.targets,
            except: &request.except,
            keep: &request.keep,
            interfaces: &interfaces,
            slot,
        });
        let mut fault = self.fault(id.clone(), &request, interfaces, plan);
        if request.dry_run {
            let plan = Some(fault.plan.to_string());
            return Ok((true, FaultStatus { state: State::Pending, plan, ..status(&fault) }));
        }
        let begun =
            Begun { id: id.clone(), spec: request.spec, by: request.by, at: fault.injected_at.clone() };
        self.journal.inject(begun).map_err(Error::Journal)?;
        if let Err(failed) = self.apply(&fault.plan).await {
            return Err(self.failed(fault, failed));
        }
        // The kernel's timeouts began before this moment, so they end no later.
        fault.deadline = BootTime::now() + fault.plan.timeout;
        fault.injected_at = wall(Duration::ZERO);
        fault.verdict = self.read_back(&fault.plan).await;
        let text = format!("{}; the kernel ends it in {}", fault.spec, fault.spec.duration);
        let answer = status(&fault);
        self.ledger.activate(fault);
        self.tell(&id, EventKind::Injected, text);
        Ok((true, answer))
    }

    pub(super) async fn change(
        &mut self,
        id: &FaultId,
        duration: Span,
        by: String,
    ) -> Result<FaultStatus, Error> {
        self.check_duration(duration)?;
        let fault = self.ledger.get(id).ok_or_else(|| Error::Unknown(id.clone()))?;
        if fault.phase != Phase::Active {
            return Err(Error::Over(id.clone()));
        }
        let mut plan = fault.plan.clone();
        plan.set_timeout(duration.duration());
        match self.kernel.rearm(&plan).await {
            // The elements have timed out, and the agent has not tidied up yet.
            Err(refusal) if refusal.is_absent() => return Err(Error::Over(id.clone())),
            done => done?,
        }
        self.ledger.rearmed(id, BootTime::now(), duration.duration());
        self.judge(id, &plan).await;
        self.refresh_hits().await;
        let ends_at = wall(duration.duration());
        if let Err(error) = self.journal.change(wall(Duration::ZERO), id.clone(), ends_at, by) {
            tracing::warn!(%id, %error, "the change is in force, but the journal cannot be written");
        }
        self.tell(id, EventKind::Changed, format!("the kernel now ends it in {duration}"));
        self.ledger.get(id).map(status).ok_or_else(|| Error::Unknown(id.clone()))
    }

    fn check_duration(&self, asked: Span) -> Result<(), Error> {
        let longest = self.settings.longest;
        if asked <= longest {
            return Ok(());
        }
        Err(Error::Limit(format!(
            "{asked} is longer than the {longest} that `longest` of the configuration allows"
        )))
    }

    /// An id that nobody has.
    fn suggest(&self, request: &Request) -> FaultId {
        let salt = u64::try_from(BootTime::now().since_boot().as_micros()).unwrap_or_default();
        let ids = (0..=u64::from(u16::MAX)).map(|n| FaultId::suggest(&request.spec, salt.wrapping_add(n)));
        let taken = |id: &FaultId| self.ledger.get(id).is_some();
        // There are far fewer faults than salts.
        ids.into_iter().find(|id| !taken(id)).unwrap_or_else(|| FaultId::suggest(&request.spec, salt))
    }

    fn fault(&self, id: FaultId, request: &Request, interfaces: Vec<String>, plan: Plan) -> Fault {
        let keep = request.keep.iter().map(|connection| format!("your connection from {connection}"));
        Fault {
            id,
            spec: request.spec.clone(),
            by: request.by.clone(),
            addresses: request.targets.len(),
            first_addresses: request.targets.iter().take(FIRST_ADDRESSES).map(ToString::to_string).collect(),
            interfaces,
            protects: self.settings.guard.protects().chain(keep).collect(),
            injected_at: wall(Duration::ZERO),
            deadline: BootTime::now() + plan.timeout,
            plan,
            verdict: Verdict::Inconclusive { why: "not applied".to_owned() },
            hits: Hits::default(),
            phase: Phase::Active,
        }
    }

    /// In order; when one is refused, it and those before it are undone in reverse, all of them, whatever they say.
    async fn apply(&mut self, plan: &Plan) -> Result<(), Failed> {
        for (nth, step) in plan.steps.iter().enumerate() {
            let Err(refusal) = self.kernel.apply(plan, step, &self.settings.guard).await else {
                continue;
            };
            let mut leftovers = Vec::new();
            for done in plan.steps.iter().take(nth + 1).rev() {
                leftovers.extend(self.kernel.undo(plan, done).await.err());
            }
            return Err(Failed { step: nth + 1, refusal, leftovers });
        }
        Ok(())
    }

    /// Writes the failure down. What could not be undone stays in the ledger until it can.
    fn failed(&mut self, fault: Fault, failed: Failed) -> Error {
        let Failed { step, refusal, leftovers } = failed;
        let id = fault.id.clone();
        let steps = fault.plan.steps.len();
        let error = Error::Step { step, steps, refusal, leftovers };
        let end = End::Failed { why: error.to_string() };
        self.tell(&id, EventKind::Failed, error.to_string());
        let clean = matches!(&error, Error::Step { leftovers, .. } if leftovers.is_empty());
        if clean {
            self.write_end(&id, end, Hits::default());
        } else {
            self.ledger.strand(BootTime::now(), fault, end);
        }
        error
    }
}
