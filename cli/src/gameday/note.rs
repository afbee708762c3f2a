//! `note`: somebody writes something down while a run goes on.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::header::CONTENT_TYPE;
use hyper::{Method, Request};

use super::desk::{SOCKET, Words, user};
use crate::args::NoteArgs;
use crate::exit::Failure;
use crate::http::Http;

pub async fn run(args: NoteArgs) -> Result<ExitCode, Failure> {
    let dir = match args.report {
        Some(dir) => dir,
        None => newest(Path::new("."))?,
    };
    let socket = dir.join(SOCKET);
    let words = Words { by: user(), text: args.text.join(" ") };
    let body = serde_json::to_vec(&words).map_err(|error| Failure::Failed(error.to_string()))?;
    let request = Request::builder()
        .method(Method::POST)
        .uri("http://localhost/v1/notes")
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)))
        .map_err(|error| Failure::Failed(error.to_string()))?;
    let gone = |why: String| {
        Failure::Failed(format!(
            "{}: {why}; is the run over? Name the directory of its report with --report",
            socket.display()
        ))
    };
    let response =
        Http::to_socket(socket.clone()).send(request).await.map_err(|error| gone(error.to_string()))?;
    let status = response.status();
    if status.is_success() {
        return Ok(ExitCode::SUCCESS);
    }
    let body = response.into_body().collect().await.map_err(|error| gone(error.to_string()))?.to_bytes();
    Err(Failure::Failed(format!("the run refuses it: {status}: {}", String::from_utf8_lossy(&body).trim())))
}

/// The run that began last, of those whose reports are beside each other here.
fn newest(here: &Path) -> Result<PathBuf, Failure> {
    let mut runs = Vec::new();
    for entry in std::fs::read_dir(here)?.flatten() {
        let socket = entry.path().join(SOCKET);
        if let Ok(made) = socket.symlink_metadata().and_then(|socket| socket.modified()) {
            runs.push((made, entry.path()));
        }
    }
    let newest = runs.into_iter().max();
    newest.map(|(_, dir)| dir).ok_or_else(|| {
        Failure::Failed("no run goes on here: name the directory of its report with --report".to_owned())
    })
}
