//! `Rate` and `Share`.

use std::fmt;
use std::str::FromStr;

use super::bad_unit::{BadUnit, quoted};
use super::quantity::Count;
use super::text_form;

/// How fast: `20K/s`, or `max` for as fast as it goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Rate {
    #[default]
    Max,
    PerSecond(u64),
}

/// A part of a whole: `99.9%`, or a count.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Share {
    Percent(f64),
    Count(u64),
}

impl Share {
    /// How many of `whole` this is, at least; a percentage is rounded up.
    pub fn of(self, whole: u64) -> u64 {
        match self {
            Share::Count(count) => count,
            // Exact where it matters most: 100% of a count is that count, however large.
            Share::Percent(percent) if percent >= 100.0 => whole,
            // A rounding error of the product must not ask for one more.
            Share::Percent(percent) => ((whole as f64 * percent / 100.0 - 1e-6).ceil() as u64).min(whole),
        }
    }
}

impl FromStr for Rate {
    type Err = BadUnit;

    fn from_str(text: &str) -> Result<Self, BadUnit> {
        if text.trim() == "max" {
            return Ok(Rate::Max);
        }
        let per_second = text.trim().strip_suffix("/s").unwrap_or(text);
        let bad = |why: &str| {
            BadUnit::new(format!("{} is not a rate: {why}", quoted(text)), "write it like max or 20K/s")
        };
        match per_second.parse::<Count>() {
            Ok(Count(0)) => Err(bad("nothing would ever happen")),
            Ok(Count(count)) => Ok(Rate::PerSecond(count)),
            Err(_) => Err(bad("it is neither `max` nor a count per second")),
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rate::Max => f.pad("max"),
            Rate::PerSecond(count) => f.pad(&format!("{}/s", Count(*count))),
        }
    }
}

impl FromStr for Share {
    type Err = BadUnit;

    fn from_str(text: &str) -> Result<Self, BadUnit> {
        let bad = |why: &str| {
            BadUnit::new(
                format!("{} is not a share: {why}", quoted(text)),
                "write it like 100%, 99.9% or 990K",
            )
        };
        let Some(percent) = text.trim().strip_suffix('%') else {
            let count = text.parse::<Count>();
            return count
                .map(|Count(count)| Share::Count(count))
                .map_err(|_| bad("it is neither a percentage nor a count"));
        };
        let plain = percent.starts_with(|c: char| c.is_ascii_digit())
            && percent.chars().all(|c| c.is_ascii_digit() || c == '.');
        match percent.parse::<f64>() {
            Ok(percent) if plain && percent <= 100.0 => Ok(Share::Percent(percent)),
            Ok(_) if plain => Err(bad("it is more than all")),
            _ => Err(bad("the percentage is no number")),
        }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Share::Percent(percent) => f.pad(&format!("{percent}%")),
            Share::Count(count) => f.pad(&Count(*count).to_string()),
        }
    }
}

text_form!(Rate, "a rate such as max or 20K/s", {
    "type": ["integer", "string"],
    "minimum": 1,
    "pattern": r"^(max|[0-9]+(_[0-9]+)*(\.[0-9]+)?[KkMG]?(/s)?)$",
    "examples": ["max", "20K/s"]
});

text_form!(Share, "a share such as 100% or 990K", {
    "type": ["integer", "string"],
    "minimum": 0,
    "pattern": r"^([0-9]+(\.[0-9]+)?%|[0-9]+(_[0-9]+)*(\.[0-9]+)?[KkMG]?)$",
    "examples": ["100%", "99.9%", "990K"]
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_and_printed() {
        assert_eq!("max".parse(), Ok(Rate::Max));
        assert_eq!("20K/s".parse(), Ok(Rate::PerSecond(20_000)));
        assert_eq!(Rate::PerSecond(20_000).to_string(), "20K/s");
        assert_eq!("0/s".parse::<Rate>().unwrap_err().why, "`0/s` is not a rate: nothing would ever happen");
        assert!("fast".parse::<Rate>().is_err());
    }

    #[test]
    fn shares_are_read_and_printed() {
        assert_eq!("100%".parse(), Ok(Share::Percent(100.0)));
        assert_eq!("99.9%".parse(), Ok(Share::Percent(99.9)));
        assert_eq!("990K".parse(), Ok(Share::Count(990_000)));
        assert_eq!(Share::Percent(99.9).to_string(), "99.9%");
        for bad in ["101%", "-1%", "nan%", "inf%", "%", "1e1%", "all"] {
            assert!(bad.parse::<Share>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_share_of_a_whole_is_rounded_up() {
        assert_eq!(Share::Percent(100.0).of(u64::MAX), u64::MAX);
        assert_eq!(Share::Percent(99.9).of(1_000_000), 999_000);
        assert_eq!(Share::Percent(50.0).of(3), 2);
        assert_eq!(Share::Count(7).of(3), 7);
    }
}
