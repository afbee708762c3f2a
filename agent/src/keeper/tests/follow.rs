//! What a fault was planned from changes: its addresses, its places, and what is there when a step of that is refused.

use super::timing::until;
use super::*;
use crate::netns::NetnsId;
use crate::plan::{Element, Place, Step};
use partition_agent_proto::{FaultStatus, Hits};

/// Files tell network namespaces apart, and any file will do.
pub struct Namespaces(tempfile::TempDir);

impl Namespaces {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn site(&self, name: &str) -> Site {
        let path = self.0.path().join(name);
        if !path.exists() {
            std::fs::write(&path, "").unwrap();
        }
        let place = Place { name: name.to_owned(), id: Some(NetnsId::at(path).unwrap()) };
        Site { place, ..Site::host() }
    }

    pub fn sites(&self, names: &[&str]) -> Vec<Site> {
        names.iter().map(|name| self.site(name)).collect()
    }
}

pub fn id(text: &str) -> FaultId {
    text.parse().unwrap()
}

/// A fault in some places.
pub fn in_places(name: &str, json: &str, sites: Vec<Site>) -> Request {
    let request = request(name, json);
    Request { sources: Sources { sites, ..request.sources.clone() }, ..request }
}

pub fn sources(targets: &[&str], sites: Vec<Site>) -> Sources {
    let target = |text: &&str| Address { net: text.parse().unwrap(), ports: None };
    Sources { targets: targets.iter().map(target).collect(), sites, ..Sources::default() }
}

pub fn texts(events: &mut broadcast::Receiver<Event>, kind: EventKind) -> Vec<String> {
    let events = std::iter::from_fn(|| events.try_recv().ok());
    events.filter(|event| event.kind == kind).map(|event| event.text).collect()
}

pub fn steered(world: &World, slot: u32) -> Vec<Element> {
    let Some(Step::Steer(steering)) = world.steps[&slot].last() else { panic!("it steers last") };
    let timed = steering.ruleset.sets.iter().filter(|set| set.timed);
    timed.flat_map(|set| set.elements.clone()).collect()
}

pub fn entered(world: &World) -> Vec<String> {
    let mut names = world.places.values().cloned().collect::<Vec<_>>();
    names.sort_unstable();
    names
}

pub fn places(status: &FaultStatus) -> Vec<&str> {
    status.places.iter().map(|place| place.name.as_str()).collect()
}

#[tokio::test]
async fn other_addresses_take_the_place_of_those_before() {
    let dir = tempfile::tempdir().unwrap();
    let (mut keeper, _alarm, world) = keeper(dir.path()).await;
    keeper.inject(request("f", BOTH)).await.unwrap();
    let mut events = keeper.events.subscribe();
    let to = sources(&["10.0.0.8/32", "fd00::8/128"], vec![Site::host()]);
    keeper.follow(&id("f"), to.clone()).await.unwrap();
    let wanted = ["10.0.0.8", "fd00::8"].map(|text| Element::Host(text.parse().unwrap()));
    assert_eq!(steered(&world.lock().unwrap(), 1), wanted);
    assert_eq!(texts(&mut events, EventKind::Followed), ["its target is now 2 addresses"]);
    let status = keeper.get(&id("f")).await.unwrap();
    assert_eq!((status.verdict, status.addresses), (Verdict::Confirmed, 2));
    // The deadline is what it was.
    assert!(world.lock().unwrap().timeouts[&1] <= Duration::from_secs(60));
    // The same again is no change.
    keeper.follow(&id("f"), to).await.unwrap();
    assert_eq!(texts(&mut events, EventKind::Followed), Vec::<String>::new());
    assert!(matches!(keeper.follow(&id("g"), Sources::default()).await, Err(Error::Unknown(_))));
}

#[tokio::test]
async fn a_fault_that_is_over_follows_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (mut keeper, _alarm, world) = keeper(dir.path()).await;
    keeper.inject(request("f", BOTH)).await.unwrap();
    keeper.restore(&id("f"), End::Restored { who: "me".to_owned() }).await.unwrap();
    let over = keeper.follow(&id("f"), sources(&["10.0.0.8/32"], vec![Site::host()])).await;
    assert!(matches!(over, Err(Error::Over(_))), "it drains: {over:?}");
    assert!(!world.lock().unwrap().steps[&1].iter().any(|step| matches!(step, Step::Steer(_))));
}

