//! Between the page and the agent: lost, found again, and full.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;

use harness::{binary, text};
use nix::sys::signal::Signal;
use serde_json::json;

use crate::desk::{AT, Desk, INJECTS, LOOKS, picture, shows};

const CUT: &str = r#"{"kinds":[{"loss":{"percent":100}}],"target":{"peers":["10.77.1.2"]},"for":"10m"}"#;

#[test]
fn an_agent_that_is_killed_is_told_and_one_that_is_back_is_found() {
    if !harness::has_tool("chromium") {
        return;
    }
    let mut desk = Desk::new();
    desk.enter(INJECTS);
    desk.agent().inject("cut", CUT);
    desk.browser.until(&shows("1 in force"));
    let dir = desk.agent.take().unwrap().kill_9();
    desk.browser.until(&shows("No answer from the agent since"));
    desk.browser.until("document.getElementById('link-words').textContent === 'lost, trying again'");
    // Its end does not depend on the agent, and neither does the clock.
    let left = desk.browser.ask("document.querySelector('.left b').innerText");
    desk.browser.until(&format!("document.querySelector('.left b').innerText !== {left}"));
    picture(&mut desk.browser, "lost");
    desk.browser.ask("document.getElementById('restore-all').click()");
    desk.browser.until(&shows("partition-agent restore --all"));
    desk.start("", dir);
    desk.browser.until("document.getElementById('link-words').textContent === 'live'");
    desk.browser.until(&shows("Nothing is in force"));
    desk.browser.until("document.getElementById('past-rows').innerText.includes('agent died')");
    assert_eq!(desk.browser.ask("document.getElementById('lost').hidden"), true);
    // And it is live again.
    desk.agent().inject("again", CUT);
    desk.browser.until(&shows("1 in force"));
    let complaints = desk.complaints(&[401]);
    assert!(complaints.iter().all(|complaint| complaint.contains("net::ERR_")), "{complaints:?}");
}

#[test]
fn an_agent_that_hangs_is_told_too() {
    if !harness::has_tool("chromium") {
        return;
    }
    let mut desk = Desk::new();
    desk.enter(INJECTS);
    desk.agent().inject("cut", CUT);
    desk.browser.until(&shows("1 in force"));
    desk.agent().signal(Signal::SIGSTOP);
    desk.browser.until(&shows("No answer from the agent since"));
    desk.browser.until(&shows("1 in force, when last heard"));
    desk.agent().signal(Signal::SIGCONT);
    desk.browser.until("document.getElementById('link-words').textContent === 'live'");
    // The clock has gone on: what is left is what the agent says, but for the time between the two questions.
    let left = desk.agent().faults()[0].remaining_ms;
    let shown = desk.browser.ask("[...rows.values()][0].ends - performance.now()").as_f64().unwrap();
    assert!((shown - left as f64).abs() < 5_000.0, "{shown} and {left}");
}

#[test]
fn where_all_places_of_listeners_are_taken_the_page_asks_instead() {
    if !harness::has_tool("chromium") {
        return;
    }
    let mut desk = Desk::new();
    let listen = || {
        let mut stream = TcpStream::connect(AT).unwrap();
        let asked = format!("GET /v1/events HTTP/1.1\r\nhost: {AT}\r\nauthorization: Bearer {LOOKS}\r\n\r\n");
        stream.write_all(asked.as_bytes()).unwrap();
        let mut head = [0; 12];
        stream.read_exact(&mut head).unwrap();
        assert_eq!(&head, b"HTTP/1.1 200");
        stream
    };
    let listeners = desk.lab.db.run(|| (0..64).map(|_| listen()).collect::<Vec<_>>());
    desk.browser.open(crate::desk::PAGE);
    desk.show(INJECTS);
    desk.browser.until("document.getElementById('link-words').textContent === 'live, by asking'");
    desk.agent().inject("cut", CUT);
    desk.browser.until(&shows("1 in force"));
    desk.send(20, "10.77.1.2:9");
    desk.browser.until("document.querySelector('.hits').innerText.startsWith('20 lost')");
    // It tries again by itself.
    drop(listeners);
    desk.browser.until("document.getElementById('link-words').textContent === 'live'");
}

#[test]
fn over_tls_it_is_the_same_page_without_the_warning() {
    if !harness::has_tool("chromium") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca").display().to_string();
    for words in [&["init"][..], &["issue", "app", "--host", "10.77.2.1"]] {
        let made = Command::new(binary()).arg("ca").args(words).args(["--dir", &ca]).output().unwrap();
        assert!(made.status.success(), "{words:?}: {}", text(&made.stderr));
    }
    let mut desk = Desk::with(&format!("[tls]\ncert = '{ca}/app.crt'\nkey = '{ca}/app.key'"));
    // It is not about whom the browser believes.
    desk.browser.call("Security.setIgnoreCertificateErrors", &json!({ "ignore": true }));
    desk.browser.open(&format!("https://{AT}/"));
    desk.browser.until("document.activeElement.id === 'token'");
    assert_eq!(desk.browser.ask("document.getElementById('token-clear').hidden"), true);
    desk.show(INJECTS);
    desk.browser.until(&shows("Nothing is in force"));
    assert_eq!(desk.complaints(&[401]), Vec::<String>::new());
}
