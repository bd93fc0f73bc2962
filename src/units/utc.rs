//! Moments in UTC, as RFC 3339 writes them: `2026-11-21T05:15:00.250Z`.

use std::fmt;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use super::bad_unit::{BadUnit, quoted};
use super::text_form;

const DAY_MS: u64 = 86_400_000;
/// The last moment that four digits of a year can say.
const LAST_MS: u64 = 253_402_300_799_999;

/// A moment, in milliseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Utc(u64);

impl Utc {
    pub fn now() -> Utc {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Utc::from_unix_ms(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    pub fn from_unix_ms(ms: u64) -> Utc {
        Utc(ms.min(LAST_MS))
    }

    pub fn unix_ms(self) -> u64 {
        self.0
    }

    /// Year, month and day; hour, minute and second.
    pub fn fields(self) -> ([u64; 3], [u64; 3]) {
        let seconds = self.0 % DAY_MS / 1000;
        (civil(self.0 / DAY_MS), [seconds / 3600, seconds / 60 % 60, seconds % 60])
    }
}

/// Days since 1970-01-01 as a date, counting in eras of 400 years that begin on the first of March.
fn civil(days: u64) -> [u64; 3] {
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    [era * 400 + year_of_era + u64::from(month <= 2), month, day]
}

/// The inverse of `civil`, for dates from 1970 on.
fn days([year, month, day]: [u64; 3]) -> u64 {
    let year = year - u64::from(month <= 2);
    let (era, year_of_era) = (year / 400, year % 400);
    let shifted_month = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * shifted_month + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

impl fmt::Display for Utc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ([year, month, day], [hour, minute, second]) = self.fields();
        let ms = self.0 % 1000;
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
    }
}

impl FromStr for Utc {
    type Err = BadUnit;

    /// Reads only what `Display` writes; the fraction of a second may be missing.
    fn from_str(text: &str) -> Result<Utc, BadUnit> {
        parse(text).filter(|utc| utc.to_string().starts_with(text.trim_end_matches('Z'))).ok_or_else(|| {
            BadUnit {
                why: format!("{} is no moment in UTC", quoted(text)),
                remedy: "write it like 2026-11-21T05:15:00Z".into(),
            }
        })
    }
}

fn parse(text: &str) -> Option<Utc> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let (time, ms) = time.split_once('.').unwrap_or((time, "000"));
    let date = numbers(date.split('-'))?;
    let [hour, minute, second] = numbers(time.split(':'))?;
    if ms.len() != 3 || !(1970..=9999).contains(&date[0]) || !(1..=12).contains(&date[1]) || date[2] == 0 {
        return None;
    }
    let ms: u64 = ms.parse().ok()?;
    Some(Utc(days(date) * DAY_MS + (hour * 3600 + minute * 60 + second) * 1000 + ms))
}

fn numbers<'a>(words: impl Iterator<Item = &'a str>) -> Option<[u64; 3]> {
    let number = |word: &str| (word.len() <= 4).then(|| word.parse().ok())?;
    words.map(number).collect::<Option<Vec<u64>>>()?.try_into().ok()
}

text_form!(Utc, "a moment such as 2026-11-21T05:15:00Z", {
    "type": "string",
    "format": "date-time",
    "examples": ["2026-11-21T05:15:00.250Z"]
});

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn moments_are_written_as_rfc_3339_has_them() {
        let written = |ms| Utc::from_unix_ms(ms).to_string();
        assert_eq!(written(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(written(951_782_400_007), "2000-02-29T00:00:00.007Z");
        assert_eq!(written(1_795_238_100_250), "2026-11-21T05:15:00.250Z");
        assert_eq!(written(u64::MAX), "9999-12-31T23:59:59.999Z");
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for text in [
            "",
            "2026-11-21",
            "2026-11-21T05:15:00",
            "2026-02-30T00:00:00Z",
            "2026-11-21T25:00:00Z",
            "1969-12-31T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-1-21T05:15:00Z",
            "2026-11-21T05:15:00.2Z",
            "+026-11-21T05:15:00Z",
            "99999-11-21T05:15:00Z",
            "2026-11-21T05:15:00ZZ",
        ] {
            assert!(text.parse::<Utc>().is_err(), "{text}");
        }
        assert!("2026-11-21T05:15:00Z".parse::<Utc>().is_ok());
    }

    proptest! {
        #[test]
        fn moments_are_read_as_they_are_written(ms in 0..=LAST_MS) {
            let utc = Utc::from_unix_ms(ms);
            prop_assert_eq!(utc.to_string().parse::<Utc>().expect("a moment"), utc);
        }
    }
}
