//! What others say, as far as it fits on a line.

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

/// The same of an error, which may say nothing.
pub fn reason(text: &str) -> String {
    let said = excerpt(text);
    if said.is_empty() { "an error without a reason".to_owned() } else { said }
}

fn visible(letter: char) -> char {
    // Those that turn the direction of writing hide what follows, too.
    let turns = matches!(letter, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    if letter == '\t' {
        ' '
    } else if letter.is_control() || turns {
        '\u{fffd}'
    } else {
        letter
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
