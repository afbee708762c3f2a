//! Networks as disjoint address ranges: a kernel set refuses intervals that overlap, and adjacent ones cost an
//! element each, so a fault's networks are merged before they become elements.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnetwork::IpNetwork;

/// IPv4 or IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    V4,
    V6,
}

impl Family {
    pub const BOTH: [Self; 2] = [Self::V4, Self::V6];

    /// For the names of sets.
    pub fn digit(self) -> char {
        match self {
            Self::V4 => '4',
            Self::V6 => '6',
        }
    }

    /// `ETH_P_IP` and `ETH_P_IPV6`.
    pub fn ethertype(self) -> u16 {
        match self {
            Self::V4 => 0x0800,
            Self::V6 => 0x86dd,
        }
    }

    /// As nft spells the header.
    pub fn nft(self) -> &'static str {
        match self {
            Self::V4 => "ip",
            Self::V6 => "ip6",
        }
    }
}

/// First and last address, inclusive, of one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Range {
    pub first: IpAddr,
    pub last: IpAddr,
}

/// The networks of one family as the fewest ranges, ascending.
pub fn merge<'a>(family: Family, nets: impl IntoIterator<Item = &'a IpNetwork>) -> Vec<Range> {
    let mut spans = nets.into_iter().filter_map(|net| span(family, net)).collect::<Vec<_>>();
    spans.sort_unstable();
    let mut merged = Vec::<(u128, u128)>::with_capacity(spans.len());
    for (first, last) in spans {
        match merged.last_mut() {
            Some((_, end)) if first <= end.saturating_add(1) => *end = last.max(*end),
            Some(_) | None => merged.push((first, last)),
        }
    }
    merged.into_iter().map(|span| range(family, span)).collect()
}

/// The first ranges without the second; both ascending and disjoint, as [`merge`] makes them.
pub fn subtract(family: Family, from: &[Range], without: &[Range]) -> Vec<Range> {
    let mut left = Vec::new();
    for whole in from {
        let (first, last) = (number(whole.first), number(whole.last));
        // Where the part that is not decided on yet begins; none when a hole has reached the end.
        let mut rest = Some(first);
        for hole in without {
            let (hole_first, hole_last) = (number(hole.first), number(hole.last));
            let Some(begin) = rest.filter(|_| hole_first <= last && hole_last >= first) else { continue };
            if hole_first > begin {
                left.push(range(family, (begin, hole_first - 1)));
            }
            rest = hole_last.checked_add(1).filter(|after| *after <= last);
        }
        left.extend(rest.map(|begin| range(family, (begin, last))));
    }
    left
}

/// Whether every address of the first networks is in one of the others.
pub fn is_within<'a>(nets: impl IntoIterator<Item = &'a IpNetwork> + Clone, others: &[IpNetwork]) -> bool {
    let is_left = |family| !subtract(family, &merge(family, nets.clone()), &merge(family, others)).is_empty();
    !Family::BOTH.into_iter().any(is_left)
}

fn range(family: Family, (first, last): (u128, u128)) -> Range {
    Range { first: address(family, first), last: address(family, last) }
}

fn number(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(u32::from(address)),
        IpAddr::V6(address) => u128::from(address),
    }
}

fn span(family: Family, net: &IpNetwork) -> Option<(u128, u128)> {
    match (family, net) {
        (Family::V4, IpNetwork::V4(net)) => {
            Some((u128::from(u32::from(net.network())), u128::from(u32::from(net.broadcast()))))
        }
        (Family::V6, IpNetwork::V6(net)) => Some((u128::from(net.network()), u128::from(net.broadcast()))),
        (Family::V4, IpNetwork::V6(_)) | (Family::V6, IpNetwork::V4(_)) => None,
    }
}

fn address(family: Family, number: u128) -> IpAddr {
    match family {
        // Every IPv4 number came from a u32.
        Family::V4 => IpAddr::V4(Ipv4Addr::from(u32::try_from(number).unwrap_or(u32::MAX))),
        Family::V6 => IpAddr::V6(Ipv6Addr::from(number)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(family: Family, nets: &[&str]) -> String {
        let nets = nets.iter().map(|net| net.parse().unwrap()).collect::<Vec<IpNetwork>>();
        merge(family, &nets).iter().map(|r| format!("{}-{}", r.first, r.last)).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn neighbours_overlaps_and_everything_merge() {
        assert_eq!(
            text(Family::V4, &["10.0.0.1", "10.0.0.0", "10.0.0.3"]),
            "10.0.0.0-10.0.0.1 10.0.0.3-10.0.0.3"
        );
        assert_eq!(text(Family::V4, &["10.0.0.0/24", "10.0.0.7", "fd00::1"]), "10.0.0.0-10.0.0.255");
        assert_eq!(text(Family::V4, &["0.0.0.0/0", "255.255.255.255"]), "0.0.0.0-255.255.255.255");
        assert_eq!(
            text(Family::V6, &["::/0", "ffff::/16", "10.0.0.1"]),
            "::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
        );
        assert_eq!(text(Family::V6, &[]), "");
    }

    #[test]
    fn networks_lie_within_others_together_or_not() {
        let nets =
            |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<IpNetwork>>();
        let halves = nets(&["10.0.0.0/25", "10.0.0.128/25", "fd00::/64"]);
        for (inner, within) in [
            (&["10.0.0.0/24"][..], true),
            (&["10.0.0.7", "fd00::5"], true),
            (&["10.0.0.0/23"], false),
            (&["10.0.0.7", "fd01::5"], false),
            (&["0.0.0.0/0"], false),
            (&[], true),
        ] {
            assert_eq!(is_within(&nets(inner), &halves), within, "{inner:?}");
        }
        assert!(!is_within(&nets(&["10.0.0.1"]), &[]));
    }

    fn nets(lows: Vec<(u32, u8)>) -> Vec<IpNetwork> {
        let net =
            |(low, prefix)| IpNetwork::new(IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + low)), prefix).unwrap();
        lows.into_iter().map(net).collect()
    }

    proptest! {
        #[test]
        fn a_difference_holds_what_only_the_first_has(
            from in prop::collection::vec((0_u32..64, 26_u8..=32), 0..12),
            without in prop::collection::vec((0_u32..64, 26_u8..=32), 0..12),
        ) {
            let [from, without] = [from, without].map(|lows| merge(Family::V4, &nets(lows)));
            let left = subtract(Family::V4, &from, &without);
            let holds = |ranges: &[Range], address| ranges.iter().filter(|r| r.first <= address && address <= r.last).count();
            for low in 0..192_u32 {
                let address = IpAddr::V4(Ipv4Addr::from(0x0a00_0000 - 64 + low));
                let wanted = holds(&from, address) == 1 && holds(&without, address) == 0;
                prop_assert_eq!(holds(&left, address), usize::from(wanted));
            }
        }

        #[test]
        fn merged_ranges_hold_the_same_addresses(nets in prop::collection::vec((0_u32..64, 26_u8..=32), 0..12)) {
            let nets = super::tests::nets(nets);
            let ranges = merge(Family::V4, &nets);
            for low in 0..128_u32 {
                let address = IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + low));
                let wanted = nets.iter().any(|net| net.contains(address));
                let found = ranges.iter().filter(|r| r.first <= address && address <= r.last).count();
                prop_assert_eq!(found, usize::from(wanted));
            }
            for pair in ranges.windows(2) {
                prop_assert!(pair[0].last < pair[1].first);
            }
        }
    }
}
