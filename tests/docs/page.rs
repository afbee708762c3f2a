//! A page of the documentation: its sections, what is in their blocks, and its links.

use std::path::{Path, PathBuf};

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// What a command of a block begins with where the block has no `$`.
const PROGRAMS: [&str; 22] = [
    "cargo",
    "cat",
    "chmod",
    "chown",
    "curl",
    "docker",
    "dpkg",
    "install",
    "ip",
    "journalctl",
    "nft",
    "openssl",
    "partition-agent",
    "redis-cli",
    "sleep",
    "source",
    "ssh",
    "systemctl",
    "systemd-sysusers",
    "systemd/package",
    "tests/run",
    "usermod",
];

pub struct Page {
    pub sections: Vec<Section>,
    /// Where each link and picture leads, with its line.
    pub links: Vec<(String, usize)>,
    /// What is in `backticks` in the first column of a table, with its line.
    pub quotes: Vec<(String, usize)>,
}

/// From one heading to the next, of whatever level.
pub struct Section {
    pub heading: String,
    pub blocks: Vec<Block>,
}

pub enum Block {
    Commands(Vec<Command>),
    /// Of the agent's configuration.
    Settings(String),
    /// Neither; with its line.
    Else(String, usize),
}

pub struct Command {
    /// As the shell is given it; several lines, where it has several.
    pub text: String,
    /// What the page says that it prints, where it says so.
    pub prints: Option<Vec<String>>,
    pub line: usize,
}

/// The top of the source tree.
pub fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a source tree").to_owned()
}

impl Page {
    /// By its path from the top.
    pub fn read(path: &str) -> Self {
        let text =
            std::fs::read_to_string(top().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        let mut page = Self { sections: Vec::new(), links: Vec::new(), quotes: Vec::new() };
        let (mut heading, mut block) = (None::<String>, None::<(String, usize)>);
        // The first column is 1.
        let mut column = 0;
        for (event, at) in Parser::new_ext(&text, Options::ENABLE_TABLES).into_offset_iter() {
            let line = text[..at.start].lines().count()
                + usize::from(text[..at.start].ends_with('\n') || at.start == 0);
            match event {
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => {
                    let heading = heading.take().expect("it began");
                    page.sections.push(Section { heading, blocks: Vec::new() });
                }
                Event::Start(Tag::CodeBlock(kind)) => {
                    // The offset of an indented block is behind its indentation, that of a fence before the fence.
                    let fenced = matches!(kind, CodeBlockKind::Fenced(_));
                    block = Some((String::new(), line + usize::from(fenced)));
                }
                Event::End(TagEnd::CodeBlock) => {
                    let (text, line) = block.take().expect("it began");
                    let section = page.sections.last_mut().expect("a page begins with a heading");
                    section.blocks.push(Block::read(&text, line));
                }
                Event::Start(Tag::TableRow | Tag::TableHead) | Event::End(TagEnd::Table) => column = 0,
                Event::Start(Tag::TableCell) => column += 1,
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    page.links.push((dest_url.to_string(), line));
                }
                Event::Text(text) => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&text);
                    }
                    if let Some((block, _)) = &mut block {
                        block.push_str(&text);
                    }
                }
                Event::Code(text) => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&text);
                    }
                    if column == 1 {
                        page.quotes.push((text.to_string(), line));
                    }
                }
                _ => {}
            }
        }
        page
    }

    /// All of its commands.
    pub fn commands(&self) -> impl Iterator<Item = &Command> {
        let blocks = self.sections.iter().flat_map(|section| &section.blocks);
        let lists = blocks.filter_map(|block| match block {
            Block::Commands(commands) => Some(commands),
            Block::Settings(_) | Block::Else(..) => None,
        });
        lists.flatten()
    }
}

impl Block {
    fn read(text: &str, line: usize) -> Self {
        let lines = (line..).zip(text.lines());
        if text.lines().any(|line| line.starts_with("$ ")) {
            return session(lines).map_or_else(|| Self::Else(text.to_owned(), line), Self::Commands);
        }
        let commands = script(lines);
        let is_command = |command: &Command| {
            command.text.split_whitespace().next().is_some_and(|first| PROGRAMS.contains(&first))
        };
        if commands.iter().all(is_command) {
            Self::Commands(commands)
        } else if text.parse::<toml::Table>().is_ok() {
            Self::Settings(text.to_owned())
        } else {
            Self::Else(text.to_owned(), line)
        }
    }
}

/// Commands after `$`, each with what it prints. None, where something is before the first.
fn session<'a>(lines: impl Iterator<Item = (usize, &'a str)>) -> Option<Vec<Command>> {
    let mut commands = Vec::<Command>::new();
    for (line, text) in lines {
        let last = commands.last_mut();
        match (text.strip_prefix("$ "), last) {
            // It shows commands of its own.
            (Some(_), Some(demo)) if demo.text == "partition-agent demo" => {
                demo.prints.get_or_insert_default().push(text.to_owned());
            }
            (Some(command), _) => {
                let text = command.to_owned();
                commands.push(Command { text, prints: Some(Vec::new()), line });
            }
            (None, Some(command)) => command.prints.get_or_insert_default().push(text.to_owned()),
            (None, None) => return None,
        }
    }
    Some(commands)
}

/// A command on each line, but for those that go on in the next (`\`) and here-documents.
fn script<'a>(lines: impl Iterator<Item = (usize, &'a str)>) -> Vec<Command> {
    let mut commands = Vec::<Command>::new();
    let mut ends = None::<String>;
    let mut goes_on = false;
    for (line, text) in lines {
        if ends.is_some() || goes_on {
            let command = commands.last_mut().expect("it began");
            command.text.push('\n');
            command.text.push_str(text);
            if ends.as_deref() == Some(text) {
                ends = None;
            }
        } else if !text.is_empty() {
            commands.push(Command { text: text.to_owned(), prints: None, line });
        }
        if ends.is_none() {
            ends = text.split_once("<<").map(|(_, word)| word.trim_matches('\'').to_owned());
        }
        goes_on = ends.is_none() && (text.ends_with('\\') || text.ends_with('|'));
    }
    commands
}
