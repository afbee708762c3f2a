use super::*;
use partition_agent_proto::{Meets, RoundTrips};

fn id() -> FaultId {
    "f".parse().unwrap()
}

/// Two hosts: what the first was answered of five datagrams, what each of them heard, and what their faults say.
fn two(answered: [u16; 2], heard: [Option<u32>; 2], faults: [Option<(Effect, Effect)>; 2]) -> Vec<Seen> {
    let one = |nth: usize| {
        let other = u32::try_from(1 - nth).unwrap();
        let meets = faults[nth].map(|(egress, ingress)| Meets { id: id(), egress, ingress });
        let open = answered[nth] > 0;
        let reach = Reach {
            to: other,
            sent: 5,
            answered: answered[nth],
            rtt_micros: open.then_some(RoundTrips { min: 90, median: 100 }),
            connected: Some(open),
            status: None,
            error: None,
            faults: meets.into_iter().collect(),
        };
        Seen { reach: Some([(other, reach)].into()), heard: heard[nth].map(|count| [(other, count)].into()) }
    };
    vec![one(0), one(1)]
}

const CUT: Effect = Effect::Cut;
const NONE: Effect = Effect::None;

fn found(seen: &[Seen]) -> [(Found, Verdict); 2] {
    [(0, 1), (1, 0)].map(|(from, to)| {
        let cell = cell(seen, from, to).unwrap();
        (cell.found, cell.verdict)
    })
}

#[test]
fn without_a_fault_all_is_open_and_a_cut_is_unexpected() {
    let open = (Found::Open, Verdict::AsExpected);
    assert_eq!(found(&two([5, 5], [Some(5), Some(5)], [None, None])), [open, open]);
    let cut = (Found::Cut, Verdict::UnexpectedlyCut);
    assert_eq!(found(&two([0, 0], [Some(0), Some(0)], [None, None])), [cut, cut]);
    let lossy = (Found::Lossy, Verdict::AsExpected);
    assert_eq!(found(&two([4, 4], [Some(4), Some(4)], [None, None])), [lossy, lossy]);
}

#[test]
fn a_cut_of_one_direction_is_known_by_what_the_other_heard() {
    // The first host's own fault, on its way out: the second hears nothing of it, and is heard.
    let cut = (Found::Cut, Verdict::AsExpected);
    let open = (Found::Open, Verdict::AsExpected);
    assert_eq!(found(&two([0, 0], [Some(5), Some(0)], [Some((CUT, NONE)), None])), [cut, open]);
    // The same by the second host's fault, on its way in.
    assert_eq!(found(&two([0, 0], [Some(5), Some(0)], [None, Some((NONE, CUT))])), [cut, open]);
}

#[test]
fn a_fault_that_does_not_act_is_unexpectedly_open() {
    let open = (Found::Open, Verdict::UnexpectedlyOpen);
    let both = Some((CUT, CUT));
    assert_eq!(found(&two([5, 5], [Some(5), Some(5)], [both, both])), [open, open]);
}

#[test]
fn what_lets_some_through_is_never_unexpected() {
    let some = Some((Effect::Impaired, Effect::Impaired));
    for heard in [0, 3, 5] {
        let seen = two([0, 0], [Some(heard), Some(heard)], [some, None]);
        assert!(found(&seen).iter().all(|(_, verdict)| *verdict == Verdict::AsExpected), "{heard}");
    }
}

#[test]
fn what_its_own_host_refuses_to_send_is_cut() {
    let mut seen = two([0, 0], [Some(0), Some(0)], [Some((CUT, NONE)), None]);
    seen[0].reach.as_mut().unwrap().get_mut(&1).unwrap().sent = 0;
    assert_eq!(found(&seen)[0], (Found::Cut, Verdict::AsExpected));
}

#[test]
fn a_silent_agent_is_unknown_unless_it_answered_a_datagram() {
    let mut seen = two([5, 0], [Some(5), None], [None, None]);
    assert_eq!(cell(&seen, 0, 1).unwrap().found, Found::Open);
    seen[1] = Seen::default();
    let unknown = cell(&seen, 1, 0).unwrap();
    assert_eq!((unknown.found, unknown.verdict), (Found::Unknown, Verdict::Unknown));
    let nothing = two([0, 0], [Some(0), None], [None, None]);
    assert_eq!(cell(&nothing, 0, 1).unwrap().found, Found::Unknown);
}

#[test]
fn a_service_of_a_host_that_is_cut_off_is_cut_with_it() {
    let both = Some((CUT, CUT));
    let mut seen = two([0, 0], [Some(0), Some(0)], [None, both]);
    let service = Reach {
        to: 9,
        sent: 0,
        answered: 0,
        rtt_micros: None,
        connected: Some(false),
        status: None,
        error: Some("no answer in 1s".to_owned()),
        faults: Vec::new(),
    };
    seen[0].reach.as_mut().unwrap().insert(9, service.clone());
    assert_eq!(service_cell(&seen, 0, 9, Some(1)).unwrap().verdict, Verdict::AsExpected);
    assert_eq!(service_cell(&seen, 0, 9, None).unwrap().verdict, Verdict::UnexpectedlyCut);
    let sick = Reach { connected: Some(true), status: Some(503), ..service };
    seen[0].reach.as_mut().unwrap().insert(9, sick);
    assert_eq!(service_cell(&seen, 0, 9, None).unwrap().found, Found::Lossy);
    assert_eq!(service_cell(&seen, 0, 10, None), None);
}
