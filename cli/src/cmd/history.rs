//! `history`: what is over, or who asked for what.

use std::process::ExitCode;

use crate::args::HistoryArgs;
use crate::client::Access;
use crate::exit::Failure;
use crate::render;

pub async fn run(access: Access, json: bool, args: HistoryArgs) -> Result<ExitCode, Failure> {
    if args.audit {
        let entries = access.client()?.audit(args.limit).await?;
        if json {
            render::json(&entries)?
        } else {
            render::audit::entries(&entries)?
        }
        return Ok(ExitCode::SUCCESS);
    }
    let over = access.client()?.history(args.limit).await?;
    if json {
        render::json(&over)?
    } else {
        render::history(&over)?
    }
    Ok(ExitCode::SUCCESS)
}
