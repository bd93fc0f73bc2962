//! Addresses of both families, and arithmetic on them.

use std::net::{Ipv4Addr, Ipv6Addr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An IPv4 or an IPv6 address.
pub use std::net::IpAddr as Address;

/// Which of the two.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    #[default]
    Ipv4,
    Ipv6,
}

impl Family {
    pub fn of(address: Address) -> Family {
        if address.is_ipv4() { Family::Ipv4 } else { Family::Ipv6 }
    }

    /// The length of its addresses.
    pub fn bits(self) -> u8 {
        match self {
            Family::Ipv4 => 32,
            Family::Ipv6 => 128,
        }
    }

    /// The address that stands for any.
    pub fn unspecified(self) -> Address {
        match self {
            Family::Ipv4 => Ipv4Addr::UNSPECIFIED.into(),
            Family::Ipv6 => Ipv6Addr::UNSPECIFIED.into(),
        }
    }

    /// The address with this number; of an IPv4 address only the lower 32 bits count.
    pub fn address(self, number: u128) -> Address {
        match self {
            Family::Ipv4 => Ipv4Addr::from_bits(number as u32).into(),
            Family::Ipv6 => Ipv6Addr::from_bits(number).into(),
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Family::Ipv4 => "IPv4",
            Family::Ipv6 => "IPv6",
        }
    }
}

/// An address as a number.
pub fn number_of(address: Address) -> u128 {
    match address {
        Address::V4(address) => address.to_bits().into(),
        Address::V6(address) => address.to_bits(),
    }
}

/// The address so many further on. After the last one of its family comes the first.
pub fn further(address: Address, by: u64) -> Address {
    Family::of(address).address(number_of(address).wrapping_add(by.into()))
}
