//! `renew`: leases begin anew.

use std::process::ExitCode;

use crate::args::RenewArgs;
use crate::client::Access;
use crate::exit::Failure;
use crate::render;

/// Tries every fault that was named, whatever becomes of the others.
pub async fn run(access: Access, json: bool, args: RenewArgs) -> Result<ExitCode, Failure> {
    let client = access.client()?;
    let mut failed = false;
    let mut renewed = Vec::new();
    for id in &args.ids {
        match client.renew(id).await {
            Ok(fault) => renewed.push(fault),
            Err(Failure::Refused(problem)) => {
                render::complain(&problem);
                failed = true;
            }
            Err(failure) => return Err(failure),
        }
    }
    if json {
        render::json(&renewed)?;
    } else {
        renewed.iter().try_for_each(render::renewed)?;
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
