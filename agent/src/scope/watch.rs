//! How the places of a scope change while a fault lasts.

use std::future::pending;
use std::time::Duration;

use partition_agent_proto::Scope;
use tokio::time::{Instant, sleep_until};
use tracing::debug;

use super::cgroup_find::is_there;
use super::engines::Engines;
use super::events::Events;
use super::named::Named;
use super::{Found, Holder, Place, Places, Presence, Sender, find};
use crate::netns::NetnsId;

/// How long a container or unit may take to come back before it counts as gone: `docker restart` and `systemctl restart` take
/// some seconds, most of them waiting for the old one to end.
pub const GRACE: Duration = Duration::from_secs(10);

/// From one look to the next where nothing reports changes: inotify tells of control groups that come and go, but neither of
/// processes that join one nor of those that change their namespace.
const POLL: Duration = Duration::from_millis(500);
/// The same where looks are much work: what changed is followed within a second all the same.
const LONGEST_POLL: Duration = Duration::from_secs(1);
/// Between looks at containers, in case that an event got lost.
const DOUBT: Duration = Duration::from_secs(10);
/// Looks are so far apart that they take one fiftieth of a core, within these bounds: groups with thousands of processes are
/// looked at less often.
const SHARE: u32 = 50;

/// Returns when the places are others than the known ones, with those: first without any as soon as they are gone, so that the
/// caller lets go of them (an open namespace outlives its container), then with new ones when there are, or with
/// [`Presence::Gone`] after [`GRACE`]. Call again with what it returned. It can be dropped at any time; nothing stays open.
pub async fn changed(scope: &Scope, engines: &Engines, known: &Places) -> Places {
    let mut waker = match scope {
        Scope::Host | Scope::User(_) => return pending().await,
        // Its number may come again, but not the process.
        Scope::Netns(text) if is_process(text) && known.presence != Presence::Here => return pending().await,
        Scope::Netns(_) | Scope::Cgroup(_) | Scope::Unit(_) | Scope::Pod(_) => Waker::Clock,
        Scope::Container(_) | Scope::Label(_) | Scope::Compose(_) => Waker::Engines(Events::of(engines)),
    };
    loop {
        let begun = Instant::now();
        let found = look(scope, engines, known).await;
        let now = Instant::now();
        if let Some(next) = next(scope, known, found, now) {
            return next;
        }
        let overdue = async {
            match known.presence {
                Presence::Away { since } => sleep_until(since + GRACE).await,
                Presence::Here | Presence::Gone => pending().await,
            }
        };
        tokio::select! {
            () = waker.wait(begun, now) => {}
            () = overdue => {}
        }
    }
}

enum Waker {
    Clock,
    Engines(Events),
}

impl Waker {
    /// Until the next look, after one from then to then.
    async fn wait(&mut self, begun: Instant, ended: Instant) {
        match self {
            Self::Clock => sleep_until(next_look(begun, ended)).await,
            Self::Engines(events) => {
                let _doubtful = tokio::time::timeout_at(ended + DOUBT, events.next()).await;
            }
        }
    }
}

/// However long looks take, half of a core is left.
fn next_look(begun: Instant, ended: Instant) -> Instant {
    let took = ended.saturating_duration_since(begun);
    (begun + took.saturating_mul(SHARE).clamp(POLL, LONGEST_POLL)).max(ended + took)
}

fn is_process(text: &str) -> bool {
    matches!(Named::parse(text), Named::Process(_))
}

/// What is there now, as far as it can be told.
async fn look(scope: &Scope, engines: &Engines, known: &Places) -> Found {
    match find(scope, engines).await {
        Ok(found) if found.partial => with_known(found, known),
        Ok(found) => found,
        Err(error) if error.is_absence() => {
            debug!(%error, "nothing of the scope is there");
            Found::default()
        }
        Err(error) => {
            debug!(%error, "cannot tell what is in the scope; what still lives is kept");
            with_known(Found::default(), known)
        }
    }
}

/// Adds what was known and is still there, although nobody told of it.
fn with_known(mut found: Found, known: &Places) -> Found {
    let alive = known.places.iter().filter(|place| is_alive(place)).collect::<Vec<_>>();
    for place in alive {
        if found.places.iter().all(|other| other.netns != place.netns) {
            found.places.push(place.clone());
        }
    }
    found
}

fn is_alive(place: &Place) -> bool {
    let Some(netns) = &place.netns else {
        return match &place.sender {
            Some(Sender::Cgroup { path, id, .. }) => is_there(path, *id),
            Some(Sender::User(_)) | None => true,
        };
    };
    match &place.holder {
        Holder::Agent => true,
        Holder::Process(process) => process.is_in(netns.id()),
        Holder::Name(name) => NetnsId::at(format!("/run/netns/{name}")).is_ok_and(|id| id == netns.id()),
        Holder::Path(path) => NetnsId::at(path).is_ok_and(|id| id == netns.id()),
    }
}

