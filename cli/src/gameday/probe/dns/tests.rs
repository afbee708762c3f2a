use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::UdpSocket;

use crate::gameday::file::Ask;
use crate::gameday::probe::fake::{ask, ask_within};

fn question(at: SocketAddr) -> Ask {
    Ask::Dns { name: "db.example.".to_owned(), server: Some(at.to_string()) }
}

/// A name server by hand: it answers questions for A with `answer`, others with nothing, and counts them.
async fn server(
    code: u8,
    address: Option<[u8; 4]>,
) -> (SocketAddr, tokio::task::JoinHandle<()>, std::sync::Arc<std::sync::atomic::AtomicU32>) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let at = socket.local_addr().unwrap();
    let count = std::sync::Arc::<std::sync::atomic::AtomicU32>::default();
    let counted = std::sync::Arc::clone(&count);
    let serving = tokio::spawn(async move {
        let mut buffer = [0; 512];
        loop {
            let (_, asker) = socket.recv_from(&mut buffer).await.unwrap();
            counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let end = 12 + buffer[12..].iter().position(|byte| *byte == 0).unwrap() + 5;
            let address = address.filter(|_| buffer[end - 3] == 1);
            let mut answer = buffer[..end].to_vec();
            answer[2..12].copy_from_slice(&[
                0x85,
                0x80 | code,
                0,
                1,
                0,
                u8::from(address.is_some()),
                0,
                0,
                0,
                0,
            ]);
            if let Some(address) = address {
                answer.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0x0e, 0x10, 0, 4]);
                answer.extend_from_slice(&address);
            }
            socket.send_to(&answer, asker).await.unwrap();
        }
    });
    (at, serving, count)
}

#[tokio::test]
async fn a_name_that_stands_for_an_address_holds_and_is_asked_for_each_time() {
    let (at, serving, count) = server(0, Some([10, 0, 0, 7])).await;
    assert_eq!(ask(question(at)).await, Ok("10.0.0.7".to_owned()));
    let once = count.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(ask(question(at)).await, Ok("10.0.0.7".to_owned()));
    // It was valid for an hour.
    assert!(count.load(std::sync::atomic::Ordering::Relaxed) > once);
    serving.abort();
}

#[tokio::test]
async fn names_that_do_not_exist_and_servers_that_do_not_answer_fail() {
    for (code, expected) in [
        (0, "no such records: No Error"),
        (3, "no such records: Non-Existent Domain"),
        (5, "the name server answers Query Refused"),
    ] {
        let (at, serving, _) = server(code, None).await;
        assert_eq!(ask(question(at)).await, Err(expected.to_owned()));
        serving.abort();
    }
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let at = silent.local_addr().unwrap();
    let found = ask_within(question(at), Duration::from_millis(400)).await;
    assert!(found.is_err(), "{found:?}");
}

#[tokio::test]
async fn answers_of_garbage_are_none() {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let at = socket.local_addr().unwrap();
    let serving = tokio::spawn(async move {
        let mut buffer = [0; 512];
        loop {
            let (length, asker) = socket.recv_from(&mut buffer).await.unwrap();
            for garbage in [&b""[..], &buffer[..2], &buffer[..length], &[0xff; 512]] {
                let _ = socket.send_to(garbage, asker).await;
            }
        }
    });
    assert!(ask_within(question(at), Duration::from_millis(600)).await.is_err());
    serving.abort();
}

#[tokio::test]
async fn name_servers_are_addresses() {
    for server in ["10.0.0.53", "10.0.0.53:5353", "fd00::53", "[fd00::53]:53"] {
        assert!(super::Dns::new("a", Some(server)).is_ok(), "{server}");
    }
    let error = super::Dns::new("a", Some("ns1")).unwrap_err();
    assert!(error.starts_with("the name server `ns1` is no address: write"), "{error}");
}
