//! What is on the screen, in a terminal that is a value.

use partition_agent_proto::Event;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use serde_json::json;

use super::super::feed::News;
use super::super::keys::See;
use super::*;

fn fault(id: &str, remaining_ms: u64) -> partition_agent_proto::FaultStatus {
    let fault = json!({
        "id": id, "state": "active",
        "spec": {"kinds": [{"loss": {"percent": 100}}], "target": {"peers": ["redis"]}, "direction": "both", "for": "1m"},
        "addresses": 1, "first_addresses": ["10.0.0.5"], "places": [{"name": "host", "interfaces": ["eth0"]}],
        "protects": [], "by": "uid 0", "injected_at": "2026-11-22T07:03:18.821Z", "ends_at": "2026-11-22T07:04:18.821Z",
        "remaining_ms": remaining_ms, "verdict": {"is": "confirmed"},
        "hits": {"lost_packets": 3, "lost_bytes": 180, "shaped_packets": 0, "shaped_bytes": 0, "rejected_packets": 0,
                 "rejected_bytes": 0, "reset_connections": 0, "failed_questions": 0, "queue_drops": 0, "overflow_drops": 0},
    });
    serde_json::from_value(fault).expect("a fault as the agent tells it")
}

fn event(id: &str, kind: &str) -> Event {
    let event =
        json!({"at": "2026-11-22T07:03:18.821Z", "id": id, "kind": kind, "text": "in\u{1b}[2J words"});
    serde_json::from_value(event).expect("an event as the agent tells it")
}

const SECOND: Duration = Duration::from_secs(1);

fn screen(picture: &mut Picture, now: Duration, columns: u16, rows: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(columns, rows)).expect("a terminal");
    terminal.draw(|frame| draw(frame, picture, now)).expect("it draws");
    let lines = terminal.backend().buffer().content.chunks(usize::from(columns));
    lines
        .map(|line| line.iter().map(|cell| cell.symbol()).collect::<String>().trim_end().to_owned() + "\n")
        .collect()
}