#[tokio::test]
async fn places_join_and_leave_without_touching_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let namespaces = Namespaces::new();
    let (mut keeper, _alarm, world) = keeper(dir.path()).await;
    let (_, status) = keeper.inject(in_places("f", BOTH, namespaces.sites(&["a"]))).await.unwrap();
    assert_eq!(places(&status), ["a"]);
    let mut events = keeper.events.subscribe();
    let before = world.lock().unwrap().steps[&1].clone();
    keeper.follow(&id("f"), sources(&["10.0.0.5/32"], namespaces.sites(&["a", "b"]))).await.unwrap();
    assert_eq!(world.lock().unwrap().steps[&1], before);
    assert_eq!(world.lock().unwrap().steps[&2].len(), before.len());
    assert_eq!(entered(&world.lock().unwrap()), ["a", "b"]);
    assert_eq!(texts(&mut events, EventKind::Followed), ["it is now in b, too"]);
    let status = keeper.get(&id("f")).await.unwrap();
    assert_eq!((places(&status), &status.verdict), (vec!["a", "b"], &Verdict::Confirmed));

    let joined = world.lock().unwrap().steps[&2].clone();
    keeper.follow(&id("f"), sources(&["10.0.0.5/32"], namespaces.sites(&["b"]))).await.unwrap();
    assert_eq!(world.lock().unwrap().steps[&1], []);
    assert_eq!(world.lock().unwrap().steps[&2], joined);
    assert_eq!(entered(&world.lock().unwrap()), ["b"], "the place that was left is let go of");
    assert_eq!(texts(&mut events, EventKind::Followed), ["it has left a"]);

    // A container that restarts: gone for a moment, then in another namespace. A late joiner ends with the rest.
    keeper.follow(&id("f"), sources(&["10.0.0.5/32"], Vec::new())).await.unwrap();
    assert!(world.lock().unwrap().is_clean() && entered(&world.lock().unwrap()).is_empty());
    let status = keeper.get(&id("f")).await.unwrap();
    assert!(
        matches!(&status.verdict, Verdict::Inconclusive { why } if why.contains("not there")),
        "{:?}",
        status.verdict
    );
    keeper.follow(&id("f"), sources(&["10.0.0.5/32"], namespaces.sites(&["c"]))).await.unwrap();
    assert_eq!(keeper.get(&id("f")).await.unwrap().verdict, Verdict::Confirmed);
    let deadline = keeper.ledger.get(&id("f")).unwrap().timing.deadline;
    assert!(world.lock().unwrap().timeouts[&3] <= BootTime::now().until(deadline) + Duration::from_secs(1));
}

#[tokio::test]
async fn a_place_that_refuses_to_join_is_undone_and_leaves_the_others_as_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let namespaces = Namespaces::new();
    let (mut keeper, _alarm, world) = keeper(dir.path()).await;
    keeper.inject(in_places("f", BOTH, namespaces.sites(&["a"]))).await.unwrap();
    let before = world.lock().unwrap().steps[&1].clone();
    for refused in 0..before.len() {
        world.lock().unwrap().refuse_apply = Some(refused);
        let mut events = keeper.events.subscribe();
        keeper.follow(&id("f"), sources(&["10.0.0.5/32"], namespaces.sites(&["a", "b"]))).await.unwrap();
        let failures = texts(&mut events, EventKind::Failed);
        assert!(
            failures.len() == 1 && failures[0].starts_with("it is not in b: the kernel refused"),
            "{failures:?}"
        );
        let steps = world.lock().unwrap().steps.clone();
        assert_eq!(steps[&1], before);
        assert!(steps.iter().all(|(slot, steps)| *slot == 1 || steps.is_empty()), "{steps:?}");
        let status = keeper.get(&id("f")).await.unwrap();
        assert_eq!((places(&status), status.state), (vec!["a"], State::Active));
    }
    world.lock().unwrap().refuse_apply = None;
    keeper.follow(&id("f"), sources(&["10.0.0.5/32"], namespaces.sites(&["a", "b"]))).await.unwrap();
    assert_eq!(places(&keeper.get(&id("f")).await.unwrap()), ["a", "b"]);
}

