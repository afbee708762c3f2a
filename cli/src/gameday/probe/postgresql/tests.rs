use std::net::SocketAddr;

use crate::gameday::file::Ask;
use crate::gameday::probe::fake::{Fake, Says, ask, hostile, table};

fn question(at: SocketAddr) -> Ask {
    Ask::Postgresql { at: at.to_string() }
}

fn message(kind: u8, body: &[u8]) -> Says {
    let length = u32::try_from(body.len() + 4).unwrap();
    Says::After([&[kind], length.to_be_bytes().as_slice(), body].concat())
}

fn error(code: &str, message: &str) -> Says {
    self::message(b'E', format!("SFATAL\0VFATAL\0C{code}\0M{message}\0Fpostmaster.c\0\0").as_bytes())
}

#[tokio::test]
async fn whoever_wants_to_know_who_is_there_accepts_connections() {
    let server = Fake::says(message(b'R', &[0, 0, 0, 10])).await;
    assert_eq!(ask(question(server.at)).await, Ok("accepting connections".to_owned()));
    let asked = server.asked().await;
    assert!(asked.starts_with("\0\0\0"), "{asked:?}");
    // Its length is in its first four bytes, and all of it there.
    assert_eq!(usize::from(asked.as_bytes()[3]), asked.find("\0\0X").map_or(asked.len(), |end| end + 2));
    assert!(asked[4..].starts_with("\0\u{3}\0\0user\0partition-agent\0database\0postgres\0"), "{asked:?}");
    let strange = Err("it answers, but not like PostgreSQL");
    table(
        question,
        &[
            (message(b'R', &[0, 0, 0, 0]), Ok("accepting connections")),
            (
                error("28000", "role \"partition-agent\" does not exist"),
                Ok("accepting connections, but: role \"partition-agent\" does not exist"),
            ),
            (
                error("53300", "sorry, too many clients already"),
                Ok("accepting connections, but: sorry, too many clients already"),
            ),
            (error("57P03", "the database system is starting up"), Err("the database system is starting up")),
            (
                error("57P03", "the database system is shutting down"),
                Err("the database system is shutting down"),
            ),
            (error("57P01", "terminating connection"), Err("terminating connection")),
            (error("5", "what"), strange),
            (message(b'E', b""), strange),
            (message(b'E', b"C57P03"), strange),
            (message(b'S', b"server_version\x0015\0"), strange),
            (Says::After(b"R\0\0\0\x03".to_vec()), strange),
            (Says::After(b"R\xff\xff\xff\xff".to_vec()), strange),
            (Says::After(b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()), strange),
            (Says::After(b"R\0\0\0\x08\0".to_vec()), Err("it closed the connection without an answer")),
            (Says::HangsUp, Err("it closed the connection without an answer")),
        ],
    )
    .await;
    hostile(question).await;
}
