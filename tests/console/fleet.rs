//! The hosts of a fleet through one of its agents.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use harness::agent::Agent;
use harness::browser::Browser;
use harness::fake_agent::write_token;
use harness::fake_member::{FakeMember, Says};
use harness::fleet::{Fleet, address_of};
use harness::{binary, text};
use serde_json::json;
use tempfile::TempDir;

use crate::desk::{HELD, INJECTS, LOOKS, WIDE, picture, shows};
use crate::look::{LOOK, Look, WIDTHS};

const PAGE: &str = "http://10.78.0.1:7433/";
const CUT: &str = r#"{"kinds":[{"loss":{"percent":100}}],"target":{"peers":["10.78.0.9"]},"for":"10m"}"#;

/// What the first host shows to the others.
const SHOWN: &str = "the-token-of-the-fleet-view";

/// Hosts on a switch, the first of which shows the others; and a browser on one without an agent.
struct View {
    browser: Browser,
    fleet: Fleet,
    tokens: TempDir,
}

impl View {
    fn new() -> Self {
        let fleet = Fleet::without_agents();
        let tokens = tempfile::tempdir().unwrap();
        for token in [LOOKS, INJECTS, SHOWN] {
            write_token(&tokens.path().join(token), token);
        }
        Self { browser: Browser::on(&fleet.controller, WIDE), fleet, tokens }
    }

