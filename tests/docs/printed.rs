//! Whether a program prints what a page says: without what is different each time.

use std::sync::LazyLock;
use std::time::Duration;

use partition_agent_proto::Span;
use regex::Regex;

/// What somebody takes to type the next command, or this machine to run it: as much less may be left of a fault.
const SLACK: Duration = Duration::from_secs(15);

/// What is never the same, and what the comparison has in its place.
static VARIES: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let rules = [
        // An instant.
        (r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME"),
        // The random end of an id that nobody chose.
        (
            r"\b((?:loss|latency|reject|partition)(?:-[\w.]+?)*)-(?:[[:xdigit:]]{12}|[[:xdigit:]]{4})\b",
            "$1-RANDOM",
        ),
        (r"\bpid \d+", "pid N"),
        (r"\bseed \d+", "seed N"),
        // Of this machine.
        (r"^kernel \S+", "kernel VERSION"),
        (r"shaped by \w+", "shaped by ENGINE"),
        // How much was sent meanwhile. Whether anything was is not looked over: the word is `none` then.
        (r"\b[\d,]+ (lost|shaped|rejected|packets|bytes)\b", "N $1"),
        // How exactly things were measured, and how long they took.
        (r"\b\d+(\.\d+)? ms\b", "N ms"),
        (r"\b\d+s ago\b", "a while ago"),
        // A rule's handle, a device's number.
        (r"\b(handle|if|ifindex) ?\d+", "$1 N"),
    ];
    rules.map(|(pattern, word)| (Regex::new(pattern).expect("a pattern"), word)).into()
});

/// A line without what varies. Columns are as wide as what is in them, so spaces are all one.
pub fn steady(line: &str) -> String {
    let mut line = line.trim().to_owned();
    for (pattern, word) in VARIES.iter() {
        line = pattern.replace_all(&line, *word).into_owned();
    }
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Whether the lines of a page are those that were printed; `...` on a line of its own is any number of others.
pub fn same(page: &[String], printed: &[String]) -> bool {
    match (page.split_first(), printed.split_first()) {
        (None, None) => true,
        (Some((elided, rest)), _) if elided.trim() == "..." => {
            same(rest, printed) || printed.split_first().is_some_and(|(_, more)| same(page, more))
        }
        (Some((line, rest)), Some((other, more))) => alike(line, other) && same(rest, more),
        (Some((line, rest)), None) => line.trim().is_empty() && same(rest, printed),
        (None, Some((other, more))) => other.trim().is_empty() && same(page, more),
    }
}

/// Word by word: equal, or two lengths of time that are about the same.
pub fn alike(line: &str, other: &str) -> bool {
    let (line, other) = (steady(line), steady(other));
    let (words, others) = (line.split(' '), other.split(' '));
    words.clone().count() == others.clone().count()
        && words.zip(others).all(|(one, other)| one == other || about(one, other))
}

fn about(one: &str, other: &str) -> bool {
    match (length(one), length(other)) {
        (Some(one), Some(other)) => one.abs_diff(other) <= SLACK,
        _ => false,
    }
}

/// `5m`, `(in 59m40s)`, and what the program prints of less than ten seconds: `6.9s`.
fn length(word: &str) -> Option<Duration> {
    let word = word.trim_matches(|c: char| !c.is_alphanumeric());
    let seconds = word.strip_suffix('s').and_then(|digits| digits.parse().ok());
    let seconds = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    let millis = word.strip_suffix("ms").and_then(|digits| digits.parse::<f64>().ok());
    let millis = millis.and_then(|millis| Duration::try_from_secs_f64(millis / 1000.0).ok());
    seconds.or(millis).or_else(|| word.parse::<Span>().ok().map(Span::duration))
}

#[test]
fn what_varies_does_not_count_and_what_does_not_does() {
    for (page, printed) in [
        ("cut  active  4m58s  2 lost  confirmed", "cut active  5m  17 lost confirmed"),
        (
            "`restore loss-redis-ccc8` at 2026-11-22T07:03:18.821Z",
            "`restore loss-redis-00ff` at 2027-01-01T00:00:00Z",
        ),
        ("started  on all of them, within 3.4 ms", "started on all of them, within 0.2 ms"),
    ] {
        assert!(alike(page, printed), "{page}\n{printed}");
    }
    for (page, printed) in [
        ("cut  active  4m58s  2 lost  confirmed", "cut  active  4m58s  none  confirmed"),
        ("ends in 5m", "ends in 10m"),
        ("loss-redis-ccc8: loss 100%", "loss-db-ccc8: loss 100%"),
        ("cut: restored", "cut: restored; nothing of it is left"),
    ] {
        assert!(!alike(page, printed), "{page}\n{printed}");
    }
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    assert!(same(&lines("a\n...\nd"), &lines("a\nb\nc\nd")));
    assert!(!same(&lines("a\n...\nd"), &lines("a\nb\nc")));
    assert!(!same(&lines("a"), &lines("a\nb")));
}
