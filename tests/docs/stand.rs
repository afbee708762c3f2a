//! Somebody in front of a place, who types what a page says and compares what is printed.

use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use harness::cgroup::Group as ControlGroup;
use harness::lab::Running;
use harness::terminal::Terminal;
use harness::{has_tool, text};
use nix::sys::signal::{Signal, killpg};

use crate::container::Container;
use crate::page::Command;
use crate::place::{Place, pid};
use crate::run::Stage;
use crate::{elsewhere, printed};

/// For a command to end, or to print what it prints before Ctrl-C.
const PATIENCE: Duration = Duration::from_secs(60);

/// As the pages name a container.
const CONTAINER: &str = "--container web";

/// Where a section is run, with what its stage has.
pub struct Stand<'a> {
    place: &'a Place,
    /// Whether what the page calls a fleet is the one of `fleet.toml`.
    fleet: bool,
    /// What the page calls something that is the whole machine's, and what it is called here.
    names: Vec<(String, String)>,
    /// Gone with the section.
    kept: Option<(Option<Container>, Running, ControlGroup)>,
    /// The container that its commands are about is not there, which was said so: nothing more of the section is run.
    over: bool,
}

impl<'a> Stand<'a> {
    /// With all that the stage says.
    pub fn new(place: &'a Place, fleet: bool, stage: Stage) -> Self {
        let mut stand = Self { place, fleet, names: Vec::new(), kept: None, over: false };
        match stage {
            Stage::Agent | Stage::WithoutNetem => place.start_agent(),
            Stage::Nothing => {}
            Stage::Namespaces => {
                place.configure_more("namespaces = true\n");
                let container = Container::start();
                let group = ControlGroup::service();
                let running = group.spawn(place.app(), "exec sleep infinity");
                stand.names.push(("--unit myapp".into(), format!("--unit {}", group.unit())));
                if let Some(container) = &container {
                    stand.names.push((CONTAINER.into(), format!("--container {}", container.name)));
                }
                stand.kept = Some((container, running, group));
                place.start_agent();
            }
        }
        stand
    }

    /// # Errors
    /// What is not as the page says.
    pub fn command(&mut self, command: &Command) -> Result<(), String> {
        let without = matches!(self.kept, Some((None, ..)));
        self.over |= without && command.text.contains(CONTAINER);
        if self.over || elsewhere::of(&command.text).is_some() {
            return Ok(());
        }
        let bare = command.text.split(" #").next().unwrap_or_default().trim();
        if let Some(words) = bare.strip_prefix("systemctl ") {
            self.place.systemctl(&words.split_whitespace().collect::<Vec<_>>());
            return Ok(());
        }
        if let (Some(file), Some(lines)) = (bare.strip_prefix("cat "), &command.prints) {
            // The reader's own, as the page shows it.
            let file = self.place.work().join(file);
            if !file.exists() {
                return std::fs::write(file, lines.join("\n") + "\n").map_err(|error| error.to_string());
            }
        }
        let shells = [("# in ~/.zshrc", "zsh"), ("config.fish", "fish")];
        if shells.iter().any(|(file, shell)| command.text.contains(file) && !has_tool(shell)) {
            return Ok(());
        }
        let mut typed = command.text.clone();
        for (name, here) in &self.names {
            typed = typed.replace(name, here);
        }
        match &command.prints {
            Some(lines) if bare.starts_with("partition-agent watch") => self.watch(&typed, lines),
            lines => self.run(&typed, lines.as_deref()),
        }
    }

    fn words(&self, typed: &str) -> Vec<String> {
        if self.fleet && is_of_a_fleet(typed) {
            return self.place.enter_fleet(typed);
        }
        // By the shell whose file the page says that it belongs into.
        let shell = if typed.contains("# in ~/.zshrc") {
            format!("zsh -fc 'autoload -Uz compinit; compinit -u; {typed}\n'")
        } else if typed.contains("config.fish") {
            format!("fish -c '{typed}\n'")
        } else {
            typed.to_owned()
        };
        self.place.enter(&shell)
    }

