//! `serve --check-config`: all that is wrong with a configuration, as far as it can be told without running it. Nothing is touched.

use std::fmt;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use crate::access::{Handshakes, Tokens, TokensError};
use crate::config::{Config, ConfigError, DEFAULT_CONFIG};
use crate::resolve::circle;
use crate::trust;

/// Something that the agent would not start with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    pub file: PathBuf,
    /// From 1, where it is one line.
    pub line: Option<usize>,
    /// `policy.kinds`, where it is one key.
    pub key: Option<String>,
    /// What is wrong, and what to do.
    pub text: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        self.line.map_or(Ok(()), |line| write!(f, ":{line}"))?;
        self.key.iter().try_for_each(|key| write!(f, ": {key}"))?;
        write!(f, ": {}", self.text)
    }
}

/// Everything that is wrong with the configuration in a file, or in the default one; with flags of `serve` over it.
#[must_use]
pub fn mistakes(named: Option<&Path>, flags: impl FnOnce(&mut Config)) -> Vec<Mistake> {
    let file = named.unwrap_or(Path::new(DEFAULT_CONFIG)).to_owned();
    let about = |key: Option<&str>, text: String| Mistake {
        file: file.clone(),
        line: None,
        key: key.map(str::to_owned),
        text,
    };
    let text = match Config::text(named) {
        Ok(text) => text.unwrap_or_default(),
        Err(error) => return vec![about(None, error.to_string())],
    };
    let (config, wrong) = understood(&text);
    let mut found =
        wrong.into_iter().map(|wrong| Mistake { file: file.clone(), ..wrong }).collect::<Vec<_>>();
    let Some(mut config) = config else { return found };
    flags(&mut config);
    let lines = Lines(&text);
    let refused = refused(&config).into_iter();
    found.extend(refused.map(|(key, text)| Mistake { line: lines.of_key(key), ..about(Some(key), text) }));
    found
}

/// What is well-formed and must not be, each by its key.
fn refused(config: &Config) -> Vec<(&'static str, String)> {
    let told = |done: Result<(), ConfigError>| done.err().map(|error| error.to_string());
    let proof = |done: Result<(), TokensError>| done.err().map(|error| error.to_string());
    let circle = circle(&config.peers).map(|way| {
        format!("the names lead in a circle: {}; name addresses or other hosts", way.join(" -> "))
    });
    let probes = config.listen.map(|at| config.probes(at).map(drop));
    let [socket, state_dir] = [&config.socket, &config.state_dir].map(|path| trust::way_to(path).err());
    let state = config.state_dir.exists().then(|| trust::directory(&config.state_dir)).and_then(Result::err);
    let in_the_way = |path: &Path| {
        let there = std::fs::symlink_metadata(path).ok().filter(|there| !there.file_type().is_socket());
        there.map(|_| "there is something else than a socket; name another path".to_owned())
    };
    let of_file = proof(Tokens::read(config.token_file.as_deref(), &[]).map(drop));
    let of_entries = proof(Tokens::read(None, &config.tokens).map(drop));
    // That they differ can be told of those that can be read.
    let of_both = (of_file.is_none() && of_entries.is_none())
        .then(|| proof(Tokens::read(config.token_file.as_deref(), &config.tokens).map(drop)));
    let engine = |path: &PathBuf| in_the_way(&path.canonicalize().ok()?);
    [
        ("listen", told(config.check())),
        ("token_file", of_file),
        ("tokens", of_entries.or(of_both.flatten())),
        (
            "tls",
            config
                .tls
                .as_ref()
                .and_then(|files| Handshakes::of(files, true).err())
                .map(|error| error.to_string()),
        ),
        ("probe_port", probes.and_then(told)),
        ("peers", circle),
        ("socket", socket.map(|distrust| distrust.to_string()).or_else(|| in_the_way(&config.socket))),
        ("state_dir", state.or(state_dir).map(|distrust| distrust.to_string())),
        ("engines", config.engines.iter().find_map(engine)),
        ("fleet", config.fleet.as_ref().and_then(|fleet| fleet.proof().err()).map(|error| error.to_string())),
    ]
    .into_iter()
    .filter_map(|(key, text)| Some((key, text?)))
    .collect()
}

type Key<'a> = Spanned<DeString<'a>>;

