//! `doctor`: what this kernel can do, told by the agent, or tried here where there is none.

use std::process::ExitCode;

use partition_agent_core::kernel::Kernel;
use partition_agent_core::kernel::linux::Linux;
use partition_agent_proto::{Check, Feature};

use crate::client::{AgentAddress, Client};
use crate::exit::Failure;
use crate::{foreground, render};

pub async fn run(agent: Option<AgentAddress>, json: bool) -> Result<ExitCode, Failure> {
    let named = agent.is_some();
    let client = Client::new(agent)?;
    let (kernel, features) = match client.info().await {
        Ok(info) => (info.kernel, info.features),
        Err(Failure::Unreachable { .. }) if !named && foreground::is_possible() => here().await?,
        Err(failure) => return Err(failure),
    };
    if json {
        render::json(&features)?;
    } else {
        render::features(&kernel, &features)?;
    }
    let works = features.iter().all(|feature| feature.check == Check::Works);
    Ok(if works { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn here() -> Result<(String, Vec<Feature>), Failure> {
    let features = Linux::open()?.features().await;
    let kernel = nix::sys::utsname::uname()?.release().to_string_lossy().into_owned();
    Ok((kernel, features))
}