/// The next state, if it is another. Pure.
fn next(scope: &Scope, known: &Places, mut found: Found, now: Instant) -> Option<Places> {
    let process = matches!(scope, Scope::Netns(text) if is_process(text));
    if process && !same_process(known, &found) {
        found.places.clear();
    }
    if !found.places.is_empty() {
        return (!same(known, &found)).then(|| Places::from(found));
    }
    let presence = match known.presence {
        Presence::Here if process => Presence::Gone,
        Presence::Here => Presence::Away { since: now },
        Presence::Away { since } if now.saturating_duration_since(since) >= GRACE => Presence::Gone,
        Presence::Away { .. } | Presence::Gone => return None,
    };
    Some(Places { places: Vec::new(), presence })
}

/// Names and processes may differ: one of several processes in a namespace ends without any consequence for the fault.
fn same(known: &Places, found: &Found) -> bool {
    let one = |place: &Place, other: &Place| place.netns == other.netns && place.sender == other.sender;
    let among = |place: &Place, others: &[Place]| others.iter().any(|other| one(place, other));
    known.places.iter().all(|place| among(place, &found.places))
        && found.places.iter().all(|place| among(place, &known.places))
}

fn same_process(known: &Places, found: &Found) -> bool {
    match (known.places.first().map(|place| &place.holder), found.places.first().map(|place| &place.holder)) {
        (Some(Holder::Process(before)), Some(Holder::Process(now))) => before == now,
        (Some(Holder::Agent), Some(Holder::Agent)) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netns::Netns;
    use crate::scope::process::Process;

    fn unit() -> Scope {
        Scope::Unit("redis".into())
    }

    fn sender(id: u64) -> Sender {
        Sender::Cgroup { path: "/a".into(), level: 1, id }
    }

    fn found(id: u64) -> Found {
        Found::of(vec![Place::host(Some(sender(id)))])
    }

    fn here(id: u64) -> Places {
        found(id).into()
    }

    #[test]
    fn looks_begin_within_a_second_of_each_other_unless_one_takes_half_of_that() {
        let begun = Instant::now();
        let next = |took| (next_look(begun, begun + Duration::from_millis(took)) - begun).as_millis();
        assert_eq!([0, 1, 10, 15, 20, 100, 500].map(next), [500, 500, 500, 750, 1_000, 1_000, 1_000]);
        assert_eq!([600, 3_000].map(next), [1_200, 6_000]);
    }

    #[test]
    fn what_stays_the_same_is_no_change() {
        assert!(next(&unit(), &here(1), found(1), Instant::now()).is_none());
    }

    #[test]
    fn a_unit_with_a_new_control_group_is_a_change() {
        let now = next(&unit(), &here(1), found(2), Instant::now()).unwrap();
        assert_eq!((&now.places[0].sender, now.presence), (&Some(sender(2)), Presence::Here));
    }

    #[test]
    fn what_vanishes_is_away_at_once_and_gone_after_the_grace() {
        let now = Instant::now();
        let away = next(&unit(), &here(1), Found::default(), now).unwrap();
        assert!(away.places.is_empty());
        assert_eq!(away.presence, Presence::Away { since: now });
        let early = now + GRACE - Duration::from_millis(1);
        assert!(next(&unit(), &away, Found::default(), early).is_none());
        let gone = next(&unit(), &away, Found::default(), now + GRACE).unwrap();
        assert_eq!(gone.presence, Presence::Gone);
        assert!(next(&unit(), &gone, Found::default(), now + GRACE * 100).is_none());
    }

    #[test]
    fn what_comes_back_is_here_again_even_after_it_was_gone() {
        let now = Instant::now();
        for presence in [Presence::Away { since: now }, Presence::Gone] {
            let known = Places { places: Vec::new(), presence };
            let back = next(&unit(), &known, found(1), now + GRACE).unwrap();
            assert_eq!((back.places.len(), back.presence), (1, Presence::Here));
        }
    }

    #[test]
    fn a_process_that_ended_does_not_come_back_under_its_number() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let place = |pid| {
            let holder = Holder::Process(Process::of(pid).unwrap());
            Place::other("pid".into(), Netns::of_self().unwrap(), holder)
        };
        let found = |place| Found::of(vec![place]);
        let (one, other) = (place(child.id()), place(std::process::id()));
        child.kill().unwrap();
        child.wait().unwrap();
        let scope = Scope::Netns("pid:1".into());
        let known = Places::from(found(one.clone()));
        assert!(next(&scope, &known, found(one), Instant::now()).is_none());
        let gone = next(&scope, &known, found(other), Instant::now()).unwrap();
        assert!(gone.places.is_empty() && gone.presence == Presence::Gone);
    }

    #[test]
    fn an_engine_that_is_silent_takes_no_live_place_away() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let holder = Holder::Process(Process::of(child.id()).unwrap());
        let place = Place::other("container".into(), Netns::of_self().unwrap(), holder);
        let known = Places { places: vec![place], presence: Presence::Here };
        let while_it_lives = with_known(Found::default(), &known).places.len();
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!((while_it_lives, with_known(Found::default(), &known).places.len()), (1, 0));
    }
}