/// What can be understood of a text, and what cannot; without its file.
fn understood(text: &str) -> (Option<Config>, Vec<Mistake>) {
    let lines = Lines(text);
    let (table, broken) = DeTable::parse_recoverable(text);
    if !broken.is_empty() {
        return (None, broken.iter().map(|error| lines.mistake(None, None, error)).collect());
    }
    let mut mistakes = Vec::new();
    let mut sound = table.get_ref().clone();
    for (key, value) in table.get_ref() {
        let Err(error) = read(alone(key, value.clone())) else { continue };
        sound.remove(key);
        let name = key.get_ref();
        let inner = value.get_ref().as_table().into_iter().flatten();
        let parts = inner.filter_map(|(part, value)| {
            let only = DeValue::Table(alone(part, value.clone()));
            let error = read(alone(key, Spanned::new(part.span(), only))).err()?;
            // A table that lacks something lacks it as a whole.
            let whole = error.message().starts_with("missing field");
            (!whole).then(|| lines.mistake(Some(format!("{name}.{}", part.get_ref())), Some(part), &error))
        });
        let parts = parts.collect::<Vec<_>>();
        if parts.is_empty() {
            mistakes.push(lines.mistake(Some(name.to_string()), Some(key), &error));
        }
        mistakes.extend(parts);
    }
    mistakes.sort_by_key(|mistake| mistake.line);
    (read(sound).ok(), mistakes)
}

fn alone<'a>(key: &Key<'a>, value: Spanned<DeValue<'a>>) -> DeTable<'a> {
    DeTable::from_iter([(key.clone(), value)])
}

fn read(table: DeTable<'_>) -> Result<Config, toml::de::Error> {
    Config::deserialize(toml::Deserializer::from(Spanned::new(0..0, table))).map(Config::fold_names)
}

/// Where something is in a text.
struct Lines<'a>(&'a str);

impl Lines<'_> {
    fn at(&self, offset: usize) -> usize {
        self.0.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
    }

    fn mistake(&self, name: Option<String>, key: Option<&Key<'_>>, error: &toml::de::Error) -> Mistake {
        // Of the value, where it is known: 0..0 is that of the table which was made for the key.
        let span = error.span().filter(|span| *span != (0..0)).or_else(|| key.map(Spanned::span));
        let hint = meant(error.message()).map(|hint| format!("; {hint}")).unwrap_or_default();
        Mistake {
            file: PathBuf::new(),
            line: span.map(|span| self.at(span.start)),
            key: name,
            text: format!("{}{hint}", error.message().trim_end().replace('\n', ", ")),
        }
    }

    /// Of a key or a table at the top.
    fn of_key(&self, key: &str) -> Option<usize> {
        let table = DeTable::parse(self.0).ok()?;
        let found = table.get_ref().keys().find(|found| found.get_ref() == key)?;
        Some(self.at(found.span().start))
    }
}

