//! The journal on a real directory: what a later agent finds, what a full disk and a rotation do to it.

use super::*;

fn begun(id: &str) -> Begun {
    let spec = serde_json::from_str(r#"{"kinds":[{"loss":{"percent":1}}],"target":{"ports":[1]}}"#).unwrap();
    Begun { id: id.parse().unwrap(), spec, by: "root".to_owned(), at: "then".to_owned() }
}

fn end(journal: &mut Journal, id: &str) {
    journal.end("now".to_owned(), None, id.parse().unwrap(), End::Deadline, Hits::default(), None).unwrap();
}

#[test]
fn what_has_no_end_is_found_by_the_next_agent() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, open, unreadable) = Journal::open(dir.path()).unwrap();
    assert_eq!((open.len(), unreadable), (0, 0));
    journal.inject(begun("a")).unwrap();
    journal.inject(begun("b")).unwrap();
    end(&mut journal, "a");
    drop(journal);
    let (journal, open, _) = Journal::open(dir.path()).unwrap();
    assert_eq!(open, [begun("b")]);
    let over = journal.history(10).unwrap();
    assert_eq!(over.iter().map(|h| h.id.as_str()).collect::<Vec<_>>(), ["a"]);
}

#[test]
fn one_agent_at_a_time() {
    let dir = tempfile::tempdir().unwrap();
    let _held = Journal::open(dir.path()).unwrap();
    assert!(matches!(Journal::open(dir.path()), Err(JournalError::Held(_))));
}

#[test]
fn a_torn_or_corrupt_line_costs_that_line_only() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, ..) = Journal::open(dir.path()).unwrap();
    journal.inject(begun("a")).unwrap();
    drop(journal);
    let path = dir.path().join(CURRENT);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes.extend(b"\xff\xfe garbage\n{\"op\":\"inject\",\"id\":");
    std::fs::write(&path, bytes).unwrap();
    let (mut journal, open, unreadable) = Journal::open(dir.path()).unwrap();
    assert_eq!((open, unreadable), (vec![begun("a")], 2));
    journal.inject(begun("b")).unwrap();
    drop(journal);
    let (_, open, _) = Journal::open(dir.path()).unwrap();
    assert_eq!(open, [begun("a"), begun("b")]);
}

#[test]
fn a_long_journal_makes_room_and_keeps_its_history() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, ..) = Journal::open(dir.path()).unwrap();
    journal.inject(begun("a")).unwrap();
    end(&mut journal, "a");
    journal.most = 0;
    journal.rotate().unwrap();
    journal.inject(begun("b")).unwrap();
    end(&mut journal, "b");
    let ids = journal.history(10).unwrap().iter().map(|h| h.id.to_string()).collect::<Vec<_>>();
    assert_eq!(ids, ["b", "a"]);
    assert_eq!(journal.history(1).unwrap().len(), 1);
}

#[test]
fn a_journal_makes_room_while_a_fault_is_open_and_does_not_forget_it() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, ..) = Journal::open(dir.path()).unwrap();
    journal.inject(begun("long")).unwrap();
    let mut most = 0;
    for nth in 0..120_000_u32 {
        let id = format!("f{nth}");
        journal.inject(begun(&id)).unwrap();
        end(&mut journal, &id);
        journal.rotate().unwrap();
        if nth % 1_000 == 0 {
            let files = std::fs::read_dir(dir.path()).unwrap();
            most = most.max(files.map(|file| file.unwrap().metadata().unwrap().len()).sum::<u64>());
        }
    }
    assert!(most > ROTATE && most <= 2 * (ROTATE + 4_096), "{most}");
    let newest = journal.history(2).unwrap();
    assert_eq!(newest.iter().map(|over| over.id.as_str()).collect::<Vec<_>>(), ["f119999", "f119998"]);
    drop(journal);
    let (mut journal, open, _) = Journal::open(dir.path()).unwrap();
    assert_eq!(open, [begun("long")]);
    end(&mut journal, "long");
    assert_eq!(journal.history(1).unwrap()[0].id.as_str(), "long");
}

