use std::path::PathBuf;

use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::*;
use crate::gameday::file::Ask;
use crate::gameday::probe::fake::{Fake, Says};

fn probe(ask: Ask, every: u64, timeout: u64) -> Probe {
    Probe { ask, from: None, every: Duration::from_millis(every), timeout: Duration::from_millis(timeout) }
}

fn command(line: &str, directory: &std::path::Path) -> Ask {
    Ask::Command { command: line.to_owned(), stdout: None, directory: directory.to_owned() }
}

fn start(probe: Probe) -> (Prober, UnboundedReceiver<(String, Answer)>) {
    let (tell, told) = unbounded_channel();
    (Prober::start("it".to_owned(), probe, Place::Here, tell).unwrap(), told)
}

/// Threads of this process that ask.
fn threads() -> usize {
    let all = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    all.filter(|task| std::fs::read_to_string(task.path().join("comm")).is_ok_and(|name| name == "probe\n"))
        .count()
}

#[tokio::test]
async fn it_asks_at_once_and_from_start_to_start() {
    let server = Fake::says(Says::Nothing).await;
    let (prober, mut told) = start(probe(Ask::Tcp(server.at.to_string()), 100, 5_000));
    let mut asked = Vec::new();
    for _ in 0..6 {
        let (name, answer) = told.recv().await.unwrap();
        assert_eq!((name.as_str(), answer.holds), ("it", Ok("connected".to_owned())));
        asked.push(answer.asked);
    }
    let took = asked[5] - asked[0];
    // Five intervals; a late start is not made up for by a late end.
    assert!(took >= Duration::from_millis(450) && took < Duration::from_millis(1_500), "{took:?}");
    drop(prober);
}

#[tokio::test]
async fn a_slow_answer_is_ended_at_its_timeout_and_has_no_company() {
    let server = Fake::says(Says::Nothing).await;
    let at = server.at.to_string();
    // Never answered: each takes its 130 ms, and the next one begins then.
    let (prober, mut told) = start(probe(Ask::Redis { at, password: None }, 100, 130));
    let mut asked = Vec::new();
    for _ in 0..4 {
        let (_, answer) = told.recv().await.unwrap();
        assert_eq!(answer.holds, Err("no answer within 130ms".to_owned()));
        assert!(answer.took >= Duration::from_millis(130) && answer.took < Duration::from_secs(1));
        asked.push(answer.asked);
    }
    for pair in asked.windows(2) {
        let apart = pair[1] - pair[0];
        assert!(apart >= Duration::from_millis(130) && apart < Duration::from_secs(1), "{apart:?}");
    }
    drop(prober);
}

#[tokio::test]
async fn dropped_it_leaves_no_thread_and_no_child() {
    let directory = tempfile::tempdir().unwrap();
    let line = "trap '' TERM; echo $$ > group; sleep 600; sleep 600";
    let (prober, _told) = start(probe(command(line, directory.path()), 1_000, 60_000));
    let file = directory.path().join("group");
    let group = loop {
        match std::fs::read_to_string(&file) {
            Ok(group) if group.ends_with('\n') => break PathBuf::from("/proc").join(group.trim()),
            Ok(_) | Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    };
    assert!(threads() > 0 && group.exists());
    let begun = Instant::now();
    drop(prober);
    // A tenth of a second at most; the rest is a busy machine.
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    while group.exists() {
        assert!(begun.elapsed() < Duration::from_secs(5), "the command lives on");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn it_ends_when_nobody_listens_and_when_it_is_not_answered() {
    let server = Fake::says(Says::Nothing).await;
    let at = server.at.to_string();
    let (prober, told) = start(probe(Ask::Redis { at, password: None }, 10, 600_000));
    let Asker::Thread { ended, .. } = &prober.0 else { panic!("a thread asks") };
    drop(told);
    assert_eq!(ended.recv_timeout(Duration::from_secs(5)), Err(mpsc::RecvTimeoutError::Disconnected));
}

#[tokio::test]
async fn what_cannot_be_asked_is_refused_at_once() {
    let (tell, _told) = unbounded_channel();
    let tcp = || probe(Ask::Tcp("127.0.0.1:9".to_owned()), 10, 10);
    let start = |probe, place| Prober::start("api".to_owned(), probe, place, tell.clone()).err().unwrap();
    let error = start(probe(Ask::Tcp("redis".to_owned()), 10, 10), Place::Here);
    assert!(error.to_string().starts_with("`redis` is no HOST:PORT"), "{error}");
    let error = start(tcp(), Place::Namespace("/nonexistent".into()));
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    let error = start(tcp(), Place::Namespace("/proc/self/ns/uts".into()));
    assert!(error.to_string().contains("cannot be entered"), "{error}");
}