    /// `^C` in what it prints is pressed there. Without anything, it must succeed; and one that stays is ended the same way.
    pub fn run(&self, typed: &str, prints: Option<&[String]>) -> Result<(), String> {
        let stays = prints.is_none() && typed.contains("--lease") && !typed.contains("--no-wait");
        let until = match prints {
            Some(lines) => lines.iter().position(|line| line == "^C"),
            None => stays.then_some(1),
        };
        let mut group = self.place.start(&self.words(typed));
        let mut pipe = group.0.stdout.take().expect("piped");
        let heard = Arc::new(Mutex::new(Vec::new()));
        let ear = Arc::clone(&heard);
        let listener = std::thread::spawn(move || {
            let mut some = [0; 4096];
            while let Ok(count) = pipe.read(&mut some) {
                if count == 0 {
                    break;
                }
                ear.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&some[..count]);
            }
        });
        let so_far = || -> Vec<String> {
            let heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
            text(&heard).lines().map(str::to_owned).collect()
        };
        let (begun, mut pressed) = (Instant::now(), false);
        let status = loop {
            if let Some(status) = group.0.try_wait().expect("a child") {
                break status;
            }
            if let (false, Some(until)) = (pressed, until) {
                let (said, expected) = (so_far(), prints.map(|lines| &lines[..until]));
                let is_there = match expected {
                    Some(expected) => printed::same(expected, &said),
                    None => said.iter().any(|line| line.contains("Ctrl-C")),
                };
                if is_there {
                    killpg(pid(&group.0), Signal::SIGINT).map_err(|error| error.to_string())?;
                    pressed = true;
                }
            }
            if begun.elapsed() > PATIENCE {
                return Err(format!(
                    "it has not ended after {PATIENCE:?}; it has printed\n{}",
                    so_far().join("\n")
                ));
            }
            std::thread::sleep(Duration::from_millis(10));
        };
        drop(group);
        listener.join().expect("it ends with the pipe");
        let said = so_far();
        match prints {
            Some(lines) => {
                let lines = lines.iter().filter(|line| *line != "^C").cloned().collect::<Vec<_>>();
                if printed::same(&lines, &said) {
                    return Ok(());
                }
                let shown = |lines: &[String]| {
                    lines.iter().map(|line| printed::steady(line)).collect::<Vec<_>>().join("\n  ")
                };
                Err(format!(
                    "the page says that it prints\n  {}\nand it prints\n  {}",
                    shown(&lines),
                    shown(&said)
                ))
            }
            None if status.success()
                && (said.iter().all(|line| !line.contains("verdict "))
                    || said.iter().any(|line| line.contains("verdict   confirmed"))) =>
            {
                Ok(())
            }
            None => Err(format!("{status}; it prints\n  {}", said.join("\n  "))),
        }
    }

    /// On a terminal, until all that the page shows is on it.
    fn watch(&self, typed: &str, lines: &[String]) -> Result<(), String> {
        if !has_tool("tmux") {
            return Ok(());
        }
        let words = self.words(typed);
        let words = words.iter().map(String::as_str).collect::<Vec<_>>();
        let dir = self.place.dir().display().to_string();
        let terminal = Terminal::start((96, 24), &words, &[("XDG_RUNTIME_DIR", &dir)]);
        let begun = Instant::now();
        loop {
            let screen = terminal.screen();
            let is_there = |line: &&String| screen.lines().any(|shown| printed::alike(line, shown));
            let missing = lines.iter().filter(|line| !is_there(line)).cloned().collect::<Vec<_>>();
            if missing.is_empty() {
                terminal.press("q");
                return Ok(());
            }
            if begun.elapsed() > PATIENCE {
                return Err(format!("not on the screen:\n{}\nit is\n{screen}", missing.join("\n")));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Whether it is asked where the fleet is known.
fn is_of_a_fleet(typed: &str) -> bool {
    let verbs = ["partition-agent partition ", "partition-agent matrix"];
    typed.contains(" --on ") || typed.contains(" --link ") || verbs.iter().any(|verb| typed.starts_with(verb))
}
