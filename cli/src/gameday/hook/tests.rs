use std::path::PathBuf;
use std::time::Instant;

use tokio::sync::mpsc::unbounded_channel;

use super::*;
use crate::gameday::probe::fake::{Fake, Says};

fn command(line: &str, on: &[HookEvent]) -> Hook {
    Hook { on: on.to_vec(), tell: Tell::Command(line.to_owned()) }
}

fn slack(server: &Fake) -> Hook {
    let url = format!("http://{}/services/T0/s3cret", server.at);
    Hook { on: vec![HookEvent::Started], tell: Tell::Slack(url) }
}

fn warnings(mut told: UnboundedReceiver<String>) -> Vec<String> {
    std::iter::from_fn(|| told.try_recv().ok()).collect()
}

#[tokio::test]
async fn commands_are_told_in_order_without_delaying_anybody() {
    let directory = tempfile::tempdir().unwrap();
    let (warn, warned) = unbounded_channel();
    let slow = "sleep 0.1; echo \"$EVENT $GAMEDAY: $TEXT\" >> told";
    let hooks = [
        command(slow, &[HookEvent::Started, HookEvent::Fault, HookEvent::Finished]),
        command("echo why >&2; exit 3", &[HookEvent::Aborted]),
    ];
    let hooks = Hooks::start(&hooks, "a day", directory.path(), &warn);
    let begun = Instant::now();
    hooks.tell(HookEvent::Started, "it begins");
    hooks.tell(HookEvent::Fault, "it's \"cut\"\n$HOME; \0");
    hooks.tell(HookEvent::Healed, "nobody wants to know");
    hooks.tell(HookEvent::Aborted, "stop");
    hooks.tell(HookEvent::Finished, "over");
    assert!(begun.elapsed() < Duration::from_millis(90), "{:?}", begun.elapsed());
    hooks.finish(&warn).await;
    let told = std::fs::read_to_string(directory.path().join("told")).unwrap();
    assert_eq!(told, "started a day: it begins\nfault a day: it's \"cut\"\n$HOME;  \nfinished a day: over\n");
    assert_eq!(
        warnings(warned),
        ["the hook `echo why >&2; exit 3` was not told `aborted`: exit status 3: why"]
    );
}

#[tokio::test]
async fn slack_gets_its_text_and_errors_have_nothing_secret() {
    let server = Fake::says(Says::After(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec())).await;
    let (warn, warned) = unbounded_channel();
    let hooks = Hooks::start(&[slack(&server)], "a day", Path::new("/"), &warn);
    hooks.tell(HookEvent::Started, "it \"begins\"\n");
    hooks.finish(&warn).await;
    let asked = server.asked().await;
    assert!(asked.starts_with("POST /services/T0/s3cret HTTP/1.1\r\n"), "{asked}");
    assert!(asked.contains("content-type: application/json\r\n"), "{asked}");
    assert!(asked.ends_with("\r\n\r\n{\"text\":\"it \\\"begins\\\"\\n\"}"), "{asked}");
    assert!(warnings(warned).is_empty());

    let answer = b"HTTP/1.1 404 Not Found\r\nContent-Length: 19\r\n\r\nno /services/s3cret".to_vec();
    for says in [Says::After(answer), Says::HangsUp, Says::AtOnce(b"garbage\r\n\r\n".into())] {
        let server = Fake::says(says).await;
        let (warn, warned) = unbounded_channel();
        let hooks = Hooks::start(&[slack(&server)], "a day", Path::new("/"), &warn);
        hooks.tell(HookEvent::Started, "it begins");
        hooks.finish(&warn).await;
        let warned = warnings(warned);
        assert_eq!(warned.len(), 1, "{warned:?}");
        assert!(warned[0].starts_with("the slack hook at 127.0.0.1 was not told `started`: "), "{warned:?}");
        assert!(!warned[0].contains("s3cret"), "{warned:?}");
    }
}

#[tokio::test]
async fn a_silent_hook_is_given_up_and_the_next_event_told() {
    let directory = tempfile::tempdir().unwrap();
    let (warn, warned) = unbounded_channel();
    let teller = Teller {
        tell: Tell::Command("test $EVENT = fault && sleep 600; echo $EVENT >> told".to_owned()),
        gameday: "a day".to_owned(),
        directory: PathBuf::from(directory.path()),
        timeout: Duration::from_millis(300),
    };
    let (events, told) = unbounded_channel();
    events.send((HookEvent::Fault, String::new())).unwrap();
    events.send((HookEvent::Healed, String::new())).unwrap();
    drop(events);
    teller.all(told, warn).await;
    assert_eq!(std::fs::read_to_string(directory.path().join("told")).unwrap(), "healed\n");
    let warned = warnings(warned);
    assert!(
        warned.len() == 1 && warned[0].contains("`fault`") && warned[0].contains("within 300ms"),
        "{warned:?}"
    );
}
