//! Runs the sections of a page, each in a place of its own, from top to bottom.

use std::io::Read;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use harness::cgroup::Group as ControlGroup;
use harness::terminal::Terminal;
use harness::{has_tool, skip, text};
use nix::sys::signal::{Signal, killpg};

use crate::container::Container;
use crate::page::{Block, Command, Page, Section};
use crate::place::{Place, pid};
use crate::{elsewhere, printed};

/// For a command to end, or to print what it prints before Ctrl-C.
const PATIENCE: Duration = Duration::from_secs(60);

/// How many sections are run at a time: they wait more than they work.
const AT_ONCE: usize = 4;

/// What is there before a section's first command.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// An agent that runs.
    Agent,
    /// The same, which may enter other namespaces; a container `web`, and a unit `myapp` with a process.
    Namespaces,
    /// An agent, on a kernel without netem: the page shows one.
    WithoutNetem,
    /// No agent: the section starts one, or speaks of a host without.
    Nothing,
}

/// A page, and what its sections take that is not an agent.
pub struct Tour {
    pub page: &'static str,
    pub stages: &'static [(&'static str, Stage)],
    /// What a page calls a fleet is the one of `fleet.toml`. Without it, pages bring up labs of their own.
    pub fleet: bool,
}

impl Tour {
    /// # Panics
    /// With all that is not as the page says.
    pub fn go(&self) {
        let page = Page::read(self.page);
        for (heading, _) in self.stages {
            let known = page.sections.iter().any(|section| section.heading == *heading);
            assert!(known, "{}: there is no section `{heading}` any more", self.page);
        }
        let wanted = page.sections.iter().filter(|section| !section.blocks.is_empty()).collect::<Vec<_>>();
        assert!(!wanted.is_empty(), "{}: nothing to run", self.page);
        let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
        std::thread::scope(|scope| {
            for _ in 0..AT_ONCE {
                scope.spawn(|| {
                    while let Some(section) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let begun = Instant::now();
                        let found = self.section(section);
                        println!("{}: {}: {:.1?}", self.page, section.heading, begun.elapsed());
                        wrong.lock().unwrap_or_else(PoisonError::into_inner).extend(found);
                    }
                });
            }
        });
        let wrong = wrong.into_inner().unwrap_or_else(PoisonError::into_inner);
        assert!(wrong.is_empty(), "\n{}", wrong.join("\n\n"));
    }

    /// What is not as the section says.
    fn section(&self, section: &Section) -> Vec<String> {
        let stage = self.stages.iter().find(|(heading, _)| *heading == section.heading);
        let stage = stage.map_or(Stage::Agent, |(_, stage)| *stage);
        let commands = section.blocks.iter().any(|block| matches!(block, Block::Commands(_)));
        let settings = section.blocks.iter().any(|block| matches!(block, Block::Settings(_)));
        let mut wrong = Vec::new();
        for block in &section.blocks {
            if let Block::Else(text, line) = block {
                wrong.push(format!(
                    "{}:{line}: neither commands nor settings, so nobody checks it:\n{text}",
                    self.page
                ));
            }
        }
        let Some(place) = (commands || settings).then(Place::new).flatten() else { return wrong };
        if stage == Stage::WithoutNetem && place.has_netem() {
            skip("this kernel has netem, and the page shows one without");
            return wrong;
        }
        let mut stand = Stand { place: &place, tour: self, names: Vec::new(), _kept: None };
        stand.set(stage);
        let mut config = String::new();
        for block in &section.blocks {
            match block {
                Block::Commands(commands) => {
                    for command in commands {
                        if let Err(why) = stand.command(command) {
                            let log = place.log();
                            let log = log.lines().rev().take(5).collect::<Vec<_>>();
                            wrong.push(format!(
                                "{}:{}: $ {}\n{why}\nthe agent's log, latest first: {log:#?}",
                                self.page, command.line, command.text
                            ));
                        }
                    }
                }
                Block::Settings(more) => {
                    config.push_str(more);
                    place.configure(&config);
                }
                Block::Else(..) => {}
            }
        }
        // At the end, when all that they name has been made.
        if let (true, Err(why)) = (settings, stand.run("partition-agent serve --check-config", None)) {
            wrong.push(format!(
                "{}: {}: these settings are refused: {why}\n{config}",
                self.page, section.heading
            ));
        }
        wrong
    }
}

/// Where a section is run, with what its stage has.
struct Stand<'a> {
    place: &'a Place,
    tour: &'a Tour,
    /// What the page calls something that is the whole machine's, and what it is called here.
    names: Vec<(String, String)>,
    /// Gone with the section.
    _kept: Option<(Option<Container>, harness::lab::Running, ControlGroup)>,
}

impl Stand<'_> {
    fn set(&mut self, stage: Stage) {
        match stage {
            Stage::Agent | Stage::WithoutNetem => self.place.start_agent(),
            Stage::Nothing => {}
            Stage::Namespaces => {
                self.place.configure_more("namespaces = true\n");
                let container = Container::start();
                let group = ControlGroup::service();
                let running = group.spawn(self.place.app(), "exec sleep infinity");
                self.names.push(("--unit myapp".into(), format!("--unit {}", group.unit())));
                if let Some(container) = &container {
                    self.names.push(("--container web".into(), format!("--container {}", container.name)));
                    self.names.push(("docker exec web".into(), format!("docker exec {}", container.name)));
                }
                self._kept = Some((container, running, group));
                self.place.start_agent();
            }
        }
    }

    fn command(&self, command: &Command) -> Result<(), String> {
        if elsewhere::of(&command.text).is_some() {
            return Ok(());
        }
        if command.text.contains("--container web")
            && !self.names.iter().any(|(name, _)| name == "--container web")
        {
            // Said so by what found no Docker.
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
        if self.tour.fleet && is_of_a_fleet(typed) {
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
    fn run(&self, typed: &str, prints: Option<&[String]>) -> Result<(), String> {
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
