//! The agents that a command is for.

use partition_agent_proto::FaultSpec;

use crate::client::Client;

/// One host of the fleet, and the way to its agent.
#[derive(Clone)]
pub struct Member {
    pub name: String,
    pub client: Client,
}

/// A host, and what is to happen there.
#[derive(Clone)]
pub struct Order {
    pub member: Member,
    pub spec: FaultSpec,
}

impl AsRef<Member> for Member {
    fn as_ref(&self) -> &Member {
        self
    }
}

impl AsRef<Member> for Order {
    fn as_ref(&self) -> &Member {
        &self.member
    }
}
