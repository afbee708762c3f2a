//! What people say while a run goes on: lines at the terminal, and a socket for everybody else. An empty line or `yes` answers the question
//! that is asked, `no` ends the run, everything else is a note.

use std::io::{ErrorKind, IsTerminal};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::{Deserialize, Serialize};
use tokio::net::UnixListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::watch;

use super::report::model::Note;

/// The socket, in the directory of the report.
pub const SOCKET: &str = "run.sock";

/// No note is longer, in bytes.
const LONGEST: usize = 4_096;

/// From others than the terminal.
const MOST: usize = 1_000;

/// So many of the last are told to whoever asks.
pub const LAST_NOTES: usize = 20;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    Yes { by: String },
    No { by: String },
    Note { by: String, text: String },
}

/// `POST /v1/notes`; `yes` and `no` by themselves answer a question.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Words {
    pub by: String,
    pub text: String,
}

/// `GET /v1/run`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Standing {
    pub name: String,
    pub scenario: Option<String>,
    pub phase: String,
    pub elapsed_ms: u64,
    /// The question that waits for an answer.
    pub asks: Option<String>,
    /// By probe: whether it holds; absent until it has been asked.
    pub probes: std::collections::BTreeMap<String, Option<bool>>,
    pub faults: Vec<String>,
    pub notes: Vec<Note>,
}

/// The socket goes with it.
pub struct Desk {
    pub said: UnboundedReceiver<Said>,
    /// What is told to those who ask.
    pub standing: watch::Sender<Standing>,
    socket: PathBuf,
    server: tokio::task::JoinHandle<()>,
}

struct Api {
    tell: UnboundedSender<Said>,
    /// How many notes there have been.
    notes: AtomicUsize,
    standing: watch::Receiver<Standing>,
}

impl Desk {
    /// # Errors
    /// No socket in that directory.
    pub fn open(dir: &Path) -> std::io::Result<Self> {
        let (tell, said) = unbounded_channel();
        let (standing, asked) = watch::channel(Standing::default());
        if sits_at_terminal() {
            listen_to_terminal(tell.clone());
        }
        let socket = dir.join(SOCKET);
        // Of a run that was killed.
        if UnixStream::connect(&socket).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused) {
            std::fs::remove_file(&socket)?;
        }
        let listener = UnixListener::bind(&socket);
        let listener = listener
            .map_err(|error| std::io::Error::new(error.kind(), format!("{}: {error}", socket.display())))?;
        std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o600))?;
        let api = Router::new()
            .route("/v1/run", get(run))
            .route("/v1/notes", post(note))
            .layer(axum::extract::DefaultBodyLimit::max(2 * LONGEST))
            .with_state(Arc::new(Api { tell, notes: AtomicUsize::new(0), standing: asked }));
        let server = tokio::spawn(async move {
            // It ends with the run.
            let _ = axum::serve(listener, api).await;
        });
        Ok(Self { said, standing, socket, server })
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.server.abort();
        // Somebody may have tidied up.
        let _ = std::fs::remove_file(&self.socket);
    }
}

async fn run(State(api): State<Arc<Api>>) -> Json<Standing> {
    Json(api.standing.borrow().clone())
}

async fn note(State(api): State<Arc<Api>>, Json(words): Json<Words>) -> (StatusCode, &'static str) {
    if words.text.len() > LONGEST || words.by.len() > LONGEST {
        return (StatusCode::PAYLOAD_TOO_LARGE, "a note has 4096 bytes at most\n");
    }
    if api.notes.fetch_add(1, Ordering::Relaxed) >= MOST {
        return (StatusCode::TOO_MANY_REQUESTS, "a run has 1000 notes at most\n");
    }
    match api.tell.send(understood(words.by, &words.text)) {
        Ok(()) => (StatusCode::ACCEPTED, ""),
        Err(_) => (StatusCode::GONE, "the run is over\n"),
    }
}

fn understood(by: String, text: &str) -> Said {
    let text = text.trim();
    match text.to_ascii_lowercase().as_str() {
        "" | "y" | "yes" => Said::Yes { by },
        "n" | "no" => Said::No { by },
        _ => Said::Note { by, text: text.to_owned() },
    }
}

/// In the background, whoever reads from a terminal is stopped, and all of the run with it.
fn sits_at_terminal() -> bool {
    let stdin = std::io::stdin();
    stdin.is_terminal() && nix::unistd::tcgetpgrp(stdin).is_ok_and(|group| group == nix::unistd::getpgrp())
}

/// A thread that the end of the program ends: a read of a terminal cannot be called back.
fn listen_to_terminal(tell: UnboundedSender<Said>) {
    let by = user();
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            let line = line.chars().take(LONGEST).collect::<String>();
            if tell.send(understood(by.clone(), &line)).is_err() {
                return;
            }
        }
    });
}

/// Who sits here, as far as anybody says.
pub fn user() -> String {
    let named = ["SUDO_USER", "USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    named.filter(|name| !name.is_empty()).unwrap_or_else(|| format!("uid {}", nix::unistd::getuid()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_an_answer_or_a_note() {
        let by = || "ada".to_owned();
        assert_eq!(understood(by(), ""), Said::Yes { by: by() });
        assert_eq!(understood(by(), " Yes "), Said::Yes { by: by() });
        assert_eq!(understood(by(), "no"), Said::No { by: by() });
        let note = Said::Note { by: by(), text: "no errors in the cockpit".to_owned() };
        assert_eq!(understood(by(), "no errors in the cockpit "), note);
    }
}
