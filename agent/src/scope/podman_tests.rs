//! Podman's answers, which differ from Docker's in what is in them, on a socket of the test's own. Root is needed.

use std::fs;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use partition_agent_proto::Scope;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Notify;

use super::netns_tests::{Sleeper, soon};
use super::*;

/// Ids of the infra container of a pod, of its member, and of one that has been stopped and not yet cleaned up after.
const IDS: [&str; 3] = ["1f", "2e", "3d"];

/// As much of Podman 4 and 5 as the agent asks: a pod `shop` of which `redis` is a member, made by podman-compose.
#[derive(Default)]
struct Podman {
    /// The process of both containers of the pod; none while it does not run.
    pid: Mutex<Option<u32>>,
    died: Notify,
}

fn id(nth: usize) -> String {
    IDS[nth].repeat(32)
}

impl Podman {
    fn started(directory: &tempfile::TempDir) -> (Arc<Self>, Engines) {
        let socket = directory.path().join("podman.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let podman = Arc::new(Self::default());
        let known = Arc::clone(&podman);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let known = Arc::clone(&known);
                // A client that hangs up is none of its concern.
                tokio::spawn(async move { known.answer(stream).await.ok() });
            }
        });
        (podman, Engines { sockets: vec![socket] })
    }

    async fn answer(&self, mut stream: UnixStream) -> io::Result<()> {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(stream.read_u8().await?);
        }
        let request = String::from_utf8_lossy(&request).into_owned();
        let path = request.split(' ').nth(1).unwrap_or_default();
        let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nLibpod-Api-Version: 5.4.2\r\nConnection: close\r\n";
        if path.contains("/events") {
            stream.write_all(format!("{head}\r\n").as_bytes()).await?;
            loop {
                self.died.notified().await;
                let event = format!(
                    r#"{{"status":"died","id":"{}","Type":"container","Action":"died","Actor":{{"ID":"{0}","Attributes":{{}}}},"scope":"local","time":1}}"#,
                    id(1)
                );
                stream.write_all(format!("{event}\n").as_bytes()).await?;
            }
        }
        let body = self.body(path);
        stream.write_all(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes()).await
    }

    fn body(&self, path: &str) -> String {
        let pid = *self.pid.lock().unwrap();
        if path.ends_with("/version") {
            return r#"{"Platform":{"Name":"linux/amd64/debian-13"},"Components":[{"Name":"Podman Engine","Version":"5.4.2",
                "Details":{"APIVersion":"5.4.2","MinAPIVersion":"4.0.0"}}],"Version":"5.4.2","ApiVersion":"1.41","MinAPIVersion":"1.24"}"#
                .to_owned();
        }
        if path.contains("/containers/json") {
            // It has no Docker word for a container that it has not cleaned up after.
            let all = !path.contains("status");
            let state = if pid.is_some() { "running" } else { "exited" };
            let running = pid.is_some() || all;
            let list = [
                running.then(|| summary(0, "shop-infra", state, "null")),
                running.then(|| summary(1, "shop-redis", state, REDIS)),
                all.then(|| summary(2, "old", "stopped", "null")),
            ];
            return format!("[{}]", list.into_iter().flatten().collect::<Vec<_>>().join(","));
        }
        match (0..2).find(|nth| path.contains(&id(*nth))) {
            Some(nth) => inspected(nth, pid),
            None => "{}".to_owned(),
        }
    }
}

const REDIS: &str =
    r#"{"io.podman.compose.project":"shop","com.docker.compose.service":"redis","PODMAN_SYSTEMD_UNIT":""}"#;

/// What Podman adds to Docker's summary are null fields of the container's configuration.
fn summary(nth: usize, name: &str, state: &str, labels: &str) -> String {
    format!(
        r#"{{"Id":"{}","Names":["/{name}"],"Image":"localhost/podman-pause:5.4.2-0","ImageID":"sha256:{0}","Command":"",
            "Created":1764180000,"Ports":[{{"PrivatePort":6379,"Type":"tcp"}}],"Labels":{labels},"State":"{state}","Status":"",
            "NetworkSettings":{{"Networks":null}},"Mounts":[],"Name":"","Config":null,"HostConfig":{{"NetworkMode":"host"}},
            "NetworkingConfig":null,"Platform":null,"AdjustCPUShares":false}}"#,
        id(nth)
    )
}

