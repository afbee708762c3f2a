//! The audit log: which request leaves which line, and which leaves none.

use std::time::{Duration, Instant};

use harness::fake_agent::Options;
use partition_agent_proto::ProblemCode::Busy;
use partition_agent_proto::{AuditEntry, AuditRequest, EventKind, FaultStatus};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;

use crate::client::{Api, LOSS, PATIENCE, Reply, fault};

async fn newest(api: &Api, limit: usize) -> Vec<AuditEntry> {
    api.get(&format!("/v1/audit?limit={limit}")).await.json(200)
}

/// What is new, in the order in which it was written: `asked`, `answered` with its status, or the kind of an event.
async fn since(api: &Api, before: usize) -> Vec<String> {
    let mut entries = newest(api, 1_000).await;
    entries.reverse();
    let text = |entry: &AuditEntry| match entry {
        AuditEntry::Asked(asked) => format!("asked {} {}", asked.method, asked.path),
        AuditEntry::Answered(answered) => {
            format!("{} {} {}", answered.status.unwrap(), answered.method, answered.path)
        }
        AuditEntry::Event { kind, .. } => format!("{kind:?}"),
        AuditEntry::More { count, .. } => format!("{count} more"),
    };
    entries[before..].iter().map(text).collect()
}

#[tokio::test]
async fn each_kind_of_request_leaves_its_lines() {
    let api = Api::start();
    let leased = fault(r#"{"loss":{"percent":50}}"#, r#","lease":"30s""#);
    let mut before = 0;
    for (method, path, body, lines) in [
        (
            "PUT",
            "/v1/faults/cut",
            LOSS,
            vec!["asked PUT /v1/faults/cut", "Injected", "201 PUT /v1/faults/cut"],
        ),
        ("PUT", "/v1/faults/cut", LOSS, vec!["asked PUT /v1/faults/cut", "200 PUT /v1/faults/cut"]),
        ("PUT", "/v1/faults/cut", &leased, vec!["asked PUT /v1/faults/cut", "409 PUT /v1/faults/cut"]),
        ("PUT", "/v1/faults/other?dry_run=true", LOSS, vec![]),
        ("PATCH", "/v1/faults/cut", r#"{"for":"1m"}"#, vec!["Changed", "200 PATCH /v1/faults/cut"]),
        ("POST", "/v1/faults/cut/renew", "", vec!["422 POST /v1/faults/cut/renew"]),
        ("DELETE", "/v1/faults/cut", "", vec!["Ended", "Restored", "200 DELETE /v1/faults/cut"]),
        ("DELETE", "/v1/faults/cut", "", vec!["404 DELETE /v1/faults/cut"]),
        ("DELETE", "/v1/faults", "", vec!["200 DELETE /v1/faults"]),
        (
            "PUT",
            "/v1/faults/leased",
            &leased,
            vec!["asked PUT /v1/faults/leased", "Injected", "201 PUT /v1/faults/leased"],
        ),
        // One every few seconds.
        ("POST", "/v1/faults/leased/renew", "", vec![]),
        (
            "PUT",
            "/v1/faults/p?prepare=30s&attempt=7",
            LOSS,
            vec![
                "asked PUT /v1/faults/p?prepare=30s&attempt=7",
                "Prepared",
                "201 PUT /v1/faults/p?prepare=30s&attempt=7",
            ],
        ),
        (
            "POST",
            "/v1/faults/p/commit",
            r#"{"at_boot_ns":1}"#,
            vec!["asked POST /v1/faults/p/commit", "409 POST /v1/faults/p/commit"],
        ),
        // A word of a route may be the id of a fault.
        (
            "PUT",
            "/v1/faults/renew",
            LOSS,
            vec!["asked PUT /v1/faults/renew", "Injected", "201 PUT /v1/faults/renew"],
        ),
        ("PATCH", "/v1/faults/renew", r#"{"for":"1m"}"#, vec!["Changed", "200 PATCH /v1/faults/renew"]),
        ("DELETE", "/v1/faults/renew", "", vec!["Ended", "Restored", "200 DELETE /v1/faults/renew"]),
        // Of these none can be a dry run.
        (
            "POST",
            "/v1/faults/p/commit?dry_run=true",
            r#"{"at_boot_ns":1}"#,
            vec!["422 POST /v1/faults/p/commit?dry_run=true"],
        ),
        ("DELETE", "/v1/faults/p?dry_run=true", "", vec!["422 DELETE /v1/faults/p?dry_run=true"]),
        ("PUT", "/v1/faults/bad", "{}", vec!["422 PUT /v1/faults/bad"]),
        ("PUT", "/v1/faults/bad", "{", vec!["400 PUT /v1/faults/bad"]),
        ("POST", "/nowhere", "", vec!["404 POST /nowhere"]),
        // What only looks.
        ("GET", "/v1/faults", "", vec![]),
        ("GET", "/v1/faults/nobody", "", vec![]),
        ("GET", "/v1/clock", "", vec![]),
        ("GET", "/v1/history?limit=x", "", vec!["422 GET /v1/history?limit=x"]),
    ] {
        api.send(method, path, body.to_owned()).await;
        assert_eq!(since(&api, before).await, lines, "{method} {path} {body}");
        before += lines.len();
    }
}

#[tokio::test]
async fn a_line_says_who_what_until_when_and_why_not() {
    let api = Api::start();
    let cut: FaultStatus = api.send("PUT", "/v1/faults/cut", LOSS).await.json(201);
    let [AuditEntry::Answered(answered), AuditEntry::Event { id, kind, text, .. }, AuditEntry::Asked(asked)] =
        &newest(&api, 3).await[..]
    else {
        panic!("not as many")
    };
    let me = format!("uid {} (pid {})", nix::unistd::getuid(), std::process::id());
    let what = cut.spec.to_string();
    for line in [asked, answered] {
        assert_eq!((&line.by, line.from.as_str(), line.method.as_str()), (&me, "unix", "PUT"));
        assert_eq!((line.id.as_ref(), line.fault.as_ref()), (Some(&cut.id), Some(&what)));
        assert!(line.at.ends_with('Z'));
    }
    assert_eq!((asked.status, asked.until.as_ref()), (None, None));
    assert_eq!((answered.status, answered.until.as_ref()), (Some(201), Some(&cut.ends_at)));
    assert_eq!((id, *kind), (&cut.id, EventKind::Injected));
    assert!(text.starts_with(&what), "{text}");

    let body = r#"{"kinds":[{"loss":{"percent":1}}],"target":{"peers":["nobody.invalid"]}}"#;
    api.send("PUT", "/v1/faults/named", body).await;
    let AuditEntry::Answered(refused) = &newest(&api, 1).await[0] else { panic!("no answer") };
    assert_eq!(refused.status, Some(422));
    assert!(refused.why.as_ref().unwrap().contains("nobody.invalid"), "{refused:?}");

    api.agent.world().refuse_apply = Some(0);
    api.send("PUT", "/v1/faults/refused", LOSS.replace("30", "31")).await;
    let kernel = newest(&api, 2).await;
    let said = |entry: &AuditEntry| serde_json::to_string(entry).unwrap().contains("told to refuse");
    assert!(kernel.iter().all(said), "{kernel:?}");
}

#[tokio::test]
async fn whoever_has_no_token_is_recorded_and_cannot_push_others_out() {
    let api = Api::with(Options { token: Some("0123456789abcdef"), ..Options::default() });
    let _: FaultStatus = api.send("PUT", "/v1/faults/cut", LOSS).await.json(201);
    let begun = std::time::Instant::now();
    for _ in 0..500 {
        let reply = Reply::to(api.request_tcp("DELETE", "/v1/faults/cut")).await;
        assert_eq!(reply.status, 401);
    }
    let seconds = usize::try_from(begun.elapsed().as_secs()).unwrap() + 1;
    let entries = newest(&api, 1_000).await;
    let refused = entries.iter().filter_map(|entry| match entry {
        AuditEntry::Answered(one @ AuditRequest { status: Some(401), .. }) => Some(one),
        _ => None,
    });
    let refused = refused.collect::<Vec<_>>();
    assert!(refused.iter().all(|one| one.from.starts_with("127.0.0.1:") && one.why.is_some()), "{refused:?}");
    let more =
        entries.iter().map(|entry| if let AuditEntry::More { count, .. } = entry { *count } else { 0 });
    assert_eq!(u64::try_from(refused.len()).unwrap() + more.sum::<u64>(), 500);
    assert!(refused.len() <= 20 * (seconds + 1), "{} in {seconds}s", refused.len());
    assert!(matches!(entries.last().unwrap(), AuditEntry::Asked(first) if first.path == "/v1/faults/cut"));
}

#[tokio::test]
async fn it_is_read_newest_first_and_in_bounds() {
    let api = Api::start();
    for nth in 0..5 {
        api.send("DELETE", &format!("/v1/faults/f{nth}"), "").await;
    }
    let paths = |entries: Vec<AuditEntry>| {
        let path = |entry| match entry {
            AuditEntry::Answered(one) => one.path,
            other => panic!("{other:?}"),
        };
        entries.into_iter().map(path).collect::<Vec<_>>()
    };
    assert_eq!(paths(newest(&api, 2).await), ["/v1/faults/f4", "/v1/faults/f3"]);
    assert_eq!(newest(&api, 0).await, []);
    assert_eq!(newest(&api, usize::MAX).await.len(), 5);
}

/// Whoever hangs up has asked all the same: it is done and written down.
#[tokio::test]
async fn who_hangs_up_is_recorded_all_the_same() {
    let api = Api::start();
    let _: FaultStatus = api.send("PUT", "/v1/faults/cut", LOSS).await.json(201);
    let _: FaultStatus = api.send("PUT", "/v1/faults/other", LOSS).await.json(201);
    // The answer waits for the kernel, so that nobody can be faster than who hangs up.
    api.agent.world().hesitates = Duration::from_millis(300);
    let named = LOSS.replace("10.0.0.5", "localhost");
    for (method, path, body, line) in [
        ("PATCH", "/v1/faults/cut", r#"{"for":"10m"}"#, "200 PATCH /v1/faults/cut"),
        ("PUT", "/v1/faults/named", &named, "201 PUT /v1/faults/named"),
        ("DELETE", "/v1/faults/cut", "", "200 DELETE /v1/faults/cut"),
        ("DELETE", "/v1/faults", "", "200 DELETE /v1/faults"),
    ] {
        let before = newest(&api, 1_000).await.len();
        hang_up(&api, method, path, body).await;
        let begun = Instant::now();
        while since(&api, before).await.last().is_none_or(|last| last != line) {
            assert!(begun.elapsed() < PATIENCE, "{line}: {:?}", since(&api, before).await);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Sends a whole request, lets it begin, and is gone.
async fn hang_up(api: &Api, method: &str, path: &str, body: &str) {
    let mut stream = UnixStream::connect(&api.agent.socket).await.unwrap();
    let head = format!("{method} {path} HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    stream.write_all(head.as_bytes()).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
}

#[tokio::test]
async fn nobody_washes_the_log_out_and_no_end_is_refused_for_that() {
    let api = Api::start();
    let _: FaultStatus = api.send("PUT", "/v1/faults/cut", LOSS).await.json(201);
    // Restores of nothing, and of what cannot be: of these there are few lines.
    for _ in 0..200 {
        assert_eq!(api.send("DELETE", "/v1/faults/nobody", "").await.status, 404);
    }
    let _: FaultStatus = api.delete("/v1/faults/cut").await.json(200);
    for _ in 0..200 {
        assert_eq!(api.delete("/v1/faults").await.json::<Vec<FaultStatus>>(200), []);
    }
    assert!(newest(&api, 10_000).await.len() < 250);

    let leased = fault(r#"{"loss":{"percent":50}}"#, r#","lease":"30s""#);
    let _: FaultStatus = api.send("PUT", "/v1/faults/cut", leased.clone()).await.json(201);
    // The same fault again is asked for again. Not by root, who has all the room there is.
    let ask = async |method: &str, path: &str, body: &str| {
        Reply::to(api.request_tcp(method, path).body(body.to_owned())).await
    };
    let begun = Instant::now();
    // Some room comes back each second, so a request that is slow to come may find some.
    let until_refused = async |method: &str, body: &str| loop {
        let reply = ask(method, "/v1/faults/cut", body).await;
        if reply.status != 200 {
            return reply;
        }
        assert!(begun.elapsed() < PATIENCE, "no end");
    };
    let refused = until_refused("PUT", &leased).await;
    refused.refused(Busy, "more than the audit log has room for").hint.unwrap();
    until_refused("PATCH", r#"{"for":"30m"}"#).await.refused(Busy, "nothing was changed");
    let dry: FaultStatus = ask("PUT", "/v1/faults/dry?dry_run=true", LOSS).await.json(200);
    assert!(dry.plan.is_some());
    let by_root: FaultStatus = api.send("PUT", "/v1/faults/cut", leased.clone()).await.json(200);
    assert_eq!(by_root.id.as_str(), "cut");
    // The room is used up before each of these, as fast as it can be.
    for (method, path, body) in [
        ("PATCH", "/v1/faults/cut", r#"{"for":"20s"}"#),
        ("POST", "/v1/faults/cut/renew", ""),
        ("DELETE", "/v1/faults/cut?at_boot_ns=1", ""),
    ] {
        while ask("PUT", "/v1/faults/cut", &leased).await.status == 200 {}
        assert_eq!(ask(method, path, body).await.status, 200, "{method} {path}");
    }
    assert_eq!(api.faults().await, []);
}
