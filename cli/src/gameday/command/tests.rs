use std::path::Path;

use super::*;

fn command(line: &str, timeout: Duration) -> Command {
    let environment = vec![("EVENT", "a test".to_owned())];
    let directory = PathBuf::from("/tmp");
    Command { line: line.to_owned(), place: Place::Here, directory, environment, timeout, keep: KEPT }
}

/// Far more than any of these takes.
const LONG: Duration = Duration::from_secs(20);

/// Whether somebody of this process group is there, zombies aside.
fn lives(group: &str) -> bool {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    let mut stats = all.filter_map(|entry| std::fs::read_to_string(entry.path().join("stat")).ok());
    stats.any(|stat| {
        let fields = stat.rsplit_once(") ").unwrap().1.split(' ').collect::<Vec<_>>();
        fields[2] == group && fields[0] != "Z"
    })
}

fn until_dead(group: &str) {
    let begun = Instant::now();
    while lives(group) {
        assert!(begun.elapsed() < Duration::from_secs(5), "the group {group} lives on");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[tokio::test]
async fn status_and_both_outputs_are_told_apart() {
    let done = command("echo $EVENT; echo why >&2; exit 3", LONG).run().await.unwrap();
    assert_eq!((done.end, done.succeeded()), (End::Exit(3), false));
    assert_eq!((done.stdout.text().as_str(), done.stderr.text().as_str()), ("a test\n", "why\n"));
    assert_eq!(done.why(), "exit status 3: why");
    let done = command("pwd; kill -15 $$", LONG).run().await.unwrap();
    assert_eq!((done.end, done.stdout.text().as_str()), (End::Signal(15), "/tmp\n"));
    let done = command("echo fine", LONG).run().await.unwrap();
    assert!(done.succeeded() && done.took < LONG && !done.stdout.is_cut(), "{done:?}");
}

#[tokio::test]
async fn output_is_bounded_and_holds_nobody_up() {
    let done =
        command("head -c 300000 /dev/zero | tr '\\0' a; head -c 300000 /dev/zero >&2", LONG).run().await;
    let done = done.unwrap();
    assert!(done.succeeded());
    assert_eq!((done.stdout.bytes.len(), done.stdout.is_cut()), (KEPT, true));
    assert_eq!((done.stderr.bytes.len(), done.stderr.is_cut()), (KEPT, true));
    let done = command("yes", Duration::from_secs(2)).run().await.unwrap();
    assert!(matches!(done.end, End::TimedOut(_)) && done.stdout.is_cut(), "{:?}", done.end);
    let exact = Command { keep: 3, ..command("printf abc", LONG) }.run().await.unwrap();
    assert_eq!((exact.stdout.text().as_str(), exact.stdout.is_cut()), ("abc", false));
}

/// It ignores what is polite, and so does its grandchild; both are in its group.
const STUBBORN: &str =
    "trap '' TERM INT HUP; (trap '' TERM; sleep 600; sleep 600) & echo $$ > $GROUP; sleep 600; sleep 600";

fn stubborn(file: &Path, timeout: Duration) -> Command {
    let environment = vec![("GROUP", file.display().to_string())];
    Command { environment, ..command(STUBBORN, timeout) }
}

#[tokio::test]
async fn at_the_timeout_the_whole_group_dies() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let done = stubborn(file.path(), Duration::from_millis(500)).run().await.unwrap();
    assert_eq!(done.end, End::TimedOut(Duration::from_millis(500)));
    assert_eq!(done.why(), "not done within 500ms, and killed");
    until_dead(std::fs::read_to_string(file.path()).unwrap().trim());
}

#[tokio::test]
async fn dropped_it_kills_the_whole_group() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let mut running = Box::pin(stubborn(file.path(), LONG).run());
    let group = loop {
        assert!(tokio::time::timeout(Duration::from_millis(20), &mut running).await.is_err());
        let group = std::fs::read_to_string(file.path()).unwrap();
        if group.ends_with('\n') {
            break group;
        }
    };
    assert!(lives(group.trim()));
    let begun = Instant::now();
    drop(running);
    // The drop waits for a tenth of a second at most; the rest is a busy machine.
    assert!(begun.elapsed() < Duration::from_secs(1), "{:?}", begun.elapsed());
    until_dead(group.trim());
}

#[tokio::test]
async fn what_is_left_in_the_background_neither_holds_up_nor_dies() {
    let begun = Instant::now();
    let done = command("sleep 30 & echo $!", LONG).run().await.unwrap();
    assert!(done.succeeded() && begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    let left = Pid::from_raw(done.stdout.text().trim().parse().unwrap());
    nix::sys::signal::kill(left, Signal::SIGKILL).expect("it is still there");
}

#[tokio::test]
async fn what_cannot_be_started_says_why() {
    let nowhere = Command { directory: "/nonexistent".into(), ..command("true", LONG) };
    let error = nowhere.run().await.unwrap_err();
    assert!(error.starts_with("it cannot be started: "), "{error}");
    let gone = Place::Namespace("/run/netns/nonexistent".into());
    let error = Command { place: gone, ..command("true", LONG) }.run().await.unwrap_err();
    assert!(error.starts_with("the network namespace /run/netns/nonexistent: No such file"), "{error}");
    let other = Place::Namespace("/proc/self/ns/uts".into());
    let error = Command { place: other, ..command("true", LONG) }.run().await.unwrap_err();
    assert!(error.contains("cannot be entered"), "{error}");
    let missing = command("no-such-program", LONG).run().await.unwrap();
    assert!(missing.end == End::Exit(127) && missing.why().contains("not found"), "{}", missing.why());
}
