//! A lab from its beginning to its end.

use std::time::{Duration, Instant};

use harness::text;

use crate::{FLEET, Outside, SLACK};

const SHOP: [&str; 2] = ["203.0.113.80", "[fdff:aaaa::80]"];

/// Whether a page comes from there within a second.
fn loads(outside: &Outside, from: &str, url: &str) -> bool {
    outside.on(from, &format!("curl -s -m 1 --noproxy '*' -o /dev/null 'http://{url}/'")).status.success()
}

fn goes_through_its_life(outside: &Outside) {
    let before = outside.snapshot();
    let told = outside.lab_ok(&["up", "fleet.toml"]);
    assert!(told.contains("the lab lab is up: fleet.toml, in a lab"), "{told}");
    for words in
        ["100.64.0.9", "http://100.64.0.9:9001", "203.0.113.80, fdff:aaaa::80", "lab exec HOST", "lab down"]
    {
        assert!(told.contains(words), "{told}");
    }
    assert!(outside.lab_ok(&["list"]).contains("fleet.toml"));
    outside.snapshot().0.assert_same(&before.0, "while the lab is up");

    // Names: of all families, of hosts and services, and quickly if there is none.
    let shop = outside.on_ok("web", "getent ahosts shop");
    assert!(shop.contains("203.0.113.80") && shop.contains("fdff:aaaa::80"), "{shop}");
    assert!(outside.on_ok("edge", "getent ahostsv4 web").contains("10.1.2.3"));
    assert!(outside.on_ok("edge", "getent ahosts localhost").contains("127.0.0.1"));
    assert_eq!(outside.on_ok("Queue", "hostname"), "queue\n");
    let begun = Instant::now();
    assert!(!outside.on("web", "getent hosts nobody.example.com").status.success());
    // A name server that is not there is waited for for five seconds at least.
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());

    // Servers, across, by both families, and with what they are told.
    for (from, url) in [
        ("web", "203.0.113.80:8080"),
        ("web", "[fdff:aaaa::80]:8080"),
        ("queue", "[fdff:aaaa::80]:8080"),
        ("edge", "shop:8080"),
        ("controller", "203.0.113.80:8080"),
        ("controller", "shop:8080"),
        ("controller", "192.168.200.7:9000"),
    ] {
        assert!(loads(outside, from, url), "{from} -> {url}");
    }
    let seen = outside.on_ok("edge", "curl -s --noproxy '*' http://queue:9000/");
    let files = outside.dir.path().display();
    assert_eq!(seen.trim(), format!("queue 192.168.200.7 {files} /run/lab/servers/told@queue/data"));
    // Everybody is seen by an address of their own.
    let log = outside.on_ok("controller", "cat /run/lab/servers/shop@shop/log");
    for address in ["10.1.2.3", "fd00:1::3", "2001:db8:77::7", "100.64.0.9", "198.18.0.1"] {
        assert!(log.contains(&format!("{address} - - ")), "{address}:\n{log}");
    }

    // Agents: found without a word, by themselves and as a fleet.
    let program = outside.program.display().to_string();
    let agent = |words: &str| outside.on("controller", &format!("{program} {words}"));
    let status = agent("status --on '*'");
    assert!(text(&status.stdout).contains("no faults on 3 of 3 hosts"), "{status:?}");
    let matrix = agent("matrix --json");
    assert!(matrix.status.success(), "{}{}", text(&matrix.stdout), text(&matrix.stderr));

    // A cut, and the kernel's heal at its deadline: 5 s is the shortest of a fleet.
    let begun = Instant::now();
    let cut = agent("inject --loss 100% --peer shop --on web --for 5s");
    assert!(cut.status.success(), "{}{}", text(&cut.stdout), text(&cut.stderr));
    for shop in SHOP {
        assert!(!loads(outside, "web", &format!("{shop}:8080")), "{shop}");
    }
    assert!(loads(outside, "edge", "shop:8080"), "nobody else is cut off");
    for shop in SHOP {
        while !loads(outside, "web", &format!("{shop}:8080")) {
            assert!(begun.elapsed() < Duration::from_secs(5) + SLACK, "{shop} is still cut off");
        }
    }

    assert_eq!(outside.on("edge", "exit 7").status.code(), Some(7));
    assert_eq!(outside.lab_ok(&["down"]), "the lab lab is down\n");
    assert_eq!(outside.processes(), [0; 0], "processes are left");
    let after = outside.snapshot();
    before.0.assert_same(&after.0, "after the lab");
    assert_eq!((before.1, before.2), (after.1, after.2));
}

#[test]
fn a_lab_is_raised_used_and_leaves_nothing() {
    goes_through_its_life(&Outside::new(FLEET));
}

#[test]
fn it_takes_no_root() {
    goes_through_its_life(&Outside::for_anybody(FLEET));
}

#[test]
fn two_labs_know_nothing_of_each_other() {
    let outside = Outside::new("[hosts.a]\naddress = '10.0.0.1'\n");
    outside.lab_ok(&["up", "fleet.toml"]);
    outside.lab_ok(&["up", "fleet.toml", "--name", "second"]);
    outside.lab_ok(&["exec", "a", "--", "ip", "address", "add", "10.9.9.9/32", "dev", "lo"]);
    let seen =
        |name| outside.lab_ok(&["exec", "--name", name, "a", "--", "ip", "address"]).contains("10.9.9.9");
    assert!(seen("lab") && !seen("second"));
    outside.lab_ok(&["down"]);
    assert!(outside.lab_ok(&["list"]).contains("second"));
    outside.lab_ok(&["exec", "--name", "second", "controller", "--", "partition-agent", "status"]);
    outside.lab_ok(&["down", "--name", "second"]);
    assert_eq!(outside.lab_ok(&["list"]), "no lab is up\n");
}

#[test]
fn thirty_hosts_are_there_in_seconds() {
    let host = |n: u32| format!("[hosts.h{n}]\naddress = ['10.{n}.7.1', 'fd{n:02}::1']\n");
    let outside = Outside::new(&(0..30).map(host).collect::<String>());
    let begun = Instant::now();
    outside.lab_ok(&["up", "fleet.toml"]);
    // Some seconds of the processor, unoptimized, most of it agents that look what the kernel can do.
    assert!(begun.elapsed() < 4 * SLACK, "{:?}", begun.elapsed());
    println!("thirty hosts after {:?}", begun.elapsed());
    let status = outside.on_ok("controller", "partition-agent status --on '*'");
    assert!(status.contains("no faults on 30 of 30 hosts"), "{status}");
}
