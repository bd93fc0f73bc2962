//! `Count`, `Bytes` and `Period`: a number with a unit.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::bad_unit::BadUnit;
use super::number::Scale;
use super::text_form;

/// How many: `10K`, `1.5M`, `1_000_000`. `K`, `M` and `G` are thousands, millions and milliards.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Count(pub u64);

/// A size in memory: `64B`, `512MiB`, `6GiB`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bytes(pub u64);

/// A length of time: `250ms`, `30s`, `2m`, `1h`; a bare number is seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Period(pub Duration);

pub(super) const COUNT: Scale = Scale {
    noun: "a count",
    units: &[("", 1), ("K", 1_000), ("k", 1_000), ("M", 1_000_000), ("G", 1_000_000_000)],
    remedy: "write it like 500, 10K, 1.5M or 1_000_000",
};

const BYTES: Scale = Scale {
    noun: "a size",
    units: &[
        ("B", 1),
        ("", 1),
        ("KB", 1_000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("TiB", 1 << 40),
    ],
    remedy: "write it like 64B, 512MiB or 6GiB",
};

const PERIOD: Scale = Scale {
    noun: "a length of time",
    units: &[
        ("s", 1_000_000_000),
        ("", 1_000_000_000),
        ("ns", 1),
        ("us", 1_000),
        ("µs", 1_000),
        ("ms", 1_000_000),
        ("m", 60_000_000_000),
        ("h", 3_600_000_000_000),
    ],
    remedy: "write it like 250ms, 30s or 2m",
};

impl FromStr for Count {
    type Err = BadUnit;

    fn from_str(text: &str) -> Result<Self, BadUnit> {
        COUNT.read(text).map(Count)
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&COUNT.print(self.0))
    }
}

impl FromStr for Bytes {
    type Err = BadUnit;

    fn from_str(text: &str) -> Result<Self, BadUnit> {
        BYTES.read(text).map(Bytes)
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&BYTES.print(self.0))
    }
}

impl FromStr for Period {
    type Err = BadUnit;

    fn from_str(text: &str) -> Result<Self, BadUnit> {
        PERIOD.read(text).map(|nanoseconds| Period(Duration::from_nanos(nanoseconds)))
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A lab file cannot say more than 584 years.
        let nanoseconds = u64::try_from(self.0.as_nanos()).unwrap_or(u64::MAX);
        f.pad(&PERIOD.print(nanoseconds))
    }
}

text_form!(Count, "a count such as 10K or 1_000_000", {
    "type": ["integer", "string"],
    "minimum": 0,
    "pattern": r"^[0-9]+(_[0-9]+)*(\.[0-9]+)?[KkMG]?$",
    "examples": ["10K", "1M", 1000]
});

text_form!(Bytes, "a size such as 512MiB or 6GiB", {
    "type": ["integer", "string"],
    "minimum": 0,
    "pattern": r"^[0-9]+(_[0-9]+)*(\.[0-9]+)?(B|[KMG]B|[KMGT]iB)?$",
    "examples": ["64B", "512MiB", "6GiB"]
});

text_form!(Period, "a length of time such as 30s or 250ms", {
    "type": ["integer", "string"],
    "minimum": 0,
    "pattern": r"^[0-9]+(_[0-9]+)*(\.[0-9]+)?(ns|us|µs|ms|s|m|h)?$",
    "examples": ["250ms", "30s", "2m"]
});

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_and_printed() {
        for (text, count) in
            [("0", 0), ("10K", 10_000), ("1M", 1_000_000), ("1_000_000", 1_000_000), ("1.5M", 1_500_000)]
        {
            assert_eq!(text.parse(), Ok(Count(count)), "{text}");
        }
        assert_eq!(Count(1_500_000).to_string(), "1500K");
        assert_eq!(Count(65_535).to_string(), "65535");
        assert_eq!(Count(0).to_string(), "0");
    }

    #[test]
    fn sizes_are_read_and_printed() {
        for (text, bytes) in
            [("64B", 64), ("64", 64), ("512MiB", 512 << 20), ("6GiB", 6 << 30), ("4KB", 4000)]
        {
            assert_eq!(text.parse(), Ok(Bytes(bytes)), "{text}");
        }
        assert_eq!(Bytes(6 << 30).to_string(), "6GiB");
        assert_eq!(Bytes(0).to_string(), "0B");
    }

    #[test]
    fn periods_are_read_and_printed() {
        for (text, milliseconds) in
            [("30s", 30_000), ("250ms", 250), ("2m", 120_000), ("1.5s", 1500), ("3", 3000)]
        {
            assert_eq!(text.parse(), Ok(Period(Duration::from_millis(milliseconds))), "{text}");
        }
        assert_eq!(Period(Duration::from_secs(90)).to_string(), "90s");
        assert_eq!(Period(Duration::from_secs(120)).to_string(), "2m");
        assert_eq!(Period(Duration::ZERO).to_string(), "0s");
    }

    #[test]
    fn what_is_wrong_is_said() {
        let why = |text: &str| text.parse::<Count>().unwrap_err().why;
        assert_eq!(why(""), "`` is not a count: it is empty");
        assert_eq!(why("-1"), "`-1` is not a count: it does not begin with a digit");
        assert_eq!(why("10Q"), "`10Q` is not a count: there is no unit `Q`");
        assert_eq!(why("1.5"), "`1.5` is not a count: it is not a whole number");
        assert_eq!(why("1__0"), "`1__0` is not a count: the number is malformed");
        assert_eq!(why("1.2.3M"), "`1.2.3M` is not a count: the number is malformed");
        assert_eq!(why("99999999999999999999"), "`99999999999999999999` is not a count: it is too large");
        assert_eq!(
            why("1,000,000"),
            "`1,000,000` is not a count: digits are grouped with `_`, as in 1_000_000"
        );
        assert_eq!(
            "30x".parse::<Period>().unwrap_err().to_string(),
            "`30x` is not a length of time: there is no unit `x`\nhelp: write it like 250ms, 30s or 2m"
        );
    }
}
