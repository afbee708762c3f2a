//! Probes: exactly one question each, with what goes with it.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use partition_agent_proto::{Host, Peer};

use super::environment::{Environment, filled};
use super::got::{Got, Named};
use super::model::{Ask, Comparison, Probe};
use super::raw::{Lasting, RawComparison, RawJson, RawProbe, Status};
use super::values::{Least, length, some, url};
use crate::fleet::Text;
use crate::gameday::probe::{Dial, JsonPath};
use crate::mistakes::Mistakes;

/// The keys that ask; one of them makes a probe.
pub const QUESTIONS: [&str; 8] =
    ["http", "tcp", "dns", "command", "prometheus", "redis", "postgresql", "nats"];

/// Keys that say something of the answers to some of the questions only.
pub const GOES_WITH: [(&str, &[&str]); 12] = [
    ("status", &["http"]),
    ("headers", &["http", "prometheus"]),
    ("body", &["http"]),
    ("json", &["http"]),
    ("server", &["dns"]),
    ("stdout", &["command"]),
    ("query", &["prometheus"]),
    ("equals", &["prometheus"]),
    ("not", &["prometheus"]),
    ("above", &["prometheus"]),
    ("below", &["prometheus"]),
    ("password", &["redis"]),
];

/// What a text can be compared by.
pub const COMPARISONS: [&str; 5] = ["equals", "not", "contains", "above", "below"];

const EVERY: Duration = Duration::from_secs(1);
const TIMEOUT: Duration = Duration::from_secs(2);

/// What is asked more often than that is in its own way.
const SHORTEST_EVERY: Duration = Duration::from_millis(100);

/// Checks one probe, and tells what is wrong in its name.
pub struct Checker<'a> {
    pub name: &'a str,
    /// Where it begins.
    pub line: u64,
    /// Of the file.
    pub directory: &'a Path,
    pub environment: Environment<'a>,
    pub mistakes: &'a mut Mistakes,
}

