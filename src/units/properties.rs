//! What holds for every value and every text.

use std::fmt::{Debug, Display};
use std::str::FromStr;
use std::time::Duration;

use proptest::prelude::*;

use super::*;

/// Printing and reading gives the value back, as a text and through serde.
fn survives<T>(value: T) -> Result<(), TestCaseError>
where
    T: Display + FromStr<Err = BadUnit> + PartialEq + Debug + serde::Serialize + serde::de::DeserializeOwned,
{
    let read_back = value.to_string().parse::<T>();
    prop_assert_eq!(read_back.as_ref(), Ok(&value));
    let json = serde_json::to_string(&value).unwrap();
    prop_assert_eq!(serde_json::from_str::<T>(&json).unwrap(), value);
    Ok(())
}

fn any_range() -> impl Strategy<Value = PortRange> {
    (1..=u16::MAX, 1..=u16::MAX).prop_map(|(a, b)| PortRange { first: a.min(b), last: a.max(b) })
}

proptest! {
    #[test]
    fn printed_values_are_read_back(
        number: u64,
        exponent in 0u32..10,
        percent in 0.0..=100.0f64,
        range in any_range(),
        address: u128,
        prefix in 0u8..=128,
    ) {
        // Round numbers meet the larger units, which random ones hardly ever do.
        for number in [number, number % 1000 * 10u64.pow(exponent), (number % 1000) << (exponent * 4)] {
            survives(Count(number))?;
            survives(Bytes(number))?;
            survives(Period(Duration::from_nanos(number)))?;
            survives(Rate::PerSecond(number.max(1)))?;
            survives(Share::Count(number))?;
        }
        survives(Rate::Max)?;
        survives(Share::Percent(percent))?;
        survives(range)?;
        survives(Ports(vec![range]))?;
        survives(Block::around(Family::Ipv4.address(address), prefix))?;
        survives(Block::around(Family::Ipv6.address(address), prefix))?;
    }

    #[test]
    fn no_text_makes_a_unit_panic(text in any_text()) {
        let _ = text.parse::<Count>();
        let _ = text.parse::<Bytes>();
        let _ = text.parse::<Period>();
        let _ = text.parse::<Rate>();
        let _ = text.parse::<Share>();
        let _ = text.parse::<Ports>();
        let _ = text.parse::<Block>();
    }

    #[test]
    fn ports_by_index_are_the_ports_in_order(range in any_range(), index in 0usize..70_000) {
        let ports = Ports(vec![range]);
        prop_assert_eq!(ports.nth(index), ports.iter().nth(index));
        prop_assert_eq!(ports.len(), ports.iter().count());
    }
}

/// Anything at all, and texts that look like units.
fn any_text() -> impl Strategy<Value = String> {
    let pieces =
        vec!["0", "9", "_", ".", ",", "-", "/", "%", "K", "GiB", "ms", "µs", "max", " ", "é", "99999999999"];
    let alike = prop::collection::vec(prop::sample::select(pieces), 0..12).prop_map(|pieces| pieces.concat());
    prop_oneof![any::<String>(), alike]
}
