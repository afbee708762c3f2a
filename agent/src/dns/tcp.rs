//! Questions over TCP (RFC 7766): any number on one connection, answers in any order.

use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::rules::Decision;
use super::service::Service;

/// A connection without any message for this long is closed, and so is one that takes no bytes.
const IDLE: Duration = Duration::from_secs(10);
/// After an error of the listener, such as too many open files, so that one that stays does not spin.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves the connections that come in at `listener`, for as long as it is polled.
pub async fn serve(service: Arc<Service>, listener: TcpListener, upstream: SocketAddr) {
    while let Some(place) = service.connection().await {
        match listener.accept().await {
            Ok((client, asker)) => {
                let service = Arc::clone(&service);
                tokio::spawn(async move {
                    let _place = place;
                    if let Err(error) = converse(&service, client, upstream).await {
                        tracing::debug!(%asker, %upstream, %error, "a connection was cut");
                    }
                });
            }
            Err(error) => {
                tracing::debug!(%error, "no connection from the socket");
                sleep(PAUSE).await;
            }
        }
    }
}

async fn converse(service: &Service, client: TcpStream, upstream: SocketAddr) -> io::Result<()> {
    let (questions, mut client) = client.into_split();
    let mut questions = Frames::new(questions);
    let mut asking = true;
    let mut server: Option<OwnedWriteHalf> = None;
    let mut answers: Option<Frames> = None;
    let mut delayed = JoinSet::new();
    loop {
        let forward = tokio::select! {
            question = questions.next(), if asking => match question? {
                Some(question) => match service.decide(&question) {
                    Decision::Forward => Some(question),
                    Decision::Silence => None,
                    Decision::Answer(answer) => {
                        write(&mut client, &answer).await?;
                        None
                    }
                    Decision::ForwardLater(delay) => {
                        if let Some(place) = service.admit() {
                            delayed.spawn(async move {
                                sleep(delay).await;
                                drop(place);
                                question
                            });
                        }
                        None
                    }
                },
                None => {
                    asking = false;
                    None
                }
            },
            Some(question) = delayed.join_next() => question.ok(),
            answer = next(&mut answers) => match answer? {
                Some(answer) => {
                    write(&mut client, &answer).await?;
                    None
                }
                // Whoever still waits on this connection sees it closed, as it would without us.
                None => return Ok(()),
            },
            () = sleep(IDLE), if delayed.is_empty() => return Ok(()),
        };
        if let Some(question) = forward {
            if server.is_none() {
                let (reader, writer) = timeout(IDLE, service.tcp(upstream)).await??.into_split();
                (server, answers) = (Some(writer), Some(Frames::new(reader)));
            }
            if let Some(server) = &mut server {
                write(server, &question).await?;
            }
        }
        // An asker may close its half and still wait: the name server is told, and closes after its last answer.
        if !asking && delayed.is_empty() {
            match server.take() {
                Some(mut server) => server.shutdown().await?,
                None if answers.is_none() => return Ok(()),
                None => {}
            }
        }
    }
}

async fn next(frames: &mut Option<Frames>) -> io::Result<Option<Vec<u8>>> {
    match frames {
        Some(frames) => frames.next().await,
        None => pending().await,
    }
}

/// Length and message in one write: some askers expect both in one segment (RFC 7766, section 8).
async fn write(to: &mut OwnedWriteHalf, message: &[u8]) -> io::Result<()> {
    let length = u16::try_from(message.len()).map_err(io::Error::other)?;
    let mut frame = Vec::with_capacity(message.len().saturating_add(2));
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(message);
    timeout(IDLE, to.write_all(&frame)).await?
}

/// The messages of one direction of a connection.
pub struct Frames<R = OwnedReadHalf> {
    from: R,
    /// At most one frame and one chunk: no byte is read while there is a whole frame in it.
    read: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Frames<R> {
    pub fn new(from: R) -> Self {
        Self { from, read: Vec::new() }
    }

    /// The next message without its length; none at the end, also when it comes in the middle of a message. Nothing is
    /// lost when the future is dropped before it is ready.
    pub async fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some((length, rest)) = self.read.split_first_chunk::<2>() {
                let length = usize::from(u16::from_be_bytes(*length));
                if let Some((message, rest)) = rest.split_at_checked(length) {
                    let (message, rest) = (message.to_vec(), rest.to_vec());
                    self.read = rest;
                    return Ok(Some(message));
                }
            }
            let mut chunk = [0; 4096];
            let length = self.from.read(&mut chunk).await?;
            if length == 0 {
                return Ok(None);
            }
            self.read.extend_from_slice(chunk.get(..length).unwrap_or_default());
        }
    }
}
