//! `doctor`: what this kernel can do, told by the agent, or tried here where there is none.

use std::process::ExitCode;

use partition_agent_core::kernel::linux::Linux;
use partition_agent_core::kernel::{Kernel, coverage};
use partition_agent_core::plan::Need;
use partition_agent_proto::{Check, Coverage, Feature};
use serde::Serialize;

use crate::client::Access;
use crate::exit::Failure;
use crate::{foreground, render};

/// What `--json` prints.
#[derive(Serialize)]
struct Findings {
    kernel: String,
    features: Vec<Feature>,
    coverage: Vec<Coverage>,
}

pub async fn run(access: Access, json: bool) -> Result<ExitCode, Failure> {
    let client = access.client()?;
    let found = match client.info().await {
        Ok(info) => Findings { kernel: info.kernel, features: info.features, coverage: info.coverage },
        Err(Failure::Unreachable { .. }) if !access.is_named() && foreground::is_possible() => here().await?,
        Err(failure) => return Err(failure),
    };
    if json {
        render::json(&found)?;
    } else {
        render::features(&found.kernel, &found.features)?;
        render::line("")?;
        render::coverage(&found.coverage)?;
    }
    // The emulator stands in for netem, so one of the two is enough.
    let is = |feature: &&Feature, needs: &[Need]| needs.iter().any(|need| need.name() == feature.name);
    let shapers = [Need::Ifb, Need::Netem, Need::Emulator];
    let works = |feature: &Feature| feature.check == Check::Works;
    let shapes = found.features.iter().filter(|feature| is(feature, &shapers[1..])).any(works);
    let mut rest = found.features.iter().filter(|feature| !is(feature, &shapers));
    let works = shapes && rest.all(works);
    Ok(if works { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn here() -> Result<Findings, Failure> {
    let features = Linux::open()?.features().await;
    let kernel = nix::sys::utsname::uname()?.release().to_string_lossy().into_owned();
    Ok(Findings { kernel, coverage: coverage(&features), features })
}
