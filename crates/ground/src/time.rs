//! Moments and their spellings on the wire.

use std::fmt;
use std::time::Duration;

use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

/// A moment: milliseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

/// The text is not a moment in the expected spelling.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a timestamp")]
pub struct BadTimestamp(pub String);

impl Timestamp {
    /// The moment `seconds` whole seconds after the epoch, saturating.
    pub fn from_seconds(seconds: i64) -> Timestamp {
        Timestamp(seconds.saturating_mul(1000))
    }

    /// Whole seconds since the epoch, rounded down.
    pub fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// This moment and `duration` later, saturating.
    #[must_use]
    pub fn after(self, duration: Duration) -> Timestamp {
        Timestamp(
            self.0
                .saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)),
        )
    }

    /// Time from `earlier` to this moment; zero if `earlier` is later.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// `2026-01-02T03:04:05Z`, with `.678` only if there are milliseconds.
    pub fn iso8601(self) -> String {
        let mut spelled = self.iso8601_seconds();
        let millis = self.0.rem_euclid(1000);
        if millis != 0 {
            spelled.pop();
            spelled.push_str(&format!(".{millis:03}Z"));
        }
        spelled
    }

    /// `2026-01-02T03:04:05Z`: whole seconds, as CloudTrail's `eventTime`.
    pub fn iso8601_seconds(self) -> String {
        // Every record has one, so it is not left to `strftime`.
        let civil = self.civil();
        let mut spelled = String::with_capacity(24);
        let year = civil.year().unsigned_abs();
        push_two(&mut spelled, u8::try_from(year / 100).unwrap_or(99));
        push_two(&mut spelled, u8::try_from(year % 100).unwrap_or(99));
        let rest = [
            ('-', civil.month()),
            ('-', civil.day()),
            ('T', civil.hour()),
            (':', civil.minute()),
            (':', civil.second()),
        ];
        for (before, number) in rest {
            spelled.push(before);
            push_two(&mut spelled, number.unsigned_abs());
        }
        spelled.push('Z');
        spelled
    }

    /// `20260102T030405Z`, as in `X-Amz-Date`.
    pub fn amz_date(self) -> String {
        self.civil().strftime("%Y%m%dT%H%M%SZ").to_string()
    }

    /// `Fri, 02 Jan 2026 03:04:05 GMT` (RFC 9110, IMF-fixdate).
    pub fn http_date(self) -> String {
        self.civil().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
    }

    /// `Jan 2, 2026, 3:04:05 AM`, as CloudTrail spells moments inside parameters and elements.
    pub fn cloudtrail(self) -> String {
        self.civil().strftime("%b %-d, %Y, %-I:%M:%S %p").to_string()
    }

    /// Reads `20260102T030405Z`.
    ///
    /// # Errors
    ///
    /// [`BadTimestamp`] for anything else.
    pub fn parse_amz_date(text: &str) -> Result<Timestamp, BadTimestamp> {
        let bytes = text.as_bytes();
        let shape_ok = bytes.len() == 16
            && bytes[8] == b'T'
            && bytes[15] == b'Z'
            && bytes
                .iter()
                .enumerate()
                .all(|(at, byte)| at == 8 || at == 15 || byte.is_ascii_digit());
        if !shape_ok {
            return Err(bad(text));
        }
        let two = |at: usize| i64::from(bytes[at] - b'0') * 10 + i64::from(bytes[at + 1] - b'0');
        let (year, month, day) = (two(0) * 100 + two(2), two(4), two(6));
        let (hour, minute, second) = (two(9), two(11), two(13));
        let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let days = match month {
            2 => 28 + i64::from(is_leap),
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => 0,
        };
        if !(1..=days).contains(&day) || hour > 23 || minute > 59 || second > 59 {
            return Err(bad(text));
        }
        // Years are counted from March, so that a leap day is the last of its year.
        let (year, month) = match month {
            1 | 2 => (year - 1, month + 9),
            _ => (year, month - 3),
        };
        let day_of_year = (153 * month + 2) / 5 + day - 1;
        let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
        /// From March 1st of the year 0 to the epoch.
        const EPOCH_DAYS: i64 = 719_468;
        let day = year * 365 + leap_days + day_of_year - EPOCH_DAYS;
        Ok(Timestamp::from_seconds(
            ((day * 24 + hour) * 60 + minute) * 60 + second,
        ))
    }

    /// Reads an ISO 8601 moment with offset, or a bare date or date-time taken as UTC.
    ///
    /// # Errors
    ///
    /// [`BadTimestamp`] for anything else, or longer than 40 characters.
    pub fn parse_iso8601(text: &str) -> Result<Timestamp, BadTimestamp> {
        if text.len() > 40 {
            return Err(bad(text));
        }
        if let Ok(moment) = text.parse::<jiff::Timestamp>() {
            return Ok(Timestamp(moment.as_millisecond()));
        }
        let civil = text.parse::<jiff::civil::DateTime>().map_err(|_| bad(text))?;
        Timestamp::of_civil(civil).ok_or_else(|| bad(text))
    }

    /// Reads an HTTP date (`Fri, 02 Jan 2026 03:04:05 GMT`).
    ///
    /// # Errors
    ///
    /// [`BadTimestamp`] for anything else.
    pub fn parse_http_date(text: &str) -> Result<Timestamp, BadTimestamp> {
        if text.len() > 40 {
            return Err(bad(text));
        }
        jiff::civil::DateTime::strptime("%a, %d %b %Y %H:%M:%S GMT", text)
            .ok()
            .and_then(Timestamp::of_civil)
            .ok_or_else(|| bad(text))
    }

    fn of_civil(civil: jiff::civil::DateTime) -> Option<Timestamp> {
        let moment = TimeZone::UTC.to_timestamp(civil).ok()?;
        Some(Timestamp(moment.as_millisecond()))
    }

    /// The calendar's view, clamped to the years 1 to 9999 (which the calendar library knows).
    fn civil(self) -> jiff::civil::DateTime {
        const YEAR_1_MS: i64 = -62_135_596_800_000;
        const YEAR_9999_MS: i64 = 253_402_207_199_000;
        let moment = jiff::Timestamp::from_millisecond(self.0.clamp(YEAR_1_MS, YEAR_9999_MS))
            .expect("the clamped moment lies within the calendar");
        TimeZone::UTC.to_datetime(moment)
    }
}

