//! `change`: another deadline.

use std::process::ExitCode;

use crate::args::ChangeArgs;
use crate::client::{AgentAddress, Client};
use crate::exit::Failure;
use crate::render;

pub async fn run(agent: Option<AgentAddress>, json: bool, args: ChangeArgs) -> Result<ExitCode, Failure> {
    let fault = Client::new(agent)?.change(&args.id, args.duration).await?;
    if json {
        render::json(&fault)?;
    } else {
        let left = render::remaining(fault.remaining_ms);
        render::line(&format!("{}: now ends in {left}, at {}, by the kernel", fault.id, fault.ends_at))?;
    }
    Ok(ExitCode::SUCCESS)
}
