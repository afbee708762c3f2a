//! What others say, as far as it fits on a line.

use partition_agent_proto::steers;

/// Characters of somebody else's words.
const LONGEST: usize = 160;

/// The first line, without what a terminal would take for orders.
pub fn excerpt(text: &str) -> String {
    let line = text.trim().lines().next().unwrap_or_default().trim_end();
    let mut shown = line.chars().take(LONGEST).map(visible).collect::<String>();
    if line.chars().nth(LONGEST).is_some() {
        shown.push('…');
    }
    shown
}

/// So much of a secret, in bytes, gives it away; what is shorter is none.
const TELLING: usize = 8;

/// Without what follows the beginning of a secret: servers repeat what they were asked, and an excerpt may have cut it off.
pub fn without(text: String, secret: &str) -> String {
    // Of `Bearer eyJ...` the second word is the secret.
    let begins = secret.split_whitespace().filter_map(|word| text.find(word.get(..TELLING)?));
    match begins.min() {
        Some(begin) => format!("{}***", &text[..begin]),
        None => text,
    }
}

/// The same of an error, which may say nothing.
pub fn reason(text: &str) -> String {
    let said = excerpt(text);
    if said.is_empty() { "an error without a reason".to_owned() } else { said }
}

fn visible(letter: char) -> char {
    match letter {
        '\t' => ' ',
        letter if steers(letter) => '\u{fffd}',
        letter => letter,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_secret_not_even_the_beginning_is_told() {
        let without = |text: &str| without(text.to_owned(), "Bearer eyJhbGciOiJIUzI1NiJ9");
        assert_eq!(without("401: bad token: eyJhbGciOiJIU…"), "401: bad token: ***");
        assert_eq!(without("401: Bearer expected"), "401: Bearer expected");
        assert_eq!(super::without("no 5 here".to_owned(), "5"), "no 5 here");
    }

    #[test]
    fn one_line_of_some_length_without_orders_to_the_terminal() {
        assert_eq!(excerpt("\n  ERR\tno such thing \r\nmore"), "ERR no such thing");
        assert_eq!(excerpt("\u{1b}[2Jgone \u{202e}dna"), "\u{fffd}[2Jgone \u{fffd}dna");
        assert_eq!(excerpt(&"é".repeat(160)), "é".repeat(160));
        assert_eq!(excerpt(&"é".repeat(161)), format!("{}…", "é".repeat(160)));
        assert_eq!(
            (excerpt(" \r\n ").as_str(), reason(" \r\n ").as_str()),
            ("", "an error without a reason")
        );
    }
}
