//! `restore` and `change`.

use harness::fake_agent::FakeAgent;
use partition_agent_proto::{FaultStatus, State};

use crate::run::run;

fn agent_with(ids: &[&str]) -> FakeAgent {
    let agent = FakeAgent::start();
    for id in ids {
        run(&agent, &format!("inject --loss 100% --peer redis --id {id}")).done();
    }
    agent
}

#[test]
fn restore_ends_the_fault_that_is_named() {
    let agent = agent_with(&["a", "b"]);
    assert_eq!(
        run(&agent, "restore a").done(),
        "a: restored; nothing of it is left; all else is as it was before\n"
    );
    let left: Vec<FaultStatus> = run(&agent, "status --json").json();
    assert_eq!(left.iter().map(|fault| fault.id.as_str()).collect::<Vec<_>>(), ["b"]);
}

#[test]
fn restore_ends_all_that_are_named_though_one_is_unknown() {
    let agent = agent_with(&["a", "b", "c"]);
    let restored = run(&agent, "restore a nobody b");
    assert_eq!(restored.code, Some(1));
    assert_eq!(
        restored.stdout,
        "a: restored; nothing of it is left; all else is as it was before\nb: restored; nothing of it is left; all else is as it was before\n",
        "{restored:?}"
    );
    assert!(restored.stderr.starts_with("partition-agent: there is no fault nobody\n  "), "{restored:?}");
    assert_eq!(run(&agent, "status --json").json::<Vec<FaultStatus>>().len(), 1);
}

#[test]
fn restore_all_ends_everything() {
    let agent = agent_with(&["a", "b"]);
    assert_eq!(
        run(&agent, "restore --all").done(),
        "a: restored; nothing of it is left; all else is as it was before\nb: restored; nothing of it is left; all else is as it was before\n"
    );
    assert!(agent.world().is_clean());
    assert_eq!(run(&agent, "restore --all").done(), "no faults\n");
}

#[test]
fn restore_says_that_delayed_packets_are_on_their_way() {
    let agent = FakeAgent::start();
    run(&agent, "inject --latency 100ms --peer redis --id slow").done();
    let text = run(&agent, "restore slow").done();
    assert_eq!(text, "slow: out of force; packets that it delayed are on their way\n");
    run(&agent, "status --wait").done();
    assert!(agent.world().is_clean());
}

#[test]
fn restore_in_json_is_a_list() {
    let agent = agent_with(&["a", "b", "c"]);
    let one: Vec<FaultStatus> = run(&agent, "restore a --json").json();
    assert_eq!((one.len(), one[0].state), (1, State::Restored));
    assert_eq!(run(&agent, "restore --all --json").json::<Vec<FaultStatus>>().len(), 2);
    assert_eq!(run(&agent, "restore --all --json").json::<Vec<FaultStatus>>(), []);
}

#[test]
fn a_restore_that_the_kernel_refuses_is_a_failure() {
    let agent = agent_with(&["cut"]);
    agent.world().refuse_undo = usize::MAX;
    let error = run(&agent, "restore cut").failed(1);
    assert!(error.contains("the fake kernel was told to refuse"), "{error}");
    let all = run(&agent, "restore --all");
    assert_eq!(all.code, Some(1), "{all:?}");
    assert!(all.stdout.starts_with("cut: stuck"), "{all:?}");
    assert!(run(&agent, "status").done().contains("cut  stuck"));
    agent.world().refuse_undo = 0;
    run(&agent, "restore cut").done();
    assert!(agent.world().is_clean());
}

#[test]
fn restore_all_does_not_call_a_stuck_fault_confirmed() {
    let agent = agent_with(&["cut"]);
    agent.world().refuse_undo = usize::MAX;
    let all = run(&agent, "restore --all");
    assert!(!all.stdout.contains("confirmed"), "{all:?}");
}

#[test]
fn change_extends_and_shortens() {
    let agent = agent_with(&["cut"]);
    for (asked, soon_after, seconds) in [("10m", "9m59s", 600), ("30s", "29s", 30)] {
        let text = run(&agent, &format!("change cut --for {asked}")).done();
        let in_time = [asked, soon_after].map(|left| format!("cut: now ends in {left}, at 20"));
        assert!(in_time.iter().any(|head| text.starts_with(head)), "{text}");
        assert!(text.ends_with("Z, by the kernel\n"), "{text}");
        let told = agent.world().timeouts[&1].as_secs();
        // What is left when the kernel is told.
        assert!((seconds - 20..=seconds).contains(&told), "{told} s for {asked}");
    }
    let fault: FaultStatus = run(&agent, "change cut --for 5m --json").json();
    assert!((30_001..=300_000).contains(&fault.remaining_ms), "{fault:?}");
}

#[test]
fn change_beyond_the_limit_is_refused() {
    let agent = agent_with(&["cut"]);
    let error = run(&agent, "change cut --for 2h").failed(1);
    assert!(error.contains("policy.longest allows 1h; this is to last 2h"), "{error}");
    assert_eq!(agent.world().timeouts[&1].as_secs(), 60);
}
