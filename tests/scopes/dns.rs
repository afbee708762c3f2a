//! Names that fail for some: in containers, where programs ask Docker's own name server, which is behind NAT rules in each of
//! them; in a namespace that has a resolv.conf of its own; for a control group.

use harness::agent::Agent;
use harness::lab::{APP_TO_REDIS, Lab, REDIS};
use harness::{has_tool, text};

use crate::cgroup::Group;
use crate::compose::Project;
use crate::name_server::{ELSE, NameServer};
use crate::{CONFIG, SLACK};

#[test]
fn a_name_fails_in_the_containers_of_one_service_only() {
    if !has_tool("dig") {
        return;
    }
    let Some(project) = Project::up() else { return };
    let lab = Lab::new();
    let agent = Agent::start(&lab.app, CONFIG);
    let [app, db] = ["app", "db"].map(|service| project.one(service));
    let before = app.snapshot();
    let dig = |how: &str| {
        format!("dig @127.0.0.11 {how} +tries=1 +timeout=2 | grep -e status: -e ANSWER: -e 'IN.A' || true")
    };
    let addresses = project.service("redis").into_iter().map(|redis| redis.address).collect::<Vec<_>>();
    let finds = |said: &str| addresses.iter().all(|address| said.contains(address));
    assert!(finds(&app.sh_ok(&dig("redis"))), "{}", app.sh_ok(&dig("redis")));

    for (how, status) in [("nxdomain", "NXDOMAIN"), ("servfail", "SERVFAIL")] {
        let inject = [
            "inject",
            "--dns-fail",
            "redis",
            "--dns-answer",
            how,
            "--compose",
            &project.path("app"),
            "--id",
            "f",
        ];
        agent.cli_ok(&lab.app, &inject);
        for protocol in ["redis", "redis +tcp"] {
            let said = app.sh_ok(&dig(protocol));
            assert!(said.contains(status) && !finds(&said), "{how} {protocol}: {said}");
        }
        // What programs do: the C library, by the container's own resolv.conf.
        let own = text(
            &std::process::Command::new("docker")
                .args(["exec", &app.id, "redis-cli", "-h", "redis", "ping"])
                .output()
                .unwrap()
                .stderr,
        );
        assert!(own.contains("redis"), "{own}");
        assert!(app.sh_ok(&dig("db")).contains(&db.address), "other names are answered");
        assert!(finds(&db.sh_ok(&dig("redis"))), "other services are answered");
        assert!(app.reaches(&project.service("redis")[0]), "the address itself is not hit");
        assert!(agent.faults()[0].hits.failed_questions >= 2, "{:?}", agent.faults()[0].hits);
        agent.restore("f");
        assert!(finds(&app.sh_ok(&dig("redis"))) && finds(&app.sh_ok(&dig("redis +tcp"))), "at once");
        agent.until_idle(2 * SLACK);
    }
    assert_eq!(app.snapshot(), before);

    let inject = ["inject", "--dns-fail", "redis", "--compose", &project.path("app")];
    agent.cli_ok(&lab.app, &inject);
    assert!(app.sh_ok(&dig("redis")).contains("NXDOMAIN"));
    drop(agent.kill_9());
    assert!(finds(&app.sh_ok(&dig("redis"))), "after kill -9");
    assert_eq!(app.snapshot(), before);
}

#[test]
fn only_the_lookups_of_a_control_group_fail() {
    if !has_tool("dig") {
        return;
    }
    let lab = Lab::new();
    let upstream = NameServer::start(&lab.redis, &[(REDIS.parse::<std::net::IpAddr>().unwrap(), 53).into()]);
    let agent = Agent::start(&lab.app, CONFIG);
    let group = Group::service();
    let unit = group.unit().to_owned();
    let dig = |more: &str| format!("dig @{REDIS} api.example.com {more} +noedns +tries=1 +timeout=2");
    let inject = [
        "inject",
        "--dns-fail",
        "*.example.com",
        "--dns-answer",
        "servfail",
        "--peer",
        REDIS,
        "--unit",
        &unit,
        "--id",
        "f",
    ];
    agent.cli_ok(&lab.app, &inject);
    for more in ["", "+tcp"] {
        let own = text(&group.sh(&lab.app, &dig(more)).stdout);
        assert!(own.contains("SERVFAIL"), "{own}");
        assert_eq!(upstream.asked(), [""; 0]);
        assert!(lab.app.sh(&dig(more)).contains(&ELSE.to_string()), "the neighbour");
        assert_eq!(upstream.asked(), ["api.example.com"]);
    }
    agent.restore("f");
    assert!(text(&group.sh(&lab.app, &dig("")).stdout).contains(&ELSE.to_string()));
}

/// Gone when dropped.
struct EtcNetns(std::path::PathBuf);

impl Drop for EtcNetns {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
        // Only if nobody else has anything in there.
        let _ = std::fs::remove_dir("/etc/netns");
    }
}

#[test]
fn a_namespace_asks_the_servers_of_its_own_resolv_conf() {
    if !has_tool("dig") {
        return;
    }
    let lab = Lab::new();
    let servers = [(APP_TO_REDIS.parse::<std::net::IpAddr>().unwrap(), 53).into()];
    let upstream = NameServer::start(&lab.app, &servers);
    upstream.set("other.example.com", "192.0.2.7");
    let etc = EtcNetns(std::path::Path::new("/etc/netns").join(&lab.redis.namespace));
    std::fs::create_dir_all(&etc.0).unwrap();
    std::fs::write(etc.0.join("resolv.conf"), format!("nameserver {APP_TO_REDIS}\n")).unwrap();
    let agent = Agent::start(&lab.app, CONFIG);
    let name = lab.redis.namespace.clone();
    agent.cli_ok(&lab.app, &["inject", "--dns-fail", "api.example.com", "--netns", &name, "--id", "f"]);
    // As programs are run there; its servers are those of the file.
    let there = |what: &str| {
        let done = std::process::Command::new("ip")
            .args(["netns", "exec", &name, "dig", "+tries=1", "+timeout=2", what])
            .output();
        text(&done.unwrap().stdout)
    };
    assert!(there("api.example.com").contains("NXDOMAIN"), "{}", there("api.example.com"));
    assert!(there("other.example.com").contains("192.0.2.7"));
    assert_eq!(upstream.asked(), ["other.example.com"]);
    agent.restore("f");
    assert!(there("api.example.com").contains(&ELSE.to_string()));
}
