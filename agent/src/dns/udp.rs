//! Questions over UDP: one datagram, one answer.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::{sleep, timeout};

use super::rules::Decision;
use super::service::Service;

/// No datagram is larger.
const LARGEST: usize = 65_535;
/// Askers give up by then, or ask again: glibc after 5 s, most others earlier.
const PATIENCE: Duration = Duration::from_secs(5);
/// After an error of the listener, so that one that stays does not spin.
const PAUSE: Duration = Duration::from_millis(10);

/// Answers the questions that come in at `listener`, for as long as it is polled.
pub async fn serve(service: Arc<Service>, listener: UdpSocket, upstream: SocketAddr) {
    let listener = Arc::new(listener);
    let mut buffer = vec![0; LARGEST];
    loop {
        let (length, asker) = match listener.recv_from(&mut buffer).await {
            Ok(received) => received,
            Err(error) => {
                tracing::debug!(%error, "no question from the socket");
                sleep(PAUSE).await;
                continue;
            }
        };
        let message = buffer.get(..length).unwrap_or_default();
        let delay = match service.decide(message) {
            Decision::Forward => Duration::ZERO,
            Decision::ForwardLater(delay) => delay,
            Decision::Silence => continue,
            Decision::Answer(answer) => {
                reply(&listener, &answer, asker).await;
                continue;
            }
        };
        let Some(place) = service.admit() else { continue };
        let (service, listener, message) = (Arc::clone(&service), Arc::clone(&listener), message.to_vec());
        tokio::spawn(async move {
            let _place = place;
            if !delay.is_zero() {
                sleep(delay).await;
            }
            match timeout(PATIENCE, ask(&service, &message, upstream)).await {
                Ok(Ok(answer)) => reply(&listener, &answer, asker).await,
                // Refused by the name server, or no route to it. The asker sees silence, which it has to expect of UDP.
                Ok(Err(error)) => tracing::debug!(%upstream, %error, "a question was not forwarded"),
                Err(_) => tracing::debug!(%upstream, "no answer"),
            }
        });
    }
}

/// The answer of `upstream` to `message`, as it came.
async fn ask(service: &Service, message: &[u8], upstream: SocketAddr) -> io::Result<Vec<u8>> {
    let socket = service.udp(upstream).await.inspect_err(|_| service.dropped())?;
    socket.send(message).await?;
    loop {
        socket.readable().await?;
        // Made only now: most of the waiting questions need no buffer yet.
        let mut answer = vec![0; LARGEST];
        match socket.try_recv(&mut answer) {
            Ok(length) => {
                answer.truncate(length);
                // A forged answer must guess the id too, and must not keep the true one away.
                if answer.starts_with(message.get(..2).unwrap_or(message)) {
                    return Ok(answer);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

async fn reply(listener: &UdpSocket, answer: &[u8], asker: SocketAddr) {
    if let Err(error) = listener.send_to(answer, asker).await {
        tracing::debug!(%asker, %error, "an answer was not delivered");
    }
}
