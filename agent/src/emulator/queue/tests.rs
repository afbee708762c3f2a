//! The queue with a clock of its own: which packets leave, when, and in which order.

use partition_agent_proto::{Kind, Percent};
use proptest::prelude::*;

use super::*;

const fn us(micros: u64) -> Duration {
    Duration::from_micros(micros)
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn impairment(json: &str) -> Impairment {
    Impairment::new(&serde_json::from_str::<Vec<Kind>>(json).unwrap()).unwrap()
}

fn queue(json: &str) -> Queue {
    Queue::new(impairment(json), 42)
}

/// An Ethernet frame of this length that carries a number.
fn frame(nth: u32, length: usize) -> Frame {
    let mut bytes = vec![0; 10 + length];
    bytes[24..28].copy_from_slice(&nth.to_be_bytes());
    Frame::new(&bytes).unwrap()
}

fn number(frame: &Frame) -> u32 {
    let bytes = frame.parts().next().unwrap();
    u32::from_be_bytes(bytes[24..28].try_into().unwrap())
}

/// All frames that leave, with the instants at which [`Queue::next_due`] asks to be called.
fn drain(queue: &mut Queue) -> Vec<(Duration, u32)> {
    let mut left = Vec::new();
    while let Some(due) = queue.next_due() {
        while let Some(frame) = queue.take_due(due) {
            left.push((due, number(&frame)));
        }
    }
    left
}

/// Offers so many frames of 100 bytes, one each step, and takes out what is due meanwhile and afterwards.
fn pass(queue: &mut Queue, count: u32, step: Duration) -> Vec<(Duration, u32)> {
    let mut left = Vec::new();
    for nth in 0..count {
        let now = step * nth;
        while let Some(due) = queue.next_due().filter(|due| *due <= now) {
            let before = left.len();
            while let Some(frame) = queue.take_due(due) {
                left.push((due, number(&frame)));
            }
            assert!(left.len() > before || queue.next_due() > Some(due), "a look that changes nothing");
        }
        queue.offer(now, frame(nth, 100));
    }
    left.extend(drain(queue));
    left
}

fn order(left: &[(Duration, u32)]) -> Vec<u32> {
    left.iter().map(|(_, nth)| *nth).collect()
}

fn delays(left: &[(Duration, u32)], step: Duration) -> Vec<f64> {
    left.iter().map(|(due, nth)| due.as_secs_f64() - (step * *nth).as_secs_f64()).collect()
}

fn mean_and_deviation(values: &[f64]) -> (f64, f64) {
    let count = f64::from(u32::try_from(values.len()).unwrap());
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
    (mean, variance.sqrt())
}

fn balance(counters: Counters) -> bool {
    let Counters { entered, left, lost, duplicated, overlimit, held, .. } = counters;
    entered + duplicated == left + lost + overlimit + held
}

#[test]
fn latency_delays_every_packet_by_exactly_that() {
    let mut queue = queue(r#"[{"delay":{"latency":"50ms"}}]"#);
    assert_eq!(queue.next_due(), None);
    queue.offer(ms(10), frame(1, 100));
    queue.offer(ms(12), frame(2, 100));
    assert_eq!(queue.next_due(), Some(ms(60)));
    assert_eq!(queue.take_due(ms(60) - Duration::from_nanos(1)), None);
    assert_eq!(queue.take_due(ms(60)).map(|frame| number(&frame)), Some(1));
    assert_eq!(queue.take_due(ms(60)), None);
    assert_eq!(drain(&mut queue), [(ms(62), 2)]);
}

#[test]
fn even_jitter_spreads_evenly_on_both_sides() {
    let mut queue = queue(r#"[{"delay":{"latency":"50ms","jitter":"10ms","allow_reorder":true}}]"#);
    let delays = delays(&pass(&mut queue, 100_000, us(10)), us(10));
    assert!(delays.iter().all(|delay| (0.0399999..=0.0600001).contains(delay)));
    let (mean, deviation) = mean_and_deviation(&delays);
    // An even spread of 20 ms deviates by 20/sqrt(12) = 5.77 ms; its mean by 0.0183 ms, five of them 0.091 ms; its
    // deviation by sqrt(0.8/4/100,000) = 0.14% of itself, five of them 0.041 ms.
    assert!((mean - 0.050).abs() < 0.000_091, "{mean}");
    assert!((deviation - 0.005_773_5).abs() < 0.000_041, "{deviation}");
}

#[test]
fn jitter_beyond_four_seconds_spreads_as_well() {
    let mut queue = queue(r#"[{"delay":{"latency":"20s","jitter":"10s","allow_reorder":true}}]"#);
    let (mean, deviation) = mean_and_deviation(&delays(&pass(&mut queue, 10_000, us(10)), us(10)));
    // As above, with 10,000 packets: five deviations are 0.289 s of the mean and 0.129 s of the deviation.
    assert!((mean - 20.0).abs() < 0.289 && (deviation - 5.7735).abs() < 0.129, "{mean} {deviation}");
}

#[test]
fn a_distribution_has_the_moments_of_its_table() {
    let mut queue = queue(
        r#"[{"delay":{"latency":"100ms","jitter":"10ms","correlation":25,"distribution":"normal",
                      "allow_reorder":true}}]"#,
    );
    let delays = delays(&pass(&mut queue, 100_000, us(10)), us(10));
    let (mean, deviation) = mean_and_deviation(&delays);
    // The mean deviates by 10 ms/sqrt(100,000) = 0.0316 ms, five of them and a 1000th of the table; the deviation by
    // 1/sqrt(200,000) = 0.22% of itself, five of them and half a percent of the table.
    assert!((mean - 0.100).abs() < 0.000_17, "{mean}");
    assert!((deviation - 0.010).abs() < 0.000_17, "{deviation}");
    let beyond = |sigmas: f64| delays.iter().filter(|delay| (**delay - 0.1).abs() > sigmas * 0.01).count();
    // 4.55% and 0.27% of 100,000, give or take five deviations (sqrt(4,550 * 0.95) = 66, sqrt(270) = 16).
    assert!((4_220..4_880).contains(&beyond(2.0)), "{}", beyond(2.0));
    assert!((190..350).contains(&beyond(3.0)), "{}", beyond(3.0));
}

#[test]
fn no_packet_leaves_before_it_has_come() {
    let mut queue = queue(r#"[{"delay":{"latency":"1ms","jitter":"50ms","allow_reorder":true}}]"#);
    assert!(delays(&pass(&mut queue, 10_000, us(10)), us(10)).iter().all(|delay| *delay > -1e-9));
}

#[test]
fn jitter_reorders_only_where_it_may() {
    let in_order: Vec<u32> = (0..10_000).collect();
    let mut keeping = queue(r#"[{"delay":{"latency":"50ms","jitter":"10ms","distribution":"normal"}}]"#);
    assert_eq!(order(&pass(&mut keeping, 10_000, us(100))), in_order);
    let mut mixing = queue(r#"[{"delay":{"latency":"50ms","jitter":"10ms","allow_reorder":true}}]"#);
    let mixed = order(&pass(&mut mixing, 10_000, us(100)));
    // Of neighbours 100 us apart in 20 ms of jitter, nearly half change places.
    assert!(mixed.windows(2).filter(|pair| pair[0] > pair[1]).count() > 4_000);
    let mut rated = queue(
        r#"[{"delay":{"latency":"50ms","jitter":"10ms","allow_reorder":true}},{"rate":{"rate":"1gbit"}}]"#,
    );
    assert_eq!(order(&pass(&mut rated, 10_000, us(100))), in_order);
}

#[test]
fn the_order_holds_across_a_change() {
    let mut queue = queue(r#"[{"delay":{"latency":"500ms"}}]"#);
    queue.offer(ms(0), frame(0, 100));
    queue.retune(impairment(r#"[{"delay":{"latency":"10ms"}}]"#));
    queue.offer(ms(1), frame(1, 100));
    assert_eq!(drain(&mut queue), [(ms(500), 0), (ms(500), 1)]);
}

#[test]
fn a_change_keeps_what_is_held_and_its_time() {
    let mut queue =
        queue(r#"[{"delay":{"latency":"50ms","allow_reorder":true}},{"duplicate":{"percent":100}}]"#);
    queue.offer(ms(0), frame(0, 100));
    queue.retune(impairment(r#"[{"delay":{"latency":"10ms","allow_reorder":true}}]"#));
    queue.offer(ms(20), frame(1, 100));
    assert_eq!(queue.counters().held, 3);
    assert_eq!(drain(&mut queue), [(ms(30), 1), (ms(50), 0), (ms(50), 0)]);
    queue.retune(impairment(r#"[{"loss_gemodel":{"p":100,"r":0.0001}}]"#));
    (0..3).for_each(|nth| queue.offer(ms(60), frame(nth, 100)));
    // The first packet finds the good state.
    assert_eq!(queue.counters().lost, 2);
}

#[test]
fn a_rate_paces_exactly() {
    // 100 bytes are 800 us at 1 Mbit/s.
    let mut queue = queue(r#"[{"rate":{"rate":"1mbit"}},{"delay":{"latency":"10ms"}}]"#);
    (0..10).for_each(|nth| queue.offer(ms(0), frame(nth, 100)));
    let left = drain(&mut queue);
    let expected: Vec<(Duration, u32)> = (0..10).map(|nth| (ms(10) + us(800) * (nth + 1), nth)).collect();
    assert_eq!(left, expected);
    // An idle link does not save up for later.
    queue.offer(ms(1_000), frame(10, 1_000));
    assert_eq!(drain(&mut queue), [(ms(1_018), 10)]);
}

#[test]
fn the_header_before_the_frame_takes_no_time_on_the_link() {
    let mut queue = queue(r#"[{"rate":{"rate":"8mbit"}}]"#);
    queue.offer(ms(0), frame(0, 1_500));
    assert_eq!(drain(&mut queue), [(us(1_500), 0)]);
}

#[test]
fn slots_let_bunches_through() {
    let mut queue = queue(r#"[{"slot":{"min":"10ms","packets":4}}]"#);
    // Come at 0, 1, 2, ... ms: at 10 ms four may leave, at 20 ms the next four, and so on.
    let left = pass(&mut queue, 40, ms(1));
    assert_eq!(order(&left), (0..40).collect::<Vec<u32>>());
    let expected: Vec<Duration> = (0..40).map(|nth| ms(10) * (nth / 4 + 1)).collect();
    assert_eq!(left.iter().map(|(due, _)| *due).collect::<Vec<_>>(), expected);
}

#[test]
fn a_slot_of_bytes_ends_with_the_packet_that_fills_it() {
    let mut queue = queue(r#"[{"slot":{"min":"10ms","bytes":250}}]"#);
    (0..7).for_each(|nth| queue.offer(ms(0), frame(nth, 100)));
    let dues: Vec<Duration> = drain(&mut queue).iter().map(|(due, _)| *due).collect();
    assert_eq!(dues, [10, 10, 10, 20, 20, 20, 30].map(ms));
}

#[test]
fn a_packet_after_the_opening_waits_for_the_next_one() {
    let mut queue = queue(r#"[{"slot":{"min":"10ms"}}]"#);
    queue.offer(ms(0), frame(0, 100));
    queue.offer(ms(10), frame(1, 100));
    queue.offer(ms(11), frame(2, 100));
    assert_eq!(drain(&mut queue), [(ms(10), 0), (ms(10), 1), (ms(21), 2)]);
}

#[test]
fn every_gapth_packet_overtakes() {
    let mut queue = queue(r#"[{"delay":{"latency":"10ms"}},{"reorder":{"percent":100,"gap":5}}]"#);
    (0..10).for_each(|nth| queue.offer(ms(0), frame(nth, 100)));
    assert_eq!(queue.counters().reordered, 2);
    assert_eq!(order(&drain(&mut queue)), [4, 9, 0, 1, 2, 3, 5, 6, 7, 8]);
}

#[test]
fn a_share_of_the_packets_overtakes_past_rate_and_slot() {
    let mut queue = queue(
        r#"[{"delay":{"latency":"10ms"}},{"reorder":{"percent":25}},
            {"rate":{"rate":"1gbit"}},{"slot":{"min":"1ms"}}]"#,
    );
    let left = pass(&mut queue, 10_000, us(100));
    let at_once = left.iter().filter(|(due, nth)| *due <= us(100) * (*nth + 1)).count();
    assert_eq!(u64::try_from(at_once).unwrap(), queue.counters().reordered);
    // sqrt(10,000 * 0.25 * 0.75) = 43, five of them.
    assert!((2_283..2_717).contains(&at_once), "{at_once}");
}

#[test]
fn a_duplicate_is_the_same_packet_at_the_same_time() {
    let mut queue = queue(r#"[{"delay":{"latency":"10ms"}},{"duplicate":{"percent":100}}]"#);
    queue.offer(ms(0), frame(7, 100));
    assert_eq!(drain(&mut queue), [(ms(10), 7), (ms(10), 7)]);
}

#[test]
fn as_many_are_duplicated_as_asked_for() {
    let mut queue = queue(r#"[{"duplicate":{"percent":10}}]"#);
    let left = pass(&mut queue, 100_000, us(10));
    let copies = queue.counters().duplicated;
    // sqrt(100,000 * 0.1 * 0.9) = 95, five of them.
    assert!((9_525..10_475).contains(&copies), "{copies}");
    assert_eq!(u64::try_from(left.len()).unwrap(), 100_000 + copies);
}

#[test]
fn a_loss_takes_its_share_of_packets_and_of_copies() {
    let mut queue = queue(r#"[{"loss":{"percent":20,"correlation":0.0001}},{"duplicate":{"percent":100}}]"#);
    let left = pass(&mut queue, 100_000, us(10));
    // Of the two, one is lost for 20% of the packets; of the other 80%, a copy is lost with 20%: 1.64 of 2 come
    // through.
    let copies = u32::try_from(left.len()).unwrap();
    assert!((f64::from(copies) / 100_000.0 - 1.64).abs() < 0.01, "{copies}");
    assert!(balance(queue.counters()));
}

#[test]
fn corruption_hits_its_share_by_one_bit() {
    let mut queue = queue(r#"[{"corrupt":{"percent":10}}]"#);
    let bytes = [0_u8; 110];
    let mut hit = 0;
    for _ in 0..100_000 {
        queue.offer(ms(0), Frame::new(&bytes).unwrap());
        let frame = queue.take_due(ms(0)).unwrap();
        let ones: u32 = frame.parts().next().unwrap().iter().map(|byte| byte.count_ones()).sum();
        assert!(ones <= 1);
        hit += ones;
    }
    assert_eq!(u64::from(hit), queue.counters().corrupted);
    assert!((9_525..10_475).contains(&hit), "{hit}");
}

#[test]
fn what_is_beyond_the_limit_of_packets_is_dropped_and_counted() {
    let mut queue = Queue::new(Impairment { limit: 3, ..impairment(r#"[{"delay":{"latency":"10ms"}}]"#) }, 1);
    (0..5).for_each(|nth| queue.offer(ms(0), frame(nth, 100)));
    let counters = queue.counters();
    assert_eq!((counters.held, counters.overlimit), (3, 2));
    assert_eq!(order(&drain(&mut queue)), [0, 1, 2]);
    queue.offer(ms(20), frame(5, 100));
    assert_eq!(queue.counters().overlimit, 2);
}

#[test]
fn what_is_beyond_the_memory_is_dropped_and_counted() {
    let mut queue = queue(r#"[{"delay":{"latency":"100ms"}}]"#);
    let fitting = u32::try_from(BYTES / 60_000).unwrap();
    (0..=fitting).for_each(|nth| queue.offer(ms(0), frame(nth, 60_000)));
    let counters = queue.counters();
    assert_eq!((counters.held, counters.overlimit), (u64::from(fitting), 1));
    assert!(queue.take_due(ms(100)).is_some());
    queue.offer(ms(100), frame(0, 60_000));
    assert_eq!(queue.counters().overlimit, 1);
}

#[test]
fn the_same_seed_makes_the_same_faults() {
    let faults = r#"[{"delay":{"latency":"10ms","jitter":"5ms"}},
                     {"loss_gemodel":{"p":5}},{"duplicate":{"percent":5}}]"#;
    let run = |seed| pass(&mut Queue::new(impairment(faults), seed), 1_000, us(10));
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

fn any_impairment() -> impl Strategy<Value = Impairment> {
    let kinds = [
        r#"{"delay":{"latency":"5ms","jitter":"3ms"}}"#,
        r#"{"loss":{"percent":30,"correlation":25}}"#,
        r#"{"duplicate":{"percent":30}}"#,
        r#"{"corrupt":{"percent":30}}"#,
        r#"{"reorder":{"percent":30,"gap":2}}"#,
        r#"{"rate":{"rate":"1mbit"}}"#,
        r#"{"slot":{"min":"1ms","max":"3ms","packets":3,"bytes":400}}"#,
    ];
    (proptest::sample::subsequence(kinds.to_vec(), 1..=kinds.len()), 1_u32..50, any::<bool>()).prop_map(
        |(kinds, limit, keep_order)| Impairment {
            limit,
            keep_order,
            ..impairment(&format!("[{}]", kinds.join(",")))
        },
    )
}

proptest! {
    #[test]
    fn every_packet_has_one_fate(
        faults in any_impairment(), others in any_impairment(), seed: u64,
        steps in proptest::collection::vec((0_u64..3_000, 64_usize..300), 1..200),
    ) {
        let mut queue = Queue::new(faults, seed);
        let (mut now, mut fates, mut left) = (ms(1), Vec::new(), Vec::new());
        for (nth, (wait, length)) in (0..).zip(&steps) {
            now += us(*wait);
            while let Some(frame) = queue.take_due(now) {
                left.push(frame);
            }
            prop_assert!(queue.next_due().is_none_or(|due| due > now));
            if nth == 100 {
                queue.retune(others.clone());
            }
            let before = queue.counters();
            // A number in the source address, which corruption does not touch.
            let mut packet = frame(0, *length);
            packet.set_source([0, 0, 0, 0, 0, nth]);
            queue.offer(now, packet);
            let after = queue.counters();
            prop_assert!(balance(after));
            prop_assert!(after.held <= 50);
            let dropped = after.lost - before.lost + after.overlimit - before.overlimit;
            fates.push(1 + after.duplicated - before.duplicated - dropped);
            prop_assert_eq!(fates.last(), Some(&(after.held - before.held)));
        }
        while let Some(due) = queue.next_due() {
            now = now.max(due);
            left.extend(queue.take_due(now));
        }
        let counters = queue.counters();
        prop_assert!(balance(counters) && counters.held == 0 && queue.bytes == 0);
        for (nth, fate) in (0..).zip(fates) {
            let copies = left.iter().filter(|frame| frame.is_from([0, 0, 0, 0, 0, nth])).count();
            prop_assert_eq!(u64::try_from(copies).unwrap(), fate, "packet {}", nth);
        }
    }

    #[test]
    fn order_is_kept_whatever_the_jitter(
        seed: u64, sigma in 1_u64..100, waits in proptest::collection::vec(0_u64..2_000, 1..200),
    ) {
        let faults = Impairment {
            latency: ms(10), jitter: ms(sigma), jitter_correlation: Percent::new(25.0).ok(),
            keep_order: true, limit: 1_000,
            ..Impairment::default()
        };
        let mut queue = Queue::new(faults, seed);
        let (mut now, mut left) = (ms(1), Vec::new());
        for (nth, wait) in (0..).zip(&waits) {
            now += us(*wait);
            left.extend(std::iter::from_fn(|| queue.take_due(now)).map(|frame| number(&frame)));
            queue.offer(now, frame(nth, 64));
        }
        left.extend(order(&drain(&mut queue)));
        prop_assert_eq!(left, (0..u32::try_from(waits.len()).unwrap()).collect::<Vec<_>>());
    }
}
