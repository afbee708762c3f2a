//! `history`: what is over.

use std::process::ExitCode;

use crate::args::HistoryArgs;
use crate::client::Access;
use crate::exit::Failure;
use crate::render;

pub async fn run(access: Access, json: bool, args: HistoryArgs) -> Result<ExitCode, Failure> {
    let over = access.client()?.history(args.limit).await?;
    if json {
        render::json(&over)?
    } else {
        render::history(&over)?
    }
    Ok(ExitCode::SUCCESS)
}