fn push_two(out: &mut String, number: u8) {
    out.push(char::from(b'0' + number / 10 % 10));
    out.push(char::from(b'0' + number % 10));
}

fn bad(text: &str) -> BadTimestamp {
    BadTimestamp(text.chars().take(64).collect())
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.iso8601())
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.iso8601())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spells_and_reads_every_form() {
        let moment = Timestamp(1_767_323_045_678);
        assert_eq!(moment.iso8601(), "2026-01-02T03:04:05.678Z");
        assert_eq!(moment.iso8601_seconds(), "2026-01-02T03:04:05Z");
        assert_eq!(moment.amz_date(), "20260102T030405Z");
        assert_eq!(moment.cloudtrail(), "Jan 2, 2026, 3:04:05 AM");
        assert_eq!(moment.http_date(), "Fri, 02 Jan 2026 03:04:05 GMT");
        assert_eq!(Timestamp::parse_iso8601(&moment.iso8601()).unwrap(), moment);
        assert_eq!(
            Timestamp::parse_amz_date("20260102T030405Z").unwrap().seconds(),
            moment.seconds()
        );
        assert_eq!(
            Timestamp::parse_http_date(&moment.http_date()).unwrap().seconds(),
            moment.seconds()
        );
        assert_eq!(
            Timestamp::parse_iso8601("2026-01-02T04:04:05+01:00")
                .unwrap()
                .seconds(),
            moment.seconds()
        );
        assert_eq!(
            Timestamp::parse_iso8601("2026-01-02").unwrap().iso8601(),
            "2026-01-02T00:00:00Z"
        );
    }

    /// Beginnings and ends of months in the years that four digits can spell, but for the
    /// last, which the calendar library does not know whole; and what lies beside them.
    #[test]
    fn an_amz_date_is_what_the_calendar_says() {
        for year in (0..=9998).filter(|year| year % 7 == 0 || year % 100 == 0 || year % 4 == 0) {
            for month in 0..=13 {
                for day in [0, 1, 28, 29, 30, 31, 32] {
                    let text = format!("{year:04}{month:02}{day:02}T235958Z");
                    let civil = jiff::civil::DateTime::new(year, month, day, 23, 59, 58, 0);
                    let expected = civil.ok().and_then(Timestamp::of_civil);
                    assert_eq!(Timestamp::parse_amz_date(&text).ok(), expected, "{text}");
                }
            }
        }
        for text in ["20260102T240000Z", "20260102T236000Z", "20260102T235960Z"] {
            assert!(Timestamp::parse_amz_date(text).is_err(), "{text}");
        }
    }

    #[test]
    fn refuses_nonsense_without_panicking() {
        for text in [
            "",
            "20261302T030405Z",
            "20260102T250405Z",
            "2026010éT030405Z",
            "yesterday",
            "20260102T030405",
        ] {
            assert!(Timestamp::parse_amz_date(text).is_err(), "{text}");
        }
        for text in ["", "now", "2026-13-01T00:00:00Z", &"9".repeat(100)] {
            assert!(Timestamp::parse_iso8601(text).is_err(), "{text}");
        }
        assert!(Timestamp(i64::MAX).iso8601().starts_with("9999-"));
        assert!(Timestamp(i64::MIN).iso8601().starts_with("0001-"));
    }
}
