//! Names that stand for addresses, and for how long: the addresses from the system's resolver, which applications use,
//! and the time from DNS itself, as the C library does not tell it.

use std::collections::BTreeSet;
use std::future::Future;
use std::net::IpAddr;
use std::pin::pin;
use std::time::Duration;

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{LookupIpStrategy, ResolveHosts};
use hickory_resolver::net::NetError;

/// How long one name may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long DNS may take once the system's resolver has answered: that has asked the same servers, or has not needed
/// them, and then they may be out of reach.
const AFTERWARDS: Duration = Duration::from_millis(250);

/// `/etc/hosts` has no expiry, and may be edited at any time.
const SHORTEST: Duration = Duration::from_secs(1);
/// A change that nobody announced, such as a flushed cache, is followed after this time at the latest.
const LONGEST: Duration = Duration::from_secs(60);

const BOTH: &str = "the system's resolver and DNS";
const SYSTEM_ALONE: &str = "the system's resolver";
const DNS_ALONE: &str = "DNS alone, as the system's resolver knows nothing of it";

/// What a name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Never empty; those of the system's resolver and those of DNS. IPv4 in IPv6's clothes is plain IPv4.
    pub addresses: BTreeSet<IpAddr>,
    /// The shortest TTL in the answers of DNS, in whole seconds; `None` if DNS is not where the system's resolver has its
    /// addresses from.
    pub valid_for: Option<Duration>,
    /// Who said so.
    pub by: &'static str,
}

/// A name that stands for no address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{name}` stands for no address: the system's resolver (/etc/hosts, nsswitch.conf) says: {system}; the name servers \
     of /etc/resolv.conf say: {dns}. Write an address instead, or make the name known on this host"
)]
pub struct LookUpError {
    name: String,
    system: String,
    dns: String,
}

/// What DNS says.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Records {
    addresses: BTreeSet<IpAddr>,
    ttl: Duration,
}

/// In the network and mount namespaces of the runtime's threads. Nothing is remembered from one time to the next, not
/// even `/etc/resolv.conf`.
///
/// # Errors
/// What both say, if neither knows an address within 5 s.
pub async fn look_up(name: &str) -> Result<Answer, LookUpError> {
    let mut system = pin!(within(PATIENCE, system(name)));
    let mut dns = pin!(within(PATIENCE, dns(name)));
    let (system, dns) = tokio::select! {
        system = &mut system => {
            let patience = if system.is_ok() { AFTERWARDS } else { PATIENCE };
            (system, within(patience, dns).await)
        }
        dns = &mut dns => (system.await, dns),
    };
    agree(name, system, dns)
}

/// How long after an answer to ask again.
pub fn next_look(answer: &Answer) -> Duration {
    answer.valid_for.unwrap_or(SHORTEST).clamp(SHORTEST, LONGEST)
}

async fn within<T>(patience: Duration, asked: impl Future<Output = Result<T, String>>) -> Result<T, String> {
    let answer = tokio::time::timeout(patience, asked).await;
    answer.unwrap_or_else(|_| Err(format!("nothing for {patience:?}")))
}

async fn system(name: &str) -> Result<BTreeSet<IpAddr>, String> {
    let found = tokio::net::lookup_host((name, 0)).await.map_err(|error| error.to_string())?;
    let addresses = found.map(|socket| socket.ip().to_canonical()).collect::<BTreeSet<_>>();
    if addresses.is_empty() { Err("no address".to_owned()) } else { Ok(addresses) }
}

async fn dns(name: &str) -> Result<Records, String> {
    records(name).await.map_err(|error| error.to_string())?.ok_or_else(|| "no address".to_owned())
}

async fn records(name: &str) -> Result<Option<Records>, NetError> {
    // Made anew for each question, as /etc/resolv.conf changes when networks come and go.
    let mut builder = TokioResolver::builder_tokio()?;
    let options = builder.options_mut();
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Never;
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    // Or there is no time for a second question where the first one got lost.
    options.timeout = options.timeout.min(PATIENCE / 3);
    let found = builder.build()?.lookup_ip(name).await?;
    // Also the aliases (CNAME) on the way: when one of them expires, the address may be another.
    let answers = found.as_lookup().answers();
    let ttl = answers.iter().map(|record| record.ttl).min();
    let addresses = found.iter().map(|address| address.to_canonical()).collect::<BTreeSet<_>>();
    let ttl = ttl.filter(|_| !addresses.is_empty());
    Ok(ttl.map(|ttl| Records { addresses, ttl: Duration::from_secs(u64::from(ttl)) }))
}