#[test]
fn a_rotation_that_was_cut_short_is_finished_by_the_next_agent() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let (mut journal, ..) = Journal::open(dir.path()).unwrap();
    journal.inject(begun("a")).unwrap();
    drop(journal);
    // Before the first rename, and between the two.
    std::fs::write(path(NEXT), "half a li").unwrap();
    assert_eq!(Journal::open(dir.path()).unwrap().1, [begun("a")]);
    assert!(!path(NEXT).exists());
    std::fs::copy(path(CURRENT), path(NEXT)).unwrap();
    std::fs::rename(path(CURRENT), path(PREVIOUS)).unwrap();
    assert_eq!(Journal::open(dir.path()).unwrap().1, [begun("a")]);
    assert!(!path(NEXT).exists() && path(CURRENT).exists());
}

#[test]
fn a_history_that_is_read_across_a_rotation_has_nothing_twice() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, ..) = Journal::open(dir.path()).unwrap();
    for id in ["a", "b"] {
        journal.inject(begun(id)).unwrap();
        end(&mut journal, id);
    }
    let current = Backwards::open(&dir.path().join(CURRENT)).unwrap();
    journal.most = 0;
    journal.rotate().unwrap();
    let over = over_in(current, Backwards::open(&dir.path().join(PREVIOUS)).unwrap(), 10).unwrap();
    assert_eq!(over.iter().map(|over| over.id.as_str()).collect::<Vec<_>>(), ["b", "a"]);
}

#[test]
fn a_rotation_that_fails_goes_on_where_it_was_and_one_without_a_file_makes_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let (mut journal, ..) = Journal::open(dir.path()).unwrap();
    journal.inject(begun("a")).unwrap();
    std::fs::create_dir_all(path(PREVIOUS).join("in the way")).unwrap();
    journal.most = 0;
    assert!(journal.rotate().is_err());
    journal.inject(begun("b")).unwrap();
    std::fs::remove_dir_all(path(PREVIOUS)).unwrap();
    std::fs::rename(path(CURRENT), path("elsewhere")).unwrap();
    for _ in 0..2 {
        journal.most = 0;
        journal.rotate().unwrap();
    }
    end(&mut journal, "a");
    drop(journal);
    let (journal, open, _) = Journal::open(dir.path()).unwrap();
    assert_eq!(open, [begun("b")]);
    assert_eq!(journal.history(1).unwrap()[0].id.as_str(), "a");
}

#[test]
fn an_end_that_a_full_disk_had_no_room_for_is_written_later() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, ..) = Journal::open(dir.path()).unwrap();
    journal.inject(begun("a")).unwrap();
    journal.inject(begun("b")).unwrap();
    let file = journal.lines.fill();
    for id in ["a", "b"] {
        let id = id.parse().unwrap();
        assert!(journal.end("now".to_owned(), None, id, End::Deadline, Hits::default(), None).is_err());
    }
    journal.sync();
    assert!(journal.inject(begun("c")).is_err(), "before the ends are written");
    journal.lines.make_room(file);
    journal.sync();
    drop(journal);
    let (journal, open, _) = Journal::open(dir.path()).unwrap();
    assert_eq!(open, []);
    let over = journal.history(10).unwrap();
    assert_eq!(over.iter().map(|over| over.id.as_str()).collect::<Vec<_>>(), ["b", "a"]);
}

#[test]
fn of_an_id_that_was_used_again_each_end_has_its_own_beginning() {
    let dir = tempfile::tempdir().unwrap();
    let (mut journal, ..) = Journal::open(dir.path()).unwrap();
    for by in ["first", "second"] {
        journal.inject(Begun { by: by.to_owned(), ..begun("a") }).unwrap();
        end(&mut journal, "a");
    }
    // An end whose beginning is gone is nobody's.
    end(&mut journal, "b");
    let over = journal.history(10).unwrap();
    assert_eq!(over.iter().map(|over| over.by.as_str()).collect::<Vec<_>>(), ["second", "first"]);
}