#[tokio::test]
async fn a_place_that_joins_before_the_start_starts_with_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let namespaces = Namespaces::new();
    let (mut keeper, mut alarm, world) = keeper(dir.path()).await;
    let json = LOSS.replace("]}}", r#"]},"start_in":"300ms","for":"10m"}"#);
    keeper.inject(in_places("f", &json, namespaces.sites(&["a"]))).await.unwrap();
    keeper.follow(&id("f"), sources(&["10.0.0.5/32"], namespaces.sites(&["a", "b"]))).await.unwrap();
    assert!(world.lock().unwrap().timeouts.is_empty());
    until(&mut keeper, &mut alarm, |_| world.lock().unwrap().timeouts.len() == 2).await;
    assert_eq!(keeper.get(&id("f")).await.unwrap().verdict, Verdict::Confirmed);
}

#[tokio::test]
async fn what_is_gone_for_good_ends_its_fault() {
    let dir = tempfile::tempdir().unwrap();
    let namespaces = Namespaces::new();
    let (mut keeper, _alarm, world) = keeper(dir.path()).await;
    keeper.inject(in_places("f", LOSS, namespaces.sites(&["a", "b"]))).await.unwrap();
    keeper.vanished(&id("f"), "container redis".to_owned()).await.unwrap();
    assert!(keeper.ledger.is_empty() && world.lock().unwrap().is_clean());
    assert_eq!(entered(&world.lock().unwrap()), Vec::<String>::new());
    let over = keeper.journal.history(1).unwrap().remove(0);
    assert_eq!(over.end, End::Vanished { what: "container redis".to_owned() });
    assert_eq!(over.end.to_string(), "container redis is gone");
}

#[tokio::test]
async fn a_step_that_one_place_refuses_is_undone_in_all_of_them() {
    let dir = tempfile::tempdir().unwrap();
    let namespaces = Namespaces::new();
    let (mut keeper, _alarm, world) = keeper(dir.path()).await;
    let sites = || namespaces.sites(&["a", "b", "c"]);
    for refused in 0..7 {
        let first = keeper.ledger.next_slot() + 1;
        {
            let mut world = world.lock().unwrap();
            (world.refuse_apply, world.refuse_slot) = (Some(refused), Some(first + 1));
        }
        let error = keeper.inject(in_places("f", BOTH, sites())).await.unwrap_err().to_string();
        // Seven steps in each place.
        assert!(error.contains(&format!("step {} of 21", 7 + refused + 1)), "{error}");
        assert!(keeper.ledger.is_empty());
        let world = world.lock().unwrap();
        assert!(world.is_clean(), "{world:?}");
        assert_eq!(world.steps[&first], [], "the place before it was in force already");
        assert!(!world.steps.contains_key(&(first + 2)), "the place after it was never touched");
        assert!(entered(&world).is_empty());
    }
}

#[tokio::test]
async fn a_place_is_let_go_of_with_its_last_fault() {
    let dir = tempfile::tempdir().unwrap();
    let namespaces = Namespaces::new();
    let (mut keeper, _alarm, world) = keeper(dir.path()).await;
    keeper.inject(in_places("f", LOSS, namespaces.sites(&["a", "b"]))).await.unwrap();
    keeper.inject(in_places("g", LOSS, namespaces.sites(&["b"]))).await.unwrap();
    keeper.inject(Request { dry_run: true, ..in_places("h", LOSS, namespaces.sites(&["c"])) }).await.unwrap();
    assert_eq!(entered(&world.lock().unwrap()), ["a", "b"], "a dry run enters and leaves");
    keeper.restore(&id("f"), End::Shutdown).await.unwrap();
    assert_eq!(entered(&world.lock().unwrap()), ["b"]);
    keeper.restore(&id("g"), End::Shutdown).await.unwrap();
    assert!(entered(&world.lock().unwrap()).is_empty());
}

#[tokio::test]
async fn a_place_that_refuses_does_not_keep_the_others_in_force() {
    let dir = tempfile::tempdir().unwrap();
    let namespaces = Namespaces::new();
    let (mut keeper, mut alarm, world) = keeper(dir.path()).await;
    keeper.inject(in_places("f", LOSS, namespaces.sites(&["a", "b"]))).await.unwrap();
    world.lock().unwrap().refuse_undo = 1;
    let stuck = keeper.restore(&id("f"), End::Shutdown).await;
    assert!(matches!(stuck, Err(Error::Stuck(_))), "{stuck:?}");
    let left = world.lock().unwrap().steps.values().filter(|steps| !steps.is_empty()).count();
    assert_eq!(left, 1, "only the place that refused");
    until(&mut keeper, &mut alarm, |keeper| keeper.ledger.is_empty()).await;
    assert!(world.lock().unwrap().is_clean());
}

