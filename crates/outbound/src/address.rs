//! Which addresses may be reached.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

/// Whether an address is of the public internet, or of a network that is permitted.
pub(crate) fn may_be_reached(address: IpAddr, permitted: &[IpNet]) -> bool {
    // An IPv4 address in IPv6's clothes is the same place.
    let address = address.to_canonical();
    let is_public = match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    };
    is_public || permitted.iter().any(|network| network.contains(&address))
}

/// Source: IANA IPv4 Special-Purpose Address Registry.
fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(a == 0
        || address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && (c == 0 || c == 2))
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (b == 18 || b == 19))
        || (a == 198 && b == 51 && c == 100)
        || (a == 203 && b == 0 && c == 113)
        || a >= 224)
}

/// Global unicast without what stands for other addresses (6to4, Teredo) and
/// documentation. Source: IANA IPv6 Special-Purpose Address Registry.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [first, second, ..] = address.segments();
    first & 0xe000 == 0x2000
        && first != 0x2002
        && !(first == 0x2001 && (second < 0x200 || second == 0xdb8))
        && !(first == 0x3fff && second < 0x1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reached(text: &str, permitted: &[&str]) -> bool {
        let permitted: Vec<IpNet> = permitted.iter().map(|network| network.parse().unwrap()).collect();
        may_be_reached(text.parse().unwrap(), &permitted)
    }

    #[test]
    fn what_is_inside_is_not_reached_unless_permitted() {
        for inside in [
            "127.0.0.1",
            "10.1.2.3",
            "172.31.0.1",
            "192.168.0.1",
            "169.254.169.254",
            "0.0.0.0",
            "100.100.100.200",
            "192.0.2.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "::1",
            "::",
            "fe80::1",
            "fd00:ec2::254",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "64:ff9b::a9fe:a9fe",
            "2002:7f00:1::",
            "2001::1",
            "2001:db8::1",
            "ff02::1",
            "::127.0.0.1",
        ] {
            assert!(!reached(inside, &[]), "{inside}");
        }
        for outside in [
            "8.8.8.8",
            "100.128.0.1",
            "172.32.0.1",
            "2606:4700::1111",
            "2001:4860::8888",
        ] {
            assert!(reached(outside, &[]), "{outside}");
        }
        assert!(reached("127.0.0.1", &["127.0.0.0/8"]));
        assert!(reached("::ffff:10.0.0.7", &["10.0.0.0/24"]));
        assert!(!reached("10.0.1.7", &["10.0.0.0/24"]));
    }
}
