//! Containers of a real engine. Root and Docker are needed; nothing is pulled.

use std::fs::{self, File};
use std::process::{Command, Output};
use std::time::Duration;

use partition_agent_proto::Scope;

use super::netns_tests::soon;
use super::*;

/// An image from nothing but a static busybox, and containers of it, all removed in the end. One test at a time: builds and
/// removals of the same layers disturb each other.
struct Docker {
    prefix: String,
    _turn: File,
    _context: tempfile::TempDir,
}

fn docker(arguments: &[&str]) -> Output {
    // The classic builder needs no plugin.
    Command::new("docker").env("DOCKER_BUILDKIT", "0").args(arguments).output().unwrap()
}

impl Docker {
    /// None where there is no engine, which is an error where CI says that there is one.
    fn new(name: &str) -> Option<Self> {
        let info = Command::new("docker").arg("info").output();
        if !info.as_ref().is_ok_and(|output| output.status.success()) {
            assert!(std::env::var_os("CI").is_none(), "no Docker: {info:?}");
            println!("skipped: `docker info` fails: {info:?}");
            return None;
        }
        let turn = File::create(std::env::temp_dir().join("partition-agent-scope-tests.lock")).unwrap();
        turn.lock().unwrap();
        let context = tempfile::tempdir().unwrap();
        fs::copy("/bin/busybox", context.path().join("busybox")).unwrap();
        let file = "FROM scratch\nCOPY busybox /bin/busybox\nENTRYPOINT [\"/bin/busybox\"]\n";
        fs::write(context.path().join("Dockerfile"), file).unwrap();
        let path = context.path().to_str().unwrap().to_owned();
        let this = Self {
            prefix: format!("pa-scope-{}-{name}", std::process::id()),
            _turn: turn,
            _context: context,
        };
        this.ok(&["build", "-q", "-t", &this.prefix, &path]);
        Some(this)
    }

