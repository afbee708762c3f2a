//! Connections to a `HOST:PORT`. Whose name it is, the resolver of this system is asked each time: what an application that starts now
//! would find.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

/// Questions to the resolver that are not answered. Each has a thread, which cannot be stopped.
const UNANSWERED: usize = 16;

/// How long one address is tried before the next one is, too (RFC 8305).
const NEXT: Duration = Duration::from_millis(250);

#[derive(Debug, Clone)]
pub struct Dial {
    host: String,
    port: u16,
    unanswered: Arc<Semaphore>,
}

impl FromStr for Dial {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no HOST:PORT: write redis:6379 or [fd00::5]:6379");
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let is_host = match bare {
            Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
            None => {
                !host.is_empty()
                    && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
            }
        };
        let is_port = port.bytes().all(|byte| byte.is_ascii_digit());
        match port.parse::<u16>() {
            Ok(port @ 1..) if is_host && is_port => Ok(Self::new(bare.unwrap_or(host), port)),
            Ok(_) | Err(_) => Err(wrong()),
        }
    }
}

impl fmt::Display for Dial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, .. } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

impl Dial {
    pub fn new(host: &str, port: u16) -> Self {
        Self { host: host.to_owned(), port, unanswered: Arc::new(Semaphore::new(UNANSWERED)) }
    }

    pub fn host(&self) -> &str {
        &self.host
    }

    /// At least one.
    pub async fn addresses(&self) -> Result<Vec<SocketAddr>, String> {
        if let Ok(address) = self.host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, self.port)]);
        }
        let place = Arc::clone(&self.unanswered).try_acquire_owned().map_err(|_| {
            format!("the resolver has not answered {UNANSWERED} earlier questions for `{}`", self.host)
        })?;
        let (host, port) = (self.host.clone(), self.port);
        // A new thread is in the network namespace of the one that starts it.
        let asked = tokio::task::spawn_blocking(move || {
            let _place = place;
            (host.as_str(), port).to_socket_addrs().map(Vec::from_iter)
        });
        let found = asked.await.map_err(io::Error::from).flatten();
        match found {
            Ok(addresses) if addresses.is_empty() => Err(format!("`{}` stands for no address", self.host)),
            Ok(addresses) => Ok(addresses),
            Err(error) => Err(format!("`{}` stands for no address: {}", self.host, resolver(&error))),
        }
    }

    /// To the first address that takes one.
    pub async fn connect(&self) -> Result<TcpStream, String> {
        first(self.addresses().await?).await.map_err(|error| format!("no connection: {error}"))
    }
}

/// Without the words that are in every such error.
fn resolver(error: &io::Error) -> String {
    let error = error.to_string();
    error.strip_prefix("failed to lookup address information: ").unwrap_or(&error).to_owned()
}

async fn first(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let mut left = addresses.into_iter();
    let mut tried = FuturesUnordered::new();
    let mut why = io::Error::from(io::ErrorKind::AddrNotAvailable);
    loop {
        tried.extend(left.next().map(TcpStream::connect));
        match tokio::time::timeout(NEXT, tried.next()).await {
            Ok(Some(Ok(stream))) => return Ok(stream),
            Ok(Some(Err(error))) => why = error,
            Ok(None) => return Err(why),
            // The next one, too, and this one goes on.
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn hosts_and_ports_are_read_and_nonsense_is_refused() {
        for text in ["redis:6379", "10.0.0.1:80", "[fd00::5]:6379", "db_1.example:1", "a:65535"] {
            assert_eq!(text.parse::<Dial>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "redis",
            "redis:",
            ":80",
            "redis:0",
            "redis:65536",
            "redis:+1",
            "fd00::5:80",
            "[redis]:80",
            "[::1]",
            "re dis:80",
            "a@b:80",
            "http://a:80",
            "a/b:80",
        ] {
            let error = text.parse::<Dial>().unwrap_err();
            assert!(error.contains("is no HOST:PORT"), "{text}: {error}");
        }
    }

    #[tokio::test]
    async fn the_next_address_is_tried_where_one_refuses_or_is_silent() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let good = listener.local_addr().unwrap();
        let refuses = TcpListener::bind("127.0.0.2:0").await.unwrap().local_addr().unwrap();
        let begun = Instant::now();
        let stream = first(vec![refuses, good]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), good);
        assert!(begun.elapsed() < NEXT, "a refusal is not waited for: {:?}", begun.elapsed());
        let error = first(vec![refuses]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        // A full backlog is silent: SYNs are dropped.
        let full = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        nix::sys::socket::listen(&full, nix::sys::socket::Backlog::new(0).unwrap()).unwrap();
        let silent = full.local_addr().unwrap();
        let _there = std::net::TcpStream::connect(silent).unwrap();
        let stream = first(vec![silent, good]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), good);
    }

    #[tokio::test]
    async fn names_are_those_of_the_system() {
        let localhost = "localhost:80".parse::<Dial>().unwrap().addresses().await.unwrap();
        assert!(localhost.iter().all(|address| address.ip().is_loopback() && address.port() == 80));
        let error = "no-such-host.invalid:80".parse::<Dial>().unwrap().addresses().await.unwrap_err();
        assert!(error.starts_with("`no-such-host.invalid` stands for no address: "), "{error}");
        assert!(!error.contains("failed to lookup"), "{error}");
    }

    #[tokio::test]
    async fn no_more_threads_wait_for_the_resolver_than_there_may() {
        let dial = "no-such-host.invalid:80".parse::<Dial>().unwrap();
        let _taken = Arc::clone(&dial.unanswered).try_acquire_many_owned(16).unwrap();
        let error = dial.addresses().await.unwrap_err();
        assert!(error.contains("has not answered 16 earlier questions"), "{error}");
    }
}
