use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use partition_agent_proto::{FleetView, Hearing};

use super::*;

const MS: Duration = Duration::from_millis(1);

const FAST: Pace = Pace {
    every: Duration::from_millis(20),
    at_most: Duration::from_millis(80),
    patience: Duration::from_millis(400),
    turn: Duration::from_millis(10),
    linger: Duration::from_secs(1),
    same: Duration::ZERO,
};

/// Hosts in memory.
struct Hosts {
    /// In place of its faults.
    says: Mutex<BTreeMap<usize, Result<String, String>>>,
    /// Never answer.
    dead: usize,
    asked: AtomicUsize,
    under_way: Arc<AtomicUsize>,
}

/// One of them, for as long as it is waited for.
struct UnderWay(Arc<AtomicUsize>);

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Ask for Hosts {
    fn ask(&self, nth: usize, question: Question) -> Answer {
        self.asked.fetch_add(1, Ordering::SeqCst);
        self.under_way.fetch_add(1, Ordering::SeqCst);
        let under_way = UnderWay(Arc::clone(&self.under_way));
        let says = self.says.lock().unwrap().get(&nth).cloned().unwrap_or_else(|| Ok("[]".to_owned()));
        let is_dead = nth < self.dead;
        Box::pin(async move {
            let _under_way = under_way;
            match question {
                _ if is_dead => std::future::pending().await,
                Question::Faults => says.map(Bytes::from),
                Question::Info => Ok(format!(r#"{{"host":"host-{nth}","version":"1.2.3"}}"#).into()),
            }
        })
    }
}

fn fleet(count: usize, dead: usize) -> (Fleet, Arc<Hosts>) {
    let hosts = Arc::new(Hosts {
        says: Mutex::default(),
        dead,
        asked: AtomicUsize::new(0),
        under_way: Arc::default(),
    });
    let names = (0..count).map(|nth| format!("h{nth}"));
    (Fleet::new(names, Arc::clone(&hosts) as Arc<dyn Ask>, None, FAST), hosts)
}

fn view(fleet: &Fleet) -> FleetView {
    serde_json::from_slice(&fleet.look()).unwrap()
}

/// Looks until it is so.
async fn until(fleet: &Fleet, what: &str, is_so: impl Fn(&FleetView) -> bool) {
    let begun = Instant::now();
    while !is_so(&view(fleet)) {
        assert!(begun.elapsed() < Duration::from_secs(30), "{what}: {:?}", view(fleet));
        sleep(5 * MS).await;
    }
}

#[tokio::test]
async fn nobody_is_asked_until_somebody_looks_and_nobody_any_more_when_they_stop() {
    let (fleet, hosts) = fleet(3, 1);
    sleep(3 * FAST.every).await;
    assert_eq!(hosts.asked.load(Ordering::SeqCst), 0);
    // Waits for nobody.
    assert!(view(&fleet).hosts.iter().all(|host| host.hearing == Hearing::Asked));
    until(&fleet, "two answer", |view| {
        view.hosts[1..].iter().all(|host| host.hearing == Hearing::Answers && host.host.is_some())
    })
    .await;
    assert_eq!(view(&fleet).hosts[2].host.as_deref(), Some("host-2"));
    until(&fleet, "one is silent", |view| {
        matches!(&view.hosts[0].hearing, Hearing::Silent { why, .. } if why.contains("no answer within 400ms"))
    })
    .await;
    // Whoever only has it open does not look.
    let begun = Instant::now();
    while fleet.0.seen().is_asking {
        assert!(begun.elapsed() < Duration::from_secs(30));
        sleep(5 * MS).await;
    }
    sleep(5 * MS).await;
    let asked = hosts.asked.load(Ordering::SeqCst);
    assert_eq!(hosts.under_way.load(Ordering::SeqCst), 0, "what was under way is dropped");
    sleep(10 * FAST.every).await;
    assert_eq!(hosts.asked.load(Ordering::SeqCst), asked);
    // Nothing old is told to whoever looks next.
    assert!(view(&fleet).hosts.iter().all(|host| host.hearing == Hearing::Asked && host.host.is_none()));
    until(&fleet, "it goes on", |view| view.hosts[1].hearing == Hearing::Answers).await;
}

#[tokio::test]
async fn the_dead_delay_nobody_else() {
    let dead = 4 * AT_ONCE;
    let (all, hosts) = fleet(dead + 10, dead);
    let pace = Pace { patience: Duration::from_secs(600), ..FAST };
    let names = (0..dead + 10).map(|nth| format!("h{nth}"));
    let fleet = Fleet::new(names, Arc::clone(&all.0.client), None, pace);
    until(&fleet, "the living are heard", |view| {
        view.hosts[dead..].iter().all(|host| host.hearing == Hearing::Answers && host.host.is_some())
    })
    .await;
    assert!(view(&fleet).hosts[..dead].iter().all(|host| host.hearing == Hearing::Asked));
    assert!(hosts.under_way.load(Ordering::SeqCst) >= dead, "all of them are waited for");
}

#[tokio::test]
async fn what_a_host_says_instead_of_faults_is_its_own_affair() {
    let (fleet, hosts) = fleet(3, 0);
    hosts.says.lock().unwrap().extend([
        (0, Ok("<script>alert(1)</script>".to_owned())),
        (1, Err("Connection refused\u{1b}[2J (os error 111)".to_owned())),
    ]);
    let why = |view: &FleetView, nth: usize| match &view.hosts[nth].hearing {
        Hearing::Silent { why, .. } => why.clone(),
        Hearing::Asked | Hearing::Answers => String::new(),
    };
    until(&fleet, "both are told", |view| (0..2).all(|nth| !why(view, nth).is_empty())).await;
    assert!(why(&view(&fleet), 0).contains("not like a partition-agent"));
    assert_eq!(why(&view(&fleet), 1), r"Connection refused\u{1b}[2J (os error 111)");
    until(&fleet, "the third answers", |view| view.hosts[2].hearing == Hearing::Answers).await;
    hosts.says.lock().unwrap().clear();
    until(&fleet, "all answer", |view| view.hosts.iter().all(|host| host.hearing == Hearing::Answers)).await;
}

#[tokio::test]
async fn who_looks_at_the_same_time_sees_the_same() {
    let (slow, _) = fleet(1, 0);
    let names = std::iter::once("a".to_owned());
    let pace = Pace { same: Duration::from_secs(600), ..FAST };
    let fleet = Fleet::new(names, Arc::clone(&slow.0.client), None, pace);
    let first = fleet.look();
    sleep(10 * FAST.every).await;
    assert_eq!(fleet.look().as_ptr(), first.as_ptr());
}

#[test]
fn a_host_that_does_not_answer_is_asked_less_often() {
    let pauses = [0, 1, 2, 3, 4, 1_000].map(|failures| Pace::default().pause(failures).as_secs());
    assert_eq!(pauses, [2, 4, 8, 10, 10, 10]);
}
