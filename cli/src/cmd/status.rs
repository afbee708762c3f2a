//! `status`: what is in force.

use std::process::ExitCode;
use std::time::Duration;

use partition_agent_proto::{FaultId, ProblemCode};

use crate::args::StatusArgs;
use crate::client::{Access, Client};
use crate::exit::Failure;
use crate::render;

/// How often `--wait` asks.
const ASK: Duration = Duration::from_millis(250);

pub async fn run(access: Access, json: bool, args: StatusArgs) -> Result<ExitCode, Failure> {
    let client = access.client()?;
    if let Some(id) = &args.id {
        let fault = client.fault(id).await?;
        if json {
            render::json(&fault)?;
        } else {
            render::standing(&fault)?;
        }
        if args.wait {
            until_over(&client, id).await?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let mut faults = client.faults().await?;
    while args.wait && !faults.is_empty() {
        tokio::time::sleep(ASK).await;
        faults = client.faults().await?;
    }
    if json {
        render::json(&faults)?
    } else {
        render::faults(&faults)?
    }
    Ok(ExitCode::SUCCESS)
}

async fn until_over(client: &Client, id: &FaultId) -> Result<(), Failure> {
    loop {
        match client.fault(id).await {
            Ok(_) => tokio::time::sleep(ASK).await,
            Err(Failure::Refused(problem)) if problem.code == ProblemCode::NotFound => return Ok(()),
            Err(failure) => return Err(failure),
        }
    }
}
