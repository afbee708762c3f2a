//! What the kernel shows instead of an id that this user namespace has no number for (`user_namespaces(7)`).

use std::fs::read_to_string;
use std::io;

/// As the kernel has it unless somebody wrote another into `/proc/sys/kernel`.
pub const USUAL: u32 = 65_534;

/// Whom any user without a number here looks like; nobody, where each has one.
///
/// # Errors
/// There is no map to read.
pub fn user() -> io::Result<Option<u32>> {
    shown("/proc/self/uid_map", "/proc/sys/kernel/overflowuid")
}

/// The same, for groups.
///
/// # Errors
/// There is no map to read.
pub fn group() -> io::Result<Option<u32>> {
    shown("/proc/self/gid_map", "/proc/sys/kernel/overflowgid")
}

fn shown(map: &str, number: &str) -> io::Result<Option<u32>> {
    if has_everybody(&read_to_string(map)?) {
        return Ok(None);
    }
    let number = read_to_string(number).ok().and_then(|text| text.trim().parse().ok());
    Ok(Some(number.unwrap_or(USUAL)))
}

/// Whether a map has a number for every id there is, as that of the first user namespace has.
fn has_everybody(map: &str) -> bool {
    let mut words = map.split_whitespace();
    let line = (words.next(), words.next(), words.next(), words.next());
    line == (Some("0"), Some("0"), Some("4294967295"), None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_map_of_the_first_user_namespace_has_everybody() {
        assert!(has_everybody("         0          0 4294967295\n"));
        for map in ["", "0 1000 1\n", "0 0 65536\n", "0 100000 65536\n", "0 0 4294967295\n1 1 1\n"] {
            assert!(!has_everybody(map), "{map}");
        }
    }

    #[test]
    fn the_number_is_the_kernels() {
        let dir = tempfile::tempdir().unwrap();
        let [map, number] = ["map", "number"].map(|name| dir.path().join(name));
        let shown = || shown(map.to_str().unwrap(), number.to_str().unwrap());
        assert!(shown().is_err(), "no map");
        std::fs::write(&map, "0 1000 1\n").unwrap();
        assert_eq!(shown().unwrap(), Some(USUAL));
        std::fs::write(&number, "60001\n").unwrap();
        assert_eq!(shown().unwrap(), Some(60_001));
        std::fs::write(&map, "0 0 4294967295\n").unwrap();
        assert_eq!(shown().unwrap(), None);
    }
}
