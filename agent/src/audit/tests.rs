//! The log on a real directory: what is bounded, what is kept, what a full disk does to it.

use super::*;

fn request(path: &str) -> AuditRequest {
    AuditRequest {
        at: wall(Duration::ZERO),
        by: "uid 0 (pid 1)".to_owned(),
        from: "unix".to_owned(),
        method: "PUT".to_owned(),
        path: path.to_owned(),
        id: None,
        fault: None,
        until: None,
        status: Some(401),
        why: Some("no".to_owned()),
    }
}

fn size(dir: &Path) -> u64 {
    std::fs::read_dir(dir).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum()
}

#[test]
fn what_comes_from_outside_is_escaped_and_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let audit = Audit::open(dir.path()).unwrap();
    audit.asked(Some("me"), request(&format!("/a\n\x1b[2J\u{9b}m\u{202e}{}", "ä".repeat(100_000)))).unwrap();
    let text = std::fs::read_to_string(dir.path().join("audit.jsonl")).unwrap();
    assert_eq!(text.lines().count(), 1);
    let steers = |c: char| c != '\n' && c.is_control() || c == '\u{202e}';
    assert!(text.len() < 4_000 && !text.contains(steers), "{}", text.len());
    let AuditEntry::Asked(read) = &audit.newest(1).unwrap()[0] else { panic!("{text}") };
    assert!(read.path.starts_with(r"/a\n\u{1b}[2J\u{9b}m\u{202e}ä") && read.path.ends_with('…'));
}

#[test]
fn a_hundred_thousand_refusals_are_few_lines_and_the_number_of_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let audit = Audit::open(dir.path()).unwrap();
    audit.asked(Some("me"), request("/first")).unwrap();
    let begun = BootTime::now();
    for _ in 0..100_000 {
        audit.answered(Answered::Stranger, request(&"x".repeat(10_000)));
    }
    // Those who may be here are heard all the same.
    audit.answered(Answered::Refused, request("/friend"));
    let seconds = begun.until(BootTime::now()).as_secs() + 1;
    let entries = audit.newest(10_000).unwrap();
    let written = entries.iter().filter(|entry| matches!(entry, AuditEntry::Answered(_))).count();
    let written = u64::try_from(written).unwrap();
    let more = entries.iter().map(|entry| match entry {
        AuditEntry::More { count, .. } => *count,
        AuditEntry::Asked(_) | AuditEntry::Answered(_) | AuditEntry::Event { .. } => 0,
    });
    assert_eq!(written + more.sum::<u64>(), 100_001);
    assert!(written <= 20 * (seconds + 1) + 1, "{written} in {seconds}s");
    assert!(size(dir.path()) < 2_000 * (written + 10));
    assert!(entries.iter().any(|entry| matches!(entry, AuditEntry::Answered(one) if one.path == "/friend")));
    assert!(matches!(entries.last().unwrap(), AuditEntry::Asked(first) if first.path == "/first"));
}

#[test]
fn four_files_are_kept_and_read_as_one() {
    let dir = tempfile::tempdir().unwrap();
    let audit = Audit::open(dir.path()).unwrap();
    let long = "x".repeat(LONGEST);
    let count = 5 * log::ROTATE / 3_000;
    for nth in 0..count {
        let fault = Some(long.clone());
        audit.inner().asked = Shares::new(1, 1);
        audit
            .asked(
                Some("me"),
                AuditRequest { why: fault.clone(), by: long.clone(), fault, ..request(&format!("/{nth}")) },
            )
            .unwrap();
    }
    let names = std::fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(names, 4);
    let bound = 4 * log::ROTATE + 4 * 8_000;
    assert!(size(dir.path()) <= bound && size(dir.path()) > 3 * log::ROTATE, "{}", size(dir.path()));
    let newest = audit.newest(usize::MAX).unwrap();
    for (entry, nth) in newest.iter().zip((0..count).rev()) {
        assert!(matches!(entry, AuditEntry::Asked(one) if one.path == format!("/{nth}")), "{nth}: {entry:?}");
    }
    assert!(u64::try_from(newest.len()).unwrap() > count / 2);
    assert_eq!(audit.newest(3).unwrap(), newest[..3]);
}

