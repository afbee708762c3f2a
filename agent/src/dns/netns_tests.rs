//! The forwarder behind rewriting rules, in network namespaces of its own: whether programs can tell, and whether they
//! notice when it goes. Needs root, `ip` and `nft`.

use std::fs::{self, File};
use std::io::Write;
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{fmt::Write as _, io, path::PathBuf, process, thread};

use nix::sched::{CloneFlags, setns};
use partition_agent_proto::DnsAnswer;

use super::fake_upstream::{FakeUpstream, answer, frame, question, read_frame};
use super::forwarder::Redirect;
use super::{Forwarder, Rules, start};

const MARK: u32 = 0x5041_0053;

/// Gone when dropped, and its resolv.conf with it.
struct Netns(String);

impl Netns {
    fn new(purpose: &str) -> Self {
        let netns = Self(format!("pa-dns-test-{}-{purpose}", process::id()));
        run("ip", &["netns", "add", &netns.0]);
        netns.ip(&["link", "set", "lo", "up"]);
        netns
    }

    fn ip(&self, arguments: &[&str]) {
        run("ip", &[&["-n", &self.0], arguments].concat());
    }

    fn enter(&self) -> impl FnOnce() -> io::Result<()> + Send + 'static {
        let path = format!("/run/netns/{}", self.0);
        move || Ok(setns(File::open(path)?, CloneFlags::CLONE_NEWNET)?)
    }

    /// On a thread of its own, which is in the namespace; sockets made there stay there.
    fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let enter = self.enter();
        let work = move || {
            enter().unwrap();
            work()
        };
        thread::scope(|scope| scope.spawn(work).join()).unwrap()
    }

    fn nft(&self, ruleset: &str) {
        let mut nft = Command::new("ip")
            .args(["netns", "exec", &self.0, "nft", "-f", "-"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        nft.stdin.take().unwrap().write_all(ruleset.as_bytes()).unwrap();
        assert!(nft.wait().unwrap().success(), "{ruleset}");
    }

    fn resolv_conf(&self) -> PathBuf {
        PathBuf::from("/etc/netns").join(&self.0)
    }

    /// What the C library finds for `name`, asking `server`.
    fn getent(&self, server: IpAddr, name: &str) -> String {
        fs::create_dir_all(self.resolv_conf()).unwrap();
        let text = format!("nameserver {server}\noptions timeout:2 attempts:1\n");
        fs::write(self.resolv_conf().join("resolv.conf"), text).unwrap();
        let output =
            Command::new("ip").args(["netns", "exec", &self.0, "getent", "ahostsv4", name]).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).status();
        let _ = fs::remove_dir_all(self.resolv_conf());
        // Only if there is nothing else in it.
        let _ = fs::remove_dir("/etc/netns");
    }
}

fn run(program: &str, arguments: &[&str]) {
    let status = Command::new(program).args(arguments).status().unwrap();
    assert!(status.success(), "{program} {arguments:?}");
}

/// The rules that an agent makes of `redirects`. The first chain comes before connection tracking (-200), the second
/// after it, so that tracking sees one flow with 127.0.0.1 both ways; the first one's type looks for the route again.
fn ruleset(redirects: &[Redirect]) -> String {
    let (mut out, mut back) = (String::new(), String::new());
    for Redirect { upstream, at } in redirects {
        let family = if upstream.is_ipv4() { "ip" } else { "ip6" };
        let (server, port, here, local) = (upstream.ip(), upstream.port(), at.ip(), at.port());
        for protocol in ["udp", "tcp"] {
            writeln!(
                out,
                "{family} daddr {server} {protocol} dport {port} meta mark != {MARK} \
                 {family} daddr set {here} {protocol} dport set {local}"
            )
            .unwrap();
            writeln!(
                back,
                "iifname lo {family} saddr {here} {protocol} sport {local} \
                 {family} saddr set {server} {protocol} sport set {port}"
            )
            .unwrap();
        }
    }
    format!(
        "table inet pa_dns_test {{\n\
         chain out {{\n type route hook output priority -300;\n{out}}}\n\
         chain back {{\n type filter hook prerouting priority -150;\n{back}}}\n}}\n"
    )
}

/// Sockets of a program that resolves names with `server`.
struct Program {
    server: SocketAddr,
    unconnected: UdpSocket,
    connected: UdpSocket,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expect {
    Truth,
    Nxdomain,
}

impl Program {
    fn new(server: SocketAddr) -> Self {
        let any: SocketAddr = if server.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" }.parse().unwrap();
        let socket = || {
            let socket = UdpSocket::bind(any).unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            socket
        };
        let (unconnected, connected) = (socket(), socket());
        connected.connect(server).unwrap();
        Self { server, unconnected, connected }
    }

    /// Asks in every way; each answer has to look as if it came from the server.
    fn check(&self, netns: &Netns, bad: Expect) {
        self.ask(netns, "good.example", Expect::Truth);
        self.ask(netns, "a.Bad.example", bad);
    }

