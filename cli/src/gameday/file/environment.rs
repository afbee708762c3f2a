//! `${NAME}` in addresses and secrets.

/// Where the environment is looked up.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

/// With every `${NAME}` replaced by what the environment has; `$${` is a plain `${`.
///
/// # Errors
/// A name that it does not have, or that is none.
pub fn filled(text: &str, environment: Environment<'_>) -> Result<String, String> {
    let (mut filled, mut rest) = (String::new(), text);
    while let Some(at) = rest.find("${") {
        let (before, after) = (&rest[..at], &rest[at + 2..]);
        rest = after;
        if let Some(before) = before.strip_suffix('$') {
            filled += before;
            filled += "${";
            continue;
        }
        filled += before;
        let (name, after) = after.split_once('}').unwrap_or(("", after));
        let is_name = !name.is_empty()
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            && !name.starts_with(|first: char| first.is_ascii_digit());
        if !is_name {
            return Err("after a `${` the name of a variable and a `}` belong: write `$${` for a plain `${`"
                .to_owned());
        }
        let value = environment(name);
        filled += &value.ok_or_else(|| {
            format!("`${{{name}}}` is not in the environment: set {name}, or write `$${{{name}}}` for this very text")
        })?;
        rest = after;
    }
    Ok(filled + rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_replaced_once() {
        let environment = |name: &str| match name {
            "A" => Some("1".to_owned()),
            "B_2" => Some("${A}".to_owned()),
            _ => None,
        };
        for (text, is) in [
            ("", ""),
            ("a $A {A} $", "a $A {A} $"),
            ("${A}${A}x", "11x"),
            // What comes from the environment is not looked at again.
            ("é${B_2}", "é${A}"),
            ("$${A} $$${A}", "${A} $${A}"),
        ] {
            assert_eq!(filled(text, &environment).as_deref(), Ok(is), "{text}");
        }
        let missing = filled("${C}", &environment).unwrap_err();
        assert_eq!(missing, "`${C}` is not in the environment: set C, or write `$${C}` for this very text");
        for text in ["${", "${A", "${}", "${A B}", "${2}", "${A:-x}"] {
            assert!(filled(text, &environment).unwrap_err().starts_with("after a `${`"), "{text}");
        }
    }
}
