//! What no fault cuts.

use std::net::SocketAddr;
use std::process::Command;

use harness::agent::Agent;
use harness::binary;
use harness::lab::{APP_TO_REDIS, Host, Lab, REDIS, REDIS6, address};
use harness::traffic::{answers, serve_tcp};

use crate::PATIENCE;
use crate::fleet::Fleet;

const ALL: &str = r#"{"kinds":[{"loss":{"percent":100}}],"target":{"all_traffic":true},"for":"10m"}"#;

#[test]
fn ssh_survives_a_cut_of_everything_and_its_neighbour_does_not() {
    let lab = Lab::new();
    let agent = Agent::start(&lab.app, "");
    let [ssh, other] = [22, 80].map(|port| SocketAddr::new(address(APP_TO_REDIS), port));
    serve_tcp(&lab.app, ssh);
    serve_tcp(&lab.app, other);
    let fault = agent.inject("f", ALL);
    assert!(fault.protects.contains(&"local port tcp/22".to_owned()), "{:?}", fault.protects);
    assert!(answers(&lab.redis, ssh, PATIENCE));
    assert!(!answers(&lab.redis, other, PATIENCE));
    agent.restore("f");
    assert!(answers(&lab.redis, other, PATIENCE));
}

#[test]
fn a_fault_on_the_port_of_a_remote_ssh_is_allowed() {
    let lab = Lab::new();
    let agent = Agent::start(&lab.app, "");
    let ssh = SocketAddr::new(address(REDIS), 22);
    serve_tcp(&lab.redis, ssh);
    assert!(answers(&lab.app, ssh, PATIENCE));
    agent.inject(
        "f",
        r#"{"kinds":[{"loss":{"percent":100}}],"target":{"peers":["10.77.1.2:22"]},"for":"10m"}"#,
    );
    assert!(!answers(&lab.app, ssh, PATIENCE));
}

#[test]
fn the_api_over_tcp_survives_the_fault_that_it_asked_for() {
    let lab = Lab::new();
    let agent = Agent::start(&lab.app, "listen = '127.0.0.1:7433'\ninsecure_loopback = true\n");
    serve_tcp(&lab.app, "127.0.0.1:80".parse().unwrap());
    // The API is on loopback, so loopback is what is cut.
    let program = binary().display().to_string();
    let cli = |arguments: &[&str]| {
        let done = lab.app.output(&program, &[&["--agent", "http://127.0.0.1:7433"], arguments].concat());
        assert!(done.status.success(), "{arguments:?} {done:?}\n{}", agent.log());
        harness::text(&done.stdout)
    };
    let said =
        cli(&["inject", "--loss", "100%", "--all-traffic", "--interface", "lo", "--for", "10m", "--id", "f"]);
    assert!(said.contains("your connection from 127.0.0.1:"), "{said}");
    assert!(!answers(&lab.app, "127.0.0.1:80".parse().unwrap(), PATIENCE), "loopback is cut");
    assert!(cli(&["status"]).contains("active"));
    assert!(cli(&["restore", "f"]).contains("restored"));
    assert!(answers(&lab.app, "127.0.0.1:80".parse().unwrap(), PATIENCE));
}