fn lost(packets: u64) -> Hits {
    Hits { lost_packets: packets, ..Hits::default() }
}

#[tokio::test]
async fn what_was_counted_is_kept_when_counters_begin_anew_and_when_a_place_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let namespaces = Namespaces::new();
    let (mut keeper, _alarm, world) = keeper(dir.path()).await;
    keeper.inject(in_places("f", LOSS, namespaces.sites(&["a", "b"]))).await.unwrap();
    let count = |slot, packets| world.lock().unwrap().hits.insert(slot, lost(packets));
    count(1, 5);
    count(2, 10);
    assert_eq!(keeper.get(&id("f")).await.unwrap().hits, lost(15));
    // Seven more that nobody has read before the counters begin anew.
    count(1, 12);
    keeper.follow(&id("f"), sources(&["10.0.0.8/32"], namespaces.sites(&["a", "b"]))).await.unwrap();
    assert!(world.lock().unwrap().hits.is_empty(), "the fake's counters went with the rules");
    assert_eq!(keeper.get(&id("f")).await.unwrap().hits, lost(22));
    count(1, 100);
    count(2, 1000);
    keeper.follow(&id("f"), sources(&["10.0.0.8/32"], namespaces.sites(&["b"]))).await.unwrap();
    world.lock().unwrap().hits.remove(&1);
    assert_eq!(
        keeper.get(&id("f")).await.unwrap().hits,
        lost(1122),
        "what it hit in a place that it has left"
    );
    keeper.restore(&id("f"), End::Shutdown).await.unwrap();
    assert_eq!(keeper.journal.history(1).unwrap()[0].hits, lost(1122));
}

#[tokio::test]
async fn of_two_faults_the_newer_is_the_newer_whichever_is_back_first() {
    let dir = tempfile::tempdir().unwrap();
    let namespaces = Namespaces::new();
    let (mut keeper, _alarm, world) = keeper(dir.path()).await;
    for name in ["old", "young"] {
        keeper.inject(in_places(name, BOTH, namespaces.sites(&["a"]))).await.unwrap();
    }
    for (name, places) in [("old", &[][..]), ("young", &[]), ("young", &["b"]), ("old", &["b"])] {
        keeper.follow(&id(name), sources(&["10.0.0.5/32"], namespaces.sites(places))).await.unwrap();
    }
    assert_eq!(keeper.get(&id("old")).await.unwrap().shadowed_by, [id("young")]);
    assert_eq!(keeper.get(&id("young")).await.unwrap().shadowed_by, []);
    let world = world.lock().unwrap();
    let order = |slot| match world.steps[&slot].last() {
        Some(Step::Steer(steering)) => steering.order,
        other => panic!("{other:?}"),
    };
    assert!(order(3) > order(4), "the kernel is told so");
}

#[tokio::test]
async fn a_name_that_moves_into_a_protected_network_keeps_the_addresses_that_it_had() {
    let dir = tempfile::tempdir().unwrap();
    let (mut keeper, _alarm, world) = keeper(dir.path()).await;
    keeper.settings.policy.protected_networks = vec!["10.0.9.0/24".parse().unwrap()];
    keeper.inject(request("f", LOSS)).await.unwrap();
    let before = steered(&world.lock().unwrap(), 1);
    keeper.follow(&id("f"), sources(&["10.0.9.7"], vec![Site::host()])).await.unwrap();
    assert_eq!(steered(&world.lock().unwrap(), 1), before);
    let verdict = format!("{:?}", keeper.get(&id("f")).await.unwrap().verdict);
    assert!(verdict.contains("policy.protected_networks leaves 10.0.9.0/24 alone"), "{verdict}");
    // The kernel's guard lets pass what of it is protected.
    keeper.follow(&id("f"), sources(&["10.0.9.7", "10.0.0.6"], vec![Site::host()])).await.unwrap();
    assert_eq!(steered(&world.lock().unwrap(), 1).len(), 2);
    assert_eq!(keeper.get(&id("f")).await.unwrap().verdict, Verdict::Confirmed);
}
