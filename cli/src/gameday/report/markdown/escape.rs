//! Texts from outside as Markdown that shows them, and does nothing else.

/// In a line: what is between the lines of it becomes a blank.
pub fn inline(text: &str) -> String {
    let one_line =
        text.split('\n').map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(" ");
    line(&one_line)
}

/// Lines that stay lines.
pub fn paragraphs(text: &str) -> String {
    let lines = text.trim().lines().map(|one| line(one.trim()));
    lines.collect::<Vec<_>>().join("\n")
}

fn line(text: &str) -> String {
    let mut told = String::with_capacity(text.len());
    let mut before = None;
    let is_rule = text.chars().all(|c| c == '-' || c == ' ');
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let within_word = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
        let is_special = match c {
            '\\' | '`' | '*' | '[' | ']' | '<' | '>' | '~' | '&' | '$' => true,
            // `api_v1` is readable as it is.
            '_' => !(within_word(before) && within_word(rest.peek().copied())),
            // A heading or a line under one, where it is the first thing in a line; a list, where a blank is next to it.
            '#' | '=' => before.is_none(),
            '-' | '+' => before.is_none() && (is_rule || rest.peek().is_none_or(|next| next.is_whitespace())),
            '.' | ')' => {
                let is_list = !told.is_empty() && told.chars().all(|c| c.is_ascii_digit());
                is_list && rest.peek().is_none_or(|next| next.is_whitespace())
            }
            _ => false,
        };
        if is_special {
            told.push('\\');
        }
        told.push(c);
        before = Some(c);
    }
    told
}

/// As typed. Nothing in it is Markdown.
pub fn code(text: &str) -> String {
    let text = text.replace(['\n', '\t'], " ");
    if text.trim().is_empty() {
        return String::new();
    }
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat(longest + 1);
    let touches = text.starts_with('`') || text.ends_with('`');
    let edge = if touches { " " } else { "" };
    format!("{fence}{edge}{text}{edge}{fence}")
}

/// Markdown in a cell of a table. A `|` would end it, also one in code.
pub fn in_cell(markdown: &str) -> String {
    let mut told = String::with_capacity(markdown.len());
    let mut backslashes = 0_usize;
    for c in markdown.chars() {
        if c == '|' {
            // In code a backslash is itself, and one before the `|` would take ours.
            if !backslashes.is_multiple_of(2) {
                told.push('\\');
            }
            told.push('\\');
        }
        backslashes = if c == '\\' { backslashes + 1 } else { 0 };
        told.push(c);
    }
    told
}

/// How many cells a reader of Markdown sees in a row.
#[cfg(test)]
pub fn cells(row: &str) -> usize {
    let mut bars = 0_usize;
    let mut chars = row.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                chars.next();
            }
            '|' => bars += 1,
            _ => {}
        }
    }
    bars - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_outside_is_markdown() {
        let told = [
            ("<script>alert(1)</script>", r"\<script\>alert(1)\</script\>"),
            ("[click](http://x) ![i](y)", r"\[click\](http://x) !\[i\](y)"),
            ("**bold** _it_ api_v1 ~~no~~ `x`", r"\*\*bold\*\* \_it\_ api_v1 \~\~no\~\~ \`x\`"),
            ("# heading\n\n- list", r"\# heading - list"),
            ("1. first", r"1\. first"),
            ("---", r"\---"),
            ("--loss 100%", "--loss 100%"),
            ("&lt; $x$ \\", r"\&lt; \$x\$ \\"),
            ("2.5s, 10%, it's 👩‍💻", "2.5s, 10%, it's 👩‍💻"),
        ];
        for (text, escaped) in told {
            assert_eq!(inline(text), escaped);
        }
    }

    #[test]
    fn paragraphs_stay() {
        assert_eq!(paragraphs("one\ntwo\n\n    # three\n"), "one\ntwo\n\n\\# three");
    }

    #[test]
    fn code_is_fenced_by_more_backticks_than_it_has() {
        assert_eq!(code("--peer redis"), "`--peer redis`");
        assert_eq!(code("a `` b"), "```a `` b```");
        assert_eq!(code("`x`\ny"), "`` `x` y ``");
        assert_eq!(code(" \n"), "");
    }

    #[test]
    fn a_bar_never_ends_a_cell() {
        for text in ["a|b", r"a\|b", r"a\\|b", "|", r"\", "`|`", r"`\|`"] {
            for shown in [inline(text), code(text)] {
                assert_eq!(cells(&format!("| {} | x |", in_cell(&shown))), 2, "{text}: {shown}");
            }
        }
    }
}