#[test]
fn agents_reach_each_other_while_all_between_them_is_cut_at_both_ends() {
    let lab = Lab::new();
    let Fleet { a, b, token } = Fleet::start(&lab);
    let [of_a, of_b] = [APP_TO_REDIS, REDIS].map(|ip| format!("http://{ip}:7433"));
    let others = [SocketAddr::new(address(APP_TO_REDIS), 80), SocketAddr::new(address(REDIS), 80)];
    serve_tcp(&lab.app, others[0]);
    serve_tcp(&lab.redis, others[1]);
    let (program, token) = (binary().display().to_string(), token.path().display().to_string());
    let cli = |host: &Host, agent: &str, words: &[&str]| {
        let done = host.output(&program, &[&["--agent", agent, "--token-file", &token], words].concat());
        assert!(done.status.success(), "{words:?}: {done:?}\n{}\n{}", a.log(), b.log());
        harness::text(&done.stdout)
    };
    let reject = ALL.replace(r#"{"loss":{"percent":100}}"#, r#"{"reject":{"with":"host_unreachable"}}"#);
    for spec in [ALL, &reject] {
        for agent in [&a, &b] {
            let protects = agent.inject("f", spec).protects;
            for port in ["local port tcp/7433", "far port tcp/7433"] {
                assert!(protects.contains(&port.to_owned()), "{protects:?}");
            }
        }
        assert!(!answers(&lab.redis, others[0], PATIENCE) && !answers(&lab.app, others[1], PATIENCE));
        // From either host to the agent of the other one.
        assert!(cli(&lab.app, &of_b, &["status"]).contains("active"));
        assert!(cli(&lab.redis, &of_a, &["status"]).contains("active"));
        assert!(cli(&lab.app, &of_b, &["restore", "--all"]).contains("restored"));
        assert!(!answers(&lab.redis, others[0], PATIENCE), "the other end is cut still");
        assert!(cli(&lab.redis, &of_a, &["restore", "--all"]).contains("restored"));
        assert!(answers(&lab.redis, others[0], PATIENCE) && answers(&lab.app, others[1], PATIENCE));
    }
    let stranger = lab.redis.output(&program, &["--agent", &of_a, "status"]);
    assert_eq!(stranger.status.code(), Some(1));
    assert!(harness::text(&stranger.stderr).contains("the request has no token"), "{stranger:?}");
    for log in [a.log(), b.log()] {
        assert!(!log.contains("the-token-of"), "{log}");
    }
}

#[test]
fn the_ssh_connection_of_the_caller_survives_on_any_port() {
    let lab = Lab::new();
    let agent = Agent::start(&lab.app, "");
    let at = SocketAddr::new(address(APP_TO_REDIS), 2222);
    serve_tcp(&lab.app, at);
    let [kept, other] = [(); 2].map(|()| lab.redis.run(|| std::net::TcpStream::connect(at)).unwrap());
    let from = kept.local_addr().unwrap();
    let program = binary().display().to_string();
    let inject = ["--agent", &agent.address(), "inject", "--loss", "100%", "--all-traffic", "--for", "10m"];
    let ssh = format!("{} {} {APP_TO_REDIS} 2222", from.ip(), from.port());
    let done =
        lab.app.run(|| Command::new(&program).args(inject).env("SSH_CONNECTION", ssh).output()).unwrap();
    assert!(done.status.success(), "{done:?}");
    let alive = |mut stream: std::net::TcpStream| {
        use std::io::Read;
        // The server has sent its answer and closed; what is not cut acknowledges our end, too.
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        stream.shutdown(std::net::Shutdown::Both).ok();
        let state = format!("sport = :{} and dport = :2222", stream.local_addr().unwrap().port());
        drop(stream);
        std::thread::sleep(PATIENCE);
        lab.redis.output("ss", &["-Htan", &state]).stdout.is_empty()
    };
    // An end that is acknowledged closes the socket; one that is lost is sent again and again (LAST-ACK).
    assert!(alive(kept), "the caller's connection");
    assert!(!alive(other), "another connection to the same port");
}

#[test]
fn an_excepted_ipv6_neighbour_stays_reachable_with_a_cold_cache() {
    let lab = Lab::new();
    let agent = Agent::start(&lab.app, "");
    let at = SocketAddr::new(address(REDIS6), 80);
    serve_tcp(&lab.redis, at);
    agent.inject(
        "f",
        &ALL.replace("\"all_traffic\":true", "\"all_traffic\":true,\"except\":[\"[fd77:1::2]:80\"]"),
    );
    lab.app.sh("ip neigh flush all");
    lab.redis.sh("ip neigh flush all");
    assert!(answers(&lab.app, at, PATIENCE * 5));
}
