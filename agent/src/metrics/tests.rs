//! Pages, line by line.

use super::*;

fn at(seconds: u64) -> BootTime {
    BootTime::after_boot(Duration::from_secs(seconds))
}

/// A host that has been up for an hour, at a round time of the wall clock.
fn page(metrics: &Metrics, tally: &Tally) -> String {
    metrics.page(tally, at(3_600), Duration::from_secs(1_800_000_000))
}

fn standing(id: &str, state: State, kinds: &[KindName]) -> Standing {
    let in_force = (state == State::Active).then(|| (at(3_540), at(3_660)));
    Standing {
        id: id.parse().unwrap(),
        state,
        kinds: kinds.to_vec(),
        leased: id.starts_with("leased"),
        in_force,
    }
}

/// That a page has these lines.
fn assert_has(page: &str, lines: &str) {
    for line in lines.lines().map(str::trim) {
        assert!(page.lines().any(|had| had == line), "no `{line}` in\n{page}");
    }
}

#[test]
fn an_agent_at_its_start_has_every_series_that_needs_no_fault() {
    let page = page(&Metrics::new(at(3_000)), &Tally::default());
    assert_has(
        &page,
        r#"partition_agent_start_time_seconds 1799999400.0
           # TYPE partition_agent_start_time_seconds gauge
           # UNIT partition_agent_start_time_seconds seconds
           # TYPE partition_agent_build info
           # TYPE partition_agent_hit_bytes counter
           # UNIT partition_agent_hit_bytes bytes
           partition_agent_faults{state="stuck"} 0
           partition_agent_active_faults{kind="dns"} 0
           partition_agent_leases 0
           partition_agent_hit_packets_total{sink="lost"} 0
           partition_agent_hit_bytes_total{sink="shaped"} 0
           partition_agent_queue_drops_total{cause="overflow"} 0
           partition_agent_emulator_queue_packets 0
           partition_agent_inject_duration_seconds_count 0
           partition_agent_restore_lateness_seconds_bucket{le="+Inf"} 0
           partition_agent_ended_faults_total{trigger="agent_died"} 0
           partition_agent_restore_failures_total 0
           partition_agent_lease_renewals_total 0
           partition_agent_refusals_total{reason="kernel-refused"} 0"#,
    );
    assert!(page.ends_with("\n# EOF\n"), "{page}");
    assert!(!page.contains("fault_deadline"), "{page}");
}

#[test]
fn a_fault_counts_by_its_state_and_in_force_by_each_of_its_kinds() {
    let both = [KindName::Loss, KindName::Latency];
    let tally = Tally {
        faults: vec![
            standing("a", State::Active, &both),
            standing("leased-b", State::Active, &[KindName::Loss]),
            standing("leased-c", State::Waiting, &[KindName::Dns]),
            standing("d", State::Stuck, &both),
        ],
        hits: Hits { lost_packets: 7, lost_bytes: 700, queue_drops: 5, overflow_drops: 2, ..Hits::default() },
        held: 9,
    };
    let page = page(&Metrics::new(at(0)), &tally);
    assert_has(
        &page,
        r#"partition_agent_faults{state="active"} 2
           partition_agent_faults{state="waiting"} 1
           partition_agent_faults{state="stuck"} 1
           partition_agent_faults{state="prepared"} 0
           partition_agent_active_faults{kind="loss"} 2
           partition_agent_active_faults{kind="latency"} 1
           partition_agent_active_faults{kind="dns"} 0
           partition_agent_leases 2
           partition_agent_fault_start_timestamp_seconds{id="a"} 1799999940.0
           partition_agent_fault_deadline_timestamp_seconds{id="leased-b"} 1800000060.0
           partition_agent_hit_packets_total{sink="lost"} 7
           partition_agent_hit_bytes_total{sink="lost"} 700
           partition_agent_queue_drops_total{cause="loss"} 3
           partition_agent_queue_drops_total{cause="overflow"} 2
           partition_agent_emulator_queue_packets 9"#,
    );
    // What is not in force has no time that somebody could be told of.
    assert_eq!(page.matches("id=\"").count(), 4, "{page}");
}

#[test]
fn what_happens_is_counted_where_it_belongs() {
    let metrics = Metrics::new(at(0));
    metrics.injected(Duration::from_millis(3));
    metrics.restored(Duration::from_millis(40), Some(Duration::from_millis(20)));
    metrics.restored(Duration::from_millis(40), None);
    metrics.clone().ended(&End::Restored { who: "somebody with\"quotes".to_owned() });
    metrics.refused(ProblemCode::Limit);
    assert_has(
        &page(&metrics, &Tally::default()),
        r#"partition_agent_inject_duration_seconds_bucket{le="0.0025"} 0
           partition_agent_inject_duration_seconds_bucket{le="0.005"} 1
           partition_agent_inject_duration_seconds_sum 0.003
           partition_agent_restore_duration_seconds_count 2
           partition_agent_restore_lateness_seconds_bucket{le="0.025"} 1
           partition_agent_restore_lateness_seconds_count 1
           partition_agent_ended_faults_total{trigger="restored"} 1
           partition_agent_ended_faults_total{trigger="deadline"} 0
           partition_agent_refusals_total{reason="limit"} 1"#,
    );
}

#[test]
fn two_readings_of_the_clocks_tell_the_same_instant() {
    let tally = Tally { faults: vec![standing("a", State::Active, &[])], ..Tally::default() };
    let metrics = Metrics::new(at(0));
    let told = |later: Duration| {
        // Between two milliseconds, each clock elsewhere.
        let (boot, wall) = (Duration::from_micros(700), Duration::from_micros(300));
        let (boot, wall) = (at(3_600) + boot + later, Duration::from_secs(1_800_000_000) + wall + later);
        let page = metrics.page(&tally, boot, wall);
        let mut lines = page.lines().map(str::to_owned).collect::<Vec<_>>();
        // Series of a family have no order.
        lines.sort_unstable();
        lines
    };
    for micros in [100, 400, 900, 15_000_400] {
        assert_eq!(told(Duration::ZERO), told(Duration::from_micros(micros)), "{micros}");
    }
}
