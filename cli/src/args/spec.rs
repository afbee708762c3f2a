//! The fault that the flags of `inject` make.

use partition_agent_proto::{
    ConnectionState, Direction, Engine, FaultSpec, Kind, Percent, Profile, Protocol, Ramp, RejectWith, Scope,
    Span, Target,
};

use super::inject::{EngineArg, InjectArgs, ProtocolArg, Reject, ScopeArgs, State, Way};
use super::values::Ramped;

impl ScopeArgs {
    fn scope(&self) -> Scope {
        let given = [
            self.netns.clone().map(Scope::Netns),
            self.container.clone().map(Scope::Container),
            self.label.clone().map(Scope::Label),
            self.compose.clone().map(Scope::Compose),
            self.pod.clone().map(Scope::Pod),
            self.cgroup.clone().map(Scope::Cgroup),
            self.unit.clone().map(Scope::Unit),
            self.user.clone().map(Scope::User),
        ];
        // The parser lets only one through.
        given.into_iter().flatten().next().unwrap_or_default()
    }
}

impl InjectArgs {
    /// # Errors
    /// Flags that make no fault together.
    pub fn spec(&self) -> Result<FaultSpec, String> {
        let (kinds, ingress_kinds) = self.kinds()?;
        let spec = FaultSpec {
            kinds,
            ingress_kinds,
            target: self.target(),
            scope: self.scope.scope(),
            direction: match self.direction {
                Way::Egress => Direction::Egress,
                Way::Ingress => Direction::Ingress,
                Way::Both => Direction::Both,
            },
            interface: self.interface.clone(),
            engine: match self.engine {
                None | Some(EngineArg::Auto) => Engine::Auto,
                Some(EngineArg::Netem) => Engine::Netem,
                Some(EngineArg::Emulator) => Engine::Emulator,
            },
            start_in: self.start_in,
            flap: self.flap,
            ramp: self.ramp()?,
            duration: self.duration,
        };
        spec.validate().map_err(|error| error.to_string())?;
        Ok(spec)
    }

    fn target(&self) -> Target {
        Target {
            peers: self.peer.clone(),
            ports: self.port.clone(),
            local_ports: self.local_port.clone(),
            protocol: self.protocol.map(|protocol| match protocol {
                ProtocolArg::Tcp => Protocol::Tcp,
                ProtocolArg::Udp => Protocol::Udp,
                ProtocolArg::Sctp => Protocol::Sctp,
                ProtocolArg::Icmp => Protocol::Icmp,
            }),
            state: self.state.map(|state| match state {
                State::New => ConnectionState::New,
                State::Established => ConnectionState::Established,
            }),
            flows: self.flows,
            except: self.except.clone(),
            all_traffic: self.all_traffic,
        }
    }

    /// What happens to what goes out, or to everything; and to what comes in, where that is something else.
    fn kinds(&self) -> Result<(Vec<Kind>, Vec<Kind>), String> {
        let mut kinds = Vec::new();
        let mut ingress = Vec::new();
        if let Some(name) = &self.profile {
            let names = || partition_agent_proto::PROFILES.map(|profile| profile.name).join(", ");
            let unknown = || format!("`{name}` is no profile: there are {}", names());
            let profile = Profile::find(name).ok_or_else(unknown)?;
            match self.direction {
                Way::Egress => kinds = profile.up(),
                Way::Ingress => kinds = profile.down(),
                Way::Both => (kinds, ingress) = (profile.up(), profile.down()),
            }
        }
        let own = self.own_kinds()?;
        if !ingress.is_empty() {
            ingress.extend(own.iter().cloned());
        }
        kinds.extend(own);
        Ok((kinds, ingress))
    }