/// Which of the names that are expected was meant by the one that is not: `unknown field` and `unknown variant`, as serde words them.
#[must_use]
pub fn meant(message: &str) -> Option<String> {
    let rest = message.strip_prefix("unknown field ").or_else(|| message.strip_prefix("unknown variant "))?;
    let mut names = rest.split('`').skip(1).step_by(2);
    let unknown = names.next()?;
    let distance = |name: &str| strsim::damerau_levenshtein(unknown, name);
    let near = names.map(|name| (distance(name), name)).min()?;
    (near.0 <= near.1.len() / 3 + 1).then(|| format!("did you mean `{}`?", near.1))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn told(text: &str) -> Vec<String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let found = mistakes(Some(file.path()), |config| {
            // The usual ones may be there or not.
            if config.state_dir == Config::default().state_dir {
                config.state_dir = dir.path().to_owned();
            }
        });
        let name = format!("{}:", file.path().display());
        found.iter().map(|mistake| mistake.to_string().replace(&name, "").trim().to_owned()).collect()
    }

    #[test]
    fn the_shipped_example_has_none() {
        assert_eq!(told(include_str!("../../systemd/agent.toml")), [""; 0]);
        assert_eq!(told(""), [""; 0]);
    }

    #[test]
    fn every_mistake_is_told_with_its_line_and_key() {
        let text = "\
soket = '/x'
listen = '0.0.0.0:7433'
probe_port = 'no'

[policy]
longest = '31d'
kind = ['loss']
scopes = ['hots']
protected_ports = ['tcp/22',
  '23']
most_faults = 5

[peers]
good = ['10.0.0.1']
bad = ['10.0.0.300']

[fleet]
hosts = ['web-1', 'https://web-2']
tokenfile = '/t'
";
        let told = told(text);
        for (nth, (start, words)) in [
            ("1: soket: unknown field `soket`", "did you mean `socket`?"),
            ("3: probe_port: invalid type", "expected u16"),
            ("6: policy.longest:", "out of range"),
            ("7: policy.kind: unknown field `kind`", "did you mean `kinds`?"),
            ("8: policy.scopes: unknown variant `hots`", "did you mean `host`?"),
            ("9: policy.protected_ports:", "`23` is not a protected port"),
            ("15: peers.bad:", "neither an address"),
            ("18: fleet.hosts:", "`https://web-2` is no agent's address: write HOST or HOST:PORT"),
            ("19: fleet.tokenfile: unknown field", "did you mean `token_file`?"),
            ("2: listen: refusing to listen on 0.0.0.0:7433", "token_file"),
        ]
        .into_iter()
        .enumerate()
        {
            assert!(told[nth].starts_with(start) && told[nth].contains(words), "{nth}: {told:#?}");
        }
        assert_eq!(told.len(), 10, "{told:#?}");
    }

    #[test]
    fn what_is_no_toml_is_told_by_its_lines() {
        let told = told("socket = \n[policy]\nlongest = '1h\nmost_faults = 3\n");
        assert!(told.iter().any(|text| text.starts_with("1:")), "{told:?}");
        assert!(told.iter().any(|text| text.starts_with("3:")), "{told:?}");
    }

    #[test]
    fn files_that_it_names_are_looked_at() {
        let dir = tempfile::tempdir().unwrap();
        let [token, state, plain] = ["token", "state", "plain"].map(|name| dir.path().join(name));
        std::fs::write(&token, "short").unwrap();
        std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::write(&plain, "").unwrap();
        std::fs::create_dir(&state).unwrap();
        std::fs::set_permissions(&state, std::fs::Permissions::from_mode(0o777)).unwrap();
        let [token, state, plain] = [token, state, plain].map(|path| path.display().to_string());
        let told = told(&format!(
            "token_file = '{token}'\nstate_dir = '{state}'\nsocket = '{plain}'\nengines = ['{plain}']\n[peers]\na = ['b']\nb = ['a']\n\
             [fleet]\nhosts = ['web-1']\ntoken_file = '{token}'\n"
        ));
        for (line, words) in [
            ("1: token_file:", "has 5 bytes"),
            ("2: state_dir:", "chmod o-w"),
            ("3: socket:", "something else than a socket"),
            ("4: engines:", "something else than a socket"),
            ("5: peers:", "a -> b -> a"),
            ("8: fleet:", "has 5 bytes"),
        ] {
            assert!(
                told.iter().any(|text| text.starts_with(line) && text.contains(words)),
                "{line} {told:#?}"
            );
        }
        assert_eq!(told.len(), 6, "{told:#?}");
        let absent = mistakes(Some(Path::new("/nonexistent/agent.toml")), |_| {});
        assert!(absent[0].to_string().contains("No such file"), "{absent:?}");
    }

    #[test]
    fn a_token_is_none_of_the_others() {
        let dir = tempfile::tempdir().unwrap();
        let [one, other] = ["one", "other"].map(|name| {
            let path = dir.path().join(name);
            std::fs::write(&path, format!("the-word-of-{name}-of-them")).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            path.display().to_string()
        });
        for (name, file, reason) in [
            ("ci", &other, None),
            ("token", &other, Some("two tokens have the name `token`")),
            ("ci", &one, Some("`token` and `ci` are the same word")),
        ] {
            let told = told(&format!(
                "token_file = '{one}'\n[[tokens]]\nname = '{name}'\nfile = '{file}'\nrole = 'observe'\n"
            ));
            match reason {
                None => assert_eq!(told, [""; 0]),
                Some(words) => {
                    assert!(
                        told.len() == 1 && told[0].contains("tokens: ") && told[0].contains(words),
                        "{told:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn names_that_nobody_can_have_meant_are_not_guessed() {
        assert_eq!(meant("unknown field `frobnicate`, expected one of `socket`, `group`"), None);
        assert_eq!(meant("unknown field `grup`, expected `group`").as_deref(), Some("did you mean `group`?"));
        assert_eq!(meant("invalid type: string"), None);
    }
}
