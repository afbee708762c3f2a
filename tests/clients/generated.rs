//! The client that openapi-python-client generates, and the example of the documentation with it, on a real agent.

use std::path::{Path, PathBuf};
use std::process::Command;

use harness::agent::Agent;
use harness::fake_agent::write_token;
use harness::lab::{APP_TO_REDIS, Host, Lab, REDIS};
use harness::python::python;
use harness::text;
use partition_agent_proto::End;

const TOKEN: &str = "0123456789abcdef";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// As `docs/api.md` says, into this directory; nothing where the generator is not installed.
fn generate(dir: &Path) -> Option<String> {
    let mut generator = python()?;
    // It formats what it writes with ruff, which came with it.
    let path = std::env::var("PATH").unwrap();
    generator.env("PATH", format!("{}:{path}", root().join("target/tools/python/bin").display()));
    generator.args(["-m", "openapi_python_client", "generate", "--meta", "none", "--path"]);
    generator.arg(root().join("proto/openapi.json"));
    generator.arg("--config").arg(root().join("docs/clients/python.yaml"));
    let done = generator.arg("--output-path").arg(dir.join("partition_agent_client")).output().unwrap();
    let said = text(&done.stdout) + &text(&done.stderr);
    assert!(done.status.success(), "{said}");
    Some(said)
}

/// With the client that was generated in this directory, and what it needs.
fn with_client(dir: &Path) -> Command {
    let mut python = python().unwrap();
    let tools = root().join("target/tools/python");
    python.env("PYTHONPATH", std::env::join_paths([dir, &tools]).unwrap());
    python
}

fn every_module_is_read(dir: &Path) {
    let all = "import importlib, pkgutil, partition_agent_client as client\n\
               for module in pkgutil.walk_packages(client.__path__, 'partition_agent_client.'):\n  \
                   importlib.import_module(module.name)";
    let done = with_client(dir).args(["-c", all]).output().unwrap();
    assert!(done.status.success(), "{}", text(&done.stderr));
}

/// The example against an agent: what it prints.
fn run_example(host: &Host, dir: &Path, arguments: &[&str]) -> String {
    let mut example = with_client(dir);
    example.arg(root().join("docs/clients/example.py")).args(arguments);
    let done = host.run(|| example.output()).unwrap();
    assert!(done.status.success(), "{arguments:?}: {}{}", text(&done.stdout), text(&done.stderr));
    text(&done.stdout)
}

#[test]
fn a_generated_client_cuts_and_restores_by_tcp_and_the_unix_socket() {
    let dir = tempfile::tempdir().unwrap();
    let Some(said) = generate(dir.path()) else { return };
    assert!(!said.to_lowercase().contains("warning"), "{said}");
    let models = std::fs::read_dir(dir.path().join("partition_agent_client/models")).unwrap();
    for name in models.map(|model| model.unwrap().file_name().into_string().unwrap()) {
        // What the generator calls a type that has no name in the document.
        let is_made_up = ["_type_", "_item", "_response_"].iter().any(|part| name.contains(part));
        assert!(!is_made_up, "{name}");
    }
    every_module_is_read(dir.path());
    let lab = Lab::new();
    let token = dir.path().join("token");
    write_token(&token, TOKEN);
    let listen = format!("{APP_TO_REDIS}:7433");
    let agent = Agent::start(&lab.app, &format!("listen = '{listen}'\ntoken_file = '{}'\n", token.display()));
    let (tcp, token) = (format!("http://{listen}"), token.display().to_string());
    for (arguments, by) in [(vec![REDIS, &tcp, &token], "token"), (vec![REDIS, &agent.address()], "uid 0")] {
        let printed = run_example(&lab.app, dir.path(), &arguments);
        let over = &agent.history()[0];
        // The question, and maybe the answer of a ping before it.
        assert!((1..=2).contains(&over.hits.lost_packets), "{:?}: {printed}", over.hits);
        assert!(matches!(&over.end, End::Restored { who } if who.starts_with(by)), "{:?}", over.end);
        assert!(
            printed.contains("example is waiting") && printed.contains("refused, as it should be"),
            "{printed}"
        );
    }
    agent.until_idle(std::time::Duration::from_secs(10));
}
