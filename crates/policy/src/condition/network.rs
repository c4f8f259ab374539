//! Networks as the address operators compare with them.

use std::net::IpAddr;

use ipnet::IpNet;

/// A range of addresses of one family, ready to be compared: the bits that
/// matter, and what they are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Network {
    V4 { matters: u32, bits: u32 },
    V6 { matters: u128, bits: u128 },
}

impl Network {
    /// A CIDR range, or an address as a range of one.
    pub(crate) fn parse(text: &str) -> Option<Network> {
        let read = text.parse::<IpNet>().ok();
        Some(
            match read.or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from))? {
                IpNet::V4(net) => Network::V4 {
                    matters: net.netmask().to_bits(),
                    bits: net.network().to_bits(),
                },
                IpNet::V6(net) => Network::V6 {
                    matters: net.netmask().to_bits(),
                    bits: net.network().to_bits(),
                },
            },
        )
    }

    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        match (*self, address) {
            (Network::V4 { matters, bits }, IpAddr::V4(address)) => address.to_bits() & matters == bits,
            (Network::V6 { matters, bits }, IpAddr::V6(address)) => address.to_bits() & matters == bits,
            (Network::V4 { .. }, IpAddr::V6(_)) | (Network::V6 { .. }, IpAddr::V4(_)) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn contains(network: &str, address: &str) -> bool {
        Network::parse(network)
            .unwrap()
            .contains(address.parse().unwrap())
    }

    #[test]
    fn networks_keep_their_family() {
        assert!(contains("10.0.0.0/8", "10.1.2.3"));
        assert!(contains("10.1.2.3", "10.1.2.3"));
        assert!(!contains("10.1.2.3", "10.1.2.4"));
        assert!(contains("2001:db8::1", "2001:db8::1"));
        assert!(contains("0.0.0.0/0", "255.1.2.3"));
        assert!(!contains("::/0", "10.0.0.1"));
        assert!(!contains("0.0.0.0/0", "::1"));
        assert_eq!(Network::parse("10.0.0.0/33"), None);
        assert_eq!(Network::parse("nowhere"), None);
    }

    proptest! {
        #[test]
        fn contains_what_the_range_does(
            address in any::<IpAddr>(),
            other in any::<IpAddr>(),
            flipped in 0u32..128,
            length in 0u8..=128,
        ) {
            let near = match address {
                IpAddr::V4(address) => IpAddr::from((address.to_bits() ^ (1 << (flipped % 32))).to_be_bytes()),
                IpAddr::V6(address) => IpAddr::from((address.to_bits() ^ (1 << flipped)).to_be_bytes()),
            };
            let length = if address.is_ipv4() { length % 33 } else { length };
            let range = IpNet::new(address, length).unwrap();
            let network = Network::parse(&range.to_string()).unwrap();
            for asked in [address, near, other] {
                prop_assert_eq!(network.contains(asked), range.contains(&asked), "{} {}", range, asked);
            }
        }
    }
}
