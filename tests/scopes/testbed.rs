//! `docs/deploy/compose`, as its first lines say how to use it: an agent from an image of nothing but itself, beside an app.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::{Duration, Instant};

use harness::docker::{Image, docker};
use harness::{has_tool, text};

use crate::compose::{alone, compose_program, redis_image};

struct Testbed {
    name: String,
    redis: Arc<Image>,
    agent: Image,
    compose: &'static [&'static str],
    _alone: File,
}

/// Where what people are to copy is.
fn deploy() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a source tree").join("docs/deploy")
}

impl Testbed {
    fn new() -> Option<Self> {
        let tools = ["docker", "redis-server", "redis-cli", "busybox", "strip"];
        let compose = compose_program();
        if !tools.iter().all(|tool| has_tool(tool)) || (compose.is_none() && !has_tool("docker-compose")) {
            return None;
        }
        let name = format!("patestbed{}", std::process::id());
        let agent = Image::agent(&format!("partition-agent-testbed:{}", std::process::id()));
        Some(Self { name, redis: redis_image(), agent, compose: compose?, _alone: alone() })
    }

    fn output(&self, words: &[&str]) -> Output {
        let [program, first @ ..] = self.compose else { unreachable!("a program") };
        Command::new(program)
            .args(first)
            .args(["--project-name", &self.name, "--file"])
            .arg(deploy().join("compose/compose.yml"))
            .args(words)
            .envs([("REDIS_IMAGE", &self.redis.0), ("AGENT_IMAGE", &self.agent.0)])
            .output()
            .expect("it can be started")
    }

    #[track_caller]
    fn run(&self, words: &[&str]) -> String {
        let output = self.output(words);
        assert!(output.status.success(), "{words:?}: {}{}", text(&output.stdout), text(&output.stderr));
        text(&output.stdout)
    }

    #[track_caller]
    fn agent(&self, words: &str) -> String {
        let exec = ["exec", "-T", "agent", "partition-agent"];
        self.run(&exec.into_iter().chain(words.split(' ')).collect::<Vec<_>>())
    }

    /// Whether the last thing that the app said, after this many lines, is a number.
    fn counts_after(&self, lines: usize) -> Option<bool> {
        let said = self.said();
        let last = said.get(lines..)?.iter().rev().find(|line| !line.contains("Terminated"))?;
        Some(last.trim().parse::<u64>().is_ok())
    }

    fn said(&self) -> Vec<String> {
        let said = self.run(&["logs", "--no-color", "app"]);
        let said = said.lines().filter_map(|line| line.split_once('|')).map(|(_, said)| said.to_owned());
        said.collect()
    }

    /// Until the app says what it should, and nothing that it said before counts.
    #[track_caller]
    fn wait(&self, counts: bool) {
        let before = self.said().len();
        let begun = Instant::now();
        while self.counts_after(before) != Some(counts) {
            // The app tries once a second, and for a second; containers on a busy machine take their time.
            assert!(
                begun.elapsed() < Duration::from_secs(60),
                "counts: not {counts}; it says {:?}",
                self.said()
            );
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

impl Drop for Testbed {
    fn drop(&mut self) {
        let _ = self.output(&["down", "--volumes"]);
    }
}

#[test]
fn the_compose_testbed_comes_up_cuts_heals_and_goes() {
    let Some(testbed) = Testbed::new() else { return };
    testbed.run(&["up", "-d", "--no-build"]);
    testbed.wait(true);
    // It has one capability, of the app's network, and is ready.
    let told = testbed.agent("inject --loss 100% --peer redis --for 10m --id cut");
    assert!(told.contains("confirmed"), "{told}");
    testbed.wait(false);
    testbed.agent("restore --all");
    testbed.wait(true);
    // Nobody else's network is touched: redis answers itself throughout.
    testbed.agent("inject --loss 100% --peer redis --for 10m --id again");
    testbed.wait(false);
    let redis = ["exec", "-T", "redis", "redis-cli", "-h", "127.0.0.1", "ping"];
    assert_eq!(testbed.run(&redis).trim(), "PONG");
    // Killed, its kernel heals; and it is nobody's business to have seen to it.
    testbed.run(&["kill", "-s", "KILL", "agent"]);
    testbed.wait(true);
    testbed.run(&["down", "--volumes"]);
    let left =
        docker(&["ps", "-aq", "--filter", &format!("label=com.docker.compose.project={}", testbed.name)]);
    assert_eq!(left.trim(), "");
}
