//! `[lab.NAME]` of a fleet file: what runs on hosts in a lab.

use partition_agent_proto::Span;
use partition_agent_proto::fleet::{Fleet, LinkEnd, Selector, is_name};
use serde::Deserialize;
use utoipa::ToSchema;

use super::values::Text;

/// A program on hosts of a lab.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabServer {
    /// The hosts that it runs on, each with one of its own; or what offers a service.
    pub on: LinkEnd,
    /// For `sh -c`.
    pub command: String,
    /// For `sh -c`: asked until it succeeds, and then the server is ready. None: as soon as it runs.
    pub ready: Option<String>,
    /// How long that may take.
    pub patience: Span,
}

/// A program on hosts of a lab. Its name is its key, and that of a service where it has no `on`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RawServer {
    /// The hosts that it runs on, each with one of its own; without it, those of the service of its name.
    #[schema(value_type = String, required = false, examples("@db"))]
    pub on: Option<Text<Selector>>,
    /// What to run, for `sh -c`.
    pub command: String,
    /// Asked with `sh -c` until it succeeds, and then the server is ready; without it, as soon as it runs.
    #[schema(value_type = String, required = false)]
    pub ready: Option<String>,
    /// How long that may take.
    #[serde(default = "usual_patience")]
    #[schema(default = "30s")]
    pub patience: Span,
}

fn usual_patience() -> Span {
    Span::from_secs(30)
}

impl LabServer {
    /// # Errors
    /// What is well-formed and makes no sense, with the key below the server's own that it is said of.
    pub(super) fn check(&self, name: &str, fleet: &Fleet) -> Result<(), (&'static str, String)> {
        if !is_name(name) {
            let what = format!("`{name}` cannot be a name: write letters, digits, and - _ . : in between");
            return Err(("", what));
        }
        if self.command.trim().is_empty() {
            return Err((".command", "nothing to run: write the command of the server".to_owned()));
        }
        if self.ready.as_ref().is_some_and(|ready| ready.trim().is_empty()) {
            let what =
                "nothing to ask: write a command that succeeds once the server is ready, or leave it out";
            return Err((".ready", what.to_owned()));
        }
        let Some(why) = fleet.why_no_end(&self.on) else { return Ok(()) };
        Err((".on", why))
    }
}
