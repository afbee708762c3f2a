//! How an agent asks the others of its fleet view: by the client of every verb.

use std::sync::Arc;

use partition_agent_core::fleet::{Answer, Ask, FleetConfig, Proof, Question};

use crate::client::{Client, Ways};
use crate::exit::Failure;

/// A client for each of them, over shared connections.
struct Members(Vec<Client>);

/// The client of the agents of a configuration.
pub fn client(config: &FleetConfig, proof: &Proof) -> Arc<dyn Ask> {
    let ways = Ways::of_agent(proof);
    Arc::new(Members(config.urls().into_iter().map(|url| Client::of(&ways, url)).collect()))
}

impl Ask for Members {
    fn ask(&self, nth: usize, question: Question) -> Answer {
        let client = self.0.get(nth).cloned();
        Box::pin(async move {
            let client = client.ok_or_else(|| "the configuration has no such agent".to_owned())?;
            client.shown(question).await.map_err(|failure| in_the_view(&failure, &client.address()))
        })
    }
}

/// Where the host is named already, and what to do would be about flags.
fn in_the_view(failure: &Failure, at: &str) -> String {
    match failure {
        Failure::Unreachable { why, .. } => why.clone(),
        Failure::Refused(problem) => format!("it refuses: {}", problem.detail),
        Failure::Usage(why) | Failure::Failed(why) => {
            why.strip_prefix(at).map_or_else(|| why.clone(), |rest| format!("it{rest}"))
        }
    }
}