impl Checker<'_> {
    fn wrong(&mut self, line: u64, what: &str) {
        self.mistakes.add(line, format!("probe {}: {what}", self.name));
    }

    /// None, if something is wrong with it.
    pub fn probe(mut self, raw: RawProbe) -> Option<Probe> {
        let before = self.mistakes.len();
        let every = self.every(&raw.every);
        let key = format!("probe {}: timeout", self.name);
        let timeout = length(&key, raw.timeout.clone(), TIMEOUT, Least::Something, self.mistakes);
        let from = raw
            .from
            .clone()
            .there()
            .and_then(|from| self.some("from", from))
            .map(|from| from.to_ascii_lowercase());
        let asked = self.question(&raw)?;
        self.belongs(&raw, asked);
        let ask = self.ask(raw, asked)?;
        (self.mistakes.len() == before).then_some(Probe { ask, from, every, timeout })
    }

    fn every(&mut self, every: &Got<Text<Lasting>>) -> Duration {
        let Got::There(line, Text(Lasting(every))) = every else { return EVERY };
        if *every < SHORTEST_EVERY {
            self.wrong(*line, "every: write 100ms at least");
        }
        *every
    }

    fn question(&mut self, raw: &RawProbe) -> Option<&'static str> {
        let lines = [
            raw.http.line(),
            raw.tcp.line(),
            raw.dns.line(),
            raw.command.line(),
            raw.prometheus.line(),
            raw.redis.line(),
            raw.postgresql.line(),
            raw.nats.line(),
        ];
        let asked = QUESTIONS.into_iter().zip(lines).filter_map(|(key, line)| Some((key, line?)));
        match asked.collect::<Vec<_>>().as_slice() {
            [] => {
                self.wrong(self.line, &format!("it asks nothing: write one of {}", QUESTIONS.join(", ")));
                None
            }
            [(asked, _)] => Some(*asked),
            [(one, _), (other, line), ..] => {
                self.wrong(*line, &format!("{one} and {other} are two questions: make a probe of each"));
                None
            }
        }
    }

    /// Keys that say nothing of what is asked.
    fn belongs(&mut self, raw: &RawProbe, asked: &str) {
        let lines = [
            raw.status.line(),
            raw.headers.line(),
            raw.body.line(),
            raw.json.line(),
            raw.server.line(),
            raw.stdout.line(),
            raw.query.line(),
            raw.equals.line(),
            raw.not.line(),
            raw.above.line(),
            raw.below.line(),
            raw.password.line(),
        ];
        for ((key, with), line) in GOES_WITH.into_iter().zip(lines) {
            if let Some(line) = line
                && !with.contains(&asked)
            {
                let with = with.join(" and ");
                self.wrong(line, &format!("{key} goes with {with}, and this one asks {asked}: leave it out"));
            }
        }
    }

    fn ask(&mut self, raw: RawProbe, asked: &str) -> Option<Ask> {
        let at = |this: &mut Self, key: &str, place: Got<String>| this.place(key, place.there()?);
        match asked {
            "http" => self.http(raw),
            "tcp" => at(self, "tcp", raw.tcp).map(Ask::Tcp),
            "dns" => self.dns(raw.dns.there()?, raw.server),
            "command" => {
                let command = self.some("command", raw.command.there()?)?;
                let stdout =
                    raw.stdout.there().and_then(|(line, stdout)| self.comparison(line, "stdout", stdout));
                Some(Ask::Command { command, stdout, directory: self.directory.to_owned() })
            }
            "prometheus" => self.prometheus(raw),
            "redis" => {
                let password = raw.password.there().and_then(|password| self.filled("password", &password));
                Some(Ask::Redis { at: at(self, "redis", raw.redis)?, password })
            }
            "postgresql" => Some(Ask::Postgresql { at: at(self, "postgresql", raw.postgresql)? }),
            "nats" => Some(Ask::Nats { at: at(self, "nats", raw.nats)? }),
            _ => None,
        }
    }

    fn http(&mut self, raw: RawProbe) -> Option<Ask> {
        let status = raw.status.there().map_or(Vec::new(), |(line, statuses)| {
            if statuses.0.is_empty() {
                self.wrong(
                    line,
                    "status: an empty list: name one, or leave the key out for any of 200 to 299",
                );
            }
            statuses.into_values().into_iter().map(|Text(Status(status))| status).collect()
        });
        let headers = self.headers(raw.headers);
        let json = raw.json.there().and_then(|(line, json)| self.json(line, json));
        let body = raw.body.into_value();
        let url = self.url("http", raw.http.there()?)?;
        Some(Ask::Http { url, headers, body, status, json })
    }

    fn headers(&mut self, headers: Got<Named<String>>) -> BTreeMap<String, String> {
        let Some(Named(headers)) = headers.into_value() else { return BTreeMap::new() };
        let header = |(name, value): (String, Got<String>)| {
            let (line, value) = value.there()?;
            if hyper::header::HeaderName::from_bytes(name.as_bytes()).is_err() {
                self.wrong(line, &format!("headers: `{name}` is no name of a header"));
            }
            let value = self.filled("headers", &(line, value))?;
            if hyper::header::HeaderValue::from_str(&value).is_err() {
                self.wrong(
                    line,
                    &format!("headers: the value of {name} cannot be sent: it has line feeds or the like"),
                );
            }
            Some((name, value))
        };
        headers.into_iter().filter_map(header).collect()
    }

    fn json(&mut self, line: u64, raw: RawJson) -> Option<(String, Comparison)> {
        let RawJson { path, equals, not, contains, above, below } = raw;
        let comparison = self.comparison(line, "json", RawComparison { equals, not, contains, above, below });
        let missing = format!("probe {}: json: add `path`, where the value is", self.name);
        let (line, path) = path.needed(line, &missing, self.mistakes)?;
        // As JSONPath has it. It would be a key.
        let root = ["$.", "$["].into_iter().find(|root| path.trim_start().starts_with(root));
        if let Some(root) = root {
            self.wrong(line, &format!("json: `{path}`: leave `{}` out", root.trim_end_matches('[')));
        } else if let Err(why) = path.parse::<JsonPath>() {
            self.wrong(line, &format!("json: {why}"));
        }
        Some((path, comparison?))
    }

    fn comparison(&mut self, line: u64, key: &str, raw: RawComparison) -> Option<Comparison> {
        let RawComparison { equals, not, contains, above, below } = raw;
        let choices = [
            equals.map(Comparison::Equals),
            not.map(Comparison::Not),
            contains.map(Comparison::Contains),
            above.map(Comparison::Above),
            below.map(Comparison::Below),
        ];
        self.one(line, key, COMPARISONS.into_iter().zip(choices).collect())
    }

    fn prometheus(&mut self, raw: RawProbe) -> Option<Ask> {
        let choices = vec![
            ("equals", raw.equals.map(|number| Comparison::Equals(number.to_string()))),
            ("not", raw.not.map(|number| Comparison::Not(number.to_string()))),
            ("above", raw.above.map(Comparison::Above)),
            ("below", raw.below.map(Comparison::Below)),
        ];
        let value = self.one(self.line, "prometheus", choices);
        let headers = self.headers(raw.headers);
        let missing = format!("probe {}: prometheus: add `query`, what is asked", self.name);
        let query = raw.query.needed(self.line, &missing, self.mistakes);
        let query = query.and_then(|query| self.some("query", query));
        let url = self.url("prometheus", raw.prometheus.there()?);
        Some(Ask::Prometheus { url: url?, query: query?, headers, value: value? })
    }

    /// Exactly one comparison.
    fn one(&mut self, line: u64, key: &str, choices: Vec<(&str, Got<Comparison>)>) -> Option<Comparison> {
        let names = choices.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
        let mut there = choices.into_iter().filter_map(|(name, choice)| Some((name, choice.line()?, choice)));
        let Some((one, line, comparison)) = there.next() else {
            self.wrong(line, &format!("{key}: there is nothing to compare with: add one of {names}"));
            return None;
        };
        if let Some((other, line, _)) = there.next() {
            self.wrong(line, &format!("{key}: {one} and {other} are two comparisons: leave one of them out"));
        }
        let comparison = comparison.into_value()?;
        let number = match comparison {
            Comparison::Above(number) | Comparison::Below(number) => number,
            Comparison::Equals(_) | Comparison::Not(_) | Comparison::Contains(_) => 0.0,
        };
        if !number.is_finite() {
            self.wrong(line, &format!("{key}: {one}: nothing can be compared with {number}"));
        }
        Some(comparison)
    }

    fn dns(&mut self, (line, name): (u64, String), server: Got<String>) -> Option<Ask> {
        let is_name =
            name.parse::<Peer>().is_ok_and(|peer| matches!((peer.host, peer.port), (Host::Name(_), None)));
        if !is_name {
            self.wrong(line, &format!("dns: `{name}` is no name to look up: write one as db.example.com"));
        }
        let server = server.there().map(|(line, server)| {
            let server = server.trim().to_owned();
            if server.parse::<IpAddr>().is_err() && server.parse::<SocketAddr>().is_err() {
                let what = format!(
                    "server: `{server}` is no address: write one as 10.0.0.2, 10.0.0.2:5353 or [fd00::2]:53"
                );
                self.wrong(line, &what);
            }
            server
        });
        Some(Ask::Dns { name: name.trim().to_owned(), server })
    }

    /// `HOST:PORT`.
    fn place(&mut self, key: &str, (line, place): (u64, String)) -> Option<String> {
        let place = place.trim();
        if let Err(why) = place.parse::<Dial>() {
            self.wrong(line, &format!("{key}: {why}"));
            return None;
        }
        Some(place.to_owned())
    }

    fn url(&mut self, key: &str, written: (u64, String)) -> Option<String> {
        let key = format!("probe {}: {key}", self.name);
        url(&key, written, "http://gateway:8080/healthz", self.environment, self.mistakes)
    }

    fn filled(&mut self, key: &str, (line, text): &(u64, String)) -> Option<String> {
        let filled = filled(text, self.environment);
        filled.map_err(|why| self.wrong(*line, &format!("{key}: {why}"))).ok()
    }

    fn some(&mut self, key: &str, text: (u64, String)) -> Option<String> {
        some(&format!("probe {}: {key}", self.name), text, self.mistakes)
    }
}
