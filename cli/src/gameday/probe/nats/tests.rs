use std::net::SocketAddr;

use crate::gameday::file::Ask;
use crate::gameday::probe::fake::{Fake, Says, ask, hostile, table};

fn question(at: SocketAddr) -> Ask {
    Ask::Nats { at: at.to_string() }
}

fn at_once(text: &str) -> Says {
    Says::AtOnce(text.into())
}

#[tokio::test]
async fn only_a_pong_is_one_and_errors_are_told() {
    let info = r#"INFO {"server_id":"X","server_name":"bus-1","version":"2.9.10","max_payload":1048576}"#;
    let server = Fake::says(at_once(&format!("{info} \r\n+OK\r\nPING\r\n{info}\r\nPONG\r\n"))).await;
    assert_eq!(ask(question(server.at)).await, Ok("PONG of bus-1".to_owned()));
    let asked = server.asked().await;
    assert!(asked.starts_with("CONNECT {\"verbose\":false,") && asked.ends_with("}\r\nPING\r\n"), "{asked}");
    table(
        question,
        &[
            (at_once("INFO {}\r\nPONG\r\n"), Ok("PONG")),
            (at_once("INFO {}\r\n-ERR 'Authorization Violation'\r\n"), Err("Authorization Violation")),
            (at_once("-ERR 'maximum connections exceeded'\r\n"), Err("maximum connections exceeded")),
            (at_once("INFO {}\r\nHELLO\r\n"), Err("it answers, but not like NATS: HELLO")),
            (at_once("INFO x\r\n"), Err("it answers, but not like NATS: INFO x")),
            (at_once("+PONG\r\n"), Err("it answers, but not like NATS: +PONG")),
            (
                at_once("INFO {\"tls_required\":true}\r\nPONG\r\n"),
                Err("it wants TLS, which this probe does not have: ask it by `command` or its port by `tcp`"),
            ),
            (Says::Endless(b"INFO {}\r\n"), Err("it says a lot, and not PONG")),
            (Says::Endless(b"I"), Err("a line of its answer is longer than 65536 bytes")),
            (Says::HangsUp, Err("it closed the connection without an answer")),
        ],
    )
    .await;
    hostile(question).await;
}
