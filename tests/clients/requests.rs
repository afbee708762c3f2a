//! Requests that schemathesis makes of the document, thousands of them, sensible and not: whether each answer is one that the document
//! promises, and none an error of the agent's. `schemathesis.toml` says what is checked, and what not and why.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use harness::fake_agent::{FakeAgent, Options};
use harness::lab::Lab;
use harness::python::python;
use harness::text;
use partition_agent_proto::{FaultSpec, Kind};
use serde_json::Value;

const TOKEN: &str = "0123456789abcdef";

/// With the token, or without.
enum Who {
    Known,
    Stranger,
}

/// Whether it found nothing, and what it says.
struct Found {
    nothing: bool,
    report: String,
}

/// An agent on the kernel in memory, and whoever asks it: in a namespace, because it probes whatever it is told to probe.
struct Asked {
    lab: Lab,
    agent: FakeAgent,
}

impl Asked {
    fn new() -> Self {
        let lab = Lab::new();
        let options = Options { token: Some(TOKEN), ..Options::default() };
        let agent = lab.app.run(|| FakeAgent::with(options));
        Self { lab, agent }
    }

    /// Nothing where schemathesis is not installed.
    fn find(&self, who: Who, document: &Path, more: &[&str]) -> Option<Found> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients");
        let mut command = python()?;
        let configuration = match who {
            Who::Known => {
                let kinds = Kind::examples().into_iter().map(|(_, kind)| kind).collect::<Vec<_>>();
                command.env("PA_KINDS", serde_json::to_string(&kinds).unwrap());
                command.env("SCHEMATHESIS_HOOKS", here.join("hooks.py")).env("PA_TOKEN", TOKEN);
                "schemathesis.toml"
            }
            Who::Stranger => "stranger.toml",
        };
        command.args(["-m", "schemathesis.cli", "--config-file"]).arg(here.join(configuration));
        command.arg("run").arg(document).args(["--url", &format!("http://{}", self.agent.tcp)]).args(more);
        // Whatever it writes down, it writes here.
        let dir = tempfile::tempdir().unwrap();
        let done = self.lab.app.run(|| command.current_dir(dir.path()).output()).unwrap();
        Some(Found { nothing: done.status.success(), report: text(&done.stdout) + &text(&done.stderr) })
    }

    /// What has been injected.
    fn faults(&self) -> Vec<FaultSpec> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let keeper = &self.agent.keeper;
        let (standing, over) =
            runtime.block_on(async { (keeper.list().await, keeper.history(10_000).await) });
        let standing = standing.unwrap().into_iter().map(|fault| fault.spec);
        standing.chain(over.unwrap().into_iter().map(|fault| fault.spec)).collect()
    }
}

fn published() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto/openapi.json")
}

#[test]
fn every_answer_is_one_that_the_document_promises() {
    let asked = Asked::new();
    let examples = std::env::var("PA_EXAMPLES").unwrap_or_else(|_| "20".to_owned());
    let Some(found) = asked.find(Who::Known, &published(), &["--max-examples", &examples]) else { return };
    assert!(found.nothing, "{}", found.report);
    // Not because everything was refused.
    let faults = asked.faults();
    let kinds = faults.iter().flat_map(|fault| fault.kinds.iter().map(Kind::name)).collect::<BTreeSet<_>>();
    assert!(faults.len() > 50 && kinds.len() > 6, "{} faults: {kinds:?}", faults.len());
}

#[test]
fn whoever_has_no_token_is_told_so_whatever_they_ask() {
    let asked = Asked::new();
    let Some(found) = asked.find(Who::Stranger, &published(), &[]) else { return };
    assert!(found.nothing, "{}", found.report);
    assert!(asked.agent.is_untouched() && asked.faults().is_empty());
}

/// What makes and takes back faults by the examples of the document.
const FEW: [&str; 4] = ["--include-path", "/v1/faults", "--phases", "examples"];

#[test]
fn a_document_that_is_not_true_is_found_out() {
    let asked = Asked::new();
    let mut document = serde_json::from_str::<Value>(&std::fs::read_to_string(published()).unwrap()).unwrap();
    document["paths"]["/v1/faults"]["post"]["responses"].as_object_mut().unwrap().remove("201").unwrap();
    let file = tempfile::NamedTempFile::with_suffix(".json").unwrap();
    std::fs::write(file.path(), document.to_string()).unwrap();
    let Some(found) = asked.find(Who::Known, file.path(), &FEW) else { return };
    assert!(!found.nothing && found.report.contains("Undocumented status code"), "{}", found.report);
}

#[test]
fn an_agent_that_fails_is_found_out() {
    let asked = Asked::new();
    asked.agent.world().refuse_apply = Some(0);
    let Some(found) = asked.find(Who::Known, &published(), &FEW) else { return };
    assert!(!found.nothing && found.report.contains("Server error"), "{}", found.report);
}
