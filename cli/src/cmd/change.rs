//! `change`: another deadline.

use std::process::ExitCode;

use crate::args::ChangeArgs;
use crate::client::Access;
use crate::exit::Failure;
use crate::render;

pub async fn run(access: Access, json: bool, args: ChangeArgs) -> Result<ExitCode, Failure> {
    let fault = access.client()?.change(&args.id, args.duration).await?;
    if json {
        render::json(&fault)?;
    } else {
        let left = render::remaining(fault.remaining_ms);
        render::line(&format!("{}: now ends in {left}, at {}, by the kernel", fault.id, fault.ends_at))?;
    }
    Ok(ExitCode::SUCCESS)
}