    fn ok(&self, arguments: &[&str]) -> String {
        let output = docker(arguments);
        assert!(output.status.success(), "{}: docker {arguments:?}: {output:?}", self.prefix);
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// The full name of a container.
    fn name(&self, name: &str) -> String {
        format!("{}-{name}", self.prefix)
    }

    /// Starts a container, which ends at once when told to; returns its id.
    fn run(&self, name: &str, options: &[&str]) -> String {
        let name = self.name(name);
        let fixed = ["run", "-d", "--name", &name, "--stop-signal", "KILL"];
        self.ok(&[fixed.as_slice(), options, &[&self.prefix, "sleep", "600"]].concat())
    }

    /// The same as a replica of a compose service of this test's own project.
    fn replica(&self, service: &str, number: u32) -> String {
        let project = format!("com.docker.compose.project={}", self.prefix);
        let label = format!("com.docker.compose.service={service}");
        self.run(&format!("{service}-{number}"), &["--label", &project, "--label", &label])
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        let filter = format!("name={}-", self.prefix);
        let ids = docker(&["ps", "-aq", "--filter", &filter]);
        for id in String::from_utf8_lossy(&ids.stdout).split_ascii_whitespace() {
            docker(&["rm", "-f", id]);
        }
        docker(&["rmi", "-f", &self.prefix]);
    }
}

/// The usual sockets, and one that is not there.
fn engines() -> Engines {
    let mut engines = Engines::default();
    engines.sockets.push("/nowhere/podman.sock".into());
    engines
}

async fn resolved(scope: Scope) -> Places {
    resolve(&scope, &engines()).await.unwrap()
}

async fn refused(scope: Scope) -> String {
    resolve(&scope, &engines()).await.unwrap_err().to_string()
}

fn ids(places: &Places) -> Vec<NetnsId> {
    places.places.iter().map(|place| place.netns.as_ref().expect("a namespace").id()).collect()
}

#[tokio::test]
async fn containers_are_found_by_name_id_beginning_label_and_service() {
    let Some(docker) = Docker::new("find") else { return };
    let id = docker.replica("redis", 1);
    let name = docker.name("redis-1");
    let pid = docker.ok(&["inspect", "-f", "{{.State.Pid}}", &id]);
    let expected = vec![NetnsId::at(format!("/proc/{pid}/ns/net")).unwrap()];
    let project = format!("com.docker.compose.project={}", docker.prefix);
    for scope in [
        Scope::Container(name.clone()),
        Scope::Container(id.clone()),
        Scope::Container(id[..12].to_owned()),
        Scope::Label(project),
        Scope::Compose(format!("{}/redis", docker.prefix)),
    ] {
        let places = resolved(scope.clone()).await;
        assert_eq!(ids(&places), expected, "{scope}");
        assert_eq!(places.places[0].name, format!("container {name} ({})", &id[..12]));
    }
    docker.ok(&["pause", &id]);
    assert_eq!(ids(&resolved(Scope::Container(id)).await), expected);
    let error = refused(Scope::Container("pa-no-such".into())).await;
    assert!(error.contains(&name), "{error}");
    let error = refused(Scope::Compose(format!("{}/mysql", docker.prefix))).await;
    assert!(error.contains("are: redis"), "{error}");
}

#[tokio::test]
async fn containers_in_one_namespace_are_one_place() {
    let Some(docker) = Docker::new("share") else { return };
    let first = docker.replica("web", 1);
    docker.run("sidecar", &["--network", &format!("container:{first}"), "--label", "pa-scope-share"]);
    docker.run("alone", &["--network", "none", "--label", "pa-scope-share"]);
    let project = format!("com.docker.compose.project={}", docker.prefix);
    docker.run("tool", &["--network", &format!("container:{first}"), "--label", &project]);
    assert_eq!(resolved(Scope::Label("pa-scope-share".into())).await.places.len(), 2);
    let places = resolved(Scope::Label(project)).await;
    let [place] = places.places.as_slice() else { panic!("{places:?}") };
    assert!(place.name.contains("web-1") && place.name.contains("tool"), "{}", place.name);
}

#[tokio::test]
async fn a_container_in_the_network_of_the_host_is_refused() {
    let Some(docker) = Docker::new("host") else { return };
    docker.run("host", &["--network", "host"]);
    let error = refused(Scope::Container(docker.name("host"))).await;
    assert!(error.contains("network of the host") && error.contains("--unit"), "{error}");
    docker.ok(&["stop", &docker.name("host")]);
    let error = refused(Scope::Container(docker.name("host"))).await;
    assert!(error.contains("is exited"), "{error}");
}

#[tokio::test]
async fn the_addresses_and_name_servers_of_a_service_are_those_of_its_containers() {
    let Some(docker) = Docker::new("addresses") else { return };
    let service = format!("{}/db", docker.prefix);
    let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
    let mut expected: Vec<String> =
        (1..=2).map(|number| docker.ok(&["inspect", "-f", format, &docker.replica("db", number)])).collect();
    expected.sort();
    let addresses = compose_addresses(&service, &engines()).await.unwrap();
    let mut addresses: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    addresses.sort();
    assert_eq!(addresses, expected);
    assert!(compose_addresses(&format!("{service}x"), &engines()).await.is_err());
    docker.run("dns", &["--dns", "192.0.2.53"]);
    let places = resolved(Scope::Container(docker.name("dns"))).await;
    let servers = name_servers(&places.places[0]).unwrap();
    assert_eq!(servers, [NameServer { address: "192.0.2.53".parse().unwrap(), zone: None }]);
}

#[tokio::test]
async fn a_restart_is_seen_as_nothing_and_then_as_a_new_namespace() {
    let Some(docker) = Docker::new("restart") else { return };
    docker.replica("redis", 1);
    let name = docker.name("redis-1");
    let (scope, engines) = (Scope::Container(name.clone()), engines());
    let known = resolved(scope.clone()).await;
    let old = ids(&known);
    // Held, so that the new namespace cannot get the number of the old one.
    let held = known.clone();
    let quiet = tokio::time::timeout(Duration::from_millis(700), changed(&scope, &engines, &known)).await;
    assert!(quiet.is_err(), "{quiet:?}");
    docker.ok(&["stop", &name]);
    let begun = Instant::now();
    let away = soon(&scope, &engines, &known).await;
    println!("container: stop returned to no places: {:?}", begun.elapsed());
    assert!(away.places.is_empty() && matches!(away.presence, Presence::Away { .. }), "{away:?}");
    docker.ok(&["start", &name]);
    let begun = Instant::now();
    let back = soon(&scope, &engines, &away).await;
    println!("container: start returned to new places: {:?}", begun.elapsed());
    assert_ne!(ids(&back), old);
    drop(held);
}

#[tokio::test]
async fn a_restart_is_followed_while_it_happens() {
    let Some(docker) = Docker::new("live") else { return };
    docker.replica("redis", 1);
    let name = docker.name("redis-1");
    let (scope, engines) = (Scope::Container(name.clone()), engines());
    let mut known = resolved(scope.clone()).await;
    let held = known.clone();
    let restart = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(500));
        let asked = Instant::now();
        let output = self::docker(&["restart", &name]);
        assert!(output.status.success(), "{output:?}");
        (asked, Instant::now())
    });
    let mut seen = Vec::new();
    loop {
        known = soon(&scope, &engines, &known).await;
        seen.push((known.places.len(), Instant::now()));
        if !known.places.is_empty() {
            break;
        }
    }
    let (asked, done) = restart.join().unwrap();
    println!("container: docker restart took {:?}", done - asked);
    for (places, at) in &seen {
        println!("container: {places} places {:?} after it was asked for", *at - asked);
    }
    assert_ne!(ids(&known), ids(&held));
}

