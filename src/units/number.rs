//! A decimal number and its unit, read exactly: no floating point, no silent rounding.

use super::bad_unit::{BadUnit, quoted};

/// What a number may be followed by, and how to speak of it.
pub(super) struct Scale {
    /// `a count`
    pub noun: &'static str,
    /// Each unit and how many of the smallest it is; `""` for a bare number. Of two alike, the first is printed.
    pub units: &'static [(&'static str, u64)],
    pub remedy: &'static str,
}

impl Scale {
    /// How many of the smallest unit `text` names.
    pub fn read(&self, text: &str) -> Result<u64, BadUnit> {
        let bad =
            |why: String| BadUnit::new(format!("{} is not {}: {why}", quoted(text), self.noun), self.remedy);
        let text = text.trim();
        let end = text.find(|c: char| !(c.is_ascii_digit() || c == '_' || c == '.')).unwrap_or(text.len());
        let (number, unit) = (&text[..end], text[end..].trim_start());
        if text.is_empty() {
            return Err(bad("it is empty".into()));
        }
        if !number.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(bad("it does not begin with a digit".into()));
        }
        if unit.starts_with(',') {
            return Err(bad("digits are grouped with `_`, as in 1_000_000".into()));
        }
        let size = self.units.iter().find(|(name, _)| *name == unit).map(|(_, size)| *size);
        let size = size.ok_or_else(|| match unit {
            "" => bad("it has no unit".into()),
            _ => bad(format!("there is no unit {}", quoted(unit))),
        })?;
        exact_product(number, size).map_err(|why| bad(why.into()))
    }

    /// The shortest text without a fraction: 1500000 is `1500K`.
    pub fn print(&self, value: u64) -> String {
        let fits = |&&(_, size): &&(&str, u64)| value > 0 && value.is_multiple_of(size);
        match self.units.iter().rev().filter(fits).max_by_key(|(_, size)| *size) {
            Some((name, size)) => format!("{}{name}", value / size),
            None => format!("0{}", self.units[0].0),
        }
    }
}

/// `number` × `size`, where `number` is `12`, `1_000` or `1.5`.
fn exact_product(number: &str, size: u64) -> Result<u64, &'static str> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    for part in [whole, fraction] {
        let lone_underscore = part.starts_with('_') || part.ends_with('_') || part.contains("__");
        if part.is_empty() || part.contains('.') || lone_underscore {
            return Err("the number is malformed");
        }
    }
    let digits: String = [whole, fraction.trim_end_matches(['0', '_'])].concat().replace('_', "");
    let decimals = fraction.trim_end_matches(['0', '_']).replace('_', "").len();
    let divisor = u32::try_from(decimals).ok().and_then(|decimals| 10u128.checked_pow(decimals));
    let product = digits.parse::<u128>().ok().and_then(|digits| digits.checked_mul(u128::from(size)));
    match (product, divisor) {
        (Some(product), Some(divisor)) if product % divisor == 0 => {
            u64::try_from(product / divisor).map_err(|_| "it is too large")
        }
        (_, None) => Err("it has too many decimals"),
        (None, _) => Err("it is too large"),
        _ => Err("it is not a whole number"),
    }
}
