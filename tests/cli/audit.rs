//! `history --audit`: a table for people, the lines themselves for programs.

use harness::fake_agent::FakeAgent;
use partition_agent_proto::AuditEntry;

use crate::run::run;

#[test]
fn what_was_asked_for_is_a_table_newest_first() {
    let agent = FakeAgent::start();
    assert_eq!(run(&agent, "history --audit").done(), "nobody has asked for anything yet\n");
    run(&agent, "inject --loss 100% --peer redis --id cut").done();
    run(&agent, "restore nobody").failed(1);
    let table = run(&agent, "history --audit --limit 4").done();
    let lines = table.lines().collect::<Vec<_>>();
    assert_eq!(lines.len(), 5, "{table}");
    assert!(lines[0].starts_with("AT  "), "{table}");
    assert!(
        lines[1].contains("DELETE /v1/faults/nobody") && lines[1].contains("404, there is no fault"),
        "{table}"
    );
    assert!(lines[2].contains("  cut  ") && lines[2].contains("201, loss 100%, redis, "), "{table}");
    assert!(lines[3].contains("  agent  ") && lines[3].contains("  injected  "), "{table}");
    assert!(lines[4].contains("  asks: PUT /v1/faults/cut"), "{table}");
    let entries: Vec<AuditEntry> = run(&agent, "history --audit --limit 1 --json").json();
    assert!(matches!(&entries[..], [AuditEntry::Answered(one)] if one.status == Some(404)), "{entries:?}");
}
