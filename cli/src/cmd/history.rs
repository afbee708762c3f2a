//! `history`: what is over.

use std::process::ExitCode;

use crate::args::HistoryArgs;
use crate::client::{AgentAddress, Client};
use crate::exit::Failure;
use crate::render;

pub async fn run(agent: Option<AgentAddress>, json: bool, args: HistoryArgs) -> Result<ExitCode, Failure> {
    let over = Client::new(agent)?.history(args.limit).await?;
    if json {
        render::json(&over)?
    } else {
        render::history(&over)?
    }
    Ok(ExitCode::SUCCESS)
}
