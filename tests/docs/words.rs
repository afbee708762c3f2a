//! What the page of troubles says that somebody sees, the program says: in its source, word for word.

use std::path::Path;

use regex::Regex;

use crate::page::{Page, top};

/// What other programs say, and which: the page speaks of it as well.
const OF_OTHERS: [(&str, &str); 3] = [
    ("send: Operation not permitted", "any program, of its own `send`"),
    ("Specified qdisc kind is unknown", "the kernel, of a module that it has not"),
    ("--direction ingress", "whoever types it"),
];

/// Every text of the program: what is between the quotation marks of its source, without the tests in it.
fn texts() -> Vec<String> {
    let mut texts = Vec::new();
    let literal = Regex::new(r#""((?s:[^"\\]|\\.)*)""#).expect("a pattern");
    let (folded, placeholder) =
        (Regex::new(r"\\\n\s*").expect("a pattern"), Regex::new(r"\{[^{}]*\}").expect("a pattern"));
    let mut dirs = ["proto/src", "agent/src", "cli/src"].map(|dir| top().join(dir)).to_vec();
    while let Some(dir) = dirs.pop() {
        for path in std::fs::read_dir(dir).unwrap().flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                dirs.push(path);
            } else if is_of_the_program(&path) {
                let source = std::fs::read_to_string(&path).unwrap();
                let source = source.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
                let lines = source.lines().filter(|line| !line.trim_start().starts_with("//"));
                let source = lines.collect::<Vec<_>>().join("\n").replace("'\"'", "");
                for found in literal.captures_iter(&source) {
                    let text = folded.replace_all(&found[1], "").replace("\\\"", "\"");
                    // What stands for a value is where the pieces of a text end.
                    texts.extend(placeholder.split(&text).map(str::to_owned));
                }
            }
        }
    }
    texts
}

fn is_of_the_program(path: &Path) -> bool {
    let in_tests =
        path.components().any(|part| Path::new(&part).file_stem().is_some_and(|stem| stem == "tests"));
    path.extension().is_some_and(|extension| extension == "rs") && !in_tests
}

/// What the C library says of the errors of the kernel.
fn errors() -> Vec<String> {
    let text = |number| std::io::Error::from_raw_os_error(number).to_string();
    (1..134).filter_map(|number| Some(text(number).split_once(" (os error")?.0.to_owned())).collect()
}

#[test]
fn what_is_quoted_is_said() {
    let said = [texts(), errors()].concat();
    assert!(said.len() > 2000, "only {} texts were found", said.len());
    // Numbers and `...` stand for what differs.
    let differs = Regex::new(r"\.\.\.|[\d.:/]*\d[\d.:/]*").expect("a pattern");
    let page = Page::read("docs/troubleshooting.md");
    let (mut wrong, mut quotes) = (Vec::new(), 0);
    for (quote, line) in &page.quotes {
        quotes += 1;
        if OF_OTHERS.iter().any(|(other, _)| other == quote) {
            continue;
        }
        let parts =
            differs.split(quote).map(|part| part.trim_matches(|c: char| c.is_whitespace() || c == ':'));
        for part in parts.filter(|part| part.len() > 2) {
            if !said.iter().any(|text| text.contains(part)) {
                wrong.push(format!("docs/troubleshooting.md:{line}: `{quote}`: nothing says `{part}`"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(quotes > 50, "only {quotes} quotes were found");
    for (other, whose) in OF_OTHERS {
        assert!(
            page.quotes.iter().any(|(quote, _)| quote == other),
            "`{other}` ({whose}) is quoted no more: take it away"
        );
    }
}
