//! Servers that say what a test wants, right or wrong.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use super::Place;
use super::question::Question;
use crate::gameday::file::{Ask, Probe};

/// What a server does with each connection.
#[derive(Clone, Debug)]
pub enum Says {
    /// This, once it was asked something (or at once), and then it hangs up.
    After(Vec<u8>),
    /// The same, and it stays.
    AfterAndStays(Vec<u8>),
    AtOnce(Vec<u8>),
    /// Nothing, and it stays.
    Nothing,
    /// This, again and again.
    Endless(&'static [u8]),
    HangsUp,
}

/// Until it is dropped.
pub struct Fake {
    pub at: SocketAddr,
    asked: Arc<Mutex<Vec<u8>>>,
    serving: JoinHandle<()>,
}

impl Fake {
    pub async fn says(says: Says) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&asked);
        let serving = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                // A client that has heard enough hangs up.
                let _ = serve(stream, &says, &heard).await;
            }
        });
        Self { at, asked, serving }
    }

    /// Everything that was ever sent to it.
    pub async fn asked(&self) -> String {
        let begun = Instant::now();
        while self.asked.lock().unwrap().is_empty() {
            assert!(begun.elapsed() < Duration::from_secs(10), "it was asked nothing");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        String::from_utf8_lossy(&self.asked.lock().unwrap()).into_owned()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(mut stream: TcpStream, says: &Says, heard: &Mutex<Vec<u8>>) -> std::io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    let mut hear = async |stream: &mut TcpStream| -> std::io::Result<usize> {
        let read = stream.read(&mut buffer).await?;
        heard.lock().unwrap().extend_from_slice(&buffer[..read]);
        Ok(read)
    };
    match says {
        Says::After(bytes) => {
            hear(&mut stream).await?;
            stream.write_all(bytes).await
        }
        Says::AfterAndStays(bytes) => {
            hear(&mut stream).await?;
            stream.write_all(bytes).await?;
            while hear(&mut stream).await? > 0 {}
            Ok(())
        }
        Says::AtOnce(bytes) => {
            stream.write_all(bytes).await?;
            // What is still said is heard, or the answer would be lost in a reset.
            while hear(&mut stream).await? > 0 {}
            Ok(())
        }
        Says::Nothing => {
            while hear(&mut stream).await? > 0 {}
            Ok(())
        }
        Says::Endless(bytes) => loop {
            stream.write_all(bytes).await?;
        },
        Says::HangsUp => {
            stream.shutdown().await?;
            while hear(&mut stream).await? > 0 {}
            Ok(())
        }
    }
}

/// One question, asked once, with far more time than an answer takes.
pub async fn ask(ask: Ask) -> Result<String, String> {
    ask_within(ask, Duration::from_secs(10)).await
}

/// The timeout is a hard limit, whatever comes.
pub async fn ask_within(ask: Ask, timeout: Duration) -> Result<String, String> {
    let probe = Probe { ask, from: None, every: Duration::from_secs(1), timeout };
    let begun = Instant::now();
    let answer = Question::new("it", &probe, Place::Here)?.ask(timeout).await;
    // Generous: the machine may be busy.
    assert!(begun.elapsed() < timeout + Duration::from_secs(2), "{:?}", begun.elapsed());
    answer
}

/// How a question fares with each of these servers.
pub async fn table(question: impl Fn(SocketAddr) -> Ask, rows: &[(Says, Result<&str, &str>)]) {
    for (says, expected) in rows {
        let server = Fake::says(says.clone()).await;
        let found = ask(question(server.at)).await;
        let found = found.as_deref().map_err(String::as_str);
        assert_eq!(found, *expected, "{says:?}");
    }
}

/// Servers that are no help, of every protocol: they are told in time, and whatever they send is not kept.
pub async fn hostile(question: impl Fn(SocketAddr) -> Ask) {
    let short = Duration::from_millis(300);
    let silent = Fake::says(Says::Nothing).await;
    let found = ask_within(question(silent.at), short).await;
    assert_eq!(found, Err("no answer within 300ms".to_owned()));
    let refuses = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let found = ask(question(refuses)).await.unwrap_err();
    assert!(found.contains("Connection refused"), "{found}");
    for says in [
        Says::HangsUp,
        Says::Endless(b"\xff\x00\x7f garbage without an end "),
        Says::Endless(b"garbage\r\n"),
        Says::Endless(&[0; 4096]),
        Says::After(b"\r\n".to_vec()),
        Says::AtOnce(b"\x00".to_vec()),
        Says::AtOnce("\u{1b}[2J\u{202e}\r\n\r\n".into()),
    ] {
        let server = Fake::says(says.clone()).await;
        // A server may also go on and on within what a protocol allows.
        let found = ask_within(question(server.at), short).await.unwrap_err();
        assert!(!found.is_empty() && found.chars().count() < 400, "{says:?}: {found}");
        assert!(
            !found.chars().any(|letter| letter.is_control() || letter == '\u{202e}'),
            "{says:?}: {found}"
        );
    }
}