/// Passes bytes between a socket of its own and that of the engine, until it is told to cut all connections.
async fn relay(listener: tokio::net::UnixListener, cut: &tokio::sync::Notify) {
    let mut connections = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (mut near, _) = accepted.unwrap();
                connections.spawn(async move {
                    let mut far = tokio::net::UnixStream::connect("/var/run/docker.sock").await.unwrap();
                    let _closed = tokio::io::copy_bidirectional(&mut near, &mut far).await;
                });
            }
            () = cut.notified() => connections.abort_all(),
        }
    }
}

#[tokio::test]
async fn containers_are_followed_when_the_engine_was_away() {
    let Some(docker) = Docker::new("cut") else { return };
    docker.replica("redis", 1);
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("engine.sock");
    let cut = tokio::sync::Notify::new();
    let listener = tokio::net::UnixListener::bind(&socket).unwrap();
    let engines = Engines { sockets: vec![socket] };
    let scope = Scope::Compose(format!("{}/redis", docker.prefix));
    let follow = async {
        let one = resolve(&scope, &engines).await.unwrap();
        let change = changed(&scope, &engines, &one);
        let scale = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            cut.notify_one();
            tokio::time::sleep(Duration::from_millis(500)).await;
            docker.replica("redis", 2);
            Instant::now()
        };
        let seen = async { (change.await, Instant::now()) };
        let (started, (two, at)) = tokio::join!(scale, seen);
        assert_eq!(two.places.len(), 2);
        let delay = at.saturating_duration_since(started);
        println!("service: replica started after a cut to places: {delay:?}");
        // The look that is made every 10 s, whatever is reported, would do it alone.
        assert!(delay < Duration::from_secs(5), "{delay:?}");
    };
    tokio::select! {
        () = relay(listener, &cut) => {}
        () = follow => {}
    }
}

#[tokio::test]
async fn replicas_come_and_go() {
    let Some(docker) = Docker::new("scale") else { return };
    let first = docker.replica("redis", 1);
    let (scope, engines) = (Scope::Compose(format!("{}/redis", docker.prefix)), engines());
    let one = resolved(scope.clone()).await;
    assert_eq!(one.places.len(), 1);
    let second = docker.replica("redis", 2);
    let begun = Instant::now();
    let two = soon(&scope, &engines, &one).await;
    println!("service: replica started to places: {:?}", begun.elapsed());
    assert_eq!(two.places.len(), 2);
    docker.ok(&["rm", "-f", &first]);
    let left = soon(&scope, &engines, &two).await;
    assert_eq!(left.places.len(), 1);
    assert!(left.places[0].name.contains(&second[..12]));
    docker.ok(&["rm", "-f", &second]);
    let away = soon(&scope, &engines, &left).await;
    assert!(away.places.is_empty() && matches!(away.presence, Presence::Away { .. }), "{away:?}");
    let gone = soon(&scope, &engines, &away).await;
    assert!(gone.places.is_empty() && gone.presence == Presence::Gone, "{gone:?}");
    docker.replica("redis", 3);
    assert_eq!(soon(&scope, &engines, &gone).await.places.len(), 1);
}

#[tokio::test]
async fn no_engine_is_said_with_what_was_tried() {
    let directory = tempfile::tempdir().unwrap();
    let dead = directory.path().join("dead.sock");
    drop(std::os::unix::net::UnixListener::bind(&dead).unwrap());
    let engines = Engines { sockets: vec!["/nowhere/docker.sock".into(), dead.clone()] };
    let error = resolve(&Scope::Container("x".into()), &engines).await.unwrap_err();
    assert!(!error.is_absence(), "an engine that is silent has not lost its containers");
    let error = error.to_string();
    assert!(error.contains("/nowhere/docker.sock: No such file"), "{error}");
    assert!(error.contains(&format!("{}: Connection refused", dead.display())), "{error}");
}
