//! `Subnet`: a block of IPv4 addresses.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use super::bad_unit::{BadUnit, quoted};
use super::text_form;

/// A block of IPv4 addresses: `10.99.0.0/16`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Subnet {
    /// The first address; its host bits are 0.
    pub base: Ipv4Addr,
    pub prefix: u8,
}

const REMEDY: &str = "write it like 10.99.0.0/16";

#[allow(clippy::len_without_is_empty, reason = "a subnet holds at least one address")]
impl Subnet {
    /// The bits that all addresses of the subnet share.
    fn mask(prefix: u8) -> u32 {
        u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0)
    }

    /// How many addresses there are, the first and the last included.
    pub fn len(&self) -> u64 {
        1 << (32 - self.prefix.min(32))
    }

    pub fn nth(&self, index: u64) -> Option<Ipv4Addr> {
        let offset = u32::try_from(index).ok().filter(|_| index < self.len())?;
        self.base.to_bits().checked_add(offset).map(Ipv4Addr::from_bits)
    }

    pub fn contains(&self, address: Ipv4Addr) -> bool {
        address.to_bits() & Subnet::mask(self.prefix) == self.base.to_bits()
    }

    pub fn overlaps(&self, other: Subnet) -> bool {
        self.contains(other.base) || other.contains(self.base)
    }
}

impl FromStr for Subnet {
    type Err = BadUnit;

    fn from_str(text: &str) -> Result<Self, BadUnit> {
        let bad = |why: &str| BadUnit::new(format!("{} is not a subnet: {why}", quoted(text)), REMEDY);
        let (base, prefix) = text.trim().split_once('/').ok_or_else(|| bad("it has no prefix length"))?;
        let base: Ipv4Addr = base.parse().map_err(|_| bad("its address is not an IPv4 address"))?;
        let digits = prefix.bytes().all(|byte| byte.is_ascii_digit());
        let prefix: u8 = match prefix.parse() {
            Ok(prefix) if digits && prefix <= 32 => prefix,
            _ => return Err(bad("its prefix length is not a number from 0 to 32")),
        };
        let first = Ipv4Addr::from_bits(base.to_bits() & Subnet::mask(prefix));
        if first != base {
            let why = bad(&format!("it begins at {first}, not at {base}")).why;
            return Err(BadUnit::new(why, format!("write {first}/{prefix}")));
        }
        Ok(Subnet { base, prefix })
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/{}", self.base, self.prefix))
    }
}

text_form!(Subnet, "a subnet such as 10.99.0.0/16", {
    "type": "string",
    "pattern": r"^([0-9]{1,3}\.){3}[0-9]{1,3}/[0-9]{1,2}$",
    "examples": ["10.99.0.0/16"]
});

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(text: &str) -> Subnet {
        text.parse().unwrap()
    }

    #[test]
    fn subnets_count_and_contain() {
        let lab = subnet("10.99.0.0/16");
        assert_eq!(lab.len(), 65_536);
        assert_eq!(lab.nth(257), Some(Ipv4Addr::new(10, 99, 1, 1)));
        assert_eq!(lab.nth(65_536), None);
        assert!(lab.contains(Ipv4Addr::new(10, 99, 255, 255)));
        assert!(!lab.contains(Ipv4Addr::new(10, 100, 0, 0)));
        assert!(lab.overlaps(subnet("10.99.7.0/24")) && subnet("10.99.7.0/24").overlaps(lab));
        assert!(!lab.overlaps(subnet("10.98.0.0/16")));
        assert_eq!(subnet("0.0.0.0/0").len(), 1 << 32);
        assert_eq!(subnet("10.0.0.1/32").nth(0), Some(Ipv4Addr::new(10, 0, 0, 1)));
    }

    #[test]
    fn wrong_subnets_are_refused() {
        let error = "10.99.1.0/16".parse::<Subnet>().unwrap_err();
        assert_eq!(error.why, "`10.99.1.0/16` is not a subnet: it begins at 10.99.0.0, not at 10.99.1.0");
        assert_eq!(error.remedy, "write 10.99.0.0/16");
        for bad in ["", "10.0.0.0", "10.0.0.0/33", "10.0.0.0/+8", "10.0.0.0/", "10.0.0/8", "::/8"] {
            assert!(bad.parse::<Subnet>().is_err(), "{bad}");
        }
    }
}
