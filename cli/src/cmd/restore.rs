//! `restore`: some, or all.

use std::process::ExitCode;

use crate::args::RestoreArgs;
use crate::client::Access;
use crate::exit::Failure;
use crate::render;
use partition_agent_proto::State;

/// Tries every fault that was named, whatever becomes of the others.
pub async fn run(access: Access, json: bool, args: RestoreArgs) -> Result<ExitCode, Failure> {
    let client = access.client()?;
    let mut failed = false;
    let mut restored = Vec::new();
    if args.all {
        restored = client.restore_all(None).await?;
    }
    for id in &args.ids {
        match client.restore(id, None).await {
            Ok(fault) => restored.push(fault),
            Err(Failure::Refused(problem)) => {
                render::complain(&problem);
                failed = true;
            }
            Err(failure) => return Err(failure),
        }
    }
    failed |= restored.iter().any(|fault| fault.state == State::Stuck);
    if json {
        render::json(&restored)?;
    } else if args.all && restored.is_empty() {
        render::line("no faults")?;
    } else {
        restored.iter().try_for_each(render::restored)?;
    }
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