#[test]
fn a_rotation_that_fails_loses_nothing_and_keeps_nobody_from_asking() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let audit = Audit::open(dir.path()).unwrap();
    for (name, text) in [("audit.1.jsonl", "one"), ("audit.2.jsonl", "two")] {
        std::fs::write(path(name), text).unwrap();
    }
    // Nothing can be moved there.
    std::fs::create_dir_all(path("audit.3.jsonl").join("in the way")).unwrap();
    let long = "x".repeat(LONGEST);
    for nth in 0..(log::ROTATE / 1_000 + 100) {
        audit.answered(Answered::Changed, AuditRequest { by: long.clone(), ..request(&format!("/{nth}")) });
    }
    audit.asked(Some("me"), request("/first")).unwrap();
    assert!(path("audit.jsonl").metadata().unwrap().len() > log::ROTATE);
    assert_eq!(std::fs::read(path("audit.1.jsonl")).unwrap(), b"one");
    assert_eq!(std::fs::read(path("audit.2.jsonl")).unwrap(), b"two");
}

#[test]
fn a_full_disk_refuses_what_is_asked_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let audit = Audit::open(dir.path()).unwrap();
    audit.inner().log.fill();
    assert!(audit.asked(Some("me"), request("/a")).is_err());
    audit.answered(Answered::Changed, request("/b"));
    audit.event(&"cut".parse().unwrap(), EventKind::Ended, "over");
    assert_eq!(audit.newest(10).unwrap(), []);
}

#[test]
fn who_asks_for_too_much_is_refused_and_pushes_nobody_out() {
    let dir = tempfile::tempdir().unwrap();
    let audit = Audit::open(dir.path()).unwrap();
    audit.asked(Some("me"), request("/first")).unwrap();
    let begun = BootTime::now();
    let written = (0..20_000).filter(|_| audit.asked(Some("other"), request("/again")).is_ok()).count();
    let seconds = usize::try_from(begun.until(BootTime::now()).as_secs()).unwrap() + 1;
    assert!((1_000..=1_000 + 10 * seconds).contains(&written), "{written} in {seconds}s");
    let refused = audit.asked(Some("other"), request("/again")).unwrap_err();
    assert!(matches!(refused, Unrecorded::Overmuch(_)), "{refused}");
    // Nobody else is in the way of that, and no answer.
    audit.asked(Some("me"), request("/second")).unwrap();
    audit.answered(Answered::Changed, request("/restored"));
    for _ in 0..5 {
        audit.answered(Answered::Overmuch, request("/shorter"));
    }
    // The deadline of one fault, moved again and again; and its end.
    let id = "cut".parse().unwrap();
    (0..20_000).for_each(|_| audit.event(&id, EventKind::Changed, "a deadline"));
    audit.event(&id, EventKind::Ended, "over");
    let entries = audit.newest(usize::MAX).unwrap();
    assert!(entries.len() < 3_000, "{}", entries.len());
    let is_ended = |entry: &AuditEntry| matches!(entry, AuditEntry::Event { kind: EventKind::Ended, .. });
    assert_eq!(entries.iter().filter(|entry| is_ended(entry)).count(), 1);
    let events = entries.iter().filter(|entry| matches!(entry, AuditEntry::Event { .. })).count() - 1;
    let more =
        entries.iter().map(|entry| if let AuditEntry::More { count, .. } = entry { *count } else { 0 });
    assert_eq!(more.sum::<u64>(), 20_005 - u64::try_from(events).unwrap());
    assert!(matches!(entries.last().unwrap(), AuditEntry::Asked(first) if first.path == "/first"));
}