    fn own_kinds(&self) -> Result<Vec<Kind>, String> {
        let mut kinds = Vec::new();
        let loss =
            |loss: &Ramped<Percent>| Kind::Loss { percent: loss.to, correlation: self.loss_correlation };
        kinds.extend(self.loss.as_ref().map(loss));
        // The parser counts arguments, not what the commas make of one.
        if self.loss_gemodel.len() > 4 {
            return Err("--loss-gemodel takes at most four percentages: P,R,1-H,1-K".to_owned());
        }
        if self.loss_state.len() > 5 {
            return Err("--loss-state takes at most five percentages: P13,P31,P32,P23,P14".to_owned());
        }
        if let [p, rest @ ..] = self.loss_gemodel.as_slice() {
            let [r, bad, good] = [0, 1, 2].map(|nth| rest.get(nth).copied());
            kinds.push(Kind::LossGemodel { p: *p, r, bad, good });
        }
        if let [p13, rest @ ..] = self.loss_state.as_slice() {
            let [p31, p32, p23, p14] = [0, 1, 2, 3].map(|nth| rest.get(nth).copied());
            kinds.push(Kind::LossState { p13: *p13, p31, p32, p23, p14 });
        }
        kinds.extend(self.delay()?);
        let duplicate = |share: &Ramped<Percent>| Kind::Duplicate {
            percent: share.to,
            correlation: self.duplicate_correlation,
        };
        kinds.extend(self.duplicate.as_ref().map(duplicate));
        let corrupt = |share: &Ramped<Percent>| Kind::Corrupt {
            percent: share.to,
            correlation: self.corrupt_correlation,
        };
        kinds.extend(self.corrupt.as_ref().map(corrupt));
        kinds.extend(self.reorder.map(|percent| Kind::Reorder {
            percent,
            correlation: self.reorder_correlation,
            gap: self.reorder_gap,
        }));
        kinds.extend(self.rate.as_ref().map(|rate| Kind::Rate { rate: rate.to }));
        let (packets, bytes) = (self.slot_packets, self.slot_bytes);
        kinds.extend(self.slot.map(|(min, max)| Kind::Slot { min, max, packets, bytes }));
        kinds.extend(self.reject.map(|with| Kind::Reject {
            with: match with {
                Reject::TcpReset => RejectWith::TcpReset,
                Reject::PortUnreachable => RejectWith::PortUnreachable,
                Reject::HostUnreachable => RejectWith::HostUnreachable,
                Reject::AdminProhibited => RejectWith::AdminProhibited,
            },
        }));
        if self.reset {
            kinds.push(Kind::Reset {});
        }
        if !self.dns_fail.is_empty() {
            let answer = self.dns_answer.unwrap_or_default();
            kinds.push(Kind::Dns { names: self.dns_fail.clone(), answer });
        }
        Ok(kinds)
    }

    fn delay(&self) -> Result<Option<Kind>, String> {
        let latency = match (&self.latency, self.rtt) {
            (Some(latency), _) => latency.to,
            (None, Some(rtt)) => match self.direction {
                Way::Both => Span::new(rtt.duration() / 2).map_err(|error| error.to_string())?,
                Way::Egress | Way::Ingress => {
                    return Err("--rtt is there and back: with one --direction, write --latency".to_owned());
                }
            },
            (None, None) if self.jitter.is_some() => {
                return Err("a jitter varies a latency: add --latency or --rtt".to_owned());
            }
            (None, None) => return Ok(None),
        };
        Ok(Some(Kind::Delay {
            latency,
            jitter: self.jitter.as_ref().map(|jitter| jitter.to),
            correlation: self.jitter_correlation,
            distribution: self.distribution.clone(),
            allow_reorder: self.allow_reorder,
        }))
    }

    fn ramp(&self) -> Result<Option<Ramp>, String> {
        let percents =
            [&self.loss, &self.duplicate, &self.corrupt].into_iter().flatten().any(|value| value.grows);
        let spans = [&self.latency, &self.jitter].into_iter().flatten().any(|value| value.grows);
        let grows = percents || spans || self.rate.as_ref().is_some_and(|value| value.grows);
        let Some(over) = self.ramp else {
            return if grows { Err("two values are a ramp: add --ramp TIME".to_owned()) } else { Ok(None) };
        };
        let first = |value: &Option<Ramped<Percent>>| value.as_ref().and_then(|value| value.from);
        let correlation = None;
        let mut from = Vec::new();
        from.extend(first(&self.loss).map(|percent| Kind::Loss { percent, correlation }));
        let latency = self.latency.as_ref().and_then(|value| value.from);
        from.extend(latency.map(|latency| Kind::Delay {
            latency,
            jitter: self.jitter.as_ref().and_then(|value| value.from),
            correlation,
            distribution: None,
            allow_reorder: false,
        }));
        from.extend(first(&self.duplicate).map(|percent| Kind::Duplicate { percent, correlation }));
        from.extend(first(&self.corrupt).map(|percent| Kind::Corrupt { percent, correlation }));
        from.extend(self.rate.as_ref().and_then(|value| value.from).map(|rate| Kind::Rate { rate }));
        Ok(Some(Ramp { over, from }))
    }
}

#[cfg(test)]
mod tests;
