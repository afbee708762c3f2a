//! `doctor`: what this kernel can do, told by the agent, or tried here where there is none.

use std::process::ExitCode;

use partition_agent_core::kernel::features::name;
use partition_agent_core::kernel::linux::Linux;
use partition_agent_core::kernel::{Kernel, coverage};
use partition_agent_proto::{Check, Feature};

use crate::client::Access;
use crate::exit::Failure;
use crate::{foreground, render};

pub async fn run(access: Access, json: bool) -> Result<ExitCode, Failure> {
    let client = access.client()?;
    let (kernel, features) = match client.info().await {
        Ok(info) => (info.kernel, info.features),
        Err(Failure::Unreachable { .. }) if !access.is_named() && foreground::is_possible() => here().await?,
        Err(failure) => return Err(failure),
    };
    if json {
        render::json(&features)?;
    } else {
        render::features(&kernel, &features)?;
        render::line("")?;
        render::coverage(&coverage(&features))?;
    }
    // The emulator stands in for netem, so one of the two is enough.
    let is = |feature: &&Feature, names: &[&str]| names.contains(&feature.name.as_str());
    let shapers = [name::IFB, name::NETEM, name::EMULATOR];
    let shapes =
        features.iter().filter(|feature| is(feature, &shapers[1..])).any(|f| f.check == Check::Works);
    let rest = features.iter().filter(|feature| !is(feature, &shapers));
    let works = shapes && rest.into_iter().all(|feature| feature.check == Check::Works);
    Ok(if works { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn here() -> Result<(String, Vec<Feature>), Failure> {
    let features = Linux::open()?.features().await;
    let kernel = nix::sys::utsname::uname()?.release().to_string_lossy().into_owned();
    Ok((kernel, features))
}
