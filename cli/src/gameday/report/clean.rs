//! Texts from outside that could not be shown as they are.

use partition_agent_proto::steers;
use serde_json::Value;

use super::model::Report;
use super::words::rounded;

/// The same report without characters that no page and no terminal should get: control characters, and those that turn the direction
/// of what comes after them. Each becomes U+FFFD. Everything at once, so that no field is forgotten. What was answered and found has no
/// more decimals than somebody reads.
pub fn cleaned(report: &Report) -> std::io::Result<Report> {
    let mut value = serde_json::to_value(report)?;
    clean(&mut value);
    let mut report = serde_json::from_value::<Report>(value)?;
    shorten(&mut report);
    Ok(report)
}

fn shorten(report: &mut Report) {
    let rounds = report.rounds.iter_mut().flat_map(|round| {
        let events = round.events.iter_mut().map(|event| &mut event.text);
        let checks = round.checks.iter_mut().map(|check| &mut check.measured);
        let spans = round.probes.iter_mut().flat_map(|probe| &mut probe.spans).map(|span| &mut span.detail);
        events.chain(checks).chain(spans)
    });
    report.why.iter_mut().chain(rounds).for_each(|text| *text = rounded(text));
}

fn clean(value: &mut Value) {
    match value {
        Value::String(text) => {
            if text.contains(is_unfit) {
                *text = text.replace("\r\n", "\n").replace(is_unfit, "\u{fffd}");
            }
        }
        Value::Array(items) => items.iter_mut().for_each(clean),
        Value::Object(fields) => {
            // Names of hosts are keys.
            for (key, mut field) in std::mem::take(fields) {
                clean(&mut field);
                fields.insert(key.replace(is_unfit, "\u{fffd}"), field);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn is_unfit(c: char) -> bool {
    // Not characters at all in XML.
    let is_none = matches!(c, '\u{fffe}' | '\u{ffff}');
    is_none || (steers(c) && c != '\n' && c != '\t')
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    #[test]
    fn control_characters_and_turned_directions_are_gone_and_all_else_stays() {
        let mut report = sample::hostile();
        report.name = "a\0b\u{202e}c\r\nd\x1b[31m 👩‍💻 é".to_owned();
        let host = report.hosts.values().next().unwrap().clone();
        report.hosts.insert("h\u{7}".to_owned(), host);
        let clean = cleaned(&report).unwrap();
        assert_eq!(clean.name, "a\u{fffd}b\u{fffd}c\nd\u{fffd}[31m 👩‍💻 é");
        assert!(clean.hosts.contains_key("h\u{fffd}"));
        assert_eq!(clean.rounds.len(), report.rounds.len());
        assert_eq!(cleaned(&clean).unwrap(), clean);
        assert_eq!(cleaned(&sample::passed()).unwrap(), sample::passed());
        let mut long = sample::passed();
        long.rounds[0].events[0].text = "p99 is 0.30517578125".to_owned();
        long.rounds[0].faults[0].words = "--loss 0.12345%".to_owned();
        let clean = cleaned(&long).unwrap();
        assert_eq!(clean.rounds[0].events[0].text, "p99 is 0.305");
        // As typed.
        assert_eq!(clean.rounds[0].faults[0].words, "--loss 0.12345%");
    }
}
