//! The emulator on real TAP devices, each test in a network namespace of its own. They take root.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::socket::sockopt::ReceiveTimeout;
use nix::sys::socket::{
    AddressFamily, LinkAddr, SockFlag, SockProtocol, SockType, recvfrom, setsockopt, socket,
};
use nix::sys::time::TimeVal;
use partition_agent_proto::Kind;

use super::*;

const TAP_ADDRESS: [u8; 6] = [2, 0, 0, 0, 0, 1];
const RETURNING: [u8; 6] = [2, 0x70, 0x61, 0, 0, 1];

/// Generous: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(10);

fn impairment(json: &str) -> Impairment {
    Impairment::new(&serde_json::from_str::<Vec<Kind>>(json).unwrap()).unwrap()
}

/// Runs the test on a thread in a new network namespace, which ends with the thread, come what may.
fn in_a_namespace(test: impl FnOnce() + Send + 'static) {
    let isolated = || {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        test();
    };
    if let Err(panic) = thread::spawn(isolated).join() {
        std::panic::resume_unwind(panic);
    }
}

/// Runs a script in the namespace of this thread.
fn sh(script: &str) -> String {
    let output = Command::new("sh").args(["-euc", script]).output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{script}\n{out}{err}");
    out.into_owned()
}

fn wait_for(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "{what} has not happened");
        thread::sleep(Duration::from_millis(1));
    }
}

/// A TAP that is up and has a neighbour, whom to send to is to send into the TAP.
fn tap_with_a_neighbour() -> Tap {
    let tap = Tap::create("pa-e0").unwrap();
    sh("ip link set pa-e0 address 02:00:00:00:00:01 up
        ip address add 10.0.0.1/24 dev pa-e0
        ip neighbour add 10.0.0.2 lladdr 02:00:00:00:00:02 dev pa-e0");
    tap
}

/// Sees every frame of every device of the namespace, in both directions.
fn sniffer() -> OwnedFd {
    let sniffer =
        socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::EthAll).unwrap();
    setsockopt(&sniffer, ReceiveTimeout, &TimeVal::new(10, 0)).unwrap();
    sniffer
}

struct Sighting {
    at: Instant,
    outgoing: bool,
    source: [u8; 6],
}

/// The next frame whose last bytes are this text.
fn see(sniffer: &OwnedFd, text: &[u8]) -> Sighting {
    let mut buffer = [0; 2_048];
    loop {
        let (length, from) = recvfrom::<LinkAddr>(sniffer.as_raw_fd(), &mut buffer).unwrap();
        let frame = &buffer[..length];
        if frame.ends_with(text) {
            let outgoing = from.unwrap().pkttype() == libc::PACKET_OUTGOING;
            return Sighting { at: Instant::now(), outgoing, source: frame[6..12].try_into().unwrap() };
        }
    }
}

