//! `profiles`: the links that `inject --profile` knows, with their figures and where those come from.

use std::process::ExitCode;

use partition_agent_proto::PROFILES;
use serde_json::json;

use crate::exit::Failure;
use crate::render;

pub fn run(as_json: bool) -> Result<ExitCode, Failure> {
    if as_json {
        let profiles = PROFILES.map(|profile| {
            json!({"name": profile.name, "down": profile.down(), "up": profile.up(), "source": profile.source})
        });
        render::json(&profiles)?;
    } else {
        render::profiles(&PROFILES)?;
    }
    Ok(ExitCode::SUCCESS)
}