    fn ask(&self, netns: &Netns, name: &str, expect: Expect) {
        let asked = question(next_id(), name);
        let expected = match expect {
            Expect::Truth => answer(&asked).unwrap(),
            Expect::Nxdomain => {
                let mut failure = asked.clone();
                (failure[2], failure[3]) = (0x81, 0x83);
                failure
            }
        };
        let mut buffer = [0; 2048];
        self.unconnected.send_to(&asked, self.server).unwrap();
        let (length, from) = self.unconnected.recv_from(&mut buffer).unwrap();
        assert_eq!((&buffer[..length], from), (expected.as_slice(), self.server));

        // The kernel delivers to a connected socket only what comes from its peer.
        self.connected.send(&asked).unwrap();
        let length = self.connected.recv(&mut buffer).unwrap();
        assert_eq!(buffer[..length], expected);

        let mut stream = netns.inside(|| TcpStream::connect(self.server).unwrap());
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        // More than one segment each way, so that sequence numbers and offloads have something to get wrong.
        stream.write_all(&frame(&asked).repeat(2000)).unwrap();
        for _ in 0..2000 {
            assert_eq!(read_frame(&mut stream).unwrap(), expected);
        }
        assert_eq!(stream.peer_addr().unwrap(), self.server);

        let found = netns.getent(self.server.ip(), name);
        assert_eq!(found.contains("10.9.8.7"), expect == Expect::Truth, "{found}");
    }
}

/// Different for each question, so that no answer is taken for another.
fn next_id() -> u16 {
    static NEXT: std::sync::atomic::AtomicU16 = std::sync::atomic::AtomicU16::new(1);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

fn forwarder(netns: &Netns, servers: &[SocketAddr]) -> (Forwarder, Vec<Redirect>) {
    let rules = Rules::new(vec!["*.bad.example".parse().unwrap()], DnsAnswer::Nxdomain);
    start(netns.enter(), rules, servers, MARK).unwrap()
}

/// Names fail while the table is there, and at no other time, also on sockets that lived through all of it.
fn names_fail_while_the_table_is_there(programs: &Netns, upstreams: &[FakeUpstream]) {
    let servers: Vec<SocketAddr> = upstreams.iter().map(|upstream| upstream.at).collect();
    let sockets: Vec<Program> =
        programs.inside(|| servers.iter().map(|server| Program::new(*server)).collect());
    let check = |bad| sockets.iter().for_each(|program| program.check(programs, bad));
    let received = || -> u64 { upstreams.iter().map(FakeUpstream::asked).sum() };

    check(Expect::Truth);
    let (forwarder, redirects) = forwarder(programs, &servers);
    check(Expect::Truth);
    assert_eq!(forwarder.failed_questions(), 0);
    for _ in 0..2 {
        let failed = forwarder.failed_questions();
        programs.nft(&ruleset(&redirects));
        let before = received();
        check(Expect::Nxdomain);
        // Two datagrams, 2,000 on a connection, one by the C library; of either name, at each server.
        let each = 2003 * u64::try_from(servers.len()).unwrap();
        assert_eq!(received() - before, each, "good names reach the server, once each");
        assert_eq!(forwarder.failed_questions() - failed, each);
        programs.nft("delete table inet pa_dns_test");
        check(Expect::Truth);
    }
    drop(forwarder);
    check(Expect::Truth);
}

fn strict_reverse_path(netns: &Netns, devices: &[&str]) {
    netns.inside(|| {
        for device in ["all", "lo"].iter().chain(devices) {
            fs::write(format!("/proc/sys/net/ipv4/conf/{device}/rp_filter"), "1").unwrap();
            let route_localnet =
                fs::read_to_string(format!("/proc/sys/net/ipv4/conf/{device}/route_localnet"));
            assert_eq!(route_localnet.unwrap(), "0\n", "nothing here depends on it");
        }
    });
}

fn servers(netns: &Netns, addresses: [&str; 2]) -> Vec<FakeUpstream> {
    let start = |address: &str| FakeUpstream::start(SocketAddr::new(address.parse().unwrap(), 53));
    netns.inside(|| addresses.map(start).into())
}

#[test]
fn lookups_fail_with_the_server_in_the_same_namespace() {
    let netns = Netns::new("one");
    netns.ip(&["addr", "add", "10.99.0.53/32", "dev", "lo"]);
    netns.ip(&["addr", "add", "fd99::53/128", "dev", "lo", "nodad"]);
    strict_reverse_path(&netns, &[]);
    names_fail_while_the_table_is_there(&netns, &servers(&netns, ["10.99.0.53", "fd99::53"]));
}

#[test]
fn lookups_fail_with_the_server_behind_a_veth() {
    let (programs, server) = (Netns::new("near"), Netns::new("far"));
    programs.ip(&["link", "add", "near", "type", "veth", "peer", "name", "far", "netns", &server.0]);
    for (netns, device, v4, v6) in
        [(&programs, "near", "10.98.0.1/24", "fd98::1/64"), (&server, "far", "10.98.0.2/24", "fd98::2/64")]
    {
        netns.ip(&["addr", "add", v4, "dev", device]);
        netns.ip(&["addr", "add", v6, "dev", device, "nodad"]);
        netns.ip(&["link", "set", device, "up"]);
    }
    strict_reverse_path(&programs, &["near"]);
    names_fail_while_the_table_is_there(&programs, &servers(&server, ["10.98.0.2", "fd98::2"]));
}