/// The addresses of a pod are its infra container's; the members share the network of that.
fn inspected(nth: usize, pid: Option<u32>) -> String {
    let (mode, networks) = match nth {
        0 => (
            "bridge".to_owned(),
            r#"{"shop_default":{"IPAddress":"10.89.0.7","GlobalIPv6Address":"","GwPriority":0,"DNSNames":null}}"#,
        ),
        _ => (format!("container:{}", id(0)), "{}"),
    };
    format!(
        r#"{{"Id":"{}","Created":"2026-11-26T18:00:00Z","State":{{"Status":"{}","Running":{},"Paused":false,"Restarting":false,
            "OOMKilled":false,"Dead":false,"Pid":{},"ExitCode":0,"Health":{{"Status":"","FailingStreak":0,"Log":null}}}},
            "Driver":"overlay","MountLabel":"","HostConfig":{{"NetworkMode":"{mode}","CgroupnsMode":"","IpcMode":"shareable",
            "RestartPolicy":{{"Name":"","MaximumRetryCount":0}},"Isolation":"","LogConfig":{{"Type":"journald","Config":null}}}},
            "Mounts":[],"NetworkSettings":{{"Ports":null,"Networks":{networks}}}}}"#,
        id(nth),
        if pid.is_some() { "running" } else { "exited" },
        pid.is_some(),
        pid.unwrap_or(0),
    )
}

/// A process in a network namespace of its own.
async fn inhabitant() -> (Sleeper, NetnsId) {
    let child = Sleeper(Command::new("unshare").args(["--net", "sleep", "300"]).spawn().unwrap());
    let path = format!("/proc/{}/ns/net", child.0.id());
    let own = NetnsId::of_self().unwrap();
    // `unshare` enters before it becomes `sleep`.
    while NetnsId::at(&path).unwrap() == own
        || !fs::read_to_string(path.replace("ns/net", "comm")).unwrap().starts_with("sleep")
    {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let id = NetnsId::at(&path).unwrap();
    (child, id)
}

#[tokio::test]
async fn containers_of_podman_are_found_with_their_addresses_and_followed() {
    let directory = tempfile::tempdir().unwrap();
    let (podman, engines) = Podman::started(&directory);
    let (first, first_id) = inhabitant().await;
    *podman.pid.lock().unwrap() = Some(first.0.id());
    for scope in [
        Scope::Compose("shop/redis".into()),
        Scope::Container("shop-redis".into()),
        Scope::Container("2e2e2e".into()),
        Scope::Label("io.podman.compose.project=shop".into()),
    ] {
        let places = resolve(&scope, &engines).await.unwrap_or_else(|error| panic!("{scope}: {error}"));
        let [place] = places.places.as_slice() else { panic!("{places:?}") };
        assert_eq!(place.netns.as_ref().unwrap().id(), first_id);
        assert_eq!(place.name, "container shop-redis (2e2e2e2e2e2e)");
    }
    let addresses = compose_addresses("shop/redis", &engines).await.unwrap();
    assert_eq!(addresses, ["10.89.0.7".parse::<std::net::IpAddr>().unwrap()]);
    let error = resolve(&Scope::Compose("shop/web".into()), &engines).await.unwrap_err().to_string();
    assert!(error.contains("services of shop are: redis"), "{error}");

    let scope = Scope::Container("shop-redis".into());
    let known = resolve(&scope, &engines).await.unwrap();
    let restart = async {
        // Until it listens to events; then only they bring it to look at once, the next look of its own is 10 s away.
        tokio::time::sleep(Duration::from_millis(500)).await;
        *podman.pid.lock().unwrap() = None;
        podman.died.notify_waiters();
        Instant::now()
    };
    let seen = async { (soon(&scope, &engines, &known).await, Instant::now()) };
    let (died, (away, at)) = tokio::join!(restart, seen);
    assert!(away.places.is_empty() && matches!(away.presence, Presence::Away { .. }), "{away:?}");
    assert!(at - died < Duration::from_secs(5), "{:?}", at - died);
    let (second, second_id) = inhabitant().await;
    *podman.pid.lock().unwrap() = Some(second.0.id());
    let back = soon(&scope, &engines, &away).await;
    assert_eq!(back.places[0].netns.as_ref().unwrap().id(), second_id);
}
