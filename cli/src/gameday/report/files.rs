//! The files of a report. Each appears whole, under its name, or not at all.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::compare::Trend;
use super::model::Report;
use super::{clean, html, markdown};

/// Where a report is.
#[derive(Debug, PartialEq, Eq)]
pub struct Paths {
    pub json: PathBuf,
    pub markdown: PathBuf,
    pub html: PathBuf,
}

/// Writes all of it into a directory, which is made where it is not there. A report that was there before is replaced.
///
/// # Errors
/// The directory cannot be made, or a file in it not be written; with its path.
pub fn write(dir: &Path, report: &Report) -> io::Result<Paths> {
    std::fs::create_dir_all(dir).map_err(|error| told(&error, "make", dir))?;
    let json = dir.join("report.json");
    let mut text = serde_json::to_string_pretty(report)?;
    text.push('\n');
    // What cannot be made again comes first.
    replace(&json, &text)?;
    let (markdown, html) = write_for_people(dir, report)?;
    Ok(Paths { json, markdown, html })
}

/// Writes what is made of `report.json`: Markdown and the page.
///
/// # Errors
/// As [`write`].
pub fn write_for_people(dir: &Path, report: &Report) -> io::Result<(PathBuf, PathBuf)> {
    std::fs::create_dir_all(dir).map_err(|error| told(&error, "make", dir))?;
    let report = clean::cleaned(report)?;
    let markdown = dir.join("report.md");
    replace(&markdown, &markdown::text(&report))?;
    let html = dir.join("report.html");
    replace(&html, &html::page(&report))?;
    Ok((markdown, html))
}

/// Writes a comparison as a page.
///
/// # Errors
/// The file cannot be written; with its path.
pub fn write_trend(path: &Path, trend: &Trend) -> io::Result<()> {
    replace(path, &html::trend::page(trend))
}

/// Under another name first. That name is this process's own, and what is there under it was left by one that died.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let new = path.with_file_name(format!(".{name}.{}", std::process::id()));
    let _ = std::fs::remove_file(&new);
    // Follows no link.
    let file = OpenOptions::new().write(true).create_new(true).open(&new);
    let done = file.and_then(|file| fill(file, text)).and_then(|()| std::fs::rename(&new, path));
    done.map_err(|error| {
        let _ = std::fs::remove_file(&new);
        told(&error, "write", path)
    })
}

fn fill(mut file: File, text: &str) -> io::Result<()> {
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn told(error: &io::Error, what: &str, path: &Path) -> io::Error {
    io::Error::new(error.kind(), format!("cannot {what} {}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(dir).unwrap();
        let mut names =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>();
        names.sort();
        names
    }

    #[test]
    fn what_was_written_is_read_again_and_nothing_else_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let dir = dir.path().join("a/b");
        for report in [sample::hostile(), sample::passed()] {
            let paths = write(&dir, &report).unwrap();
            let read =
                serde_json::from_str::<Report>(&std::fs::read_to_string(&paths.json).unwrap()).unwrap();
            assert_eq!(read, report);
        }
        assert_eq!(names(&dir), ["report.html", "report.json", "report.md"]);
    }

    #[test]
    fn a_directory_that_cannot_be_made_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        let error = write(&file.join("dir"), &sample::passed()).unwrap_err().to_string();
        assert!(error.contains("cannot make") && error.contains("file/dir"), "{error}");
    }

    #[test]
    fn a_report_that_cannot_take_its_name_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("report.json/in-the-way")).unwrap();
        assert!(write(dir.path(), &sample::passed()).is_err());
        assert_eq!(names(dir.path()), ["report.json"]);
    }
}
