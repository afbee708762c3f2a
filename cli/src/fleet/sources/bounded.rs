//! Files, standard input and answers, as far as they are not too long.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Ten thousand hosts with all that an inventory says about them are some megabytes.
pub const LONGEST: usize = 16 * 1024 * 1024;

pub fn file(path: &Path) -> Result<String, String> {
    let opened = File::open(path).map_err(|error| format!("cannot read it: {error}"))?;
    text(opened)
}

pub fn stdin() -> Result<String, String> {
    text(io::stdin().lock())
}

fn text(from: impl Read) -> Result<String, String> {
    let mut bytes = Vec::new();
    let most = u64::try_from(LONGEST).unwrap_or(u64::MAX);
    from.take(most + 1).read_to_end(&mut bytes).map_err(|error| format!("cannot read it: {error}"))?;
    if bytes.len() > LONGEST {
        return Err(too_long());
    }
    String::from_utf8(bytes).map_err(|error| format!("it is no text in UTF-8: {error}"))
}

pub fn too_long() -> String {
    format!("it is longer than {} MiB: ask for less", LONGEST / 1024 / 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_long_or_no_text_is_refused() {
        assert_eq!(text(&b"[]"[..]).as_deref(), Ok("[]"));
        assert!(text(io::repeat(b' ')).unwrap_err().contains("longer than 16 MiB"));
        assert!(text(&b"\xff"[..]).unwrap_err().contains("UTF-8"));
        assert!(file(Path::new("/nonexistent")).unwrap_err().contains("No such file"));
    }
}
