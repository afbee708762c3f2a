//! Which name servers the programs in a place ask.

use std::fs::File;
use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};

use super::{Holder, Place};

/// Bytes read of a file that a container may have written.
const LONGEST: u64 = 64 * 1024;

/// A name server; link-local IPv6 addresses may come with the interface to ask through.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NameServer {
    pub address: IpAddr,
    /// A name or a number of an interface in the place.
    pub zone: Option<String>,
}

/// The name servers of a place, in the order in which they are asked.
///
/// # Errors
/// The file cannot be read. One that is not there, or names no server, means the local machine (resolv.conf(5)).
pub fn name_servers(place: &Place) -> io::Result<Vec<NameServer>> {
    let text = match &place.holder {
        Holder::Agent | Holder::Path(_) => read(Path::new("/"), "etc/resolv.conf"),
        // `ip netns exec` mounts the files of /etc/netns/NAME over those of /etc.
        Holder::Name(name) => match read(Path::new("/etc/netns"), &format!("{name}/resolv.conf")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => read(Path::new("/"), "etc/resolv.conf"),
            result => result,
        },
        Holder::Process(process) => {
            let root = format!("/proc/{}/root", process.pid());
            if !Path::new(&root).try_exists()? {
                return Err(io::Error::new(
                    io::ErrorKind::NotFound,
                    format!("process {} of {} has ended", process.pid(), place.name),
                ));
            }
            read(Path::new(&root), "etc/resolv.conf")
        }
    };
    let servers = match text {
        Ok(text) => parse(&text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    if servers.is_empty() {
        return Ok(vec![NameServer { address: Ipv4Addr::LOCALHOST.into(), zone: None }]);
    }
    Ok(servers)
}

/// Reads a small regular file below a root, where symbolic links are resolved as a process with that root would: the files
/// of a container must not lead to those of the host.
fn read(root: &Path, path: &str) -> io::Result<String> {
    // It is not read itself: the agent's sandbox lets it read below some directories only.
    let root = File::options().read(true).custom_flags(OFlag::O_PATH.bits()).open(root)?;
    // A FIFO must not block the agent.
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let how = OpenHow::new().flags(flags).resolve(ResolveFlag::RESOLVE_IN_ROOT);
    let file = File::from(openat2(&root, path, how)?);
    if !file.metadata()?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{path} is not a regular file")));
    }
    let mut bytes = Vec::new();
    file.take(LONGEST).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The `nameserver` lines; what is no address is passed over, as the C library does.
#[must_use]
pub fn parse(text: &str) -> Vec<NameServer> {
    text.lines().filter_map(server).collect()
}

fn server(line: &str) -> Option<NameServer> {
    // The keyword begins in the first column, so that a leading space comments a line out.
    let rest = line.strip_prefix("nameserver")?;
    let argument = rest.strip_prefix([' ', '\t'])?.split_ascii_whitespace().next()?;
    let (address, zone) = match argument.split_once('%') {
        Some((address, zone)) => (address, Some(zone.to_owned())),
        None => (argument, None),
    };
    let address: IpAddr = address.parse().ok()?;
    if zone.as_ref().is_some_and(|zone| zone.is_empty() || address.is_ipv4()) {
        return None;
    }
    Some(NameServer { address, zone })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scope::process::Process;

    fn texts(text: &str) -> Vec<String> {
        parse(text)
            .into_iter()
            .map(|server| match server.zone {
                Some(zone) => format!("{}%{zone}", server.address),
                None => server.address.to_string(),
            })
            .collect()
    }

    #[test]
    fn nameserver_lines_are_read_in_order() {
        let text = "# nameserver 9.9.9.9\n; x\nsearch lan\nnameserver 10.0.0.2\nnameserver\t2001:db8::1 # two\r\n\
                    nameserver fe80::1%eth0\nnameserver 10.0.0.3\noptions ndots:5\n";
        assert_eq!(texts(text), ["10.0.0.2", "2001:db8::1", "fe80::1%eth0", "10.0.0.3"]);
    }

    #[test]
    fn what_is_no_name_server_is_passed_over() {
        let text = "nameserver\nnameserver dns.example\nnameservers 1.1.1.1\n nameserver 1.1.1.1\n\
                    nameserver 1.1.1.1%eth0\nnameserver fe80::1%\nNAMESERVER 1.1.1.1\n";
        assert_eq!(texts(text), [""; 0]);
    }

    #[test]
    fn links_stay_below_the_root() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        std::fs::create_dir_all(root.join("etc")).unwrap();
        std::fs::create_dir_all(root.join("run")).unwrap();
        std::fs::write(root.join("run/resolv.conf"), "nameserver 192.0.2.1\n").unwrap();
        for target in ["/run/resolv.conf", "../../../run/resolv.conf"] {
            let link = root.join("etc/resolv.conf");
            std::os::unix::fs::symlink(target, &link).unwrap();
            assert_eq!(texts(&read(root, "etc/resolv.conf").unwrap()), ["192.0.2.1"]);
            std::fs::remove_file(link).unwrap();
        }
        std::os::unix::fs::symlink("/etc/passwd", root.join("etc/resolv.conf")).unwrap();
        assert_eq!(read(root, "etc/resolv.conf").unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_process_that_ended_is_not_mistaken_for_one_without_the_file() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let process = Process::of(child.id()).unwrap();
        let place = Place { holder: Holder::Process(process), ..Place::host(None) };
        let host = Place::host(None);
        let both = (name_servers(&place), name_servers(&host));
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(both.0.unwrap(), both.1.unwrap());
        assert_eq!(name_servers(&place).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
