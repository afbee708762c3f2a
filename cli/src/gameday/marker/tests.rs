use super::*;

fn marker(write: &str, read: &str, every: u64, timeout: u64) -> Marker {
    let (every, timeout) = (Duration::from_millis(every), Duration::from_millis(timeout));
    Marker {
        write: write.to_owned(),
        read: read.to_owned(),
        every,
        timeout,
        from: None,
        settle: Duration::ZERO,
        expendable: false,
    }
}

fn site(directory: &tempfile::TempDir) -> Site {
    Site { place: Place::Here, directory: directory.path().to_owned(), run: "r-1".to_owned() }
}

#[tokio::test]
async fn what_is_written_is_read_back_with_its_phase() {
    let (directory, every) = (tempfile::tempdir().unwrap(), 20);
    // The third is refused after it was written, the fourth is acknowledged and not written.
    let write = "case $MARKER in 4) ;; *) echo $RUN-$MARKER >> all;; esac; test $MARKER != 3 || { echo full >&2; exit 1; }";
    let marker = marker(write, "echo 12 rows; cat all", every, 10_000);
    let begun = Instant::now();
    let writer = Writer::start(marker.clone(), site(&directory), "steady");
    while std::fs::read_to_string(directory.path().join("all")).unwrap_or_default().lines().count() < 4 {
        assert!(begun.elapsed() < Duration::from_secs(30));
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    writer.phase("faults");
    tokio::time::sleep(Duration::from_millis(200)).await;
    let written = writer.stop().await;
    assert_eq!(
        written.iter().map(|write| write.number).collect::<Vec<_>>(),
        (1..=written.last().unwrap().number).collect::<Vec<_>>()
    );
    assert!(written.windows(2).all(|pair| pair[0].at + Duration::from_millis(every / 2) < pair[1].at));
    assert_eq!(written[2].acknowledged, Err("exit status 1: full".to_owned()));
    assert!(written[3].acknowledged.as_ref().is_ok_and(|acknowledged| *acknowledged > written[3].at));
    assert_eq!((written[0].phase.as_str(), written.last().unwrap().phase.as_str()), ("steady", "faults"));
    let found = read(&marker, &site(&directory)).await.unwrap();
    let (report, rpo) = account("orders", &written, Ok(&found));
    assert_eq!((report.lost, report.uncertain, report.duplicated), (vec![4], vec![3], vec![]));
    assert!(rpo.unwrap() > Duration::ZERO);
    let after = std::fs::read_to_string(directory.path().join("all")).unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(std::fs::read_to_string(directory.path().join("all")).unwrap(), after, "it goes on writing");
}

#[tokio::test]
async fn a_slow_write_never_has_company() {
    let directory = tempfile::tempdir().unwrap();
    // A second one at the same time would fail.
    let marker = marker("mkdir busy && sleep 0.15 && rmdir busy", "true", 10, 10_000);
    let writer = Writer::start(marker, site(&directory), "steady");
    tokio::time::sleep(Duration::from_millis(1_000)).await;
    let written = writer.stop().await;
    assert!(written.iter().all(|write| write.acknowledged.is_ok()), "{written:?}");
    // At least a sixth of a second each.
    assert!((2..=8).contains(&written.len()), "{}", written.len());
}

#[tokio::test]
async fn a_write_that_hangs_is_not_acknowledged_and_dropping_ends_it() {
    let directory = tempfile::tempdir().unwrap();
    let writer = Writer::start(marker("sleep 600", "true", 10, 200), site(&directory), "steady");
    tokio::time::sleep(Duration::from_millis(300)).await;
    let written = writer.stop().await;
    let why = written[0].acknowledged.clone().unwrap_err();
    assert_eq!(why, "not done within 200ms, and killed");
    let slow = marker("echo $$ > group; sleep 600", "true", 10, 600_000);
    let writer = Writer::start(slow, site(&directory), "steady");
    let file = directory.path().join("group");
    let group = loop {
        match std::fs::read_to_string(&file) {
            Ok(group) if group.ends_with('\n') => break group.trim().to_owned(),
            Ok(_) | Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    };
    drop(writer);
    let begun = Instant::now();
    while std::path::Path::new("/proc").join(&group).exists() {
        assert!(begun.elapsed() < Duration::from_secs(5), "{group} lives on");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn what_cannot_be_read_back_says_why() {
    let directory = tempfile::tempdir().unwrap();
    let error = read(&marker("true", "echo no >&2; exit 2", 10, 10), &site(&directory)).await.unwrap_err();
    assert_eq!(error, "exit status 2: no");
    // It has more time than a write.
    let found = read(&marker("true", "sleep 0.2; echo 5", 10, 10), &site(&directory)).await;
    assert_eq!(found, Ok(vec![5]));
    let endless = read(&marker("true", "yes 1 | head -c 40000000", 10, 10), &site(&directory)).await;
    assert_eq!(endless, Err("it prints more than 32 MiB".to_owned()));
}

#[test]
fn lines_that_are_numbers_count_and_others_do_not() {
    let text = "1\n 2 \r\n\"3\"\nr-1-4\n\"r-1:5\"\nr-15\n12 rows\ntotal: 12\n(integer) 7\n-8\n+9\n1.0\n\nr-2-10\nr-1-\nr-1-x\n\
                99999999999999999999999\n007\n1\n";
    assert_eq!(numbers(text, "r-1"), [1, 2, 3, 4, 5, 7, 1]);
    assert_eq!(numbers("-5\n6\n", ""), [6]);
}