#[test]
fn a_frame_comes_back_after_its_delay_from_the_source_it_was_given() {
    in_a_namespace(|| {
        let tap = tap_with_a_neighbour();
        let returns = Returns { own: [2, 9, 9, 9, 9, 9], source: Some(RETURNING) };
        let faults = impairment(r#"[{"delay":{"latency":"50ms"}}]"#);
        let emulator = Emulator::start(tap, faults.clone(), returns, 1).unwrap();
        assert_eq!((emulator.is_alive(), emulator.impairment()), (true, faults));
        let sniffer = sniffer();
        let sender = UdpSocket::bind("10.0.0.1:0").unwrap();
        for text in [&b"the first"[..], b"the second"] {
            sender.send_to(text, "10.0.0.2:9").unwrap();
            let (there, back) = (see(&sniffer, text), see(&sniffer, text));
            assert!(there.outgoing && !back.outgoing);
            assert_eq!((there.source, back.source), (TAP_ADDRESS, RETURNING));
            // The clocks of both ends are read after the fact, the first of them perhaps late.
            assert!(back.at - there.at >= Duration::from_millis(40), "{:?}", back.at - there.at);
        }
        wait_for("a count of both", || emulator.counters().left >= 2);
        let counters = emulator.counters();
        assert_eq!((counters.entered, counters.write_errors), (counters.left + counters.held, 0));
    });
}

#[test]
fn a_change_holds_for_the_next_frame() {
    in_a_namespace(|| {
        let tap = tap_with_a_neighbour();
        let returns = Returns { own: [2, 9, 9, 9, 9, 9], source: None };
        let emulator =
            Emulator::start(tap, impairment(r#"[{"delay":{"latency":"1h"}}]"#), returns, 1).unwrap();
        let sniffer = sniffer();
        let sender = UdpSocket::bind("10.0.0.1:0").unwrap();
        sender.send_to(b"patient", "10.0.0.2:9").unwrap();
        see(&sniffer, b"patient");
        wait_for("the first frame", || emulator.counters().held > 0);
        let faults = impairment(r#"[{"delay":{"latency":"1ms","allow_reorder":true}}]"#);
        emulator.retune(faults.clone());
        assert_eq!(emulator.impairment(), faults);
        sender.send_to(b"hasty", "10.0.0.2:9").unwrap();
        assert!(see(&sniffer, b"hasty").outgoing);
        assert!(!see(&sniffer, b"hasty").outgoing);
        assert!(emulator.counters().held > 0);
        // Ends at once, whatever is held.
        let start = Instant::now();
        drop(emulator);
        assert!(start.elapsed() < PATIENCE);
        assert!(!sh("ip -o link").contains("pa-e0"));
    });
}

#[test]
fn what_the_tap_says_by_itself_is_dropped() {
    in_a_namespace(|| {
        let tap = tap_with_a_neighbour();
        let returns = Returns { own: TAP_ADDRESS, source: None };
        let emulator =
            Emulator::start(tap, impairment(r#"[{"delay":{"latency":"1us"}}]"#), returns, 1).unwrap();
        let sniffer = sniffer();
        let sender = UdpSocket::bind("10.0.0.1:0").unwrap();
        sender.send_to(b"the device's", "10.0.0.2:9").unwrap();
        // The kernel forgets the neighbours of a device whose address changes.
        sh("ip link set pa-e0 address 02:00:00:00:00:05
            ip neighbour replace 10.0.0.2 lladdr 02:00:00:00:00:02 dev pa-e0");
        sender.send_to(b"another's", "10.0.0.2:9").unwrap();
        // Were the first one not dropped, it would come back before the second one does.
        let outgoing: Vec<bool> = (0..3).map(|_| see(&sniffer, b"'s").outgoing).collect();
        assert_eq!(outgoing, [true, true, false]);
        wait_for("the second frame", || emulator.counters().entered > 0);
    });
}

#[test]
fn a_device_that_is_down_costs_frames_and_one_that_is_deleted_ends_it() {
    in_a_namespace(|| {
        let tap = tap_with_a_neighbour();
        let returns = Returns { own: [2, 9, 9, 9, 9, 9], source: None };
        let emulator =
            Emulator::start(tap, impairment(r#"[{"delay":{"latency":"200ms"}}]"#), returns, 1).unwrap();
        let sender = UdpSocket::bind("10.0.0.1:0").unwrap();
        sender.send_to(b"lost", "10.0.0.2:9").unwrap();
        wait_for("a frame", || emulator.counters().held > 0);
        sh("ip link set pa-e0 down");
        wait_for("an error", || emulator.counters().write_errors > 0);
        assert!(emulator.is_alive());
        sh("ip link del pa-e0");
        wait_for("the end", || !emulator.is_alive());
    });
}

#[test]
fn a_name_that_is_taken_is_refused() {
    in_a_namespace(|| {
        let first = Tap::create("pa-e0").unwrap();
        assert_eq!(first.name(), "pa-e0");
        let error = Tap::create("pa-e0").unwrap_err();
        assert!(error.to_string().contains("a device of that name exists"), "{error}");
    });
}

/// A process that keeps the other end's namespace.
struct Neighbour(Child);

impl Neighbour {
    fn new() -> Self {
        let mut child = Command::new("unshare")
            .args(["--net", "sh", "-c", "echo ready; exec sleep 600"])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        assert_eq!(ready, "ready\n");
        Self(child)
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// The shortest round trip that ping saw, in milliseconds, if no answer was missing.
fn shortest_round_trip(address: &str) -> f64 {
    let output = sh(&format!("ping -n -q -c 5 -i 0.05 -W 10 {address}"));
    assert!(output.contains(" 0% packet loss"), "{output}");
    let shortest = output.rsplit_once("= ").and_then(|(_, times)| times.split('/').next());
    shortest.unwrap().parse().unwrap()
}

/// What the kernel's side does, for one link.
const RULES: &str = r#"
table netdev pa {
  chain eg {
    type filter hook egress device "va" priority 0
    meta mark 0x7061 accept
    icmpv6 type 133-137 accept
    ip daddr 10.0.0.2 fwd to "pa-e0"
    ip6 daddr fd00::2 fwd to "pa-e0"
  }
  chain ing {
    type filter hook ingress device "va" priority 0
    ether saddr 02:70:61:00:00:01 accept
    icmpv6 type 133-137 accept
    ip saddr 10.0.0.2 fwd to "pa-i0"
    ip6 saddr fd00::2 fwd to "pa-i0"
  }
  chain back {
    type filter hook ingress device "pa-e0" priority 0
    meta mark set 0x7061 fwd to "va"
  }
}"#;

/// A link to a neighbour, and an emulator in each direction: 10.0.0.1 and fd00::1 here, the 2s there.
struct Link {
    neighbour: Neighbour,
    emulators: [Emulator; 2],
}

impl Link {
    fn new(faults: &str) -> Self {
        let neighbour = Neighbour::new();
        let (egress, ingress) = (Tap::create("pa-e0").unwrap(), Tap::create("pa-i0").unwrap());
        sh(&format!(
            r"ip link add va address 02:00:00:00:00:0a type veth peer name vb
              ip link set vb netns {0}
              ip address add 10.0.0.1/24 dev va; ip address add fd00::1/64 dev va nodad
              ip link set va up
              nsenter -t {0} -n sh -euc 'ip address add 10.0.0.2/24 dev vb
                                         ip address add fd00::2/64 dev vb nodad
                                         ip link set vb up'
              ip link set pa-e0 address 02:00:00:00:00:01 up
              ip link set pa-i0 address 02:00:00:00:00:0a up
              tc qdisc add dev pa-i0 ingress
              tc filter add dev pa-i0 parent ffff: protocol all pref 1 u32 match u32 0 0 \
                  action mirred ingress redirect dev va
              nft -f - <<'END'
{RULES}
END",
            neighbour.0.id()
        ));
        let faults = impairment(faults);
        let outbound = Returns { own: TAP_ADDRESS, source: None };
        let inbound = Returns { own: [2, 0, 0, 0, 0, 0x0a], source: Some(RETURNING) };
        let emulators = [
            Emulator::start(egress, faults.clone(), outbound, 1).unwrap(),
            Emulator::start(ingress, faults, inbound, 2).unwrap(),
        ];
        Self { neighbour, emulators }
    }
}

#[test]
fn both_directions_of_a_link_are_delayed_in_both_protocols() {
    in_a_namespace(|| {
        let link = Link::new(r#"[{"delay":{"latency":"50ms"}}]"#);
        for address in ["10.0.0.2", "fd00::2"] {
            let shortest = shortest_round_trip(address);
            assert!(shortest >= 100.0, "{address} {shortest}");
        }
        for emulator in &link.emulators {
            wait_for("a count of the last packet", || emulator.counters().left == 10);
            assert_eq!(emulator.counters(), Counters { entered: 10, left: 10, ..Counters::default() });
        }
    });
}

/// How many segments TCP has found damaged in the namespace of this thread.
fn checksum_errors() -> u64 {
    let snmp = std::fs::read_to_string("/proc/thread-self/net/snmp").unwrap();
    let mut tcp = snmp.lines().filter(|line| line.starts_with("Tcp:")).map(str::split_whitespace);
    let (mut names, mut values) = (tcp.next().unwrap(), tcp.next().unwrap());
    let nth = names.position(|name| name == "InCsumErrors").unwrap();
    values.nth(nth).unwrap().parse().unwrap()
}

#[test]
fn tcp_notices_the_damage_in_a_super_frame_and_sends_it_again() {
    in_a_namespace(|| {
        let link = Link::new(r#"[{"corrupt":{"percent":10}}]"#);
        let data: Vec<u8> =
            (0..10_000_000_u32).map(|nth| nth.to_le_bytes()[usize::from(nth % 3 == 0)]).collect();
        let namespace = File::open(format!("/proc/{}/ns/net", link.neighbour.0.id())).unwrap();
        let (listening, is_listening) = mpsc::channel();
        let receiver = thread::spawn(move || {
            setns(namespace, CloneFlags::CLONE_NEWNET).unwrap();
            let listener = TcpListener::bind("10.0.0.2:9").unwrap();
            listening.send(()).unwrap();
            let mut received = Vec::new();
            listener.accept().unwrap().0.read_to_end(&mut received).unwrap();
            (received, checksum_errors())
        });
        is_listening.recv().unwrap();
        TcpStream::connect("10.0.0.2:9").unwrap().write_all(&data).unwrap();
        let (received, errors) = receiver.join().unwrap();
        assert!(received == data, "what was received is not what was sent");
        let Counters { entered, corrupted, write_errors, .. } = link.emulators[0].counters();
        // Far fewer frames than segments: else no super-frame was among them. Of at least 153 frames, none is hit
        // with a chance of 0.9^153, and of those hit, one in 50 has its IP header damaged instead.
        assert!(entered < 10_000_000 / 1_448, "{entered}");
        assert!(corrupted > 0 && errors > corrupted / 2 && errors <= corrupted, "{errors} of {corrupted}");
        assert_eq!(write_errors, 0);
    });
}