fn agree(
    name: &str,
    system: Result<BTreeSet<IpAddr>, String>,
    dns: Result<Records, String>,
) -> Result<Answer, LookUpError> {
    match (system, dns) {
        (Ok(system), Ok(dns)) => {
            let valid_for = (!system.is_disjoint(&dns.addresses)).then_some(dns.ttl);
            Ok(Answer { addresses: &system | &dns.addresses, valid_for, by: BOTH })
        }
        (Ok(addresses), Err(_)) => Ok(Answer { addresses, valid_for: None, by: SYSTEM_ALONE }),
        (Err(_), Ok(Records { addresses, ttl })) => {
            Ok(Answer { addresses, valid_for: Some(ttl), by: DNS_ALONE })
        }
        (Err(system), Err(dns)) => Err(LookUpError { name: name.to_owned(), system, dns }),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::net::UdpSocket;
    use std::path::Path;
    use std::process::Command;
    use std::sync::{Arc, Mutex};
    use std::time::Instant;

    use hickory_proto::op::{Message, ResponseCode};
    use hickory_proto::rr::rdata::CNAME;
    use hickory_proto::rr::{Name, RData, Record, RecordType};
    use nix::mount::{MsFlags, mount};
    use nix::sched::{CloneFlags, unshare};

    use super::*;

    fn addresses(texts: &[&str]) -> BTreeSet<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// A host of its own: a loopback, a DNS server, `/etc/resolv.conf` that names it, and `/etc/hosts`.
    struct Host {
        runtime: tokio::runtime::Runtime,
        zone: Zone,
        files: tempfile::TempDir,
    }

    /// Name, seconds to live, and an address or else the name of which this is an alias.
    type Zone = Arc<Mutex<Vec<(&'static str, u32, &'static str)>>>;

    /// Runs on a thread of its own; threads that it starts share its namespaces, also those of the runtime.
    fn on_a_host(test: impl FnOnce(Host) + Send + 'static) {
        let test = || {
            unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).unwrap();
            assert!(Command::new("ip").args(["link", "set", "lo", "up"]).status().unwrap().success());
            let none = None::<&str>;
            mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
            let files = tempfile::tempdir().unwrap();
            for (file, text) in [("resolv.conf", "nameserver 127.0.0.1\nsearch test\n"), ("hosts", "")] {
                fs::write(files.path().join(file), text).unwrap();
                let over = Path::new("/etc").join(file);
                mount(Some(&files.path().join(file)), &over, none, MsFlags::MS_BIND, none).unwrap();
            }
            let zone = Zone::default();
            let socket = UdpSocket::bind("127.0.0.1:53").unwrap();
            let served = Arc::clone(&zone);
            std::thread::spawn(move || serve(&socket, &served));
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            test(Host { runtime, zone, files });
        };
        std::thread::spawn(test).join().unwrap();
    }

    /// Ends with the process; `silent.test` is not answered.
    fn serve(socket: &UdpSocket, zone: &Zone) {
        let mut datagram = [0; 1500];
        loop {
            let (length, from) = socket.recv_from(&mut datagram).unwrap();
            let question = Message::from_vec(&datagram[..length]).unwrap();
            let query = question.queries[0].clone();
            let asked = query.name().to_lowercase().to_string();
            if asked == "silent.test." {
                continue;
            }
            let mut answer = Message::response(question.id, question.op_code);
            answer.metadata.recursion_available = true;
            answer.add_query(query.clone());
            let mut known = false;
            let mut wanted = asked;
            for (name, ttl, value) in &*zone.lock().unwrap() {
                if wanted != format!("{name}.") {
                    continue;
                }
                known = true;
                let data = match value.parse() {
                    Ok(IpAddr::V4(address)) => RData::A(address.into()),
                    Ok(IpAddr::V6(address)) => RData::AAAA(address.into()),
                    Err(_) => RData::CNAME(CNAME(format!("{value}.").parse().unwrap())),
                };
                if data.record_type() == RecordType::CNAME {
                    wanted = format!("{value}.");
                } else if data.record_type() != query.query_type() {
                    continue;
                }
                let name = format!("{name}.").parse::<Name>().unwrap();
                answer.add_answer(Record::from_rdata(name, *ttl, data));
            }
            answer.metadata.response_code =
                if known { ResponseCode::NoError } else { ResponseCode::NXDomain };
            socket.send_to(&answer.to_vec().unwrap(), from).unwrap();
        }
    }

    impl Host {
        fn look_up(&self, name: &str) -> Result<Answer, LookUpError> {
            self.runtime.block_on(look_up(name))
        }

        fn hosts(&self, text: &str) {
            fs::write(self.files.path().join("hosts"), text).unwrap();
        }
    }

    #[test]
    fn the_shortest_ttl_of_both_families_counts_and_a_change_is_seen_at_once() {
        on_a_host(|host| {
            *host.zone.lock().unwrap() = vec![("db.test", 30, "10.0.0.5"), ("db.test", 7, "fd00::5")];
            let answer = host.look_up("db.test").unwrap();
            assert_eq!(answer.addresses, addresses(&["10.0.0.5", "fd00::5"]));
            assert_eq!((answer.valid_for, answer.by), (Some(seconds(7)), BOTH));
            *host.zone.lock().unwrap() = vec![("db.test", 300, "10.0.0.6")];
            let answer = host.look_up("db.test").unwrap();
            assert_eq!((answer.addresses, answer.valid_for), (addresses(&["10.0.0.6"]), Some(seconds(300))));
        });
    }

    #[test]
    fn an_alias_and_a_search_domain_are_followed() {
        on_a_host(|host| {
            *host.zone.lock().unwrap() = vec![("www.test", 3, "db.test"), ("db.test", 30, "10.0.0.5")];
            let answer = host.look_up("www").unwrap();
            assert_eq!((answer.addresses, answer.valid_for), (addresses(&["10.0.0.5"]), Some(seconds(3))));
        });
    }

    #[test]
    fn etc_hosts_is_read_each_time_and_has_no_ttl() {
        on_a_host(|host| {
            for address in ["10.1.1.1", "10.1.1.2", "::ffff:10.1.1.3"] {
                host.hosts(&format!("{address} cache\n"));
                let answer = host.look_up("cache").unwrap();
                assert_eq!(answer.addresses, addresses(&[address.trim_start_matches("::ffff:")]));
                assert_eq!((answer.valid_for, answer.by), (None, SYSTEM_ALONE));
                assert_eq!(next_look(&answer), seconds(1));
            }
        });
    }

    #[test]
    fn where_etc_hosts_has_another_address_both_are_meant_and_the_ttl_is_not() {
        on_a_host(|host| {
            host.hosts("10.1.1.1 db.test\n");
            *host.zone.lock().unwrap() = vec![("db.test", 30, "10.0.0.5")];
            let answer = host.look_up("db.test").unwrap();
            assert_eq!((answer.addresses, answer.valid_for), (addresses(&["10.0.0.5", "10.1.1.1"]), None));
        });
    }

    #[test]
    fn a_silent_server_does_not_hold_up_etc_hosts() {
        on_a_host(|host| {
            host.hosts("10.1.1.1 silent.test\n");
            let start = Instant::now();
            let answer = host.look_up("silent.test").unwrap();
            assert_eq!((answer.addresses, answer.by), (addresses(&["10.1.1.1"]), SYSTEM_ALONE));
            // Far from the 5 s of a server that is waited for, and from the quarter of a second that is given.
            assert!(start.elapsed() < seconds(3), "{:?}", start.elapsed());
        });
    }

    #[test]
    fn an_unknown_name_is_an_error_that_quotes_both() {
        on_a_host(|host| {
            let error = host.look_up("nobody.test").unwrap_err();
            assert!(error.system.contains("not known"), "{error}");
            assert!(error.dns.contains("no records found"), "{error}");
            let text = error.to_string();
            assert!(
                text.contains("`nobody.test`") && text.contains(&error.system) && text.contains(&error.dns)
            );
        });
    }

    #[test]
    fn resolv_conf_is_read_each_time() {
        on_a_host(|host| {
            *host.zone.lock().unwrap() = vec![("db.test", 30, "10.0.0.5")];
            fs::write(host.files.path().join("resolv.conf"), "nameserver 127.0.0.9\n").unwrap();
            assert!(host.look_up("db.test").is_err());
            fs::write(host.files.path().join("resolv.conf"), "nameserver 127.0.0.1\n").unwrap();
            assert_eq!(host.look_up("db.test").unwrap().addresses, addresses(&["10.0.0.5"]));
        });
    }

    #[test]
    fn dns_alone_is_enough() {
        let dns = Records { addresses: addresses(&["10.0.0.5"]), ttl: seconds(9) };
        let answer = agree("db", Err("not known".to_owned()), Ok(dns)).unwrap();
        assert_eq!((answer.valid_for, answer.by), (Some(seconds(9)), DNS_ALONE));
        assert_eq!(answer.addresses, addresses(&["10.0.0.5"]));
    }

    #[test]
    fn the_next_look_is_after_the_ttl_within_reason() {
        let after = |valid_for: Option<u64>| {
            next_look(&Answer {
                addresses: addresses(&["10.0.0.5"]),
                valid_for: valid_for.map(seconds),
                by: BOTH,
            })
            .as_secs()
        };
        assert_eq!([None, Some(0), Some(7), Some(60), Some(86_400)].map(after), [1, 1, 7, 60, 60]);
    }
}
