//! `Block`: a block of addresses, such as `10.99.0.0/16` or `fd00:99::/64`.

use std::fmt;
use std::str::FromStr;

use super::address::{Address, Family, number_of};
use super::bad_unit::{BadUnit, quoted};
use super::text_form;

/// Addresses that share their first bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Block {
    /// The first address; its host bits are 0.
    pub base: Address,
    pub prefix: u8,
}

const REMEDY: &str = "write it like 10.99.0.0/16 or fd00:99::/64";

#[allow(clippy::len_without_is_empty, reason = "a block holds at least one address")]
impl Block {
    /// The block of this length that the address lies in.
    pub fn around(address: Address, prefix: u8) -> Block {
        let family = Family::of(address);
        let prefix = prefix.min(family.bits());
        Block { base: family.address(number_of(address) & mask(family, prefix)), prefix }
    }

    /// The block of one address.
    pub fn one(address: Address) -> Block {
        Block { base: address, prefix: Family::of(address).bits() }
    }

    pub fn family(&self) -> Family {
        Family::of(self.base)
    }

    /// How many addresses there are, the first and the last included; of the largest blocks, as many as can be
    /// counted.
    pub fn len(&self) -> u64 {
        1_u64.checked_shl(self.host_bits()).unwrap_or(u64::MAX)
    }

    fn host_bits(&self) -> u32 {
        u32::from(self.family().bits().saturating_sub(self.prefix))
    }

    pub fn contains(&self, address: Address) -> bool {
        Family::of(address) == self.family() && Block::around(address, self.prefix).base == self.base
    }

    /// Whether one of the two lies in the other.
    pub fn overlaps(&self, other: Block) -> bool {
        self.contains(other.base) || other.contains(self.base)
    }
}

/// The bits that all addresses of a block share.
fn mask(family: Family, prefix: u8) -> u128 {
    let host_bits = family.bits().saturating_sub(prefix);
    u128::MAX.checked_shl(host_bits.into()).unwrap_or(0)
}

impl FromStr for Block {
    type Err = BadUnit;

    fn from_str(text: &str) -> Result<Self, BadUnit> {
        let bad = |why: &str| BadUnit::new(format!("{} is not a subnet: {why}", quoted(text)), REMEDY);
        let (base, prefix) = text.trim().split_once('/').ok_or_else(|| bad("it has no prefix length"))?;
        let base: Address = base.parse().map_err(|_| bad("its address is no IPv4 or IPv6 address"))?;
        let digits = prefix.bytes().all(|byte| byte.is_ascii_digit());
        let most = Family::of(base).bits();
        let prefix: u8 = match prefix.parse() {
            Ok(prefix) if digits && prefix <= most => prefix,
            _ => return Err(bad(&format!("its prefix length is not a number from 0 to {most}"))),
        };
        let block = Block::around(base, prefix);
        if block.base != base {
            let why = bad(&format!("it begins at {}, not at {base}", block.base)).why;
            return Err(BadUnit::new(why, format!("write {block}")));
        }
        Ok(block)
    }
}

impl fmt::Display for Block {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/{}", self.base, self.prefix))
    }
}

text_form!(Block, "a subnet such as 10.99.0.0/16 or fd00:99::/64", {
    "type": "string",
    "pattern": r"^(([0-9]{1,3}\.){3}[0-9]{1,3}/[0-9]{1,2}|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*/[0-9]{1,3})$",
    "examples": ["10.99.0.0/16", "fd00:99::/64"]
});

#[cfg(test)]
mod tests {
    use super::*;

    fn block(text: &str) -> Block {
        text.parse().unwrap()
    }

    fn address(text: &str) -> Address {
        text.parse().unwrap()
    }

    #[test]
    fn blocks_count_and_contain() {
        let lab = block("10.99.0.0/16");
        assert_eq!(lab.len(), 65_536);
        assert!(lab.contains(address("10.99.255.255")));
        assert!(!lab.contains(address("10.100.0.0")));
        assert!(lab.overlaps(block("10.99.7.0/24")) && block("10.99.7.0/24").overlaps(lab));
        assert!(!lab.overlaps(block("10.98.0.0/16")));
        assert_eq!(block("0.0.0.0/0").len(), 1 << 32);
        assert_eq!(block("10.0.0.1/32"), Block::one(address("10.0.0.1")));
    }

    #[test]
    fn blocks_of_ipv6_count_and_contain() {
        let lab = block("fd00:99::/64");
        assert_eq!((lab.len(), block("::/0").len()), (u64::MAX, u64::MAX));
        assert_eq!(block("fd00:99::/96").len(), 1 << 32);
        assert!(lab.contains(address("fd00:99::ffff:1")) && !lab.contains(address("fd00:99:0:1::")));
        assert!(lab.overlaps(block("fd00:99::8/125")) && !lab.overlaps(block("fd00:98::/64")));
        assert_eq!(Block::around(address("fd00::17"), 125), block("fd00::10/125"));
    }

    #[test]
    fn families_have_nothing_in_common() {
        assert!(!block("::/0").contains(address("10.0.0.1")));
        assert!(!block("0.0.0.0/0").overlaps(block("::/0")));
    }

    #[test]
    fn wrong_blocks_are_refused() {
        let error = "10.99.1.0/16".parse::<Block>().unwrap_err();
        assert_eq!(error.why, "`10.99.1.0/16` is not a subnet: it begins at 10.99.0.0, not at 10.99.1.0");
        assert_eq!(error.remedy, "write 10.99.0.0/16");
        for bad in [
            "",
            "10.0.0.0",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "10.0.0.0/",
            "10.0.0/8",
            "::/129",
            "fd00::1/64",
            "fd00::",
        ] {
            assert!(bad.parse::<Block>().is_err(), "{bad}");
        }
    }
}