    /// An agent on a host with a name of its own, and with every token.
    fn start(&mut self, nth: usize, host: &str, more: &str) {
        let named = ["unshare", "--uts", "bash", "-c", r#"hostname "$0" && exec "$@""#, host];
        let tokens = [(LOOKS, "observe"), (INJECTS, "inject"), (SHOWN, "observe")].map(|(word, role)| {
            let file = self.tokens.path().join(word);
            format!("[[tokens]]\nname = '{word}'\nfile = '{}'\nrole = '{role}'\n", file.display())
        });
        let config = format!("listen = '{}:7433'\n{}{more}", address_of(nth), tokens.concat());
        let agent = Agent::start_by(&self.fleet.hosts[nth], &named, &config, tempfile::tempdir().unwrap());
        self.fleet.agents[nth] = Some(agent);
    }

    fn agent(&self, nth: usize) -> &Agent {
        self.fleet.agents[nth].as_ref().unwrap()
    }

    /// `[fleet]` with these hosts, by a token.
    fn showing(&self, hosts: &[&str]) -> String {
        let token = self.tokens.path().join(SHOWN);
        format!("[fleet]\nhosts = {}\ntoken_file = '{}'\n", json!(hosts), token.display())
    }

    fn enter(&mut self, page: &str, token: &str) {
        self.browser.open(page);
        self.browser.until("document.activeElement.id === 'token'");
        self.browser.write(token);
        self.browser.press("Enter");
        self.browser.until("document.getElementById('link-words').textContent === 'live'");
    }

    fn count(&mut self, what: &str, is: usize) {
        self.browser.until(&format!("document.getElementById('count-{what}').textContent === '{is}'"));
    }

    /// A row of the view has all of these.
    fn row(&mut self, words: &[&str]) {
        let row = format!(
            "[...document.querySelectorAll('#fleet-rows tr')].some((row) => {}.every((word) => row.innerText.includes(word)))",
            json!(words)
        );
        self.browser.until(&row);
    }

    /// Connections of the first host to the agent of another one, as `ss` shows them.
    fn asks(&self, nth: usize) -> bool {
        let to = format!("ss -Htn state established dst {}:7433", address_of(nth));
        !self.fleet.hosts[0].sh(&to).is_empty()
    }

    fn complaints(&mut self) -> Vec<String> {
        let mut complaints = self.browser.complaints();
        // Once the page was not known, which the browser tells of.
        complaints.retain(|complaint| !complaint.contains("status of 401 "));
        complaints
    }
}

#[test]
fn faults_of_all_hosts_are_seen_live_and_who_does_not_answer_is_told() {
    if !harness::has_tool("chromium") {
        return;
    }
    let mut view = View::new();
    let showing = view.showing(&["10.78.0.1", "10.78.0.2", "10.78.0.3:7433", "10.78.0.4"]);
    view.start(0, "web-1", &showing);
    for (nth, host) in [(1, "web-2"), (2, "ledger"), (3, "redis-1")] {
        view.start(nth, host, "");
    }
    for nth in 0..3 {
        view.agent(nth).inject("cut", CUT);
    }
    view.enter(PAGE, LOOKS);
    view.browser.until(&shows("1 in force"));
    assert!(!view.asks(1) && !view.asks(2), "nobody looks at the fleet");

    // By the keyboard.
    view.browser.until("!document.getElementById('views').hidden");
    for _ in 0..10 {
        if view.browser.ask("document.activeElement.id") == "to-fleet" {
            break;
        }
        view.browser.press("Tab");
    }
    view.browser.press("Enter");
    view.browser.until("document.activeElement.id === 'fleet-title'");
    view.browser.until(&shows("3 in force, on 3 hosts"));
    harness::until("they are asked", harness::browser::PATIENCE, || view.asks(1) && view.asks(2));
    for (name, own) in [("10.78.0.1", "web-1"), ("10.78.0.2", "web-2"), ("10.78.0.3:7433", "ledger")] {
        view.row(&[
            name,
            own,
            "loss 100%, 10.78.0.9, egress and ingress",
            "active",
            "9m",
            "none",
            "confirmed",
        ]);
    }
    for (what, is) in [("hosts", 4), ("answering", 4), ("silent", 0), ("faults", 3), ("in-force", 3)] {
        view.count(what, is);
    }
    // Who may only look on sees it, and there is nothing to press, whatever they may.
    let pressable = "[...document.querySelectorAll('button, input, textarea, select')].filter((box) => box.checkVisibility()).length";
    assert_eq!(view.browser.ask(pressable), 0);

    // What others do elsewhere comes by itself, and so do hits.
    view.agent(3)
        .inject("slow", r#"{"kinds":[{"loss":{"percent":30}}],"target":{"peers":["10.78.0.9"]},"for":"5m"}"#);
    view.row(&["10.78.0.4", "redis-1", "loss 30%, 10.78.0.9", "slow"]);
    view.browser.until("document.title.startsWith('4 in force, on 4 hosts')");
    let socket = view.fleet.hosts[1].run(|| std::net::UdpSocket::bind("0.0.0.0:0")).unwrap();
    for _ in 0..20 {
        socket.send_to(&[7; 100], "10.78.0.9:9").unwrap();
    }
    view.row(&["10.78.0.2", "20 lost"]);
    let left = view.browser.ask("document.querySelector('#fleet-rows .left b').innerText");
    view.browser.until(&format!("document.querySelector('#fleet-rows .left b').innerText !== {left}"));
    view.agent(2).restore("cut");
    view.browser.until(&shows("3 in force, on 3 hosts"));
    view.browser.until("!document.getElementById('fleet-rows').innerText.includes('ledger')");

    // One is killed: the kernel has ended its fault, and nobody is there to say so.
    let _dir = view.fleet.agents[3].take().unwrap().kill_9();
    view.browser.until(&shows("1 host does not answer"));
    view.browser
        .until("document.getElementById('silent-list').innerText.includes('10.78.0.4 (redis-1), for ')");
    view.browser.until("document.getElementById('silent-list').innerText.includes('Connection refused')");
    view.browser.until("document.getElementById('spoken').textContent.includes('10.78.0.4 does not answer')");
    view.row(&["10.78.0.4", "as told", "ago", "slow"]);
    view.count("silent", 1);
    picture(&mut view.browser, "fleet-silent");
    // One is cut off without a word.
    view.fleet.hosts[1].sh("ip link set eth0 down");
    view.browser.until(&shows("2 hosts do not answer"));
    view.fleet.hosts[1].sh("ip link set eth0 up");
    view.start(3, "redis-1", "");
    view.browser.until("document.getElementById('silent').hidden");
    view.count("answering", 4);

    // Back at this host there is what there was, and nobody is asked any more.
    view.browser.ask("location.hash = '#host'");
    view.browser.until("!document.getElementById('desk').hidden && document.activeElement.id === 'faults'");
    harness::until("nobody is asked", harness::browser::PATIENCE, || !view.asks(1) && !view.asks(2));
    let complaints = view.complaints();
    assert_eq!(complaints, Vec::<String>::new());
    for url in view.browser.asked_for() {
        assert!(url.starts_with(PAGE) || url.starts_with("data:image/svg+xml,"), "{url}");
    }

    // Without the agent that asks, nothing is heard of anybody.
    view.browser.ask("location.hash = '#fleet'");
    view.browser.until(&shows("2 in force, on 2 hosts"));
    let _dir = view.fleet.agents[0].take().unwrap().kill_9();
    view.browser.until(&shows("No answer from the agent since"));
    view.browser.until(&shows("2 in force, on 2 hosts, when last heard"));
}

#[test]
fn a_hostile_member_breaks_nothing() {
    if !harness::has_tool("chromium") {
        return;
    }
    const MARKUP: &str = "<img src=x onerror=alert(1)></td></table><script>alert(1)</script>";
    let mut view = View::new();
    let names = (0..7).map(|nth| format!("10.78.0.4:{}", 7001 + nth)).collect::<Vec<_>>();
    let listeners =
        view.fleet.hosts[3].run(|| names.iter().map(|at| TcpListener::bind(at).unwrap()).collect::<Vec<_>>());
    let wide = "W".repeat(5_000);
    let fault = |id: &str, words: &str| {
        json!({ "id": id, "state": "active", "fault": words, "by": words, "remaining_ms": u64::MAX, "lease_remaining_ms": u64::MAX,
                "verdict": { "is": "mismatch", "found": words }, "hits": { "lost_packets": u64::MAX, "lost_bytes": u64::MAX } })
    };
    let many = (0..2_000).map(|nth| fault(&format!("f{nth}"), "x")).collect::<Vec<_>>();
    let info = json!({ "host": MARKUP, "version": MARKUP }).to_string();
    let says = [
        Says::This { faults: json!([fault("a", MARKUP), fault("b", &wide)]).to_string(), info },
        Says::This { faults: json!(many).to_string(), info: "{}".to_owned() },
        Says::TooMuch,
        Says::NoEnd,
        Says::Elsewhere("http://10.78.0.2:7433/v1/faults".to_owned()),
        Says::Bytes(format!("HTTP/1.1 200 OK\r\n\r\n{MARKUP}").into_bytes()),
        Says::Echo,
    ];
    let _members =
        listeners.into_iter().zip(says).map(|(at, says)| FakeMember::on(at, says)).collect::<Vec<_>>();
    // One that is known by a name.
    let by_name = view.fleet.hosts[0].run(|| TcpListener::bind("127.0.0.1:7001")).unwrap();
    let quiet = Says::This {
        faults: "[]".to_owned(),
        info: json!({ "host": "by-name", "version": "1" }).to_string(),
    };
    let _by_name = FakeMember::on(by_name, quiet);
    let others = names.iter().map(String::as_str);
    let hosts = ["10.78.0.2", "localhost:7001"].into_iter().chain(others).collect::<Vec<_>>();
    let showing = view.showing(&hosts);
    view.start(0, "web-1", &showing);
    view.start(1, "web-2", "");
    view.enter(&format!("{PAGE}#fleet"), LOOKS);
    view.count("silent", 5);
    view.row(&[&names[0], MARKUP, "mismatch"]);
    view.row(&["10.78.0.4:7002 has 1445 more, which are not shown here."]);
    view.browser.until(&shows("557 or more"));
    for words in [
        "more than 2 MiB",
        "no answer within 4s",
        "302 Found",
        "not like a partition-agent",
        "sent back the token",
    ] {
        view.browser
            .until(&format!("document.getElementById('silent-list').innerText.includes({})", json!(words)));
    }
    view.browser.until("document.getElementById('members').innerText.includes('localhost:7001\\nby-name')");
    // The others are seen as ever.
    view.agent(1).inject("cut", CUT);
    view.row(&["10.78.0.2", "web-2", "loss 100%, 10.78.0.9"]);
    assert_eq!(
        view.browser
            .ask("document.images.length + document.querySelectorAll('main script, main iframe').length"),
        0
    );
    assert_eq!(view.browser.ask("document.documentElement.outerHTML.includes('the-token-of')"), false);
    for width in WIDTHS {
        view.browser.resize((width, 900));
        picture(&mut view.browser, &format!("fleet-hostile-{width}"));
        let look: Look = serde_json::from_value(view.browser.ask(LOOK)).unwrap();
        assert!(look.needs <= look.width, "{look:?}");
    }
    let complaints = view.complaints();
    assert_eq!(complaints, Vec::<String>::new());
}

#[test]
fn over_tls_it_asks_with_a_certificate_and_believes_no_other_authority() {
    if !harness::has_tool("chromium") {
        return;
    }
    let mut view = View::new();
    let dir = tempfile::tempdir().unwrap();
    let [ours, theirs] = ["ours", "theirs"].map(|name| dir.path().join(name).display().to_string());
    let made = |ca: &str, words: &[&str]| {
        let made = Command::new(binary()).arg("ca").args(words).args(["--dir", ca]).output().unwrap();
        assert!(made.status.success(), "{words:?}: {}", text(&made.stderr));
    };
    for ca in [&ours, &theirs] {
        made(ca, &["init"]);
        for nth in 0..3 {
            made(ca, &["issue", &format!("h{nth}"), "--host", &address_of(nth)]);
        }
    }
    made(&ours, &["issue", "view", "--role", "observe"]);
    let own = |ca: &str, nth: usize| {
        let ca = Path::new(ca).display();
        format!("[tls]\ncert = '{ca}/h{nth}.crt'\nkey = '{ca}/h{nth}.key'\nclient_ca = '{ours}/ca.crt'\n")
    };
    let showing = format!(
        "[fleet]\nhosts = ['10.78.0.2', '10.78.0.3']\nca = '{ours}/ca.crt'\ncert = '{ours}/view.crt'\nkey = '{ours}/view.key'\n"
    );
    view.start(0, "web-1", &format!("{}{showing}", own(&ours, 0)));
    view.start(1, "web-2", &own(&ours, 1));
    // Somebody else, in its place.
    view.start(2, "web-3", &own(&theirs, 2));
    view.agent(1).inject("cut", CUT);
    // It is not about whom the browser believes.
    view.browser.call("Security.setIgnoreCertificateErrors", &json!({ "ignore": true }));
    view.enter("https://10.78.0.1:7433/#fleet", INJECTS);
    view.row(&["10.78.0.2", "web-2", "loss 100%, 10.78.0.9"]);
    view.browser.until(
        "document.getElementById('silent-list').innerText.includes('authority that is not trusted here')",
    );
    view.count("answering", 1);
    // Whoever may restore this host does not do so from here, where it would look like more.
    assert_eq!(view.browser.ask("document.getElementById('restore-all').checkVisibility()"), false);
    view.agent(0).inject("cut", CUT);
    view.browser.chord('r', HELD);
    view.browser.ask("location.hash = '#host'");
    view.browser.until("document.getElementById('restore-all').checkVisibility()");
    view.browser.until(&shows("1 in force"));
    view.browser.chord('r', HELD);
    view.browser.until(&shows("Nothing is in force"));
    assert_eq!(view.agent(1).faults().len(), 1);
    let complaints = view.complaints();
    assert_eq!(complaints, Vec::<String>::new());
}

#[test]
fn it_fits_and_can_be_read_wide_and_narrow_light_and_dark() {
    if !harness::has_tool("chromium") {
        return;
    }
    let mut view = View::new();
    let hosts = (1..=7).map(|nth| format!("10.78.0.{nth}")).collect::<Vec<_>>();
    let showing = view.showing(&hosts.iter().map(String::as_str).collect::<Vec<_>>());
    view.start(0, "web-1", &showing);
    for (nth, host) in [(1, "web-2"), (2, "web-3"), (3, "redis-1"), (4, "redis-2"), (5, "ledger")] {
        view.start(nth, host, "");
    }
    let partition = |others: &str| {
        format!(r#"{{"kinds":[{{"loss":{{"percent":100}}}}],"target":{{"peers":[{others}]}},"for":"5m"}}"#)
    };
    for nth in 0..3 {
        view.agent(nth).inject("split", &partition(r#""10.78.0.4","10.78.0.5""#));
    }
    for nth in 3..5 {
        view.agent(nth).inject("split", &partition(r#""10.78.0.1","10.78.0.2","10.78.0.3""#));
    }
    view.agent(5).inject(
        "slow-disk",
        r#"{"kinds":[{"delay":{"latency":"200ms","jitter":"20ms"}}],"target":{"all_traffic":true},"direction":"egress","for":"25m","start_in":"10m","lease":"20m","engine":"emulator"}"#,
    );
    let socket = view.fleet.hosts[0].run(|| std::net::UdpSocket::bind("0.0.0.0:0")).unwrap();
    for _ in 0..137 {
        socket.send_to(&[7; 100], "10.78.0.4:6379").unwrap();
    }
    view.enter(&format!("{PAGE}#fleet"), LOOKS);
    view.count("silent", 1);
    view.count("answering", 6);
    view.row(&["web-1", "137 lost"]);
    for scheme in ["light", "dark"] {
        view.browser.prefer("prefers-color-scheme", scheme);
        for width in WIDTHS {
            view.browser.resize((width, 900));
            for part in ["top", "end"] {
                view.browser.ask(match part {
                    "top" => "scrollTo(0, 0)",
                    _ => "scrollTo(0, document.documentElement.scrollHeight)",
                });
                picture(&mut view.browser, &format!("fleet-{scheme}-{width}-{part}"));
                let look: Look = serde_json::from_value(view.browser.ask(LOOK)).unwrap();
                assert!(look.needs <= look.width, "{scheme} {width} {part}: {look:?}");
                assert!(
                    look.faint.is_empty() && look.nameless.is_empty(),
                    "{scheme} {width} {part}: {look:?}"
                );
            }
        }
    }
    // That of the documentation.
    view.browser.prefer("prefers-color-scheme", "light");
    view.browser.resize((1280, 1250));
    view.browser.ask("scrollTo(0, 0); document.activeElement.blur()");
    picture(&mut view.browser, "console-fleet");
    let complaints = view.complaints();
    assert_eq!(complaints, Vec::<String>::new());
}
