//! Tools of the Python index, those of tests/requirements.txt.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::skip;

/// Where `tests/run` installs them: nothing of the machine's own Python is touched.
fn installed() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/tools/python")
}

/// Debian's interpreter, with those tools in its path; none where they are not installed, which in CI is a failure.
///
/// # Panics
/// In CI, without them.
#[must_use]
pub fn python() -> Option<Command> {
    let installed = installed();
    if !installed.join("bin").is_dir() {
        assert!(std::env::var_os("CI").is_none(), "{} is missing", installed.display());
        skip("tests/requirements.txt is not installed: `tests/run` does that");
        return None;
    }
    let mut python = Command::new("/usr/bin/python3");
    python.env("PYTHONPATH", &installed).env("PYTHONDONTWRITEBYTECODE", "1");
    Some(python)
}
