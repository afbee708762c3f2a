use std::net::SocketAddr;

use crate::gameday::file::Ask;
use crate::gameday::probe::fake::{Fake, Says, ask, hostile, table};

fn with(password: Option<&str>) -> impl Fn(SocketAddr) -> Ask {
    move |at| Ask::Redis { at: at.to_string(), password: password.map(str::to_owned) }
}

fn after(text: &str) -> Says {
    Says::After(text.into())
}

#[tokio::test]
async fn only_a_pong_is_one_and_errors_are_told_as_they_are() {
    let loading = "LOADING Redis is loading the dataset in memory";
    let down = "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.";
    let strange = "it answers, but not like Redis: ";
    table(
        with(None),
        &[
            (after("+PONG\r\n"), Ok("PONG")),
            (after(&format!("-{loading}\r\n")), Err(loading)),
            (after(&format!("-{down}\r\n")), Err(down)),
            (after("-NOAUTH Authentication required.\r\n"), Err("NOAUTH Authentication required.")),
            (after("-NOPERM this user has no permissions\r\n"), Err("NOPERM this user has no permissions")),
            (Says::AtOnce(b"-DENIED protected mode\r\n".into()), Err("DENIED protected mode")),
            (after("HTTP/1.1 400 Bad Request\r\n"), Err(&format!("{strange}HTTP/1.1 400 Bad Request"))),
            (after("+PONGS\r\n"), Err(&format!("{strange}+PONGS"))),
            (after("$4\r\nPONG\r\n"), Err(&format!("{strange}$4"))),
            (after("-\r\n"), Err("an error without a reason")),
            (after("+PON"), Err("it closed the connection without an answer")),
            (Says::HangsUp, Err("it closed the connection without an answer")),
            (Says::Endless(b"a"), Err("a line of its answer is longer than 4096 bytes")),
        ],
    )
    .await;
    hostile(with(None)).await;
    hostile(with(Some("a password"))).await;
}

#[tokio::test]
async fn a_password_may_have_any_characters_and_is_never_told() {
    let secret = "s3 \"cr\r\nPING\r\net";
    let server = Fake::says(after("+OK\r\n+PONG\r\n")).await;
    assert_eq!(ask(with(Some(secret))(server.at)).await, Ok("PONG".to_owned()));
    assert_eq!(
        server.asked().await,
        format!("*2\r\n$4\r\nAUTH\r\n${}\r\n{secret}\r\nPING\r\n", secret.len())
    );
    let wrong = "WRONGPASS invalid username-password pair or user is disabled.";
    table(
        with(Some("hunter2")),
        &[
            (after(&format!("-{wrong}\r\n-NOAUTH Authentication required.\r\n")), Err(wrong)),
            (
                after("-ERR unknown command 'AUTH' with 'hunter2'\r\n"),
                Err("ERR unknown command 'AUTH' with '***'"),
            ),
            (after("+OK\r\n-LOADING\r\n"), Err("LOADING")),
        ],
    )
    .await;
}