#[test]
fn a_host_with_a_fault() {
    let mut picture = Picture::new(["web-1".to_owned()].into_iter(), false);
    assert!(screen(&mut picture, Duration::ZERO, 80, 14).contains("web-1  not heard yet"));
    picture.hear(News::Faults { host: 0, faults: Vec::new() }, SECOND);
    assert!(screen(&mut picture, SECOND, 80, 14).contains("web-1  no faults"));
    picture.hear(News::Faults { host: 0, faults: vec![fault("cut", 42_000)] }, 2 * SECOND);
    picture.hear(News::Event { host: 0, event: event("cut", "injected") }, 2 * SECOND);
    let drawn = screen(&mut picture, 5 * SECOND, 90, 14);
    let expected = "\
partition-agent  web-1  1 fault
 Faults ──────────────────────────────────────────────────────────────────────────────────
ID   STATE   LEFT  HITS    VERDICT    FAULT
cut  active  39s   3 lost  confirmed  loss 100%, redis, egress and ingress



 What happened ───────────────────────────────────────────────────────────────────────────
  3s ago  injected    cut: in [2J words




 ↑↓ choose  r restore it  R restore everything  q quit
";
    assert_eq!(drawn, expected, "\n{drawn}");
}

#[test]
fn a_clock_does_not_go_below_nothing_and_goes_on_while_nobody_answers() {
    let mut picture = Picture::new(["web-1".to_owned()].into_iter(), false);
    picture.hear(News::Faults { host: 0, faults: vec![fault("cut", 5_000)] }, SECOND);
    picture.hear(News::Silent { host: 0, why: "refused\u{202e}".to_owned() }, 2 * SECOND);
    // Again and again, told once.
    picture.hear(News::Silent { host: 0, why: "refused".to_owned() }, 3 * SECOND);
    let drawn = screen(&mut picture, 4 * SECOND, 90, 20);
    assert!(
        drawn.contains("! web-1 does not answer: refused; its kernel ends its faults in time"),
        "{drawn}"
    );
    assert!(drawn.contains("cut  active  2s"), "{drawn}");
    assert_eq!(drawn.matches("ago").count(), 1, "{drawn}");
    let drawn = screen(&mut picture, 60 * SECOND, 90, 20);
    assert!(drawn.contains("cut  active  0s"), "{drawn}");
}

#[test]
fn a_fleet_names_hosts_and_a_choice_goes_no_further_than_there_are_faults() {
    let names = ["web-1", "web-2"].map(str::to_owned);
    let mut picture = Picture::new(names.into_iter(), true);
    for (host, id) in [(0, "cut"), (1, "slow")] {
        picture.hear(News::Faults { host, faults: vec![fault(id, 9_000)] }, SECOND);
    }
    let drawn = screen(&mut picture, SECOND, 100, 20);
    assert!(drawn.contains("2 hosts  2 faults") && drawn.contains("web-2  slow"), "{drawn}");
    assert!(drawn.contains("m who reaches whom"), "{drawn}");
    for _ in 0..5 {
        picture.see(See::Below);
        screen(&mut picture, SECOND, 100, 20);
    }
    picture.see(See::AskOne);
    assert!(screen(&mut picture, SECOND, 100, 20).contains("restore slow? y: yes"));
    picture.see(See::Nothing);
    picture.see(See::AskAll);
    assert!(screen(&mut picture, SECOND, 100, 20).contains("restore everything? y: yes"));
    picture.see(See::Nothing);
    picture.see(See::Matrix);
    assert!(screen(&mut picture, SECOND, 100, 20).contains("asking every host"));
    picture.found(Ok("1 web-1  . x".to_owned()));
    assert!(screen(&mut picture, SECOND, 100, 20).contains("1 web-1  . x"));
}

#[test]
fn what_happens_meanwhile_leaves_a_question_open() {
    let mut picture = Picture::new(["web-1".to_owned()].into_iter(), false);
    picture.hear(News::Faults { host: 0, faults: vec![fault("cut", 9_000)] }, SECOND);
    picture.see(See::AskAll);
    picture.note("restored: 1".to_owned(), SECOND);
    picture.hear(News::Event { host: 0, event: event("cut", "ended") }, SECOND);
    picture.see(See::Again);
    assert!(screen(&mut picture, SECOND, 80, 20).contains("restore everything? y: yes"));
}

#[test]
fn a_host_that_was_never_heard_is_not_counted_as_healthy() {
    let mut picture = Picture::new(["web-1", "web-2"].map(str::to_owned).into_iter(), true);
    picture.hear(News::Faults { host: 0, faults: Vec::new() }, SECOND);
    assert!(screen(&mut picture, SECOND, 80, 20).contains("no faults, but 1 not heard yet"));
}

#[test]
fn the_last_fault_may_go_while_it_is_chosen() {
    let mut picture = Picture::new(["web-1".to_owned()].into_iter(), false);
    let two = vec![fault("cut", 9_000), fault("slow", 9_000)];
    picture.hear(News::Faults { host: 0, faults: two }, SECOND);
    screen(&mut picture, SECOND, 80, 20);
    picture.see(See::Below);
    picture.hear(News::Faults { host: 0, faults: vec![fault("cut", 9_000)] }, SECOND);
    picture.see(See::AskOne);
    assert!(screen(&mut picture, SECOND, 80, 20).contains("restore cut?"));
    picture.see(See::Nothing);
    picture.hear(News::Faults { host: 0, faults: Vec::new() }, SECOND);
    picture.see(See::AskOne);
    assert!(picture.asks().is_none());
}

#[test]
fn any_size_is_drawn() {
    let mut picture = Picture::new((0..9).map(|nth| format!("h{nth}")), true);
    for host in 0..9 {
        picture.hear(News::Faults { host, faults: vec![fault("cut", 9_000)] }, SECOND);
        picture.hear(News::Silent { host, why: "refused".to_owned() }, SECOND);
    }
    for (columns, rows) in [(1, 1), (2, 3), (20, 5), (40, 11), (80, 24), (300, 100)] {
        for see in [See::Nothing, See::Matrix, See::AskAll] {
            picture.see(see);
            screen(&mut picture, SECOND, columns, rows);
        }
    }
    let drawn = screen(&mut picture, SECOND, 80, 24);
    assert!(drawn.contains("! and 6 more"), "{drawn}");
}
